//! What all threads but the audio thread share: it builds players, hands them over and frees them.
//!
//! A player is built in `activate`, and again when something changed that only another player can
//! follow. The audio thread notices that [`Knobs::changes`] moved and asks for [`Task::Update`]; the
//! host's background thread runs [`Workshop::update`], and a new player goes to the audio thread
//! through a queue of one place. The old one comes back through another, and is freed here.

use std::path::PathBuf;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use live::{Compute, NoteEvent, Player, Remote, Setup, Source, Telemetry, VoiceChoice, Wait};
use nice_plug::prelude::BufferConfig;
use nice_plug::prelude::ProcessMode;

use crate::params::{Device, InstrumentParams, Knobs};
use crate::voices::{self, VoiceRef};

/// What the host's background thread does for the audio thread.
#[derive(Debug, Clone, Copy)]
pub enum Task {
    /// [`Workshop::update`].
    Update,
}

/// Notes that the editor's keyboard holds for the audio thread.
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
    notes: Mutex<rtrb::Producer<NoteEvent>>,
    notice: Mutex<String>,
}

struct Bench {
    /// What the newest player was built for, and the handle to it.
    built: Option<(Setup, Remote)>,
    format: Option<Format>,
    outgoing: rtrb::Producer<Handed>,
    returned: rtrb::Consumer<Handed>,
}

impl Workshop {
    /// A workshop, and the audio thread's ends of its queues.
    pub fn new(knobs: Arc<Knobs>, instrument: Option<Arc<InstrumentParams>>) -> (Arc<Self>, Hatch) {
        let (outgoing, incoming) = rtrb::RingBuffer::new(1);
        // One more than can be on the way, so that the audio thread can always hand back.
        let (to_free, returned) = rtrb::RingBuffer::new(4);
        let (keyboard, notes) = rtrb::RingBuffer::new(NOTES);
        let workshop = Self {
            knobs,
            instrument,
            telemetry: Arc::default(),
            bench: Mutex::new(Bench { built: None, format: None, outgoing, returned }),
            notes: Mutex::new(keyboard),
            notice: Mutex::default(),
        };
        (Arc::new(workshop), Hatch { incoming, outgoing: to_free, notes })
    }

    /// A player for `format`, or None if the one that there is will do (hosts activate more often than
    /// they need to).
    ///
    /// # Errors
    /// A rate or block out of range.
    pub fn activate(&self, format: Format) -> vocoder::Result<Option<Handed>> {
        let mut bench = self.bench();
        bench.format = Some(format);
        let setup = self.setup(format);
        if bench.built.as_ref().is_some_and(|(built, _)| same(built, &setup)) {
            return Ok(None);
        }
        self.build(&mut bench, setup).map(Some)
    }

    /// Brings what plays in line with what is chosen. Runs on the host's background thread, and when
    /// nothing changed does nothing.
    pub fn update(&self) {
        self.identify_voice();
        let mut bench = self.bench();
        while bench.returned.pop().is_ok() {}
        let Some(format) = bench.format else { return };
        let wanted = self.setup(format);
        let Some((built, remote)) = &mut bench.built else { return };
        if same(built, &wanted) {
            return;
        }
        if built.voice != wanted.voice {
            built.voice = wanted.voice.clone();
            remote.select_voice(wanted.voice.clone());
        }
        if let (Source::Clip(old), Source::Clip(new)) = (&built.source, &wanted.source)
            && old != new
        {
            remote.select_clip(new.clone());
            built.source = wanted.source.clone();
        }
        if same(built, &wanted) {
            return;
        }
        if let Ok(player) = self.build(&mut bench, wanted) {
            // Full means that the one before was not taken yet: the audio thread rests, and `activate`
            // will find that what is built is not what is wanted.
            if bench.outgoing.push(player).is_err() {
                bench.built = None;
            }
        }
    }

    /// The handle to the player that was built last.
    pub fn remote(&self) -> Option<Remote> {
        self.bench().built.as_ref().map(|(_, remote)| remote.clone())
    }

    /// Plays a note as if it had come from the host; one too many is dropped.
    pub fn play(&self, note: NoteEvent) {
        let mut notes = self.notes.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = notes.push(note);
    }

    /// What the editor's message line says: what the plugin has to say, else what the player has.
    pub fn message(&self) -> String {
        let notice = self.notice.lock().unwrap_or_else(PoisonError::into_inner);
        if notice.is_empty() { self.telemetry.message() } else { notice.clone() }
    }

    fn bench(&self) -> MutexGuard<'_, Bench> {
        self.bench.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn build(&self, bench: &mut Bench, setup: Setup) -> vocoder::Result<Handed> {
        let (player, remote) = Player::new(&setup, Arc::clone(&self.telemetry))?;
        bench.built = Some((setup, remote));
        Ok(Box::new(player))
    }

    fn setup(&self, format: Format) -> Setup {
        let chain = &self.knobs.chain;
        let device = chain.device.value();
        let notice = if device == Device::Gpu && !Device::GPU_BUILT {
            "This build computes on the CPU only: a GPU needs one with feature cuda or metal"
        } else {
            ""
        };
        *self.notice.lock().unwrap_or_else(PoisonError::into_inner) = notice.into();
        Setup {
            rate: format.rate,
            max_block: format.max_block,
            channels: format.channels,
            quality: chain.quality.value().into(),
            compute: if notice.is_empty() { device.into() } else { Compute::Cpu },
            voice: self.knobs.voice.get().resolve(),
            offline: format.offline || Wait::from(chain.wait.value()) == Wait::Always,
            source: self.source(),
        }
    }

    fn source(&self) -> Source {
        match &self.instrument {
            Some(params) => Source::Clip(params.clip.get().file),
            None => Source::Input,
        }
    }

    /// Notes the content of a voice file that was just chosen, so that it is found again when moved.
    fn identify_voice(&self) {
        let voice = self.knobs.voice.get();
        let Some(file) =
            voice.file.as_deref().filter(|file| voice.hash.is_empty() && file.is_file())
        else {
            return;
        };
        let hash = voices::content_hash(file);
        // Somebody may have chosen another one meanwhile.
        if !hash.is_empty() && self.knobs.voice.get() == voice {
            self.knobs.voice.put(VoiceRef { hash, ..voice });
        }
    }
}

/// Whether one player does for both.
fn same(a: &Setup, b: &Setup) -> bool {
    let clip = |source: &Source| match source {
        Source::Input => None,
        Source::Clip(file) => Some(file.clone()),
    };
    let key = |s: &Setup| -> (u32, usize, usize, bool, VoiceChoice, Option<Option<PathBuf>>) {
        (s.rate, s.max_block, s.channels, s.offline, s.voice.clone(), clip(&s.source))
    };
    key(a) == key(b) && a.quality == b.quality && a.compute == b.compute
}

/// What [`Knobs::changes`] stands at.
pub fn changes(knobs: &Knobs) -> u32 {
    knobs.changes.load(Relaxed)
}
