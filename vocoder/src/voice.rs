//! Voice files: all that rendering needs, in one safetensors file.
//!
//! The weights are tensors under the names of [`ModelConfig::parameters`], in half or single
//! precision; the configs, the schedules and where the voice comes from are JSON in the file's
//! metadata. Nothing in it is ever executed.

mod chain;
pub mod ivanvovk;
pub mod lmnt;
pub mod onnx;
pub mod torch;

use crate::config::{ModelConfig, Prediction, Resampling};
use crate::mel::MelConfig;
use crate::network::{Network, Weights};
use crate::ops::Products;
use crate::sampler::SamplerKind;
use crate::schedule::Schedule;
use crate::start::Start;
use crate::{Error, Result, output_file};
use candle_core::{DType, Device, Tensor};
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, HashMap};
use std::path::Path;

pub use chain::Chain;

/// The newest version of the file's layout that this library reads. A voice is written as the oldest that
/// can say what it is: 2, or 3 with another sampler, or 4 with another prediction or resampling than the
/// ordinary ones.
pub const VERSION: u32 = 4;

/// Most rounds of polish, and most sweeps of trials before them.
pub const MAX_POLISH: usize = 10_000;

/// What the metadata of a voice file says under `format`.
pub const FORMAT: &str = "vocoder voice";

/// Largest file that is read: far above any voice, far below what would exhaust memory.
const MAX_BYTES: u64 = 2 << 30;

/// A vocoder's model: configs, weights, schedules and provenance.
#[derive(Debug, Clone)]
pub struct Voice {
    /// Shape of the network.
    pub model: ModelConfig,
    /// The mel that the network was trained on.
    pub mel: MelConfig,
    /// Where the chain starts.
    pub start: Start,
    /// Rounds of polish after the chain: see [`Settings::polish`](crate::render::Settings::polish).
    pub polish: usize,
    /// Sweeps of trials before these rounds: see [`Polish::Clip`](crate::render::Polish::Clip).
    pub trials: usize,
    /// The sampler that it was made for.
    pub sampler: SamplerKind,
    /// By number of steps, for that start. Rendering prefers them to named schedules.
    pub schedules: BTreeMap<usize, Schedule>,
    /// What a chain from pure noise goes down by, where the voice's own start is another.
    pub from_noise: Option<Chain>,
    /// Where the voice comes from.
    pub provenance: Provenance,
    /// Weights by name, single precision, on the CPU.
    pub weights: Weights,
}

/// Where a voice comes from. Free text, shown by `vocoder voice show`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Provenance {
    /// What the voice is, in a line.
    pub description: String,
    /// What it was trained on, with licences.
    pub data: String,
    /// Licence of the weights.
    pub licence: String,
    /// Optimiser steps, all runs together.
    pub steps: u64,
    /// Seconds of audio that training saw, all runs together.
    pub audio_seconds: f64,
    /// The last run's config, as TOML.
    pub training: String,
}

impl Provenance {
    /// The share of crops that the last training saw without their mel, as its config says: above 0, the
    /// voice can be [guided](crate::guidance).
    pub fn mel_dropout(&self) -> f64 {
        // A key of the config's top level, so before its first table.
        let top = self.training.lines().take_while(|line| !line.trim_start().starts_with('['));
        let value = top
            .filter_map(|line| line.split_once('='))
            .find(|(key, _)| key.trim() == "mel_dropout")
            .and_then(|(_, value)| value.split('#').next()?.trim().parse().ok());
        value.unwrap_or(0.0)
    }
}

/// Precision of the weights in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Precision {
    /// 16 bit floating point: half the size, errors of 0.05 % of each weight.
    Half,
    /// 32 bit floating point.
    Single,
}

impl Voice {
    /// A voice that starts from noise, samples by [`SamplerKind::default`], has no levels of its own and
    /// says nothing of itself. Nothing is checked: see [`Voice::validate`].
    pub fn new(model: ModelConfig, mel: MelConfig, weights: Weights) -> Self {
        Self {
            model,
            mel,
            start: Start::default(),
            polish: 0,
            trials: 0,
            sampler: SamplerKind::default(),
            schedules: BTreeMap::new(),
            from_noise: None,
            provenance: Provenance::default(),
            weights,
        }
    }

    /// Reads a voice.
    ///
    /// # Errors
    /// A file that can't be read, is cut short, is no voice, has a newer layout, or whose parts
    /// don't fit each other.
    pub fn load(path: &Path) -> Result<Self> {
        let size = std::fs::metadata(path).map_err(|e| Error::io(path, e))?.len();
        if size > MAX_BYTES {
            let reason = format!("expected a voice file of at most 2 GiB, got {size} bytes");
            return Err(Error::file(path, reason));
        }
        let bytes = std::fs::read(path).map_err(|e| Error::io(path, e))?;
        Self::from_bytes(&bytes).map_err(|e| match e {
            Error::File { reason, .. } => Error::file(path, reason),
            other => Error::file(path, other.to_string()),
        })
    }

