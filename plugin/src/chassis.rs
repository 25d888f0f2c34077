//! The audio thread's part of both plugins: hands blocks to a [`live::Player`], and swaps players.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::thread::Thread;
use std::time::{Duration, Instant};

use live::{Controls, NoteEvent, Player, Wait};
use nice_plug::prelude::*;

use crate::params::Knobs;
use crate::workshop::{self, Format, Handed, Hatch, Workshop};

/// What a plugin returns when an offline render has waited for longer than its limit.
pub const TOO_LATE: ProcessStatus =
    ProcessStatus::Error("inference took longer than an offline render may wait");

/// How long it takes to fade to the input and back.
const BYPASS_MS: f32 = 10.0;

/// How long an offline render waits for another player.
const PATIENCE: Duration = Duration::from_secs(20);

/// More events than nice-plug keeps for a block (`INPUT_EVENT_CAPACITY`), and the editor's.
const NOTES: usize = 2048;

/// The audio thread's part of a plugin.
pub struct Chassis {
    workshop: Arc<Workshop>,
    hatch: Hatch,
    player: Option<Handed>,
    /// Runs [`Workshop::update`] when it is unparked.
    updater: Option<Thread>,
    format: Option<Format>,
    /// What [`Knobs::changes`] was when an update was last asked for.
    seen: u32,
    /// 1 when the plugin is heard, 0 in bypass; and where it is on its way to.
    engaged: Smoother<f32>,
    engaged_aim: f32,
    /// Nothing was heard since a reset: values jump to where they are.
    fresh: bool,
    /// A value a sample.
    mix: Vec<f32>,
    gain: Vec<f32>,
    /// (sample in the block, event) of a whole block, and of the part of it that is being played.
    notes: Vec<(u32, NoteEvent)>,
    part: Vec<(u32, NoteEvent)>,
}

/// What came of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Played {
    /// False after an offline render waited for longer than its limit.
    pub in_time: bool,
    /// The latency of a player that took over in this block.
    pub new_latency: Option<u32>,
    /// Something changed that [`Workshop::update`] is to see to; it was asked for.
    pub wants_update: bool,
}

impl Chassis {
    /// Without a player: blocks pass as they are.
    pub fn new(workshop: Arc<Workshop>, hatch: Hatch) -> Self {
        Self {
            workshop,
            hatch,
            player: None,
            updater: None,
            format: None,
            seen: 0,
            engaged: Smoother::new(SmoothingStyle::Linear(BYPASS_MS)),
            engaged_aim: 1.0,
            fresh: true,
            mix: Vec::new(),
            gain: Vec::new(),
            notes: Vec::with_capacity(NOTES),
            part: Vec::with_capacity(NOTES),
        }
    }

    /// Unparks `updater` when something changed that [`Workshop::update`] is to see to.
    pub fn rings(&mut self, updater: Option<Thread>) {
        self.updater = updater;
    }

    /// As [`Chassis::activate`], for what the host says; none after an error, which the log tells.
    pub fn get_ready(&mut self, layout: &AudioIOLayout, config: &BufferConfig) -> Option<u32> {
        let channels = layout.main_output_channels.map_or(2, NonZeroU32::get) as usize;
        self.activate(Format::of(config, channels)).inspect_err(|error| nice_error!("{error}")).ok()
    }

    /// Gets ready for `format`, and returns the latency. Not on the audio thread.
    ///
    /// # Errors
    /// A rate or block out of range.
    pub fn activate(&mut self, format: Format) -> vocoder::Result<u32> {
        self.seen = workshop::changes(self.knobs());
        self.mix.resize(format.max_block, 1.0);
        self.gain.resize(format.max_block, 1.0);
        self.format = Some(format);
        let built = self.workshop.activate(format)?;
        // A player that waits in the hatch is newer than the one here, but older than one just built.
        let waiting = self.hatch.incoming.pop().ok();
        if let Some(player) = built.or(waiting) {
            self.player = Some(player);
        }
        self.fresh = true;
        Ok(self.latency())
    }

    /// In samples of the host.
    pub fn latency(&self) -> u32 {
        self.player.as_ref().map_or(0, |player| player.latency())
    }

    /// Forgets what was heard.
    pub fn reset(&mut self) {
        if let Some(player) = &mut self.player {
            player.reset();
        }
        self.fresh = true;
    }

    /// Notes an event of the coming block; they come in order of time. One too many is dropped.
    pub fn note(&mut self, sample: u32, event: NoteEvent) {
        if self.notes.len() < self.notes.capacity() {
            self.notes.push((sample, event));
        }
    }

    /// Takes the notes of the editor's keyboard into the coming block, at its first sample. To be called
    /// before [`Chassis::note`].
    pub fn take_keyboard(&mut self) {
        while let Ok(event) = self.hatch.notes.pop() {
            self.note(0, event);
        }
    }

