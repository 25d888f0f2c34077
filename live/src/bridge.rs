//! The audio thread's half: copies, places and mixes. Nothing here allocates, locks or frees once it is
//! built; only offline renders wait.
//!
//! Sound goes out in chunks of fixed length, numbered from the last reset, and comes back under the same
//! numbers, so what is late can be told from what is due, and latency cannot drift.

use std::sync::Arc;
use std::thread::Thread;
use std::time::{Duration, Instant};

use rtrb::{Consumer, Producer};

use crate::chunk::{Boxed, Content, MOST_NOTES};
use crate::fade::Tail;
use crate::timing::Timing;
use crate::{Controls, NoteEvent, Status, Telemetry};

/// How long a fade between wet and dry takes when a chunk is late.
const FADE_S: f64 = 0.004;

/// How long an offline render waits for one chunk before it gives up.
const PATIENCE: Duration = Duration::from_secs(20);

/// The two queues' ends on the audio thread.
pub(crate) struct Link {
    pub outbox: Producer<Boxed>,
    pub inbox: Consumer<Boxed>,
    /// Who is woken for a chunk.
    pub worker: Option<Thread>,
}

/// See the module.
pub(crate) struct Bridge {
    timing: Timing,
    max_block: usize,
    link: Link,
    telemetry: Arc<Telemetry>,
    /// Empty boxes.
    free: Vec<Boxed>,
    filling: Option<Boxed>,
    /// Input samples since the reset.
    taken: u64,
    generation: u32,
    /// The dry sound, a ring a channel.
    dry: Vec<Vec<f32>>,
    tails: Vec<Tail>,
    /// The chunk that is being heard, if it is there.
    current: Option<Boxed>,
    /// The chunk that `current` should be.
    due: u64,
    /// Whether the chunk that is due was counted as late.
    counted: bool,
    /// One that came before its time.
    early: Option<Boxed>,
    /// From this chunk on all were sent to the worker: only those are waited for.
    whole_from: u64,
    /// How much of the wet sound is there, 0 to 1; moves by `fade` a sample.
    presence: f32,
    fade: f32,
    timed_out: bool,
    patience: Duration,
}

impl Bridge {
    /// `boxes` circulate; `channels` are 1 or 2.
    pub fn new(
        timing: Timing,
        (rate, max_block, channels): (u32, usize, usize),
        boxes: Vec<Boxed>,
        link: Link,
        telemetry: Arc<Telemetry>,
    ) -> Self {
        telemetry.set_place(rate, timing.latency as u32);
        let fade_samples = (FADE_S * f64::from(rate)).ceil();
        Self {
            timing,
            max_block,
            link,
            telemetry,
            free: boxes,
            filling: None,
            taken: 0,
            generation: 0,
            dry: vec![vec![0.0; (timing.latency + max_block).next_power_of_two()]; channels],
            tails: (0..channels).map(|_| Tail::new(fade_samples as usize)).collect(),
            current: None,
            due: 0,
            counted: false,
            early: None,
            whole_from: 0,
            presence: 0.0,
            fade: (1.0 / fade_samples) as f32,
            timed_out: false,
            patience: PATIENCE,
        }
    }

    /// See [`crate::Player::timing`].
    pub fn timing(&self) -> Timing {
        self.timing
    }

    /// Wakes `worker` for each chunk from now on.
    pub fn wakes(&mut self, worker: Thread) {
        self.link.worker = Some(worker);
    }

    /// For tests of the time limit.
    #[cfg(test)]
    pub fn set_patience(&mut self, patience: Duration) {
        self.patience = patience;
    }

    /// Forgets what was heard.
    pub fn reset(&mut self) {
        self.generation = self.generation.wrapping_add(1);
        self.taken = 0;
        self.dry.iter_mut().for_each(|ring| ring.fill(0.0));
        self.tails.iter_mut().for_each(Tail::reset);
        let held = [self.filling.take(), self.current.take(), self.early.take()];
        // There is room: all boxes were there at the start.
        self.free.extend(held.into_iter().flatten());
        (self.due, self.counted, self.presence) = (0, false, 0.0);
        self.whole_from = 0;
        self.timed_out = false;
    }

