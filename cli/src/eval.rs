//! `vocoder eval`: how far renderings are from the recordings, beside Griffin-Lim's from the same
//! mels.

mod figures;
mod pairs;
mod report;

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Args;
use serde_json::json;
use vocoder::audio;
use vocoder::griffin_lim::GriffinLim;
use vocoder::mel::{MelConfig, MelExtractor};
use vocoder::metrics::{Comparison, Level, SAMPLE_RATE, compare};

use crate::progress::Progress;
use crate::{interrupt, output};
use figures::{Figures, MEAN_HEADS, file_heads, file_rows, mean_rows, means};
use report::Report;

/// Distances between recordings and renderings, beside Griffin-Lim's from the same mels
///
/// All at 24 kHz. LS-MAE and LS-MSE: mean absolute and squared difference of the natural-log mels
/// (128 bands). MR-STFT: spectral convergence and log-magnitude difference over three transforms.
/// MCD13: mel-cepstral distortion. F0 cents: difference in pitch where both are voiced. VUV-F1, VDE
/// and FFE: how often the voicing agrees, differs, and differs or has a pitch more than a fifth off.
/// Pitch and voicing are WORLD's (Harvest, StoneMask, D4C's love train; every 5 ms, 60 to 600 Hz).
/// Disturbance: what is heard to be different, after PESQ (0 to 5.9).
/// Lag is removed; level is left unless --match-level. Render with --format f32 to measure: in silence, the rounding to 16
/// bits is as far from the recording as many a flaw.
#[derive(Debug, Args)]
pub struct EvalArgs {
    /// The recording, or a folder of them
    #[arg(value_name = "REF")]
    reference: PathBuf,
    /// The rendering, or a folder with the same names (whatever the extensions)
    #[arg(value_name = "GEN")]
    generated: PathBuf,
    /// Folder for report.html, with everything to look at and to listen to, and a picture a file
    #[arg(long, value_name = "DIR")]
    report: Option<PathBuf>,
    /// Brings each rendering to its recording's level before it is measured
    #[arg(long)]
    match_level: bool,
    /// As JSON
    #[arg(long)]
    json: bool,
}

/// Runs the verb.
pub fn run(args: &EvalArgs, quiet: bool) -> Result<()> {
    let pairs = pairs::pairs(&args.reference, &args.generated)?;
    let mut report = args.report.as_deref().map(Report::new).transpose()?;
    let mut extractor = MelExtractor::new(&MelConfig::default())?;
    let level = if args.match_level { Level::Matched } else { Level::Kept };
    let mut progress = Progress::new(pairs.len(), quiet);
    let mut figures = Vec::with_capacity(pairs.len());
    for pair in pairs {
        interrupt::check()?;
        let reference = audio::read_at(&pair.reference, SAMPLE_RATE)?.audio.samples;
        let generated = audio::read_at(&pair.generated, SAMPLE_RATE)?.audio.samples;
        let baseline = GriffinLim::default().render(&extractor.extract(&reference)?)?;
        let against = |samples: &[f32]| {
            compare(&reference, samples, level)
                .with_context(|| pair.reference.display().to_string())
        };
        let pair = Figures {
            generated: against(&generated)?,
            griffin_lim: against(&baseline)?,
            file: pair.name,
        };
        if let Some(report) = &mut report {
            report.add(&pair, [&reference, &generated, &baseline])?;
        }
        progress.finished(&pair.file);
        figures.push(pair);
    }
    drop(progress);
    let page = report.map(|report| report.finish(&figures)).transpose()?;
    if args.json {
        return output::json(&json!({
            "files": figures,
            "mean": {
                "generated": means(&figures, |f| f.generated),
                "griffin_lim": means(&figures, |f| f.griffin_lim),
            },
        }));
    }
    output::table(&file_heads(), &file_rows(&figures))?;
    output::line("")?;
    output::table(&MEAN_HEADS, &mean_rows(&figures))?;
    match page {
        Some(page) => output::line(format!("\nlook:   {}", page.display())),
        None => Ok(()),
    }
}

/// A figure's name, and where a comparison has it.
type Column = (&'static str, fn(&Comparison) -> f64);

/// The figures that the demo's table has.
pub const COLUMNS: [Column; 3] =
    [("ls_mae", |c| c.ls_mae), ("ls_mse", |c| c.ls_mse), ("mr_stft", |c| c.mr_stft)];

/// The figures of one comparison, as cells of the demo's table.
pub fn cells(comparison: &Comparison) -> [String; COLUMNS.len()] {
    COLUMNS.map(|(_, figure)| format!("{:.3}", figure(comparison)))
}
