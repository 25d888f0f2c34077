//! The reverse chain laid open: what a rendering looks and sounds like at every step.
//!
//! A plain twin of [`render`](crate::render), over a whole clip at once and with everything kept, to
//! look at, to listen to and to test against; not the way to render.

use candle_core::{Device, Tensor};

use crate::guidance::Guidance;
use crate::mel::Mel;
use crate::noise::{self, Noise};
use crate::prior::{Memory, Prior};
use crate::render::Settings;
use crate::sampler::{Clip, Sampler};
use crate::schedule::sigma;
use crate::voice::Voice;
use crate::{Error, Result};

/// One evaluation of the network on the way down.
#[derive(Clone, Debug)]
pub struct Stage {
    /// The noise level at which the network was asked.
    pub level: f64,
    /// The sound at that level: `frames * hop` samples, coloured by the prior.
    pub before: Vec<f32>,
    /// The network's guess of the clean sound, unclipped.
    pub guess: Vec<f32>,
    /// How much the update that followed changed the whitened signal: mean square of the difference
    /// over that of the signal before.
    pub changed: f64,
}

/// A chain laid open.
#[derive(Clone, Debug)]
pub struct Trace {
    /// The evaluations, the noisiest first.
    pub stages: Vec<Stage>,
    /// The sound at the end.
    pub sound: Vec<f32>,
}

/// Renders `mel` by `voice` and keeps what there is to see. Equal to the
/// [renderer](crate::render::Renderer)'s sound but for rounding; `settings.chunk_frames` is of no
/// account.
///
/// # Errors
/// A mel of another config than the voice's, or without frames; guidance that the voice was not trained
/// for; a device that fails.
pub fn trace(voice: &Voice, device: &Device, settings: &Settings, mel: &Mel) -> Result<Trace> {
    voice.mel.expect(&mel.config)?;
    if mel.frames == 0 {
        return Err(Error::mismatch("mel", "at least one frame", "none"));
    }
    let network = voice.network(device)?;
    let prior = Prior::new(voice.model.prior, &voice.mel)?;
    let (hop, whole) = (voice.mel.hop, 0..mel.frames);
    let coloured = |whitened: &[f32]| -> Result<Vec<f32>> {
        let mut sound = whitened.to_vec();
        prior.colour(mel, 0..mel.frames, &mut Memory::default(), &mut sound)?;
        Ok(sound)
    };

    let noise = Noise::new(settings.seed);
    let mut x = vec![0f32; mel.frames * hop];
    noise.fill(noise::START, 0, &mut x);
    let first = (settings.schedule.levels()[0], settings.seed);
    settings.start.apply(&prior, mel, 0, whole.clone(), first, &mut x)?;
    let mut sampler = Sampler::new(settings.sampler, &settings.schedule, settings.clip);
    sampler.set_deviation(&match settings.clip {
        Clip::Signal(limit) if !prior.is_pointwise() => {
            vec![limit / crate::render::WHITE_PEAK; x.len()]
        }
        _ => prior.deviation(mel, whole)?,
    });

    let bands = Tensor::from_slice(&mel.data, (1, mel.frames, voice.mel.n_mels), device)?;
    let guidance = Guidance::new(voice, settings.guidance)?;
    let predict = |signal: &Tensor, bands: &Tensor, level: f64| -> Result<Vec<f32>> {
        let eps = network.forward(signal, bands, &[level])?;
        Ok(eps.flatten_all()?.to_device(&Device::Cpu)?.to_vec1::<f32>()?)
    };
    let mut stages = Vec::with_capacity(sampler.steps());
    for step in 0..sampler.steps() {
        let level = sampler.level(step).unwrap_or(1.0);
        let signal = Tensor::from_slice(&x, (1, x.len()), device)?;
        let mut eps = predict(&signal, &bands, level)?;
        if let Some(guidance) = guidance {
            let silence = bands.zeros_like()?.affine(1.0, f64::from(guidance.silence))?;
            guidance.lead(&mut eps, &predict(&signal, &silence, level)?);
        }
        let (alpha, sigma) = (level as f32, sigma(level) as f32);
        let guess: Vec<f32> = x.iter().zip(&eps).map(|(x, e)| (x - sigma * e) / alpha).collect();
        let mut fresh = vec![0f32; if sampler.needs_noise(step) { x.len() } else { 0 }];
        noise.fill(noise::after_step(step), 0, &mut fresh);
        let before = x.clone();
        sampler.advance(step, &mut x, &eps, &fresh)?;
        let square = |x: f32| f64::from(x).powi(2);
        let moved: f64 = x.iter().zip(&before).map(|(a, b)| square(a - b)).sum();
        let energy: f64 = before.iter().map(|&x| square(x)).sum();
        stages.push(Stage {
            level,
            before: coloured(&before)?,
            guess: coloured(&guess)?,
            changed: moved / energy.max(f64::MIN_POSITIVE),
        });
    }
    Ok(Trace { stages, sound: coloured(&x)? })
}

/// The forward process: what `recording`, of which `mel` is the mel, becomes at each of `levels`
/// when noise is mixed into it as in training; `mel.frames * hop` samples each.
///
/// # Errors
/// A mel of another config than the voice's.
pub fn forward(
    voice: &Voice,
    recording: &[f32],
    mel: &Mel,
    levels: &[f64],
    seed: u64,
) -> Result<Vec<Vec<f32>>> {
    voice.mel.expect(&mel.config)?;
    let prior = Prior::new(voice.model.prior, &voice.mel)?;
    let mut clean = recording.to_vec();
    clean.resize(mel.frames * voice.mel.hop, 0.0);
    prior.whiten(mel, 0..mel.frames, &mut Memory::default(), &mut clean)?;
    let mut eps = vec![0f32; clean.len()];
    Noise::new(seed).fill(noise::START, 0, &mut eps);
    let at = |level: &f64| {
        let (alpha, sigma) = (*level as f32, sigma(*level) as f32);
        let mut x: Vec<f32> = clean.iter().zip(&eps).map(|(x, e)| alpha * x + sigma * e).collect();
        prior.colour(mel, 0..mel.frames, &mut Memory::default(), &mut x)?;
        Ok(x)
    };
    levels.iter().map(at).collect()
}
