//! The samplers by name.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// The rule from one level to the next. Its name, as in `--sampler` and in JSON, is given in
/// brackets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum SamplerKind {
    /// WaveGrad's Algorithm 2: the posterior of Ho et al. 2020, noise at every step but the last
    /// (`ancestral`).
    #[default]
    Ancestral,
    /// DDIM (Song et al. 2021, eq. 12 and 16): `eta` 0 adds no noise, 1 is ancestral (`ddim` for 0,
    /// `ddim:ETA`).
    Ddim {
        /// Share of the ancestral noise, 0 to 1.
        eta: f64,
    },
    /// DPM-Solver++(2M) (Lu et al. 2022, algorithm 2): second order, no noise (`dpm++2m`).
    DpmSolver2m,
    /// SDE-DPM-Solver++(2M) (Lu et al. 2022, appendix): second order, with noise (`sde-dpm++2m`).
    /// `sde-dpm++2m:ETA` draws more or less of it, without a change of the distribution that is sampled
    /// (`eta` in `sample_dpmpp_2m_sde` of crowsonkb/k-diffusion): with 0 it is `dpm++2m`, with 1 Lu et
    /// al.'s.
    SdeDpmSolver2m {
        /// Share of the noise's variance, 0 to 2.
        eta: f64,
    },
    /// The posterior of Ho et al. 2020 (eq. 7) with a variance of its own: beta_tilde^(1-v) beta^v
    /// (Nichol & Dhariwal 2021, eq. 15). At `v` 0 it is ancestral (`ddpm`), at 1 the variance is
    /// beta (`ddpm:1`), right for data of unit variance; between, `ddpm:V`.
    Ddpm {
        /// 0 to 1.
        v: f64,
    },
    /// The probability-flow ODE of Song et al. 2021 (eq. 13), as dx/dl, by Euler's method, for
    /// comparison (`euler`): Euler's method in sigma/alpha is DDIM.
    Euler,
    /// The same ODE in sigma/alpha by Heun's method (Karras et al. 2022, algorithm 1): second order,
    /// two runs of the network a step but for the last, 2 N - 1 in all (`heun`).
    Heun,
    /// Ancestral steps as predictor, each but the last followed by one Langevin step as corrector
    /// (Song et al. 2021, algorithms 3 and 5), 2 N - 1 runs of the network in all (`pc` for a
    /// signal-to-noise ratio of 0.16, `pc:R`).
    PredictorCorrector {
        /// Their r, above 0 and at most 0.5.
        ratio: f64,
    },
    /// Multistep consistency sampling (Song et al. 2023, arXiv 2303.01469, algorithm 1): each step trusts
    /// the predicted clean signal as it is, and noises it afresh to the next level (`consistency`). For
    /// voices that were distilled so; others want smaller steps than that.
    Consistency,
}

/// r of Song et al. 2021 for images (appendix G).
const DEFAULT_RATIO: f64 = 0.16;

impl SamplerKind {
    /// Runs of the network for a schedule of `steps` steps.
    pub fn evaluations(self, steps: usize) -> usize {
        match self.is_corrected() {
            true => (2 * steps).saturating_sub(1),
            false => steps,
        }
    }

    /// Whether a second run of the network corrects each step but the last.
    pub(super) fn is_corrected(self) -> bool {
        matches!(self, Self::Heun | Self::PredictorCorrector { .. })
    }

    /// Whether an evaluation uses the clean signal that the one before predicted.
    pub(super) fn looks_back(self) -> bool {
        matches!(self, Self::DpmSolver2m | Self::SdeDpmSolver2m { .. } | Self::Heun)
    }
}

impl fmt::Display for SamplerKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ancestral => f.write_str("ancestral"),
            Self::Ddim { eta } if *eta == 0.0 => f.write_str("ddim"),
            Self::Ddim { eta } => write!(f, "ddim:{eta}"),
            Self::DpmSolver2m => f.write_str("dpm++2m"),
            Self::SdeDpmSolver2m { eta } if *eta == 1.0 => f.write_str("sde-dpm++2m"),
            Self::SdeDpmSolver2m { eta } => write!(f, "sde-dpm++2m:{eta}"),
            Self::Ddpm { v } if *v == 0.0 => f.write_str("ddpm"),
            Self::Ddpm { v } => write!(f, "ddpm:{v}"),
            Self::Euler => f.write_str("euler"),
            Self::Heun => f.write_str("heun"),
            Self::PredictorCorrector { ratio } if *ratio == DEFAULT_RATIO => f.write_str("pc"),
            Self::PredictorCorrector { ratio } => write!(f, "pc:{ratio}"),
            Self::Consistency => f.write_str("consistency"),
        }
    }
}

impl FromStr for SamplerKind {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        let unknown = || {
            Error::mismatch(
                "sampler",
                "ancestral, ddim, ddim:ETA (ETA from 0 to 1), dpm++2m, sde-dpm++2m, sde-dpm++2m:ETA \
                 (ETA from 0 to 2), ddpm, ddpm:V (V from 0 to 1), euler, heun, pc, pc:R (R above 0, at \
                 most 0.5) or consistency",
                name,
            )
        };
        let (rule, number) = match name.split_once(':') {
            Some((rule, number)) => (rule, Some(number.parse::<f64>().map_err(|_| unknown())?)),
            None => (name, None),
        };
        let unit = |number: Option<f64>| {
            let number = number.unwrap_or(0.0);
            if (0.0..=1.0).contains(&number) { Ok(number) } else { Err(unknown()) }
        };
        match (rule, number) {
            ("ancestral", None) => Ok(Self::Ancestral),
            ("ddim", eta) => Ok(Self::Ddim { eta: unit(eta)? }),
            ("dpm++2m", None) => Ok(Self::DpmSolver2m),
            ("sde-dpm++2m", eta) => match eta.unwrap_or(1.0) {
                eta if (0.0..=2.0).contains(&eta) => Ok(Self::SdeDpmSolver2m { eta }),
                _ => Err(unknown()),
            },
            ("ddpm", v) => Ok(Self::Ddpm { v: unit(v)? }),
            ("euler", None) => Ok(Self::Euler),
            ("heun", None) => Ok(Self::Heun),
            ("consistency", None) => Ok(Self::Consistency),
            ("pc", ratio) => match ratio.unwrap_or(DEFAULT_RATIO) {
                ratio if ratio > 0.0 && ratio <= 0.5 => Ok(Self::PredictorCorrector { ratio }),
                _ => Err(unknown()),
            },
            _ => Err(unknown()),
        }
    }
}

impl TryFrom<String> for SamplerKind {
    type Error = Error;

    fn try_from(name: String) -> Result<Self> {
        name.parse()
    }
}

impl From<SamplerKind> for String {
    fn from(kind: SamplerKind) -> Self {
        kind.to_string()
    }
}
