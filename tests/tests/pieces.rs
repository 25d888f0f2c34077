//! Pieces equal the whole: rendering in chunks of any length gives the whole-file render.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use candle_core::Device;
use proptest::prelude::*;
use vocoder::config::{ModelConfig, Padding, Resampling};
use vocoder::engine::Precision;
use vocoder::mel::{Mel, MelConfig};
use vocoder::prior::PriorConfig;
use vocoder::render::{Polish, Renderer, Settings};
use vocoder::sampler::{Clip, SamplerKind};
use vocoder::schedule::Schedule;
use vocoder::start::Start;
use vocoder::voice::Voice;
use vocoder_tests::rendering::worst;
use vocoder_tests::voices::{mel, slim_voice, steady_voice};

fn settings(steps: usize, sampler: &str, chunk_frames: usize) -> Settings {
    Settings {
        schedule: Schedule::log_snr(steps, 0.08, 0.999).unwrap(),
        sampler: sampler.parse::<SamplerKind>().unwrap(),
        guidance: 1.0,
        clip: Clip::Signal(1.0),
        start: Start::Noise,
        seed: 7,
        chunk_frames,
        polish: Polish::NONE,
        precision: Precision::F32,
    }
}

fn render(voice: &Voice, settings: Settings, mel: &Mel) -> Vec<f32> {
    Renderer::new(voice, &Device::Cpu, settings).unwrap().render(mel).unwrap()
}

const PRECISIONS: [Precision; 4] =
    [Precision::F32, Precision::Bf16, Precision::Int16, Precision::Int8];

const PRIORS: [PriorConfig; 3] = [
    PriorConfig::Standard,
    PriorConfig::Energy { floor: 1e-3 },
    PriorConfig::Spectral { floor: 1e-3, order: 16, smear_hz: 50.0, share: 0.5 },
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn chunks_equal_the_whole_bit_for_bit(
        frames in 1usize..70,
        chunk in 1usize..40,
        precision in prop::sample::select(PRECISIONS.to_vec()),
        steps in 1usize..4,
        prior in 0usize..3,
        sampler in prop::sample::select(vec!["ancestral", "ddim", "dpm++2m"]),
        causal in any::<bool>(),
        polish in prop::sample::select(vec!["0", "1", "2", "3:0", "2:1", "1:3"]),
    ) {
        let padding =
            if causal { Padding::Causal { look_ahead: 2 } } else { Padding::Symmetric };
        // In f32 sums of short chunks and of wider networks have another order: `engine.rs` has those.
        let (voice, chunk) = match (precision, causal) {
            (Precision::F32, _) => {
                (slim_voice(PRIORS[prior], padding, Resampling::Nearest), chunk.max(8))
            }
            (_, true) => (steady_voice("stream-eighth", padding, PRIORS[prior]), chunk),
            (_, false) => (steady_voice("eighth", padding, PRIORS[prior]), chunk),
        };
        let mel = mel(frames);
        let polish = polish.parse().unwrap();
        let settings = |chunk| Settings { polish, precision, ..settings(steps, sampler, chunk) };
        let whole = render(&voice, settings(1000), &mel);
        prop_assert_eq!(whole.len(), frames * 300);
        // The causal network's sound comes two frames late: too late for a polish that looks at no frame
        // after its own, in a clip that has no more.
        prop_assert!(frames <= 2 || whole.iter().any(|v| *v != 0.0));
        let chunked = render(&voice, settings(chunk), &mel);
        prop_assert!(whole == chunked);
    }

    #[test]
    fn frames_may_come_in_any_pieces(
        cut in 1usize..59,
        chunk in 8usize..30,
        precision in prop::sample::select(PRECISIONS.to_vec()),
    ) {
        let voice = slim_voice(PRIORS[2], Padding::Symmetric, Resampling::Nearest);
        let mel = mel(60);
        let settings = |chunk| Settings { precision, ..settings(2, "ancestral", chunk) };
        let whole = render(&voice, settings(20), &mel);
        let mut renderer = Renderer::new(&voice, &Device::Cpu, settings(chunk)).unwrap();
        let part = |range: std::ops::Range<usize>| {
            Mel::new(mel.config.clone(), mel.data[range.start * 128..range.end * 128].to_vec()).unwrap()
        };
        let mut found = renderer.push(&part(0..cut)).unwrap();
        found.extend(renderer.push(&part(cut..60)).unwrap());
        found.extend(renderer.finish().unwrap());
        prop_assert!(found == whole);
        // After the end the renderer is as new.
        prop_assert!(renderer.render(&mel).unwrap() == whole);
    }
}

