//! The steps of a chain, each feeding the next.

use super::conv::Scratched;
use super::guided::Unconditional;
use super::line::Line;
use super::net::Net;
use super::pass::{Buffers, MelPart, Pass};
use super::{Isa, Piece};
use crate::guidance::Guidance;
use crate::noise::{self, Noise};
use crate::sampler::{Rows, Sampler};
use crate::{Error, Result};

/// A cascade in some precision.
pub(super) trait Steps: Send {
    /// As [`super::Engine::push`].
    fn push(&mut self, piece: Piece<'_>, observe: &mut dyn FnMut() -> bool) -> Result<&[f32]>;
    fn set_temperature(&mut self, temperature: f32);
    /// As [`super::Engine::guide`].
    fn guide(&mut self, guidance: Option<Guidance>);
    fn reset(&mut self);
    fn bytes(&mut self) -> usize;
}

pub(super) struct Cascade<T> {
    net: Net<T>,
    isa: Isa,
    sampler: Sampler,
    noise: Noise,
    temperature: f32,
    /// Per step, what each FiLM module adds.
    levels: Vec<Vec<Vec<f32>>>,
    mel: MelPart,
    /// Frames of mel that came, and the last of them on the network's scale.
    frames: usize,
    last_frame: Vec<f32>,
    passes: Vec<Pass>,
    guided: Option<Unconditional>,
    buffers: Buffers,
    /// Per step, the clean signal that it predicted; empty for samplers that don't look back.
    clean: Vec<Line>,
    deviation: Line,
    /// Fresh noise.
    fresh: Vec<f32>,
    out: Vec<f32>,
}

impl<T: Scratched> Cascade<T> {
    pub fn new(net: Net<T>, isa: Isa, sampler: Sampler, seed: u64) -> Self {
        let steps = sampler.steps();
        Cascade {
            levels: (0..steps)
                .filter_map(|step| sampler.level(step))
                .map(|level| net.encode(level))
                .collect(),
            mel: MelPart::new(&net),
            frames: 0,
            last_frame: Vec::new(),
            passes: (0..steps).map(|_| Pass::new(&net)).collect(),
            guided: None,
            buffers: Buffers::default(),
            clean: (0..if sampler.looks_back() { steps } else { 0 })
                .map(|_| Line::new(1))
                .collect(),
            deviation: Line::new(1),
            fresh: Vec::new(),
            out: Vec::new(),
            noise: Noise::new(seed),
            temperature: 1.0,
            net,
            isa,
            sampler,
        }
    }

    /// Appends frames to the mel's line: on the network's scale, ahead by the look-ahead, the last one
    /// held past the end.
    fn take_mel(&mut self, mel: &[f32], ended: bool) {
        let (shift, scale) = (self.net.config.mel_shift, self.net.config.mel_scale);
        let ahead = self.net.look_ahead.unwrap_or(0);
        for frame in mel.chunks_exact(self.net.config.n_mels) {
            self.last_frame.clear();
            self.last_frame.extend(frame.iter().map(|v| v * scale + shift * scale));
            if self.frames >= ahead {
                self.mel.mel.push(&self.last_frame);
            }
            self.frames += 1;
        }
        while ended && self.mel.mel.end() < self.frames {
            self.mel.mel.push(&self.last_frame);
        }
    }

    /// Moves the rows whose noise step `step` has predicted to the next level: into the next step's
    /// signal, or out.
    fn move_rows(&mut self, step: usize) {
        let (passes, rest) = self.passes.split_at_mut(step + 1);
        let pass = &mut passes[step];
        let (from, end) = match rest.first() {
            Some(next) => (next.signal.end(), pass.noise.end()),
            // What is out lies just before the noise that is kept.
            None => (pass.noise.first(), pass.noise.end()),
        };
        let count = end - from;
        let target = match rest.first_mut() {
            Some(next) => next.signal.grow(from, end),
            None => {
                self.out.resize(count, 0.0);
                &mut self.out[..]
            }
        };
        self.fresh.clear();
        if self.sampler.needs_noise(step) {
            self.fresh.resize(count, 0.0);
            self.noise.fill(noise::after_step(step), from as u64, &mut self.fresh);
            if self.temperature != 1.0 {
                self.fresh.iter_mut().for_each(|v| *v *= self.temperature);
            }
        }
        let kept = self.clean.len();
        let (before, clean) = self.clean.split_at_mut(step.min(kept));
        let mut none = [];
        self.sampler.move_rows(
            step,
            Rows {
                x: &pass.signal.rows_from(from)[..count],
                eps_hat: &pass.noise.rows_from(from)[..count],
                fresh: &self.fresh,
                deviation: match self.deviation.end() {
                    0 => &[],
                    _ => &self.deviation.rows_from(from)[..count],
                },
                before: before.last().map_or(&[], |line| &line.rows_from(from)[..count]),
                clean: clean.first_mut().map_or(&mut none, |line| line.grow(from, end)),
            },
            target,
        );
        pass.signal.keep_from(end);
        pass.noise.keep_from(end);
        if let Some(line) = before.last_mut() {
            line.keep_from(end);
        }
        if rest.is_empty() {
            self.deviation.keep_from(end);
        }
    }
}

impl<T: Scratched> Steps for Cascade<T> {
    fn push(&mut self, piece: Piece<'_>, observe: &mut dyn FnMut() -> bool) -> Result<&[f32]> {
        let ended = piece.ended;
        self.take_mel(piece.mel, ended);
        self.passes[0].signal.push(piece.start);
        self.deviation.push(piece.deviation);
        let (net, isa) = (&self.net, self.isa);
        if let Some(guided) = &mut self.guided {
            guided.take_mel(net, isa, self.mel.mel.end(), ended);
        }
        self.mel.run(net, isa, ended);
        for step in 0..self.passes.len() {
            let (net, level, pass) = (&self.net, &self.levels[step], &mut self.passes[step]);
            pass.unpack(&mut self.buffers);
            pass.run(net, isa, level, &mut self.mel, ended);
            pass.pack(&mut self.buffers);
            if let Some(guided) = &mut self.guided {
                guided.lead(net, isa, (step, level), pass, &mut self.buffers, ended);
            }
            self.move_rows(step);
            self.passes[step].trim();
            if !observe() {
                return Err(Error::Stopped);
            }
        }
        self.mel.trim();
        if let Some(guided) = &mut self.guided {
            guided.trim();
        }
        self.clean.iter_mut().for_each(Line::trim);
        self.deviation.trim();
        Ok(&self.out)
    }

    fn set_temperature(&mut self, temperature: f32) {
        self.temperature = temperature;
    }

    fn guide(&mut self, guidance: Option<Guidance>) {
        let steps = self.passes.len();
        self.guided = guidance.map(|guidance| Unconditional::new(&self.net, guidance, steps));
    }

    fn reset(&mut self) {
        self.mel.reset();
        self.guided.iter_mut().for_each(Unconditional::reset);
        self.passes.iter_mut().for_each(Pass::reset);
        self.clean.iter_mut().for_each(Line::reset);
        self.deviation.reset();
        self.frames = 0;
        self.last_frame.clear();
        self.out.clear();
    }

    fn bytes(&mut self) -> usize {
        let passes: usize = self.passes.iter_mut().map(Pass::bytes).sum();
        let guided: usize = self.guided.iter_mut().map(Unconditional::bytes).sum();
        self.net.bytes() + self.mel.bytes() + self.buffers.bytes() + passes + guided
    }
}
