//! What a run tells while it goes, kept in `log.jsonl`: one JSON object a line.
//!
//! A checkpoint knows how long the log was; a resumed run cuts off what came after, so that each step
//! stands there once.

use crate::corpus::Report;
use serde::{Deserialize, Serialize};
use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use vocoder::{Error, Result};

/// What a run tells while it goes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Event {
    /// The data was read.
    Data(Report),
    /// A step was taken.
    Step {
        /// Steps so far.
        step: u64,
        /// The batch's loss.
        loss: f64,
        /// Global norm of the gradient, before clipping.
        gradient_norm: f64,
        /// Learning rate.
        rate: f64,
        /// Samples of audio a second of wall time, since the last step.
        samples_per_second: f64,
        /// Share of the time that was spent waiting for batches.
        idle: f64,
    },
    /// A step had no finite gradient and was left out.
    Skipped {
        /// Steps so far.
        step: u64,
    },
    /// The mean weights were judged on clips that are held out.
    Validation {
        /// Steps so far.
        step: u64,
        /// Mean distance of predicted and true noise.
        loss: f64,
        /// Noise levels, and the distance at each.
        by_level: Vec<(f64, f64)>,
        /// Whether it is the least so far: then it became `voice-best.safetensors`.
        #[serde(default)]
        best: bool,
    },
    /// Held-out clips were rendered.
    Preview {
        /// Steps so far.
        step: u64,
        /// What was rendered.
        renderings: Vec<Rendering>,
    },
    /// A checkpoint and the voice were written. Not in the log.
    Saved {
        /// Steps so far.
        step: u64,
    },
}

/// A rendered clip of a preview.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Rendering {
    /// The clip's id.
    pub clip: String,
    /// Steps of the reverse chain.
    pub steps: usize,
    /// Mean absolute difference of its mel from the target's, in the mel's own unit; none where the
    /// rendering failed.
    pub mel_difference: Option<f64>,
    /// Why it failed, if it did.
    pub failure: Option<String>,
}

/// The log of one run.
pub struct Log {
    path: PathBuf,
    file: File,
    position: u64,
}

impl Log {
    /// Opens the log at `path`, cuts it to `position` bytes where that is known, and returns it with the
    /// events that it holds.
    ///
    /// # Errors
    /// A file that can't be opened or read.
    pub fn open(path: &Path, position: Option<u64>) -> Result<(Self, Vec<Event>)> {
        let io = |e| Error::io(path, e);
        let mut options = OpenOptions::new();
        let mut file =
            options.create(true).read(true).write(true).truncate(false).open(path).map_err(io)?;
        let mut text = String::new();
        let position = position.unwrap_or(u64::MAX).min(file.metadata().map_err(io)?.len());
        file.set_len(position).map_err(io)?;
        file.read_to_string(&mut text).map_err(io)?;
        file.seek(SeekFrom::End(0)).map_err(io)?;
        // Lines of older versions may lack a field: they are left out of the curves, no more.
        let events = text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        Ok((Log { path: path.to_path_buf(), file, position }, events))
    }

    /// Appends a line.
    ///
    /// # Errors
    /// A file that can't be written.
    pub fn write(&mut self, event: &Event) -> Result<()> {
        let mut line =
            serde_json::to_vec(event).map_err(|e| Error::file(&self.path, e.to_string()))?;
        line.push(b'\n');
        self.position += line.len() as u64;
        self.file.write_all(&line).map_err(|e| Error::io(&self.path, e))
    }

    /// Brings the log to disk and says how long it is, in bytes.
    ///
    /// # Errors
    /// A full disk.
    pub fn sync(&mut self) -> Result<u64> {
        self.file.sync_data().map_err(|e| Error::io(&self.path, e))?;
        Ok(self.position)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_resumed_log_holds_each_step_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log.jsonl");
        let step = |step| Event::Skipped { step };
        let (mut log, events) = Log::open(&path, Some(0)).unwrap();
        assert!(events.is_empty());
        log.write(&step(1)).unwrap();
        log.write(&step(2)).unwrap();
        let position = log.sync().unwrap();
        log.write(&step(3)).unwrap();
        drop(log);
        let (mut log, events) = Log::open(&path, Some(position)).unwrap();
        assert_eq!(events, [step(1), step(2)]);
        log.write(&step(3)).unwrap();
        let whole = log.sync().unwrap();
        assert_eq!(std::fs::read(&path).unwrap().len() as u64, whole);
        assert_eq!(Log::open(&path, None).unwrap().1, [step(1), step(2), step(3)]);
    }

    #[test]
    fn every_kind_of_event_is_read_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log.jsonl");
        let failure = Some("why".to_string());
        let rendering = Rendering { clip: "a".into(), steps: 6, mel_difference: None, failure };
        let report = Report { rates: vec![(22_050, 3), (44_100, 1)], ..Report::default() };
        let events = [
            Event::Data(report),
            Event::Step {
                step: 1,
                loss: 0.5,
                gradient_norm: 1.0,
                rate: 1e-4,
                samples_per_second: 1e5,
                idle: 0.25,
            },
            Event::Skipped { step: 2 },
            Event::Validation { step: 2, loss: 0.5, by_level: vec![(0.2, 0.5)], best: true },
            Event::Preview { step: 2, renderings: vec![rendering] },
        ];
        let (mut log, _) = Log::open(&path, Some(0)).unwrap();
        events.iter().for_each(|event| log.write(event).unwrap());
        assert_eq!(Log::open(&path, None).unwrap().1, events);
    }
}
