//! In windows, by the network's definition: for devices other than the CPU, and as the engine's twin.
//!
//! A chunk is rendered with as much context as the network's [`reach`] asks for, once a step: the
//! window shrinks by the reach from step to step, so that its middle never sees an edge that the
//! whole clip doesn't have.

use super::{ClipState, Settings};
use crate::guidance::Guidance;
use crate::mel::Mel;
use crate::network::{Network, Reach, reach};
use crate::noise::{self, Noise};
use crate::sampler::Sampler;
use crate::voice::Voice;
use crate::{Error, Result};
use candle_core::{Device, Tensor};

pub(super) struct Windows {
    network: Network,
    reach: Reach,
    guidance: Option<Guidance>,
}

impl Windows {
    pub fn new(voice: &Voice, device: &Device, settings: &Settings) -> Result<Self> {
        Ok(Self {
            network: voice.network(device)?,
            reach: reach(&voice.model),
            guidance: Guidance::new(voice, settings.guidance)?,
        })
    }

    /// Renders what the received frames allow. `ended` says that no frame will follow.
    pub fn advance(&self, clip: &mut ClipState, ended: bool) -> Result<Vec<f32>> {
        let chunk = clip.settings.chunk_frames;
        let ahead = clip.evaluations() * self.reach.frames_ahead + clip.margin();
        let mut samples = Vec::new();
        while clip.received() >= clip.done + chunk + ahead {
            samples.extend(self.chunk(clip, chunk, false)?);
        }
        while ended && clip.done < clip.received() {
            let frames = chunk.min(clip.received() - clip.done);
            samples.extend(self.chunk(clip, frames, true)?);
        }
        Ok(samples)
    }

    /// Renders the next `frames` frames.
    fn chunk(&self, clip: &mut ClipState, frames: usize, ended: bool) -> Result<Vec<f32>> {
        let settings = clip.settings.clone();
        let steps = clip.evaluations();
        let (from, to) = (clip.done, clip.done + frames);
        let total = if ended { clip.received() } else { usize::MAX };
        // The window of the output of each step, before it is cut to the clip.
        let window = |rounds: usize| {
            let from = from.saturating_sub(rounds * self.reach.frames_past);
            let to = (to + rounds * self.reach.frames_ahead).min(total);
            (from, to)
        };

        let (hop, bands) = (clip.mel.hop, clip.mel.n_mels);
        let (mut start, mut end) = window(steps);
        let context = clip.take_kept();
        let kept_from = clip.kept_from;
        let local = |frame: usize| frame - kept_from;

        let noise = Noise::new(settings.seed);
        let mut signal = clip.make_start(&context, kept_from, local(start)..local(end))?;
        let mut sampler = Sampler::new(settings.sampler, &settings.schedule, settings.clip);
        sampler.set_deviation(&clip.deviation(&context, local(start)..local(end))?);
        let mut fresh = Vec::new();
        let levels: Vec<f64> = (0..steps).filter_map(|step| sampler.level(step)).collect();
        for (step, level) in levels.into_iter().enumerate() {
            let mel = &context.data[local(start) * bands..local(end) * bands];
            let mut predicted = self.predict(&context, &signal, mel, level)?;
            if let Some(guidance) = self.guidance {
                let silence = vec![guidance.silence; mel.len()];
                let without = self.predict(&context, &signal, &silence, level)?;
                guidance.lead(&mut predicted, &without);
            }
            let (next_start, next_end) = window(steps - 1 - step);
            let (left, right) = ((next_start - start) * hop, (end - next_end) * hop);
            let inner = left..predicted.len() - right;
            signal.truncate(inner.end);
            signal.drain(..left);
            sampler.crop(left, right)?;
            (start, end) = (next_start, next_end);
            if sampler.needs_noise(step) {
                fresh.resize(signal.len(), 0.0);
                noise.fill(noise::after_step(step), (start * hop) as u64, &mut fresh);
                fresh.iter_mut().for_each(|v| *v *= clip.temperature);
            } else {
                fresh.clear();
            }
            sampler.advance(step, &mut signal, &predicted[inner], &fresh)?;
            if let Some(observer) = &mut clip.observer
                && !observer(frames)
            {
                return Err(Error::Stopped);
            }
        }
        let last = ended && to == total;
        let sound = clip.finish(&context, from..to, signal, last)?;
        let past = steps * self.reach.frames_past + clip.margin();
        clip.put_back(context, to.saturating_sub(past));
        Ok(sound)
    }

    /// One run of the network over a window.
    fn predict(&self, context: &Mel, signal: &[f32], mel: &[f32], level: f64) -> Result<Vec<f32>> {
        let device = self.network.device();
        let bands = context.config.n_mels;
        let signal = Tensor::from_slice(signal, (1, signal.len()), device)?;
        let mel = Tensor::from_slice(mel, (1, mel.len() / bands, bands), device)?;
        let predicted = self.network.forward(&signal, &mel, &[level])?;
        Ok(predicted.flatten_all()?.to_device(&Device::Cpu)?.to_vec1::<f32>()?)
    }
}
