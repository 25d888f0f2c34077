#![allow(clippy::unwrap_used)]

use super::*;
use crate::mel::MelExtractor;
use crate::noise::Noise;
use crate::sampler::{Clip, Sampler, SamplerKind};
use crate::schedule::{Schedule, sigma};
use proptest::prelude::*;

const ENERGY: PriorConfig = PriorConfig::Energy { floor: 1e-3 };

fn noise(seed: u64, length: usize) -> Vec<f32> {
    let mut out = vec![0.0; length];
    Noise::new(seed).fill(0, 0, &mut out);
    out
}

fn rms(x: &[f32]) -> f32 {
    (x.iter().map(|x| x * x).sum::<f32>() / x.len() as f32).sqrt()
}

/// Harmonics of 200 Hz falling by 6 dB an octave, up to 5 kHz.
fn tone(config: &MelConfig, length: usize) -> Vec<f32> {
    let step = std::f32::consts::TAU * 200.0 / config.sample_rate as f32;
    let harmonic = |i: usize, h: usize| ((step * (h * i) as f32) + h as f32).sin() / h as f32;
    (0..length).map(|i| (1..=25).map(|h| harmonic(i, h)).sum()).collect()
}

#[test]
fn deviation_is_the_level_of_noise_and_tones() {
    for name in MelConfig::PRESETS {
        let config = MelConfig::preset(name).unwrap();
        let prior = Prior::new(ENERGY, &config).unwrap();
        let length = 40 * config.hop;
        for (what, mut signal) in [("noise", noise(3, length)), ("tone", tone(&config, length))] {
            let level = rms(&signal);
            // Of the noise the mel hears what its bands cover.
            let width = (config.f_max_hz - config.f_min_hz) / (config.sample_rate as f32 / 2.0);
            let heard = if what == "noise" { width.sqrt() } else { 1.0 };
            for target in [0.3, 0.01] {
                signal.iter_mut().for_each(|x| *x *= target / level);
                let mel = MelExtractor::new(&config).unwrap().extract(&signal).unwrap();
                let deviation = prior.deviation(&mel, 8..32).unwrap();
                let error_db = 20.0 * (rms(&deviation) / (heard * rms(&signal))).log10();
                assert!(error_db.abs() < 2.0, "{name} {what} {target}: {error_db:.2} dB");
                signal.iter_mut().for_each(|x| *x *= level / target);
            }
        }
    }
}

fn some_mel(config: &MelConfig, frames: usize) -> Mel {
    let (low, high) = (config.min_value(), config.max_value());
    let value = |x: f32| (low + (high - low) * (0.5 + 0.2 * x)).clamp(low, high);
    let data = noise(4, frames * config.n_mels).into_iter().map(value).collect();
    Mel::new(config.clone(), data).unwrap()
}

fn configs() -> [MelConfig; 2] {
    ["wavegrad-24k", "hifigan-22k"].map(|name| MelConfig::preset(name).unwrap())
}

#[test]
fn deviation_is_linear_between_the_centres_and_constant_beyond() {
    for config in configs() {
        let prior = Prior::new(ENERGY, &config).unwrap();
        let mel = some_mel(&config, 3);
        let s: Vec<f32> = (0..3).map(|f| prior.of_frame(mel.frame(f))).collect();
        let deviation = prior.deviation(&mel, 0..3).unwrap();
        let hop = config.hop;
        assert_eq!(deviation.len(), 3 * hop);
        let centre = if config.padding == MelPadding::Centre { 0 } else { hop / 2 };
        for f in 0..3 {
            assert_eq!(deviation[f * hop + centre], s[f]);
        }
        let half = deviation[centre + hop / 2];
        assert!((half / (0.5 * (s[0] + s[1])) - 1.0).abs() < 1e-6);
        assert!(deviation[..=centre].iter().all(|&d| d == s[0]));
        assert!(deviation[2 * hop + centre..].iter().all(|&d| d == s[2]));
    }
}

proptest! {
    #[test]
    fn pieces_equal_the_whole(start in 0usize..20, length in 0usize..20) {
        for config in configs() {
            let prior = Prior::new(ENERGY, &config).unwrap();
            let mel = some_mel(&config, 20);
            let whole = prior.deviation(&mel, 0..20).unwrap();
            let end = (start + length).min(20);
            let samples = start * config.hop..end * config.hop;
            prop_assert_eq!(&prior.deviation(&mel, start..end).unwrap(), &whole[samples.clone()]);

            // The same from a mel that holds no more than the neighbours.
            let (first, last) = (start.saturating_sub(1), (end + 1).min(20));
            let bands = first * config.n_mels..last * config.n_mels;
            let part = Mel::new(config.clone(), mel.data[bands].to_vec()).unwrap();
            let piece = prior.deviation(&part, start - first..end - first).unwrap();
            prop_assert_eq!(&piece, &whole[samples]);
        }
    }
}

