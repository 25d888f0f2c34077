//! Clips that are rendered as one batch equal those rendered one by one.
#![allow(clippy::unwrap_used)]

use candle_core::Device;
use vocoder::config::{Padding, Resampling};
use vocoder::engine::Precision;
use vocoder::mel::Mel;
use vocoder::prior::PriorConfig;
use vocoder::render::{BatchRenderer, Polish, Renderer, Settings};
use vocoder::sampler::{Clip, SamplerKind};
use vocoder::schedule::Schedule;
use vocoder::start::Start;
use vocoder_tests::voices::{mel, slim_voice};

fn settings(sampler: &str, polish: Polish) -> Settings {
    Settings {
        schedule: Schedule::log_snr(3, 0.08, 0.999).unwrap(),
        sampler: sampler.parse::<SamplerKind>().unwrap(),
        guidance: 1.0,
        clip: Clip::Signal(1.0),
        start: Start::Noise,
        seed: 7,
        chunk_frames: 1000,
        polish,
        precision: Precision::F32,
    }
}

/// Clips of different lengths, which all see an end that the others don't have.
fn clips() -> [Mel; 3] {
    [mel(9), mel(31), mel(20)]
}

#[test]
fn a_batch_equals_its_clips_one_by_one() {
    let look_ahead = Padding::Causal { look_ahead: 2 };
    let spectral = PriorConfig::Spectral { floor: 1e-3, order: 16, smear_hz: 50.0, share: 1.0 };
    for (prior, padding, sampler, rounds) in [
        (PriorConfig::Standard, Padding::Symmetric, "ancestral", 0),
        (PriorConfig::Energy { floor: 1e-3 }, look_ahead, "sde-dpm++2m", 0),
        (spectral, Padding::Symmetric, "dpm++2m", 0),
        (spectral, look_ahead, "heun", 1),
    ] {
        let voice = slim_voice(prior, padding, Resampling::Nearest);
        let settings = settings(sampler, Polish::Clip { rounds, trials: 0 });
        let clips = clips();
        let batch = BatchRenderer::new(&voice, &Device::Cpu, settings.clone()).unwrap();
        let together = batch.render(&clips).unwrap();
        for (clip, sound) in clips.iter().zip(together) {
            let mut alone =
                Renderer::by_definition(&voice, &Device::Cpu, settings.clone()).unwrap();
            let expected = alone.render(clip).unwrap();
            assert_eq!(sound.len(), clip.frames * 300);
            assert!(expected.iter().any(|v| v.abs() > 1e-3));
            let worst = sound.iter().zip(&expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            // f32 in another order; 1e-4 of full scale is what pieces promise, too.
            assert!(worst < 1e-4, "{sampler}, {} frames: {worst}", clip.frames);
        }
    }
}

#[test]
fn what_a_batch_cannot_do_is_told() {
    let linear = slim_voice(PriorConfig::Standard, Padding::Symmetric, Resampling::Linear);
    let settings = settings("ancestral", Polish::NONE);
    let batch = BatchRenderer::new(&linear, &Device::Cpu, settings.clone()).unwrap();
    let error = batch.render(&clips()).unwrap_err().to_string();
    assert!(error.contains("one length") && error.contains("[9, 31, 20]"), "{error}");
    assert_eq!(batch.render(&[mel(9), mel(9)]).unwrap().len(), 2);
    assert!(batch.render(&[]).unwrap().is_empty());
    let given = Settings { start: Start::Given, ..settings };
    assert!(BatchRenderer::new(&linear, &Device::Cpu, given).is_err());
}
