//! Which convolution reads and writes where, and where its weights lie.

use crate::config::{ModelConfig, Padding};
use crate::kernel::ConvShape;
use std::collections::BTreeMap;
use std::ops::Range;

/// A convolution of the network.
#[derive(Debug, Clone)]
pub(in crate::network) struct Layer {
    /// Its weight and, right behind it, its bias among all weights of the network.
    pub weight: Range<usize>,
    pub bias: Range<usize>,
    pub taps: usize,
    pub ci: usize,
    pub co: usize,
    pub dilation: usize,
    /// Rows that an output row reads before its own.
    pub left: usize,
}

impl Layer {
    /// Its shape on signals of so many rows.
    pub fn shape(&self, batch: usize, rows: usize) -> ConvShape {
        let Layer { taps, ci, co, dilation, left, .. } = *self;
        ConvShape { batch, rows, ci, co, taps, dilation, left }
    }

    /// Rows that an output row reads besides one.
    #[cfg(any(feature = "cuda", all(test, feature = "cuda-emulated")))]
    pub fn span(&self) -> usize {
        self.dilation * (self.taps - 1)
    }

    /// Whether a repetition before the layer can be folded into it: `engine/expand.rs`.
    pub fn folds(&self) -> bool {
        self.dilation == 1 && self.taps == 3
    }

    /// The layer, of three taps one row apart, as products of single rows: see `expand.rs`.
    pub fn products(&self) -> Self {
        Layer { taps: 1, co: 3 * self.co, left: 0, ..self.clone() }
    }
}

#[derive(Debug)]
pub(in crate::network) struct DownPlan {
    pub factor: usize,
    pub residual: Layer,
    pub convs: [Layer; 3],
}

#[derive(Debug)]
pub(in crate::network) struct FilmPlan {
    pub input: Layer,
    pub output: Layer,
}

#[derive(Debug)]
pub(in crate::network) struct UpPlan {
    pub factor: usize,
    pub residual: Layer,
    pub convs: [Layer; 4],
}

/// All layers, by block.
#[derive(Debug)]
pub(in crate::network) struct Plan {
    pub mel: Layer,
    pub stem: Layer,
    pub down: Vec<DownPlan>,
    pub film: Vec<FilmPlan>,
    pub up: Vec<UpPlan>,
    pub last: Layer,
    pub causal: bool,
    /// Samples of waveform per frame of mel.
    pub hop: usize,
    /// All weights and biases together.
    pub len: usize,
}

impl Plan {
    /// The network of `config`, its weights side by side in the order of
    /// [`ModelConfig::parameters`].
    pub fn new(config: &ModelConfig) -> Self {
        let causal = config.padding != Padding::Symmetric;
        let (mut places, mut len) = (BTreeMap::new(), 0);
        for parameter in config.parameters() {
            let end = len + parameter.shape.iter().product::<usize>();
            places.insert(parameter.name, (len..end, parameter.shape));
            len = end;
        }
        let layer = |name: String, dilation: usize| {
            let (weight, shape) = places[&format!("{name}.weight")].clone();
            let bias = places[&format!("{name}.bias")].0.clone();
            let span = dilation * (shape[0] - 1);
            let left = if causal { span } else { span / 2 };
            Layer { weight, bias, taps: shape[0], ci: shape[1], co: shape[2], dilation, left }
        };
        let down = config.down_factors().into_iter().enumerate().map(|(i, factor)| DownPlan {
            factor,
            residual: layer(format!("down.{i}.residual"), 1),
            convs: [0, 1, 2].map(|j| layer(format!("down.{i}.conv.{j}"), config.down_dilations[j])),
        });
        let film = (0..config.up.len()).map(|i| FilmPlan {
            input: layer(format!("film.{i}.input"), 1),
            output: layer(format!("film.{i}.output"), 1),
        });
        let up = config.factors.iter().zip(&config.up_dilations).enumerate();
        let up = up.map(|(i, (&factor, dilations))| UpPlan {
            factor,
            residual: layer(format!("up.{i}.residual"), 1),
            convs: [0, 1, 2, 3].map(|j| layer(format!("up.{i}.conv.{j}"), dilations[j])),
        });
        Plan {
            mel: layer("mel".into(), 1),
            stem: layer("stem".into(), 1),
            down: down.collect(),
            film: film.collect(),
            up: up.collect(),
            last: layer("last".into(), 1),
            causal,
            hop: config.hop(),
            len,
        }
    }

    /// Every layer once.
    #[cfg(any(feature = "cuda", all(test, feature = "cuda-emulated")))]
    pub fn layers(&self) -> Vec<&Layer> {
        let ends = [&self.mel, &self.stem, &self.last].into_iter();
        let down =
            self.down.iter().flat_map(|block| [&block.residual].into_iter().chain(&block.convs));
        let film = self.film.iter().flat_map(|module| [&module.input, &module.output]);
        let up = self.up.iter().flat_map(|block| [&block.residual].into_iter().chain(&block.convs));
        ends.chain(down).chain(film).chain(up).collect()
    }
}
