//! Voices from PyTorch checkpoints of other implementations of WaveGrad.
//!
//! A checkpoint is a pickle; it is read as data, nothing in it is executed. What is not recognised is
//! refused by name.

use super::{Provenance, Voice, ivanvovk, lmnt};
use crate::mel::MelConfig;
use crate::{Error, Result};
use candle_core::pickle::{Object, PthTensors, Stack};
use candle_core::{DType, Tensor};
use std::collections::HashMap;
use std::fs::File;
use std::io::BufReader;
use std::path::Path;

/// Where checkpoints keep the network's state dict.
const MODEL: &str = "model";

/// A voice from the checkpoint `path`. Its mel is `mel`, or what the checkpoint says of it.
///
/// Read are checkpoints of lmnt-com/wavegrad (the PyPI package `wavegrad`) and of ivanvovk/WaveGrad.
///
/// # Errors
/// A file that is no checkpoint, that is of another implementation or of none that is known, or whose
/// weights don't fit; a mel that is not given and not in the file.
pub fn import(path: &Path, mel: Option<MelConfig>) -> Result<Voice> {
    let fail = |reason: String| Error::file(path, reason);
    let content = content(path)?;
    let key = entry(&content, MODEL).is_some().then_some(MODEL);
    let state = state(path, key)?;
    let origin = recognise(&state).map_err(fail)?;
    let parameters = entry(&content, "params");
    let number = |key: &str| parameters.and_then(|p| entry(p, key)).and_then(integer);
    let rate = number("sample_rate").and_then(|rate| u32::try_from(rate).ok());
    let mel = match (mel, origin, rate) {
        (Some(mel), ..) => mel,
        (None, Origin::Ivanvovk, _) => MelConfig::preset("ivanvovk-22k")?,
        (None, Origin::Lmnt, Some(rate)) => features(rate)?,
        (None, Origin::Lmnt, None) => {
            return Err(fail(
                "expected the sample rate among its params, got none: say which mel".into(),
            ));
        }
    };
    let network = || match origin {
        Origin::Lmnt => {
            let model = lmnt::model_config(&state)?;
            let weights = lmnt::weights(&model, &state)?;
            Ok((model, weights))
        }
        Origin::Ivanvovk => {
            let named = |(name, tensor): (&String, &Tensor)| {
                (name.strip_prefix("nn.").unwrap_or(name).to_string(), tensor.clone())
            };
            let state = state.iter().map(named).collect();
            let model = ivanvovk::model_config(&state)?;
            let weights = ivanvovk::weights(&model, &state)?;
            Ok((model, weights))
        }
    };
    let (model, weights) = network().map_err(|e: Error| fail(e.to_string()))?;
    let provenance = Provenance {
        description: format!("imported from a checkpoint of {}", origin.name()),
        steps: ["step", "iteration"]
            .into_iter()
            .find_map(|key| entry(&content, key))
            .and_then(integer)
            .and_then(|n| u64::try_from(n).ok())
            .unwrap_or(0),
        ..Provenance::default()
    };
    let voice = Voice { provenance, ..Voice::new(model, mel, weights) };
    voice.validate().map_err(|e| fail(e.to_string()))?;
    Ok(voice)
}

/// The features of lmnt-com/wavegrad at a rate: its transform and hop are fixed, its highest band ends at
/// half the rate (`preprocess.py`).
fn features(sample_rate: u32) -> Result<MelConfig> {
    let f_max_hz = sample_rate as f32 / 2.0;
    Ok(MelConfig { sample_rate, f_max_hz, ..MelConfig::preset("lmnt-24k")? })
}

/// Whose network it is.
#[derive(Clone, Copy)]
enum Origin {
    Lmnt,
    Ivanvovk,
}

impl Origin {
    fn name(self) -> &'static str {
        match self {
            Origin::Lmnt => "lmnt-com/wavegrad",
            Origin::Ivanvovk => "ivanvovk/WaveGrad",
        }
    }
}

