//! `vocoder schedule compare`: a voice's own levels beside everybody else's, on held-out recordings.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::Args;
use serde::Serialize;
use training::corpus::{Clip, Corpus};
use training::schedule::{CLIP_SECONDS, Distance, Held, Learner, rivals};
use vocoder::audio::{self, WavFormat};
use vocoder::metrics::SAMPLE_RATE;
use vocoder::picture::chart::{self, Chart, Line};
use vocoder::sampler::SamplerKind;
use vocoder::schedule::{Schedule, lambda};
use vocoder::start::Start;
use vocoder::voice::MAX_POLISH;

use super::learn::{DISTANCE_HEADS, distance_cells, judged};
use crate::device::{self, Choice};
use crate::progress::Progress;
use crate::{interrupt, output, start, voices};

/// Clips that the searches for schedules among the others may render, for each of dozens of candidates.
const MOST_SEARCHED: usize = 6;

/// Curves that a chart of levels holds.
const MOST_CURVES: usize = 8;

/// Renders held-out recordings by a voice with its own levels and with everybody else's
///
/// The voice's own, the named ones, the published lists of as many steps as they are (which tell the
/// network of signal that is not there: their prior mismatch) and tied to the prior, a grid search as
/// WaveGrad's, and BDDM's noise scheduling, by a ratio that the voice's own network tells. With a start
/// from Griffin-Lim's sound all others are tied to its level.
#[derive(Debug, Args)]
pub struct CompareArgs {
    /// The voice, by name or file
    #[arg(long, default_value = voices::DEFAULT)]
    voice: String,
    /// Folders of recordings
    #[arg(long, value_name = "DIR", num_args = 1.., required = true)]
    data: Vec<PathBuf>,
    /// Numbers of steps
    #[arg(long, value_name = "N", num_args = 1.., default_values_t = [6], value_parser = clap::value_parser!(u64).range(1..=1000))]
    steps: Vec<u64>,
    /// Where the chain starts, as `render` takes it [default: the voice's own]
    #[arg(long, value_name = "START")]
    start: Option<start::Choice>,
    /// Rounds of Griffin-Lim after each chain; levels that the voice learned with another number are left
    /// out [default: the voice's own]
    #[arg(long, value_name = "ROUNDS", value_parser = clap::value_parser!(u16).range(0..=MAX_POLISH as i64))]
    polish: Option<u16>,
    /// The samplers; each schedule is rendered by each [default: the voice's own, ancestral for most]
    #[arg(long, value_name = "NAME", num_args = 1..)]
    sampler: Vec<SamplerKind>,
    /// Candidates of the grid search; 0 leaves it out
    #[arg(long, value_name = "N", default_value_t = 24)]
    grid: usize,
    /// Leaves BDDM's scheduling out, which tries up to 30 candidates
    #[arg(long)]
    no_bddm: bool,
    /// Clips of two seconds that each schedule renders
    #[arg(long, value_name = "N", default_value_t = 6, value_parser = clap::value_parser!(u64).range(1..=1000))]
    clips: u64,
    /// Folders of recordings that the grid search and BDDM's are made on, so that all clips of --data judge
    /// [default: every other clip of --data]
    #[arg(long, value_name = "DIR", num_args = 1..)]
    search: Vec<PathBuf>,
    /// Only these schedules, by the names that the table has, and no searches
    #[arg(long, value_name = "NAME", num_args = 1..)]
    only: Vec<String>,
    /// Folder for what was rendered: each row's clips in a folder by its number from 1, as 32-bit WAV, the
    /// recordings in `recordings`
    #[arg(long, value_name = "DIR")]
    renderings: Option<PathBuf>,
    /// Draws the levels and the distances into this PNG file
    #[arg(long, value_name = "FILE")]
    picture: Option<PathBuf>,
    /// As JSON
    #[arg(long)]
    json: bool,
    /// Where to compute: auto, cpu, cuda, cuda:N or metal
    #[arg(long, default_value = "auto")]
    device: Choice,
    /// Threads that compute [default: one a core]
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
}

/// One schedule's result.
#[derive(Serialize)]
struct Row {
    by: String,
    sampler: Option<SamplerKind>,
    steps: usize,
    /// Share of the variance that the first level claims and the start has not; 0 for a start from
    /// Griffin-Lim's sound, which is noised to any level.
    prior_mismatch: f64,
    schedule: Option<Schedule>,
    distance: Distance,
    /// The clips, to be written.
    #[serde(skip)]
    sounds: Vec<Vec<f32>>,
}

