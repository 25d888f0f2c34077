//! TensorBoard's event files: curves, pictures and sounds of a run, to watch while it goes.
//!
//! A file is a sequence of records (length, its checksum, data, its checksum; TensorFlow's
//! `record_writer.h`), each an `Event` message (`event.proto`, `summary.proto`). As for the log, a
//! resumed run cuts off what its checkpoint doesn't know.

use crate::crc32c::crc32c;
use std::fs::{self, File, OpenOptions};
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};
use vocoder::protobuf::Message;
use vocoder::{Error, Result};

/// The file's name below the run's `tensorboard/`. TensorBoard looks for `tfevents` in it.
const NAME: &str = "events.out.tfevents.0.vocoder";

/// The event file of one run.
pub struct EventFile {
    path: PathBuf,
    file: File,
    position: u64,
}

/// One value of an event.
pub enum Value<'a> {
    /// A number, a point of a curve.
    Scalar(f64),
    /// A PNG file.
    Png(&'a [u8]),
    /// A wav file of one channel, its rate in Hz.
    Wav(&'a [u8], u32),
}

impl EventFile {
    /// Opens the event file in `folder` and cuts it to `position` bytes where that is known.
    ///
    /// # Errors
    /// A file that can't be opened.
    pub fn open(folder: &Path, position: Option<u64>) -> Result<Self> {
        fs::create_dir_all(folder).map_err(|e| Error::io(folder, e))?;
        let path = folder.join(NAME);
        let io = |e| Error::io(&path, e);
        let mut options = OpenOptions::new();
        let mut file = options.create(true).write(true).truncate(false).open(&path).map_err(io)?;
        let position = position.unwrap_or(u64::MAX).min(file.metadata().map_err(io)?.len());
        file.set_len(position).map_err(io)?;
        file.seek(SeekFrom::End(0)).map_err(io)?;
        let mut events = EventFile { path, file, position };
        if position == 0 {
            events.record(Message::new().double(1, now()).bytes(3, "brain.Event:2"))?;
        }
        Ok(events)
    }

    /// Writes the values of `step` under their tags.
    ///
    /// # Errors
    /// A file that can't be written.
    pub fn write(&mut self, step: u64, values: &[(&str, Value)]) -> Result<()> {
        let summary = values
            .iter()
            .fold(Message::new(), |summary, (tag, value)| summary.message(1, encode(tag, value)));
        self.record(Message::new().double(1, now()).integer(2, step as i64).message(5, summary))
    }

    /// Brings the file to disk and says how long it is, in bytes.
    ///
    /// # Errors
    /// A full disk.
    pub fn sync(&mut self) -> Result<u64> {
        self.file.sync_data().map_err(|e| Error::io(&self.path, e))?;
        Ok(self.position)
    }

    fn record(&mut self, event: Message) -> Result<()> {
        let data = event.into_bytes();
        let length = (data.len() as u64).to_le_bytes();
        let mut record = length.to_vec();
        record.extend(masked(&length));
        record.extend(&data);
        record.extend(masked(&data));
        self.position += record.len() as u64;
        self.file.write_all(&record).map_err(|e| Error::io(&self.path, e))
    }
}

/// A `Summary.Value`.
fn encode(tag: &str, value: &Value) -> Message {
    let message = Message::new().bytes(1, tag);
    match value {
        Value::Scalar(value) => message.float(2, *value as f32),
        Value::Png(file) => {
            // A PNG's header has its width and height at bytes 16 and 20.
            let number = |at: usize| {
                let bytes = file.get(at..at + 4).and_then(|b| b.first_chunk::<4>());
                i64::from(bytes.map_or(0, |b| u32::from_be_bytes(*b)))
            };
            let image = Message::new().integer(1, number(20)).integer(2, number(16));
            message.message(4, image.integer(3, 3).bytes(4, file))
        }
        Value::Wav(file, rate) => {
            // 16 bits a sample after a header of 44 bytes.
            let frames = (file.len().saturating_sub(44) / 2) as i64;
            let audio = Message::new().float(1, *rate as f32).integer(2, 1).integer(3, frames);
            message.message(6, audio.bytes(4, file).bytes(5, "audio/wav"))
        }
    }
}

/// A record's checksum: rotated and shifted, so that checksums of checksums differ.
fn masked(bytes: &[u8]) -> [u8; 4] {
    crc32c(bytes).rotate_right(15).wrapping_add(0xa282_ead8).to_le_bytes()
}

fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn records_are_framed_and_a_resumed_file_goes_on_from_its_checkpoint() {
        let folder = tempfile::tempdir().unwrap();
        let mut events = EventFile::open(folder.path(), Some(0)).unwrap();
        events.write(1, &[("loss", Value::Scalar(0.5))]).unwrap();
        let position = events.sync().unwrap();
        events.write(2, &[("loss", Value::Scalar(0.25))]).unwrap();
        let mut events = EventFile::open(folder.path(), Some(position)).unwrap();
        events.write(2, &[("loss", Value::Scalar(0.125))]).unwrap();
        assert_eq!(events.sync().unwrap(), fs::metadata(folder.path().join(NAME)).unwrap().len());

        let bytes = fs::read(folder.path().join(NAME)).unwrap();
        let mut records = Vec::new();
        let mut rest = &bytes[..];
        while let Some((length, after)) = rest.split_first_chunk::<8>() {
            let (length_sum, after) = after.split_at(4);
            let (data, after) = after.split_at(u64::from_le_bytes(*length) as usize);
            let (data_sum, after) = after.split_at(4);
            assert_eq!((length_sum, data_sum), (&masked(length)[..], &masked(data)[..]));
            records.push(data);
            rest = after;
        }
        assert_eq!(records.len(), 3);
        assert!(records[0].ends_with(b"brain.Event:2"));
        // step 2; a summary of 15 bytes; a value of 13: tag "loss", simple_value 0.125.
        let tail = [&[0x10, 2, 0x2a, 13, 0x0a, 11, 0x0a, 4][..], b"loss", &[0x15, 0, 0, 0, 0x3e]];
        assert!(records[2].ends_with(&tail.concat()), "{:x?}", records[2]);
    }
}