/// Says whose network it is, or why it is not read.
fn recognise(state: &HashMap<String, Tensor>) -> std::result::Result<Origin, String> {
    let has = |part: &str| state.keys().any(|name| name.starts_with(part));
    if has("first_conv.") && has("downsample.0.") && has("film.0.input_conv.") {
        return Ok(Origin::Lmnt);
    }
    let expected = "expected a checkpoint of lmnt-com/wavegrad or ivanvovk/WaveGrad";
    if has("nn.ublock_preconv.") || has("ublock_preconv.") {
        if state.keys().any(|name| name.ends_with("positional_encoding.pe")) {
            return Err(format!(
                "{expected}, got one of ivanvovk/WaveGrad from before its commit 2ecf360 of October 2020: \
                 its network encodes time, which this program's network does not"
            ));
        }
        return Ok(Origin::Ivanvovk);
    }
    if has("y_conv.") && has("ublocks.") {
        return Err(format!(
            "{expected}, got one of coqui-ai/TTS: its network encodes time, which this program's \
             network does not"
        ));
    }
    let mut names: Vec<&str> = state.keys().map(String::as_str).collect();
    names.sort_unstable();
    names.truncate(3);
    let names = if names.is_empty() { "no tensor".into() } else { names.join(", ") + ", …" };
    Err(format!("{expected}, got an unknown network ({names})"))
}

/// The state dict under `key` in single precision, without the prefix of PyTorch's parallel training.
fn state(path: &Path, key: Option<&str>) -> Result<HashMap<String, Tensor>> {
    let size = std::fs::metadata(path).map_err(|e| Error::io(path, e))?.len();
    let fail = |e: candle_core::Error| {
        Error::file(path, format!("expected tensors, got {}", first_line(&e)))
    };
    let tensors = PthTensors::new(path, key).map_err(fail)?;
    let mut state = HashMap::new();
    for (name, info) in tensors.tensor_infos() {
        // An uncompressed file is larger than any of its tensors; candle 0.11.1 takes a view's offset
        // for bytes.
        let bytes = info.layout.shape().elem_count() as u64 * info.dtype.size_in_bytes() as u64;
        if bytes > size || info.layout.start_offset() > 0 {
            let reason = format!("expected `{name}` whole in the file, got a view or a part of it");
            return Err(Error::file(path, reason));
        }
        let Some(tensor) = tensors.get(name).map_err(fail)? else { continue };
        let name = name.strip_prefix("module.").unwrap_or(name).to_string();
        state.insert(name, tensor.to_dtype(DType::F32)?);
    }
    Ok(state)
}

/// What the pickle in the file says.
fn content(path: &Path) -> Result<Object> {
    const EXPECTED: &str = "expected a PyTorch checkpoint (1.6 or later)";
    let file = File::open(path).map_err(|e| Error::io(path, e))?;
    let fail = |e: &dyn std::fmt::Display| Error::file(path, format!("{EXPECTED}, got {e}"));
    let mut zip = zip::ZipArchive::new(BufReader::new(file)).map_err(|e| fail(&e))?;
    for i in 0..zip.len() {
        let entry = zip.by_index(i).map_err(|e| fail(&e))?;
        if entry.name().map_err(|e| fail(&e))?.ends_with("data.pkl") {
            let mut stack = Stack::empty();
            stack.read_loop(&mut BufReader::new(entry)).map_err(|e| fail(&first_line(&e)))?;
            return stack.finalize().map_err(|e| fail(&first_line(&e)));
        }
    }
    Err(fail(&"a zip file without data.pkl"))
}

/// The value under `key` of a dictionary.
fn entry<'a>(object: &'a Object, key: &str) -> Option<&'a Object> {
    let Object::Dict(entries) = object else { return None };
    let is_key = |name: &Object| matches!(name, Object::Unicode(text) if text == key);
    entries.iter().find(|(name, _)| is_key(name)).map(|(_, value)| value)
}

fn integer(object: &Object) -> Option<i64> {
    match object {
        Object::Int(value) => Some(i64::from(*value)),
        Object::Long(value) => Some(*value),
        _ => None,
    }
}

/// An error of candle without the backtrace below it.
fn first_line(error: &candle_core::Error) -> String {
    error.to_string().lines().next().unwrap_or_default().to_string()
}
