//! One convolution: its weights in half precision, and how its three products are launched.

use super::memory::{Array, Memory};
use super::{Args, Kernel, Machine, Pass};
use crate::config::{ModelConfig, Resampling};
use crate::network::tape::plan::{Layer, Plan};
use candle_core::Result;
use std::collections::BTreeMap;

/// Tensor cores take channels in blocks of so many.
const BLOCK: usize = 16;

/// Tiles of 16 x 16 weights of which one block of threads sums up the gradients.
const MOST_TILES: usize = 48;

/// Shared memory that a block may have on every GPU since Ampere; two such blocks fit on those of data
/// centres at once.
pub(super) const MOST_SHARED: usize = 96 << 10;

/// Rows and channels that a block computes, and by which kernel: see `convolve` in `kernels.cu`.
const SHAPES: [(usize, usize, Kernel); 4] = [
    (256, 32, Kernel::ConvTall32),
    (256, 64, Kernel::ConvTall64),
    (128, 64, Kernel::ConvMiddle64),
    (32, 64, Kernel::ConvFlat64),
];

/// Whether the kernels take a network of `config`.
pub(in crate::network) fn fits(config: &ModelConfig) -> bool {
    let plan = Plan::new(config);
    config.resampling == Resampling::Nearest
        && plan.layers().into_iter().all(|layer| {
            let whole = |channels: usize| channels == 1 || channels.is_multiple_of(BLOCK);
            let wide = padded(layer.ci).max(padded(layer.co));
            whole(layer.ci)
                && whole(layer.co)
                && layer.taps <= 8
                && convolution_shared(32, layer.span(), wide) <= MOST_SHARED
        })
}

fn padded(channels: usize) -> usize {
    channels.next_multiple_of(BLOCK)
}

fn convolution_shared(height: usize, span: usize, ci: usize) -> usize {
    let rows = ((height + span) * (ci + 16) * 2).next_multiple_of(128);
    rows + 8 * 1024
}

/// A layer's weights as the tensor cores take them.
#[derive(Debug)]
struct Weights {
    /// `[taps][co][ci]`.
    forward: Array,
    /// `[taps][ci][co]`, the taps in reverse.
    backward: Array,
    /// `[co]` in f32.
    bias: Array,
}

/// The weights of all layers, by the place of each among all weights.
#[derive(Debug)]
pub(super) struct Packed(BTreeMap<usize, Weights>);

impl Packed {
    /// Of weights that lie side by side in f32 at `address`.
    pub fn new<M: Machine>(memory: &Memory<M>, plan: &Plan, address: u64) -> Result<Self> {
        let layers = plan.layers().into_iter().map(|layer| {
            let (ci, co) = (padded(layer.ci), padded(layer.co));
            let count = layer.taps * ci * co;
            let weights = Weights {
                forward: memory.halves(count)?,
                backward: memory.halves(count)?,
                bias: memory.take(4 * co)?,
            };
            let args = Args {
                values: address + 4 * layer.weight.start as u64,
                bias: address + 4 * layer.bias.start as u64,
                out: weights.forward.address,
                dfilm: weights.backward.address,
                dbias: weights.bias.address,
                taps: layer.taps as u32,
                ci: ci as u32,
                co: co as u32,
                real_ci: layer.ci as u32,
                real_co: layer.co as u32,
                ..Args::plain()
            };
            memory.machine.launch_flat(Kernel::Pack, count, args)?;
            Ok((layer.weight.start, weights))
        });
        Ok(Packed(layers.collect::<Result<_>>()?))
    }

    fn of(&self, layer: &Layer) -> Result<&Weights> {
        match self.0.get(&layer.weight.start) {
            Some(weights) => Ok(weights),
            None => candle_core::bail!("a layer at {} was not packed", layer.weight.start),
        }
    }
}

/// The input of a convolution: `[batch][rows * keep / repeat][channels]`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Source {
    x: u64,
    keep: usize,
    repeat: usize,
    /// Its number in `kernels.cu`, and what it takes.
    activation: (u32, u64),
}

impl Source {
    /// As it is.
    pub fn plain(x: &Array) -> Self {
        Source { x: x.address, keep: 1, repeat: 1, activation: (0, 0) }
    }

    /// Through a leaky ReLU.
    pub fn leaky(x: &Array) -> Self {
        Source { activation: (1, 0), ..Self::plain(x) }
    }

    /// Through a leaky ReLU, then a value a channel added, `[batch][channels]` in f32.
    pub fn leaky_plus(x: &Array, values: u64) -> Self {
        Source { activation: (2, values), ..Self::plain(x) }
    }

    /// Modulated, then through a leaky ReLU.
    pub fn film(x: &Array, film: &Array) -> Self {
        Source { activation: (3, film.address), ..Self::plain(x) }
    }

    /// Only every `keep`-th row.
    pub fn kept(self, keep: usize) -> Self {
        Source { keep, ..self }
    }

