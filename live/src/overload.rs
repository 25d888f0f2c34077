//! Fewer steps when computing takes longer than the sound lasts.

/// Chunks over the limit, near enough in a row, that make an overload.
const PATIENCE: usize = 8;

/// How long it must have been quiet before one more step is tried again, in seconds.
const QUIET_S: f64 = 5.0;

/// Above this load steps are taken away, down to the target.
const LIMIT: f64 = 0.95;
const TARGET: f64 = 0.75;

/// Watches the load, and says how many steps it allows.
pub(crate) struct Overload {
    chunk_s: f64,
    load: f64,
    /// Steps that are allowed; none while all are.
    cap: Option<usize>,
    over: usize,
    quiet_s: f64,
    /// Waited for: the last chunk need not be in time.
    exempt: bool,
}

impl Overload {
    pub fn new(chunk_s: f64) -> Self {
        Self { chunk_s, load: 0.0, cap: None, over: 0, quiet_s: 0.0, exempt: false }
    }

    /// The steps to take where `asked` are asked for.
    pub fn limit(&mut self, asked: usize, waited_for: bool) -> usize {
        self.exempt = waited_for;
        if waited_for { asked } else { self.cap.map_or(asked, |cap| asked.min(cap)) }
    }

    /// Seconds of computing per second of sound, over about the last second.
    pub fn load(&self) -> f32 {
        self.load as f32
    }

    /// Learns that a chunk took `busy_s`. Returns what to say when the number of steps changes.
    pub fn take(&mut self, busy_s: f64, asked: usize) -> Option<String> {
        let load = busy_s / self.chunk_s;
        self.load += (load - self.load) * (self.chunk_s / 0.5).min(1.0);
        if self.exempt {
            return None;
        }
        let steps = self.cap.map_or(asked, |cap| cap.min(asked));
        self.over = if load > LIMIT { self.over + 1 } else { self.over.saturating_sub(1) };
        if self.over >= PATIENCE && steps > 1 {
            let cut = (steps as f64 * TARGET / load.max(self.load)) as usize;
            self.cap = Some(cut.clamp(1, steps - 1));
            (self.over, self.quiet_s) = (0, 0.0);
            return Some(format!("overload: {} of {asked} steps", cut.clamp(1, steps - 1)));
        }
        let cap = self.cap?;
        if cap >= asked {
            // Fewer steps are asked for now than are allowed.
            self.cap = None;
            return Some(String::new());
        }
        let next = self.load * (cap + 1) as f64 / cap as f64;
        self.quiet_s = if next < TARGET { self.quiet_s + self.chunk_s } else { 0.0 };
        if self.quiet_s < QUIET_S {
            return None;
        }
        self.quiet_s = 0.0;
        self.cap = (cap + 1 < asked).then_some(cap + 1);
        Some(self.cap.map_or(String::new(), |cap| format!("overload: {cap} of {asked} steps")))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// A worker that takes `per_step` of a chunk for each step.
    fn run(overload: &mut Overload, chunks: usize, per_step: f64) -> usize {
        let mut steps = 0;
        for _ in 0..chunks {
            steps = overload.limit(6, false);
            overload.take(steps as f64 * per_step * overload.chunk_s, 6);
        }
        steps
    }

    #[test]
    fn steps_fall_until_they_fit_and_rise_when_there_is_room() {
        let mut overload = Overload::new(0.025);
        assert_eq!(run(&mut overload, 100, 0.1), 6);
        // Three times over budget.
        let steps = run(&mut overload, 100, 0.5);
        assert_eq!(steps, 1);
        let steps = run(&mut overload, 100, 0.25);
        assert_eq!(steps, 1, "no haste");
        assert_eq!(run(&mut overload, 3000, 0.26), 2);
        assert_eq!(run(&mut overload, 3000, 0.05), 6);
        assert_eq!(overload.cap, None);
    }

    #[test]
    fn asking_for_fewer_steps_ends_the_overload_and_its_message() {
        let mut overload = Overload::new(0.025);
        run(&mut overload, 100, 0.5);
        assert_eq!(overload.cap, Some(1));
        assert_eq!(overload.limit(1, false), 1);
        assert_eq!(overload.take(0.001, 1), Some(String::new()));
        assert_eq!(overload.cap, None);
    }

    #[test]
    fn one_hiccup_changes_nothing_and_offline_nothing_does() {
        let mut overload = Overload::new(0.025);
        run(&mut overload, 10, 0.1);
        run(&mut overload, PATIENCE - 1, 0.5);
        assert_eq!(run(&mut overload, 1, 0.1), 6);
        let mut offline = Overload::new(0.025);
        for _ in 0..100 {
            assert_eq!(offline.limit(6, true), 6);
            assert_eq!(offline.take(1.0, 6), None);
        }
    }
}
