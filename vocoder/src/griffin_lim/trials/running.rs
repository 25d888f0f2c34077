//! Trials under way: each begins as soon as those that it waits for have ended, and has others begin.

use std::ops::Range;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rayon::Scope;

use super::plan::{Plan, Progress};
use super::{Change, PASSABLE, SLACK, STIRRED, Tile, Trials, length};
use crate::griffin_lim::search::own;

/// Trials under way.
pub(super) struct Running<'a> {
    of: &'a Trials,
    plan: &'a Plan,
    state: Mutex<State<'a>>,
}

/// What they change.
pub(super) struct State<'a> {
    pub sound: Vec<f32>,
    pub misfits: Vec<f32>,
    progress: Progress<'a>,
}

/// What a worker is to try.
pub(super) struct Attempt<'a> {
    pub tile: &'a Tile,
    pub change: Change,
    /// Of the tile's frames.
    pub misfits: Vec<f32>,
    /// The most misfit that is kept.
    pub limit: f32,
}

impl<'a> Running<'a> {
    pub fn new(of: &'a Trials, plan: &'a Plan, sound: Vec<f32>, misfits: Vec<f32>) -> Self {
        let state = State { sound, misfits, progress: Progress::new(plan) };
        Self { of, plan, state: Mutex::new(state) }
    }

    /// Tries everything, on the threads of the rayon pool that it is called in, and gives the sound and its
    /// misfits.
    pub fn run(self) -> (Vec<f32>, Vec<f32>) {
        let ready = self.state().progress.ready();
        rayon::scope(|scope| self.start(ready, scope));
        let state = self.state.into_inner().unwrap_or_else(PoisonError::into_inner);
        (state.sound, state.misfits)
    }

    pub fn state(&self) -> MutexGuard<'_, State<'a>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn start<'s>(&'s self, ready: Vec<usize>, scope: &Scope<'s>) {
        for number in ready {
            scope.spawn(move |scope| self.start(self.trial(number), scope));
        }
    }

    /// Tries, and gives the numbers of the trials that have waited for it.
    pub fn trial(&self, number: usize) -> Vec<usize> {
        let tile = &self.plan.trials[number].tile;
        let found = own(&self.of.workers, |worker| {
            let attempt = {
                let state = self.state();
                let attempt = self.attempt(number, &state)?;
                worker.take(&state.sound, tile);
                attempt
            };
            worker.attempt(self.of, &attempt)
        });
        let mut state = self.state();
        if let Some(found) = found {
            state.sound[tile.samples.clone()].copy_from_slice(&found.samples);
            state.misfits[tile.frames.clone()].copy_from_slice(&found.misfits);
        }
        let misfit = state.misfits[tile.own.clone()].iter().sum();
        state.progress.end(number, misfit)
    }

    /// What to try; nothing where the tile is held or fits well.
    fn attempt(&self, number: usize, state: &State) -> Option<Attempt<'a>> {
        let trial = &self.plan.trials[number];
        let tile = &trial.tile;
        if tile.samples.is_empty() {
            return None;
        }
        let misfits = state.misfits[tile.frames.clone()].to_vec();
        if trial.sweep == 0 {
            return Some(Attempt { tile, change: Change::Nothing, misfits, limit: f32::INFINITY });
        }
        let misfit: f32 = misfits.iter().sum();
        let mean = state.progress.misfit_before(trial.sweep) / state.misfits.len() as f32;
        let stream = ((trial.sweep as u64) << 32) | trial.index as u64;
        let change = if trial.sweep % 2 == 1 {
            Change::Turn { stream }
        } else {
            Change::Stir { frames: worst(&tile.frames, &misfits), stream }
        };
        let slack = SLACK * (1.0 - trial.sweep as f32 / self.plan.last() as f32);
        let bad = misfit > PASSABLE * mean * length(trial.sweep) as f32;
        bad.then_some(Attempt { tile, change, misfits, limit: misfit * (1.0 + slack) })
    }
}

/// The frames to stir: those about the one of `frames` that fits worst.
fn worst(frames: &Range<usize>, misfits: &[f32]) -> Range<usize> {
    let half = STIRRED / 2;
    let inner = half..misfits.len().saturating_sub(half);
    let worst =
        inner.max_by(|a, b| misfits[*a].total_cmp(&misfits[*b])).unwrap_or(misfits.len() / 2);
    let worst = frames.start + worst;
    worst.saturating_sub(half).max(frames.start)..(worst + half).min(frames.end)
}
