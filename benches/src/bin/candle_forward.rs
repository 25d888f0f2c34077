//! Seconds that one step takes in candle as it is: the whole network in candle's own operations on the
//! CPU (`conv1d`, `upsample_nearest1d`, `leaky_relu`), from the weights that `vocoder bench` gives the
//! preset. The result is compared with the network's definition before it is timed.
//!
//! `CANDLE_NUM_THREADS=1 cargo run --release --bin candle_forward -- [PRESET] [SECONDS] [THREADS]`

use candle_core::{Device, Result, Tensor};
use std::time::Instant;
use vocoder::config::{LEAKY_SLOPE, ModelConfig};
use vocoder::network::{Network, Weights, encode_level, initial_weights};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const LEVEL: f64 = 0.7;
const RUNS: usize = 2;

fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let preset = arguments.first().map_or("quarter", String::as_str);
    let seconds: f64 = arguments.get(1).map_or(Ok(1.0), |text| text.parse())?;
    let threads: usize = arguments.get(2).map_or(Ok(1), |text| text.parse())?;
    rayon::ThreadPoolBuilder::new().num_threads(threads).build_global()?;

    let config = ModelConfig::preset(preset, 128)?;
    let weights = initial_weights(&config, 1)?;
    let frames = (seconds * 24000.0 / config.hop() as f64).round() as usize;
    let signal = Tensor::randn(0f32, 1.0, (1, frames * config.hop()), &Device::Cpu)?;
    let mel = Tensor::randn(0f32, 1.0, (1, frames, config.n_mels), &Device::Cpu)?;

    let candle = Candle { config: &config, weights: channels_first(&weights)? };
    let expected = Network::new(&config, &weights)?.forward(&signal, &mel, &[LEVEL])?;
    let difference = (candle.forward(&signal, &mel)? - &expected)?.abs()?.max_all()?;
    let scale = expected.abs()?.max_all()?.to_scalar::<f32>()?;
    let error = difference.to_scalar::<f32>()? / scale;
    // Rounding: both are f32, in another order.
    if error.is_nan() || error > 1e-4 {
        return Err(format!("candle's network differs from the definition by {error}").into());
    }

    let mut best = f64::MAX;
    for _ in 0..RUNS {
        let start = Instant::now();
        std::hint::black_box(candle.forward(&signal, &mel)?);
        best = best.min(start.elapsed().as_secs_f64());
    }
    println!("{best}");
    Ok(())
}

/// Kernels as candle's `conv1d` has them: from `[taps, ci, co]` to `[co, ci, taps]`.
fn channels_first(weights: &Weights) -> Result<Weights> {
    let turn = |(name, tensor): (&String, &Tensor)| {
        let turned = match tensor.rank() {
            3 => tensor.permute((2, 1, 0))?.contiguous()?,
            _ => tensor.reshape((1, tensor.elem_count(), 1))?,
        };
        Ok((name.clone(), turned))
    };
    weights.iter().map(turn).collect()
}

/// The network on signals `[1, channels, rows]`.
struct Candle<'a> {
    config: &'a ModelConfig,
    weights: Weights,
}

impl Candle<'_> {
    /// `signal` `[1, samples]` and `mel` `[1, frames, n_mels]` to `[1, samples]`.
    fn forward(&self, signal: &Tensor, mel: &Tensor) -> Result<Tensor> {
        let config = self.config;
        let mut wave = self.conv("stem", &signal.unsqueeze(1)?, 1)?;
        let factors = config.down_factors();
        let mut films = Vec::new();
        for i in 0..config.up.len() {
            films.push(self.film(i, &wave)?);
            if let Some(factor) = factors.get(i) {
                wave = self.down(i, &wave, *factor)?;
            }
        }
        let (shift, scale) = (f64::from(config.mel_shift), f64::from(config.mel_scale));
        let mel = mel.affine(scale, shift * scale)?.transpose(1, 2)?.contiguous()?;
        let mut x = self.conv("mel", &mel, 1)?;
        for (i, film) in films.iter().rev().enumerate() {
            x = self.up(i, &x, film)?;
        }
        self.conv("last", &x, 1)?.squeeze(1)
    }

    fn film(&self, i: usize, wave: &Tensor) -> Result<(Tensor, Tensor)> {
        let channels = wave.dim(1)?;
        let encoded = encode_level(&self.config.level, &[LEVEL], channels);
        let encoded = Tensor::from_vec(encoded, (1, channels, 1), &Device::Cpu)?;
        let hidden = leaky(&self.conv(&format!("film.{i}.input"), wave, 1)?)?;
        let both = self.conv(&format!("film.{i}.output"), &hidden.broadcast_add(&encoded)?, 1)?;
        let [shift, scale] = &both.chunk(2, 1)?[..] else {
            candle_core::bail!("expected a shift and a scale")
        };
        Ok((shift.clone(), scale.clone()))
    }

    fn down(&self, i: usize, x: &Tensor, factor: usize) -> Result<Tensor> {
        // Nearest neighbours, by which candle goes down, too.
        let x = x.upsample_nearest1d(x.dim(2)? / factor)?;
        let mut h = x.clone();
        for (j, dilation) in self.config.down_dilations.iter().enumerate() {
            h = self.conv(&format!("down.{i}.conv.{j}"), &leaky(&h)?, *dilation)?;
        }
        h + self.conv(&format!("down.{i}.residual"), &x, 1)?
    }

    fn up(&self, i: usize, x: &Tensor, (shift, scale): &(Tensor, Tensor)) -> Result<Tensor> {
        let rows = x.dim(2)? * self.config.factors[i];
        let dilations = self.config.up_dilations[i];
        let conv = |j: usize, x: &Tensor| self.conv(&format!("up.{i}.conv.{j}"), x, dilations[j]);
        let modulated = |h: &Tensor| leaky(&((h * scale)? + shift)?);
        let residual = self.conv(&format!("up.{i}.residual"), x, 1)?.upsample_nearest1d(rows)?;
        let h = conv(0, &leaky(x)?.upsample_nearest1d(rows)?)?;
        let h = (conv(1, &modulated(&h)?)? + residual)?;
        let y = conv(2, &modulated(&h)?)?;
        conv(3, &modulated(&y)?)? + h
    }

    fn conv(&self, name: &str, x: &Tensor, dilation: usize) -> Result<Tensor> {
        let weight = &self.weights[&format!("{name}.weight")];
        let padding = dilation * (weight.dim(2)? - 1) / 2;
        let y = x.conv1d(weight, padding, /* stride */ 1, dilation, /* groups */ 1)?;
        y.broadcast_add(&self.weights[&format!("{name}.bias")])
    }
}

fn leaky(x: &Tensor) -> Result<Tensor> {
    candle_nn::ops::leaky_relu(x, LEAKY_SLOPE)
}
