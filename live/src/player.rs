//! A player: the audio thread's half, with its worker behind it.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use candle_core::Device;
use rtrb::RingBuffer;
use vocoder::engine::Precision;
use vocoder::mel::MelConfig;
use vocoder::voice::Voice;
use vocoder::{Error, Result};

use crate::bridge::{Bridge, Link};
use crate::chain::Chain;
use crate::chunk::Chunk;
use crate::clip::ClipMel;
use crate::loader::SlotMaker;
use crate::model::Model;
use crate::timing::Timing;
use crate::voices::load_voice;
use crate::watch::{Remote, watch};
use crate::worker::Worker;
use crate::{Compute, Controls, NoteEvent, Quality, Status, Telemetry, VoiceChoice};

/// Sample rates of the host that a player takes, in Hz: all that hosts offer, and what validators try.
pub const RATES: std::ops::RangeInclusive<u32> = 1_000..=1_536_000;

/// The longest block, in samples.
const LONGEST_BLOCK: usize = 1 << 20;

/// Boxes beyond those that the latency fills: so many chunks a worker may lag behind for a moment.
const SLACK: usize = 8;

/// Look-ahead that is reported where no voice can be read, in seconds; near that of the built-in one.
const LOOK_AHEAD_WITHOUT_VOICE_S: f64 = 0.043;

/// How long the worker sleeps at most; it is woken for each chunk.
const NAP: Duration = Duration::from_millis(20);

/// Where a player runs, and what it plays.
#[derive(Debug, Clone, PartialEq)]
pub struct Setup {
    /// Samples a second of the host.
    pub rate: u32,
    /// The longest block that the host announces; longer ones are cut.
    pub max_block: usize,
    /// 1 or 2. Of an input each channel has a network of its own, at twice the load.
    pub channels: usize,
    /// What latency is spent on.
    pub quality: Quality,
    /// Where the network is computed.
    pub compute: Compute,
    /// Of products on the CPU.
    pub precision: Precision,
    /// The voice.
    pub voice: VoiceChoice,
    /// Whether the audio thread waits for the worker: an offline render. See [`Player::set_wait`].
    pub wait: bool,
    /// What is played.
    pub source: Source,
}

impl Setup {
    /// One channel of the input at `rate` samples a second, in blocks of at most `max_block`: balanced, on
    /// the CPU, by the built-in voice, without waiting.
    pub fn of_input(rate: u32, max_block: usize) -> Self {
        Self {
            rate,
            max_block,
            channels: 1,
            quality: Quality::default(),
            compute: Compute::default(),
            precision: Precision::default(),
            voice: VoiceChoice::default(),
            wait: false,
            source: Source::Input,
        }
    }
}

/// What is made into mel.
#[derive(Debug, Clone, PartialEq)]
pub enum Source {
    /// The input's sound.
    Input,
    /// Notes on a clip, an audio or mel file; without one there is silence.
    Clip(Option<PathBuf>),
}

/// See [`Player::process`] for the audio thread; all else is for other threads.
pub struct Player {
    bridge: Bridge,
    wait: bool,
    // Dropped last: the worker ends, and is waited for.
    _thread: WorkerThread,
}

struct WorkerThread {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for WorkerThread {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            let _ = thread.join();
        }
    }
}

