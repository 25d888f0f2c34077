//! A mel through the engine and by the definition, and how far the two are apart.

use candle_core::Device;
use vocoder::engine::Precision;
use vocoder::mel::Mel;
use vocoder::render::{Polish, Renderer, Settings};
use vocoder::sampler::Clip;
use vocoder::schedule::Schedule;
use vocoder::start::Start;
use vocoder::voice::Voice;

/// Three steps of `sampler` from noise in f32, a chunk of 1000 frames at a time: what tests vary.
pub fn settings(sampler: &str) -> Settings {
    Settings {
        schedule: Schedule::log_snr(3, 0.4, 0.999).unwrap(),
        sampler: sampler.parse().unwrap(),
        guidance: 1.0,
        clip: Clip::Signal(1.0),
        start: Start::Noise,
        seed: 7,
        chunk_frames: 1000,
        polish: Polish::NONE,
        precision: Precision::F32,
    }
}

/// The sound of `mel` by the engine.
pub fn engine(voice: &Voice, settings: Settings, mel: &Mel) -> Vec<f32> {
    Renderer::new(voice, &Device::Cpu, settings).unwrap().render(mel).unwrap()
}

/// The sound of `mel` by the network's definition.
pub fn definition(voice: &Voice, settings: Settings, mel: &Mel) -> Vec<f32> {
    Renderer::by_definition(voice, &Device::Cpu, settings).unwrap().render(mel).unwrap()
}

/// The largest difference.
pub fn worst(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

/// `frames` of `mel`.
pub fn part(mel: &Mel, frames: std::ops::Range<usize>) -> Mel {
    let bands = mel.config.n_mels;
    Mel {
        config: mel.config.clone(),
        frames: frames.len(),
        data: mel.data[frames.start * bands..frames.end * bands].to_vec(),
    }
}
