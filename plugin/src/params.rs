//! Every parameter, and what is saved beside them.
//!
//! Ids are what projects and automation refer to: an id is never changed and never used again for
//! something else ([`crate::state`] says how older states are read).

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use live::{Controls, MAX_STEPS};
use nice_plug::prelude::*;

mod choices;
pub mod text;

pub use choices::{Device, Quality, SeedMode, Waiting};

use crate::state::{Saved, VERSION};
use crate::voices::{Clip, VoiceRef};

/// How long mix and gain take to follow a change.
const SMOOTHING_MS: f32 = 20.0;

/// What happens to the mel between input and output.
#[derive(Params)]
pub struct Shape {
    /// By how many semitones harmonics move.
    #[id = "pitch"]
    pub pitch: FloatParam,
    /// By how many semitones the envelope moves.
    #[id = "formnt"]
    pub formant: FloatParam,
    /// Decibels per octave around 1 kHz.
    #[id = "tilt"]
    pub tilt: FloatParam,
    /// Time constant of the smear in milliseconds.
    #[id = "smear"]
    pub smear: FloatParam,
    /// Holds the mel.
    #[id = "freeze"]
    pub freeze: BoolParam,
}

/// How the chain from noise to sound runs.
#[derive(Params)]
pub struct Chain {
    /// Reverse steps.
    #[id = "steps"]
    pub steps: IntParam,
    /// Deviation of the noise.
    #[id = "temp"]
    pub temperature: FloatParam,
    /// Selects the noise.
    #[id = "seed"]
    pub seed: IntParam,
    /// Whether it stays the same.
    #[id = "seedmd"]
    pub seed_mode: EnumParam<SeedMode>,
    /// What latency is spent on.
    #[id = "qualty"]
    pub quality: EnumParam<Quality>,
    /// Whether to wait for inference.
    #[id = "wait"]
    pub wait: EnumParam<Waiting>,
    /// Where to compute.
    #[id = "device"]
    pub device: EnumParam<Device>,
}

/// What is heard of it.
#[derive(Params)]
pub struct Output {
    /// 0 dry to 1 wet.
    #[id = "mix"]
    pub mix: FloatParam,
    /// Linear gain, shown in decibels.
    #[id = "gain"]
    pub gain: FloatParam,
    /// Passes the input, with the same delay.
    #[id = "bypass"]
    pub bypass: BoolParam,
}

/// What both plugins have.
#[derive(Params)]
pub struct Knobs {
    /// Group Shape.
    #[nested(group = "Shape")]
    pub shape: Shape,
    /// Group Chain.
    #[nested(group = "Chain")]
    pub chain: Chain,
    /// Group Output.
    #[nested(group = "Output")]
    pub output: Output,
    /// The layout of what is saved, see [`crate::state`].
    #[persist = "state"]
    pub version: Saved<u32>,
    /// The voice.
    #[persist = "voice"]
    pub voice: Saved<VoiceRef>,
    /// The editor's size in points.
    #[persist = "window"]
    pub window: Saved<(f32, f32)>,
    /// Goes up with every change that the audio thread can't follow alone: another voice, clip, quality,
    /// device or way to wait.
    pub changes: Arc<AtomicU32>,
}

/// The effect's parameters.
#[derive(Params)]
pub struct EffectParams {
    /// What both plugins have.
    #[nested]
    pub knobs: Arc<Knobs>,
    /// Where the chain starts.
    #[nested(group = "Chain")]
    pub start: Start,
}

/// Where the effect's chain starts.
#[derive(Params)]
pub struct Start {
    /// From pure noise (0) to near the input's own waveform (1).
    #[id = "follow"]
    pub follow: FloatParam,
}

/// How the instrument's notes go through the clip.
#[derive(Params)]
pub struct Note {
    /// Milliseconds in which a note rises.
    #[id = "attack"]
    pub attack: FloatParam,
    /// Milliseconds in which it falls by 60 dB after its key went up.
    #[id = "releas"]
    pub release: FloatParam,
    /// Seconds of the clip in a second of the note.
    #[id = "speed"]
    pub speed: FloatParam,
    /// Where in the clip a note begins, 0 to 1.
    #[id = "begin"]
    pub begin: FloatParam,
    /// Whether it begins again at the clip's end.
    #[id = "loop"]
    pub looped: BoolParam,
}

/// The instrument's parameters.
#[derive(Params)]
pub struct InstrumentParams {
    /// What both plugins have.
    #[nested]
    pub knobs: Arc<Knobs>,
    /// Group Note.
    #[nested(group = "Note")]
    pub note: Note,
    /// The clip that notes play.
    #[persist = "clip"]
    pub clip: Saved<Clip>,
}

impl Default for EffectParams {
    fn default() -> Self {
        let follow = FloatParam::new("Follow", 0.0, FloatRange::Linear { min: 0.0, max: 1.0 });
        Self {
            knobs: Arc::new(Knobs::new(crate::editor::EFFECT_SIZE)),
            start: Start { follow: text::percent(follow) },
        }
    }
}

impl Default for InstrumentParams {
    fn default() -> Self {
        let knobs = Arc::new(Knobs::new(crate::editor::INSTRUMENT_SIZE));
        let clip = Saved::watched(Clip::default(), &knobs.changes);
        Self { knobs, note: Note::new(), clip }
    }
}

impl EffectParams {
    /// What the worker is to do now.
    pub fn controls(&self) -> Controls {
        Controls { follow: self.start.follow.value(), ..self.knobs.controls() }
    }
}

impl InstrumentParams {
    /// What the worker is to do now.
    pub fn controls(&self) -> Controls {
        Controls {
            attack_ms: self.note.attack.value(),
            release_ms: self.note.release.value(),
            speed: self.note.speed.value(),
            begin: self.note.begin.value(),
            looped: self.note.looped.value(),
            ..self.knobs.controls()
        }
    }
}

