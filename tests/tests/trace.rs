//! The chain laid open is the chain that is rendered.
#![allow(clippy::unwrap_used, missing_docs)]

use candle_core::Device;
use vocoder::audio;
use vocoder::engine::Precision;
use vocoder::mel::{Mel, MelExtractor};
use vocoder::render::{Polish, Renderer, Settings};
use vocoder::sampler::{Clip, SamplerKind};
use vocoder::schedule::Schedule;
use vocoder::start::Start;
use vocoder::trace::{forward, trace};
use vocoder::voice::Voice;
use vocoder_tests::program::speech;
use vocoder_tests::voices::tiny_voice;

fn voice_and_clip() -> (Voice, Vec<f32>, Mel) {
    let folder = tempfile::tempdir().unwrap();
    let voice = Voice::load(&tiny_voice(folder.path())).unwrap();
    let mut clip = audio::read(&speech()).unwrap().audio.samples;
    clip.truncate(24 * voice.mel.hop);
    let mel = MelExtractor::new(&voice.mel).unwrap().extract(&clip).unwrap();
    (voice, clip, mel)
}

#[test]
fn every_sampler_renders_what_it_traces() {
    let (voice, _, mel) = voice_and_clip();
    let starts = [Start::Noise, Start::GriffinLim { iterations: 2, level: 0.7 }];
    for kind in ["ancestral", "ddim", "dpm++2m", "ddpm:0.5", "euler", "heun", "pc"] {
        for start in starts {
            let sampler: SamplerKind = kind.parse().unwrap();
            let settings = Settings {
                schedule: Schedule::explicit([0.3, 0.6, 0.9]).unwrap(),
                sampler,
                guidance: 1.0,
                clip: Clip::Signal(1.0),
                start,
                seed: 3,
                chunk_frames: 7,
                polish: Polish::NONE,
                precision: Precision::F32,
            };
            let traced = trace(&voice, &Device::Cpu, &settings, &mel).unwrap();
            assert_eq!(traced.stages.len(), sampler.evaluations(3));
            let rendered =
                Renderer::new(&voice, &Device::Cpu, settings).unwrap().render(&mel).unwrap();
            assert_eq!(rendered.len(), traced.sound.len());
            // The promise for rendering in pieces.
            for (i, (a, b)) in rendered.iter().zip(&traced.sound).enumerate() {
                assert!((a - b).abs() < 1e-4, "{kind} {start}, sample {i}: {a} {b}");
            }
        }
    }
}

#[test]
fn noise_comes_forward_as_the_level_says() {
    let (voice, clip, mel) = voice_and_clip();
    let noised = forward(&voice, &clip, &mel, &[0.1, 0.999_999], 1).unwrap();
    let energy = |x: &[f32]| x.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>();
    let off: Vec<f32> = noised[1].iter().zip(&clip).map(|(a, b)| a - b).collect();
    assert!(energy(&off) < 1e-3 * energy(&noised[0]));
}
