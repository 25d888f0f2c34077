//! Checkpoints: a folder each, seen whole or not at all.

use crate::optimiser::State;
use candle_core::{Device, Tensor};
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};
use serde::{Deserialize, Serialize};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use vocoder::network::Weights;
use vocoder::voice::Provenance;
use vocoder::{Error, Result};

/// Names of the four files of tensors.
const PARTS: [&str; 4] = ["weights", "mean", "first", "second"];

/// What a checkpoint holds besides tensors.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Progress {
    /// Optimiser steps taken in this run. Every random stream is a function of it.
    pub step: u64,
    /// Steps whose gradient was not finite and that were left out.
    pub skipped: u64,
    /// Seconds of computing so far.
    pub seconds: f64,
    /// Where the run started from, and what its voice says of itself.
    #[serde(default)]
    pub origin: Provenance,
}

/// Writes a checkpoint under `folder` (`step-000001234`) and returns its path: into a folder aside,
/// synced, then renamed. Only the newest `keep` stay.
///
/// # Errors
/// A file that can't be written.
pub fn save(folder: &Path, state: &State, progress: &Progress, keep: usize) -> Result<PathBuf> {
    fs::create_dir_all(folder).map_err(|e| Error::io(folder, e))?;
    // A fixed name: what a killed run left there is swept by the next.
    let aside = folder.join(".writing");
    let _ = fs::remove_dir_all(&aside);
    fs::create_dir(&aside).map_err(|e| Error::io(&aside, e))?;
    for (name, tensors) in
        PARTS.iter().zip([&state.weights, &state.mean, &state.first, &state.second])
    {
        write_synced(&aside.join(format!("{name}.safetensors")), &to_bytes(tensors)?)?;
    }
    let json =
        serde_json::to_vec_pretty(progress).map_err(|e| Error::file(&aside, e.to_string()))?;
    write_synced(&aside.join("progress.json"), &json)?;
    sync_folder(&aside)?;
    let path = folder.join(format!("step-{:09}", progress.step));
    let _ = fs::remove_dir_all(&path);
    fs::rename(&aside, &path).map_err(|e| Error::io(&path, e))?;
    sync_folder(folder)?;
    let all = list(folder)?;
    for old in all.iter().take(all.len().saturating_sub(keep)) {
        fs::remove_dir_all(old).map_err(|e| Error::io(old, e))?;
    }
    Ok(path)
}

/// The newest checkpoint under `folder`, if there is any.
///
/// # Errors
/// A folder or file that can't be read, or is damaged.
pub fn load_latest(folder: &Path, device: &Device) -> Result<Option<(State, Progress)>> {
    let Some(path) = list(folder)?.pop() else { return Ok(None) };
    let json = path.join("progress.json");
    let text = fs::read(&json).map_err(|e| Error::io(&json, e))?;
    let progress: Progress =
        serde_json::from_slice(&text).map_err(|e| Error::file(&json, e.to_string()))?;
    let read = |name: &str| read_tensors(&path.join(format!("{name}.safetensors")), device);
    let state = State {
        step: progress.step,
        weights: read(PARTS[0])?,
        mean: read(PARTS[1])?,
        first: read(PARTS[2])?,
        second: read(PARTS[3])?,
    };
    Ok(Some((state, progress)))
}

/// Whole checkpoints, oldest first.
fn list(folder: &Path) -> Result<Vec<PathBuf>> {
    if !folder.exists() {
        return Ok(Vec::new());
    }
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).map_err(|e| Error::io(folder, e))? {
        let path = entry.map_err(|e| Error::io(folder, e))?.path();
        if path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("step-")) {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

fn to_bytes(tensors: &Weights) -> Result<Vec<u8>> {
    let mut data = Vec::with_capacity(tensors.len());
    for (name, tensor) in tensors {
        let values = tensor.flatten_all()?.to_vec1::<f32>()?;
        let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        data.push((name, tensor.dims().to_vec(), bytes));
    }
    let views = data
        .iter()
        .map(|(name, shape, bytes)| Ok((*name, TensorView::new(Dtype::F32, shape.clone(), bytes)?)))
        .collect::<std::result::Result<Vec<_>, safetensors::SafeTensorError>>();
    views
        .and_then(|views| safetensors::serialize(views, None))
        .map_err(|e| Error::config("checkpoint", e.to_string()))
}

fn read_tensors(path: &Path, device: &Device) -> Result<Weights> {
    let bytes = fs::read(path).map_err(|e| Error::io(path, e))?;
    let file = SafeTensors::deserialize(&bytes).map_err(|e| Error::file(path, e.to_string()))?;
    let mut tensors = Weights::new();
    for (name, view) in file.iter() {
        if view.dtype() != Dtype::F32 {
            return Err(Error::file(path, format!("expected f32, got {:?}", view.dtype())));
        }
        let values: Vec<f32> = view
            .data()
            .chunks_exact(4)
            .map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]))
            .collect();
        tensors.insert(name.to_string(), Tensor::from_vec(values, view.shape(), device)?);
    }
    Ok(tensors)
}

fn write_synced(path: &Path, bytes: &[u8]) -> Result<()> {
    use std::io::Write;
    let mut file = File::create(path).map_err(|e| Error::io(path, e))?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(|e| Error::io(path, e))
}

/// Makes the names in a folder last. Not every system can open a folder; where it can't, the rename
/// is as durable as that system makes it.
fn sync_folder(path: &Path) -> Result<()> {
    match File::open(path) {
        Ok(folder) if cfg!(unix) => folder.sync_all().map_err(|e| Error::io(path, e)),
        _ => Ok(()),
    }
}
