//! `vocoder train`: trains a voice on a folder of speech.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use clap::Args;
use indicatif::{HumanDuration, ProgressBar, ProgressStyle};
use std::io::IsTerminal;
use training::log::Rendering;
use training::{About, Event, Ranks, Run, TrainConfig, corpus, distill};
use vocoder::voice::Voice;

use crate::device::{self, Choice};
use crate::failure::usage;
use crate::{interrupt, voices};

/// Train a voice on a folder of speech
///
/// DIR has LJSpeech's layout (metadata.csv and wavs/) or is any folder of audio. RUN receives the
/// config, the log (log.jsonl), TensorBoard's events (tensorboard/), checkpoints, previews of held-out
/// clips, report.html, and voice.safetensors, which `vocoder render` takes, beside
/// voice-best.safetensors, the best by validation. Ctrl-C saves and stops; --resume goes on. Started by
/// mpirun (in a build with the feature mpi), the processes share each step's `optimiser.accumulate`
/// batches and the first one writes; `--device cuda` is then the GPU of a process's number on its machine.
#[derive(Debug, Args)]
pub struct TrainArgs {
    /// Folders of clips
    #[arg(long, value_name = "DIR", num_args = 1.., required_unless_present = "print_config")]
    data: Vec<PathBuf>,
    /// Folder that keeps decoded audio, for this run and others on the same clips
    #[arg(long, value_name = "DIR")]
    cache: Option<PathBuf>,
    /// Folder that receives the run
    #[arg(long, value_name = "RUN", required_unless_present = "print_config")]
    out: Option<PathBuf>,
    /// A preset, or a TOML file of the keys that differ from one
    #[arg(long, value_name = "FILE|PRESET")]
    config: Option<String>,
    /// Go on from the newest checkpoint in RUN, where there is one
    #[arg(long)]
    resume: bool,
    /// Start from the weights of a voice, with fresh moments. Where the config has more channels in the
    /// mel's path (model.first, model.up), the voice grows, and says at first what it said
    #[arg(long, value_name = "VOICE")]
    init: Option<PathBuf>,
    /// Distil a voice: start from its weights and learn where its steps lead, in fewer (presets
    /// distill-progressive and distill-consistency), or what it predicts under guidance, at half the price
    /// (distill-guidance), as the config's `distill` says. Mel and network are the voice's. The run keeps a
    /// copy of it
    #[arg(long, value_name = "VOICE")]
    distill: Option<String>,
    /// Optimiser steps in all
    #[arg(long, value_name = "N")]
    steps: Option<u64>,
    /// Crops in a batch
    #[arg(long, value_name = "N")]
    batch: Option<usize>,
    /// Selects initial weights, crops and noise
    #[arg(long, value_name = "S")]
    seed: Option<u64>,
    /// Where to compute: auto, cpu, cuda, cuda:N or metal
    #[arg(long, default_value = "auto")]
    device: Choice,
    /// Threads that compute [default: one a core]
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
    /// What the voice is, in a line; it travels in the voice file
    #[arg(long, default_value = "", value_name = "TEXT")]
    description: String,
    /// Name, source and licence of the data; it travels in the voice file
    #[arg(long, default_value = "", value_name = "TEXT")]
    credit: String,
    /// Licence of the voice; it travels in the voice file
    #[arg(long, default_value = "", value_name = "TEXT")]
    licence: String,
    /// Print the config, every key with its meaning, unit and the paper's value, and stop
    #[arg(long)]
    print_config: bool,
}

/// Runs the verb.
///
/// # Errors
/// A config, data or files that don't serve; a run that fails.
pub fn run(args: &TrainArgs, quiet: bool) -> Result<()> {
    let teacher = args.distill.as_deref().map(voices::find).transpose()?;
    let mut config = config(args)?;
    take_after(&mut config, teacher.as_deref(), args)?;
    config.steps = args.steps.unwrap_or(config.steps);
    config.batch = args.batch.unwrap_or(config.batch);
    config.seed = args.seed.unwrap_or(config.seed);
    config.validate()?;
    if args.print_config {
        return crate::output::line(config.to_commented_toml()?.trim_end());
    }
    let out = args.out.clone().ok_or_else(|| usage("--out is missing"))?;
    let ranks = Ranks::of_launcher()?;
    device::use_threads(args.threads)?;
    let (device, name) = args.device.on_this_machine().open()?;
    let mut display = Display::new(config.steps, quiet || !ranks.is_first());
    if ranks.size() > 1 {
        display.line(format!("{} processes train together", ranks.size()));
    }
    display.line(format!(
        "training {} parameters on {name}, reading {}",
        config.model.parameter_count(),
        args.data.iter().map(|d| d.display().to_string()).collect::<Vec<_>>().join(", ")
    ));
    let run = Run {
        config,
        data: args.data.clone(),
        cache: args.cache.clone(),
        out: out.clone(),
        init: args.init.clone(),
        distill: teacher,
        resume: args.resume,
        about: About {
            description: args.description.clone(),
            data: args.credit.clone(),
            licence: args.licence.clone(),
        },
    };
    let observe = |event: &Event| display.show(event);
    let steps = training::train_among(&ranks, &run, &device, interrupt::requested, observe)
        .inspect_err(|error| {
            if ranks.size() > 1 {
                eprintln!("error: process {} of {}: {error}", ranks.rank(), ranks.size());
                ranks.abandon();
            }
        })?;
    display.finish();
    if steps < run.config.steps {
        let done = format!("saved at step {steps} of {}; go on with --resume", run.config.steps);
        return Err(crate::failure::Interrupted { done }.into());
    }
    if ranks.is_first() {
        println!("{}", out.join("voice.safetensors").display());
    }
    Ok(())
}

