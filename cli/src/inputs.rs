//! Which files a command works on, and where each result goes.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use walkdir::WalkDir;

use crate::failure::usage;

/// Extensions of the audio files that are taken from folders.
pub const AUDIO: &[&str] = vocoder::audio::EXTENSIONS;
/// Extensions of the mel files that are taken from folders.
pub const MEL: &[&str] = &["npy", "safetensors"];

/// One file to work on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    /// The file to read.
    pub input: PathBuf,
    /// The file to write.
    pub output: PathBuf,
}

/// A file that was found, and its place below the folder that was named (or just its name).
struct Found {
    path: PathBuf,
    below: PathBuf,
}

/// Whether `path` is named like a mel file.
pub fn is_mel(path: &Path) -> bool {
    has_extension(path, MEL)
}

/// Whether `path` ends in one of `extensions`, in any case.
pub fn has_extension(path: &Path, extensions: &[&str]) -> bool {
    let extension = path.extension().and_then(|e| e.to_str());
    extension.is_some_and(|e| extensions.iter().any(|known| e.eq_ignore_ascii_case(known)))
}

/// Pairs every input with its output, in sorted order.
///
/// A named file is taken whatever its extension; a folder gives all files below it whose extension
/// is in `taken`, hidden ones and whatever lies under `out` left out. `out` is the file to write
/// where a single file is named and `out` ends in one of `written`; otherwise it is a folder, below
/// which the inputs' folders are mirrored with the first of `written` as extension.
///
/// # Errors
/// A folder without such a file; two inputs with the same output; an output that is an input.
pub fn plan(inputs: &[PathBuf], out: &Path, taken: &[&str], written: &[&str]) -> Result<Vec<Job>> {
    let is_file_name = has_extension(out, written) && !out.is_dir();
    if is_file_name {
        return match inputs {
            [input] if !input.is_dir() => {
                check_readable(input)?;
                let job = Job { input: input.clone(), output: out.to_path_buf() };
                check_outputs(std::slice::from_ref(&job))?;
                Ok(vec![job])
            }
            _ => Err(usage(format!(
                "--out {}: one file for several inputs or a folder: name a folder instead",
                out.display()
            ))),
        };
    }
    let mut jobs: Vec<Job> = find(inputs, out, taken)?
        .into_iter()
        .map(|found| Job {
            input: found.path,
            output: out.join(found.below).with_extension(written.first().unwrap_or(&"")),
        })
        .collect();
    jobs.sort_by(|a, b| a.input.cmp(&b.input));
    jobs.dedup();
    check_outputs(&jobs)?;
    Ok(jobs)
}

/// All files that `inputs` name, as [`plan`] describes.
fn find(inputs: &[PathBuf], out: &Path, taken: &[&str]) -> Result<Vec<Found>> {
    let out = std::path::absolute(out).with_context(|| out.display().to_string())?;
    let mut found = Vec::new();
    for input in inputs {
        if !input.is_dir() {
            check_readable(input)?;
            let below = input.file_name().map(PathBuf::from).unwrap_or_default();
            found.push(Found { path: input.clone(), below });
            continue;
        }
        let before = found.len();
        let hidden = |name: &std::ffi::OsStr| name.to_string_lossy().starts_with('.');
        let entries = WalkDir::new(input).follow_links(true).into_iter().filter_entry(|entry| {
            let is_out = std::path::absolute(entry.path()).is_ok_and(|path| path == out);
            entry.depth() == 0 || !(hidden(entry.file_name()) || is_out)
        });
        for entry in entries {
            let entry = entry.with_context(|| format!("{}: cannot list", input.display()))?;
            if entry.file_type().is_file() && has_extension(entry.path(), taken) {
                let below = entry.path().strip_prefix(input).unwrap_or(entry.path()).to_path_buf();
                found.push(Found { path: entry.into_path(), below });
            }
        }
        if found.len() == before {
            bail!("{}: no file ending in {} in this folder", input.display(), taken.join(", "));
        }
    }
    Ok(found)
}