    /// Plays a block of one or two channels in place. Never allocates, locks or frees.
    pub fn play(&mut self, channels: &mut [&mut [f32]], controls: &Controls) -> Played {
        let mut new_latency = self.swap();
        let changes = workshop::changes(self.knobs());
        let wants_update = changes != self.seen;
        self.seen = changes;
        if let Some(updater) = &self.updater
            && (wants_update || new_latency.is_some())
        {
            updater.unpark();
            if wants_update && self.waits() {
                new_latency = self.wait_for_update(changes).or(new_latency);
            }
        }
        let waits = self.waits();
        if let Some(player) = &mut self.player {
            player.set_wait(waits);
        }
        self.settle();
        let length = channels.first().map_or(0, |channel| channel.len());
        let longest = self.mix.len().max(1);
        let mut in_time = true;
        let mut start = 0;
        while start < length {
            let end = (start + longest).min(length);
            self.take_part(start, end);
            in_time &= match channels {
                [mono] => self.play_part(&mut [&mut mono[start..end]], controls),
                [left, right, ..] => {
                    self.play_part(&mut [&mut left[start..end], &mut right[start..end]], controls)
                }
                [] => true,
            };
            start = end;
        }
        self.notes.clear();
        Played { in_time, new_latency, wants_update }
    }

    /// Whether this thread may wait for inference.
    fn waits(&self) -> bool {
        self.format.is_some_and(|format| format.offline)
            || Wait::from(self.knobs().chain.wait.value()) == Wait::Always
    }

    /// An offline render has the sound that is asked for from the block on in which it is asked.
    fn wait_for_update(&mut self, changes: u32) -> Option<u32> {
        let began = Instant::now();
        while self.workshop.handled() != changes && began.elapsed() < PATIENCE {
            std::thread::sleep(Duration::from_micros(200));
        }
        self.swap()
    }

    fn knobs(&self) -> &Knobs {
        &self.workshop.knobs
    }

    /// Takes a new player over, once the old one can be handed back.
    fn swap(&mut self) -> Option<u32> {
        if self.hatch.outgoing.is_full() {
            return None;
        }
        let mut player = self.hatch.incoming.pop().ok()?;
        if let Some(old) = &self.player {
            player.continue_from(old);
        }
        if let Some(old) = self.player.replace(player) {
            // There is room: this is the only producer.
            if let Err(rtrb::PushError::Full(old)) = self.hatch.outgoing.push(old) {
                std::mem::forget(old);
            }
        }
        self.fresh = true;
        Some(self.latency())
    }

    /// Aims the fade of the bypass, and lets all values jump where nothing was heard yet.
    fn settle(&mut self) {
        let output = &self.workshop.knobs.output;
        let engaged = if output.bypass.value() { 0.0 } else { 1.0 };
        if self.fresh {
            self.fresh = false;
            self.engaged.reset(engaged);
            output.mix.smoothed.reset(output.mix.value());
            output.gain.smoothed.reset(output.gain.value());
        } else if let Some(format) = self.format
            && engaged != self.engaged_aim
        {
            // Only on a change: each call begins the fade anew.
            self.engaged.set_target(format.rate as f32, engaged);
        }
        self.engaged_aim = engaged;
    }

    /// The notes from sample `start` to before `end`, counted from `start`.
    fn take_part(&mut self, start: usize, end: usize) {
        self.part.clear();
        for (sample, event) in &self.notes {
            let sample = *sample as usize;
            if (start..end).contains(&sample) && self.part.len() < self.part.capacity() {
                self.part.push(((sample - start) as u32, *event));
            }
        }
    }

    fn play_part(&mut self, channels: &mut [&mut [f32]], controls: &Controls) -> bool {
        let Some(player) = &mut self.player else { return true };
        let length = channels[0].len();
        let output = &self.workshop.knobs.output;
        let (mix, gain) = (&mut self.mix[..length], &mut self.gain[..length]);
        output.mix.smoothed.next_block_exact(mix);
        output.gain.smoothed.next_block_exact(gain);
        for (mix, gain) in mix.iter_mut().zip(gain.iter_mut()) {
            let engaged = self.engaged.next();
            *mix *= engaged;
            *gain = 1.0 + (*gain - 1.0) * engaged;
        }
        let heard =
            mix.iter().any(|mix| *mix > 0.0) || !output.bypass.value() && output.mix.value() > 0.0;
        player.process(channels, &Controls { heard, ..*controls }, mix, gain, &self.part)
    }
}

/// A host may hold the plugin on any thread.
const _: fn() = || {
    fn sendable<T: Send>() {}
    sendable::<Player>();
    sendable::<Chassis>();
};
