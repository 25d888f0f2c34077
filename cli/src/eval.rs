//! `vocoder eval`: how far renderings are from the recordings, beside Griffin-Lim's from the same
//! mels.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::Args;
use serde::Serialize;
use serde_json::json;
use vocoder::audio;
use vocoder::griffin_lim::GriffinLim;
use vocoder::mel::{MelConfig, MelExtractor};
use vocoder::metrics::{Comparison, MeanInterval, SAMPLE_RATE, compare, mean_interval};
use walkdir::WalkDir;

use crate::inputs::{AUDIO, has_extension};
use crate::progress::Progress;
use crate::{interrupt, output};

/// Distances between recordings and renderings, beside Griffin-Lim's from the same mels
///
/// All at 24 kHz. LS-MAE and LS-MSE: mean absolute and squared difference of the natural-log mels
/// (128 bands). MR-STFT: spectral convergence and log-magnitude difference over three transforms.
/// Smaller is better; 0 is the recording itself. Render with --format f32 to measure: in silence,
/// the rounding to 16 bits is as far from the recording as many a flaw.
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
    generated: Comparison,
    griffin_lim: Comparison,
}

/// Runs the verb.
pub fn run(args: &EvalArgs, quiet: bool) -> Result<()> {
    let pairs = pairs(&args.reference, &args.generated)?;
    let mut extractor = MelExtractor::new(&MelConfig::default())?;
    let mut progress = Progress::new(pairs.len(), quiet);
    let mut figures = Vec::with_capacity(pairs.len());
    for pair in pairs {
        interrupt::check()?;
        let reference = audio::read_at(&pair.reference, SAMPLE_RATE)?.audio.samples;
        let generated = audio::read_at(&pair.generated, SAMPLE_RATE)?.audio.samples;
        let baseline = GriffinLim::default().render(&extractor.extract(&reference)?)?;
        let against = |samples: &[f32]| {
            compare(&reference, samples).with_context(|| pair.reference.display().to_string())
        };
        let (generated, griffin_lim) = (against(&generated)?, against(&baseline)?);
        progress.finished(&pair.name);
        figures.push(Figures { file: pair.name, generated, griffin_lim });
    }
    drop(progress);
    report(&figures, args.json)
}

/// A figure's name, and where a comparison has it.
type Column = (&'static str, fn(&Comparison) -> f64);

/// The figures that the table has.
pub const COLUMNS: [Column; 3] =
    [("ls_mae", |c| c.ls_mae), ("ls_mse", |c| c.ls_mse), ("mr_stft", |c| c.mr_stft)];

fn report(figures: &[Figures], as_json: bool) -> Result<()> {
    let of_generated = |f: &Figures| f.generated;
    let of_griffin_lim = |f: &Figures| f.griffin_lim;
    if as_json {
        let means = |side: fn(&Figures) -> Comparison| {
            let named = COLUMNS.map(|(name, figure)| (name, mean(figures, side, figure)));
            BTreeMap::from(named)
        };
        return output::json(&json!({
            "files": figures,
            "mean": { "generated": means(of_generated), "griffin_lim": means(of_griffin_lim) },
        }));
    }
    let heads = ["file", "LS-MAE", "LS-MSE", "MR-STFT", "GL LS-MAE", "GL LS-MSE", "GL MR-STFT"];
    let sides: [fn(&Figures) -> Comparison; 2] = [of_generated, of_griffin_lim];
    let mut rows = Vec::with_capacity(figures.len() + 1);
    for f in figures {
        let cells = sides.iter().flat_map(|side| cells(&side(f)));
        rows.push(std::iter::once(f.file.clone()).chain(cells).collect());
    }
    let means = sides.iter().flat_map(|&side| {
        COLUMNS.map(|(_, figure)| mean(figures, side, figure).map_or("none".into(), told))
    });
    rows.push(std::iter::once("mean, 95 % interval".to_string()).chain(means).collect());
    output::table(&heads, &rows)
}

/// The figures of one comparison, as cells of a table.
pub fn cells(comparison: &Comparison) -> [String; COLUMNS.len()] {
    COLUMNS.map(|(_, figure)| format!("{:.3}", figure(comparison)))
}

fn mean(
    figures: &[Figures],
    side: fn(&Figures) -> Comparison,
    figure: fn(&Comparison) -> f64,
) -> Option<MeanInterval> {
    mean_interval(&figures.iter().map(|f| figure(&side(f))).collect::<Vec<_>>())
}

fn told(interval: MeanInterval) -> String {
    match interval.half_width {
        Some(half_width) => format!("{:.3}±{half_width:.3}", interval.mean),
        None => format!("{:.3}", interval.mean),
    }
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
