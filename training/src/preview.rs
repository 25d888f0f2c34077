//! Previews: held-out clips rendered while the run goes, as sounds and pictures beside their targets.

use crate::config::TrainConfig;
use crate::corpus::Clip;
use crate::log::Rendering;
use candle_core::Device;
use std::fs;
use std::path::{Path, PathBuf};
use vocoder::audio::{WavFormat, write_wav};
use vocoder::engine::Precision;
use vocoder::mel::{Mel, MelConfig, MelExtractor};
use vocoder::picture::{self, Panel};
use vocoder::render::{Polish, Renderer, Settings};
use vocoder::sampler::Clip as Clipping;
use vocoder::voice::Voice;
use vocoder::{Error, Result};

/// Steps of the reverse chain that a preview renders with: few, and as many as the paper's middle list.
pub const STEPS: [usize; 2] = [6, 50];

/// Frames that are rendered at a time.
const CHUNK_FRAMES: usize = 400;

/// Range of a picture's colour scale, in dB: that of [`picture::draw`].
const RANGE_DB: f32 = 80.0;

/// How many times differences are magnified in pictures: 40 dB fill the colour scale.
const MAGNIFIED: f32 = 2.0;

/// The clips of a run's previews.
pub struct Previewer {
    clips: Vec<Target>,
    seed: u64,
}

struct Target {
    id: String,
    samples: Vec<f32>,
    mel: Mel,
}

/// The files of one clip in a preview's folder: `CLIP.target.wav`, `CLIP.6.wav`, `CLIP.50.wav` and
/// `CLIP.png`.
pub fn file(folder: &Path, clip: &str, what: &str) -> PathBuf {
    folder.join(format!("{clip}.{what}"))
}

/// The folder of the preview of `step` in the run `out`.
pub fn folder(out: &Path, step: u64) -> PathBuf {
    out.join("previews").join(format!("step-{step:09}"))
}

impl Previewer {
    /// Chooses from `clips`, evenly spaced, and takes the middle of each: clips begin and end in
    /// silence.
    ///
    /// # Errors
    /// A mel that can't be taken.
    pub fn new(config: &TrainConfig, clips: &[Clip]) -> Result<Self> {
        let (saving, mel) = (&config.saving, &config.mel);
        let count =
            if saving.preview_every == 0 { 0 } else { saving.preview_clips.min(clips.len()) };
        let longest = (saving.preview_seconds * f64::from(mel.sample_rate)) as usize;
        let longest = longest.next_multiple_of(mel.hop);
        let mut extractor = MelExtractor::new(mel)?;
        let mut targets = Vec::with_capacity(count);
        for i in 0..count {
            let clip = &clips[i * clips.len() / count];
            let length = clip.samples.len().min(longest);
            let from = (clip.samples.len() - length) / 2;
            let samples: Vec<f32> =
                clip.samples[from..from + length].iter().map(|v| f32::from(*v) / 32767.0).collect();
            let mel = extractor.extract(&samples)?;
            targets.push(Target { id: clip.id.clone(), samples, mel });
        }
        Ok(Previewer { clips: targets, seed: config.seed })
    }

    /// Renders every clip with `voice` into `folder`. A rendering that fails is told, and is no error:
    /// the run goes on.
    ///
    /// # Errors
    /// Files that can't be written.
    pub fn show(&self, voice: &Voice, device: &Device, folder: &Path) -> Result<Vec<Rendering>> {
        let mut renderings = Vec::new();
        if self.clips.is_empty() {
            return Ok(renderings);
        }
        fs::create_dir_all(folder).map_err(|e| Error::io(folder, e))?;
        let rate = voice.mel.sample_rate;
        let write = |target: &Target, what: &str, samples: &[f32]| {
            let path = file(folder, &target.id, &format!("{what}.wav"));
            write_wav(&path, samples, rate, WavFormat::Pcm16, self.seed)
        };
        let mut extractor = MelExtractor::new(&voice.mel)?;
        for target in &self.clips {
            write(target, "target", &target.samples)?;
            let mut rows = Vec::new();
            for &steps in &steps(voice) {
                let rendered = self.render(voice, device, steps, &target.mel);
                let mut rendering = Rendering {
                    clip: target.id.clone(),
                    steps,
                    mel_difference: None,
                    failure: None,
                };
                match rendered {
                    Ok(samples) => {
                        write(target, &steps.to_string(), &samples)?;
                        // The mel has a frame after the last sample; rendering fills it.
                        let mel = extractor.extract(&samples[..target.samples.len()])?;
                        rendering.mel_difference = Some(mean_difference(&mel, &target.mel));
                        rows.push((steps, mel));
                    }
                    Err(error) => rendering.failure = Some(error.to_string()),
                }
                renderings.push(rendering);
            }
            draw(&file(folder, &target.id, "png"), &target.mel, &rows)?;
        }
        Ok(renderings)
    }

