//! `vocoder mel`: audio to mel files.

use anyhow::Result;
use clap::{Args, ValueEnum};
use serde_json::json;
use vocoder::mel::{MelConfig, MelExtractor};
use vocoder::picture::{self, Panel};
use vocoder::{audio, mel};

use crate::batch::{self, Done, Files, Verb};
use crate::inputs::{AUDIO, Job};
use crate::interrupt;
use crate::progress::Progress;

/// Audio to log-mel spectrograms (.npy or .safetensors, `[n_mels, frames]`, f32).
#[derive(Debug, Args)]
pub struct MelArgs {
    #[command(flatten)]
    files: Files,
    /// The mel's settings, by name
    #[arg(long, value_name = "PRESET", default_value = "wavegrad-24k",
          value_parser = clap::builder::PossibleValuesParser::new(MelConfig::PRESETS))]
    config: String,
    /// What folders are filled with
    #[arg(long, value_enum, default_value_t = Format::Npy)]
    format: Format,
    /// Also write a picture (.png) beside each mel
    #[arg(long)]
    picture: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Format {
    Npy,
    Safetensors,
}

/// Runs the verb.
pub fn run(args: &MelArgs, quiet: bool) -> Result<()> {
    let mut extractor = MelExtractor::new(&MelConfig::preset(&args.config)?)?;
    let written: &[&str] = match args.format {
        Format::Npy => &["npy", "safetensors"],
        Format::Safetensors => &["safetensors", "npy"],
    };
    let verb = Verb { taken: AUDIO, written, participle: "written" };
    batch::run(&args.files, verb, quiet, |job, progress| {
        interrupt::check()?;
        extract(job, &mut extractor, args.picture, progress)
    })
}

fn extract(
    job: &Job,
    extractor: &mut MelExtractor,
    with_picture: bool,
    progress: &Progress,
) -> Result<Done> {
    let rate = extractor.config().sample_rate;
    let file = audio::read_at(&job.input, rate)?;
    for notice in &file.notices {
        progress.note(format!("{}: {notice}", job.input.display()));
    }
    let mel = extractor.extract(&file.audio.samples)?;
    if with_picture {
        let title = job.input.file_stem().unwrap_or_default().to_string_lossy();
        let panel = Panel { title: &title, mel: &mel };
        picture::draw(&job.output.with_extension("png"), &[vec![panel]])?;
    }
    // The mel comes last: a run that is stopped here does the input again, picture and all.
    mel::file::write(&job.output, &mel)?;
    let figures = json!({ "frames": mel.frames, "n_mels": mel.config.n_mels, "sample_rate": rate });
    Ok(Done {
        seconds: file.audio.samples.len() as f64 / f64::from(rate),
        figures: figures.as_object().cloned().unwrap_or_default(),
    })
}
