//! Which rendering belongs to which recording.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use walkdir::WalkDir;

use crate::inputs::{AUDIO, has_extension};

/// A recording and its rendering.
pub struct Pair {
    /// The path below the folders, or the rendering's.
    pub name: String,
    /// The recording.
    pub reference: PathBuf,
    /// The rendering.
    pub generated: PathBuf,
}

/// Pairs two files, or the files of two folders by their paths without extension.
pub fn pairs(reference: &Path, generated: &Path) -> Result<Vec<Pair>> {
    match (reference.is_dir(), generated.is_dir()) {
        (false, false) => Ok(vec![Pair {
            name: generated.display().to_string(),
            reference: reference.to_path_buf(),
            generated: generated.to_path_buf(),
        }]),
        (true, true) => {
            let recordings = stems(reference)?;
            let pair = |(stem, generated): (PathBuf, PathBuf)| {
                let reference = recordings.iter().find(|(other, _)| *other == stem);
                let name = stem.display().to_string();
                reference.map(|(_, path)| Pair { name, reference: path.clone(), generated })
            };
            let pairs: Vec<Pair> = stems(generated)?.into_iter().filter_map(pair).collect();
            if pairs.is_empty() {
                bail!(
                    "{} and {}: no audio file of one has the name of one in the other",
                    reference.display(),
                    generated.display()
                );
            }
            Ok(pairs)
        }
        _ => bail!(
            "{} and {}: expected two files or two folders, got one of each",
            reference.display(),
            generated.display()
        ),
    }
}

/// The audio files below `folder`, in sorted order, after their paths there without extension.
fn stems(folder: &Path) -> Result<Vec<(PathBuf, PathBuf)>> {
    let mut files = Vec::new();
    for entry in WalkDir::new(folder).follow_links(true).sort_by_file_name() {
        let path = entry.with_context(|| format!("{}: cannot list", folder.display()))?.into_path();
        if path.is_file() && has_extension(&path, AUDIO) {
            let stem = path.strip_prefix(folder).unwrap_or(&path).with_extension("");
            files.push((stem, path));
        }
    }
    Ok(files)
}
