//! A schedule as JSON: the list of its levels, or with scales an object of both.

use serde::{Deserialize, Serialize};

use super::Schedule;
use crate::Error;

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
pub(super) enum Stored {
    Levels(Vec<f64>),
    Scaled(Scaled),
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Scaled {
    levels: Vec<f64>,
    scales: Vec<f64>,
}

impl TryFrom<Stored> for Schedule {
    type Error = Error;

    fn try_from(stored: Stored) -> Result<Self, Error> {
        match stored {
            Stored::Levels(levels) => Self::explicit(levels),
            Stored::Scaled(Scaled { levels, scales }) => Self::explicit(levels)?.scaled(scales),
        }
    }
}

impl From<Schedule> for Stored {
    fn from(schedule: Schedule) -> Self {
        let Schedule { levels, scales } = schedule;
        match scales.is_empty() {
            true => Self::Levels(levels),
            false => Self::Scaled(Scaled { levels, scales }),
        }
    }
}