/// Runs the verb.
///
/// # Errors
/// A voice or recordings that don't serve; a file that can't be written.
pub fn run(args: &CompareArgs, quiet: bool) -> Result<()> {
    device::use_threads(args.threads)?;
    let mut voice = voices::load(&args.voice)?;
    if let Some(rounds) = args.polish.map(usize::from).filter(|rounds| *rounds != voice.polish) {
        voice.schedules.clear();
        (voice.polish, voice.trials) = (rounds, 0);
    }
    let start = start::of_voice(args.start, &voice);
    let (device, _) = args.device.open()?;
    let rate = voice.mel.sample_rate;
    let count = args.clips as usize;
    let (clips, others) = match &args.search[..] {
        [] => halves(long_clips(&args.data, rate, 2 * count)?),
        search => (long_clips(&args.data, rate, count)?, long_clips(search, rate, MOST_SEARCHED)?),
    };
    let mut rows = Vec::new();
    let own = [voice.sampler_from(start)];
    let samplers = if args.sampler.is_empty() { &own[..] } else { &args.sampler };
    for (i, &sampler) in samplers.iter().enumerate() {
        let how = (sampler, start, Held::default());
        let learner = Learner::new(&voice, &device, how, clips.clone(), count)?;
        let searcher =
            Learner::new(&voice, &device, how, others.clone(), count.min(MOST_SEARCHED))?;
        if i == 0 {
            let by = "Griffin-Lim alone".into();
            let sounds = learner.griffin_lim()?;
            let (sampler, schedule, distance) = (None, None, learner.judge(&sounds)?);
            rows.push(Row {
                by,
                sampler,
                steps: 0,
                prior_mismatch: 0.0,
                schedule,
                distance,
                sounds,
            });
            if let Some(folder) = &args.renderings {
                write_clips(&folder.join("recordings"), learner.recordings())?;
            }
        }
        for &steps in &args.steps {
            let mut contenders = rivals(steps as usize, start)?;
            if let Some(learned) = voice.learned(start, steps as usize) {
                let by = match sampler == own[0] {
                    true => "ours".into(),
                    false => format!("ours, learned for {}", own[0]),
                };
                contenders.insert(0, (by, learned.clone()));
            }
            if !args.only.is_empty() {
                contenders = only(contenders, &args.only, steps)?;
            }
            let learners = (&learner, &searcher);
            rows.extend(measure(args, learners, (sampler, start), contenders, quiet)?);
        }
    }
    rows.sort_by(|a, b| a.steps.cmp(&b.steps).then(a.distance.total.total_cmp(&b.distance.total)));
    for (i, row) in rows.iter().enumerate() {
        let Some(folder) = &args.renderings else { break };
        write_clips(&folder.join((i + 1).to_string()), row.sounds.iter().map(|sound| &sound[..]))?;
    }
    if let Some(path) = &args.picture {
        draw(path, &rows)?;
    }
    report(&rows, args.json)
}

/// Writes `clips` as 1.wav, 2.wav, ... into `folder`.
fn write_clips<'a>(folder: &Path, clips: impl Iterator<Item = &'a [f32]>) -> Result<()> {
    std::fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    for (i, clip) in clips.enumerate() {
        let path = folder.join(format!("{}.wav", i + 1));
        audio::write_wav(&path, clip, SAMPLE_RATE, WavFormat::F32, 0)?;
    }
    Ok(())
}

/// The schedules of `steps` steps that `names` names.
fn only(
    all: Vec<(String, Schedule)>,
    names: &[String],
    steps: u64,
) -> Result<Vec<(String, Schedule)>> {
    let known: Vec<&str> = all.iter().map(|(by, _)| &by[..]).collect();
    if let Some(unknown) = names.iter().find(|name| !known.contains(&&name[..])) {
        let known = known.join("; ");
        bail!("--only: expected schedules of {steps} steps ({known}), got {unknown:?}");
    }
    Ok(all.into_iter().filter(|(by, _)| names.contains(by)).collect())
}

/// About `count` clips of `folders`, those held out for validation first, that are long enough to judge by.
fn long_clips(folders: &[PathBuf], rate: u32, count: usize) -> Result<Vec<Clip>> {
    let mut clips = judged(Corpus::load(folders, rate, rate as usize)?, count);
    clips.retain(|clip| clip.samples.len() >= CLIP_SECONDS * rate as usize);
    Ok(clips)
}

/// Every other clip, and the rest: what is searched for here is found on other clips than it is compared
/// on, as the voice's own levels were. Of a single clip, twice the same.
fn halves(clips: Vec<Clip>) -> (Vec<Clip>, Vec<Clip>) {
    if clips.len() < 2 {
        return (clips.clone(), clips);
    }
    let (even, odd): (Vec<_>, Vec<_>) =
        clips.into_iter().enumerate().partition(|(i, _)| i % 2 == 0);
    let bare = |clips: Vec<(usize, Clip)>| clips.into_iter().map(|(_, clip)| clip).collect();
    (bare(even), bare(odd))
}