/// The config that the arguments name; a run that is resumed keeps its own.
fn config(args: &TrainArgs) -> Result<TrainConfig> {
    let own = args.out.as_ref().map(|out| out.join("config.toml"));
    match (&args.config, own) {
        (Some(name), _) if TrainConfig::PRESETS.contains(&name.as_str()) => {
            Ok(TrainConfig::preset(name)?)
        }
        (Some(path), _) => TrainConfig::read(path.as_ref()).with_context(|| {
            format!("--config expects a file or one of {}", TrainConfig::PRESETS.join(", "))
        }),
        (None, Some(own)) if args.resume && own.exists() => Ok(TrainConfig::read(&own)?),
        (None, _) if args.distill.is_some() => Ok(TrainConfig::preset("distill-progressive")?),
        (None, _) => Ok(TrainConfig::preset("speech-quarter")?),
    }
}

/// Gives a student's `config` the mel and the network of its teacher: the one that is named, or the one
/// that the run has.
fn take_after(config: &mut TrainConfig, teacher: Option<&Path>, args: &TrainArgs) -> Result<()> {
    if config.distill.is_none() {
        return match &args.distill {
            Some(_) => Err(usage(
                "--distill: expected a config with [distill.progressive], [distill.consistency] or [distill.guidance]",
            )),
            None => Ok(()),
        };
    }
    let kept = args.out.as_ref().map(|out| distill::teacher_file(out)).filter(|path| path.exists());
    let voice = match (teacher, kept) {
        (Some(path), _) => Voice::load(path)?,
        (None, Some(path)) => Voice::load(&path)?,
        (None, None) if args.print_config => return Ok(()),
        (None, None) => {
            return Err(usage("the config distils a voice: expected --distill VOICE, got none"));
        }
    };
    (config.mel, config.model) = (voice.mel, voice.model);
    Ok(())
}

/// A bar on a terminal, lines otherwise.
struct Display {
    bar: Option<ProgressBar>,
    quiet: bool,
    steps: u64,
    started: Instant,
    first_step: Option<u64>,
    last_line: Instant,
}

impl Display {
    /// Seconds between lines where there is no bar.
    const PAUSE: u64 = 10;

    fn new(steps: u64, quiet: bool) -> Self {
        let bar = (!quiet && std::io::stderr().is_terminal()).then(|| {
            let bar = ProgressBar::new(steps);
            let template = "{bar:24} {pos}/{len} {wide_msg} {eta} left";
            if let Ok(style) = ProgressStyle::with_template(template) {
                bar.set_style(style);
            }
            bar
        });
        let now = Instant::now();
        Display { bar, quiet, steps, started: now, first_step: None, last_line: now }
    }

    fn show(&mut self, event: &Event) {
        match event {
            Event::Data(report) => self.data(report),
            Event::Step { step, loss, gradient_norm, samples_per_second, idle, .. } => {
                let first = *self.first_step.get_or_insert(*step);
                let rate = (step - first) as f64 / self.started.elapsed().as_secs_f64().max(1e-9);
                let text = format!(
                    "loss {loss:.4}, gradient {gradient_norm:.2}, {rate:.2} steps/s, \
                     {:.0} k samples/s, idle {:.1} %",
                    samples_per_second / 1e3,
                    idle * 100.0
                );
                if let Some(bar) = &self.bar {
                    bar.set_position(*step);
                    bar.set_message(text);
                } else if self.last_line.elapsed().as_secs() >= Self::PAUSE {
                    self.last_line = Instant::now();
                    let left = (self.steps.saturating_sub(*step)) as f64 / rate.max(1e-9);
                    let left = HumanDuration(Duration::from_secs_f64(left.min(1e9)));
                    self.line(format!("step {step}/{}: {text}, {left:#} left", self.steps));
                }
            }
            Event::Skipped { step } => {
                self.line(format!("step {step}: no finite gradient, left out"));
            }
            Event::Validation { step, loss, by_level, best } => {
                let levels: Vec<String> =
                    by_level.iter().map(|(level, loss)| format!("{loss:.4} at {level}")).collect();
                let best = if *best { ", the best so far" } else { "" };
                let levels = levels.join(", ");
                self.line(format!("step {step}: validation {loss:.4} ({levels}){best}"));
            }
            Event::Preview { step, renderings } => self.preview(*step, renderings),
            Event::Saved { step } => self.line(format!("step {step}: saved")),
        }
    }

    fn data(&mut self, report: &corpus::Report) {
        self.started = Instant::now();
        self.line(report.to_string());
    }

    fn preview(&self, step: u64, renderings: &[Rendering]) {
        for Rendering { clip, steps, mel_difference, failure } in renderings {
            let outcome = match (mel_difference, failure) {
                (Some(difference), _) => format!("mean mel difference {difference:.3}"),
                (None, why) => format!("failed: {}", why.as_deref().unwrap_or("no reason given")),
            };
            self.line(format!("step {step}: {clip} in {steps} steps: {outcome}"));
        }
    }

    fn line(&self, text: String) {
        match &self.bar {
            _ if self.quiet => {}
            Some(bar) => bar.suspend(|| eprintln!("{text}")),
            None => eprintln!("{text}"),
        }
    }

    fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