/// A missing or unreadable file is told before any work is done.
fn check_readable(path: &Path) -> Result<()> {
    std::fs::File::open(path).with_context(|| path.display().to_string()).map(drop)
}

/// No two inputs may share an output, and no output may be an input.
fn check_outputs(jobs: &[Job]) -> Result<()> {
    let mut writers: HashMap<&Path, &Path> = HashMap::new();
    for job in jobs {
        if let Some(other) = writers.insert(&job.output, &job.input) {
            return Err(usage(format!(
                "{} and {} would both be written to {}: rename one, or use two output folders",
                other.display(),
                job.input.display(),
                job.output.display()
            )));
        }
    }
    let absolute = |path: &Path| path.canonicalize().ok();
    let sources: HashMap<PathBuf, &Path> =
        jobs.iter().filter_map(|job| Some((absolute(&job.input)?, job.input.as_path()))).collect();
    for job in jobs {
        if let Some(source) = absolute(&job.output).and_then(|path| sources.get(&path).copied()) {
            return Err(usage(format!(
                "{} would be written over the input {}: choose another --out",
                job.output.display(),
                source.display()
            )));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::failure::Usage;

    /// A folder with empty files at `names`.
    fn folder(names: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for name in names {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, b"").unwrap();
        }
        folder
    }

    fn outputs(jobs: &[Job], out: &Path) -> Vec<String> {
        let below = |job: &Job| job.output.strip_prefix(out).unwrap().display().to_string();
        jobs.iter().map(below).collect()
    }

    #[test]
    fn folders_are_mirrored_in_sorted_order() {
        let data = folder(&["b.wav", "a/x.FLAC", "a/deep/y.npy", "notes.txt", ".hidden.wav"]);
        let out = data.path().join("out");
        std::fs::create_dir(&out).unwrap();
        std::fs::write(out.join("earlier.wav"), b"").unwrap();
        let jobs =
            plan(&[data.path().to_path_buf()], &out, &["wav", "flac", "npy"], &["wav"]).unwrap();
        assert_eq!(outputs(&jobs, &out), ["a/deep/y.wav", "a/x.wav", "b.wav"]);
    }

    #[test]
    fn a_single_file_may_name_its_output() {
        let data = folder(&["a.flac"]);
        let (input, out) = (data.path().join("a.flac"), data.path().join("voice.wav"));
        let jobs = plan(std::slice::from_ref(&input), &out, AUDIO, &["wav"]).unwrap();
        assert_eq!(jobs, [Job { input: input.clone(), output: out.clone() }]);
        let two = plan(&[input.clone(), input], &out, AUDIO, &["wav"]).unwrap_err();
        assert!(two.is::<Usage>());
    }

    #[test]
    fn the_same_file_named_twice_is_one_job() {
        let data = folder(&["a.flac"]);
        let input = data.path().join("a.flac");
        let jobs = plan(&[input.clone(), input], &data.path().join("out"), AUDIO, &["wav"]);
        assert_eq!(jobs.unwrap().len(), 1);
    }

    #[test]
    fn two_inputs_with_one_output_are_refused() {
        let data = folder(&["a.wav", "a.flac"]);
        let error = plan(&[data.path().to_path_buf()], &data.path().join("out"), AUDIO, &["wav"])
            .unwrap_err();
        assert!(error.is::<Usage>());
        assert!(error.to_string().contains("a.flac") && error.to_string().contains("a.wav"));
    }

    #[test]
    fn an_input_is_never_written_over() {
        let data = folder(&["a.wav"]);
        let inputs = [data.path().to_path_buf()];
        assert!(plan(&inputs, data.path(), AUDIO, &["wav"]).unwrap_err().is::<Usage>());
    }

    #[test]
    fn missing_files_and_folders_without_audio_fail() {
        let data = folder(&["notes.txt"]);
        let out = data.path().join("out");
        let empty = plan(&[data.path().to_path_buf()], &out, AUDIO, &["wav"]).unwrap_err();
        assert!(empty.to_string().contains("no file ending in wav"), "{empty}");
        assert!(plan(&[data.path().join("gone.wav")], &out, AUDIO, &["wav"]).is_err());
    }
}
