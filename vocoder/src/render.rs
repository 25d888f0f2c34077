//! Mel to sound: the reverse chain, over a clip that is pushed in pieces of any size.
//!
//! On the CPU the [`engine`](crate::engine) runs all steps side by side, so that nothing is computed
//! twice and memory depends on the pieces, not on the clip (`render/flow.rs`). Other devices, and networks
//! that the engine does not know, render in chunks
//! with as much context as the network's reach asks for (`render/windows.rs`). Noise is indexed by position:
//! pieces equal the whole.

mod batch;
mod flow;
mod latency;
mod polish;
mod windows;

pub use batch::BatchRenderer;
pub use latency::{Latency, latency};
pub use polish::Polish;

use crate::engine::{Engine, Precision};
use crate::mel::{Mel, MelConfig};
use crate::noise::{self, Noise};
use crate::prior::{Memory, Prior};
use crate::sampler::{Clip, SamplerKind};
use crate::schedule::Schedule;
use crate::start::{self, Start};
use crate::voice::Voice;
use crate::{Error, Result};
use candle_core::Device;
use flow::Flow;
use polish::Polisher;
use std::ops::Range;
use windows::Windows;

/// The limit of a signal that a spectral prior whitened: far beyond the pulses of a voice (about 10),
/// near enough to stop a chain that runs away.
pub const WHITE_PEAK: f32 = 30.0;

/// How to render.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The noise levels.
    pub schedule: Schedule,
    /// The rule from one level to the next.
    pub sampler: SamplerKind,
    /// How far predictions lean on the mel: see [`guidance`](crate::guidance). 1 is off; else the network
    /// runs twice an evaluation, and the voice must have been trained for it.
    pub guidance: f32,
    /// What is done to predictions of the clean signal beyond a limit. With a spectral prior the limit
    /// is one of the whitened signal: 30 times its deviation, whatever the clip's own.
    pub clip: Clip,
    /// Where the chain starts.
    pub start: Start,
    /// Selects the noise.
    pub seed: u64,
    /// Frames of output that are rendered at a time; a symmetric network in fewer bits than f32 renders 0.2 s
    /// at least.
    pub chunk_frames: usize,
    /// Griffin-Lim after the chain, from its phases, that gives the sound the mel's magnitudes.
    pub polish: Polish,
    /// Of products on the CPU. Other devices compute in f32.
    pub precision: Precision,
}

/// Renders a mel that is pushed in pieces of any size.
pub struct Renderer {
    clip: ClipState,
    path: Path,
}

/// How the network is run.
enum Path {
    Flow(Box<Flow>),
    Windows(Box<Windows>),
}

/// Called with the number of frames that went through one step; false stops.
type Observer = Box<dyn FnMut(usize) -> bool + Send>;

/// What both ways know of the clip.
struct ClipState {
    mel: MelConfig,
    prior: Prior,
    settings: Settings,
    /// Scales the noise that the chain draws.
    temperature: f32,
    /// The guide of [`Start::Given`], from frame `given_from` on.
    given: Vec<f32>,
    given_from: usize,
    /// Frames still needed, from frame `kept_from` on.
    kept: Vec<f32>,
    kept_from: usize,
    /// Frames that were rendered and returned.
    done: usize,
    /// The prior's filter at the end of what was rendered.
    memory: Memory,
    polish: Polisher,
    observer: Option<Observer>,
}

impl Renderer {
    /// A renderer of `voice` on `device`.
    ///
    /// # Errors
    /// A chunk of no frames; guidance that the voice was not trained for; a device that fails.
    pub fn new(voice: &Voice, device: &Device, settings: Settings) -> Result<Self> {
        if settings.chunk_frames == 0 {
            return Err(Error::mismatch("chunk", "at least one frame", 0));
        }
        let path = if device.is_cpu() && Engine::knows(&voice.model) {
            Path::Flow(Box::new(Flow::new(voice, &settings)?))
        } else {
            Path::Windows(Box::new(Windows::new(voice, device, &settings)?))
        };
        Ok(Self { clip: ClipState::new(voice, settings)?, path })
    }

    /// As [`Renderer::new`], by the network's definition in tensors on any device, the CPU included:
    /// what the engine is compared with.
    ///
    /// # Errors
    /// As [`Renderer::new`].
    pub fn by_definition(voice: &Voice, device: &Device, settings: Settings) -> Result<Self> {
        let path = Path::Windows(Box::new(Windows::new(voice, device, &settings)?));
        Ok(Self { clip: ClipState::new(voice, settings)?, path })
    }

    /// Calls `observer` with the number of frames each time that they went through one step. If it
    /// says false, rendering ends with [`Error::Stopped`].
    pub fn observe(&mut self, observer: impl FnMut(usize) -> bool + Send + 'static) {
        self.clip.observer = Some(Box::new(observer));
    }

    /// Scales all noise that is drawn from now on: 1 is the chain as published, less is a calmer sound.
    /// A [`Renderer::reset`] leaves it.
    pub fn set_temperature(&mut self, temperature: f32) {
        self.clip.temperature = temperature;
        if let Path::Flow(flow) = &mut self.path {
            flow.set_temperature(temperature);
        }
    }

    /// For [`Start::Given`]: the next samples of the guide, whitened (see [`Prior::whiten`]). Those of a
    /// frame are due before the frame after it is pushed; what is missing then is taken for silence.
    pub fn push_given(&mut self, whitened: &[f32]) {
        self.clip.given.extend_from_slice(whitened);
    }

    /// In which precision products are computed.
    pub fn precision(&self) -> Precision {
        match &self.path {
            Path::Flow(flow) => flow.precision(),
            Path::Windows(_) => Precision::F32,
        }
    }

