//! The network, forward, with what the way back needs: `tape/forward.rs` in half precision.

use super::layer::Source;
use super::memory::Array;
use super::{Args, Kernel, Machine, Pass};
use crate::network::tape::plan::{DownPlan, FilmPlan, Layer, UpPlan};
use candle_core::Result;

/// What was computed: only what can't be had again by an activation.
#[derive(Debug)]
pub(super) struct Tape {
    pub signal: Array,
    pub mel: Array,
    /// The waveform's path: the input of each FiLM module.
    pub waves: Vec<Array>,
    /// The first two convolutions of each downsampling block.
    pub down: Vec<[Array; 2]>,
    /// Each FiLM module's first convolution, and its output.
    pub film: Vec<[Array; 2]>,
    /// The mel's path: the input of each upsampling block, and of the last convolution.
    pub mels: Vec<Array>,
    /// Of each upsampling block the first convolution, the sum after the second, the third.
    pub up: Vec<[Array; 3]>,
}

impl<M: Machine> Pass<'_, M> {
    /// From the noisy signal `[batch][rows]` and the mel `[batch][frames][n_mels]`, both f32, to the
    /// predicted noise `[batch][rows]` in f32 at `out`.
    pub fn forward(&self, signal: u64, mel: u64, out: u64) -> Result<Tape> {
        let plan = self.plan;
        let mut rows = self.frames * plan.hop;
        let signal = self.widen(signal, rows, plan.stem.ci, 0)?;
        let mel = self.widen(mel, self.frames, plan.mel.ci, 0)?;
        let mut waves = vec![self.conv(&plan.stem, rows, Source::plain(&signal), None)?];
        let (mut down, mut film) = (Vec::new(), Vec::new());
        for (i, module) in plan.film.iter().enumerate() {
            film.push(self.film(module, rows, &waves[i], self.levels[i])?);
            if let Some(block) = plan.down.get(i) {
                rows /= block.factor;
                let (kept, wave) = self.down(block, rows, &waves[i])?;
                down.push(kept);
                waves.push(wave);
            }
        }
        rows = self.frames;
        let mut mels = vec![self.conv(&plan.mel, rows, Source::plain(&mel), None)?];
        let mut up = Vec::new();
        for (i, block) in plan.up.iter().enumerate() {
            let [_, modulation] = &film[plan.up.len() - 1 - i];
            let (kept, x) = self.up(block, rows, &mels[i], modulation)?;
            rows *= block.factor;
            up.push(kept);
            mels.push(x);
        }
        let finish = Args { first_channel: out, ..Args::plain() };
        self.forward_into(&plan.last, rows, Source::plain(&mels[plan.up.len()]), finish)?;
        Ok(Tape { signal, mel, waves, down, film, mels, up })
    }

    /// Values in f32 in half precision; `scale`: the address of the sum that they are scaled by.
    pub fn widen(&self, values: u64, rows: usize, channels: usize, scale: u64) -> Result<Array> {
        let out = self.rows(rows, channels)?;
        let (count, ci) = (self.batch * rows, channels.next_multiple_of(16));
        let args = Args {
            values,
            scale,
            out: out.address,
            ci: ci as u32,
            real_ci: channels as u32,
            count: count as u32,
            ..Args::plain()
        };
        self.memory.machine.launch_flat(Kernel::Widen, count * ci / 8, args)?;
        Ok(out)
    }

    /// A convolution with its bias, plus a signal (and its repeat).
    fn conv(
        &self,
        layer: &Layer,
        rows: usize,
        source: Source,
        add: Option<(&Array, usize)>,
    ) -> Result<Array> {
        let out = self.rows(rows, layer.co)?;
        let (add, repeat) = add.map_or((0, 1), |(add, repeat)| (add.address, repeat));
        let finish = Args { out: out.address, add, add_repeat: repeat as u32, ..Args::plain() };
        self.forward_into(layer, rows, source, finish)?;
        Ok(out)
    }

    /// `rows`: after the decimation.
    fn down(&self, plan: &DownPlan, rows: usize, wave: &Array) -> Result<([Array; 2], Array)> {
        let (plain, leaky) = (Source::plain(wave), Source::leaky(wave));
        let residual = self.conv(&plan.residual, rows, plain.kept(plan.factor), None)?;
        let first = self.conv(&plan.convs[0], rows, leaky.kept(plan.factor), None)?;
        let second = self.conv(&plan.convs[1], rows, Source::leaky(&first), None)?;
        let out = self.conv(&plan.convs[2], rows, Source::leaky(&second), Some((&residual, 1)))?;
        Ok(([first, second], out))
    }

    fn film(&self, plan: &FilmPlan, rows: usize, wave: &Array, level: u64) -> Result<[Array; 2]> {
        let inner = self.conv(&plan.input, rows, Source::plain(wave), None)?;
        let film = self.conv(&plan.output, rows, Source::leaky_plus(&inner, level), None)?;
        Ok([inner, film])
    }

    /// `rows`: before the repetition.
    fn up(
        &self,
        plan: &UpPlan,
        rows: usize,
        x: &Array,
        film: &Array,
    ) -> Result<([Array; 3], Array)> {
        let [opening, second, third, fourth] = &plan.convs;
        // The 1x1 convolution commutes with the repetition and costs less before it.
        let residual = self.conv(&plan.residual, rows, Source::plain(x), None)?;
        let (high, factor) = (rows * plan.factor, plan.factor);
        let first = self.conv(opening, high, Source::leaky(x).repeated(factor), None)?;
        let modulated = |x| Source::film(x, film);
        let sum = self.conv(second, high, modulated(&first), Some((&residual, factor)))?;
        let inner = self.conv(third, high, modulated(&sum), None)?;
        let out = self.conv(fourth, high, modulated(&inner), Some((&sum, 1)))?;
        Ok(([first, sum, inner], out))
    }
}
