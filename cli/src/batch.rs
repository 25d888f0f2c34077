//! Many inputs, one output each: what `render` and `mel` have in common.

use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, Result};
use clap::Args;
use serde_json::{Map, Value, json};

use crate::failure::{Interrupted, SomeFailed, complain, one_line, usage};
use crate::inputs::{Job, plan};
use crate::interrupt;
use crate::output;
use crate::progress::Progress;
use crate::shard::Shard;

/// What to read, what to write, and which share of it.
#[derive(Debug, Args)]
pub struct Files {
    /// Files or folders; folders are mirrored below OUT
    #[arg(required = true, value_name = "INPUT")]
    pub inputs: Vec<PathBuf>,
    /// The file to write for a single input, else the folder for all
    #[arg(short, long)]
    pub out: PathBuf,
    /// Do outputs that exist already again, instead of skipping them
    #[arg(long)]
    pub force: bool,
    /// Do only share I of N (I from 1 to N) of the sorted inputs. Without it, the variables of a
    /// Slurm array, srun, Open MPI or PMI say the share, if there are any
    #[arg(long, value_name = "I/N")]
    pub shard: Option<Shard>,
    /// One line of JSON an input on stdout, then one for all
    #[arg(long)]
    pub json: bool,
}

/// What a verb says about one input that it has done.
pub struct Done {
    /// Length of the input's sound, in seconds.
    pub seconds: f64,
    /// Further figures for `--json`.
    pub figures: Map<String, Value>,
}

/// What a verb reads and writes, and how it calls what it does.
pub struct Verb<'a> {
    /// Extensions that are taken from folders.
    pub taken: &'a [&'a str],
    /// Extensions that OUT may have; the first is what folders are filled with.
    pub written: &'a [&'a str],
    /// Past participle, for the summary.
    pub participle: &'a str,
}

#[derive(Default)]
struct Totals {
    done: usize,
    skipped: usize,
    failed: usize,
    audio_s: f64,
    computing_s: f64,
}

/// Does `each` of the inputs' jobs in sorted order. A failed input is reported and the others go
/// on, unless the disk is full.
///
/// # Errors
/// Wrong usage; an only input's own error; [`SomeFailed`]; [`Interrupted`].
pub fn run(
    files: &Files,
    verb: Verb,
    quiet: bool,
    mut each: impl FnMut(&Job, &Progress) -> Result<Done>,
) -> Result<()> {
    run_together(files, verb, quiet, 1, |jobs, progress| {
        jobs.iter().map(|job| each(job, progress)).collect()
    })
}

/// As [`run`], up to `size` jobs at a time; `several` returns their outcomes in order.
///
/// # Errors
/// As [`run`].
pub fn run_together(
    files: &Files,
    verb: Verb,
    quiet: bool,
    size: usize,
    mut several: impl FnMut(&[&Job], &Progress) -> Vec<Result<Done>>,
) -> Result<()> {
    let all = plan(&files.inputs, &files.out, verb.taken, verb.written)?;
    let jobs = share(files, all, quiet)?;
    let mut batch = Batch {
        files,
        participle: verb.participle,
        count: jobs.len(),
        totals: Totals::default(),
        progress: Progress::new(jobs.len(), quiet),
    };
    for group in jobs.chunks(size) {
        let mut ready = Vec::new();
        for job in group {
            if !files.force && job.output.exists() {
                batch.skip(job)?;
            } else if let Err(error) = make_folder(job) {
                batch.settle(job, Err(error), 0.0)?;
            } else {
                ready.push(job);
            }
        }
        let start = Instant::now();
        let outcomes = several(&ready, &batch.progress);
        let spent_s = start.elapsed().as_secs_f64();
        let seconds = |outcome: &Result<Done>| outcome.as_ref().map_or(0.0, |done| done.seconds);
        let total: f64 = outcomes.iter().map(seconds).sum();
        for (job, outcome) in ready.into_iter().zip(outcomes) {
            // Of what a group took, its share of the sound.
            let part = if total > 0.0 { seconds(&outcome) / total } else { 0.0 };
            batch.settle(job, outcome, spent_s * part)?;
        }
    }
    let Batch { totals, progress, .. } = batch;
    drop(progress);
    summary(files, verb.participle, &totals, quiet)?;
    match totals.failed {
        0 => Ok(()),
        failed => Err(SomeFailed { failed, of: jobs.len() }.into()),
    }
}

/// Jobs on their way, and what became of them so far.
struct Batch<'a> {
    files: &'a Files,
    participle: &'a str,
    count: usize,
    totals: Totals,
    progress: Progress,
}

