//! Voices made on the spot.

use std::path::{Path, PathBuf};

use vocoder::config::ModelConfig;
use vocoder::mel::MelConfig;
use vocoder::network::initial_weights;
use vocoder::voice::{Precision, Voice};

/// Writes an untrained voice, of the smallest preset, into `folder`. Its sound means nothing, but
/// everything about its rendering holds as for any other.
pub fn tiny_voice(folder: &Path) -> PathBuf {
    let mel = MelConfig::default();
    let model = ModelConfig::preset("eighth", mel.n_mels).unwrap();
    let weights = initial_weights(&model, 1).unwrap();
    let voice = Voice {
        model,
        mel,
        start: Default::default(),
        schedules: Default::default(),
        provenance: Default::default(),
        weights,
    };
    let path = folder.join("tiny.safetensors");
    voice.save(&path, Precision::Half).unwrap();
    path
}
