//! What a chain goes down by, sampler and levels, for each start that a voice knows.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Voice;
use crate::sampler::SamplerKind;
use crate::schedule::{FIRST_LEVEL, Schedule};
use crate::start::Start;
use crate::{Error, Result};

/// A sampler and the levels that were learned for it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Chain {
    /// The sampler.
    pub sampler: SamplerKind,
    /// By number of steps.
    pub schedules: BTreeMap<usize, Schedule>,
}

impl Voice {
    /// The schedule that was learned for a chain of `steps` steps from `start`.
    pub fn learned(&self, start: Start, steps: usize) -> Option<&Schedule> {
        match &self.from_noise {
            _ if start.shares_schedules(&self.start) => self.schedules.get(&steps),
            Some(chain) if start == Start::Noise => chain.schedules.get(&steps),
            _ => None,
        }
    }

    /// What a chain from pure noise goes down by: the voice's own sampler without levels, where it has
    /// learned none for that.
    pub fn chain_from_noise(&self) -> Chain {
        match &self.from_noise {
            _ if self.start == Start::Noise => {
                Chain { sampler: self.sampler, schedules: self.schedules.clone() }
            }
            Some(chain) => chain.clone(),
            None => Chain { sampler: self.sampler, schedules: BTreeMap::new() },
        }
    }

    /// The sampler for a chain from `start`: the voice's own, but from noise where it has another for that.
    pub fn sampler_from(&self, start: Start) -> SamplerKind {
        match &self.from_noise {
            Some(chain) if start == Start::Noise && self.start != Start::Noise => chain.sampler,
            _ => self.sampler,
        }
    }

    /// The voice's schedule for `steps` steps from `start`: a learned one where it has one, else log-SNR
    /// spaced from the start's level.
    ///
    /// # Errors
    /// A number of steps outside what a schedule can have.
    pub fn schedule_from(&self, start: Start, steps: usize) -> Result<Schedule> {
        match self.learned(start, steps) {
            Some(learned) => Ok(learned.clone()),
            None => match start {
                Start::Noise | Start::Given => Schedule::plain(steps, FIRST_LEVEL),
                Start::GriffinLim { level, .. } => Schedule::plain(steps, level),
            },
        }
    }

    /// As [`Voice::schedule_from`] the voice's own start.
    ///
    /// # Errors
    /// As [`Voice::schedule_from`].
    pub fn schedule(&self, steps: usize) -> Result<Schedule> {
        self.schedule_from(self.start, steps)
    }
}

/// Checks that each of `schedules` has as many steps as it is stored for.
pub(super) fn validate(schedules: &BTreeMap<usize, Schedule>) -> Result<()> {
    for (steps, schedule) in schedules {
        if schedule.steps() != *steps {
            let what = format!("schedule for {steps} steps");
            return Err(Error::mismatch(what, format!("{steps} levels"), schedule.steps()));
        }
    }
    Ok(())
}