/// Every preset, causal and symmetric ones, in chunks of a frame and of an odd number.
#[test]
fn every_preset_renders_in_pieces() {
    let mel = mel(7);
    for preset in ModelConfig::PRESETS {
        let padding = ModelConfig::preset(preset, 128).unwrap().padding;
        let voice = steady_voice(preset, padding, PRIORS[1]);
        for precision in [Precision::F32, Precision::Int8] {
            let settings = |chunk| Settings { precision, ..settings(2, "ddim", chunk) };
            let whole = render(&voice, settings(1000), &mel);
            for chunk in [1, 3] {
                let error = worst(&whole, &render(&voice, settings(chunk), &mel));
                assert!(error < 1e-4, "{preset} {precision} {chunk}: {error}");
                assert!(precision == Precision::F32 || error == 0.0, "{preset} {chunk}: {error}");
            }
        }
    }
}

/// Small chunks of symmetric networks in fewer bits, which round more than sums in another order do.
#[test]
fn small_chunks_round_as_the_whole_does() {
    let voice = steady_voice("quarter", Padding::Symmetric, PRIORS[1]);
    let mel = mel(37);
    for precision in [Precision::Bf16, Precision::Int16, Precision::Int8] {
        let settings = |chunk| Settings { precision, ..settings(2, "ancestral", chunk) };
        let whole = render(&voice, settings(1000), &mel);
        for chunk in [1, 5, 15, 17] {
            assert!(whole == render(&voice, settings(chunk), &mel), "{precision}, {chunk}");
        }
    }
}

#[test]
fn the_seed_fixes_the_output_and_another_changes_it() {
    let voice = slim_voice(PRIORS[2], Padding::Symmetric, Resampling::Nearest);
    let mel = mel(20);
    let one = render(&voice, settings(3, "ancestral", 8), &mel);
    assert!(one == render(&voice, settings(3, "ancestral", 8), &mel));
    let other = Settings { seed: 8, ..settings(3, "ancestral", 8) };
    assert!(one != render(&voice, other, &mel));
}

#[test]
fn a_chunk_without_its_context_would_differ() {
    // Guards the tests above: the network does look beyond the chunk.
    let voice = slim_voice(PRIORS[0], Padding::Symmetric, Resampling::Nearest);
    let whole = render(&voice, settings(1, "ddim", 1000), &mel(40));
    let mel = mel(40);
    let half = Mel::new(mel.config.clone(), mel.data[..20 * 128].to_vec()).unwrap();
    let alone = render(&voice, settings(1, "ddim", 1000), &half);
    assert!(alone[..6000] != whole[..6000]);
}

#[test]
fn mels_of_other_settings_are_refused() {
    let voice = slim_voice(PRIORS[0], Padding::Symmetric, Resampling::Nearest);
    let config = MelConfig::preset("hifigan-22k").unwrap();
    let mel = Mel::new(config.clone(), vec![config.min_value(); 80 * 4]).unwrap();
    let mut renderer = Renderer::new(&voice, &Device::Cpu, settings(1, "ddim", 8)).unwrap();
    let message = renderer.render(&mel).unwrap_err().to_string();
    assert!(message.contains("expected") && message.starts_with("mel "), "{message}");
    assert!(Renderer::new(&voice, &Device::Cpu, settings(1, "ddim", 0)).is_err());
}