    /// Bytes of the weights and rows that the engine keeps; 0 without it.
    pub fn bytes(&mut self) -> usize {
        match &mut self.path {
            Path::Flow(flow) => flow.bytes(),
            Path::Windows(_) => 0,
        }
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
        self.clip.mel.expect(&mel.config)?;
        self.clip.kept.extend_from_slice(&mel.data);
        match &mut self.path {
            Path::Flow(flow) => flow.advance(&mut self.clip, false),
            Path::Windows(windows) => windows.advance(&mut self.clip, false),
        }
    }

    /// The rest of the samples, after the last frame. The renderer is then as new.
    ///
    /// # Errors
    /// A device that fails.
    pub fn finish(&mut self) -> Result<Vec<f32>> {
        let samples = match &mut self.path {
            Path::Flow(flow) => flow.advance(&mut self.clip, true),
            Path::Windows(windows) => windows.advance(&mut self.clip, true),
        }?;
        self.reset();
        Ok(samples)
    }

    /// Forgets what was pushed: the next frame is the first of a clip. After an error this is a must.
    pub fn reset(&mut self) {
        self.clip.reset();
        if let Path::Flow(flow) = &mut self.path {
            flow.reset();
        }
    }
}

impl ClipState {
    fn new(voice: &Voice, settings: Settings) -> Result<Self> {
        Ok(Self {
            polish: Polisher::new(
                &voice.mel,
                settings.polish,
                latency::lag(&voice.model, &voice.mel, &settings.start),
            ),
            mel: voice.mel.clone(),
            prior: Prior::new(voice.model.prior, &voice.mel)?,
            settings,
            temperature: 1.0,
            given: Vec::new(),
            given_from: 0,
            kept: Vec::new(),
            kept_from: 0,
            done: 0,
            memory: Memory::default(),
            observer: None,
        })
    }

    fn reset(&mut self) {
        self.kept.clear();
        self.given.clear();
        (self.kept_from, self.given_from, self.done) = (0, 0, 0);
        self.memory = Memory::default();
        self.polish.reset();
    }

    /// Evaluations of the network on the way down.
    fn evaluations(&self) -> usize {
        self.settings.sampler.evaluations(self.settings.schedule.steps())
    }

    fn received(&self) -> usize {
        self.kept_from + self.kept.len() / self.mel.n_mels
    }

    /// Frames beside the first step's window that prior and start look at.
    fn margin(&self) -> usize {
        Prior::NEIGHBOURS + self.settings.start.reach(&self.mel)
    }

    /// The chain's start for frames `local` of `context`, whose frame 0 is the clip's frame `first`.
    fn make_start(&self, context: &Mel, first: usize, local: Range<usize>) -> Result<Vec<f32>> {
        let hop = self.mel.hop;
        let mut signal = vec![0f32; local.len() * hop];
        let (from, seed) = (first + local.start, self.settings.seed);
        Noise::new(seed).fill(noise::START, (from * hop) as u64, &mut signal);
        if self.temperature != 1.0 {
            signal.iter_mut().for_each(|v| *v *= self.temperature);
        }
        let level = self.settings.schedule.levels()[0];
        if self.settings.start == Start::Given {
            let at = (from - self.given_from) * hop;
            let mut guide = self.given.get(at..).unwrap_or_default().to_vec();
            guide.resize(signal.len(), 0.0);
            start::mix(&guide, level, &mut signal);
        } else {
            let place = (level, seed);
            self.settings.start.apply(&self.prior, context, first, local, place, &mut signal)?;
        }
        Ok(signal)
    }

    /// The frames that are kept, lent as a mel; [`ClipState::put_back`] takes them back.
    fn take_kept(&mut self) -> Mel {
        Mel {
            config: self.mel.clone(),
            frames: self.kept.len() / self.mel.n_mels,
            data: std::mem::take(&mut self.kept),
        }
    }

    /// Takes the frames back, but for those before `keep_from`.
    fn put_back(&mut self, mel: Mel, keep_from: usize) {
        let keep_from = keep_from.clamp(self.kept_from, self.kept_from + mel.frames);
        self.kept = mel.data;
        self.kept.drain(..(keep_from - self.kept_from) * self.mel.n_mels);
        self.kept_from = keep_from;
        let stale = ((keep_from - self.given_from) * self.mel.hop).min(self.given.len());
        self.given.drain(..stale);
        self.given_from += stale / self.mel.hop;
    }

    /// The sampler's limit for the samples of frames, as a deviation.
    fn deviation(&self, mel: &Mel, frames: Range<usize>) -> Result<Vec<f32>> {
        match self.settings.clip {
            // The filter of a spectral prior does not map sample to sample; what it filters is white.
            Clip::Signal(limit) if !self.prior.is_pointwise() => {
                Ok(vec![limit / WHITE_PEAK; frames.len() * self.mel.hop])
            }
            _ => self.prior.deviation(mel, frames),
        }
    }

    /// From the whitened signal of `frames` (of the clip) to their sound, as far as it is polished. They
    /// come right after those that are done. `ended`: none will follow.
    fn finish(
        &mut self,
        mel: &Mel,
        frames: Range<usize>,
        mut signal: Vec<f32>,
        ended: bool,
    ) -> Result<Vec<f32>> {
        let local = frames.start - self.kept_from..frames.end - self.kept_from;
        self.prior.colour(mel, local.clone(), &mut self.memory, &mut signal)?;
        if let Some(position) = signal.iter().position(|v| !v.is_finite()) {
            return Err(Error::mismatch(
                format!("rendered sample {}", frames.start * self.mel.hop + position),
                "a finite value",
                signal[position],
            ));
        }
        self.done = frames.end;
        self.polish.push(mel, local.start, signal, ended)
    }
}
