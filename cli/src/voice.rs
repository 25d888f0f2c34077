//! `vocoder voice`: the voices at hand, what one is made of, and ways in and out.

use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::{Args, Subcommand};
use serde_json::json;
use vocoder::mel::MelConfig;
use vocoder::output_file;
use vocoder::render::{Polish, latency};
use vocoder::start::Start;
use vocoder::voice::{Precision, Provenance, Voice, onnx, torch};

use crate::failure::one_line;
use crate::{output, voices};

/// Lists, shows, imports and exports voices
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
    /// A voice from a PyTorch checkpoint of lmnt-com/wavegrad or ivanvovk/WaveGrad
    Import {
        /// The checkpoint (weights.pt)
        checkpoint: PathBuf,
        /// The voice to write
        #[arg(short, long, value_name = "FILE")]
        out: PathBuf,
        /// The mel that it was trained on, by name [default: what the checkpoint says]
        #[arg(long, value_name = "PRESET")]
        mel: Option<String>,
        /// Licence of the weights; it travels in the voice file
        #[arg(long, default_value = "", value_name = "TEXT")]
        licence: String,
    },
    /// A voice's network as an ONNX model of one step
    Export {
        /// A voice's name or file
        voice: String,
        /// The ONNX file to write
        #[arg(short, long, value_name = "FILE")]
        out: PathBuf,
    },
}

/// Runs the verb.
pub fn run(args: &VoiceArgs, quiet: bool) -> Result<()> {
    match &args.verb {
        Verb::List { json } => list(*json, quiet),
        Verb::Show { voice, json } => show(voice, *json),
        Verb::Import { checkpoint, out, mel, licence } => {
            let mel = mel.as_deref().map(MelConfig::preset).transpose()?;
            let mut voice = torch::import(checkpoint, mel)?;
            voice.provenance.licence = licence.clone();
            voice.save(out, Precision::Single)?;
            written(out)
        }
        Verb::Export { voice, out } => {
            output_file::write_whole(out, &onnx::export(&voices::load(voice)?)?)?;
            written(out)
        }
    }
}

/// Steps for which a latency is told; of causal voices it is the same for any number.
const STEPS: usize = 6;

fn written(path: &Path) -> Result<()> {
    output::line(path.display())
}

fn list(as_json: bool, quiet: bool) -> Result<()> {
    let mut voices: Vec<(String, PathBuf, Voice)> = Vec::new();
    for (name, path) in voices::all() {
        match Voice::load(&path) {
            Ok(voice) => voices.push((name, path, voice)),
            // Other safetensors files may lie in the same folder.
            Err(error) if !quiet => eprintln!("left out: {}", one_line(&error.into())),
            Err(_) => {}
        }
    }
    if as_json {
        let entry = |(name, path, voice): &(String, PathBuf, Voice)| {
            json!({
                "name": name,
                "file": path.display().to_string(),
                "parameters": voice.model.parameter_count(),
                "training_steps": voice.provenance.steps,
                "description": voice.provenance.description,
            })
        };
        return output::json(&voices.iter().map(entry).collect::<Vec<_>>());
    }
    let row = |(name, path, voice): &(String, PathBuf, Voice)| {
        vec![
            name.clone(),
            millions(voice.model.parameter_count()),
            voice.provenance.steps.to_string(),
            format!("{} Hz, {} bands", voice.mel.sample_rate, voice.mel.n_mels),
            path.display().to_string(),
        ]
    };
    let rows: Vec<_> = voices.iter().map(row).collect();
    output::table(&["voice", "parameters", "training steps", "mel", "file"], &rows)
}

fn show(name: &str, as_json: bool) -> Result<()> {
    let path = voices::find(name)?;
    let voice = Voice::load(&path)?;
    let own: Vec<usize> = voice.schedules.keys().copied().collect();
    // As it would stream: from noise, without polish, which both look far ahead.
    let lag = latency(&voice.model, &voice.mel, &Start::Noise, STEPS, Polish::NONE);
    if as_json {
        return output::json(&json!({
            "file": path.display().to_string(),
            "content_sha256": voice.content_hash()?,
            "parameters": voice.model.parameter_count(),
            "gmac_per_step_and_second": gmac_per_second(&voice),
            "own_schedules_for_steps": own,
            "start": voice.start.to_string(),
            "polish": voice.polish,
            "trials": voice.trials,
            "sampler": voice.sampler,
            "from_noise": voice.from_noise,
            "stream_latency_ms": lag.ms(&voice.mel),
            "provenance": voice.provenance,
            "model": voice.model,
            "mel": voice.mel,
        }));
    }
    let Provenance { description, data, licence, steps, audio_seconds, training } =
        &voice.provenance;
    let cost = gmac_per_second(&voice);
    let parameters = millions(voice.model.parameter_count());
    let numbers = |steps: &mut dyn Iterator<Item = &usize>| {
        steps.map(usize::to_string).collect::<Vec<String>>().join(", ")
    };
    let own = if own.is_empty() { "none".into() } else { numbers(&mut own.iter()) };
    let from_noise = voice.from_noise.as_ref().map_or(String::new(), |chain| {
        let steps = numbers(&mut chain.schedules.keys());
        format!("{}, schedules for steps: {steps}", chain.sampler)
    });
    let lines = [
        ("file", path.display().to_string()),
        ("content", format!("SHA-256 {}", voice.content_hash()?)),
        ("about", description.clone()),
        ("licence", licence.clone()),
        ("data", data.clone()),
        ("trained", format!("{steps} steps on {:.1} h of audio", audio_seconds / 3600.0)),
        ("size", format!("{parameters} parameters, {cost} GMAC a step and second of audio")),
        ("schedules", format!("its own for steps: {own}")),
        ("sampler", voice.sampler.to_string()),
        ("start", format!("{}, then {}", voice.start, polish(&voice))),
        ("from noise", from_noise),
        (
            "latency",
            format!("{:.1} ms as a stream of {STEPS} steps from noise", lag.ms(&voice.mel)),
        ),
        ("mel", serde_json::to_string(&voice.mel)?),
        ("network", serde_json::to_string(&voice.model)?),
        ("training", training.clone()),
    ];
    for (name, text) in lines.iter().filter(|(_, text)| !text.is_empty()) {
        output::line(format!("{name:<10} {}", text.trim_end().replace('\n', "\n           ")))?;
    }
    Ok(())
}

/// Billions of multiply-adds for one step over a second of audio.
/// What follows the chain, in words.
fn polish(voice: &Voice) -> String {
    let rounds = format!("{} rounds of polish", voice.polish);
    match voice.trials {
        0 => rounds,
        trials => format!("{trials} sweeps of trials and {rounds}"),
    }
}

fn gmac_per_second(voice: &Voice) -> f64 {
    let frames = f64::from(voice.mel.sample_rate) / voice.mel.hop as f64;
    (voice.model.macs_per_frame() as f64 * frames / 1e7).round() / 100.0
}

fn millions(count: usize) -> String {
    format!("{:.2} M", count as f64 / 1e6)
}
