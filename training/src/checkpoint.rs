//! Checkpoints: a folder each, seen whole or not at all.

use crate::optimiser::State;
use candle_core::{Device, Tensor};
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};
use serde::{Deserialize, Serialize};
use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use vocoder::network::Weights;
use vocoder::voice::Provenance;
use vocoder::{Error, Result};

/// Names of the four files of tensors.
const PARTS: [&str; 4] = ["weights", "mean", "first", "second"];

/// Where a checkpoint is written before it gets its name. Fixed: what a killed run left there is swept
/// by the next.
const WRITING: &str = ".writing";

/// Where a checkpoint waits while another of the same step takes its name.
const REPLACED: &str = ".replaced";

/// What a checkpoint holds besides tensors.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Progress {
    /// Optimiser steps in this run, with those that were left out. Every random stream is a function
    /// of it.
    pub step: u64,
    /// Steps whose gradient was not finite and that were left out.
    pub skipped: u64,
    /// How many of them were the last ones, without a good one between.
    #[serde(default)]
    pub skipped_in_a_row: u64,
    /// Seconds of computing so far.
    pub seconds: f64,
    /// Step and loss of the best validation so far.
    #[serde(default)]
    pub best: Option<(u64, f64)>,
    /// Bytes of `log.jsonl` that belong to these steps; unknown to older checkpoints.
    #[serde(default)]
    pub log_bytes: Option<u64>,
    /// Bytes of TensorBoard's event file that belong to these steps; as `log_bytes`.
    #[serde(default)]
    pub event_bytes: Option<u64>,
    /// Where the run started from, and what its voice says of itself.
    #[serde(default)]
    pub origin: Provenance,
}

/// Writes a checkpoint under `folder` (`step-000001234`) and returns its path: into a folder aside,
/// synced, then renamed. One of the same step stays until its replacement is complete on disk. Only the
/// newest `keep` stay.
///
/// # Errors
/// A file that can't be written.
pub fn save(folder: &Path, state: &State, progress: &Progress, keep: usize) -> Result<PathBuf> {
    fs::create_dir_all(folder).map_err(|e| Error::io(folder, e))?;
    recover(folder)?;
    let aside = folder.join(WRITING);
    remove(&aside)?;
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
    if path.exists() {
        let replaced = folder.join(REPLACED);
        fs::rename(&path, &replaced).map_err(|e| Error::io(&path, e))?;
    }
    fs::rename(&aside, &path).map_err(|e| Error::io(&path, e))?;
    sync_folder(folder)?;
    remove(&folder.join(REPLACED))?;
    let all = list(folder)?;
    for old in all.iter().take(all.len().saturating_sub(keep)) {
        // By another name first: a removal that is cut short must not leave half a checkpoint.
        let doomed = folder.join(WRITING);
        fs::rename(old, &doomed).map_err(|e| Error::io(old, e))?;
        remove(&doomed)?;
    }
    Ok(path)
}

/// Completes what a kill between two renames left: a checkpoint whose replacement didn't get its name
/// goes back to it.
fn recover(folder: &Path) -> Result<()> {
    let replaced = folder.join(REPLACED);
    if !replaced.exists() {
        return Ok(());
    }
    let path = folder.join(format!("step-{:09}", read_progress(&replaced)?.step));
    if path.exists() {
        return remove(&replaced);
    }
    fs::rename(&replaced, &path).map_err(|e| Error::io(&path, e))
}

/// Removes a folder if it is there.
fn remove(folder: &Path) -> Result<()> {
    match fs::remove_dir_all(folder) {
        Err(e) if e.kind() != ErrorKind::NotFound => Err(Error::io(folder, e)),
        _ => Ok(()),
    }
}

fn read_progress(checkpoint: &Path) -> Result<Progress> {
    let json = checkpoint.join("progress.json");
    let text = fs::read(&json).map_err(|e| Error::io(&json, e))?;
    serde_json::from_slice(&text).map_err(|e| Error::file(&json, e.to_string()))
}

/// The newest checkpoint under `folder`, if there is any.
///
/// # Errors
/// A folder or file that can't be read, or is damaged.
pub fn load_latest(folder: &Path, device: &Device) -> Result<Option<(State, Progress)>> {
    if folder.exists() {
        recover(folder)?;
    }
    let Some(path) = list(folder)?.pop() else { return Ok(None) };
    let progress = read_progress(&path)?;
    let read = |name: &str| read_tensors(&path.join(format!("{name}.safetensors")), device);
    let state = State {
        // Steps that were left out did not move the weights.
        step: progress.step - progress.skipped.min(progress.step),
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use candle_core::DType;

    fn state(value: f64) -> State {
        let w = Tensor::zeros(3, DType::F32, &Device::Cpu).unwrap().affine(1.0, value).unwrap();
        State::fresh(Weights::from([("w".to_string(), w)])).unwrap()
    }

    fn latest(folder: &Path) -> (f32, u64) {
        let (state, progress) = load_latest(folder, &Device::Cpu).unwrap().unwrap();
        (state.weights["w"].to_vec1::<f32>().unwrap()[0], progress.step)
    }

    fn at(step: u64) -> Progress {
        Progress { step, ..Progress::default() }
    }

    #[test]
    fn the_newest_stay() {
        let folder = tempfile::tempdir().unwrap();
        for step in 1..=5 {
            save(folder.path(), &state(step as f64), &at(step), 2).unwrap();
            assert_eq!(latest(folder.path()), (step as f32, step));
        }
        assert_eq!(list(folder.path()).unwrap().len(), 2);
    }

    #[test]
    fn a_kill_between_any_two_renames_loses_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        let named = save(folder, &state(1.0), &at(7), 3).unwrap();
        // The replacement is written, the old one was put aside, the new one has no name yet.
        fs::rename(&named, folder.join(REPLACED)).unwrap();
        fs::create_dir(folder.join(WRITING)).unwrap();
        assert_eq!(latest(folder), (1.0, 7));
        // Both have their names, the old one was not removed yet.
        let other = tempfile::tempdir().unwrap();
        let old = save(other.path(), &state(9.0), &at(7), 3).unwrap();
        fs::rename(old, folder.join(REPLACED)).unwrap();
        assert_eq!(latest(folder), (1.0, 7));
        assert!(!folder.join(REPLACED).exists());
        save(folder, &state(2.0), &at(7), 3).unwrap();
        assert_eq!(latest(folder), (2.0, 7));
        assert_eq!(fs::read_dir(folder).unwrap().count(), 1);
    }

    #[test]
    fn steps_that_were_left_out_are_not_the_optimisers() {
        let folder = tempfile::tempdir().unwrap();
        let progress = Progress { step: 9, skipped: 2, ..Progress::default() };
        save(folder.path(), &state(1.0), &progress, 3).unwrap();
        let (state, found) = load_latest(folder.path(), &Device::Cpu).unwrap().unwrap();
        assert_eq!((state.step, found), (7, progress));
    }
}
