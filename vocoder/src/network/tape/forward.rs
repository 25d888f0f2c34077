//! The network, forward, with what the way back needs.

use super::Pass;
use super::expand::{Repetition, fold, repeat};
use super::plan::{DownPlan, FilmPlan, Layer, UpPlan};
use crate::kernel::buffers::Buffer;
use crate::kernel::conv::{self, Packed};
use crate::kernel::finish::Finish;
use crate::kernel::rows::{Activation, Source};

/// What was computed: only what can't be had again by an activation.
pub(super) struct Tape {
    /// The waveform's path: the input of each FiLM module.
    pub waves: Vec<Buffer>,
    /// The first two convolutions of each downsampling block.
    pub down: Vec<[Buffer; 2]>,
    /// Each FiLM module's first convolution, and its output.
    pub film: Vec<[Buffer; 2]>,
    /// The mel's path: the input of each upsampling block, and of the last convolution.
    pub mels: Vec<Buffer>,
    /// Of each upsampling block the first convolution, the sum after the second, the third.
    pub up: Vec<[Buffer; 3]>,
}

impl Pass<'_> {
    /// From the noisy signal `[batch][rows]` and the mel `[batch][frames][n_mels]` to the predicted
    /// noise `[batch][rows]`.
    pub fn forward(&self, signal: &[f32], mel: &[f32], out: &mut [f32]) -> Tape {
        let plan = self.plan;
        let mut rows = self.frames * plan.hop;
        let mut tape = Tape {
            waves: vec![self.conv(&plan.stem, rows, Source::plain(signal), None)],
            down: Vec::new(),
            film: Vec::new(),
            mels: Vec::new(),
            up: Vec::new(),
        };
        for (i, film) in plan.film.iter().enumerate() {
            tape.film.push(self.film(film, rows, &tape.waves[i], &self.levels[i]));
            if let Some(down) = plan.down.get(i) {
                rows /= down.factor;
                let (kept, wave) = self.down(down, rows, &tape.waves[i]);
                tape.down.push(kept);
                tape.waves.push(wave);
            }
        }
        rows = self.frames;
        tape.mels.push(self.conv(&plan.mel, rows, Source::plain(mel), None));
        for (i, up) in plan.up.iter().enumerate() {
            let [_, film] = &tape.film[plan.up.len() - 1 - i];
            let (kept, x) = self.up(up, rows, &tape.mels[i], film);
            rows *= up.factor;
            tape.up.push(kept);
            tape.mels.push(x);
        }
        let last = Source::plain(&tape.mels[plan.up.len()]);
        self.run(&plan.last, rows, last, Finish::bias(self.bias(&plan.last)), out);
        tape
    }

    /// `rows`: after the decimation.
    fn down(&self, plan: &DownPlan, rows: usize, wave: &[f32]) -> ([Buffer; 2], Buffer) {
        let kept = |activation| Source { x: wave, keep: plan.factor, activation };
        let residual = self.conv(&plan.residual, rows, kept(Activation::Plain), None);
        let leaky = |x| Source::new(x, Activation::Leaky);
        let first = self.conv(&plan.convs[0], rows, kept(Activation::Leaky), None);
        let second = self.conv(&plan.convs[1], rows, leaky(&first), None);
        let out = self.conv(&plan.convs[2], rows, leaky(&second), Some((&residual, 1)));
        ([first, second], out)
    }

    fn film(&self, plan: &FilmPlan, rows: usize, wave: &[f32], level: &[f32]) -> [Buffer; 2] {
        let inner = self.conv(&plan.input, rows, Source::plain(wave), None);
        let source = Source::new(&inner, Activation::LeakyPlus(level));
        let film = self.conv(&plan.output, rows, source, None);
        [inner, film]
    }

    /// `rows`: before the repetition.
    fn up(&self, plan: &UpPlan, rows: usize, x: &[f32], film: &[f32]) -> ([Buffer; 3], Buffer) {
        let [_, second, third, fourth] = &plan.convs;
        let modulated = |x| Source::new(x, Activation::Film(film));
        let first = self.first(plan, rows, x);
        // The 1x1 convolution commutes with the repetition and costs less before it.
        let residual = self.conv(&plan.residual, rows, Source::plain(x), None);
        let rows = rows * plan.factor;
        let sum = self.conv(second, rows, modulated(&first), Some((&residual, plan.factor)));
        drop(residual);
        let inner = self.conv(third, rows, modulated(&sum), None);
        let out = self.conv(fourth, rows, modulated(&inner), Some((&sum, 1)));
        ([first, sum, inner], out)
    }

    /// Activation, repetition and the convolution after it.
    fn first(&self, plan: &UpPlan, rows: usize, x: &[f32]) -> Buffer {
        let (layer, high) = (&plan.convs[0], rows * plan.factor);
        if plan.factor == 1 {
            return self.conv(layer, rows, Source::new(x, Activation::Leaky), None);
        }
        if !layer.folds() {
            let mut repeated = self.home.take(self.batch * high * layer.ci);
            repeat(x, layer.ci, plan.factor, &mut repeated);
            return self.conv(layer, high, Source::new(&repeated, Activation::Leaky), None);
        }
        let (repetition, products, folded) = self.folded(plan, rows);
        let shape = products.shape(self.batch, rows);
        let packed = Packed::forward(self.isa, self.home, &shape, &folded);
        let mut values = self.home.take(self.batch * rows * products.co);
        let source = Source::new(x, Activation::Leaky);
        conv::run(self.isa, &packed, &shape, source, Finish::bias(&[]), &mut values);
        let mut out = self.home.take(self.batch * high * layer.co);
        repetition.combine(&values, self.bias(layer), &mut out);
        out
    }

    /// The repetition before a block's first convolution, the products that the two are made of, and
    /// the weights of these.
    pub(super) fn folded(&self, plan: &UpPlan, rows: usize) -> (Repetition, Layer, Buffer) {
        let layer = &plan.convs[0];
        let (co, causal) = (layer.co, self.plan.causal);
        let mut folded = self.home.take(layer.ci * 3 * co);
        fold(&self.weights[layer.weight.clone()], co, &mut folded);
        (Repetition { rows, factor: plan.factor, co, causal }, layer.products(), folded)
    }

    pub(super) fn bias(&self, layer: &Layer) -> &[f32] {
        &self.weights[layer.bias.clone()]
    }

    fn run(
        &self,
        layer: &Layer,
        rows: usize,
        source: Source<'_>,
        finish: Finish<'_>,
        out: &mut [f32],
    ) {
        let shape = layer.shape(self.batch, rows);
        let weights = &self.weights[layer.weight.clone()];
        let packed = Packed::forward(self.isa, self.home, &shape, weights);
        conv::run(self.isa, &packed, &shape, source, finish, out);
    }

    /// A convolution with its bias, plus a signal (and its repeat).
    fn conv(
        &self,
        layer: &Layer,
        rows: usize,
        source: Source<'_>,
        add: Option<(&[f32], usize)>,
    ) -> Buffer {
        let mut out = self.home.take(self.batch * rows * layer.co);
        let finish = Finish { add, ..Finish::bias(self.bias(layer)) };
        self.run(layer, rows, source, finish, &mut out);
        out
    }
}
