//! What the reverse chain starts from.
use crate::{Error, Result};
use serde::{Deserialize, Serialize};

/// What the chain starts from.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum PriorConfig {
    /// Unit noise at every sample (WaveGrad).
    Standard,
    /// Noise shaped by the mel's frame energy.
    Energy {
        /// Least deviation.
        floor: f32,
    },
}

impl PriorConfig {
    /// Checks the range.
    pub fn validate(&self) -> Result<()> {
        match self {
            PriorConfig::Energy { floor } if !(*floor > 0.0 && *floor <= 1.0) => {
                Err(Error::config("model.prior.energy.floor", format!("expected 0 to 1, got {floor}")))
            }
            _ => Ok(()),
        }
    }
}
