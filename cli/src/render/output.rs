//! The wav file of one input.

use anyhow::Result;
use serde_json::{Map, Value};
use vocoder::audio::{WavFormat, WavWriter};
use vocoder::mel::MelConfig;

use super::How;
use crate::batch::Done;
use crate::inputs::Job;
use crate::interrupt;
use crate::memory;
use crate::progress::Progress;
use crate::source::Source;

/// A file that is being written, and what is said of its input.
pub(super) struct Output {
    wav: WavWriter,
    input: String,
    rate: u32,
    frames: usize,
    /// Samples that are still to come.
    left: u64,
}

impl Output {
    /// Begins the output of `job`, whose input is `source`, and says what is to be known of that. Before the work: an output that cannot be written
    /// is told at once.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn create(
        job: &Job,
        source: &Source,
        mel: &MelConfig,
        how: &How,
        progress: &Progress,
    ) -> Result<Self> {
        let input = job.input.display().to_string();
        for notice in source.notices() {
            progress.note(format!("{input}: {notice}"));
        }
        let format = how.format.unwrap_or(WavFormat::Pcm16);
        let frames = source.frames(mel);
        Ok(Self {
            wav: WavWriter::create(&job.output, mel.sample_rate, format, how.seed)?,
            input,
            rate: mel.sample_rate,
            frames,
            // Frames reach a little beyond the end of the audio that they were taken from.
            left: source.samples().unwrap_or((frames * mel.hop) as u64),
        })
    }

    /// Writes the next samples, but for those beyond the end.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn push(&mut self, samples: &[f32]) -> Result<()> {
        let taken = samples.len().min(self.left as usize);
        self.left -= taken as u64;
        Ok(self.wav.push(&samples[..taken])?)
    }

    /// The name of the input.
    pub fn input(&self) -> &str {
        &self.input
    }

    /// Completes the file; `figures` are those of the whole run.
    ///
    /// # Errors
    /// A file that cannot be written; an interrupt, which leaves none.
    pub fn finish(self, progress: &Progress, figures: &Map<String, Value>) -> Result<Done> {
        interrupt::check()?;
        let Self { wav, input, rate, frames, .. } = self;
        let summary = wav.finish()?;
        if summary.clipped > 0 {
            progress.note(format!("{input}: {} samples clipped", summary.clipped));
        }
        let mut figures = figures.clone();
        figures.insert("frames".into(), frames.into());
        figures.insert("clipped_samples".into(), summary.clipped.into());
        figures.insert("peak_memory_bytes".into(), memory::peak().into());
        Ok(Done { seconds: summary.samples as f64 / f64::from(rate), figures })
    }
}