impl Batch<'_> {
    /// Says that the output of `job` is there already.
    fn skip(&mut self, job: &Job) -> Result<()> {
        let (name, output) = (job.input.display(), job.output.display());
        self.totals.skipped += 1;
        self.progress.finished(format!("{name}: {output} is there already"));
        tell(self.files, job, "skipped", Map::new())
    }

    /// Says what became of `job`, which took `computing_s`; the errors that end everything are returned.
    fn settle(&mut self, job: &Job, outcome: Result<Done>, computing_s: f64) -> Result<()> {
        let name = job.input.display();
        match outcome {
            Ok(done) => {
                self.totals.done += 1;
                self.totals.audio_s += done.seconds;
                self.totals.computing_s += computing_s;
                self.progress.finished(format!(
                    "{name} -> {}: {}",
                    job.output.display(),
                    speed(done.seconds, computing_s)
                ));
                tell(self.files, job, "done", timed(done, computing_s))
            }
            Err(error) if error.is::<Interrupted>() || interrupt::requested() => {
                let (done, count) = (self.totals.done, self.count);
                let done = format!("{done} of {count} inputs {}", self.participle);
                Err(Interrupted { done }.into())
            }
            Err(error) if self.count == 1 || is_full(&error) => Err(error),
            Err(error) => {
                self.totals.failed += 1;
                self.progress.above(|| complain(&error));
                self.progress.finished(format!("{name}: failed"));
                let why = Map::from_iter([("error".to_string(), one_line(&error).into())]);
                tell(self.files, job, "failed", why)
            }
        }
    }
}

/// This process's share of `jobs`.
fn share(files: &Files, jobs: Vec<Job>, quiet: bool) -> Result<Vec<Job>> {
    let environment = |name: &str| std::env::var(name).ok();
    let (shard, source) = match files.shard {
        Some(shard) => (shard, "--shard".to_string()),
        None => match Shard::from_scheduler(environment).map_err(usage)? {
            Some(found) => found,
            None => return Ok(jobs),
        },
    };
    let count = jobs.len();
    let jobs: Vec<Job> = jobs
        .into_iter()
        .enumerate()
        .filter(|(position, _)| shard.contains(*position))
        .map(|(_, job)| job)
        .collect();
    if !quiet {
        eprintln!("shard {shard} (from {source}): {} of {count} inputs", jobs.len());
    }
    Ok(jobs)
}

fn make_folder(job: &Job) -> Result<()> {
    match job.output.parent() {
        Some(folder) => std::fs::create_dir_all(folder)
            .with_context(|| format!("cannot make the folder {}", folder.display())),
        None => Ok(()),
    }
}

fn is_full(error: &anyhow::Error) -> bool {
    error.chain().filter_map(|cause| cause.downcast_ref::<std::io::Error>()).any(|e| {
        matches!(e.kind(), std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded)
    })
}

fn timed(done: Done, computing_s: f64) -> Map<String, Value> {
    let mut figures = done.figures;
    figures.insert("audio_s".into(), done.seconds.into());
    figures.insert("computing_s".into(), computing_s.into());
    if done.seconds > 0.0 {
        figures.insert("rtf".into(), (computing_s / done.seconds).into());
    }
    figures
}

fn tell(files: &Files, job: &Job, status: &str, figures: Map<String, Value>) -> Result<()> {
    if !files.json {
        return Ok(());
    }
    let mut object = Map::new();
    object.insert("input".into(), job.input.display().to_string().into());
    object.insert("output".into(), job.output.display().to_string().into());
    object.insert("status".into(), status.into());
    object.extend(figures);
    output::json(&Value::Object(object))
}

fn summary(files: &Files, participle: &str, totals: &Totals, quiet: bool) -> Result<()> {
    if files.json {
        return output::json(&json!({ "summary": {
            "done": totals.done,
            "skipped": totals.skipped,
            "failed": totals.failed,
            "audio_s": totals.audio_s,
            "computing_s": totals.computing_s,
        }}));
    }
    if quiet {
        return Ok(());
    }
    let mut line = format!("{} {participle}", totals.done);
    if totals.skipped > 0 {
        line += &format!(", {} skipped (there already; --force does them again)", totals.skipped);
    }
    if totals.failed > 0 {
        line += &format!(", {} failed", totals.failed);
    }
    if totals.done > 0 {
        line += &format!(": {}", speed(totals.audio_s, totals.computing_s));
    }
    output::line(line)
}

/// "3.20 s of audio in 1.10 s, RTF 0.344".
pub fn speed(audio_s: f64, computing_s: f64) -> String {
    let rtf = if audio_s > 0.0 { computing_s / audio_s } else { f64::NAN };
    format!("{audio_s:.2} s of audio in {computing_s:.2} s, RTF {rtf:.3}")
}
