//! A host, a worker and a clock that only the test moves.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use vocoder::{Error, Result};

use crate::bridge::Bridge;
use crate::chunk::Chunk;
use crate::model::Model;
use crate::player::{Setup, connect};
use crate::timing::Timing;
use crate::worker::Worker;
use crate::{Controls, Quality, Telemetry};

pub const RATE: u32 = 48_000;

/// Gives each sample back with its sign changed, `delay` samples after it came: wet is told from dry, and
/// its place can be checked to the sample.
pub struct Negation {
    delay: usize,
    kept: Vec<Vec<f32>>,
    /// What the next pushes end in: `n`an, `e`rror, `p`anic, or `.` for nothing special.
    faults: Vec<char>,
    /// The clock, and by how much each push moves it.
    clock: Arc<AtomicU64>,
    cost: Arc<AtomicU64>,
}

impl Negation {
    pub fn new(delay: usize, faults: &str) -> Box<Self> {
        let faults = faults.chars().rev().collect();
        let (clock, cost) = Default::default();
        Box::new(Self { delay, kept: Vec::new(), faults, clock, cost })
    }
}

impl Model for Negation {
    fn is_ready(&mut self, _chunk: &Chunk) -> bool {
        true
    }

    fn restart(&mut self) {
        self.kept.clear();
    }

    fn push(&mut self, chunk: &Chunk, out: &mut [Vec<f32>]) -> Result<()> {
        self.kept.resize(out.len(), Vec::new());
        for ((kept, out), samples) in self.kept.iter_mut().zip(out).zip(&chunk.channels) {
            kept.extend_from_slice(samples);
            let ready = kept.len().saturating_sub(self.delay);
            out.extend(kept.drain(..ready).map(|v| -v));
        }
        self.clock.fetch_add(self.cost.load(Ordering::Relaxed), Ordering::Relaxed);
        match self.faults.pop() {
            Some('n') => out_of(chunk),
            Some('e') => Err(Error::mismatch("test", "nothing", "an error")),
            Some('p') => panic!("a planted panic"),
            _ => Ok(()),
        }
    }
}

/// A value that is not finite reaches the worker as the renderer reports it.
fn out_of(chunk: &Chunk) -> Result<()> {
    Err(Error::mismatch(format!("chunk {}", chunk.sequence), "a finite value", f32::NAN))
}

/// A host, a worker and a clock that counts samples.
pub struct Bench {
    pub bridge: Bridge,
    pub worker: Worker,
    pub timing: Timing,
    pub telemetry: Arc<Telemetry>,
    /// Samples since the beginning.
    pub now: u64,
    /// When the chunks came that the worker has not dealt with.
    pub arrivals: std::collections::VecDeque<u64>,
    /// When the worker is through with what it has done.
    free_at: u64,
    /// The clock that the worker sees, in samples.
    seen: Arc<AtomicU64>,
    cost: Arc<AtomicU64>,
    pub played: Vec<f32>,
    pub heard: Vec<f32>,
}

pub fn setup(max_block: usize, quality: Quality) -> Setup {
    Setup { quality, ..Setup::of_input(RATE, max_block) }
}

impl Bench {
    pub fn new(max_block: usize, quality: Quality, delay: usize, faults: &str) -> Self {
        let setup = setup(max_block, quality);
        let timing = Timing::new(RATE, max_block, quality, 0.0125, delay);
        let telemetry = Arc::new(Telemetry::default());
        let model = Negation::new(delay, faults);
        let (seen, cost) = (model.clock.clone(), model.cost.clone());
        let clock = seen.clone();
        let clock = Box::new(move || clock.load(Ordering::Relaxed) as f64 / f64::from(RATE));
        let (bridge, worker) = connect(model, &setup, timing, telemetry.clone(), clock);
        Self {
            bridge,
            worker,
            timing,
            telemetry,
            now: 0,
            arrivals: Default::default(),
            free_at: 0,
            seen,
            cost,
            played: Vec::new(),
            heard: Vec::new(),
        }
    }

    /// The worker does what it can until now, each chunk taking `cost` samples.
    fn work(&mut self, cost: u64) {
        while let Some(&arrival) = self.arrivals.front() {
            let done = arrival.max(self.free_at) + cost;
            if done > self.now {
                return;
            }
            self.seen.store(done - cost, Ordering::Relaxed);
            self.cost.store(cost, Ordering::Relaxed);
            assert!(self.worker.run_one());
            self.free_at = done;
            self.arrivals.pop_front();
        }
    }

    /// A cycle of the sound card: `blocks` one after the other at the same time.
    pub fn cycle(&mut self, blocks: &[usize], cost: u64, controls: &Controls) {
        self.now += blocks.iter().sum::<usize>() as u64;
        self.work(cost);
        for &length in blocks {
            let first = self.played.len();
            let mut block: Vec<f32> = (first..first + length).map(sample).collect();
            self.played.extend_from_slice(&block);
            let (mix, gain) = (vec![1.0; length], vec![1.0; length]);
            let waiting = self.worker.inbox.slots();
            self.bridge.process(&mut [&mut block], controls, (&mix, &gain), &[], false);
            let sent = self.worker.inbox.slots() - waiting;
            self.arrivals.extend(std::iter::repeat_n(self.now, sent));
            self.heard.extend(block);
        }
    }

    /// How many heard samples are the wet one of their place, the dry one, and neither.
    pub fn kinds(&self) -> [usize; 3] {
        let latency = self.timing.latency;
        let mut kinds = [0; 3];
        for (heard, played) in self.heard[latency..].iter().zip(&self.played) {
            let kind = if *heard == -played {
                0
            } else if heard == played {
                1
            } else {
                2
            };
            kinds[kind] += 1;
        }
        assert!(self.heard[..latency].iter().all(|v| *v == 0.0));
        kinds
    }
}

/// No two samples near each other are equal, and none is 0.
pub fn sample(index: usize) -> f32 {
    0.1 + (index.wrapping_mul(2_654_435_761) >> 7 & 0xffff) as f32 / 100_000.0
}
