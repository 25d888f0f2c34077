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
    SdeDpmSolver2m,
}

impl SamplerKind {
    /// Whether a step uses the clean signal that the step before predicted.
    pub(super) fn looks_back(self) -> bool {
        matches!(self, Self::DpmSolver2m | Self::SdeDpmSolver2m)
    }
}

impl fmt::Display for SamplerKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ancestral => f.write_str("ancestral"),
            Self::Ddim { eta } if *eta == 0.0 => f.write_str("ddim"),
            Self::Ddim { eta } => write!(f, "ddim:{eta}"),
            Self::DpmSolver2m => f.write_str("dpm++2m"),
            Self::SdeDpmSolver2m => f.write_str("sde-dpm++2m"),
        }
    }
}

impl FromStr for SamplerKind {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        let unknown = || {
            Error::mismatch(
                "sampler",
                "ancestral, ddim, ddim:ETA (ETA from 0 to 1), dpm++2m or sde-dpm++2m",
                name,
            )
        };
        match name {
            "ancestral" => Ok(Self::Ancestral),
            "ddim" => Ok(Self::Ddim { eta: 0.0 }),
            "dpm++2m" => Ok(Self::DpmSolver2m),
            "sde-dpm++2m" => Ok(Self::SdeDpmSolver2m),
            _ => {
                let eta = name.strip_prefix("ddim:").ok_or_else(unknown)?;
                let eta = eta.parse().map_err(|_| unknown())?;
                if (0.0..=1.0).contains(&eta) { Ok(Self::Ddim { eta }) } else { Err(unknown()) }
            }
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
