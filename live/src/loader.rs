//! Renderers that are ready to run. Packing weights takes longer than a chunk lasts, so a loader does it
//! on a thread of its own, and frees what is no longer used.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use candle_core::Device;
use crossbeam_channel::{Receiver, Sender, unbounded};
use vocoder::engine::Precision;
use vocoder::render::{Polish, Renderer, Settings};
use vocoder::sampler::Clip;
use vocoder::schedule::{FIRST_LEVEL, Schedule, lambda, level_of_lambda};
use vocoder::start::Start;
use vocoder::voice::Voice;
use vocoder::{Error, Result};

use crate::Controls;

/// How finely the follow control is told apart: each place has a schedule of its own.
const FOLLOW_PLACES: f32 = 16.0;

/// Lambda of the first level at a follow of 1: noise 30 dB below the input.
const NEAREST: f64 = 3.5;

/// How long an offline render waits for a renderer.
const PATIENCE: Duration = Duration::from_secs(20);

/// What a renderer is made for; another key needs another renderer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SlotKey {
    pub steps: usize,
    /// Of [`FOLLOW_PLACES`]; 0 starts from noise.
    pub follow: u8,
    pub seed: u64,
}

impl SlotKey {
    /// What `controls` ask for, `pass` being how often the stream was restarted.
    pub fn new(controls: &Controls, pass: u64) -> Self {
        let steps = controls.steps.clamp(1, crate::MAX_STEPS);
        let follow = (controls.follow.clamp(0.0, 1.0) * FOLLOW_PLACES).round() as u8;
        let seed = u64::from(controls.seed) | if controls.running_seed { pass << 32 } else { 0 };
        Self { steps, follow, seed }
    }

    /// What is left of `polish`: the nearer the chain starts to the input, the less its phases need a
    /// search, which would only lead away from them.
    fn polish(&self, polish: Polish) -> Polish {
        match polish {
            Polish::Frames { rounds, ahead } => {
                let share = 1.0 - f32::from(self.follow) / FOLLOW_PLACES;
                Polish::Frames { rounds: (rounds as f32 * share).round() as usize, ahead }
            }
            Polish::Clip { .. } => polish,
        }
    }

    /// The noise levels. From noise they are the voice's own; near the input none was learned.
    pub fn schedule(&self, voice: &Voice) -> Result<Schedule> {
        if self.follow == 0 {
            return voice.schedule_from(Start::Noise, self.steps);
        }
        let share = f64::from(self.follow) / f64::from(FOLLOW_PLACES);
        let furthest = lambda(FIRST_LEVEL);
        Schedule::plain(self.steps, level_of_lambda(furthest + share * (NEAREST - furthest)))
    }
}

/// A renderer a lane.
pub(crate) struct Slot {
    pub key: SlotKey,
    pub levels: Vec<f64>,
    pub renderers: Vec<Renderer>,
}

/// What all slots of a player share.
#[derive(Clone)]
pub(crate) struct SlotMaker {
    pub voice: Arc<Voice>,
    pub device: Device,
    pub lanes: usize,
    pub polish: Polish,
    pub precision: Precision,
}

impl SlotMaker {
    pub fn make(&self, key: SlotKey) -> Result<Slot> {
        let schedule = key.schedule(&self.voice)?;
        let settings = Settings {
            sampler: self.voice.sampler_from(Start::Noise),
            clip: Clip::Signal(1.0),
            start: if key.follow == 0 { Start::Noise } else { Start::Given },
            seed: key.seed,
            chunk_frames: 1,
            polish: key.polish(self.polish),
            precision: self.precision,
            guidance: 1.0,
            schedule,
        };
        let renderers = (0..self.lanes)
            .map(|_| Renderer::new(&self.voice, &self.device, settings.clone()))
            .collect::<Result<Vec<_>>>()?;
        Ok(Slot { key, levels: settings.schedule.levels().to_vec(), renderers })
    }
}

enum Order {
    Make(SlotKey),
    Free(Box<Slot>),
}

/// The worker's end of the loader.
pub(crate) struct Loader {
    orders: Option<Sender<Order>>,
    made: Receiver<Result<Box<Slot>>>,
    asked: Option<SlotKey>,
    thread: Option<JoinHandle<()>>,
}

impl Loader {
    /// Starts the loader.
    ///
    /// # Errors
    /// No thread can be started.
    pub fn new(maker: SlotMaker) -> Result<Self> {
        let (orders, taken) = unbounded();
        let (give, made) = unbounded();
        let work = move || {
            for order in taken {
                match order {
                    Order::Make(key) => {
                        let _ = give.send(maker.make(key).map(Box::new));
                    }
                    Order::Free(slot) => drop(slot),
                }
            }
        };
        let thread = std::thread::Builder::new()
            .name("vocoder-loader".into())
            .spawn(work)
            .map_err(|error| Error::mismatch("loader", "a new thread", error))?;
        Ok(Self { orders: Some(orders), made, asked: None, thread: Some(thread) })
    }

    /// A slot for `key`, if it is made by now; with `wait`, when it is made. Asks for it where nobody
    /// has.
    ///
    /// # Errors
    /// It can't be made.
    pub fn get(&mut self, key: SlotKey, wait: bool) -> Result<Option<Box<Slot>>> {
        loop {
            if self.asked.is_none() {
                self.asked = Some(key);
                self.order(Order::Make(key));
            }
            let made = if wait {
                self.made.recv_timeout(PATIENCE).ok()
            } else {
                self.made.try_recv().ok()
            };
            let Some(made) = made else { return Ok(None) };
            self.asked = None;
            let slot = made?;
            if slot.key == key {
                return Ok(Some(slot));
            }
            // Nobody wants that one any more.
            self.free(slot);
        }
    }

    /// Frees a slot, on the loader's thread.
    pub fn free(&self, slot: Box<Slot>) {
        self.order(Order::Free(slot));
    }

    fn order(&self, order: Order) {
        if let Some(orders) = &self.orders {
            let _ = orders.send(order);
        }
    }
}

impl Drop for Loader {
    fn drop(&mut self) {
        self.orders = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
