//! Voice files keep everything, and damage to them is told, never trusted.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use candle_core::Tensor;
use vocoder::config::ModelConfig;
use vocoder::mel::MelConfig;
use vocoder::network::initial_weights;
use vocoder::prior::PriorConfig;
use vocoder::schedule::Schedule;
use vocoder::start::Start;
use vocoder::voice::{Chain, Precision, Provenance, Voice};

fn voice() -> Voice {
    let mel = MelConfig::default();
    let mut model = ModelConfig::preset("eighth", mel.n_mels).unwrap();
    model.prior = PriorConfig::Spectral { floor: 1e-3, order: 24, smear_hz: 50.0, share: 1.0 };
    let weights = initial_weights(&model, 1).unwrap();
    let provenance = Provenance {
        description: "a test".into(),
        data: "made up".into(),
        licence: "CC0-1.0".into(),
        steps: 12,
        audio_seconds: 3.5,
        training: "seed = 1\n".into(),
    };
    let schedules = [(1, levels(&[0.05])), (3, levels(&[0.05, 0.5, 0.99]))].into();
    let (start, sampler) = Default::default();
    let fields = Voice::new(model, mel, weights);
    Voice { start, polish: 1, sampler, schedules, provenance, ..fields }
}

fn levels(levels: &[f64]) -> Schedule {
    Schedule::explicit(levels).unwrap()
}

fn values(tensor: &Tensor) -> Vec<f32> {
    tensor.flatten_all().unwrap().to_vec1().unwrap()
}

fn error(bytes: &[u8]) -> String {
    let message = Voice::from_bytes(bytes).expect_err("damage must be an error").to_string();
    assert!(!message.contains('\n'), "{message}");
    message
}

/// The file with `from` in its JSON replaced by `to`, of the same length.
fn edited(bytes: &[u8], from: &str, to: &str) -> Vec<u8> {
    assert_eq!(from.len(), to.len());
    let at = bytes.windows(from.len()).position(|w| w == from.as_bytes()).expect(from);
    let mut bytes = bytes.to_vec();
    bytes[at..at + to.len()].copy_from_slice(to.as_bytes());
    bytes
}

#[test]
fn a_distilled_voice_says_how_it_wants_to_be_rendered() {
    let mut voice = voice();
    // An older program reads an ordinary voice, and refuses one that it would render wrongly.
    let version = |voice: &Voice| {
        let bytes = voice.to_bytes(Precision::Half).unwrap();
        let text = String::from_utf8_lossy(&bytes).into_owned();
        ["2", "3"].map(|v| text.contains(&format!("\"version\":\"{v}\"")))
    };
    assert_eq!((version(&voice), voice.default_steps(6)), ([true, false], 6));
    let ordinary = voice.content_hash().unwrap();
    voice.sampler = "consistency".parse().unwrap();
    assert_eq!((version(&voice), voice.default_steps(6)), ([false, true], 3));
    let again = Voice::from_bytes(&voice.to_bytes(Precision::Half).unwrap()).unwrap();
    assert_eq!(again.sampler, voice.sampler);
    assert_ne!(voice.content_hash().unwrap(), ordinary);
}

#[test]
fn a_voice_survives_its_file() {
    let voice = voice();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("voice.safetensors");
    for (precision, tolerance) in [(Precision::Single, 0.0), (Precision::Half, 5e-4)] {
        voice.save(&path, precision).unwrap();
        let again = Voice::load(&path).unwrap();
        assert_eq!((&again.model, &again.mel), (&voice.model, &voice.mel));
        assert_eq!(again.schedules, voice.schedules);
        assert_eq!(again.provenance, voice.provenance);
        for (name, tensor) in &voice.weights {
            for (a, b) in values(tensor).iter().zip(values(&again.weights[name])) {
                assert!((a - b).abs() <= tolerance * a.abs() + tolerance * 1e-3, "{name}: {a} {b}");
            }
        }
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "nothing left beside it");
}

#[test]
fn trials_are_kept_and_a_polish_that_cannot_be_is_refused() {
    let mut voice = voice();
    let without = voice.content_hash().unwrap();
    voice.trials = 20;
    assert_ne!(voice.content_hash().unwrap(), without);
    let bytes = voice.to_bytes(Precision::Half).unwrap();
    let again = Voice::from_bytes(&bytes).unwrap();
    assert_eq!((again.polish, again.trials), (1, 20));
    let huge = edited(&bytes, "\"trials\":\"20\"", "\"trials\":\"-2\"");
    assert!(error(&huge).contains("trials"), "{}", error(&huge));
    for (polish, trials) in [(0, 1), (1, 10_001), (10_001, 0)] {
        (voice.polish, voice.trials) = (polish, trials);
        let message = voice.validate().unwrap_err().to_string();
        assert!(message.contains("rounds"), "{message}");
    }
}

