//! Guidance: off is off; the engine leads as the definition does, in pieces of any size; a voice that was
//! not trained for it is refused.
#![allow(clippy::unwrap_used, missing_docs)]

use candle_core::Device;
use training::TrainConfig;
use vocoder::config::Padding;
use vocoder::mel::Mel;
use vocoder::prior::PriorConfig;
use vocoder::render::{Renderer, Settings};
use vocoder::trace::trace;
use vocoder::voice::{Precision as Stored, Voice};
use vocoder_tests::arguments;
use vocoder_tests::program::{run, speech};
use vocoder_tests::rendering::{self, definition, engine, part, worst};
use vocoder_tests::voices::{mel, rms, steady_voice, tiny_voice};

/// The promise for the engine, of full scale.
const TOLERANCE: f32 = 1e-4;

/// A voice that says of itself that it knows silence.
fn voice(padding: Padding, prior: PriorConfig) -> Voice {
    let mut voice = steady_voice("eighth", padding, prior);
    let mut config = TrainConfig::preset("overfit-one").unwrap();
    config.mel_dropout = 0.1;
    voice.provenance.training = config.to_toml().unwrap();
    voice
}

fn settings(sampler: &str, guidance: f32) -> Settings {
    Settings { guidance, ..rendering::settings(sampler) }
}

#[test]
fn a_weight_of_one_changes_no_bit() {
    let knows = voice(Padding::Symmetric, PriorConfig::Standard);
    let never = steady_voice("eighth", Padding::Symmetric, PriorConfig::Standard);
    let mel = mel(6);
    for render in [engine, definition] {
        let off = render(&never, settings("ancestral", 1.0), &mel);
        let on = render(&knows, settings("ancestral", 1.0), &mel);
        assert!(off.iter().zip(&on).all(|(a, b)| a.to_bits() == b.to_bits()));
    }
}

#[test]
fn a_weight_of_nothing_is_a_mel_of_silence() {
    // Under the standard prior the network alone sees the mel.
    let voice = voice(Padding::Causal { look_ahead: 2 }, PriorConfig::Standard);
    let mel = mel(6);
    let silent = Mel { data: vec![mel.config.min_value(); mel.data.len()], ..mel.clone() };
    for render in [engine, definition] {
        let guided = render(&voice, settings("ddim", 0.0), &mel);
        let expected = render(&voice, settings("ddim", 1.0), &silent);
        assert!(worst(&guided, &expected) < 1e-6, "{}", worst(&guided, &expected));
    }
}

#[test]
fn the_engine_leads_as_the_definition_does_in_pieces() {
    let spectral = PriorConfig::Spectral { floor: 1e-3, order: 16, smear_hz: 50.0, share: 1.0 };
    for (padding, prior) in [
        (Padding::Symmetric, spectral),
        (Padding::Causal { look_ahead: 2 }, PriorConfig::Energy { floor: 1e-3 }),
        (Padding::Causal { look_ahead: 0 }, PriorConfig::Energy { floor: 1e-2 }),
    ] {
        for sampler in ["ancestral", "dpm++2m", "heun"] {
            let (voice, mel) = (voice(padding, prior), mel(9));
            let settings = settings(sampler, 1.7);
            let expected = definition(&voice, settings.clone(), &mel);
            assert!((1e-3..0.8).contains(&rms(&expected)), "{}", rms(&expected));
            let plain = definition(&voice, Settings { guidance: 1.0, ..settings.clone() }, &mel);
            assert!(worst(&plain, &expected) > 1e-2, "it leads nowhere");

            let pieces = Settings { chunk_frames: 2, ..settings.clone() };
            let in_windows = definition(&voice, pieces.clone(), &mel);
            assert!(worst(&in_windows, &expected) < TOLERANCE);
            let mut renderer = Renderer::new(&voice, &Device::Cpu, pieces).unwrap();
            // Twice: a reset renderer equals a new one.
            for _ in 0..2 {
                let mut sound = Vec::new();
                for frames in [0..1, 1..5, 5..9] {
                    sound.extend(renderer.push(&part(&mel, frames)).unwrap());
                }
                sound.extend(renderer.finish().unwrap());
                let error = worst(&sound, &expected);
                assert!(error < TOLERANCE, "{padding:?} {sampler}: {error}");
            }
            let traced = trace(&voice, &Device::Cpu, &settings, &mel).unwrap();
            assert!(worst(&traced.sound, &expected) < TOLERANCE);
        }
    }
}

#[test]
fn a_voice_that_does_not_know_silence_is_refused() {
    let never = steady_voice("eighth", Padding::Symmetric, PriorConfig::Standard);
    let error = Renderer::new(&never, &Device::Cpu, settings("ddim", 1.5)).err().unwrap();
    assert!(error.to_string().contains("mel_dropout"), "{error}");
    for weight in [-0.5, 1e9, f32::NAN] {
        let knows = voice(Padding::Symmetric, PriorConfig::Standard);
        assert!(Renderer::new(&knows, &Device::Cpu, settings("ddim", weight)).is_err(), "{weight}");
    }
}

#[test]
fn the_share_of_silence_is_read_from_the_config_in_the_voice() {
    let mut voice = voice(Padding::Symmetric, PriorConfig::Standard);
    assert_eq!(voice.provenance.mel_dropout(), 0.1);
    for (text, expected) in [
        ("", 0.0),
        ("batch = 3\nmel_dropout = 0.25 # a quarter\n", 0.25),
        ("mel_dropout = 0.0\n", 0.0),
        ("[other]\nmel_dropout = 0.5\n", 0.0),
    ] {
        voice.provenance.training = text.into();
        assert_eq!(voice.provenance.mel_dropout(), expected, "{text}");
    }
}

#[test]
fn the_program_guides_refuses_and_warns() {
    let folder = tempfile::tempdir().unwrap();
    let never = tiny_voice(folder.path());
    let mut voice = Voice::load(&never).unwrap();
    voice.provenance.training = "mel_dropout = 0.1\n".into();
    let knows = folder.path().join("knows.safetensors");
    voice.save(&knows, Stored::Half).unwrap();
    let render = |voice: &std::path::Path, weight: &str, out: &str| {
        let out = folder.path().join(out);
        run(arguments![
            "render",
            speech(),
            "-o",
            out,
            "--voice",
            voice,
            "--guidance",
            weight,
            "--steps",
            "2",
            "--json"
        ])
    };
    render(&never, "1.5", "a.wav").expect_error(1, &["guidance of 1.5", "mel_dropout"]);
    let quiet = render(&knows, "1.5", "b.wav");
    assert!(quiet.status == 0 && !quiet.stderr.contains("warning"), "{quiet:?}");
    assert!(quiet.stdout.contains("\"guidance\":1.5"), "{}", quiet.stdout);
    let loud = render(&knows, "4", "c.wav");
    assert!(loud.status == 0 && loud.stderr.contains("over-saturates"), "{loud:?}");
}