    fn render(&self, voice: &Voice, device: &Device, steps: usize, mel: &Mel) -> Result<Vec<f32>> {
        let settings = Settings {
            schedule: voice.schedule(steps)?,
            sampler: voice.sampler,
            guidance: 1.0,
            clip: Clipping::Signal(1.0),
            start: voice.start,
            seed: self.seed,
            chunk_frames: CHUNK_FRAMES,
            polish: Polish::of_voice(voice),
            precision: Precision::F32,
        };
        Renderer::new(voice, device, settings)?.render(mel)
    }
}

/// What a preview of `voice` renders with: a distilled voice's own numbers of steps, or [`STEPS`].
fn steps(voice: &Voice) -> Vec<usize> {
    match voice.schedules.is_empty() {
        true => STEPS.to_vec(),
        false => voice.schedules.keys().copied().collect(),
    }
}

fn mean_difference(a: &Mel, b: &Mel) -> f64 {
    let sum: f64 = a.data.iter().zip(&b.data).map(|(a, b)| f64::from((a - b).abs())).sum();
    sum / a.data.len().min(b.data.len()).max(1) as f64
}

/// One row a number of steps: target, prediction, and their difference.
fn draw(path: &Path, target: &Mel, predictions: &[(usize, Mel)]) -> Result<()> {
    let titles: Vec<String> =
        predictions.iter().map(|(steps, _)| format!("{steps} steps")).collect();
    let differences: Vec<Mel> =
        predictions.iter().map(|(_, mel)| difference(target, mel)).collect();
    let rows: Vec<Vec<Panel>> = predictions
        .iter()
        .zip(titles.iter().zip(&differences))
        .map(|((_, mel), (title, difference))| {
            vec![
                Panel { title: "target", mel: target },
                Panel { title, mel },
                Panel { title: "difference (black: none; white: 40 dB and more)", mel: difference },
            ]
        })
        .collect();
    if rows.is_empty() { Ok(()) } else { picture::draw(path, &rows) }
}

/// The difference in level as a mel of its own: the bottom of the colour scale where both are equal,
/// the top where they are 40 dB apart.
fn difference(a: &Mel, b: &Mel) -> Mel {
    let level = |value: f32| level_db(&a.config, value);
    let top = a.data.iter().chain(&b.data).map(|v| level(*v)).fold(f32::MIN, f32::max);
    let shown = |(a, b): (&f32, &f32)| {
        let bottom = top - RANGE_DB;
        let apart = (level(*a).max(bottom) - level(*b).max(bottom)).abs();
        (bottom + MAGNIFIED * apart).min(top)
    };
    let data = a.data.iter().zip(&b.data).map(shown).map(|db| value_of_db(&a.config, db)).collect();
    Mel { config: a.config.clone(), frames: a.frames.min(b.frames), data }
}

/// The level of a mel value, in dB of magnitude.
fn level_db(config: &MelConfig, value: f32) -> f32 {
    20.0 / config.power.exponent() as f32 * config.expand(value).max(f32::MIN_POSITIVE).log10()
}

/// The inverse of [`level_db`], but for levels below the mel's floor.
fn value_of_db(config: &MelConfig, db: f32) -> f32 {
    config.compress(10f32.powf(db * config.power.exponent() as f32 / 20.0))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn differences_fill_the_colour_scale_at_40_db() {
        let config = MelConfig { n_mels: 1, ..MelConfig::default() };
        let mel = |levels: [f32; 3]| Mel {
            config: config.clone(),
            frames: 3,
            data: levels.iter().map(|db| value_of_db(&config, *db)).collect(),
        };
        let found = difference(&mel([0.0, -30.0, -50.0]), &mel([0.0, -40.0, -5.0]));
        let levels: Vec<f32> = found.data.iter().map(|v| level_db(&config, *v)).collect();
        // Equal: 80 dB below the top; 10 dB apart: 20 dB above that; 45 dB apart: the top.
        for (level, expected) in levels.iter().zip([-80.0, -60.0, 0.0]) {
            assert!((level - expected).abs() < 1e-2, "{level}, {expected}");
        }
    }
}