impl Player {
    /// Starts worker and loader. Not for the audio thread.
    ///
    /// A voice or clip that can't be read is no error: the dry sound passes with the latency of the default
    /// voice, and the telemetry says why. The second value reads the mels; there is none without a voice.
    ///
    /// # Errors
    /// A rate, block or number of channels out of range; no thread can be started.
    pub fn new(setup: &Setup, telemetry: Arc<Telemetry>) -> Result<(Self, Option<Remote>)> {
        check(setup)?;
        telemetry.set_status(Status::Loading);
        telemetry.set_message("");
        let of_input = setup.source == Source::Input;
        let (maker, trouble) = match maker(setup, of_input) {
            Ok((maker, notice)) => {
                telemetry.set_message(notice);
                (Some(maker), String::new())
            }
            Err(error) => (None, error.to_string()),
        };
        let (frame_s, look_ahead) = match &maker {
            Some(maker) => {
                (frame_s(&maker.voice.mel), Chain::look_ahead(maker, setup.rate, of_input))
            }
            None => (
                frame_s(&MelConfig::default()),
                (LOOK_AHEAD_WITHOUT_VOICE_S * f64::from(setup.rate)) as usize,
            ),
        };
        let timing = Timing::new(setup.rate, setup.max_block, setup.quality, frame_s, look_ahead);
        let mut remote = None;
        let model: Box<dyn Model> = match maker {
            Some(maker) => {
                let (watch, reader) = watch(&maker.voice.mel)?;
                remote = Some(reader);
                Box::new(chain(setup, maker, watch, &telemetry)?)
            }
            None => {
                telemetry.set_status(Status::Failed);
                telemetry.set_message(trouble);
                Box::new(NoVoice { telemetry: telemetry.clone() })
            }
        };
        let player = Self::over(model, setup, timing, telemetry)?;
        Ok((player, remote))
    }

    /// A player over any model, with a worker on a thread of its own.
    pub(crate) fn over(
        model: Box<dyn Model>,
        setup: &Setup,
        timing: Timing,
        telemetry: Arc<Telemetry>,
    ) -> Result<Self> {
        let began = Instant::now();
        let clock = Box::new(move || began.elapsed().as_secs_f64());
        let (mut bridge, mut worker) = connect(model, setup, timing, telemetry, clock);
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let run = move || {
            // One thread of the pool, and it is this one: no other is woken for a chunk.
            let pool = rayon::ThreadPoolBuilder::new().num_threads(1).use_current_thread().build();
            while !stopped.load(Ordering::Acquire) {
                if !worker.run_one() {
                    std::thread::park_timeout(NAP);
                }
            }
            drop(pool);
        };
        let thread = std::thread::Builder::new()
            .name("vocoder-worker".into())
            .spawn(run)
            .map_err(|error| Error::mismatch("worker", "a new thread", error))?;
        bridge.wakes(thread.thread().clone());
        let _thread = WorkerThread { stop, thread: Some(thread) };
        Ok(Self { bridge, wait: setup.wait, _thread })
    }

    /// For tests of the time limit.
    #[cfg(test)]
    pub(crate) fn set_patience(&mut self, patience: Duration) {
        self.bridge.set_patience(patience);
    }

    /// Lengths that stay for as long as the player lives.
    pub fn timing(&self) -> Timing {
        self.bridge.timing()
    }

    /// From input to output, in samples of the host.
    pub fn latency(&self) -> u32 {
        self.timing().latency as u32
    }

    /// Processes a block in place, on the audio thread: it neither allocates nor locks nor frees, and
    /// waits only where the setup says so.
    ///
    /// `channels` are as many as the setup says, `mix` (0 dry to 1 wet; bypass is 0) and `gain` hold a
    /// value a sample; all are of the same length. `notes` are (sample in the
    /// block, event) in order; none for effects. Dry and wet come out [`Player::latency`] samples
    /// after they went in; the block may have any length.
    ///
    /// Returns false once an offline render has waited for longer than its limit.
    pub fn process(
        &mut self,
        channels: &mut [&mut [f32]],
        controls: &Controls,
        mix: &[f32],
        gain: &[f32],
        notes: &[(u32, NoteEvent)],
    ) -> bool {
        self.bridge.process(channels, controls, (mix, gain), notes, self.wait)
    }

    /// Whether the audio thread waits for the worker from now on. Allowed on the audio thread.
    pub fn set_wait(&mut self, wait: bool) {
        self.wait = wait;
    }

    /// Forgets what was heard. Allowed on the audio thread.
    pub fn reset(&mut self) {
        self.bridge.reset();
    }

    /// Takes over from `old`: with the same timing the dry sound goes on without a gap until the wet sound
    /// is there. Allowed on the audio thread, where `old` must not be dropped.
    pub fn continue_from(&mut self, old: &Self) {
        self.bridge.continue_from(&old.bridge);
    }
}

