//! `vocoder voice`: the voices at hand, and what one is made of.

use std::path::PathBuf;

use anyhow::Result;
use clap::{Args, Subcommand};
use serde_json::{Value, json};
use vocoder::voice::Voice;

use crate::failure::one_line;
use crate::{output, voices};

/// Lists and shows voices
#[derive(Debug, Args)]
pub struct VoiceArgs {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// The voices at hand
    List {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// What a voice is made of and where it comes from
    Show {
        /// A voice's name or file
        #[arg(default_value = voices::DEFAULT)]
        voice: String,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
}

/// Runs the verb.
pub fn run(args: &VoiceArgs) -> Result<()> {
    match &args.verb {
        Verb::List { json } => list(*json),
        Verb::Show { voice, json } => show(voice, *json),
    }
}

fn list(as_json: bool) -> Result<()> {
    let read = |(name, path): (String, PathBuf)| {
        let voice = Voice::load(&path).map_err(|error| one_line(&error.into()));
        (name, path, voice)
    };
    let voices: Vec<_> = voices::all().into_iter().map(read).collect();
    if as_json {
        let entry = |(name, path, voice): &(String, PathBuf, Result<Voice, String>)| match voice {
            Ok(voice) => json!({
                "name": name,
                "file": path.display().to_string(),
                "parameters": voice.model.parameter_count(),
                "training_steps": voice.provenance.steps,
            }),
            Err(why) => json!({ "name": name, "file": path.display().to_string(), "error": why }),
        };
        return output::json(&voices.iter().map(entry).collect::<Vec<_>>());
    }
    if voices.is_empty() {
        return output::line(format!("no voice found (see {} in --help)", voices::FOLDERS_VARIABLE));
    }
    let row = |(name, path, voice): &(String, PathBuf, Result<Voice, String>)| match voice {
        Ok(voice) => vec![
            name.clone(),
            millions(voice.model.parameter_count()),
            voice.provenance.steps.to_string(),
            format!("{} Hz, {} bands", voice.mel.sample_rate, voice.mel.n_mels),
            path.display().to_string(),
        ],
        Err(why) => vec![name.clone(), format!("damaged: {why}")],
    };
    let rows: Vec<_> = voices.iter().map(row).collect();
    output::table(&["voice", "parameters", "training steps", "mel", "file"], &rows)
}

fn show(name: &str, as_json: bool) -> Result<()> {
    let path = voices::find(name)?;
    let voice = Voice::load(&path)?;
    let steps: Vec<usize> = voice.schedules.keys().copied().collect();
    let about = json!({
        "file": path.display().to_string(),
        "sha256": voice.content_hash()?,
        "parameters": voice.model.parameter_count(),
        "gmac_per_step_and_second": gmac_per_second(&voice),
        "own_schedules_for_steps": steps,
        "provenance": voice.provenance,
        "model": voice.model,
        "mel": voice.mel,
    });
    if as_json {
        return output::json(&about);
    }
    let mut lines = Vec::new();
    flatten("", &about, &mut lines);
    output::line(lines.join("\n"))
}

/// Billions of multiply-adds for one step over a second of audio.
fn gmac_per_second(voice: &Voice) -> f64 {
    let frames = f64::from(voice.mel.sample_rate) / voice.mel.hop as f64;
    (voice.model.macs_per_frame() as f64 * frames / 1e7).round() / 100.0
}

/// `key: value` lines of a JSON value, inner keys joined to outer ones by a dot.
fn flatten(key: &str, value: &Value, lines: &mut Vec<String>) {
    match value {
        Value::Object(object) => {
            for (inner, value) in object {
                let key = if key.is_empty() { inner.clone() } else { format!("{key}.{inner}") };
                flatten(&key, value, lines);
            }
        }
        Value::String(text) if text.contains('\n') => {
            lines.push(format!("{key}:"));
            lines.extend(text.lines().map(|line| format!("    {line}")));
        }
        Value::String(text) => lines.push(format!("{key}: {text}")),
        other => lines.push(format!("{key}: {other}")),
    }
}

fn millions(count: usize) -> String {
    format!("{:.2} M", count as f64 / 1e6)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inner_keys_are_joined_and_long_texts_indented() {
        let mut lines = Vec::new();
        flatten("", &json!({ "a": { "b": 1, "c": "x\ny" }, "d": [1, 2] }), &mut lines);
        assert_eq!(lines, ["a.b: 1", "a.c:", "    x", "    y", "d: [1,2]"]);
    }
}
