//! Which voices there are, each read once a process.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use vocoder::config::Padding;
use vocoder::voice::Voice;
use vocoder::{Error, Result};

/// Voices that are part of the program.
const BUILT_IN: [(&str, &[u8]); 1] =
    [("speech-stream", include_bytes!("../../models/speech-stream.safetensors"))];

/// Which voice to play.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum VoiceChoice {
    /// A voice that is built in, by name.
    BuiltIn(String),
    /// A voice file.
    File(PathBuf),
}

impl Default for VoiceChoice {
    fn default() -> Self {
        Self::BuiltIn(BUILT_IN[0].0.to_string())
    }
}

/// Names of the voices that are built in; the first is the default.
pub fn built_in_voices() -> Vec<&'static str> {
    BUILT_IN.iter().map(|(name, _)| *name).collect()
}

/// A voice and the hash of its content (see [`Voice::content_hash`]).
#[derive(Debug, Clone)]
pub struct LoadedVoice {
    /// The voice.
    pub voice: Arc<Voice>,
    /// SHA-256 in hexadecimal.
    pub hash: String,
}

/// What tells whether a file is the one that was read.
type Key = (VoiceChoice, Option<(SystemTime, u64)>);

static READ: Mutex<Option<HashMap<Key, LoadedVoice>>> = Mutex::new(None);

/// Reads a voice, or finds it among those that were read. Not for the audio thread.
///
/// # Errors
/// No such voice; a file that is none. A voice whose network sees the future of its signal can't be
/// played live: only causal ones pass.
pub fn load_voice(choice: &VoiceChoice) -> Result<LoadedVoice> {
    let stamp = match choice {
        VoiceChoice::BuiltIn(_) => None,
        VoiceChoice::File(path) => {
            std::fs::metadata(path).ok().and_then(|file| Some((file.modified().ok()?, file.len())))
        }
    };
    let key = (choice.clone(), stamp);
    let mut read = READ.lock().unwrap_or_else(PoisonError::into_inner);
    let read = read.get_or_insert_default();
    if let Some(voice) = read.get(&key) {
        return Ok(voice.clone());
    }
    let voice = match choice {
        VoiceChoice::BuiltIn(name) => match BUILT_IN.iter().find(|(known, _)| known == name) {
            Some((_, bytes)) => Voice::from_bytes(bytes)?,
            None => {
                let names = built_in_voices().join(", ");
                return Err(Error::mismatch("voice", format!("one of {names}"), name));
            }
        },
        VoiceChoice::File(path) => Voice::load(path)?,
    };
    if voice.model.padding == Padding::Symmetric {
        let expected = "one with a causal network, such as speech-stream";
        let got = "one that needs the future of its signal (render with it instead)";
        return Err(Error::mismatch("voice to play live", expected, got));
    }
    let loaded = LoadedVoice { hash: voice.content_hash()?, voice: Arc::new(voice) };
    read.insert(key, loaded.clone());
    Ok(loaded)
}