    /// As [`Voice::load`], from a file's content.
    ///
    /// # Errors
    /// As [`Voice::load`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let bad = |reason: String| Error::file(Path::new("voice"), reason);
        let (_, header) = SafeTensors::read_metadata(bytes).map_err(|e| {
            bad(format!("expected a voice file (safetensors), got {} bytes that are damaged or of another kind ({e})", bytes.len()))
        })?;
        let metadata = header.metadata().clone().unwrap_or_default();
        match metadata.get("format") {
            Some(format) if format == FORMAT => {}
            other => {
                let got = other.map_or("none".into(), |f| format!("`{f}`"));
                return Err(bad(format!(
                    "expected a safetensors file of format `{FORMAT}`, got {got}"
                )));
            }
        }
        let version: u32 = field(&metadata, "version")?;
        if version > VERSION {
            return Err(bad(format!(
                "expected a voice of version {VERSION} or older, got version {version}: it needs a newer vocoder"
            )));
        }
        let tensors = SafeTensors::deserialize(bytes).map_err(|e| {
            bad(format!(
                "expected {} bytes of weights, got a damaged file ({e})",
                header.data_len()
            ))
        })?;
        let mut weights = Weights::new();
        for (name, view) in tensors.iter() {
            weights.insert(name.to_string(), read_tensor(name, &view)?);
        }
        let voice = Voice {
            model: field(&metadata, "model")?,
            mel: field(&metadata, "mel")?,
            // Version 1 knew one start.
            start: if version < 2 { Start::Noise } else { field(&metadata, "start")? },
            polish: if version < 2 { 0 } else { field(&metadata, "polish")? },
            // Older programs read on without these two.
            trials: metadata.get("trials").map_or(Ok(0), |_| field(&metadata, "trials"))?,
            sampler: if version < 3 {
                SamplerKind::default()
            } else {
                field(&metadata, "sampler")?
            },
            schedules: field(&metadata, "schedules")?,
            from_noise: metadata
                .get("from_noise")
                .map(|_| field(&metadata, "from_noise"))
                .transpose()?,
            provenance: field(&metadata, "provenance")?,
            weights,
        };
        voice.validate()?;
        Ok(voice)
    }

    /// Checks that the parts fit each other.
    ///
    /// # Errors
    /// The first part that doesn't.
    pub fn validate(&self) -> Result<()> {
        self.mel.validate()?;
        self.model.validate(self.mel.hop)?;
        if self.model.n_mels != self.mel.n_mels {
            return Err(Error::mismatch("model.n_mels", self.mel.n_mels, self.model.n_mels));
        }
        self.start.validate()?;
        if self.polish > MAX_POLISH {
            let expected = format!("at most {MAX_POLISH} rounds");
            return Err(Error::mismatch("polish", expected, self.polish));
        }
        if self.trials > if self.polish > 0 { MAX_POLISH } else { 0 } {
            let expected = format!("at most {MAX_POLISH} before rounds of polish, none without");
            return Err(Error::mismatch("trials", expected, self.trials));
        }
        chain::validate(&self.schedules)?;
        if let Some(chain) = &self.from_noise {
            chain::validate(&chain.schedules)?;
        }
        self.network(&Device::Cpu).map(|_| ())
    }

    /// The network on `device`.
    ///
    /// # Errors
    /// Weights that don't fit the config; a device that fails.
    pub fn network(&self, device: &Device) -> Result<Network> {
        self.network_with_products(Products::F32, device)
    }

    /// As [`Voice::network`], with products of fewer bits.
    ///
    /// # Errors
    /// As [`Voice::network`].
    pub fn network_with_products(&self, products: Products, device: &Device) -> Result<Network> {
        let mut weights = Weights::new();
        for (name, tensor) in &self.weights {
            weights.insert(name.clone(), tensor.to_device(device)?);
        }
        Network::with_products(&self.model, &weights, products)
    }

    /// The number of steps to render with where none is asked for: `usual`, but for a voice that was made
    /// for a sampler of its own in fewer steps, as a distilled one is, the most of these.
    pub fn default_steps(&self, usual: usize) -> usize {
        match self.schedules.keys().next_back() {
            Some(&most) if self.sampler != SamplerKind::default() => most.min(usual),
            _ => usual,
        }
    }

    /// The file's content.
    ///
    /// # Errors
    /// Weights that can't be written.
    pub fn to_bytes(&self, precision: Precision) -> Result<Vec<u8>> {
        let mut data = Vec::with_capacity(self.weights.len());
        for (name, tensor) in &self.weights {
            let values = tensor.flatten_all()?.to_dtype(DType::F32)?.to_vec1::<f32>()?;
            let (dtype, bytes) = match precision {
                Precision::Half => {
                    let half = |v: &f32| half::f16::from_f32(*v).to_le_bytes();
                    (Dtype::F16, values.iter().flat_map(half).collect::<Vec<u8>>())
                }
                Precision::Single => {
                    (Dtype::F32, values.iter().flat_map(|v| v.to_le_bytes()).collect())
                }
            };
            data.push((name, dtype, tensor.dims().to_vec(), bytes));
        }
        let wrap = |e: safetensors::SafeTensorError| Error::config("voice", e.to_string());
        let views = data
            .iter()
            .map(|(name, dtype, shape, bytes)| {
                Ok((*name, TensorView::new(*dtype, shape.clone(), bytes)?))
            })
            .collect::<std::result::Result<Vec<_>, _>>()
            .map_err(wrap)?;
        let json = |value: serde_json::Result<String>| {
            value.map_err(|e| Error::config("voice", format!("can't be written as JSON: {e}")))
        };
        let ordinary = (Prediction::Noise, Resampling::Nearest);
        let version = if (self.model.prediction, self.model.resampling) != ordinary {
            4
        } else if self.sampler != SamplerKind::default() {
            3
        } else {
            2
        };
        let mut metadata = HashMap::from([
            ("format".to_string(), FORMAT.to_string()),
            ("version".to_string(), version.to_string()),
            ("model".to_string(), json(serde_json::to_string(&self.model))?),
            ("mel".to_string(), json(serde_json::to_string(&self.mel))?),
            ("start".to_string(), json(serde_json::to_string(&self.start))?),
            ("polish".to_string(), self.polish.to_string()),
            ("schedules".to_string(), json(serde_json::to_string(&self.schedules))?),
            ("provenance".to_string(), json(serde_json::to_string(&self.provenance))?),
        ]);
        if version > 2 {
            metadata.insert("sampler".into(), json(serde_json::to_string(&self.sampler))?);
        }
        if self.trials > 0 {
            metadata.insert("trials".into(), self.trials.to_string());
        }
        if let Some(chain) = &self.from_noise {
            metadata.insert("from_noise".into(), json(serde_json::to_string(chain))?);
        }
        safetensors::serialize(views, Some(metadata)).map_err(wrap)
    }

    /// Writes the voice so that `path` holds either all of it or what it held before.
    ///
    /// # Errors
    /// A file that can't be written.
    pub fn save(&self, path: &Path, precision: Precision) -> Result<()> {
        output_file::write_whole(path, &self.to_bytes(precision)?)
    }

    /// A hash of the content (SHA-256 of the single precision file), in hexadecimal.
    ///
    /// # Errors
    /// Weights that can't be read.
    pub fn content_hash(&self) -> Result<String> {
        let mut hash = Sha256::new();
        for (name, tensor) in &self.weights {
            hash.update(name.as_bytes());
            for value in tensor.flatten_all()?.to_vec1::<f32>()? {
                hash.update(value.to_le_bytes());
            }
        }
        let configs = serde_json::to_vec(&(
            &self.model,
            &self.mel,
            &self.start,
            self.polish,
            &self.schedules,
        ));
        hash.update(configs.map_err(|e| Error::config("voice", e.to_string()))?);
        if self.sampler != SamplerKind::default() {
            hash.update(self.sampler.to_string());
        }
        if self.trials > 0 {
            hash.update(format!("trials {}", self.trials));
        }
        if let Some(chain) = &self.from_noise {
            let chain = serde_json::to_vec(chain);
            hash.update(chain.map_err(|e| Error::config("voice", e.to_string()))?);
        }
        Ok(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
    }
}

