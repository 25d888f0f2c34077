//! What all threads but the audio thread share: it builds players, hands them over and frees them.
//!
//! A player is built in `activate`, and again when something changed that only another player can
//! follow. The audio thread notices that [`Knobs::changes`] moved and rings for the [`Updater`](crate::updater::Updater);
//! its thread runs [`Workshop::update`], and a new player goes to the audio thread
//! through a queue of one place. The old one comes back through another, and is freed here.

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use live::{NoteEvent, Player, Remote, Setup, Source, Telemetry, load_voice};
use nice_plug::prelude::{BufferConfig, ProcessMode, nice_log};

use crate::params::{InstrumentParams, Knobs};
use crate::voices::VoiceRef;

/// Notes of the editor's keyboard that wait for the audio thread.
const NOTES: usize = 64;

/// A player on its way to or from the audio thread: a pointer, so that handing it over copies little.
pub type Handed = Box<Player>;

/// What the host said in `activate`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Format {
    /// Samples per second.
    pub rate: u32,
    /// Samples in the longest block.
    pub max_block: usize,
    /// 1 or 2.
    pub channels: usize,
    /// The host renders offline.
    pub offline: bool,
}

impl Format {
    /// What the host announces.
    pub fn of(config: &BufferConfig, channels: usize) -> Self {
        Self {
            rate: config.sample_rate.round() as u32,
            max_block: config.max_buffer_size.max(1) as usize,
            channels,
            offline: config.process_mode == ProcessMode::Offline,
        }
    }
}

/// The ends of the queues that the audio thread holds.
pub struct Hatch {
    /// New players.
    pub incoming: rtrb::Consumer<Handed>,
    /// Old ones.
    pub outgoing: rtrb::Producer<Handed>,
    /// The editor's keyboard.
    pub notes: rtrb::Consumer<NoteEvent>,
}

/// Shared by the plugin object, the background task and the editor.
pub struct Workshop {
    /// What both plugins have.
    pub knobs: Arc<Knobs>,
    /// The instrument's parameters; none for the effect.
    pub instrument: Option<Arc<InstrumentParams>>,
    /// What the player tells.
    pub telemetry: Arc<Telemetry>,
    bench: Mutex<Bench>,
    /// Reads the mels of the newest player. Not on the bench: building takes longer than a frame of the
    /// editor.
    remote: Mutex<Option<Remote>>,
    notes: Mutex<rtrb::Producer<NoteEvent>>,
    notice: Mutex<String>,
    handled: AtomicU32,
}

struct Bench {
    /// What the newest player was built for.
    built: Option<Setup>,
    format: Option<Format>,
    outgoing: rtrb::Producer<Handed>,
    returned: rtrb::Consumer<Handed>,
}

impl Workshop {
    /// A workshop, and the audio thread's ends of its queues.
    pub fn new(knobs: Arc<Knobs>, instrument: Option<Arc<InstrumentParams>>) -> (Arc<Self>, Hatch) {
        let (outgoing, incoming) = rtrb::RingBuffer::new(1);
        let (to_free, returned) = rtrb::RingBuffer::new(1);
        let (keyboard, notes) = rtrb::RingBuffer::new(NOTES);
        let bench = Bench { built: None, format: None, outgoing, returned };
        let workshop = Self {
            knobs,
            instrument,
            telemetry: Arc::default(),
            bench: Mutex::new(bench),
            remote: Mutex::default(),
            notes: Mutex::new(keyboard),
            notice: Mutex::default(),
            handled: AtomicU32::default(),
        };
        (Arc::new(workshop), Hatch { incoming, outgoing: to_free, notes })
    }

    /// A player for `format`, or none if the one that there is will do: hosts activate more often than
    /// they need to.
    ///
    /// # Errors
    /// A rate, block or number of channels out of range.
    pub fn activate(&self, format: Format) -> vocoder::Result<Option<Handed>> {
        let mut bench = self.bench();
        bench.format = Some(format);
        let setup = self.setup(format);
        if bench.built.as_ref() == Some(&setup) {
            return Ok(None);
        }
        self.build(&mut bench, setup).map(Some)
    }

    /// Brings what plays in line with what is chosen, and frees what played before. Where nothing
    /// changed it does nothing. For the updater's thread.
    pub fn update(&self) {
        let changes = changes(&self.knobs);
        self.replace();
        self.handled.store(changes, Relaxed);
    }

    /// Up to which of [`changes`] [`Workshop::update`] has come.
    pub fn handled(&self) -> u32 {
        self.handled.load(Relaxed)
    }

    fn replace(&self) {
        let mut bench = self.bench();
        while bench.returned.pop().is_ok() {}
        let Some(format) = bench.format else { return };
        let wanted = self.setup(format);
        // A place is taken while the audio thread rests: `activate` or its next block looks again.
        if bench.built.as_ref() == Some(&wanted) || bench.outgoing.is_full() {
            return;
        }
        if let Ok(player) = self.build(&mut bench, wanted) {
            // There is room: this is the only producer.
            let _ = bench.outgoing.push(player);
        }
    }

    /// Reads the mels of the newest player; none where there is no voice.
    pub fn remote(&self) -> Option<Remote> {
        self.remote.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Plays a note as if it had come from the host; one too many is dropped.
    pub fn play(&self, note: NoteEvent) {
        let mut notes = self.notes.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = notes.push(note);
    }

    /// What there is to say: what the player has to, else what was found out about the voice.
    pub fn message(&self) -> String {
        let message = self.telemetry.message();
        if message.is_empty() {
            self.notice.lock().unwrap_or_else(PoisonError::into_inner).clone()
        } else {
            message
        }
    }

    fn bench(&self) -> MutexGuard<'_, Bench> {
        self.bench.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn build(&self, bench: &mut Bench, setup: Setup) -> vocoder::Result<Handed> {
        let (player, remote) = Player::new(&setup, Arc::clone(&self.telemetry))?;
        self.identify_voice(&setup);
        bench.built = Some(setup);
        *self.remote.lock().unwrap_or_else(PoisonError::into_inner) = remote;
        Ok(Box::new(player))
    }

    fn setup(&self, format: Format) -> Setup {
        let chain = &self.knobs.chain;
        // Whether to wait is told in each block.
        Setup {
            channels: format.channels,
            quality: chain.quality.value().into(),
            compute: chain.device.value().into(),
            voice: self.knobs.voice.get().resolve(),
            source: match &self.instrument {
                Some(params) => Source::Clip(params.clip.get().file),
                None => Source::Input,
            },
            ..Setup::of_input(format.rate, format.max_block)
        }
    }

    /// Notes the content of a voice that is played for the first time, so that its file is found again
    /// when it was moved; and says so when the content is not what it was.
    fn identify_voice(&self, setup: &Setup) {
        let chosen = self.knobs.voice.get();
        let mut notice = String::new();
        if let Ok(loaded) = load_voice(&setup.voice) {
            if chosen.hash.is_empty() {
                if let Some(file) = &chosen.file {
                    nice_log!("Plays the voice {} from {}", chosen.name, file.display());
                }
                self.knobs.voice.put(VoiceRef { hash: loaded.hash, ..chosen });
            } else if chosen.hash != loaded.hash {
                notice = format!("{}: not the content that it had when it was chosen", chosen.name);
            }
        }
        *self.notice.lock().unwrap_or_else(PoisonError::into_inner) = notice;
    }
}

/// What [`Knobs::changes`] stands at.
pub fn changes(knobs: &Knobs) -> u32 {
    knobs.changes.load(Relaxed)
}

#[cfg(test)]
mod tests;
