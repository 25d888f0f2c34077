//! What the worker tells whoever watches: numbers by atomics, frames by a lock-free queue.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};

/// What a player is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum Status {
    /// The voice is on its way; the dry sound passes.
    Loading = 0,
    /// Sound is rendered.
    Running = 1,
    /// Nobody hears the wet sound, so none is computed.
    Resting = 2,
    /// Nothing can be rendered, [`Telemetry::message`] says why; the dry sound passes.
    Failed = 3,
    /// An offline render waited for longer than its limit.
    TimedOut = 4,
}

/// Shared by the audio thread, the worker and the editor. Any thread may read; nothing waits but
/// [`Telemetry::message`], which the audio thread leaves alone.
#[derive(Debug)]
pub struct Telemetry {
    status: AtomicU32,
    load: AtomicU32,
    late: AtomicU64,
    dropped: AtomicU64,
    chunks: AtomicU64,
    latency: AtomicU32,
    rate: AtomicU32,
    steps: AtomicU32,
    peaks: [AtomicU32; 2],
    levels: [AtomicU32; crate::MAX_STEPS + 1],
    message: Mutex<String>,
}

impl Default for Telemetry {
    fn default() -> Self {
        Self {
            status: AtomicU32::default(),
            load: AtomicU32::default(),
            late: AtomicU64::default(),
            dropped: AtomicU64::default(),
            chunks: AtomicU64::default(),
            latency: AtomicU32::default(),
            rate: AtomicU32::default(),
            steps: AtomicU32::default(),
            peaks: Default::default(),
            levels: std::array::from_fn(|_| AtomicU32::default()),
            message: Mutex::default(),
        }
    }
}

impl Telemetry {
    /// What is being done.
    pub fn status(&self) -> Status {
        match self.status.load(Relaxed) {
            1 => Status::Running,
            2 => Status::Resting,
            3 => Status::Failed,
            4 => Status::TimedOut,
            _ => Status::Loading,
        }
    }

    /// Seconds of computing per second of audio (RTF), averaged over about a second. The worker has one
    /// thread for it, so 1 is its limit.
    pub fn load(&self) -> f32 {
        f32::from_bits(self.load.load(Relaxed))
    }

    /// Chunks that were not there in time; the listener heard the dry sound instead.
    pub fn late(&self) -> u64 {
        self.late.load(Relaxed)
    }

    /// Chunks of input that found the queue full.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Relaxed)
    }

    /// Chunks that were due so far, late ones among them.
    pub fn chunks(&self) -> u64 {
        self.chunks.load(Relaxed)
    }

    /// Latency in samples of the host.
    pub fn latency(&self) -> u32 {
        self.latency.load(Relaxed)
    }

    /// The host's sample rate in Hz.
    pub fn rate(&self) -> u32 {
        self.rate.load(Relaxed)
    }

    /// Steps that are really taken: fewer than asked for after sustained overload.
    pub fn steps(&self) -> u32 {
        self.steps.load(Relaxed)
    }

    /// Peaks of input and output since the last reading, of full scale; reading resets them.
    pub fn take_peaks(&self) -> [f32; 2] {
        [0, 1].map(|i| f32::from_bits(self.peaks[i].swap(0, Relaxed)))
    }

    /// The noise levels of the schedule in use, the first first.
    pub fn levels(&self) -> Vec<f32> {
        let count = (self.levels[0].load(Relaxed) as usize).min(crate::MAX_STEPS);
        self.levels[1..=count].iter().map(|bits| f32::from_bits(bits.load(Relaxed))).collect()
    }

    /// Why nothing is rendered, or that something else than asked for is; empty when all is well.
    pub fn message(&self) -> String {
        self.message.lock().map_or_else(|poisoned| poisoned.into_inner().clone(), |m| m.clone())
    }

    pub(crate) fn set_status(&self, status: Status) {
        self.status.store(status as u32, Relaxed);
    }

    pub(crate) fn set_load(&self, load: f32) {
        self.load.store(load.to_bits(), Relaxed);
    }

    pub(crate) fn set_place(&self, rate: u32, latency: u32) {
        self.rate.store(rate, Relaxed);
        self.latency.store(latency, Relaxed);
    }

    pub(crate) fn set_levels(&self, levels: &[f64]) {
        let count = levels.len().min(crate::MAX_STEPS);
        for (to, from) in self.levels[1..].iter().zip(levels) {
            to.store((*from as f32).to_bits(), Relaxed);
        }
        self.levels[0].store(count as u32, Relaxed);
        self.steps.store(count as u32, Relaxed);
    }

    pub(crate) fn set_message(&self, message: impl Into<String>) {
        let message = message.into();
        match self.message.lock() {
            Ok(mut old) => *old = message,
            Err(poisoned) => *poisoned.into_inner() = message,
        }
    }

    pub(crate) fn count_chunk(&self, late: bool) {
        self.chunks.fetch_add(1, Relaxed);
        if late {
            self.late.fetch_add(1, Relaxed);
        }
    }

    pub(crate) fn count_dropped(&self) {
        self.dropped.fetch_add(1, Relaxed);
    }

    /// `which` is 0 for input, 1 for output. Positive floats order as their bits do.
    pub(crate) fn raise_peak(&self, which: usize, peak: f32) {
        self.peaks[which].fetch_max(peak.abs().to_bits(), Relaxed);
    }
}
