//! Everybody else's schedules: what a learned one is compared with, and starts its search from.

use vocoder::Result;
use vocoder::schedule::{FIRST_LEVEL, NAMES, PUBLISHED, Schedule};
use vocoder::start::Start;

/// The schedules of `steps` steps that go by a name, and the published lists of as many, each with its
/// name. From noise the lists are there twice: as they are, which tells the network of signal that is
/// not there, and tied to the prior. From Griffin-Lim's sound all are tied to its level, and those are left
/// out whose next level lies below it.
///
/// # Errors
/// A list that is no schedule; more steps than a schedule can have.
pub fn rivals(steps: usize, start: Start) -> Result<Vec<(String, Schedule)>> {
    let mut all = Vec::new();
    for name in NAMES {
        // Fibonacci's betas pass 1 after 29 steps.
        let Ok(schedule) = Schedule::named(name, steps) else { continue };
        all.push((name.to_string(), schedule));
    }
    for list in PUBLISHED.iter().filter(|list| list.betas.len() == steps) {
        let schedule = list.schedule()?;
        if start == Start::Noise {
            all.push((list.name.to_string(), schedule.clone()));
        }
        all.push((format!("{}, tied", list.name), schedule.tie_to_prior(FIRST_LEVEL)?));
    }
    if let Start::GriffinLim { level, .. } = start {
        let tied =
            |(name, schedule): (_, Schedule)| Some((name, schedule.tie_to_prior(level).ok()?));
        all = all.into_iter().filter_map(tied).collect();
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn lists_of_as_many_steps_are_there_as_they_are_and_tied() {
        let from_noise = rivals(6, Start::Noise).unwrap();
        // Five names, and four lists twice.
        assert_eq!(from_noise.len(), 13);
        assert!(from_noise.iter().all(|(_, schedule)| schedule.steps() == 6));
        let tied = from_noise.iter().filter(|(name, _)| name.ends_with(", tied"));
        assert!(tied.clone().all(|(_, s)| (s.levels()[0] - FIRST_LEVEL).abs() < 1e-9));
        assert_eq!(tied.count(), 4);
        let start = Start::GriffinLim { level: 0.9, iterations: 32 };
        let held = rivals(6, start).unwrap();
        assert!(held.iter().all(|(_, s)| (s.levels()[0] - 0.9).abs() < 1e-9));
        assert_eq!(held.len(), 9);
        // The second of two linear levels is 0.53.
        assert!(rivals(2, start).unwrap().iter().all(|(name, _)| name != "linear"));
        assert_eq!(rivals(30, Start::Noise).unwrap().len(), 4);
    }
}
