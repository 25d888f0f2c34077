//! The network on CPUs, for rendering: exact in pieces, and as fast as we know how.
//!
//! [`Network`](crate::network::Network) defines what is computed; this computes the same from the same
//! config and weights, with these differences:
//!
//! - **Every row once.** All steps of the chain run side by side, as a cascade: what a step has
//!   predicted feeds the next one, and every layer of every step keeps the few rows that its later
//!   outputs will read (`engine/pass.rs`). Whatever the pieces in which a clip arrives, and whether it ever
//!   ends, nothing is computed twice and memory does not grow.
//! - **Once for all steps** what depends on the mel alone.
//! - **Fewer multiplications**: Winograd's convolutions of three taps (`kernel/winograd.rs`), repetition folded
//!   into the convolution after it (`engine/expand.rs`).
//! - **One pass over memory** a convolution: what comes before it (activation, keeping one row in n) is
//!   done while its input is packed, what comes after it (bias, residual, modulation, activation) while
//!   its sums lie in the first-level cache (`engine/conv.rs`).
//! - **Products of fewer bits**, where the processor is faster in them: bf16 or whole numbers.

mod cascade;
mod conv;
mod expand;
mod guided;
mod isa;
mod line;
mod net;
mod pass;

pub use isa::{ISA_VARIABLE, Isa};

use std::fmt;
use std::str::FromStr;

use crate::config::{ModelConfig, Prediction, Resampling};
use crate::guidance::Guidance;
use crate::kernel::panel;
use crate::network::Weights;
use crate::sampler::Sampler;
use crate::{Error, Result};
use cascade::{Cascade, Steps};
use net::Net;

/// In which precision products are computed. Sums, and what passes between layers, are f32.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Precision {
    /// The fastest on this processor: int8, int16 or f32.
    #[default]
    Auto,
    /// Single precision: equal to the network on any device within 1e-4.
    F32,
    /// 8 significant bits.
    Bf16,
    /// Whole numbers: 12 bits and a sign of each row's largest input, up to 15 of each column's largest
    /// weight.
    Int16,
    /// Whole numbers of 7 bits and a sign, of each row's largest input or sum of inputs, and of each column's
    /// largest weight.
    Int8,
}

impl Precision {
    /// What [`Precision::Auto`] is on `isa`; others are what they are.
    pub fn on(self, isa: Isa) -> Self {
        match self {
            Self::Auto if isa.prefers_int8() => Self::Int8,
            Self::Auto if isa.prefers_int16() => Self::Int16,
            Self::Auto => Self::F32,
            chosen => chosen,
        }
    }
}

impl FromStr for Precision {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        match name {
            "auto" => Ok(Self::Auto),
            "f32" => Ok(Self::F32),
            "bf16" => Ok(Self::Bf16),
            "int16" => Ok(Self::Int16),
            "int8" => Ok(Self::Int8),
            _ => Err(Error::mismatch("precision", "auto, f32, bf16, int16 or int8", name)),
        }
    }
}

impl fmt::Display for Precision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Auto => "auto",
            Self::F32 => "f32",
            Self::Bf16 => "bf16",
            Self::Int16 => "int16",
            Self::Int8 => "int8",
        })
    }
}

/// A chain that is ready to run. Threads are those of the rayon pool that it is called in.
pub struct Engine {
    steps: Box<dyn Steps>,
    precision: Precision,
    isa: Isa,
}

/// A clip's next piece. See [`Engine::push`].
pub struct Piece<'a> {
    /// New frames of mel, `[frames][n_mels]`.
    pub mel: &'a [f32],
    /// New samples of the chain's start (whitened), a whole number of hops.
    pub start: &'a [f32],
    /// The prior's deviation of these samples, which the sampler's clipping needs; empty for 1.
    pub deviation: &'a [f32],
    /// No piece will follow.
    pub ended: bool,
}

impl Engine {
    /// Whether it has the layers of `config`. Networks that it has not are rendered by their definition.
    pub fn knows(config: &ModelConfig) -> bool {
        config.resampling == Resampling::Nearest
    }

    /// Packs `weights`, which must fit `config`, for the chain of `sampler`, whose noise is that of
    /// `seed`.
    ///
    /// # Errors
    /// A network that it [does not know](Engine::knows); weights that can't be read; [`ISA_VARIABLE`] names instructions that this machine lacks.
    pub fn new(
        config: &ModelConfig,
        weights: &Weights,
        precision: Precision,
        mut sampler: Sampler,
        seed: u64,
    ) -> Result<Self> {
        if !Self::knows(config) {
            return Err(Error::mismatch("engine", "a network of nearest resampling", "linear"));
        }
        if config.prediction == Prediction::Velocity {
            sampler.take_velocities();
        }
        let isa = Isa::detect()?;
        let precision = precision.on(isa);
        let steps: Box<dyn Steps> = match precision {
            Precision::Bf16 => {
                let net = Net::<half::bf16>::new(isa, config, weights)?;
                Box::new(Cascade::new(net, isa, sampler, seed))
            }
            Precision::Int16 => {
                let net = Net::<i16>::new(isa, config, weights)?;
                Box::new(Cascade::new(net, isa, sampler, seed))
            }
            Precision::Int8 => {
                let net = Net::<i8>::new(isa, config, weights)?;
                Box::new(Cascade::new(net, isa, sampler, seed))
            }
            Precision::F32 | Precision::Auto => {
                let net = Net::<f32>::new(isa, config, weights)?;
                Box::new(Cascade::new(net, isa, sampler, seed))
            }
        };
        Ok(Engine { steps, precision, isa })
    }

    /// Follows `guidance` from the next clip on: with one, every step is computed twice.
    pub fn guide(&mut self, guidance: Option<Guidance>) {
        self.steps.guide(guidance);
        self.steps.reset();
    }

    /// What [`Precision::Auto`] has become.
    pub fn precision(&self) -> Precision {
        self.precision
    }

    /// The instructions that it uses.
    pub fn isa(&self) -> Isa {
        self.isa
    }

    /// Takes a piece, and returns the samples (whitened) that are finished by now, which the next call
    /// overwrites. `observe` is called after each step; if it says false, the rest is left out and the
    /// engine must be [reset](Engine::reset).
    ///
    /// # Errors
    /// [`Error::Stopped`].
    pub fn push(&mut self, piece: Piece<'_>, observe: &mut dyn FnMut() -> bool) -> Result<&[f32]> {
        self.steps.push(piece, observe)
    }

    /// Scales the noise that is drawn between steps from now on.
    pub fn set_temperature(&mut self, temperature: f32) {
        self.steps.set_temperature(temperature);
    }

    /// Forgets the clip.
    pub fn reset(&mut self) {
        self.steps.reset();
    }

    /// Bytes of weights and of rows that are kept.
    pub fn bytes(&mut self) -> usize {
        self.steps.bytes()
    }
}

/// Operations a second, in units of 1e9, that one thread reaches in the kernels' innermost loop on data
/// in the first-level cache: what [`Precision`] can give on this machine.
pub fn peak_gflops(precision: Precision, isa: Isa) -> f64 {
    match precision.on(isa) {
        Precision::Bf16 => panel::peak_gflops::<half::bf16>(isa),
        Precision::Int16 => panel::peak_gflops::<i16>(isa),
        Precision::Int8 => panel::peak_gflops::<i8>(isa),
        Precision::F32 | Precision::Auto => panel::peak_gflops::<f32>(isa),
    }
}