    /// Goes on where `old` is, if both have the same timing: the dry sound passes without a gap.
    pub fn continue_from(&mut self, old: &Self) {
        let shape =
            |bridge: &Self| (bridge.timing, bridge.dry.len(), bridge.dry.first().map(Vec::len));
        if shape(self) != shape(old) {
            return;
        }
        for (to, from) in self.dry.iter_mut().zip(&old.dry) {
            to.copy_from_slice(from);
        }
        // The chunk that is being filled has lost its beginning: it stays empty.
        (self.taken, self.due, self.counted) = (old.taken, old.due, true);
        // What `old` sent comes back to it alone.
        self.whole_from = self.taken.div_ceil(self.timing.chunk as u64);
    }

    /// As [`crate::Player::process`].
    pub fn process(
        &mut self,
        channels: &mut [&mut [f32]],
        controls: &Controls,
        (mix, gain): (&[f32], &[f32]),
        notes: &[(u32, NoteEvent)],
        wait: bool,
    ) -> bool {
        let length = channels.first().map_or(0, |channel| channel.len());
        let mut from = 0;
        while from < length {
            let to = (from + self.max_block).min(length);
            self.take(channels, (from, to), controls, notes, wait);
            self.give(channels, (from, to), (mix, gain), wait);
            from = to;
        }
        !self.timed_out
    }

    /// Takes input samples `from..to` into the dry ring and the chunks.
    fn take(
        &mut self,
        channels: &[&mut [f32]],
        (from, to): (usize, usize),
        controls: &Controls,
        notes: &[(u32, NoteEvent)],
        wait: bool,
    ) {
        let mask = self.dry[0].len() - 1;
        let mut notes = notes
            .iter()
            .skip_while(|(at, _)| (*at as usize) < from)
            .take_while(|(at, _)| (*at as usize) < to || to == channels[0].len())
            .peekable();
        let mut peak = 0f32;
        for index in from..to {
            let at = (self.taken % self.timing.chunk as u64) as usize;
            if at == 0 {
                self.begin_chunk(controls, wait);
            }
            if let Some(chunk) = &mut self.filling {
                while let Some((_, event)) = notes.next_if(|(at, _)| *at as usize <= index) {
                    if chunk.notes.len() < MOST_NOTES {
                        chunk.notes.push((at as u32, *event));
                    }
                }
            }
            for (c, ring) in self.dry.iter_mut().enumerate() {
                let sample = channels.get(c).map_or(0.0, |channel| channel[index]);
                // What is not finite must not stay in any filter.
                let sample = if sample.is_finite() { sample } else { 0.0 };
                ring[self.taken as usize & mask] = sample;
                peak = peak.max(sample.abs());
                if let Some(chunk) = &mut self.filling {
                    chunk.channels[c][at] = sample;
                }
            }
            self.taken += 1;
            if at + 1 == self.timing.chunk {
                self.send_chunk();
            }
        }
        self.telemetry.raise_peak(0, peak);
    }

    fn begin_chunk(&mut self, controls: &Controls, wait: bool) {
        if self.free.is_empty() {
            self.collect();
        }
        self.filling = self.free.pop();
        if let Some(chunk) = &mut self.filling {
            chunk.generation = self.generation;
            chunk.sequence = self.taken / self.timing.chunk as u64;
            chunk.controls = *controls;
            chunk.waited_for = wait;
            chunk.content = Content::None;
            chunk.notes.clear();
        }
    }

    fn send_chunk(&mut self) {
        let sent = match self.filling.take() {
            None => false,
            Some(chunk) => match self.link.outbox.push(chunk) {
                Ok(()) => true,
                Err(rtrb::PushError::Full(chunk)) => {
                    self.free.push(chunk);
                    false
                }
            },
        };
        if !sent {
            self.whole_from = self.taken / self.timing.chunk as u64;
            self.telemetry.count_dropped();
        }
        self.wake();
    }

