//! `vocoder schedule show`: the levels that a voice uses.

use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::Args;
use serde_json::json;
use vocoder::picture::chart::{self, Chart, Line};
use vocoder::schedule::{Schedule, lambda, sigma};

use crate::{output, start, voices};

/// Prints the levels that a voice uses, and the scales of the predicted noise if it has some
#[derive(Debug, Args)]
pub struct ShowArgs {
    /// The voice, by name or file
    #[arg(long, default_value = voices::DEFAULT)]
    voice: String,
    /// Number of steps
    #[arg(long, value_name = "N", default_value_t = 6, value_parser = clap::value_parser!(u64).range(1..=1000))]
    steps: u64,
    /// Where the chain starts: noise, griffin-lim or griffin-lim:LEVEL[:ROUNDS] [default: the voice's own]
    #[arg(long, value_name = "START")]
    start: Option<start::Choice>,
    /// Draws level, alpha_bar and signal-to-noise ratio into this PNG file
    #[arg(long, value_name = "FILE")]
    picture: Option<PathBuf>,
    /// As JSON
    #[arg(long)]
    json: bool,
}

/// Runs the verb.
///
/// # Errors
/// A voice that can't be loaded.
pub fn run(args: &ShowArgs) -> Result<()> {
    let voice = voices::load(&args.voice)?;
    let start = start::of_voice(args.start, &voice);
    let schedule = voice.schedule_from(start, args.steps as usize)?;
    let own = voice.learned(start, args.steps as usize).is_some();
    if let Some(path) = &args.picture {
        draw(path, &schedule)?;
    }
    if args.json {
        return output::json(&json!({
            "steps": schedule.steps(), "learned": own, "levels": schedule.levels(),
            "betas": schedule.to_betas(), "scales": schedule.scales().collect::<Vec<_>>(),
        }));
    }
    let mut heads = vec!["step", "level", "alpha_bar", "noise", "SNR in dB"];
    let mut rows: Vec<Vec<String>> = schedule
        .levels()
        .iter()
        .enumerate()
        .map(|(step, &level)| {
            vec![
                (step + 1).to_string(),
                format!("{level:.6}"),
                format!("{:.6}", level * level),
                format!("{:.6}", sigma(level)),
                format!("{:.2}", snr_db(level)),
            ]
        })
        .collect();
    if schedule.has_scales() {
        heads.push("scale");
        rows.iter_mut()
            .zip(schedule.scales())
            .for_each(|(row, scale)| row.push(format!("{scale:.3}")));
    }
    output::table(&heads, &rows)
}

fn snr_db(level: f64) -> f64 {
    20.0 * lambda(level) / std::f64::consts::LN_10
}

fn draw(path: &Path, schedule: &Schedule) -> Result<()> {
    let line = |name: &str, of: fn(f64) -> f64| {
        let points = schedule.levels().iter().enumerate();
        Line { name: name.into(), points: points.map(|(i, &l)| (i as f64 + 1.0, of(l))).collect() }
    };
    let charts = [
        Chart {
            title: "Signal and noise at each step",
            x_title: "step",
            lines: vec![
                line("level, alpha", |l| l),
                line("alpha_bar", |l| l * l),
                line("noise, sigma", sigma),
            ],
        },
        Chart {
            title: "Signal-to-noise ratio in dB",
            x_title: "step",
            lines: vec![line("", snr_db)],
        },
    ];
    Ok(chart::draw(path, &charts)?)
}
