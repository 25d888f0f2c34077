//! As a flow through the engine, whose layers remember: every frame is paid for once.

use std::ops::Range;

use super::{ClipState, Polish, Settings};
use crate::Result;
use crate::config::Padding;
use crate::engine::{Engine, Piece, Precision};
use crate::guidance::Guidance;
use crate::sampler::Sampler;
use crate::voice::Voice;

/// Most samples that go through the network at a time, in whole frames: 0.2 s at 24 kHz. Of 8, 16 and 32
/// frames of the paper's hop, 16 are as fast as 32 within 1 % (quarter, half and Base in int16 on Zen 3), and
/// faster than 8 where networks are wide (half by 4 %, Base by 7 %): weights are read less often, and the
/// rows of upsampling blocks go in strips anyhow.
const MOST_SAMPLES: usize = 4800;

pub(super) struct Flow {
    engine: Engine,
    look_ahead: usize,
    /// All blocks but the last have [`MOST_SAMPLES`], whatever the chunk. Where products are rounded, a
    /// symmetric network's sound depends on where blocks end by more than the sums' own rounding; a causal one's
    /// does not.
    even: bool,
    /// Frames that the engine took.
    fed: usize,
    /// The chain's start for the frames after them, as far as it is made.
    start: Vec<f32>,
    /// Whitened samples of a frame that is not complete.
    rest: Vec<f32>,
}

impl Flow {
    pub fn new(voice: &Voice, settings: &Settings) -> Result<Self> {
        let sampler = Sampler::new(settings.sampler, &settings.schedule, settings.clip);
        // Checks that the weights fit the config.
        voice.network(&candle_core::Device::Cpu)?;
        let (model, weights) = (&voice.model, &voice.weights);
        let mut engine = Engine::new(model, weights, settings.precision, sampler, settings.seed)?;
        engine.guide(Guidance::new(voice, settings.guidance)?);
        Ok(Self {
            even: model.padding == Padding::Symmetric && engine.precision() != Precision::F32,
            engine,
            look_ahead: match voice.model.padding {
                Padding::Symmetric => 0,
                Padding::Causal { look_ahead } => look_ahead,
            },
            fed: 0,
            start: Vec::new(),
            rest: Vec::new(),
        })
    }

    pub fn precision(&self) -> Precision {
        self.engine.precision()
    }

    pub fn set_temperature(&mut self, temperature: f32) {
        self.engine.set_temperature(temperature);
    }

    pub fn bytes(&mut self) -> usize {
        self.engine.bytes()
    }

    /// Renders what the received frames allow. `ended` says that no frame will follow.
    pub fn advance(&mut self, clip: &mut ClipState, ended: bool) -> Result<Vec<f32>> {
        let ahead = clip.margin().max(self.look_ahead);
        let chunk = clip.settings.chunk_frames;
        let most = (MOST_SAMPLES / clip.mel.hop).max(1);
        let least = if self.even { most } else { chunk.min(most) };
        // Sums in another order are off by rounding, and a polish that goes on from what it settled makes
        // another sound of that: with one, all blocks are alike, however frames come.
        let most = if matches!(clip.settings.polish, Polish::Frames { .. }) { least } else { most };
        // A start that looks far around itself is made a chunk at a time.
        let unit = if clip.settings.start.reach(&clip.mel) == 0 { least } else { chunk };
        let mut samples = Vec::new();
        loop {
            let (ready, received) = (self.ready(clip), clip.received());
            // Of frames that came together, as many as possible are fed together.
            let full = ready - self.fed >= most;
            if !full && received >= ready + unit + ahead {
                self.prepare(clip, ready..ready + unit)?;
            } else if ready - self.fed >= least {
                let frames = (ready - self.fed).min(most);
                let last = ended && self.fed + frames == received;
                samples.extend(self.feed(clip, frames, last)?);
            } else if ended && ready < received {
                self.prepare(clip, ready..received.min(ready + unit))?;
            } else if ended && self.fed < received {
                samples.extend(self.feed(clip, ready - self.fed, true)?);
            } else {
                return Ok(samples);
            }
        }
    }

    /// The frame up to which the chain's start is there.
    fn ready(&self, clip: &ClipState) -> usize {
        self.fed + self.start.len() / clip.mel.hop
    }

    /// Makes the chain's start for `frames`.
    fn prepare(&mut self, clip: &mut ClipState, frames: Range<usize>) -> Result<()> {
        let context = clip.take_kept();
        let first = clip.kept_from;
        let start = clip.make_start(&context, first, frames.start - first..frames.end - first);
        clip.put_back(context, first);
        self.start.extend(start?);
        Ok(())
    }

    pub fn reset(&mut self) {
        self.engine.reset();
        self.start.clear();
        self.rest.clear();
        self.fed = 0;
    }

    /// Runs the next `frames` frames through the engine. `ended` says that they are the last.
    fn feed(&mut self, clip: &mut ClipState, frames: usize, ended: bool) -> Result<Vec<f32>> {
        let (hop, bands) = (clip.mel.hop, clip.mel.n_mels);
        let (from, to) = (self.fed, self.fed + frames);
        let context = clip.take_kept();
        let kept_from = clip.kept_from;
        let local = from - kept_from..to - kept_from;

        let deviation = clip.deviation(&context, local)?;

        // The network's mel is ahead of its signal by the look-ahead.
        let received = kept_from + context.frames;
        let ahead = |frame: usize| (frame + self.look_ahead).min(received);
        let first = if from == 0 { 0 } else { ahead(from) };
        let last = ahead(to);
        let piece = Piece {
            mel: &context.data[(first - kept_from) * bands..(last - kept_from) * bands],
            start: &self.start[..frames * hop],
            deviation: &deviation,
            ended,
        };
        let observer = &mut clip.observer;
        let mut observe = || observer.as_mut().is_none_or(|observer| observer(frames));
        let finished = self.engine.push(piece, &mut observe)?;
        self.start.drain(..frames * hop);
        self.fed = to;

        self.rest.extend_from_slice(finished);
        let whole = self.rest.len() / hop;
        let signal: Vec<f32> = self.rest.drain(..whole * hop).collect();
        let sound = clip.finish(&context, clip.done..clip.done + whole, signal, ended)?;
        clip.put_back(context, clip.done.saturating_sub(clip.margin()));
        Ok(sound)
    }
}