/// The distances of `contenders`, which have one number of steps, and of what the searches find, by the
/// first learner; the second searches.
fn measure(
    args: &CompareArgs,
    (learner, searcher): (&Learner, &Learner),
    (sampler, start): (SamplerKind, Start),
    mut contenders: Vec<(String, Schedule)>,
    quiet: bool,
) -> Result<Vec<Row>> {
    let Some(steps) = contenders.first().map(|(_, schedule)| schedule.steps()) else {
        return Ok(Vec::new());
    };
    let searches = args.only.is_empty();
    let mut progress = Progress::new(contenders.len(), quiet);
    // A grid over the first level, too, makes sense from noise only.
    if searches && args.grid > 0 && start == Start::Noise {
        progress.ticker().at(0.0, format!("{sampler}, {steps} steps: grid search"));
        if let Some(best) = searcher.grid_search(steps, args.grid)? {
            contenders.push((format!("grid search of {}", args.grid), best));
        }
    }
    if searches && !args.no_bddm {
        progress.ticker().at(0.0, format!("{sampler}, {steps} steps: BDDM's scheduling"));
        if let Some(best) = searcher.bilateral(steps)? {
            contenders.push(("BDDM-style".into(), best));
        }
    }
    let mut rows = Vec::new();
    for (by, schedule) in contenders {
        interrupt::check()?;
        let sounds = learner.sounds(&schedule)?;
        let distance = learner.judge(&sounds)?;
        let told = format!("{sampler}, {steps} steps, {by}: distance {:.4}", distance.total);
        progress.finished(told);
        let prior_mismatch = if start == Start::Noise { schedule.prior_mismatch() } else { 0.0 };
        let (sampler, schedule) = (Some(sampler), Some(schedule));
        rows.push(Row { by, sampler, steps, prior_mismatch, schedule, distance, sounds });
    }
    Ok(rows)
}

fn report(rows: &[Row], as_json: bool) -> Result<()> {
    if as_json {
        return output::json(&rows);
    }
    let cells: Vec<Vec<String>> = rows
        .iter()
        .map(|row| {
            let first = row.schedule.as_ref().map(|s| format!("{:.4}", s.levels()[0]));
            let head = [
                row.by.clone(),
                row.sampler.map_or("-".into(), |sampler| sampler.to_string()),
                row.steps.to_string(),
                first.unwrap_or_else(|| "-".into()),
                format!("{:.1}", 100.0 * row.prior_mismatch),
            ];
            head.into_iter().chain(distance_cells(&row.distance)).collect()
        })
        .collect();
    let heads = ["schedule", "sampler", "steps", "first level", "mismatch %"];
    output::table(&[&heads[..], &DISTANCE_HEADS[..]].concat(), &cells)
}

/// The levels of the best few of the first number of steps, and all distances.
fn draw(path: &Path, rows: &[Row]) -> Result<()> {
    let first = rows.iter().filter(|row| row.schedule.is_some()).map(|row| row.steps).min();
    let sampler = rows.iter().find_map(|row| row.sampler);
    let levels = rows.iter().filter(|row| Some(row.steps) == first && row.sampler == sampler);
    let curve = |row: &Row| {
        let schedule = row.schedule.as_ref()?;
        let db = |l: &f64| 20.0 * lambda(*l) / std::f64::consts::LN_10;
        let points = schedule.levels().iter().enumerate();
        let points = points.map(|(i, l)| (i as f64 + 1.0, db(l))).collect();
        Some(Line { name: row.by.clone(), points })
    };
    let told = |row: &Row| match row.sampler {
        Some(sampler) if rows.iter().any(|r| r.sampler.is_some_and(|s| s != sampler)) => {
            format!("{}, {sampler}", row.by)
        }
        _ => row.by.clone(),
    };
    let mut names: Vec<String> = Vec::new();
    for row in rows.iter().filter(|row| row.schedule.is_some()) {
        if !names.contains(&told(row)) {
            names.push(told(row));
        }
    }
    let distance = |name: &String| Line {
        name: name.clone(),
        points: rows
            .iter()
            .filter(|row| told(row) == *name)
            .map(|row| (row.steps as f64, row.distance.total))
            .collect(),
    };
    let title = format!("Signal-to-noise ratio in dB at each of {} steps", first.unwrap_or(0));
    let lines = levels.filter_map(curve).take(MOST_CURVES).collect();
    let mut charts = vec![Chart { title: &title, x_title: "step", lines }];
    // A curve over one number of steps is a point.
    if rows.iter().any(|row| row.schedule.is_some() && Some(row.steps) != first) {
        charts.push(Chart {
            title: "Distance from the recordings",
            x_title: "number of steps",
            lines: names.iter().take(MOST_CURVES).map(distance).collect(),
        });
    }
    Ok(chart::draw(path, &charts)?)
}