    /// Each row so many times.
    pub fn repeated(self, repeat: usize) -> Self {
        Source { repeat, ..self }
    }
}

impl<M: Machine> Pass<'_, M> {
    /// An array of `rows` rows a clip.
    pub fn rows(&self, rows: usize, channels: usize) -> Result<Array> {
        self.memory.halves(self.batch * rows * padded(channels))
    }

    /// A convolution; `finish` says what becomes of its sums beyond their bias.
    pub fn forward_into(
        &self,
        layer: &Layer,
        rows: usize,
        source: Source,
        finish: Args,
    ) -> Result<()> {
        let weights = self.packed.of(layer)?;
        let (w, bias) = (weights.forward.address, weights.bias.address);
        let channels = (padded(layer.ci), padded(layer.co));
        self.convolve(layer, channels, rows, source, Args { w, bias, ..finish })
    }

    /// The gradient of a layer's input, from that of its output.
    pub fn pull(&self, layer: &Layer, rows: usize, dy: &Array, finish: Args) -> Result<Array> {
        let out = self.rows(rows, layer.ci)?;
        let args = Args { w: self.packed.of(layer)?.backward.address, out: out.address, ..finish };
        let channels = (padded(layer.co), padded(layer.ci));
        let mirrored = Layer { left: layer.span() - layer.left, ..layer.clone() };
        self.convolve(&mirrored, channels, rows, Source::plain(dy), args)?;
        Ok(out)
    }

    fn convolve(
        &self,
        layer: &Layer,
        (ci, co): (usize, usize),
        rows: usize,
        source: Source,
        args: Args,
    ) -> Result<()> {
        let shared = |height| convolution_shared(height, layer.span(), ci);
        let suits = |&&(height, width, _): &&(usize, usize, Kernel)| {
            let tall = height <= 32 || (rows > 160 && (height <= 128 || rows >= 1000));
            tall && (width >= co || width > 32) && shared(height) <= MOST_SHARED
        };
        let flat = SHAPES[SHAPES.len() - 1];
        let (height, width, kernel) = *SHAPES.iter().find(suits).unwrap_or(&flat);
        let grid = [(self.batch * rows.div_ceil(height)) as u32, co.div_ceil(width) as u32];
        let args = Args { ci: ci as u32, co: co as u32, ..self.input(layer, rows, source, args) };
        self.memory.machine.launch(kernel, grid, shared(height), args)
    }

    /// Adds the gradients of a layer's weights and biases to those of all weights, in f32 at `gradient`.
    pub fn weights(
        &self,
        layer: &Layer,
        rows: usize,
        source: Source,
        dy: &Array,
        gradient: u64,
    ) -> Result<()> {
        let (ci, co) = (padded(layer.ci), padded(layer.co));
        let (mut block_ci, mut block_co) = ((ci / BLOCK).min(4), (co / BLOCK).min(4));
        while layer.taps * block_ci * block_co > MOST_TILES {
            if block_co > 1 { block_co /= 2 } else { block_ci /= 2 }
        }
        let tile_rows = [128, 64].into_iter().find(|height| *height <= rows).unwrap_or(32);
        let blocks = (ci / BLOCK).div_ceil(block_ci) * (co / BLOCK).div_ceil(block_co);
        // Some four blocks a multiprocessor of a large GPU: fewer leave it idle, more add up more often.
        let tiles = self.batch * rows.div_ceil(tile_rows);
        let grid = [tiles.min((528 / blocks).max(1)) as u32, blocks as u32];
        let xs = ((tile_rows + layer.span()) * (block_ci + 1) * BLOCK).next_multiple_of(64);
        let staged = 2 * (xs + tile_rows * (block_co + 1) * BLOCK);
        let summed = 1024 * layer.taps * block_ci * block_co;
        let args = Args {
            dy: dy.address,
            dw: gradient + 4 * layer.weight.start as u64,
            dbias: gradient + 4 * layer.bias.start as u64,
            ci: ci as u32,
            co: co as u32,
            real_ci: layer.ci as u32,
            real_co: layer.co as u32,
            tile_rows: tile_rows as u32,
            block_ci: block_ci as u32,
            block_co: block_co as u32,
            ..self.input(layer, rows, source, Args::plain())
        };
        self.memory.machine.launch(Kernel::WeightGradient, grid, staged.max(summed), args)
    }

    fn input(&self, layer: &Layer, rows: usize, source: Source, args: Args) -> Args {
        Args {
            x: source.x,
            aux: source.activation.1,
            activation: source.activation.0,
            keep: source.keep as u32,
            repeat: source.repeat as u32,
            batch: self.batch as u32,
            rows: rows as u32,
            taps: layer.taps as u32,
            dilation: layer.dilation as u32,
            left: layer.left as i32,
            ..args
        }
    }
}
