//! For pictures: the mel that goes in and the mel of what comes out, frame by frame.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use rtrb::{Consumer, Producer, RingBuffer};
use vocoder::Result;
use vocoder::mel::{MelConfig, MelStream};

/// Frames that wait for a reader; without one the newer are dropped.
const MOST_FRAMES: usize = 512;

/// The same moment before and after: values of the voice's mel.
#[derive(Debug, Clone, PartialEq)]
pub struct MelFrame {
    /// Of the input.
    pub input: Vec<f32>,
    /// Of the output, the wet sound.
    pub output: Vec<f32>,
}

/// The reader's half. Clones read from the same queue.
#[derive(Debug, Clone)]
pub struct Remote {
    frames: Arc<Mutex<Consumer<MelFrame>>>,
    mel: MelConfig,
}

impl Remote {
    /// The frames since the last call, at most 512 (what comes after those is dropped until they are
    /// read). Not for the audio thread.
    pub fn take_mels(&self) -> Vec<MelFrame> {
        let mut frames = self.frames.lock().unwrap_or_else(PoisonError::into_inner);
        // As many as wait now: the worker adds more meanwhile.
        let waiting = frames.slots();
        std::iter::from_fn(|| frames.pop().ok()).take(waiting).collect()
    }

    /// What the frames' values mean.
    pub fn mel(&self) -> &MelConfig {
        &self.mel
    }
}

/// The worker's half.
pub(crate) struct Watch {
    frames: Producer<MelFrame>,
    stream: MelStream,
    bands: usize,
    /// Input frames whose output is yet to come.
    waiting: VecDeque<Vec<f32>>,
}

/// Both halves, for a voice of `mel`.
pub(crate) fn watch(mel: &MelConfig) -> Result<(Watch, Remote)> {
    let (producer, consumer) = RingBuffer::new(MOST_FRAMES);
    let stream = MelStream::new(mel)?;
    let remote = Remote { frames: Arc::new(Mutex::new(consumer)), mel: mel.clone() };
    Ok((Watch { frames: producer, stream, bands: mel.n_mels, waiting: VecDeque::new() }, remote))
}

impl Watch {
    /// Takes new frames of the input and new samples of the output.
    pub fn take(&mut self, input: &[f32], output: &[f32]) -> Result<()> {
        self.waiting.extend(input.chunks(self.bands).map(<[f32]>::to_vec));
        let frames = self.stream.push(output)?;
        for output in frames.chunks(self.bands) {
            let Some(input) = self.waiting.pop_front() else { break };
            // Without a reader the queue is full: then nobody misses it.
            let _ = self.frames.push(MelFrame { input, output: output.to_vec() });
        }
        Ok(())
    }

    pub fn reset(&mut self) {
        self.stream.reset();
        self.waiting.clear();
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_takes_what_waits_while_the_worker_goes_on() {
        let (mut writer, reader) = watch(&MelConfig::default()).unwrap();
        let frame = || MelFrame { input: vec![-4.0; 128], output: vec![-5.0; 128] };
        let worker = std::thread::spawn(move || {
            // Whenever a frame is read, the next is there.
            for _ in 0..100_000 {
                while writer.frames.push(frame()).is_err() && !writer.frames.is_abandoned() {}
            }
        });
        let mut seen = 0;
        while !worker.is_finished() {
            let frames = reader.take_mels().len();
            assert!(frames <= MOST_FRAMES, "{frames} frames at once");
            seen += frames;
        }
        worker.join().unwrap();
        assert_eq!(seen + reader.take_mels().len(), 100_000);
    }
}
