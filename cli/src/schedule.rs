//! `vocoder schedule`: learns the noise levels that suit a voice, and shows them.

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::{Args, Subcommand};
use serde_json::json;
use training::corpus::Corpus;
use training::schedule::Learner;
use vocoder::sampler::SamplerKind;
use vocoder::schedule::{lambda, sigma};
use vocoder::voice::{Precision, Voice};

use crate::device::{self, Choice};
use crate::progress::Progress;
use crate::{interrupt, output, voices};

/// Learns the noise levels that suit a voice, and shows them
#[derive(Debug, Args)]
pub struct ScheduleArgs {
    #[command(subcommand)]
    verb: ScheduleVerb,
}

#[derive(Debug, Subcommand)]
enum ScheduleVerb {
    Learn(LearnArgs),
    Show(ShowArgs),
}

/// Learns levels from recordings, and stores them in the voice
///
/// Clips that training would hold out for validation judge the candidates. `render` uses what is
/// stored for its number of steps.
#[derive(Debug, Args)]
struct LearnArgs {
    /// The voice, by name or file
    #[arg(long)]
    voice: String,
    /// Folders of recordings
    #[arg(long, value_name = "DIR", num_args = 1.., required = true)]
    data: Vec<PathBuf>,
    /// Numbers of steps to learn levels for
    #[arg(long, value_name = "N", num_args = 1.., default_values_t = [6], value_parser = clap::value_parser!(u64).range(1..=50))]
    steps: Vec<u64>,
    /// Where the voice with its schedules is written [default: the voice itself]
    #[arg(short, long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// The sampler that will use them
    #[arg(long, default_value = "ancestral")]
    sampler: SamplerKind,
    /// Clips of two seconds that each candidate renders
    #[arg(long, value_name = "N", default_value_t = 6, value_parser = clap::value_parser!(u64).range(1..=1000))]
    clips: u64,
    /// Where to compute: auto, cpu, cuda, cuda:N or metal
    #[arg(long, default_value = "auto")]
    device: Choice,
    /// Threads that compute [default: one a core]
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
}

/// Prints the levels that a voice uses
#[derive(Debug, Args)]
struct ShowArgs {
    /// The voice, by name or file
    #[arg(long, default_value = voices::DEFAULT)]
    voice: String,
    /// Number of steps
    #[arg(long, value_name = "N", default_value_t = 6, value_parser = clap::value_parser!(u64).range(1..=1000))]
    steps: u64,
    /// As JSON
    #[arg(long)]
    json: bool,
}

/// Runs the verb.
///
/// # Errors
/// A voice or recordings that don't serve; a file that can't be written.
pub fn run(args: &ScheduleArgs, quiet: bool) -> Result<()> {
    match &args.verb {
        ScheduleVerb::Learn(args) => learn(args, quiet),
        ScheduleVerb::Show(args) => show(args),
    }
}

fn learn(args: &LearnArgs, quiet: bool) -> Result<()> {
    device::use_threads(args.threads)?;
    let path = voices::find(&args.voice)?;
    let mut voice = Voice::load(&path)?;
    let (device, _) = args.device.open()?;
    let corpus = Corpus::load(&args.data, voice.mel.sample_rate, voice.mel.sample_rate as usize)?;
    let held_out = if corpus.validation.is_empty() { corpus.training } else { corpus.validation };
    let source = voice.clone();
    let learner = Learner::new(&source, &device, args.sampler, held_out, args.clips as usize)?;
    let mut progress = Progress::new(args.steps.len(), quiet);
    let mut rows = Vec::new();
    for &steps in &args.steps {
        interrupt::check()?;
        let ticker = progress.ticker();
        let mut tried = 0;
        let learned = learner.learn(steps as usize, |_, best| {
            tried += 1;
            // About as many candidates as there are for few steps.
            ticker.at(f64::from(tried) / 60.0, format!("{steps} steps: distance {best:.4}"));
        })?;
        progress.finished(format!("{steps} steps: distance {:.4}", learned.distance));
        let figure = |distance: f64| format!("{distance:.4}");
        rows.push(vec![
            steps.to_string(),
            figure(learned.distance),
            figure(learned.bound_distance),
            figure(learned.plain_distance),
        ]);
        voice.schedules.insert(steps as usize, learned.schedule.levels().to_vec());
    }
    drop(progress);
    let out = args.out.clone().unwrap_or(path);
    voice.save(&out, Precision::Half).with_context(|| out.display().to_string())?;
    output::table(&["steps", "learned", "bound's minimum", "even in log-SNR"], &rows)
}

fn show(args: &ShowArgs) -> Result<()> {
    let voice = voices::load(&args.voice)?;
    let schedule = voice.schedule(args.steps as usize)?;
    let own = voice.schedules.contains_key(&(args.steps as usize));
    if args.json {
        return output::json(&json!({
            "steps": schedule.steps(), "learned": own, "levels": schedule.levels(),
            "betas": schedule.to_betas(),
        }));
    }
    let rows: Vec<Vec<String>> = schedule
        .levels()
        .iter()
        .enumerate()
        .map(|(step, &level)| {
            vec![
                (step + 1).to_string(),
                format!("{level:.6}"),
                format!("{:.6}", level * level),
                format!("{:.6}", sigma(level)),
                format!("{:.2}", 20.0 * lambda(level) / std::f64::consts::LN_10),
            ]
        })
        .collect();
    output::table(&["step", "level", "alpha_bar", "noise", "SNR in dB"], &rows)
}
