//! Our mels beside librosa's and torchaudio's: see `reference/mel/make_reference.py`.
#![allow(clippy::unwrap_used, clippy::panic)]

use safetensors::SafeTensors;
use vocoder::mel::{MelConfig, MelExtractor, MelLog, MelNorm, MelScale, Power};

const MEAN_TOLERANCE: f32 = 1e-4;
/// Reached near the floor only, where f32 transforms differ in their rounding.
const MAX_TOLERANCE: f32 = 1e-2;

fn values(file: &SafeTensors, name: &str) -> Vec<f32> {
    let tensor = file.tensor(name).unwrap_or_else(|_| panic!("no {name}"));
    tensor.data().chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect()
}

/// What no preset uses: energy, decibels, and HTK's scale with Slaney's norm.
fn energy_db() -> MelConfig {
    MelConfig {
        sample_rate: 16_000,
        n_mels: 64,
        n_fft: 1024,
        window: 800,
        hop: 200,
        f_min_hz: 60.0,
        f_max_hz: 7_600.0,
        scale: MelScale::Htk,
        norm: MelNorm::Slaney,
        power: Power::Energy,
        log: MelLog::Db,
        floor: 1e-8,
        ..MelConfig::default()
    }
}

/// Mean and greatest distance from the reference, in natural-log units of what the bands sum.
fn distance(config: &MelConfig, clip: &[f32], reference: &[f32]) -> (f32, f32) {
    let nat_per_db = std::f32::consts::LN_10 * config.power.exponent() as f32 / 20.0;
    let unit = match config.log {
        MelLog::Natural => 1.0,
        MelLog::Log10 => std::f32::consts::LN_10,
        MelLog::Db => nat_per_db,
        MelLog::UnitDb => 100.0 * nat_per_db,
    };
    let mel = MelExtractor::new(config).unwrap().extract(clip).unwrap();
    assert_eq!(mel.data.len(), reference.len(), "frames x bands");
    let (mut sum, mut max) = (0.0, 0.0f32);
    for (at, got) in mel.data.iter().enumerate() {
        let (frame, band) = (at / config.n_mels, at % config.n_mels);
        let gap = unit * (got - reference[band * mel.frames + frame]).abs();
        sum += gap;
        max = max.max(gap);
    }
    (sum / reference.len() as f32, max)
}

#[test]
fn every_preset_equals_librosa_and_torchaudio() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/reference/mel/reference.safetensors");
    let bytes = std::fs::read(path).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let clip = values(&file, "audio");
    let mut cases: Vec<(&str, MelConfig)> = MelConfig::PRESETS
        .iter()
        .filter(|&&name| name != "fastspeech2-22k")
        .map(|&name| (name, MelConfig::preset(name).unwrap()))
        .collect();
    cases.push(("energy-db", energy_db()));
    for (name, config) in cases {
        for library in ["librosa", "torchaudio"] {
            let reference = values(&file, &format!("{name}/{library}"));
            let (mean, max) = distance(&config, &clip, &reference);
            println!("{name} against {library}: mean {mean:.1e}, max {max:.1e}");
            assert!(mean < MEAN_TOLERANCE && max < MAX_TOLERANCE, "{name} against {library}");
        }
    }
    let alias = MelConfig::preset("fastspeech2-22k").unwrap();
    assert_eq!(alias, MelConfig::preset("tacotron2-22k").unwrap());
}
