//! Mels on disk: NumPy's `.npy` and `.safetensors`, as text-to-speech systems write them.
//!
//! An array is `[n_mels, frames]`, of 16, 32 or 64-bit floats, a leading batch axis of 1 allowed.
//! A safetensors file holds it as `mel`, and the settings that made it as JSON under `mel_config`
//! in its metadata, so that a reader with other settings is told.

use std::collections::HashMap;
use std::path::Path;

use safetensors::tensor::{Dtype, SafeTensors, TensorView};

use super::{Mel, MelConfig};
use crate::output_file::{OutputFile, write_whole};
use crate::{Error, Result};

mod npy;

/// Name of the array in a safetensors file.
const TENSOR: &str = "mel";
/// Key of the settings in a safetensors file's metadata.
const CONFIG_KEY: &str = "mel_config";

/// A mel that was read, and what the user should know about it.
#[derive(Clone, Debug, PartialEq)]
pub struct MelFile {
    /// The mel.
    pub mel: Mel,
    /// That the array lay the other way round, if it did.
    pub notice: Option<String>,
}

/// An array as a file holds it.
struct Array {
    shape: Vec<usize>,
    /// Last axis fastest.
    values: Vec<f32>,
}

/// Which of the two kinds of file a name asks for.
enum Kind {
    Npy,
    Safetensors,
}

impl Kind {
    fn of(path: &Path) -> Result<Kind> {
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("npy") => Ok(Kind::Npy),
            Some("safetensors") => Ok(Kind::Safetensors),
            _ => Err(Error::file(path, "expected a name that ends in .npy or .safetensors")),
        }
    }
}

/// Reads a mel that was made with the settings `config`.
///
/// # Errors
/// A file that can't be read or is damaged; other settings in its metadata than `config`; no axis
/// of `n_mels`; an empty mel; values that [`Mel::new`] refuses.
pub fn read(path: &Path, config: &MelConfig) -> Result<MelFile> {
    let kind = Kind::of(path)?;
    let bytes = std::fs::read(path).map_err(|error| Error::io(path, error))?;
    let parsed = match kind {
        Kind::Npy => npy::parse(&bytes),
        Kind::Safetensors => parse_safetensors(&bytes, config),
    };
    parsed
        .and_then(|array| from_array(array, config))
        .map_err(|error| Error::file(path, error.to_string()))
}

/// Writes a mel as `[n_mels, frames]`; the file appears whole or not at all.
///
/// # Errors
/// A name that ends in neither `.npy` nor `.safetensors`, or a path that can't be written.
pub fn write(path: &Path, mel: &Mel) -> Result<()> {
    let values = transposed(&mel.data, mel.frames, mel.config.n_mels);
    let shape = [mel.config.n_mels, mel.frames];
    match Kind::of(path)? {
        Kind::Npy => {
            let file = OutputFile::create(path)?;
            npy::write(file.writer()?, shape, &values).map_err(|error| Error::io(path, error))?;
            file.finish()
        }
        Kind::Safetensors => {
            let failed = |error: &dyn std::fmt::Display| Error::file(path, error.to_string());
            let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
            let view = TensorView::new(Dtype::F32, shape.to_vec(), &bytes)
                .map_err(|error| failed(&error))?;
            let config = serde_json::to_string(&mel.config).map_err(|error| failed(&error))?;
            let metadata = HashMap::from([(CONFIG_KEY.to_string(), config)]);
            let whole = safetensors::serialize([(TENSOR, view)], Some(metadata))
                .map_err(|error| failed(&error))?;
            write_whole(path, &whole)
        }
    }
}

fn parse_safetensors(bytes: &[u8], config: &MelConfig) -> Result<Array> {
    let damaged = |error| Error::config("safetensors", format!("damaged: {error}"));
    let (_, header) = SafeTensors::read_metadata(bytes).map_err(damaged)?;
    if let Some(json) = header.metadata().as_ref().and_then(|metadata| metadata.get(CONFIG_KEY)) {
        let stored: MelConfig = serde_json::from_str(json)
            .map_err(|error| Error::config(CONFIG_KEY, format!("not mel settings: {error}")))?;
        config.expect(&stored)?;
    }
    let tensors = SafeTensors::deserialize(bytes).map_err(damaged)?;
    let tensor = tensors.tensor(TENSOR).map_err(|_| {
        let mut names = tensors.names();
        names.sort_unstable();
        Error::mismatch("safetensors", format!("a tensor named {TENSOR}"), names.join(", "))
    })?;
    let element = match tensor.dtype() {
        Dtype::F16 => Element::F16,
        Dtype::BF16 => Element::Bf16,
        Dtype::F32 => Element::F32,
        Dtype::F64 => Element::F64,
        other => {
            let expected = "f16, bf16, f32 or f64 values";
            return Err(Error::mismatch("mel", expected, format!("{other:?}")));
        }
    };
    Ok(Array {
        shape: tensor.shape().to_vec(),
        values: element.decode(tensor.data(), /* big_endian */ false),
    })
}

/// How a number is stored.
#[derive(Clone, Copy)]
enum Element {
    F16,
    Bf16,
    F32,
    F64,
}

impl Element {
    /// Bytes of one number.
    fn size(self) -> usize {
        match self {
            Element::F16 | Element::Bf16 => 2,
            Element::F32 => 4,
            Element::F64 => 8,
        }
    }

    fn decode(self, bytes: &[u8], big_endian: bool) -> Vec<f32> {
        let number = |stored: &[u8]| {
            let mut little = [0; 8];
            little[..stored.len()].copy_from_slice(stored);
            if big_endian {
                little[..stored.len()].reverse();
            }
            let bits = u64::from_le_bytes(little);
            match self {
                Element::F16 => half::f16::from_bits(bits as u16).to_f32(),
                Element::Bf16 => half::bf16::from_bits(bits as u16).to_f32(),
                Element::F32 => f32::from_bits(bits as u32),
                Element::F64 => f64::from_bits(bits) as f32,
            }
        };
        bytes.chunks_exact(self.size()).map(number).collect()
    }
}

/// Finds out which axis the bands are on. Where both have `n_mels`, it is the first.
fn from_array(array: Array, config: &MelConfig) -> Result<MelFile> {
    let n_mels = config.n_mels;
    let shape = match array.shape.as_slice() {
        [1, rest @ ..] if rest.len() == 2 => rest,
        all => all,
    };
    let (data, notice) = match *shape {
        [bands, frames] if bands == n_mels => (transposed(&array.values, bands, frames), None),
        [frames, bands] if bands == n_mels => {
            let notice = format!("the array is frames by mels, {frames} x {bands}: read as such");
            (array.values, Some(notice))
        }
        _ => {
            let expected = format!("[{n_mels}, frames] or [frames, {n_mels}]");
            return Err(Error::mismatch("mel shape", expected, format!("{:?}", array.shape)));
        }
    };
    Ok(MelFile { mel: Mel::new(config.clone(), data)?, notice })
}

/// `[rows][columns]` as `[columns][rows]`.
fn transposed(values: &[f32], rows: usize, columns: usize) -> Vec<f32> {
    (0..rows * columns).map(|at| values[(at % rows) * columns + at / rows]).collect()
}

#[cfg(test)]
mod tests;
