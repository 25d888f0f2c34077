//! The network, backward: the gradients of its weights and inputs, block by block from the last.

use super::Pass;
use super::expand::{add_kept, repeat, repeat_transposed, unfold};
use super::forward::Tape;
use super::plan::{DownPlan, FilmPlan, Layer, UpPlan};
use crate::kernel::buffers::Buffer;
use crate::kernel::conv::{self, Packed};
use crate::kernel::finish::{Finish, Through};
use crate::kernel::gradient::weight_gradient;
use crate::kernel::rows::{Activation, Source};

/// The way back, on which the weights' gradients are collected.
pub(super) struct Backward<'a> {
    pub pass: &'a Pass<'a>,
    /// Of all weights, side by side as they are.
    pub gradient: &'a mut [f32],
}

/// Where gradients of the inputs go; empty for those that are not wanted.
pub(super) struct InputGradients<'a> {
    pub signal: &'a mut [f32],
    pub mel: &'a mut [f32],
}

impl Backward<'_> {
    /// From the gradient of the prediction, `[batch][rows]`. `tape` is freed on the way.
    pub fn run(
        &mut self,
        (signal, mel): (&[f32], &[f32]),
        mut tape: Tape,
        dy: &[f32],
        inputs: InputGradients<'_>,
    ) {
        let plan = self.pass.plan;
        let mut rows = self.pass.frames * plan.hop;
        let x = tape.mels.pop();
        self.weights(&plan.last, rows, Source::plain(x.as_deref().unwrap_or(&[])), dy);
        drop(x);
        let mut d = self.pull(&plan.last, rows, dy, Finish::through(Through::Nothing));

        // Down the mel's path from the waveform's rate, and with each block through its FiLM module.
        let mut waves = Vec::new();
        let mut films = tape.film.into_iter();
        for (i, up) in plan.up.iter().enumerate().rev() {
            let (Some(x), Some(kept), Some(film)) = (tape.mels.pop(), tape.up.pop(), films.next())
            else {
                return;
            };
            let mut dfilm = self.pass.home.take(d.len() * 2);
            let module = plan.up.len() - 1 - i;
            d = self.up(up, rows / up.factor, &x, kept, (&film[1], &mut dfilm), d);
            waves.push(self.film(module, rows, &tape.waves[module], film, dfilm));
            rows /= up.factor;
        }
        self.weights(&plan.mel, rows, Source::plain(mel), &d);
        if !inputs.mel.is_empty() {
            let finish = Finish::through(Through::Nothing);
            self.pull_into(&plan.mel, rows, &d, finish, inputs.mel);
        }
        drop(d);

        // Up the waveform's path from the rate of the first upsampling block.
        rows *= plan.up.first().map_or(1, |up| up.factor);
        let Some(mut d) = waves.pop() else { return };
        for (i, down) in plan.down.iter().enumerate().rev() {
            let (Some(kept), Some(mut before)) = (tape.down.pop(), waves.pop()) else { return };
            self.down(down, rows, &tape.waves[i], kept, d, &mut before);
            rows *= down.factor;
            d = before;
        }
        self.weights(&plan.stem, rows, Source::plain(signal), &d);
        if !inputs.signal.is_empty() {
            let finish = Finish::through(Through::Nothing);
            self.pull_into(&plan.stem, rows, &d, finish, inputs.signal);
        }
    }

    /// The gradient of the block's input. `rows`: before the repetition; `dfilm` is written.
    fn up(
        &mut self,
        plan: &UpPlan,
        rows: usize,
        x: &[f32],
        [first, sum, inner]: [Buffer; 3],
        (film, dfilm): (&[f32], &mut [f32]),
        dy: Buffer,
    ) -> Buffer {
        let [_, second, third, fourth] = &plan.convs;
        let high = rows * plan.factor;
        self.weights(fourth, high, Source::new(&inner, Activation::Film(film)), &dy);
        let through = Through::Film { x: &inner, film, gradient: dfilm, first: true };
        let dinner = self.pull(fourth, high, &dy, Finish::through(through));
        self.weights(third, high, Source::new(&sum, Activation::Film(film)), &dinner);
        let through = Through::Film { x: &sum, film, gradient: dfilm, first: false };
        let dsum = self.pull(third, high, &dinner, Finish::through(through).plus(&dy, 1));
        drop((dy, dinner, inner, sum));
        self.weights(second, high, Source::new(&first, Activation::Film(film)), &dsum);
        let through = Through::Film { x: &first, film, gradient: dfilm, first: false };
        let dfirst = self.pull(second, high, &dsum, Finish::through(through));
        drop(first);

        let (batch, co) = (self.pass.batch, plan.residual.co);
        let mut dresidual = self.pass.home.take(batch * rows * co);
        repeat_transposed(&dsum, co, plan.factor, &mut dresidual);
        drop(dsum);
        self.weights(&plan.residual, rows, Source::plain(x), &dresidual);
        let finish = Finish::through(Through::Nothing);
        let dx = self.pull(&plan.residual, rows, &dresidual, finish);
        drop(dresidual);
        self.first(plan, rows, x, &dfirst, dx)
    }

    /// Back through the block's first convolution, the repetition and the activation, plus `dx`.
    fn first(&mut self, plan: &UpPlan, rows: usize, x: &[f32], dy: &[f32], dx: Buffer) -> Buffer {
        let (pass, layer, high) = (self.pass, &plan.convs[0], rows * plan.factor);
        let finish = || Finish::through(Through::Leaky(x, 1)).plus(&dx, 1);
        if plan.factor == 1 {
            self.weights(layer, rows, Source::new(x, Activation::Leaky), dy);
            return self.pull(layer, rows, dy, finish());
        }
        if !layer.folds() {
            let mut repeated = pass.home.take(pass.batch * high * layer.ci);
            repeat(x, layer.ci, plan.factor, &mut repeated);
            self.weights(layer, high, Source::new(&repeated, Activation::Leaky), dy);
            let through = Through::Leaky(&repeated, 1);
            let drepeated = self.pull(layer, high, dy, Finish::through(through));
            let mut sum = pass.home.take(x.len());
            repeat_transposed(&drepeated, layer.ci, plan.factor, &mut sum);
            sum.iter_mut().zip(&dx[..]).for_each(|(sum, v)| *sum += v);
            return sum;
        }
        let (repetition, products, folded) = pass.folded(plan, rows);
        let shape = products.shape(pass.batch, rows);
        let mut dproducts = pass.home.take(pass.batch * rows * products.co);
        repetition.combine_transposed(dy, &mut dproducts);
        let (mut dfolded, mut dbias) = (pass.home.take(folded.len()), pass.home.take(products.co));
        let source = Source::new(x, Activation::Leaky);
        let into = (&mut dfolded[..], &mut dbias[..]);
        weight_gradient(pass.isa, pass.home, &shape, source, &dproducts, into);
        unfold(&dfolded, layer.co, &mut self.gradient[layer.weight.clone()]);
        let dbias = &mut self.gradient[layer.bias.clone()];
        dbias.fill(0.0);
        for row in dy.chunks_exact(layer.co) {
            dbias.iter_mut().zip(row).for_each(|(sum, v)| *sum += v);
        }
        let packed = Packed::backward(pass.isa, pass.home, &shape, &folded);
        let mut out = pass.home.take(x.len());
        let (shape, source) = (shape.transposed(), Source::plain(&dproducts));
        conv::run(pass.isa, &packed, &shape, source, finish(), &mut out);
        out
    }

    /// The gradient of the module's input, from that of its output.
    fn film(
        &mut self,
        module: usize,
        rows: usize,
        wave: &[f32],
        [inner, _]: [Buffer; 2],
        dy: Buffer,
    ) -> Buffer {
        let FilmPlan { input, output } = &self.pass.plan.film[module];
        let activation = Activation::LeakyPlus(&self.pass.levels[module]);
        self.weights(output, rows, Source::new(&inner, activation), &dy);
        let through = Through::Leaky(&inner, 1);
        let dinner = self.pull(output, rows, &dy, Finish::through(through));
        self.weights(input, rows, Source::plain(wave), &dinner);
        self.pull(input, rows, &dinner, Finish::through(Through::Nothing))
    }

    /// Adds the gradient of the block's input to `dwave`. `rows`: after the decimation.
    fn down(
        &mut self,
        plan: &DownPlan,
        rows: usize,
        wave: &[f32],
        [first, second]: [Buffer; 2],
        dy: Buffer,
        dwave: &mut [f32],
    ) {
        let keep = plan.factor;
        let leaky = |x| Source::new(x, Activation::Leaky);
        let through = |x| Finish::through(Through::Leaky(x, 1));
        self.weights(&plan.convs[2], rows, leaky(&second), &dy);
        let dsecond = self.pull(&plan.convs[2], rows, &dy, through(&second));
        self.weights(&plan.convs[1], rows, leaky(&first), &dsecond);
        let dfirst = self.pull(&plan.convs[1], rows, &dsecond, through(&first));
        drop((dsecond, second, first));
        let kept = |activation| Source { x: wave, keep, activation };
        self.weights(&plan.convs[0], rows, kept(Activation::Leaky), &dfirst);
        self.weights(&plan.residual, rows, kept(Activation::Plain), &dy);
        let finish = Finish::through(Through::Nothing);
        let dresidual = self.pull(&plan.residual, rows, &dy, finish);
        let finish = Finish::through(Through::Leaky(wave, keep)).plus(&dresidual, 1);
        let dx = self.pull(&plan.convs[0], rows, &dfirst, finish);
        add_kept(&dx, plan.residual.ci, keep, dwave);
    }

    /// The gradients of a layer's weights.
    fn weights(&mut self, layer: &Layer, rows: usize, source: Source<'_>, dy: &[f32]) {
        let Pass { isa, home, batch, .. } = *self.pass;
        let both = &mut self.gradient[layer.weight.start..layer.bias.end];
        let into = both.split_at_mut(layer.weight.len());
        weight_gradient(isa, home, &layer.shape(batch, rows), source, dy, into);
    }

    /// The gradient of a layer's input.
    fn pull(&self, layer: &Layer, rows: usize, dy: &[f32], finish: Finish<'_>) -> Buffer {
        let mut out = self.pass.home.take(self.pass.batch * rows * layer.ci);
        self.pull_into(layer, rows, dy, finish, &mut out);
        out
    }

    fn pull_into(
        &self,
        layer: &Layer,
        rows: usize,
        dy: &[f32],
        finish: Finish<'_>,
        out: &mut [f32],
    ) {
        let Pass { isa, home, batch, .. } = *self.pass;
        let shape = layer.shape(batch, rows);
        let packed = Packed::backward(isa, home, &shape, &self.pass.weights[layer.weight.clone()]);
        conv::run(isa, &packed, &shape.transposed(), Source::plain(dy), finish, out);
    }
}
