//! A chain that starts from Griffin-Lim's sound.
#![allow(clippy::unwrap_used, missing_docs)]

use vocoder::audio;
use vocoder::mel::{MelConfig, MelExtractor};
use vocoder::noise::{self, Noise};
use vocoder::prior::{Prior, PriorConfig};
use vocoder::start::Start;
use vocoder_tests::program::speech;

/// Where a clip begins in the middle of a sound, the prior's filter remembers nothing and the
/// whitened guide is far out of what a network knows.
#[test]
fn an_abrupt_beginning_stays_within_what_a_network_knows() {
    let config = MelConfig::default();
    let clip = audio::read(&speech()).unwrap().audio.samples;
    let prior = PriorConfig::Spectral { floor: 3e-4, order: 24, smear_hz: 50.0 };
    let prior = Prior::new(prior, &config).unwrap();
    let (level, start) = (0.9, Start::GriffinLim { iterations: 8, level: 0.9 });
    let mut reached = 0f32;
    for first in (4_800..24_000).step_by(2_400) {
        let mel = MelExtractor::new(&config).unwrap().extract(&clip[first..]).unwrap();
        let mut signal = vec![0f32; mel.frames * config.hop];
        Noise::new(1).fill(noise::START, 0, &mut signal);
        start.apply(&prior, &mel, 0, 0..mel.frames, (level, 1), &mut signal).unwrap();
        reached = signal.iter().fold(reached, |peak, x| peak.max(x.abs()));
    }
    // 10 of the guide and at most 6.8 of the noise, scaled to the level.
    assert!(reached <= 0.9 * 10.0 + 0.436 * 6.8, "{reached}");
    assert!(reached > 5.0, "the guide is in there: {reached}");
}
