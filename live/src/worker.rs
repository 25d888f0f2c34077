//! The worker's half: takes chunks, runs the model, sends the sound back, and keeps within its time.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use rtrb::{Consumer, Producer};

use crate::chunk::{Boxed, Content};
use crate::model::Model;
use crate::overload::Overload;
use crate::{Status, Telemetry};

/// Failures in a row after which nothing more is tried.
const MOST_FAILURES: usize = 3;

/// See the module. Its thread calls [`Worker::run_one`] as long as there are chunks.
pub(crate) struct Worker {
    pub inbox: Consumer<Boxed>,
    pub outbox: Producer<Boxed>,
    model: Box<dyn Model>,
    telemetry: Arc<Telemetry>,
    overload: Overload,
    /// Seconds since any moment.
    clock: Box<dyn FnMut() -> f64 + Send>,
    /// See [`Timing`](crate::Timing).
    lead: usize,
    generation: u32,
    /// The sequence number that follows the last chunk's; none where the model must be restarted.
    expected: Option<u64>,
    /// The sequence number of the next wet chunk.
    next_out: u64,
    /// Empty boxes, kept for sound that is yet to come.
    spare: Vec<Boxed>,
    /// Wet samples a channel, from the beginning of chunk `next_out` on.
    ready: Vec<Vec<f32>>,
    /// Whether that chunk is the first after a restart.
    begins: bool,
    failures: usize,
}

impl Worker {
    /// A worker over `model`, whose chunks last `chunk_s` seconds.
    pub fn new(
        (inbox, outbox): (Consumer<Boxed>, Producer<Boxed>),
        model: Box<dyn Model>,
        telemetry: Arc<Telemetry>,
        (channels, chunk_s, lead): (usize, f64, usize),
        clock: Box<dyn FnMut() -> f64 + Send>,
    ) -> Self {
        Self {
            inbox,
            outbox,
            model,
            telemetry,
            overload: Overload::new(chunk_s),
            clock,
            lead,
            generation: 0,
            expected: None,
            next_out: 0,
            spare: Vec::new(),
            ready: vec![Vec::new(); channels],
            begins: false,
            failures: 0,
        }
    }

    /// Deals with the next chunk; false if there is none.
    pub fn run_one(&mut self) -> bool {
        let Ok(mut chunk) = self.inbox.pop() else { return false };
        if chunk.generation != self.generation {
            self.give_up_pending(Content::None);
            self.generation = chunk.generation;
        }
        if self.failures >= MOST_FAILURES {
            self.send_back(chunk, Content::None);
            return true;
        }
        if !chunk.controls.heard {
            self.telemetry.set_status(Status::Resting);
            self.give_up_pending(Content::None);
            self.send_back(chunk, Content::None);
            return true;
        }
        if !self.model.is_ready(&chunk) {
            self.give_up_pending(Content::None);
            self.send_back(chunk, Content::None);
            return true;
        }
        if self.expected != Some(chunk.sequence) {
            self.give_up_pending(Content::Failed);
            self.model.restart();
            self.next_out = chunk.sequence;
            self.ready.iter_mut().for_each(|ready| ready.resize(self.lead, 0.0));
            self.begins = true;
        }
        self.expected = Some(chunk.sequence + 1);
        self.telemetry.set_status(Status::Running);

        let asked = chunk.controls.steps;
        chunk.controls.steps = self.overload.limit(asked, chunk.waited_for);
        let began = (self.clock)();
        let (model, ready) = (&mut self.model, &mut self.ready);
        let outcome = catch_unwind(AssertUnwindSafe(|| model.push(&chunk, ready)));
        let busy_s = (self.clock)() - began;
        match outcome {
            Ok(Ok(())) if self.ready.iter().flatten().all(|v| v.is_finite()) => {
                self.failures = 0;
                self.spare.push(chunk);
                self.send_ready();
            }
            Ok(Ok(())) => self.fail(chunk, "the network gave values that are not finite"),
            Ok(Err(error)) => self.fail(chunk, &error.to_string()),
            Err(_) => self.fail(chunk, "the worker stopped at a fault of its own"),
        }
        if let Some(notice) = self.overload.take(busy_s, asked) {
            self.telemetry.set_message(notice);
        }
        self.telemetry.set_load(self.overload.load());
        true
    }

    /// Sends what is complete.
    fn send_ready(&mut self) {
        loop {
            let length = self.spare.last().map_or(usize::MAX, |chunk| chunk.channels[0].len());
            if self.ready[0].len() < length {
                return;
            }
            let Some(mut chunk) = self.spare.pop() else { return };
            for (to, from) in chunk.channels.iter_mut().zip(&mut self.ready) {
                to.copy_from_slice(&from[..length]);
                from.drain(..length);
            }
            chunk.sequence = self.next_out;
            chunk.from = if std::mem::take(&mut self.begins) { self.lead } else { 0 };
            self.next_out += 1;
            self.send_back(chunk, Content::Wet);
        }
    }

    /// The sound that was to come doesn't: its boxes go back in its place.
    fn give_up_pending(&mut self, content: Content) {
        self.ready.iter_mut().for_each(Vec::clear);
        for mut chunk in std::mem::take(&mut self.spare) {
            chunk.sequence = self.next_out;
            chunk.generation = self.generation;
            self.next_out += 1;
            self.send_back(chunk, content);
        }
        self.expected = None;
    }

    fn fail(&mut self, chunk: Boxed, why: &str) {
        self.failures += 1;
        self.telemetry.set_message(why);
        self.give_up_pending(Content::Failed);
        self.send_back(chunk, Content::Failed);
        if self.failures >= MOST_FAILURES {
            self.telemetry.set_status(Status::Failed);
        }
    }

    fn send_back(&mut self, mut chunk: Boxed, content: Content) {
        chunk.content = content;
        chunk.generation = self.generation;
        // There is room for all boxes that exist; without a player there is nobody to mind.
        let _ = self.outbox.push(chunk);
    }
}