#[test]
fn levels_for_noise_lie_beside_those_of_another_start() {
    let mut voice = voice();
    voice.start = Start::GriffinLim { iterations: 32, level: 0.9 };
    let without = voice.content_hash().unwrap();
    // Nothing is known of noise, so the voice's own sampler takes even levels.
    assert_eq!(voice.learned(Start::Noise, 3), None);
    assert_eq!(voice.sampler_from(Start::Noise), voice.sampler);
    let sampler = "sde-dpm++2m".parse().unwrap();
    let schedules = [(3, levels(&[0.08, 0.4, 0.9]))].into();
    voice.from_noise = Some(Chain { sampler, schedules });
    assert_ne!(voice.content_hash().unwrap(), without);
    let bytes = voice.to_bytes(Precision::Half).unwrap();
    let again = Voice::from_bytes(&bytes).unwrap();
    assert_eq!(again.from_noise, voice.from_noise);
    assert_eq!(again.schedule_from(Start::Noise, 3).unwrap().levels(), [0.08, 0.4, 0.9]);
    assert_eq!((again.sampler_from(Start::Noise), again.sampler), (sampler, voice.sampler));
    assert_eq!(again.sampler_from(again.start), again.sampler);
    assert_eq!(again.schedule(3).unwrap().levels(), [0.05, 0.5, 0.99]);
    // Where noise is the voice's own start, its own levels are meant.
    let own = Voice { start: Start::Noise, ..again };
    assert_eq!(own.schedule_from(Start::Noise, 3).unwrap().levels(), [0.05, 0.5, 0.99]);
    assert_eq!(own.sampler_from(Start::Noise), own.sampler);
    // The file's quotes are escaped.
    let wrong = edited(&bytes, r#"{\"3\":[0.08,"#, r#"{\"4\":[0.08,"#);
    assert!(error(&wrong).contains("schedule for 4 steps"), "{}", error(&wrong));
    let wrong = edited(&bytes, "sde-dpm++2m", "sde-dpm++9m");
    assert!(error(&wrong).contains("from_noise"), "{}", error(&wrong));
}

#[test]
fn its_own_schedules_come_first() {
    let voice = voice();
    assert_eq!(voice.schedule(3).unwrap().levels(), [0.05, 0.5, 0.99]);
    assert_eq!(voice.schedule(6).unwrap().steps(), 6);
    assert!(voice.schedule(0).is_err());
}

#[test]
fn a_file_that_is_cut_anywhere_is_refused() {
    let bytes = voice().to_bytes(Precision::Half).unwrap();
    let cuts = [0, 1, 7, 8, 9, 100, 1000, bytes.len() / 2, bytes.len() - 1];
    for cut in cuts {
        error(&bytes[..cut]);
    }
    error(&[&bytes[..], b"more"].concat());
}

#[test]
fn what_it_is_not_is_said() {
    let bytes = voice().to_bytes(Precision::Half).unwrap();
    assert!(error(b"RIFF\0\0\0\0WAVEfmt ").contains("expected a voice file"));
    assert!(error(&edited(&bytes, "vocoder voice", "vocoder noise")).contains("vocoder noise"));
    let newer = error(&edited(&bytes, "\"version\":\"2\"", "\"version\":\"9\""));
    assert!(newer.contains("version 9") && newer.contains("newer"), "{newer}");
    let hop = error(&edited(&bytes, "\\\"hop\\\":300", "\\\"hop\\\":256"));
    assert!(hop.contains("hop of 256"), "{hop}");
    let name = error(&edited(&bytes, "last.bias", "lost.bias"));
    assert!(name.contains("last.bias"), "{name}");
    let key = error(&edited(&bytes, "\\\"stem\\\"", "\\\"stam\\\""));
    assert!(key.contains("stam"), "{key}");
}

#[test]
fn weights_that_are_no_numbers_are_refused() {
    let mut voice = voice();
    let bias = Tensor::new(&[f32::NAN], &candle_core::Device::Cpu).unwrap();
    voice.weights.insert("last.bias".into(), bias);
    assert!(error(&voice.to_bytes(Precision::Single).unwrap()).contains("last.bias"));
}
