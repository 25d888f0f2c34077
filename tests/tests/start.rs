//! A chain that starts from Griffin-Lim's sound.
#![allow(clippy::unwrap_used, missing_docs)]

use std::path::Path;

use vocoder::audio;
use vocoder::mel::{MelConfig, MelExtractor};
use vocoder::noise::{self, Noise};
use vocoder::prior::{Prior, PriorConfig};
use vocoder::start::Start;

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
    let prior = PriorConfig::Spectral { floor: 3e-4, order: 24, smear_hz: 50.0 };
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
