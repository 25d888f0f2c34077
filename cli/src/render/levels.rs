//! The noise levels of a rendering: a file's, a name's or the voice's own.

use std::path::PathBuf;

use anyhow::Result;
use vocoder::sampler::SamplerKind;
use vocoder::schedule::{FIRST_LEVEL, Schedule};
use vocoder::start::Start;
use vocoder::voice::Voice;

use super::{DEFAULT_STEPS, How};
use crate::failure::usage;

/// The noise levels that `how` asks for.
pub(super) fn schedule(
    how: &How,
    start: Start,
    sampler: SamplerKind,
    voice: &Voice,
) -> Result<Schedule> {
    let steps = how.steps.unwrap_or_else(|| voice.default_steps(DEFAULT_STEPS));
    let Some(name) = &how.schedule else {
        return Ok(match start {
            _ if start == voice.start => voice.schedule(steps)?,
            // A level that is asked for is where the chain begins.
            Start::GriffinLim { level, .. } => Schedule::plain(steps, level)?,
            // Levels beside the voice's own are for the sampler beside its own.
            _ if sampler == voice.sampler_from(start) => voice.schedule_from(start, steps)?,
            Start::Noise | Start::Given => Schedule::plain(steps, FIRST_LEVEL)?,
        });
    };
    if vocoder::schedule::NAMES.contains(&name.as_str()) {
        let schedule = Schedule::named(name, steps)?;
        return Ok(match start {
            Start::Noise | Start::Given => schedule,
            Start::GriffinLim { level, .. } => schedule.tie_to_prior(level)?,
        });
    }
    let path = PathBuf::from(name);
    if !path.is_file() {
        let names = vocoder::schedule::NAMES.join(", ");
        return Err(usage(format!("--schedule {name}: expected a file or one of {names}")));
    }
    let schedule = Schedule::read(&path)?;
    match how.steps {
        Some(steps) if steps != schedule.steps() => Err(usage(format!(
            "--steps {steps}: the schedule in {name} has {} steps",
            schedule.steps()
        ))),
        _ => Ok(schedule),
    }
}
