//! What the stand-alone program adds: a file in place of the input, to try voices without a microphone.

use std::path::Path;
use std::sync::OnceLock;

static FILE: OnceLock<vocoder::audio::AudioFile> = OnceLock::new();

/// Plays `file`, over and over, in place of the effect's input.
///
/// # Errors
/// A file that can't be read.
pub fn play(file: &Path) -> vocoder::Result<()> {
    let audio = vocoder::audio::read(file)?;
    // The first one stays; there is only one to come.
    let _ = FILE.set(audio);
    Ok(())
}

/// Where the file stands in one effect.
#[derive(Default)]
pub struct Audition {
    samples: Vec<f32>,
    position: usize,
}

impl Audition {
    /// Brings the file to the host's rate. Not on the audio thread.
    pub fn prepare(&mut self, rate: f32) {
        let Some(file) = FILE.get() else { return };
        let rate = rate.round() as u32;
        self.samples = vocoder::audio::resample(&file.audio.samples, file.audio.sample_rate, rate)
            .unwrap_or_default();
        self.position = 0;
    }

    /// Overwrites the input, if there is a file.
    pub fn fill(&mut self, channels: &mut [&mut [f32]]) {
        if self.samples.is_empty() {
            return;
        }
        let length = channels.first().map_or(0, |channel| channel.len());
        for sample in 0..length {
            let value = self.samples[self.position];
            self.position = (self.position + 1) % self.samples.len();
            for channel in channels.iter_mut() {
                channel[sample] = value;
            }
        }
    }
}
