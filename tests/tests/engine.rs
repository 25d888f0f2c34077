//! The engine against the network's definition: every preset, both paddings, every instruction set of
//! this machine, pieces of any size.

#![allow(clippy::unwrap_used)]

use candle_core::Device;
use proptest::prelude::*;
use vocoder::config::{ModelConfig, Padding};
use vocoder::engine::Precision;
use vocoder::mel::Mel;
use vocoder::prior::PriorConfig;
use vocoder::render::{Renderer, Settings};
use vocoder_tests::rendering::{self, definition, engine, worst};
use vocoder_tests::voices::{mel, rms, steady, steady_voice};

fn settings(sampler: &str, precision: Precision, chunk_frames: usize) -> Settings {
    Settings { precision, chunk_frames, ..rendering::settings(sampler) }
}

/// The largest difference that "the same" allows, of full scale.
const TOLERANCE: f32 = 1e-4;

const PADDINGS: [Padding; 3] =
    [Padding::Symmetric, Padding::Causal { look_ahead: 0 }, Padding::Causal { look_ahead: 2 }];

#[test]
fn every_preset_equals_its_definition() {
    for preset in ModelConfig::PRESETS.into_iter().filter(|name| !name.starts_with("stream-")) {
        for padding in PADDINGS {
            let voice = steady_voice(preset, padding, PriorConfig::Energy { floor: 1e-3 });
            let mel = mel(5);
            let settings = settings("ancestral", Precision::F32, 1000);
            let expected = definition(&voice, settings.clone(), &mel);
            let error = worst(&engine(&voice, settings, &mel), &expected);
            println!("{preset} {padding:?}: {error:.1e} of {:.3}", rms(&expected));
            assert!(error < TOLERANCE, "{preset} {padding:?}: {error}");
            assert!((1e-3..0.7).contains(&rms(&expected)), "{}", rms(&expected));
        }
    }
}

#[test]
fn other_kernel_sizes_equal_their_definition() {
    for (taps, stem_taps) in [(1, 1), (5, 3), (7, 9)] {
        for padding in PADDINGS {
            let model = ModelConfig::preset("eighth", 128).unwrap();
            let prior = PriorConfig::Energy { floor: 1e-3 };
            let voice = steady(ModelConfig { taps, stem_taps, padding, prior, ..model });
            let mel = mel(5);
            let settings = |chunk| settings("ancestral", Precision::F32, chunk);
            let expected = definition(&voice, settings(1000), &mel);
            assert!((1e-3..0.7).contains(&rms(&expected)), "{}", rms(&expected));
            for chunk in [1000, 1, 2] {
                let error = worst(&engine(&voice, settings(chunk), &mel), &expected);
                assert!(error < TOLERANCE, "{taps}, {stem_taps}, {padding:?}, {chunk}: {error}");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Pushed in pieces, in chunks of any length, with any sampler: the same sound.
    #[test]
    fn pieces_equal_the_whole(
        padding in proptest::sample::select(PADDINGS.to_vec()),
        sampler in proptest::sample::select(vec!["ancestral", "ddim", "dpm++2m", "sde-dpm++2m"]),
        prior in proptest::sample::select(vec![
            PriorConfig::Standard,
            PriorConfig::Energy { floor: 1e-3 },
            PriorConfig::Spectral { floor: 1e-3, order: 16, smear_hz: 50.0, share: 0.5 },
        ]),
        frames in 1usize..40,
        chunk in 1usize..20,
        cuts in proptest::collection::vec(0usize..40, 0..6),
    ) {
        let voice = steady_voice("eighth", padding, prior);
        let mel = mel(frames);
        let expected = definition(&voice, settings(sampler, Precision::F32, 1000), &mel);
        let settings = settings(sampler, Precision::F32, chunk);
        let mut renderer = Renderer::new(&voice, &Device::Cpu, settings).unwrap();
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(frames)).collect();
        cuts.extend([0, frames]);
        cuts.sort_unstable();
        // Twice: a reset renderer equals a new one.
        for _ in 0..2 {
            let mut sound = Vec::new();
            for pair in cuts.windows(2) {
                let data = mel.data[pair[0] * mel.config.n_mels..pair[1] * mel.config.n_mels].to_vec();
                let piece = Mel { config: mel.config.clone(), frames: pair[1] - pair[0], data };
                sound.extend(renderer.push(&piece).unwrap());
            }
            sound.extend(renderer.finish().unwrap());
            let error = worst(&sound, &expected);
            prop_assert!(error < TOLERANCE, "{error}");
        }
    }
}

/// How far products of fewer bits are from f32's: noise at least 30 dB below the signal for bf16 with its
/// 8 bits, 54 dB for int16, 28 dB for int8, for an untrained network.
#[test]
fn fewer_bits_are_near() {
    for preset in ["half", "quarter", "eighth"] {
        let voice = steady_voice(preset, Padding::Symmetric, PriorConfig::Energy { floor: 1e-3 });
        let mel = mel(8);
        let exact = engine(&voice, settings("ddim", Precision::F32, 1000), &mel);
        for (precision, most) in
            [(Precision::Bf16, 0.03), (Precision::Int16, 0.002), (Precision::Int8, 0.04)]
        {
            let near = engine(&voice, settings("ddim", precision, 1000), &mel);
            let difference: Vec<f32> = near.iter().zip(&exact).map(|(a, b)| a - b).collect();
            let relative = rms(&difference) / rms(&exact);
            println!("{preset} {precision}: {relative:.5}");
            assert!(relative > 0.0 && relative < most, "{preset} {precision}: {relative}");
        }
    }
}
