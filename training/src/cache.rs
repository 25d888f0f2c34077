//! Decoded audio on disk, so that a corpus is decoded and resampled once.
//!
//! One file a clip, named by a hash of the clip's path, size, time of change and of the rate: whatever
//! changes gets another name, and two runs may share a folder. Files appear whole and end in a
//! checksum; a damaged one counts as missing.

use crate::crc32c::crc32c;
use sha2::{Digest, Sha256};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;
use vocoder::{Error, Result, output_file};

/// What each file begins with; the digit is the layout's version.
const MAGIC: &[u8; 8] = b"vocPCM 1";

/// Bytes before the samples: magic and the file's own rate.
const HEADER: usize = MAGIC.len() + 4;

/// A decoded clip.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decoded {
    /// Samples at the corpus's rate, full scale at 32767.
    pub samples: Vec<i16>,
    /// Samples per second of the file that they were decoded from.
    pub source_rate: u32,
}

/// A folder of decoded clips at one rate.
#[derive(Debug, Clone)]
pub struct Cache {
    folder: PathBuf,
    sample_rate: u32,
}

impl Cache {
    /// A cache in `folder`, which is made where it is missing.
    ///
    /// # Errors
    /// A folder that can't be made.
    pub fn new(folder: &Path, sample_rate: u32) -> Result<Self> {
        fs::create_dir_all(folder).map_err(|e| Error::io(folder, e))?;
        Ok(Cache { folder: folder.to_path_buf(), sample_rate })
    }

    /// The clip of `path` if the cache has it, else what `decode` makes, which is kept.
    ///
    /// # Errors
    /// A clip that can't be decoded; a cache that can't be written.
    pub fn get(&self, path: &Path, decode: impl FnOnce() -> Result<Decoded>) -> Result<Decoded> {
        let entry = self.entry(path)?;
        if let Some(clip) = fs::read(&entry).ok().and_then(|bytes| from_bytes(&bytes)) {
            return Ok(clip);
        }
        let clip = decode()?;
        output_file::write_whole(&entry, &to_bytes(&clip))?;
        Ok(clip)
    }

    fn entry(&self, path: &Path) -> Result<PathBuf> {
        let real = fs::canonicalize(path).map_err(|e| Error::io(path, e))?;
        let info = fs::metadata(&real).map_err(|e| Error::io(path, e))?;
        let changed = info.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
        let changed = changed.unwrap_or_default().as_nanos();
        let mut hash = Sha256::new();
        hash.update(real.as_os_str().as_encoded_bytes());
        hash.update(format!("\0{} {changed} {}", info.len(), self.sample_rate));
        let name: String = hash.finalize().iter().take(16).map(|b| format!("{b:02x}")).collect();
        Ok(self.folder.join(format!("{name}.pcm")))
    }
}

fn to_bytes(clip: &Decoded) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEADER + 2 * clip.samples.len() + 4);
    bytes.extend(MAGIC);
    bytes.extend(clip.source_rate.to_le_bytes());
    bytes.extend(clip.samples.iter().flat_map(|v| v.to_le_bytes()));
    bytes.extend(crc32c(&bytes).to_le_bytes());
    bytes
}

fn from_bytes(bytes: &[u8]) -> Option<Decoded> {
    let (body, sum) = bytes.split_at_checked(bytes.len().checked_sub(4)?)?;
    let rate = body.strip_prefix(MAGIC)?.first_chunk::<4>()?;
    (sum == crc32c(body).to_le_bytes()).then(|| Decoded {
        samples: body[HEADER..].chunks_exact(2).map(|b| i16::from_le_bytes([b[0], b[1]])).collect(),
        source_rate: u32::from_le_bytes(*rate),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;

    #[test]
    fn decodes_once_and_again_after_damage_or_change() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::new(&folder.path().join("cache"), 24_000).unwrap();
        let path = folder.path().join("a.wav");
        fs::write(&path, b"first").unwrap();
        let clip = Decoded { samples: vec![1, -2, 32_767], source_rate: 22_050 };
        assert_eq!(cache.get(&path, || Ok(clip.clone())).unwrap(), clip);
        assert_eq!(cache.get(&path, || panic!("decoded twice")).unwrap(), clip);
        // Another rate is another entry.
        let other = Decoded { samples: vec![5], source_rate: 22_050 };
        let slow = Cache::new(&folder.path().join("cache"), 16_000).unwrap();
        assert_eq!(slow.get(&path, || Ok(other.clone())).unwrap(), other);
        // A bit flipped, an end cut off: decoded anew.
        let entry = cache.entry(&path).unwrap();
        let whole = fs::read(&entry).unwrap();
        let mut flipped = whole.clone();
        flipped[HEADER] ^= 1;
        for damaged in [&flipped[..], &whole[..whole.len() - 1], &whole[..3], &[]] {
            fs::write(&entry, damaged).unwrap();
            assert_eq!(cache.get(&path, || Ok(other.clone())).unwrap(), other);
        }
        fs::write(&path, b"changed").unwrap();
        assert_eq!(cache.get(&path, || Ok(clip.clone())).unwrap(), clip);
    }
}
