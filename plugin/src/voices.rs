//! Which voices there are, and how a project refers to one.

use std::path::{Path, PathBuf};

use live::{VoiceChoice, built_in_voices, load_voice};
use serde::{Deserialize, Serialize};

const EXTENSION: &str = "safetensors";

/// Files that [`vocoder::audio`] and [`vocoder::mel`] read.
const CLIP_EXTENSIONS: [&str; 9] =
    ["wav", "aif", "aiff", "flac", "ogg", "mp3", "npy", "safetensors", "oga"];

/// How a project refers to a voice: by name, by file if it is no built-in one, and by content, so that
/// a file that was moved is found again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct VoiceRef {
    /// What is shown.
    pub name: String,
    /// None for a built-in voice.
    pub file: Option<PathBuf>,
    /// [`live::LoadedVoice::hash`] when it was first played; empty before.
    pub hash: String,
}

/// The clip that an instrument plays: none is silence.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Clip {
    /// An audio or mel file.
    pub file: Option<PathBuf>,
}

impl Default for VoiceRef {
    fn default() -> Self {
        Self::built_in(built_in_voices().first().unwrap_or(&""))
    }
}

impl VoiceRef {
    /// A voice that this build carries.
    pub fn built_in(name: &str) -> Self {
        Self { name: name.into(), file: None, hash: String::new() }
    }

    /// The voice in `file`.
    pub fn of_file(file: &Path) -> Self {
        Self { name: stem(file), file: Some(file.into()), hash: String::new() }
    }

    /// Where to load it from: its file; if that is gone, a file of its name among the user's voices,
    /// else one of its content. Where there is none the file stands, so that the message names it.
    /// May read files.
    pub fn resolve(&self) -> VoiceChoice {
        let Some(file) = &self.file else { return VoiceChoice::BuiltIn(self.name.clone()) };
        if file.is_file() {
            return VoiceChoice::File(file.clone());
        }
        let users = users_voices();
        let by_name = || users.iter().find(|other| stem(other) == self.name);
        let has_content = |other: &&PathBuf| {
            load_voice(&VoiceChoice::File((*other).clone()))
                .is_ok_and(|voice| voice.hash == self.hash)
        };
        let by_content = || users.iter().filter(|_| !self.hash.is_empty()).find(has_content);
        VoiceChoice::File(by_name().or_else(by_content).unwrap_or(file).clone())
    }
}

/// Every voice of the menu: those of this build, then the user's.
pub fn all() -> Vec<VoiceRef> {
    let built_in = built_in_voices().into_iter().map(VoiceRef::built_in);
    built_in.chain(users_voices().iter().map(|file| VoiceRef::of_file(file))).collect()
}

/// Whether `file` looks like a voice.
pub fn is_voice_file(file: &Path) -> bool {
    has_extension(file, &[EXTENSION])
}

/// Whether `file` looks like something that an instrument plays.
pub fn is_clip_file(file: &Path) -> bool {
    has_extension(file, &CLIP_EXTENSIONS)
}

/// The voice files of [`folder`], by name.
pub fn users_voices() -> Vec<PathBuf> {
    let Some(entries) = folder().and_then(|folder| std::fs::read_dir(folder).ok()) else {
        return Vec::new();
    };
    let mut files: Vec<PathBuf> =
        entries.flatten().map(|entry| entry.path()).filter(|file| is_voice_file(file)).collect();
    files.sort();
    files
}

/// Where a user puts voices: `vocoder/voices` in the platform's folder for programs' data.
pub fn folder() -> Option<PathBuf> {
    let variable =
        |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let home = || variable("HOME");
    let data = if cfg!(windows) {
        variable("APPDATA")
    } else if cfg!(target_os = "macos") {
        home().map(|home| home.join("Library/Application Support"))
    } else {
        variable("XDG_DATA_HOME").or_else(|| home().map(|home| home.join(".local/share")))
    };
    data.map(|data| data.join("vocoder").join("voices"))
}

/// A file's name without its extension.
pub fn stem(file: &Path) -> String {
    file.file_stem().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

fn has_extension(file: &Path, known: &[&str]) -> bool {
    file.extension()
        .and_then(|extension| extension.to_str())
        .is_some_and(|extension| known.iter().any(|other| extension.eq_ignore_ascii_case(other)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_built_in_voice_is_chosen_by_name() {
        assert_eq!(VoiceRef::default().resolve(), VoiceChoice::default());
    }

    #[test]
    fn a_file_that_is_gone_still_names_itself() {
        let gone = Path::new("no/such/voice.safetensors");
        assert_eq!(VoiceRef::of_file(gone).resolve(), VoiceChoice::File(gone.into()));
        assert_eq!(VoiceRef::of_file(gone).name, "voice");
    }

    #[test]
    fn files_are_told_by_their_extensions() {
        assert!(is_voice_file(Path::new("a/b.SafeTensors")));
        assert!(!is_voice_file(Path::new("a/safetensors")));
        assert!(is_clip_file(Path::new("x.WAV")) && !is_clip_file(Path::new("x.txt")));
    }
}
