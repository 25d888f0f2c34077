//! Mel to sound: the reverse chain, over a whole clip or in exact chunks.
//!
//! A chunk is rendered with as much context as the network's [`reach`] asks for, once a step: the
//! window shrinks by the reach from step to step, so that its middle never sees an edge that the
//! whole clip doesn't have. Noise is indexed by position. Chunks therefore equal the whole bit for
//! bit on the CPU, and memory depends on the chunk, not on the clip.

use crate::mel::{Mel, MelConfig};
use crate::network::{Network, Reach, reach};
use crate::noise::{self, Noise};
use crate::prior::{Memory, Prior};
use crate::sampler::{Clip, Sampler, SamplerKind};
use crate::schedule::Schedule;
use crate::start::Start;
use crate::voice::Voice;
use crate::{Error, Result};
use candle_core::{Device, Tensor};

/// The limit of a signal that a spectral prior whitened: far beyond the pulses of a voice (about 10),
/// near enough to stop a chain that runs away.
pub(crate) const WHITE_PEAK: f32 = 30.0;

/// How to render.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The noise levels.
    pub schedule: Schedule,
    /// The rule from one level to the next.
    pub sampler: SamplerKind,
    /// What is done to predictions of the clean signal beyond a limit. With a spectral prior the limit
    /// is one of the whitened signal: 30 times its deviation, whatever the clip's own.
    pub clip: Clip,
    /// Where the chain starts.
    pub start: Start,
    /// Selects the noise.
    pub seed: u64,
    /// Frames of output that are rendered at a time.
    pub chunk_frames: usize,
}

/// Renders a mel that is pushed in pieces of any size.
pub struct Renderer {
    network: Network,
    mel: MelConfig,
    prior: Prior,
    settings: Settings,
    reach: Reach,
    /// Frames still needed, from frame `kept_from` on.
    kept: Vec<f32>,
    kept_from: usize,
    /// Frames that were rendered and returned.
    done: usize,
    /// The prior's filter at the end of what was rendered.
    memory: Memory,
    observer: Option<Box<dyn FnMut(usize) -> bool + Send>>,
}

impl Renderer {
    /// A renderer of `voice` on `device`.
    ///
    /// # Errors
    /// A chunk of no frames; a device that fails.
    pub fn new(voice: &Voice, device: &Device, settings: Settings) -> Result<Self> {
        if settings.chunk_frames == 0 {
            return Err(Error::mismatch("chunk", "at least one frame", 0));
        }
        Ok(Renderer {
            network: voice.network(device)?,
            mel: voice.mel.clone(),
            prior: Prior::new(voice.model.prior, &voice.mel)?,
            reach: reach(&voice.model),
            settings,
            kept: Vec::new(),
            kept_from: 0,
            done: 0,
            memory: Memory::default(),
            observer: None,
        })
    }

    /// Calls `observer` with the number of frames each time that they went through one step. If it
    /// says false, rendering ends with [`Error::Stopped`].
    pub fn observe(&mut self, observer: impl FnMut(usize) -> bool + Send + 'static) {
        self.observer = Some(Box::new(observer));
    }

    /// Renders a whole mel: `frames * hop` samples.
    ///
    /// # Errors
    /// A mel of another config than the voice's; a device that fails.
    pub fn render(&mut self, mel: &Mel) -> Result<Vec<f32>> {
        self.reset();
        let mut samples = self.push(mel)?;
        samples.extend(self.finish()?);
        Ok(samples)
    }

    /// Takes more frames, and returns the samples of those that can be rendered by now.
    ///
    /// # Errors
    /// A mel of another config than the voice's; a device that fails.
    pub fn push(&mut self, mel: &Mel) -> Result<Vec<f32>> {
        self.mel.expect(&mel.config)?;
        self.kept.extend_from_slice(&mel.data);
        let mut samples = Vec::new();
        while self.received() >= self.done + self.settings.chunk_frames + self.frames_ahead() {
            samples.extend(self.chunk(self.settings.chunk_frames, false)?);
        }
        Ok(samples)
    }

    /// The rest of the samples, after the last frame. The renderer is then as new.
    ///
    /// # Errors
    /// A device that fails.
    pub fn finish(&mut self) -> Result<Vec<f32>> {
        let mut samples = Vec::new();
        while self.done < self.received() {
            let frames = self.settings.chunk_frames.min(self.received() - self.done);
            samples.extend(self.chunk(frames, true)?);
        }
        self.reset();
        Ok(samples)
    }

