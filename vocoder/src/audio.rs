//! Audio files in and out, and resampling.
//!
//! [`read_at`] is what most callers want: any file, mixed down to one channel, at the rate that
//! they work at. [`AudioReader`] and [`Resampler`] are its streaming halves for long files.

mod read;
mod resample;
mod wav_header;
mod write;

pub use read::{AudioFile, AudioInfo, AudioReader, probe, read, read_at};
pub use resample::{Resampler, resample};
pub use write::{WavFormat, WavSummary, WavWriter, write_wav};

/// How the names of audio files end, in lower case and without the dot.
pub const EXTENSIONS: &[&str] = &["wav", "wave", "flac", "ogg", "oga", "mp3", "aif", "aiff"];

/// One channel of sound.
#[derive(Clone, Debug, PartialEq)]
pub struct Audio {
    /// Samples; full scale is [-1, 1].
    pub samples: Vec<f32>,
    /// Samples per second.
    pub sample_rate: u32,
}

impl Audio {
    /// Its length in seconds.
    pub fn seconds(&self) -> f64 {
        self.samples.len() as f64 / f64::from(self.sample_rate)
    }
}
