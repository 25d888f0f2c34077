//! The clips to train on: an LJSpeech folder (`metadata.csv` and `wavs/`) or any folder of audio.

use crate::cache::{Cache, Decoded};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};
use vocoder::{Error, Result, audio};
use walkdir::WalkDir;

/// One clip in [`VALIDATION_SHARE`] is held out, chosen by its id.
const VALIDATION_SHARE: u64 = 50;

/// Clips that a remark of the report names.
const NAMED: usize = 3;

/// Clips whose loudest sample is below this are taken for silent (-60 dB).
const SILENT: u16 = 33;

/// A decoded clip at the corpus's rate. 16 bits a sample: LJSpeech fits into 4.2 GB.
#[derive(Debug, Clone)]
pub struct Clip {
    /// File name without folder and extension.
    pub id: String,
    /// Samples, full scale at 32767.
    pub samples: Vec<i16>,
}

/// What was found, and what was done with it. Printed before training.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Clips to train on.
    pub training: usize,
    /// Clips held out for validation.
    pub validation: usize,
    /// Hours of both.
    pub hours: f64,
    /// How many files there were of each rate, in Hz. What differs from the voice's is resampled.
    #[serde(default)]
    pub rates: Vec<(u32, usize)>,
    /// Clips that touch full scale. Kept.
    pub clipped: Vec<String>,
    /// Clips without sound. Left out.
    pub silent: Vec<String>,
    /// Clips shorter than a crop. Left out.
    pub short: Vec<String>,
    /// Files that can't be decoded, with the reason. Left out.
    pub unreadable: Vec<String>,
    /// Clips that a `metadata.csv` lists and no file has.
    #[serde(default)]
    pub missing: Vec<String>,
    /// Files that a `metadata.csv` beside them doesn't list. Left out.
    #[serde(default)]
    pub unlisted: Vec<String>,
}

impl fmt::Display for Report {
    /// One sentence for each fact, on one line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rates: Vec<String> =
            self.rates.iter().map(|(rate, count)| format!("{count} at {rate} Hz")).collect();
        write!(
            f,
            "{} clips to train on, {} to validate, {:.2} hours; files: {}.",
            self.training,
            self.validation,
            self.hours,
            rates.join(", ")
        )?;
        for (what, list) in self.remarks() {
            let more = if list.len() > NAMED { ", …" } else { "" };
            let some: Vec<&str> = list.iter().take(NAMED).map(String::as_str).collect();
            write!(f, " {} clips {what}: {}{more}.", list.len(), some.join(", "))?;
        }
        Ok(())
    }
}

impl Report {
    /// What was not as it should be, what was done with it, and the clips.
    fn remarks(&self) -> impl Iterator<Item = (&'static str, &Vec<String>)> {
        let all = [
            ("touch full scale (kept)", &self.clipped),
            ("are silent (left out)", &self.silent),
            ("are shorter than a crop (left out)", &self.short),
            ("can't be read (left out)", &self.unreadable),
            ("are listed, but there is no such file", &self.missing),
            ("are not listed in metadata.csv (left out)", &self.unlisted),
        ];
        all.into_iter().filter(|(_, list)| !list.is_empty())
    }
}

/// Decoded clips, split into two sets.
#[derive(Debug, Clone, Default)]
pub struct Corpus {
    /// Clips to train on, by id.
    pub training: Vec<Clip>,
    /// Clips held out, by id.
    pub validation: Vec<Clip>,
    /// What was found.
    pub report: Report,
}

impl Corpus {
    /// Decodes every clip under `folders` at `sample_rate`. Clips shorter than `min_samples` are left
    /// out and counted. The split depends on the ids alone.
    ///
    /// # Errors
    /// A folder that can't be listed, or no clip to train on.
    pub fn load(folders: &[PathBuf], sample_rate: u32, min_samples: usize) -> Result<Self> {
        Self::load_cached(folders, sample_rate, min_samples, None)
    }