    /// Forgets what was pushed: the next frame is the first of a clip. After an error this is a must.
    pub fn reset(&mut self) {
        self.kept.clear();
        (self.kept_from, self.done) = (0, 0);
        self.memory = Memory::default();
    }

    fn received(&self) -> usize {
        self.kept_from + self.kept.len() / self.mel.n_mels
    }

    /// Frames that a chunk needs before it: the network's reach for each step, and the margin.
    fn frames_past(&self) -> usize {
        self.evaluations() * self.reach.frames_past + self.margin()
    }

    /// Frames beside the first step's window that prior and start look at.
    fn margin(&self) -> usize {
        Prior::NEIGHBOURS + self.settings.start.reach(&self.mel)
    }

    fn frames_ahead(&self) -> usize {
        self.evaluations() * self.reach.frames_ahead + self.margin()
    }

    fn evaluations(&self) -> usize {
        self.settings.sampler.evaluations(self.settings.schedule.steps())
    }

    /// Renders the next `frames` frames. `ended` says that no frame will follow those received.
    fn chunk(&mut self, frames: usize, ended: bool) -> Result<Vec<f32>> {
        let steps = self.evaluations();
        let (from, to) = (self.done, self.done + frames);
        let total = if ended { self.received() } else { usize::MAX };
        // The window of the output of each step, before it is cut to the clip.
        let window = |rounds: usize| {
            let from = from.saturating_sub(rounds * self.reach.frames_past);
            let to = (to + rounds * self.reach.frames_ahead).min(total);
            (from, to)
        };

        let hop = self.mel.hop;
        let (mut start, mut end) = window(steps);
        let bands = self.mel.n_mels;
        let context = Mel {
            config: self.mel.clone(),
            frames: self.kept.len() / bands,
            data: std::mem::take(&mut self.kept),
        };
        let local = |frame: usize| frame - self.kept_from;

        let noise = Noise::new(self.settings.seed);
        let mut signal = vec![0f32; (end - start) * hop];
        noise.fill(noise::START, (start * hop) as u64, &mut signal);
        self.settings.start.apply(
            &self.prior,
            &context,
            self.kept_from,
            local(start)..local(end),
            (self.settings.schedule.levels()[0], self.settings.seed),
            &mut signal,
        )?;
        let mut sampler =
            Sampler::new(self.settings.sampler, &self.settings.schedule, self.settings.clip);
        sampler.set_deviation(&match self.settings.clip {
            // The filter of a spectral prior does not map sample to sample; what it filters is white.
            Clip::Signal(limit) if !self.prior.is_pointwise() => {
                vec![limit / WHITE_PEAK; signal.len()]
            }
            _ => self.prior.deviation(&context, local(start)..local(end))?,
        });
        let mut fresh = Vec::new();
        let levels: Vec<f64> = (0..steps).filter_map(|step| sampler.level(step)).collect();
        for (step, level) in levels.into_iter().enumerate() {
            let mel = &context.data[local(start) * bands..local(end) * bands];
            let predicted = self.predict(&signal, mel, level)?;
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
            } else {
                fresh.clear();
            }
            sampler.advance(step, &mut signal, &predicted[inner], &fresh)?;
            if let Some(observer) = &mut self.observer
                && !observer(frames)
            {
                return Err(Error::Stopped);
            }
        }
        self.prior.colour(&context, local(from)..local(to), &mut self.memory, &mut signal)?;
        if let Some(position) = signal.iter().position(|v| !v.is_finite()) {
            return Err(Error::mismatch(
                format!("rendered sample {}", from * hop + position),
                "a finite value",
                signal[position],
            ));
        }

        self.done = to;
        let keep_from = to.saturating_sub(self.frames_past()).max(self.kept_from);
        self.kept = context.data;
        self.kept.drain(..(keep_from - self.kept_from) * bands);
        self.kept_from = keep_from;
        Ok(signal)
    }

    /// One run of the network over a window.
    fn predict(&self, signal: &[f32], mel: &[f32], level: f64) -> Result<Vec<f32>> {
        let device = self.network.device();
        let frames = mel.len() / self.mel.n_mels;
        let signal = Tensor::from_slice(signal, (1, signal.len()), device)?;
        let mel = Tensor::from_slice(mel, (1, frames, self.mel.n_mels), device)?;
        let predicted = self.network.forward(&signal, &mel, &[level])?;
        Ok(predicted.flatten_all()?.to_device(&Device::Cpu)?.to_vec1::<f32>()?)
    }
}
