//! Where voices lie, and the voice that `--voice` names.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use vocoder::voice::Voice;

/// The voice that is used when none is named.
pub const DEFAULT: &str = "speech";

/// Folders with voices, separated as in PATH, are looked through before the shipped ones.
pub const FOLDERS_VARIABLE: &str = "VOCODER_VOICES";

const EXTENSION: &str = "safetensors";

/// The voice `name_or_file`: a file if there is one of that path, else a voice of that name.
///
/// # Errors
/// No such file and no such name; a damaged voice.
pub fn load(name_or_file: &str) -> Result<Voice> {
    Ok(Voice::load(&find(name_or_file)?)?)
}

/// The file of the voice `name_or_file`.
///
/// # Errors
/// No such file and no such name.
pub fn find(name_or_file: &str) -> Result<PathBuf> {
    let path = Path::new(name_or_file);
    if path.is_file() {
        return Ok(path.to_path_buf());
    }
    let mut known = Vec::new();
    for (name, path) in all() {
        if name == name_or_file {
            return Ok(path);
        }
        known.push(name);
    }
    let known = if known.is_empty() { "none is installed".into() } else { known.join(", ") };
    bail!("--voice {name_or_file}: expected a voice file or the name of a voice ({known})")
}

/// Every voice by name, the first of each name only.
pub fn all() -> Vec<(String, PathBuf)> {
    let mut voices: Vec<(String, PathBuf)> = Vec::new();
    for folder in folders() {
        let Ok(entries) = std::fs::read_dir(folder) else { continue };
        let mut found: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
        found.sort();
        for path in found {
            let is_voice = path.extension().is_some_and(|extension| extension == EXTENSION);
            let Some(name) = path.file_stem().filter(|_| is_voice) else { continue };
            let name = name.to_string_lossy().into_owned();
            if voices.iter().all(|(other, _)| *other != name) {
                voices.push((name, path));
            }
        }
    }
    voices
}

/// Where voices are looked for: the folders of [`FOLDERS_VARIABLE`]; `models` beside the program
/// and above it (a build lies in `target/release`, two folders below it); `share/vocoder/models` there
/// (where the program is installed in a `bin`); `models` in the working directory.
fn folders() -> Vec<PathBuf> {
    let mut folders: Vec<PathBuf> = std::env::var_os(FOLDERS_VARIABLE)
        .map(|value| std::env::split_paths(&value).collect())
        .unwrap_or_default();
    if let Ok(program) = std::env::current_exe() {
        let around = || program.ancestors().skip(1).take(3);
        folders.extend(around().map(|folder| folder.join("models")));
        folders.extend(around().map(|folder| folder.join("share/vocoder/models")));
    }
    folders.push("models".into());
    folders
}