    fn wake(&self) {
        if let Some(worker) = &self.link.worker {
            worker.unpark();
        }
    }

    /// Takes back what nobody waits for any more.
    fn collect(&mut self) {
        while self.early.is_none() {
            let Ok(chunk) = self.link.inbox.pop() else { return };
            if chunk.generation != self.generation || chunk.sequence < self.due {
                self.free.push(chunk);
            } else {
                self.early = Some(chunk);
            }
        }
    }

    /// Writes output samples `from..to`.
    fn give(
        &mut self,
        channels: &mut [&mut [f32]],
        (from, to): (usize, usize),
        (mix, gain): (&[f32], &[f32]),
        wait: bool,
    ) {
        let mask = self.dry[0].len() - 1;
        let mut peak = 0f32;
        let first = self.taken - (to - from) as u64;
        let mut looked = false;
        for index in from..to {
            let time = first + (index - from) as u64;
            let Some(place) = time.checked_sub(self.timing.latency as u64) else {
                channels.iter_mut().for_each(|channel| channel[index] = 0.0);
                continue;
            };
            let chunk = self.timing.chunk as u64;
            let shifted = place + self.timing.lead as u64;
            let (sequence, at) = (shifted / chunk, (shifted % chunk) as usize);
            if sequence != self.due || (self.current.is_none() && !looked) {
                self.fetch(sequence, wait);
                looked = true;
            }
            let there = self
                .current
                .as_ref()
                .is_some_and(|chunk| chunk.content == Content::Wet && at >= chunk.from);
            self.presence = if there {
                (self.presence + self.fade).min(1.0)
            } else {
                (self.presence - self.fade).max(0.0)
            };
            for (c, channel) in channels.iter_mut().enumerate() {
                let Some(ring) = self.dry.get(c) else {
                    channel[index] = 0.0;
                    continue;
                };
                let dry = ring[place as usize & mask];
                let wet = match &self.current {
                    Some(chunk) if there => {
                        let sample = chunk.channels[c][at];
                        self.tails[c].take(sample);
                        sample
                    }
                    _ => self.tails[c].mirror(),
                };
                let sample = (dry + mix[index] * self.presence * (wet - dry)) * gain[index];
                peak = peak.max(sample.abs());
                channel[index] = sample;
            }
        }
        self.telemetry.raise_peak(1, peak);
    }

    /// Makes chunk `sequence` the current one if it is there, and counts it if it is not.
    fn fetch(&mut self, sequence: u64, wait: bool) {
        if sequence != self.due {
            self.free.extend(self.current.take());
            (self.due, self.counted) = (sequence, false);
        }
        let mut since = None;
        while self.current.is_none() {
            let next = self.early.take().map_or_else(|| self.link.inbox.pop().ok(), Some);
            match next {
                Some(chunk) if chunk.generation != self.generation => self.free.push(chunk),
                Some(chunk) if chunk.sequence < sequence => self.free.push(chunk),
                Some(chunk) if chunk.sequence == sequence => self.current = Some(chunk),
                Some(chunk) => {
                    // The one that is due was left out.
                    self.early = Some(chunk);
                    break;
                }
                None if wait && !self.timed_out && sequence >= self.whole_from => {
                    let since = *since.get_or_insert_with(Instant::now);
                    if since.elapsed() > self.patience {
                        self.timed_out = true;
                        self.telemetry.set_status(Status::TimedOut);
                    }
                    self.wake();
                    std::thread::sleep(Duration::from_micros(50));
                }
                None => break,
            }
        }
        if !self.counted {
            self.counted = true;
            let late = match (&self.current, &self.early) {
                (Some(chunk), _) => chunk.content == Content::Failed,
                (None, Some(next)) => next.content != Content::None,
                (None, None) => true,
            };
            self.telemetry.count_chunk(late);
        }
    }
}
