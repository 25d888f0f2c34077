//! The presets themselves. What a line does not name is as in [`NEUTRAL`].

use super::{NEUTRAL, Preset};

/// The effect's.
pub const EFFECT: &[Preset] = &[
    Preset { name: "Plain copy", ..NEUTRAL },
    Preset { name: "Faithful", follow: 0.65, steps: 12, ..NEUTRAL },
    Preset { name: "Octave down", pitch: -12.0, gain_db: 1.0, ..NEUTRAL },
    Preset { name: "Octave up", pitch: 12.0, tilt: -0.5, ..NEUTRAL },
    Preset { name: "Octave beneath", pitch: -12.0, tilt: -1.0, mix: 0.45, ..NEUTRAL },
    Preset { name: "Fifth above", pitch: 7.0, mix: 0.4, ..NEUTRAL },
    Preset { name: "Small throat", formant: 4.0, ..NEUTRAL },
    Preset { name: "Large throat", formant: -4.0, tilt: 0.5, ..NEUTRAL },
    Preset { name: "Giant", pitch: -5.0, formant: -7.0, tilt: 1.0, gain_db: 2.0, ..NEUTRAL },
    Preset { name: "Mouse", pitch: 9.0, formant: 7.0, tilt: -1.5, ..NEUTRAL },
    Preset { name: "Breath", steps: 3, temperature: 1.5, tilt: 1.5, gain_db: -3.0, ..NEUTRAL },
    Preset { name: "Dark room", tilt: -4.0, smear_ms: 60.0, gain_db: 2.0, ..NEUTRAL },
    Preset { name: "Telephone", tilt: 5.0, formant: 2.0, steps: 3, gain_db: -4.0, ..NEUTRAL },
    Preset { name: "Slow fog", smear_ms: 900.0, tilt: -1.5, mix: 0.7, steps: 8, ..NEUTRAL },
    Preset {
        name: "Ghost choir",
        pitch: 12.0,
        formant: 2.0,
        smear_ms: 450.0,
        temperature: 1.2,
        mix: 0.55,
        running: true,
        ..NEUTRAL
    },
    Preset { name: "Held breath", freeze: true, smear_ms: 250.0, steps: 8, ..NEUTRAL },
    Preset { name: "Restless", temperature: 1.3, smear_ms: 30.0, running: true, ..NEUTRAL },
    Preset { name: "One step", steps: 1, temperature: 0.7, ..NEUTRAL },
];

/// The instrument's.
pub const INSTRUMENT: &[Preset] = &[
    Preset { name: "Plain keys", ..NEUTRAL },
    Preset { name: "Fine keys", steps: 16, ..NEUTRAL },
    Preset { name: "Bright keys", tilt: 2.5, formant: 1.0, gain_db: -2.0, ..NEUTRAL },
    Preset { name: "Bass voice", pitch: -12.0, formant: -3.0, gain_db: 2.0, ..NEUTRAL },
    Preset { name: "Giant", pitch: -12.0, formant: -8.0, tilt: 1.0, gain_db: 3.0, ..NEUTRAL },
    Preset { name: "Toy voice", pitch: 12.0, formant: 6.0, tilt: -1.5, ..NEUTRAL },
    Preset { name: "Soft pad", smear_ms: 700.0, tilt: -2.0, steps: 8, gain_db: 2.0, ..NEUTRAL },
    Preset {
        name: "Dark pad",
        pitch: -12.0,
        smear_ms: 1200.0,
        tilt: -4.0,
        gain_db: 3.0,
        ..NEUTRAL
    },
    Preset { name: "Glass pad", pitch: 12.0, smear_ms: 900.0, tilt: 1.5, steps: 10, ..NEUTRAL },
    Preset { name: "Held vowel", freeze: true, steps: 8, ..NEUTRAL },
    Preset { name: "Air", temperature: 1.6, tilt: 3.0, steps: 3, gain_db: -4.0, ..NEUTRAL },
    Preset { name: "Dust", steps: 1, temperature: 0.7, tilt: -1.0, ..NEUTRAL },
    Preset { name: "Restless keys", temperature: 1.25, smear_ms: 40.0, running: true, ..NEUTRAL },
    Preset {
        name: "Choir",
        formant: 1.0,
        smear_ms: 220.0,
        temperature: 1.1,
        running: true,
        steps: 8,
        ..NEUTRAL
    },
];