/// The JSON value under `key`.
fn field<T: DeserializeOwned>(metadata: &HashMap<String, String>, key: &str) -> Result<T> {
    let bad = |reason: String| Error::file(Path::new("voice"), reason);
    let text = metadata
        .get(key)
        .ok_or_else(|| bad(format!("expected `{key}` in the metadata, got none")))?;
    serde_json::from_str(text).map_err(|e| bad(format!("`{key}` in the metadata: {e}")))
}

/// A stored tensor in single precision.
fn read_tensor(name: &str, view: &TensorView) -> Result<Tensor> {
    let values: Vec<f32> = match view.dtype() {
        Dtype::F32 => view
            .data()
            .chunks_exact(4)
            .map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]))
            .collect(),
        Dtype::F16 => view
            .data()
            .chunks_exact(2)
            .map(|b| half::f16::from_le_bytes([b[0], b[1]]).to_f32())
            .collect(),
        other => {
            return Err(Error::mismatch(
                format!("weight `{name}`"),
                "f32 or f16",
                format!("{other:?}"),
            ));
        }
    };
    if let Some(value) = values.iter().find(|v| !v.is_finite()) {
        return Err(Error::mismatch(format!("weight `{name}`"), "finite values", value));
    }
    Ok(Tensor::from_vec(values, view.shape(), &Device::Cpu)?)
}
