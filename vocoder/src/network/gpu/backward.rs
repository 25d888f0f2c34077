//! The network, backward: the gradients of its weights, block by block from the last, as
//! `tape/backward.rs` in half precision.

use super::forward::Tape;
use super::layer::Source;
use super::memory::Array;
use super::{Args, Kernel, Machine, Pass, THREADS};
use crate::network::tape::plan::{DownPlan, FilmPlan, UpPlan};
use candle_core::Result;

/// Back through the activation of a convolution's input.
fn through_leaky(x: &Array, keep: usize) -> Args {
    Args { through: 1, tx: x.address, tkeep: keep as u32, ..Args::plain() }
}

/// Back through the modulation of a convolution's input; the modulation's gradient is written first, then
/// added to.
fn through_film(x: &Array, film: &Array, dfilm: &Array, first: bool) -> Args {
    Args {
        through: 2,
        tx: x.address,
        tfilm: film.address,
        dfilm: dfilm.address,
        first: u32::from(first),
        ..Args::plain()
    }
}

impl<M: Machine> Pass<'_, M> {
    /// From the gradient of the prediction, `[batch][rows]` in f32 at `dy`, to those of all weights, in f32
    /// at `gradient`. `tape` is freed on the way.
    pub fn backward(&self, mut tape: Tape, dy: u64, gradient: u64) -> Result<()> {
        let (plan, machine) = (self.plan, &self.memory.machine);
        let mut rows = self.frames * plan.hop;
        let (count, len) = (self.batch * rows, plan.len);
        let zero = |dw, count: usize| {
            let args = Args { dw, count: count as u32, ..Args::plain() };
            machine.launch_flat(Kernel::Zero, count, args)
        };
        let size = self.memory.take(4)?;
        let scale = size.address;
        zero(scale, 1)?;
        zero(gradient, len)?;
        let args = Args { values: dy, scale, count: count as u32, ..Args::plain() };
        machine.launch(Kernel::Measure, [264, 1], 4 * THREADS as usize, args)?;
        let dy = self.widen(dy, rows, plan.last.co, scale)?;

        if let Some(x) = tape.mels.pop() {
            self.weights(&plan.last, rows, Source::plain(&x), &dy, gradient)?;
        }
        let mut d = self.pull(&plan.last, rows, &dy, Args::plain())?;
        drop(dy);

        // Down the mel's path from the waveform's rate, and with each block through its FiLM module.
        let mut waves = Vec::new();
        let mut films = tape.film.into_iter();
        for (i, up) in plan.up.iter().enumerate().rev() {
            let (Some(x), Some(kept), Some(film)) = (tape.mels.pop(), tape.up.pop(), films.next())
            else {
                candle_core::bail!("the tape ends before the network")
            };
            let module = plan.up.len() - 1 - i;
            let dfilm = self.rows(rows, 2 * up.convs[0].co)?;
            d = self.pull_up(up, rows, &x, kept, (&film[1], &dfilm), d, gradient)?;
            let (film_plan, level) = (&plan.film[module], self.levels[module]);
            let wave = &tape.waves[module];
            waves.push(self.pull_film(film_plan, rows, (wave, level), film, dfilm, gradient)?);
            rows /= up.factor;
        }
        self.weights(&plan.mel, rows, Source::plain(&tape.mel), &d, gradient)?;
        drop(d);

        // Up the waveform's path from the rate of the first upsampling block.
        rows *= plan.up.first().map_or(1, |up| up.factor);
        let Some(mut d) = waves.pop() else { return Ok(()) };
        for (i, down) in plan.down.iter().enumerate().rev() {
            let (Some(kept), Some(before)) = (tape.down.pop(), waves.pop()) else {
                candle_core::bail!("the tape ends before the network")
            };
            self.pull_down(down, rows, &tape.waves[i], kept, d, (&before, gradient))?;
            rows *= down.factor;
            d = before;
        }
        self.weights(&plan.stem, rows, Source::plain(&tape.signal), &d, gradient)?;
        let (rows, count) = (len as u32, count as u32);
        machine.launch_flat(
            Kernel::Unscale,
            len,
            Args { dw: gradient, scale, rows, count, ..Args::plain() },
        )
    }

    /// The gradient of the block's input. `high`: rows after the repetition; `dfilm` is written.
    #[allow(clippy::too_many_arguments)]
    fn pull_up(
        &self,
        plan: &UpPlan,
        high: usize,
        x: &Array,
        [first, sum, inner]: [Array; 3],
        (film, dfilm): (&Array, &Array),
        dy: Array,
        gradient: u64,
    ) -> Result<Array> {
        let [opening, second, third, fourth] = &plan.convs;
        let rows = high / plan.factor;
        self.weights(fourth, high, Source::film(&inner, film), &dy, gradient)?;
        let dinner = self.pull(fourth, high, &dy, through_film(&inner, film, dfilm, true))?;
        drop(inner);
        self.weights(third, high, Source::film(&sum, film), &dinner, gradient)?;
        let through = Args { add: dy.address, ..through_film(&sum, film, dfilm, false) };
        let dsum = self.pull(third, high, &dinner, through)?;
        drop((dy, dinner, sum));
        self.weights(second, high, Source::film(&first, film), &dsum, gradient)?;
        let dfirst = self.pull(second, high, &dsum, through_film(&first, film, dfilm, false))?;
        drop(first);

        let plain = Args::plain();
        let dresidual = self.collect(&dsum, rows, plan.factor, plan.residual.co, plain)?;
        drop(dsum);
        self.weights(&plan.residual, rows, Source::plain(x), &dresidual, gradient)?;
        let dx = self.pull(&plan.residual, rows, &dresidual, plain)?;
        drop(dresidual);
        let source = Source::leaky(x).repeated(plan.factor);
        self.weights(opening, high, source, &dfirst, gradient)?;
        let drepeated = self.pull(opening, high, &dfirst, plain)?;
        let through = Args { tx: x.address, add: dx.address, ..plain };
        self.collect(&drepeated, rows, plan.factor, opening.ci, through)
    }

    /// The sum of each `factor` rows, `rows` in all a clip.
    fn collect(
        &self,
        x: &Array,
        rows: usize,
        factor: usize,
        channels: usize,
        finish: Args,
    ) -> Result<Array> {
        let out = self.rows(rows, channels)?;
        let count = self.batch * rows * channels / 8;
        let args = Args {
            x: x.address,
            out: out.address,
            ci: channels as u32,
            repeat: factor as u32,
            count: count as u32,
            ..finish
        };
        self.memory.machine.launch_flat(Kernel::Collect, count, args)?;
        Ok(out)
    }

    /// The gradient of the module's input, from that of its output.
    fn pull_film(
        &self,
        FilmPlan { input, output }: &FilmPlan,
        rows: usize,
        (wave, level): (&Array, u64),
        [inner, _]: [Array; 2],
        dy: Array,
        gradient: u64,
    ) -> Result<Array> {
        self.weights(output, rows, Source::leaky_plus(&inner, level), &dy, gradient)?;
        let dinner = self.pull(output, rows, &dy, through_leaky(&inner, 1))?;
        self.weights(input, rows, Source::plain(wave), &dinner, gradient)?;
        self.pull(input, rows, &dinner, Args::plain())
    }

    /// Adds the gradient of the block's input to `dwave`. `rows`: after the decimation.
    fn pull_down(
        &self,
        plan: &DownPlan,
        rows: usize,
        wave: &Array,
        [first, second]: [Array; 2],
        dy: Array,
        (dwave, gradient): (&Array, u64),
    ) -> Result<()> {
        let (keep, ci) = (plan.factor, plan.residual.ci);
        self.weights(&plan.convs[2], rows, Source::leaky(&second), &dy, gradient)?;
        let dsecond = self.pull(&plan.convs[2], rows, &dy, through_leaky(&second, 1))?;
        self.weights(&plan.convs[1], rows, Source::leaky(&first), &dsecond, gradient)?;
        let dfirst = self.pull(&plan.convs[1], rows, &dsecond, through_leaky(&first, 1))?;
        self.weights(&plan.convs[0], rows, Source::leaky(wave).kept(keep), &dfirst, gradient)?;
        self.weights(&plan.residual, rows, Source::plain(wave).kept(keep), &dy, gradient)?;
        let dresidual = self.pull(&plan.residual, rows, &dy, Args::plain())?;
        let through = Args { add: dresidual.address, ..through_leaky(wave, keep) };
        let dx = self.pull(&plan.convs[0], rows, &dfirst, through)?;
        let count = self.batch * rows * ci / 8;
        let args = Args {
            x: dx.address,
            out: dwave.address,
            ci: ci as u32,
            keep: keep as u32,
            count: count as u32,
            ..Args::plain()
        };
        self.memory.machine.launch_flat(Kernel::AddKept, count, args)
    }
}
