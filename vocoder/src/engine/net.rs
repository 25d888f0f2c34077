//! The network's weights as the engine runs them, built from the same config and tensors as
//! [`Network`](crate::network::Network).

use super::Isa;
use super::conv::{Arrival, Conv, Scratched};
use super::expand::Expand;
use crate::config::{ModelConfig, Padding};
use crate::network::{Weights, encode_level};
use crate::{Error, Result};

/// Packed weights in precision `T`. The outermost convolutions, which see and tell single samples,
/// stay in f32.
pub(super) struct Net<T> {
    pub config: ModelConfig,
    /// `None` for [`Padding::Symmetric`], else the look-ahead.
    pub look_ahead: Option<usize>,
    pub mel: Conv<f32>,
    pub stem: Conv<f32>,
    pub down: Vec<DownNet<T>>,
    pub film: Vec<FilmNet<T>>,
    pub up: Vec<UpNet<T>>,
    pub last: Last,
}

pub(super) struct DownNet<T> {
    pub factor: usize,
    pub residual: Conv<T>,
    pub convs: [Conv<T>; 3],
}

pub(super) struct FilmNet<T> {
    pub input: Conv<T>,
    pub output: Conv<T>,
}

pub(super) struct UpNet<T> {
    pub factor: usize,
    pub residual: Conv<T>,
    pub first: First<T>,
    pub convs: [Conv<T>; 3],
}

/// The first convolution of an upsampling block.
pub(super) enum First<T> {
    /// Folded with the repetition.
    Folded(Expand<T>),
    /// Over repeated rows: where there is no repetition, or other than three taps side by side.
    Plain(Conv<T>),
}

/// The convolution to a single channel: a dot product a sample.
pub(super) struct Last {
    pub ci: usize,
    pub left: usize,
    /// `[taps][ci]`.
    pub weights: Vec<f32>,
    pub bias: f32,
}

impl Last {
    pub fn ahead(&self) -> usize {
        self.weights.len() / self.ci - 1 - self.left
    }
}

impl<T: Scratched> Net<T> {
    /// Packs `weights`, which fit `config` ([`crate::network::Network::new`] has checked them).
    ///
    /// # Errors
    /// A tensor that can't be read.
    pub fn new(isa: Isa, config: &ModelConfig, weights: &Weights) -> Result<Self> {
        let causal = config.padding != Padding::Symmetric;
        let pack = Pack { isa, weights, causal, alone: causal && T::ROUNDED };
        let (mut film, mut down) = (Vec::new(), Vec::new());
        // Rows of a frame of mel, block by block.
        let mut rows: usize = config.factors.iter().product();
        let mut down_factors = config.down_factors().into_iter();
        for i in 0..config.factors.len() {
            film.push(FilmNet {
                input: pack.conv_of_rows(&format!("film.{i}.input"), 1, rows)?,
                output: pack.conv_of_rows(&format!("film.{i}.output"), 1, rows)?,
            });
            let Some(factor) = down_factors.next() else { break };
            rows /= factor;
            let conv = |j: usize| {
                pack.conv_of_rows::<T>(
                    &format!("down.{i}.conv.{j}"),
                    config.down_dilations[j],
                    rows,
                )
            };
            down.push(DownNet {
                factor,
                residual: pack.conv(&format!("down.{i}.residual"), 1)?,
                convs: [conv(0)?, conv(1)?, conv(2)?],
            });
        }
        let mut up = Vec::new();
        let mut rows = 1;
        for (i, (&factor, dilations)) in config.factors.iter().zip(&config.up_dilations).enumerate()
        {
            rows *= factor;
            let conv =
                |j: usize| pack.conv_of_rows::<T>(&format!("up.{i}.conv.{j}"), dilations[j], rows);
            up.push(UpNet {
                factor,
                residual: pack.conv(&format!("up.{i}.residual"), 1)?,
                first: if factor > 1 && dilations[0] == 1 && config.taps == 3 {
                    First::Folded(pack.expand(&format!("up.{i}.conv.0"), factor)?)
                } else {
                    First::Plain(conv(0)?)
                },
                convs: [conv(1)?, conv(2)?, conv(3)?],
            });
        }
        let (last, (taps, ci, _), bias) = pack.read("last")?;
        Ok(Net {
            look_ahead: match config.padding {
                Padding::Symmetric => None,
                Padding::Causal { look_ahead } => Some(look_ahead),
            },
            mel: pack.conv_of_rows("mel", 1, 1)?,
            stem: pack.conv("stem", 1)?,
            down,
            film,
            up,
            last: Last {
                ci,
                left: if pack.causal { taps - 1 } else { (taps - 1) / 2 },
                weights: last,
                bias: bias[0],
            },
            config: config.clone(),
        })
    }

    /// What each FiLM module adds for the noise level `level`.
    pub fn encode(&self, level: f64) -> Vec<Vec<f32>> {
        let encode = |film: &FilmNet<T>| encode_level(&self.config.level, &[level], film.input.co);
        self.film.iter().map(encode).collect()
    }

    /// Bytes of packed weights.
    pub fn bytes(&self) -> usize {
        let down = self
            .down
            .iter()
            .map(|d| d.residual.bytes() + d.convs.iter().map(Conv::bytes).sum::<usize>());
        let film = self.film.iter().map(|f| f.input.bytes() + f.output.bytes());
        let up = self.up.iter().map(|u| {
            let first = match &u.first {
                First::Folded(expand) => expand.products.bytes(),
                First::Plain(conv) => conv.bytes(),
            };
            first + u.residual.bytes() + u.convs.iter().map(Conv::bytes).sum::<usize>()
        });
        self.mel.bytes() + self.stem.bytes() + down.chain(film).chain(up).sum::<usize>()
    }
}

/// A weight `[taps, ci, co]`, its shape and the bias.
type Read = (Vec<f32>, (usize, usize, usize), Vec<f32>);

struct Pack<'a> {
    isa: Isa,
    weights: &'a Weights,
    causal: bool,
    /// What is rounded depends on no rows that come later: see [`Arrival::alone`].
    alone: bool,
}

impl Pack<'_> {
    fn read(&self, name: &str) -> Result<Read> {
        let tensor = |name: String| {
            self.weights
                .get(&name)
                .ok_or_else(|| Error::mismatch("weights", format!("`{name}`"), "no such tensor"))
        };
        let weight = tensor(format!("{name}.weight"))?;
        let shape = weight.dims3()?;
        let bias = tensor(format!("{name}.bias"))?;
        Ok((weight.flatten_all()?.to_vec1()?, shape, bias.to_vec1()?))
    }

    fn conv<U: Scratched>(&self, name: &str, dilation: usize) -> Result<Conv<U>> {
        self.conv_of_rows(name, dilation, usize::MAX)
    }

    /// A convolution of which there are `frame` rows a frame.
    fn conv_of_rows<U: Scratched>(
        &self,
        name: &str,
        dilation: usize,
        frame: usize,
    ) -> Result<Conv<U>> {
        let (weight, shape, bias) = self.read(name)?;
        let span = dilation * (shape.0 - 1);
        let left = if self.causal { span } else { span / 2 };
        let arrival = Arrival { frame, alone: self.alone };
        Ok(Conv::new(self.isa, shape, &weight, &bias, (dilation, left), arrival))
    }

    fn expand<U: Scratched>(&self, name: &str, factor: usize) -> Result<Expand<U>> {
        let (weight, (_, ci, co), bias) = self.read(name)?;
        Ok(Expand::new(self.isa, (ci, co), &weight, &bias, factor, self.causal))
    }
}
