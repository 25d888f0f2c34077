//! Several clips at once, for devices that one clip leaves idle.

use candle_core::{DType, Device, Tensor};

use super::{ClipState, Settings};
use crate::guidance::Guidance;
use crate::mel::Mel;
use crate::network::{Ends, Network};
use crate::noise::{self, Noise};
use crate::sampler::Sampler;
use crate::start::Start;
use crate::voice::Voice;
use crate::{Error, Result};

/// Renders whole clips, together, by the network's definition. The chain stays on the device from its
/// start to its end: only fresh noise, drawn by position as in every render, goes there, and only the
/// finished sound comes back. Memory grows with the batch times its longest clip.
///
/// Clips may differ in length; each is as if rendered alone.
pub struct BatchRenderer {
    voice: Voice,
    network: Network,
    settings: Settings,
    guidance: Option<Guidance>,
}

impl BatchRenderer {
    /// A renderer of `voice` on `device`. [`Settings::chunk_frames`] is that of the polish; the precision is
    /// f32.
    ///
    /// # Errors
    /// Guidance that the voice was not trained for; [`Start::Given`]; a device that fails.
    pub fn new(voice: &Voice, device: &Device, settings: Settings) -> Result<Self> {
        if settings.start == Start::Given {
            return Err(Error::mismatch(
                "batch",
                "a start from noise or Griffin-Lim",
                "a given one",
            ));
        }
        Ok(Self {
            network: voice.network(device)?,
            guidance: Guidance::new(voice, settings.guidance)?,
            voice: voice.clone(),
            settings,
        })
    }

    /// Renders `mels`, each to `frames * hop` samples, in their order.
    ///
    /// # Errors
    /// A mel of another config than the voice's, or of no frames; lengths that differ in a network that
    /// resamples linearly; a device that fails.
    pub fn render(&self, mels: &[Mel]) -> Result<Vec<Vec<f32>>> {
        let mut clips = Vec::with_capacity(mels.len());
        for mel in mels {
            self.voice.mel.expect(&mel.config)?;
            if mel.frames == 0 {
                return Err(Error::mismatch("batch", "mels of at least one frame", "an empty one"));
            }
            clips.push(ClipState::new(&self.voice, self.settings.clone())?);
        }
        if mels.is_empty() {
            return Ok(Vec::new());
        }
        let signals = self.chain(&clips, mels)?.to_device(&Device::Cpu)?.to_vec2::<f32>()?;
        let finish = |((clip, mel), mut signal): ((&mut ClipState, &Mel), Vec<f32>)| {
            signal.truncate(mel.frames * mel.config.hop);
            clip.finish(mel, 0..mel.frames, signal, true)
        };
        clips.iter_mut().zip(mels).zip(signals).map(finish).collect()
    }

    /// The clips' whitened signals, `[clips, samples of the longest]`.
    fn chain(&self, clips: &[ClipState], mels: &[Mel]) -> Result<Tensor> {
        let Settings { sampler, schedule, clip, seed, .. } = &self.settings;
        let (device, hop) = (self.network.device(), self.voice.mel.hop);
        let frames: Vec<usize> = mels.iter().map(|mel| mel.frames).collect();
        let longest = frames.iter().copied().max().unwrap_or(0);
        let ends = Ends::new(self.network.config(), &frames, device, DType::F32)?;
        let sampler = Sampler::new(*sampler, schedule, *clip);
        let (mut starts, mut deviations, mut bands) = (Vec::new(), Vec::new(), Vec::new());
        for (clip, mel) in clips.iter().zip(mels) {
            starts.push(clip.make_start(mel, 0, 0..mel.frames)?);
            let deviation = clip.deviation(mel, 0..mel.frames)?;
            deviations.push(if deviation.is_empty() {
                vec![1.0; mel.frames * hop]
            } else {
                deviation
            });
            bands.push(mel.data.clone());
        }
        let n_mels = self.voice.mel.n_mels;
        let bands = held(bands, n_mels, longest * n_mels);
        let mel = Tensor::from_vec(bands, (mels.len(), longest, n_mels), device)?;
        let shape = (mels.len(), longest * hop);
        let mut x = Tensor::from_vec(held(starts, 1, shape.1), shape, device)?;
        let deviation = Tensor::from_vec(held(deviations, 1, shape.1), shape, device)?;
        let silence = match self.guidance {
            Some(guidance) => {
                Some((Tensor::full(guidance.silence, mel.shape(), device)?, guidance))
            }
            None => None,
        };
        let mut before = None;
        for step in 0..sampler.steps() {
            let Some(level) = sampler.level(step) else { break };
            let levels = vec![level; mels.len()];
            let mut predicted = self.network.forward_clips(&x, &mel, &levels, &ends)?;
            if let Some((silence, guidance)) = &silence {
                let without = self.network.forward_clips(&x, silence, &levels, &ends)?;
                let lead = ((predicted - &without)? * f64::from(guidance.weight))?;
                predicted = (without + lead)?;
            }
            let fresh = match sampler.needs_noise(step) {
                true => {
                    // The same for all clips: noise is that of the position.
                    let mut fresh = vec![0f32; shape.1];
                    Noise::new(*seed).fill(noise::after_step(step), 0, &mut fresh);
                    Some(Tensor::from_vec(fresh, (1, shape.1), device)?.broadcast_as(shape)?)
                }
                false => None,
            };
            let fresh = fresh.as_ref();
            x = sampler.advance_tensors(step, &x, &predicted, fresh, &deviation, &mut before)?;
        }
        Ok(x)
    }
}

/// Rows side by side, each brought to `length` by holding its last `unit` values.
fn held(rows: Vec<Vec<f32>>, unit: usize, length: usize) -> Vec<f32> {
    let mut all = Vec::with_capacity(rows.len() * length);
    for row in rows {
        let last = row[row.len() - unit..].iter().copied();
        let missing = length - row.len();
        all.extend_from_slice(&row);
        all.extend(last.cycle().take(missing));
    }
    all
}