    /// As [`Corpus::load`], keeping decoded clips in the folder `cache` and taking them from there.
    ///
    /// # Errors
    /// As [`Corpus::load`]; a cache that can't be written.
    pub fn load_cached(
        folders: &[PathBuf],
        sample_rate: u32,
        min_samples: usize,
        cache: Option<&Path>,
    ) -> Result<Self> {
        let mut corpus = Corpus::default();
        let mut paths = Vec::new();
        for folder in folders {
            paths.extend(clips_of(folder, &mut corpus.report)?);
        }
        let cache = cache.map(|folder| Cache::new(folder, sample_rate)).transpose()?;
        let decoded: Vec<(String, Result<Decoded>)> = paths
            .par_iter()
            .map(|path| {
                let decode = || decode(path, sample_rate);
                let clip = match &cache {
                    Some(cache) => cache.get(path, decode),
                    None => decode(),
                };
                (id_of(path), clip)
            })
            .collect();
        for (id, clip) in decoded {
            corpus.add(id, clip, min_samples);
        }
        let seconds: usize =
            corpus.training.iter().chain(&corpus.validation).map(|c| c.samples.len()).sum();
        corpus.report.hours = seconds as f64 / f64::from(sample_rate) / 3600.0;
        // A corpus of a few clips must not lose them all to validation.
        if corpus.training.is_empty() {
            corpus.training = corpus.validation.clone();
        }
        corpus.report.training = corpus.training.len();
        corpus.report.validation = corpus.validation.len();
        if corpus.training.is_empty() {
            let folders: Vec<String> = folders.iter().map(|f| f.display().to_string()).collect();
            let report = &corpus.report;
            return Err(Error::mismatch(
                format!("data {}", folders.join(", ")),
                format!("at least one clip of {min_samples} samples or more"),
                format!(
                    "{} files: {} unreadable, {} silent, {} too short",
                    paths.len(),
                    report.unreadable.len(),
                    report.silent.len(),
                    report.short.len()
                ),
            ));
        }
        Ok(corpus)
    }

    fn add(&mut self, id: String, clip: Result<Decoded>, min_samples: usize) {
        let Decoded { samples, source_rate } = match clip {
            Ok(clip) => clip,
            Err(error) => return self.report.unreadable.push(error.to_string()),
        };
        let rates = &mut self.report.rates;
        match rates.binary_search_by_key(&source_rate, |(rate, _)| *rate) {
            Ok(known) => rates[known].1 += 1,
            Err(place) => rates.insert(place, (source_rate, 1)),
        }
        let peak = samples.iter().map(|v| v.unsigned_abs()).max().unwrap_or(0);
        if samples.len() < min_samples {
            return self.report.short.push(id);
        }
        if peak < SILENT {
            return self.report.silent.push(id);
        }
        if peak >= 32_767 {
            self.report.clipped.push(id.clone());
        }
        let held_out = is_held_out(&id);
        let clip = Clip { id, samples };
        if held_out { self.validation.push(clip) } else { self.training.push(clip) }
    }
}

fn decode(path: &Path, sample_rate: u32) -> Result<Decoded> {
    let source_rate = audio::probe(path)?.sample_rate;
    let samples = audio::read_at(path, sample_rate)?.audio.samples;
    let samples = samples.iter().map(|v| (v * 32767.0).round() as i16).collect();
    Ok(Decoded { samples, source_rate })
}

/// The audio files of a folder, sorted: those that `metadata.csv` names where there is one.
fn clips_of(folder: &Path, report: &mut Report) -> Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for entry in WalkDir::new(folder).follow_links(true) {
        let entry = entry.map_err(|e| Error::file(folder, format!("can't be listed: {e}")))?;
        let extension =
            entry.path().extension().unwrap_or_default().to_string_lossy().to_lowercase();
        if entry.file_type().is_file() && audio::EXTENSIONS.contains(&extension.as_str()) {
            paths.push(entry.into_path());
        }
    }
    paths.sort();
    let Ok(text) = std::fs::read_to_string(folder.join("metadata.csv")) else { return Ok(paths) };
    let mut listed: BTreeSet<&str> =
        text.lines().filter_map(|line| line.split('|').next()).map(str::trim).collect();
    listed.remove("");
    let (known, unlisted): (Vec<_>, Vec<_>) =
        paths.into_iter().partition(|path| listed.contains(id_of(path).as_str()));
    report.unlisted.extend(unlisted.iter().map(|path| id_of(path)));
    for path in &known {
        listed.remove(id_of(path).as_str());
    }
    report.missing.extend(listed.into_iter().map(str::to_string));
    Ok(known)
}

/// A clip's id: its file's name without folder and extension.
fn id_of(path: &Path) -> String {
    path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

/// Whether a clip belongs to validation: by a hash of its id, so that the same clip is always on the
/// same side, whatever else is in the corpus.
pub fn is_held_out(id: &str) -> bool {
    let digest = Sha256::digest(id.as_bytes());
    let mut word = [0u8; 8];
    word.copy_from_slice(&digest[..8]);
    u64::from_le_bytes(word) % VALIDATION_SHARE == 0
}