impl Knobs {
    fn new(window: (f32, f32)) -> Self {
        let changes = Arc::new(AtomicU32::new(0));
        Self {
            shape: Shape::new(),
            chain: Chain::new(&changes),
            output: Output::new(),
            version: Saved::new(VERSION),
            voice: Saved::watched(VoiceRef::default(), &changes),
            window: Saved::new(window),
            changes,
        }
    }

    /// The pages of a controller with eight knobs, where a CLAP host has one.
    pub fn remote_controls(&self, context: &mut impl RemoteControlsContext) {
        let Self { shape, chain, output, .. } = self;
        context.add_section("Vocoder", |section| {
            section.add_page("Shape", |page| {
                page.add_param(&shape.pitch);
                page.add_param(&shape.formant);
                page.add_param(&shape.tilt);
                page.add_param(&shape.smear);
                page.add_param(&shape.freeze);
                page.add_spacer();
                page.add_param(&output.mix);
                page.add_param(&output.gain);
            });
            section.add_page("Chain", |page| {
                page.add_param(&chain.steps);
                page.add_param(&chain.temperature);
                page.add_param(&chain.seed);
                page.add_param(&chain.seed_mode);
            });
        });
    }

    fn controls(&self) -> Controls {
        let (shape, chain) = (&self.shape, &self.chain);
        Controls {
            steps: usize::try_from(chain.steps.value()).unwrap_or(1).clamp(1, MAX_STEPS),
            pitch: shape.pitch.value(),
            formant: shape.formant.value(),
            tilt: shape.tilt.value(),
            smear_ms: shape.smear.value(),
            freeze: shape.freeze.value(),
            temperature: chain.temperature.value(),
            seed: u32::try_from(chain.seed.value()).unwrap_or(0),
            running_seed: chain.seed_mode.value() == SeedMode::Running,
            ..Controls::default()
        }
    }
}

impl Shape {
    fn new() -> Self {
        let semitones = |name| {
            let range = FloatRange::SymmetricalSkewed {
                min: -24.0,
                max: 24.0,
                factor: FloatRange::skew_factor(-0.7),
                center: 0.0,
            };
            text::signed(FloatParam::new(name, 0.0, range), " st", 2)
        };
        let tilt = FloatParam::new("Tilt", 0.0, FloatRange::Linear { min: -12.0, max: 12.0 });
        let smear =
            FloatRange::Skewed { min: 0.0, max: 5000.0, factor: FloatRange::skew_factor(-1.7) };
        Self {
            pitch: semitones("Pitch"),
            formant: semitones("Formant"),
            tilt: text::signed(tilt, " dB/oct", 1),
            smear: text::milliseconds(FloatParam::new("Smear", 0.0, smear)),
            freeze: BoolParam::new("Freeze", false),
        }
    }
}

impl Note {
    fn new() -> Self {
        let time = |name, default, max| {
            let factor = FloatRange::skew_factor(-1.7);
            text::milliseconds(FloatParam::new(
                name,
                default,
                FloatRange::Skewed { min: 0.0, max, factor },
            ))
        };
        let neutral = Controls::default();
        let speed =
            FloatRange::Skewed { min: 0.0, max: 4.0, factor: FloatRange::skew_factor(-1.0) };
        let begin = FloatRange::Linear { min: 0.0, max: 1.0 };
        Self {
            attack: time("Attack", neutral.attack_ms, 5000.0),
            release: time("Release", neutral.release_ms, 10_000.0),
            speed: text::percent(FloatParam::new("Speed", neutral.speed, speed)),
            begin: text::percent(FloatParam::new("Begin", neutral.begin, begin)),
            looped: BoolParam::new("Loop", neutral.looped),
        }
    }
}

impl Chain {
    fn new(changes: &Arc<AtomicU32>) -> Self {
        let most_steps = i32::try_from(MAX_STEPS).unwrap_or(i32::MAX);
        let temperature =
            FloatParam::new("Temperature", 1.0, FloatRange::Linear { min: 0.0, max: 2.0 });
        Self {
            steps: IntParam::new("Steps", 6, IntRange::Linear { min: 1, max: most_steps }),
            temperature: text::plain(temperature, 2),
            seed: IntParam::new("Seed", 1, IntRange::Linear { min: 0, max: 9999 }),
            seed_mode: EnumParam::new("Seed mode", SeedMode::Fixed),
            quality: EnumParam::new("Quality", Quality::Balanced)
                .with_callback(counted(changes))
                .non_automatable(),
            wait: EnumParam::new("Wait for inference", Waiting::Auto).non_automatable(),
            device: EnumParam::new("Device", Device::Cpu)
                .with_callback(counted(changes))
                .non_automatable(),
        }
    }
}

impl Output {
    fn new() -> Self {
        let mix = FloatParam::new("Mix", 1.0, FloatRange::Linear { min: 0.0, max: 1.0 });
        let gain = FloatParam::new("Gain", 1.0, FloatRange::gain_range(-36.0, 12.0));
        Self {
            mix: text::percent(mix).with_smoother(SmoothingStyle::Linear(SMOOTHING_MS)),
            gain: text::decibels(gain).with_smoother(SmoothingStyle::Logarithmic(SMOOTHING_MS)),
            bypass: BoolParam::new("Bypass", false).make_bypass(),
        }
    }
}

/// Counts a change. Runs on the audio thread too.
fn counted<T>(changes: &Arc<AtomicU32>) -> Arc<dyn Fn(T) + Send + Sync> {
    let changes = Arc::clone(changes);
    Arc::new(move |_| {
        changes.fetch_add(1, Relaxed);
    })
}

#[cfg(test)]
mod tests;
