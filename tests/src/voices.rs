//! Voices made on the spot, and mels for them.

use std::path::{Path, PathBuf};

use candle_core::{Device, Tensor};
use vocoder::config::{LevelEncoding, ModelConfig, Padding, Resampling};
use vocoder::mel::{Mel, MelConfig};
use vocoder::network::{Network, initial_weights};
use vocoder::noise::Noise;
use vocoder::prior::PriorConfig;
use vocoder::voice::{Precision, Voice};

/// Writes an untrained voice, of the smallest preset, into `folder`. Its sound means nothing, but
/// everything about its rendering holds as for any other.
pub fn tiny_voice(folder: &Path) -> PathBuf {
    let mel = MelConfig::default();
    let model = ModelConfig::preset("eighth", mel.n_mels).unwrap();
    let weights = initial_weights(&model, 1).unwrap();
    let voice = Voice::new(model, mel, weights);
    let path = folder.join("tiny.safetensors");
    voice.save(&path, Precision::Half).unwrap();
    path
}

/// An untrained voice of few channels, for what depends on how a voice renders and not on its size.
pub fn slim_voice(prior: PriorConfig, padding: Padding, resampling: Resampling) -> Voice {
    let mel = MelConfig::default();
    let mut model = ModelConfig::preset("eighth", mel.n_mels).unwrap();
    (model.first, model.stem) = (16, 4);
    model.down = vec![4, 4, 8, 8];
    model.up = vec![16, 16, 8, 4, 4];
    model.level = LevelEncoding::LogSnr { scale: 32.0 };
    (model.mel_shift, model.mel_scale) = (6.0, 0.3);
    (model.prior, model.padding, model.resampling) = (prior, padding, resampling);
    let weights = initial_weights(&model, 3).unwrap();
    Voice::new(model, mel, weights)
}

/// An untrained voice whose prediction has unit size, as a trained network's has: its chain neither
/// explodes nor dies, so that an error anywhere in it is seen at the end.
pub fn steady_voice(preset: &str, padding: Padding, prior: PriorConfig) -> Voice {
    let model = ModelConfig::preset(preset, MelConfig::default().n_mels).unwrap();
    steady(ModelConfig { padding, prior, ..model })
}

/// As [`steady_voice`], of any shape.
pub fn steady(mut model: ModelConfig) -> Voice {
    let mel = MelConfig::default();
    (model.mel_shift, model.mel_scale) = (6.0, 1.0 / 3.0);
    let mut weights = initial_weights(&model, 3).unwrap();
    // Untrained modulation multiplies large numbers, and the chain runs into its limits, where all
    // signals are equal: scales near 1 keep it alive.
    for (i, &co) in model.up.iter().rev().enumerate() {
        let output = &weights[&format!("film.{i}.output.weight")] * 0.1;
        weights.insert(format!("film.{i}.output.weight"), output.unwrap());
        let ones: Vec<f32> = (0..2 * co).map(|n| if n < co { 0.0 } else { 0.7 }).collect();
        let bias = Tensor::from_vec(ones, 2 * co, &Device::Cpu).unwrap();
        weights.insert(format!("film.{i}.output.bias"), bias);
    }
    // The prediction has unit size, as a trained network's.
    let (noise, frames) = (Tensor::from_vec(noise(1200), (1, 1200), &Device::Cpu).unwrap(), 4);
    let frames =
        Tensor::from_vec(self::mel(frames).data, (1, frames, mel.n_mels), &Device::Cpu).unwrap();
    let network = Network::new(&model, &weights).unwrap();
    let size = rms(&network
        .forward(&noise, &frames, &[0.5])
        .unwrap()
        .flatten_all()
        .unwrap()
        .to_vec1()
        .unwrap());
    let last = (&weights["last.weight"] * (1.0 / f64::from(size))).unwrap();
    weights.insert("last.weight".into(), last);
    Voice::new(model, mel, weights)
}

/// `length` values of unit noise.
pub fn noise(length: usize) -> Vec<f32> {
    let mut out = vec![0f32; length];
    Noise::new(9).fill(0, 0, &mut out);
    out
}

/// A mel of random spectra at the level of soft speech.
pub fn mel(frames: usize) -> Mel {
    let config = MelConfig::default();
    let mut data = noise(frames * config.n_mels);
    data.iter_mut().for_each(|v| *v = (*v - 5.0).clamp(config.min_value(), 1.0));
    Mel::new(config, data).unwrap()
}

/// Root mean square.
pub fn rms(x: &[f32]) -> f32 {
    (x.iter().map(|x| x * x).sum::<f32>() / x.len() as f32).sqrt()
}
