//! `vocoder eval`: how far renderings are from the recordings, beside Griffin-Lim's from the same
//! mels.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::Args;
use serde::Serialize;
use serde_json::json;
use vocoder::audio;
use vocoder::griffin_lim::GriffinLim;
use vocoder::mel::{MelConfig, MelExtractor};
use walkdir::WalkDir;

use crate::inputs::{AUDIO, has_extension};
use crate::progress::Progress;
use crate::quality::Quality;
use crate::render::GRIFFIN_LIM_ITERATIONS;
use crate::{interrupt, output};

/// Distances between recordings and renderings, beside Griffin-Lim's from the same mels
///
/// All at 24 kHz. LS-MAE and LS-MSE: mean absolute and squared difference of the natural-log mels
/// (128 bands). MR-STFT: spectral convergence and log-magnitude difference over three transforms.
/// Smaller is better; 0 is the recording itself.
#[derive(Debug, Args)]
pub struct EvalArgs {
    /// The recording, or a folder of them
    #[arg(value_name = "REF")]
    reference: PathBuf,
    /// The rendering, or a folder with the same names (whatever the extensions)
    #[arg(value_name = "GEN")]
    generated: PathBuf,
    /// As JSON
    #[arg(long)]
    json: bool,
}

/// A recording and its rendering.
struct Pair {
    name: String,
    reference: PathBuf,
    generated: PathBuf,
}

/// One pair's figures.
#[derive(Serialize)]
struct Figures {
    file: String,
    generated: Quality,
    griffin_lim: Quality,
}

/// Runs the verb.
pub fn run(args: &EvalArgs, quiet: bool) -> Result<()> {
    let pairs = pairs(&args.reference, &args.generated)?;
    let mel = MelConfig::default();
    let mut griffin_lim = GriffinLim::new(&mel, GRIFFIN_LIM_ITERATIONS, 0)?;
    let mut extractor = MelExtractor::new(&mel)?;
    let mut progress = Progress::new(pairs.len(), quiet);
    let mut figures = Vec::with_capacity(pairs.len());
    for pair in pairs {
        interrupt::check()?;
        let reference = audio::read_at(&pair.reference, mel.sample_rate)?.audio.samples;
        let generated = audio::read_at(&pair.generated, mel.sample_rate)?.audio.samples;
        let baseline = griffin_lim.render(&extractor.extract(&reference)?)?;
        let mut against = |samples: &[f32]| {
            Quality::measure(&reference, samples, &mut extractor).with_context(|| pair.name.clone())
        };
        let (generated, griffin_lim) = (against(&generated)?, against(&baseline)?);
        progress.finished(&pair.name);
        figures.push(Figures { file: pair.name, generated, griffin_lim });
    }
    drop(progress);
    let mean = Figures {
        file: "mean".into(),
        generated: Quality::mean(figures.iter().map(|f| &f.generated)),
        griffin_lim: Quality::mean(figures.iter().map(|f| &f.griffin_lim)),
    };
    if args.json {
        return output::json(&json!({ "files": figures, "mean": mean }));
    }
    let heads = ["file", "LS-MAE", "LS-MSE", "MR-STFT", "GL LS-MAE", "GL LS-MSE", "GL MR-STFT"];
    let row =
        |f: &Figures| [vec![f.file.clone()], f.generated.cells(), f.griffin_lim.cells()].concat();
    let rows: Vec<_> = figures.iter().chain([&mean]).map(row).collect();
    output::table(&heads, &rows)
}

/// Pairs two files, or the files of two folders by their paths without extension.
fn pairs(reference: &Path, generated: &Path) -> Result<Vec<Pair>> {
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