fn check(setup: &Setup) -> Result<()> {
    if !RATES.contains(&setup.rate) {
        let expected = format!("{} to {} Hz", RATES.start(), RATES.end());
        return Err(Error::mismatch("sample rate", expected, setup.rate));
    }
    if setup.max_block == 0 || setup.max_block > LONGEST_BLOCK {
        return Err(Error::mismatch(
            "block",
            format!("1 to {LONGEST_BLOCK} samples"),
            setup.max_block,
        ));
    }
    if !(1..=2).contains(&setup.channels) {
        return Err(Error::mismatch("channels", "1 or 2", setup.channels));
    }
    Ok(())
}

fn frame_s(mel: &MelConfig) -> f64 {
    mel.hop as f64 / f64::from(mel.sample_rate)
}

/// What renderers are made of, and what is to be said about it.
fn maker(setup: &Setup, of_input: bool) -> Result<(SlotMaker, &'static str)> {
    let voice: Arc<Voice> = load_voice(&setup.voice)?.voice;
    let (device, notice) = match setup.compute {
        Compute::Cpu => (Device::Cpu, ""),
        Compute::Gpu => match gpu() {
            Some(device) => (device, ""),
            None => (Device::Cpu, "no GPU in this build or machine: computing on the CPU"),
        },
    };
    let lanes = if of_input { setup.channels } else { 1 };
    let (polish, precision) = (setup.quality.polish(), setup.precision);
    Ok((SlotMaker { voice, device, lanes, polish, precision }, notice))
}

fn gpu() -> Option<Device> {
    if cfg!(feature = "cuda") {
        Device::new_cuda(0).ok()
    } else if cfg!(feature = "metal") {
        Device::new_metal(0).ok()
    } else {
        None
    }
}

fn chain(
    setup: &Setup,
    maker: SlotMaker,
    watch: crate::watch::Watch,
    telemetry: &Arc<Telemetry>,
) -> Result<Chain> {
    let clip = match &setup.source {
        Source::Input => {
            return Chain::of_input(maker, setup.rate, watch, telemetry.clone());
        }
        Source::Clip(None) => None,
        Source::Clip(Some(path)) => match ClipMel::read(path, &maker.voice.mel) {
            Ok(clip) => Some(clip),
            Err(error) => {
                telemetry.set_message(error.to_string());
                None
            }
        },
    };
    Chain::of_clip(maker, setup.rate, clip, watch, telemetry.clone())
}

/// The audio thread's half and the worker, joined by queues that have room for all boxes there are.
pub(crate) fn connect(
    model: Box<dyn Model>,
    setup: &Setup,
    timing: Timing,
    telemetry: Arc<Telemetry>,
    clock: Box<dyn FnMut() -> f64 + Send>,
) -> (Bridge, Worker) {
    let count = (timing.latency + setup.max_block).div_ceil(timing.chunk) + SLACK;
    let boxes = (0..count).map(|_| Chunk::new(setup.channels, timing.chunk)).collect();
    let (outbox, worker_in) = RingBuffer::new(count);
    let (worker_out, inbox) = RingBuffer::new(count);
    let chunk_s = timing.chunk as f64 / f64::from(setup.rate);
    let link = Link { outbox, inbox, worker: None };
    let place = (setup.rate, setup.max_block, setup.channels);
    let bridge = Bridge::new(timing, place, boxes, link, telemetry.clone());
    let lengths = (setup.channels, chunk_s, timing.lead);
    let worker = Worker::new((worker_in, worker_out), model, telemetry, lengths, clock);
    (bridge, worker)
}

/// Stands where a voice is missing.
struct NoVoice {
    telemetry: Arc<Telemetry>,
}

impl Model for NoVoice {
    fn is_ready(&mut self, _chunk: &Chunk) -> bool {
        self.telemetry.set_status(Status::Failed);
        false
    }

    fn restart(&mut self) {}

    fn push(&mut self, _chunk: &Chunk, _out: &mut [Vec<f32>]) -> Result<()> {
        Ok(())
    }
}
