//! The steps of a chain once more, for a mel of silence: what guidance leads away from.
//!
//! They see the signal of the chain itself, step by step, and never move it: each prediction goes into
//! that of the conditional pass.

use super::Isa;
use super::conv::Scratched;
use super::net::Net;
use super::pass::{Buffers, MelPart, Pass};
use crate::guidance::Guidance;

/// The unconditional passes.
pub(super) struct Unconditional {
    guidance: Guidance,
    mel: MelPart,
    /// A frame of silence on the network's scale.
    silence: Vec<f32>,
    passes: Vec<Pass>,
}

impl Unconditional {
    pub fn new<T: Scratched>(net: &Net<T>, guidance: Guidance, steps: usize) -> Self {
        let (shift, scale) = (net.config.mel_shift, net.config.mel_scale);
        Unconditional {
            silence: vec![guidance.silence * scale + shift * scale; net.config.n_mels],
            guidance,
            mel: MelPart::new(net),
            passes: (0..steps).map(|_| Pass::new(net)).collect(),
        }
    }

    /// Takes as many frames of silence as the mel has, up to `end`. `ended`: none will follow.
    pub fn take_mel<T: Scratched>(&mut self, net: &Net<T>, isa: Isa, end: usize, ended: bool) {
        while self.mel.mel.end() < end {
            self.mel.mel.push(&self.silence);
        }
        self.mel.run(net, isa, ended);
    }

    /// Predicts without the mel what `pass`, which is step `step`, has just predicted with it, and leads
    /// that on.
    pub fn lead<T: Scratched>(
        &mut self,
        net: &Net<T>,
        isa: Isa,
        (step, level): (usize, &[Vec<f32>]),
        pass: &mut Pass,
        buffers: &mut Buffers,
        ended: bool,
    ) {
        let twin = &mut self.passes[step];
        twin.signal.push(pass.signal.rows_from(twin.signal.end()));
        twin.unpack(buffers);
        twin.run(net, isa, level, &mut self.mel, ended);
        let (from, end) = (pass.noise.first(), pass.noise.end());
        self.guidance.lead(pass.noise.grow(from, end), twin.noise.rows_from(from));
        twin.pack(buffers);
        twin.noise.keep_from(end);
        twin.trim();
    }

    /// Drops what no step will read again, after all of them ran.
    pub fn trim(&mut self) {
        self.mel.trim();
    }

    pub fn reset(&mut self) {
        self.mel.reset();
        self.passes.iter_mut().for_each(Pass::reset);
    }

    pub fn bytes(&mut self) -> usize {
        self.mel.bytes() + self.passes.iter_mut().map(Pass::bytes).sum::<usize>()
    }
}
