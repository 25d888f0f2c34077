//! Where a chain starts, and how much noise it draws: from Griffin-Lim's sound, from a sound that the caller
//! gives, warmer and colder.
#![allow(clippy::unwrap_used, missing_docs)]

use std::path::Path;

use candle_core::Device;
use vocoder::audio;
use vocoder::config::Padding;
use vocoder::mel::{MelConfig, MelExtractor};
use vocoder::noise::{self, Noise};
use vocoder::prior::{Prior, PriorConfig};
use vocoder::render::{Renderer, Settings};
use vocoder::start::Start;
use vocoder::voice::Voice;
use vocoder_tests::rendering::{part, settings, worst};
use vocoder_tests::voices::{mel, noise as values, rms, steady_voice};

/// Where a clip begins in the middle of a sound, the prior's filter remembers nothing and the
/// whitened guide is far out of what a network knows.
#[test]
fn an_abrupt_beginning_stays_within_what_a_network_knows() {
    let config = MelConfig::default();
    // Two seconds from its middle, where it is loud.
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("eval/lj-0026.flac");
    let clip = audio::read(&path).unwrap().audio.samples;
    let from = (clip.len() - 48_000) / 2;
    let mel = MelExtractor::new(&config).unwrap().extract(&clip[from..from + 48_000]).unwrap();
    let prior = PriorConfig::Spectral { floor: 3e-4, order: 24, smear_hz: 50.0, share: 1.0 };
    let prior = Prior::new(prior, &config).unwrap();
    let start = Start::GriffinLim { iterations: 32, level: 0.9 };
    let mut signal = vec![0f32; mel.frames * config.hop];
    Noise::new(0).fill(noise::START, 0, &mut signal);
    start.apply(&prior, &mel, 0, 0..mel.frames, (0.9, 0), &mut signal).unwrap();
    let reached = signal.iter().fold(0.0, |peak: f32, x| peak.max(x.abs()));
    // 10 of the guide and at most 6.8 of the noise, scaled to the level.
    assert!(reached <= 0.9 * 10.0 + 0.436 * 6.8, "{reached}");
    assert!(reached > 5.0, "the guide is in there: {reached}");
}

/// The promise for the engine, of full scale.
const TOLERANCE: f32 = 1e-4;

fn given() -> Settings {
    Settings { start: Start::Given, ..settings("ancestral") }
}

/// `mel` from `guide` at `temperature`, a frame of guide before the frame of mel after it.
fn follow(
    mut renderer: Renderer,
    mel: &vocoder::mel::Mel,
    guide: &[f32],
    temperature: f32,
    piece: usize,
) -> Vec<f32> {
    renderer.set_temperature(temperature);
    let (mut sound, mut told) = (Vec::new(), 0);
    for from in (0..mel.frames).step_by(piece) {
        let to = (from + piece).min(mel.frames);
        let end = to * mel.config.hop;
        renderer.push_given(guide.get(told..end).unwrap_or_default());
        told = end;
        sound.extend(renderer.push(&part(mel, from..to)).unwrap());
    }
    sound.extend(renderer.finish().unwrap());
    sound
}

fn both_ways(voice: &Voice, settings: &Settings) -> [Renderer; 2] {
    [
        Renderer::new(voice, &Device::Cpu, settings.clone()).unwrap(),
        Renderer::by_definition(voice, &Device::Cpu, settings.clone()).unwrap(),
    ]
}

#[test]
fn a_given_start_and_a_temperature_are_the_definitions_in_pieces_of_any_size() {
    for padding in [Padding::Symmetric, Padding::Causal { look_ahead: 1 }] {
        let voice = steady_voice("eighth", padding, PriorConfig::Energy { floor: 1e-3 });
        let mel = mel(14);
        let guide = values(mel.frames * mel.config.hop);
        for temperature in [1.0, 0.4] {
            let settings = Settings { chunk_frames: 1, ..given() };
            let [_, twin] = both_ways(&voice, &settings);
            let expected = follow(twin, &mel, &guide, temperature, mel.frames);
            for piece in [1, 3, 14] {
                let [engine, twin] = both_ways(&voice, &settings);
                let found = follow(engine, &mel, &guide, temperature, piece);
                assert!(worst(&found, &expected) < TOLERANCE * rms(&expected).max(1.0));
                let found = follow(twin, &mel, &guide, temperature, piece);
                assert!(worst(&found, &expected) < TOLERANCE * rms(&expected).max(1.0));
            }
        }
    }
}

#[test]
fn without_noise_the_seed_is_not_heard_and_without_a_guide_there_is_silence_in_its_place() {
    let voice = steady_voice("eighth", Padding::Symmetric, PriorConfig::Standard);
    let mel = mel(6);
    let length = mel.frames * mel.config.hop;
    let (guide, silence) = (values(length), vec![0.0; length]);
    let render = |seed, guide: &[f32], temperature| {
        let settings = Settings { seed, ..given() };
        let [engine, _] = both_ways(&voice, &settings);
        follow(engine, &mel, guide, temperature, mel.frames)
    };
    assert_eq!(render(1, &guide, 0.0), render(2, &guide, 0.0));
    assert_ne!(render(1, &guide, 1.0), render(2, &guide, 1.0));
    assert_eq!(render(1, &[], 1.0), render(1, &silence, 1.0));
    assert_ne!(render(1, &guide, 1.0), render(1, &silence, 1.0));
}