/// One step of PriorGrad's chain, x with noise S e, in f64, against one of ours on u = x / S.
#[test]
fn whitened_chain_is_priorgrads() {
    let (t, s) = (0.3f64, 0.7f64);
    let deviation: Vec<f32> = noise(1, 64).iter().map(|x| 0.02 + 0.2 * x.abs()).collect();
    let [x, e_hat, z] = [11, 12, 13].map(|seed| noise(seed, 64));
    let mut u: Vec<f32> = x.iter().zip(&deviation).map(|(x, d)| x / d).collect();
    Sampler::new(SamplerKind::Ancestral, &Schedule::explicit([t, s]).unwrap(), Clip::None)
        .advance(0, &mut u, &e_hat, &z)
        .unwrap();
    for i in 0..64 {
        let [d, x, e_hat, z] = [deviation[i], x[i], e_hat[i], z[i]].map(f64::from);
        let a = (t / s).powi(2);
        let mean = (x - (1.0 - a) / sigma(t) * (d * e_hat)) / a.sqrt();
        let priorgrad = mean + (sigma(s).powi(2) / sigma(t).powi(2) * (1.0 - a)).sqrt() * d * z;
        assert!((d * f64::from(u[i]) - priorgrad).abs() < 1e-5);
    }
}

/// The whole way of a spectral prior: from a signal to u and back, in pieces, and u is white, or half so.
#[test]
fn a_spectral_prior_whitens_and_colours_without_loss() {
    let kinds = [(24, 50.0, 1.0), (128, 12.0, 1.0), (128, 12.0, 0.5)];
    for (config, (order, smear_hz, share)) in
        configs().into_iter().flat_map(|config| kinds.map(|kind| (config.clone(), kind)))
    {
        let prior = PriorConfig::Spectral { floor: 1e-3, order, smear_hz, share };
        let prior = Prior::new(prior, &config).unwrap();
        let frames = 40;
        let mut signal: Vec<f32> = tone(&config, frames * config.hop);
        let breath = noise(9, signal.len());
        // Sound, then softer sound, with a little noise low-passed at half the band.
        for (i, value) in signal.iter_mut().enumerate() {
            let fade = if i > 6000 { 0.02 } else { 0.2 };
            *value = fade * (*value + 0.1 * (breath[i] + breath[i.saturating_sub(1)]));
        }
        let mel = MelExtractor::new(&config).unwrap().extract(&signal).unwrap();
        let mut white = signal.clone();
        prior.whiten(&mel, 0..frames, &mut Memory::default(), &mut white).unwrap();

        let inner = &white[2 * config.hop..38 * config.hop];
        assert!((0.4..2.5).contains(&rms(inner)), "{}", rms(inner));
        let ratio = |x: &[f32]| {
            let rough: Vec<f32> = x.windows(2).map(|pair| pair[1] - pair[0]).collect();
            rms(&rough) / rms(x)
        };
        // White noise has sqrt(2); the signal is far smoother, and half whitened it lies between.
        let expected = if share == 1.0 { 1.0..2.0 } else { 0.6..1.0 };
        assert!(expected.contains(&ratio(inner)), "share {share}: {}", ratio(inner));
        assert!(ratio(&signal) < 0.5, "{}", ratio(&signal));

        let mut memory = Memory::default();
        let mut back = white.clone();
        let cut = 13 * config.hop;
        prior.colour(&mel, 0..13, &mut memory, &mut back[..cut]).unwrap();
        prior.colour(&mel, 13..frames, &mut memory, &mut back[cut..]).unwrap();
        let worst = back.iter().zip(&signal).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(worst < 1e-4, "{worst}");

        // A piece that starts elsewhere is right once the filter is filled.
        let mut piece = signal[cut..].to_vec();
        prior.whiten(&mel, 13..frames, &mut Memory::default(), &mut piece).unwrap();
        let whole = &white[cut + order..];
        assert!(piece[order..].iter().zip(whole).all(|(a, b)| (a - b).abs() < 1e-3));
    }
}

#[test]
fn floor_and_standard_prior() {
    let [config, _] = configs();
    let silence = Mel::new(config.clone(), vec![config.min_value(); 2 * config.n_mels]).unwrap();
    let deviation = |prior| Prior::new(prior, &config).unwrap().deviation(&silence, 0..2).unwrap();
    assert_eq!(deviation(PriorConfig::Energy { floor: 0.25 }), [0.25; 600]);
    assert_eq!(deviation(PriorConfig::Standard), [1.0; 600]);
}

#[test]
fn wrong_settings_are_refused() {
    let [config, other] = configs();
    for floor in [0.0, -1.0, 1.5, f32::NAN] {
        assert!(Prior::new(PriorConfig::Energy { floor }, &config).is_err());
    }
    for (floor, order, smear_hz, share) in [
        (0.0, 24, 50.0, 1.0),
        (1e-3, 0, 50.0, 1.0),
        (1e-3, 257, 50.0, 1.0),
        (1e-3, 24, f32::NAN, 1.0),
        (1e-3, 24, 50.0, -0.1),
        (1e-3, 24, 50.0, 1.1),
        (1e-3, 24, 50.0, f32::NAN),
    ] {
        let prior = PriorConfig::Spectral { floor, order, smear_hz, share };
        assert!(Prior::new(prior, &config).is_err());
    }
    let prior = Prior::new(ENERGY, &config).unwrap();
    assert!(prior.deviation(&some_mel(&other, 2), 0..1).is_err());
    let message = prior.deviation(&some_mel(&config, 2), 1..3).unwrap_err().to_string();
    assert_eq!(message, "prior: expected frames within 0..2, got 1..3");
}
