//! `vocoder schedule learn`: levels that suit a voice, stored in it.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::Args;
use training::corpus::{Clip, Corpus};
use training::schedule::{Distance, Held, Learned, Learner};
use vocoder::sampler::SamplerKind;
use vocoder::schedule::Schedule;
use vocoder::start::Start;
use vocoder::voice::{Chain, MAX_POLISH, Precision, Voice};

use crate::device::{self, Choice};
use crate::failure::usage;
use crate::progress::Progress;
use crate::{interrupt, output, start, voices};

/// Candidates that a search tries, about.
const USUAL_CANDIDATES: f64 = 120.0;

/// Candidates from one line of log to the next.
const NOTED: usize = 20;

/// Learns levels, and scales of the noise predicted at them, from recordings, and stores them in the voice
///
/// Clips that training would hold out for validation, and others where these are few, judge the
/// candidates, by a weighted sum:
/// 3 LS-MAE + MR-STFT + 4 FFE + periodicity error + F0 RMSE / 200 cents + 2 disturbance (after PESQ). The
/// search starts from everybody else's schedules, too: none is better on these clips. `render` uses what is stored
/// for its number of steps. Each number is stored as soon as it is learned, and not learned again.
#[derive(Debug, Args)]
pub struct LearnArgs {
    /// The voice, by name or file
    #[arg(long)]
    voice: String,
    /// Folders of recordings
    #[arg(long, value_name = "DIR", num_args = 1.., required = true)]
    data: Vec<PathBuf>,
    /// Numbers of steps to learn levels for; each starts from the nearest that is known
    #[arg(long, value_name = "N", num_args = 1.., default_values_t = [6], value_parser = clap::value_parser!(u64).range(1..=50))]
    steps: Vec<u64>,
    /// Where the chain starts: noise, griffin-lim or griffin-lim:LEVEL[:ROUNDS]. The first level is
    /// learned, too. Levels for another start are dropped [default: the voice's own]
    #[arg(long, value_name = "START")]
    start: Option<start::Choice>,
    /// With --start noise: the voice keeps its own start and the levels for it, and has the learned ones
    /// beside them, for `render --start noise`
    #[arg(long, requires = "start")]
    beside: bool,
    /// Keeps the first level: from noise, where unit noise is what the network expects; from
    /// Griffin-Lim, where --start has it
    #[arg(long)]
    hold_first: bool,
    /// Learns no scales of the predicted noise, which are learned beside the levels
    #[arg(long)]
    levels_only: bool,
    /// Rounds of Griffin-Lim after the chain, which the voice then has and the candidates are judged
    /// with; levels for another number are dropped [default: the voice's own]
    #[arg(long, value_name = "ROUNDS", value_parser = clap::value_parser!(u16).range(0..=MAX_POLISH as i64))]
    polish: Option<u16>,
    /// Learns again what the voice has, from there on
    #[arg(long)]
    force: bool,
    /// Where the voice with its schedules is written, and found again by the next call [default: the
    /// voice itself]
    #[arg(short, long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// The sampler that will use them, which the voice then is rendered by; levels for another are
    /// dropped [default: the voice's own, ancestral for most]
    #[arg(long)]
    sampler: Option<SamplerKind>,
    /// Clips of two seconds that each candidate renders
    #[arg(long, value_name = "N", default_value_t = 6, value_parser = clap::value_parser!(u64).range(1..=1000))]
    clips: u64,
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

/// Runs the verb.
///
/// # Errors
/// A voice or recordings that don't serve; a file that can't be written.
pub fn run(args: &LearnArgs, quiet: bool) -> Result<()> {
    device::use_threads(args.threads)?;
    let path = voices::find(&args.voice)?;
    let out = args.out.clone().unwrap_or_else(|| path.clone());
    let mut voice = Voice::load(&path)?;
    if out != path {
        take_schedules(&mut voice, &out);
    }
    let start = start::of_voice(args.start, &voice);
    // The voice as it will be, and what of it learns: with --beside a voice that starts from noise.
    let mut whole = None;
    if args.beside {
        whole = Some(voice.clone());
        voice = from_noise(voice, start, args.polish)?;
    }
    let mut progress = Progress::new(args.steps.len(), quiet);
    if !start.shares_schedules(&voice.start) {
        if !voice.schedules.is_empty() {
            progress.note(format!("dropping the schedules for a start from {}", voice.start));
        }
        voice.schedules.clear();
        voice.start = start;
        voice.from_noise = voice.from_noise.filter(|_| start != Start::Noise);
    }
    if let Some(rounds) = args.polish.map(usize::from).filter(|rounds| *rounds != voice.polish) {
        voice.schedules.clear();
        (voice.polish, voice.trials) = (rounds, 0);
    }
    if let Some(sampler) = args.sampler.filter(|sampler| *sampler != voice.sampler) {
        if !voice.schedules.is_empty() {
            progress.note(format!("dropping the schedules for the sampler {}", voice.sampler));
        }
        voice.schedules.clear();
        voice.sampler = sampler;
    }
    let mut wanted: Vec<usize> = args.steps.iter().map(|&steps| steps as usize).collect();
    wanted.sort_unstable();
    wanted.dedup();

    let (device, _) = args.device.open()?;
    let corpus = Corpus::load(&args.data, voice.mel.sample_rate, voice.mel.sample_rate as usize)?;
    let clips = judged(corpus, args.clips as usize);
    let source = voice.clone();
    let held = Held { first: args.hold_first, scales: args.levels_only };
    let how = (voice.sampler, start, held);
    let learner = Learner::new(&source, &device, how, clips, args.clips as usize)?;
    let alone = learner.judge(&learner.griffin_lim()?)?;
    let mut rows = vec![Row::new("Griffin-Lim alone".into(), None, alone)];
    for steps in wanted {
        interrupt::check()?;
        let row = match voice.schedules.get(&steps).filter(|_| !args.force).cloned() {
            Some(schedule) => {
                progress.finished(format!("{steps} steps: known already"));
                let distance = learner.distance(&schedule)?;
                Row::new(format!("{steps} steps, known"), Some(schedule), distance)
            }
            None => {
                let learned = learn(&learner, &voice, steps, &mut progress)?;
                keep(&mut voice, steps, &learned.schedule);
                let kept = match &whole {
                    Some(whole) => {
                        let (sampler, schedules) = (voice.sampler, voice.schedules.clone());
                        &Voice { from_noise: Some(Chain { sampler, schedules }), ..whole.clone() }
                    }
                    None => &voice,
                };
                kept.save(&out, Precision::Half).with_context(|| out.display().to_string())?;
                Row::new(
                    format!("{steps} steps, learned"),
                    Some(learned.schedule),
                    learned.distance,
                )
            }
        };
        let even = learner.even(steps)?;
        let distance = learner.distance(&even)?;
        rows.push(Row::new(format!("{steps} steps, even in log-SNR"), Some(even), distance));
        rows.push(row);
    }
    drop(progress);
    report(&rows, args.json)
}

/// `voice` as one that starts from noise, by the chain that it has for that; without polish where `polish`
/// doesn't say.
///
/// # Errors
/// A start that is not noise, or is the voice's own.
fn from_noise(voice: Voice, start: Start, polish: Option<u16>) -> Result<Voice> {
    if start != Start::Noise {
        return Err(usage(format!("--beside: expected --start noise, got {start}")));
    }
    if voice.start == Start::Noise {
        return Err(usage("--beside: noise is the voice's own start: leave it out"));
    }
    let Chain { sampler, schedules } = voice.from_noise.clone().unwrap_or_default();
    let polish = polish.map_or(0, usize::from);
    Ok(Voice { start, polish, trials: 0, sampler, schedules, from_noise: None, ..voice })
}

/// The clips held out for validation; if they are less than `wanted`, evenly chosen others too.
pub(super) fn judged(corpus: Corpus, wanted: usize) -> Vec<Clip> {
    let mut clips = corpus.validation;
    let missing = wanted.saturating_sub(clips.len());
    if missing > 0 {
        let every = corpus.training.len().div_ceil(missing).max(1);
        clips.extend(corpus.training.into_iter().step_by(every));
    }
    clips
}

/// Learns the levels for `steps` steps from those of the nearest number that `voice` knows.
fn learn(
    learner: &Learner,
    voice: &Voice,
    steps: usize,
    progress: &mut Progress,
) -> Result<Learned> {
    let ticker = progress.ticker();
    let neighbour = nearest(voice, steps);
    let observe = |tried: usize, least: f64| {
        ticker.at(tried as f64 / USUAL_CANDIDATES, format!("{steps} steps: distance {least:.4}"));
        if tried.is_multiple_of(NOTED) {
            progress.note(format!("{steps} steps: {tried} candidates, distance {least:.4}"));
        }
        !interrupt::requested()
    };
    let learned = learner.learn(steps, neighbour, observe);
    interrupt::check()?;
    let learned = learned?;
    progress.finished(format!(
        "{steps} steps: distance {:.4} after {} candidates",
        learned.distance.total, learned.tried
    ));
    Ok(learned)
}

/// The schedule whose number of steps is nearest to `steps` by ratio.
fn nearest(voice: &Voice, steps: usize) -> Option<&Schedule> {
    let ratio = |known: usize| (known as f64 / steps as f64).ln().abs();
    let nearest = voice.schedules.iter().min_by(|a, b| ratio(*a.0).total_cmp(&ratio(*b.0)));
    nearest.map(|(_, schedule)| schedule)
}

/// Puts `schedule` into `voice`, whose start then begins where the longest schedule does.
fn keep(voice: &mut Voice, steps: usize, schedule: &Schedule) {
    voice.schedules.insert(steps, schedule.clone());
    let longest = voice.schedules.values().next_back().map(|schedule| schedule.levels()[0]);
    if let (Start::GriffinLim { level, .. }, Some(first)) = (&mut voice.start, longest) {
        *level = first;
    }
}

/// Goes on with what an earlier call wrote to `out`, if that is the same voice.
fn take_schedules(voice: &mut Voice, out: &Path) {
    let Ok(earlier) = Voice::load(out) else { return };
    let bare = |voice: &Voice| {
        let mut voice = voice.clone();
        (voice.start, voice.sampler) = (Start::Noise, SamplerKind::default());
        (voice.polish, voice.trials) = (0, 0);
        voice.schedules.clear();
        voice.from_noise = None;
        voice.content_hash().ok()
    };
    if bare(voice) == bare(&earlier) {
        voice.start = earlier.start;
        (voice.polish, voice.trials) = (earlier.polish, earlier.trials);
        voice.sampler = earlier.sampler;
        voice.schedules = earlier.schedules;
        voice.from_noise = earlier.from_noise;
    }
}

/// One schedule's result.
#[derive(serde::Serialize)]
struct Row {
    by: String,
    schedule: Option<Schedule>,
    distance: Distance,
}

impl Row {
    fn new(by: String, schedule: Option<Schedule>, distance: Distance) -> Self {
        Self { by, schedule, distance }
    }
}

fn report(rows: &[Row], as_json: bool) -> Result<()> {
    if as_json {
        return output::json(&rows);
    }
    let first = |row: &Row| match &row.schedule {
        Some(schedule) => format!("{:.4}", schedule.levels()[0]),
        None => "-".into(),
    };
    let cells: Vec<Vec<String>> = rows
        .iter()
        .map(|row| {
            let head = [row.by.clone(), first(row)];
            head.into_iter().chain(distance_cells(&row.distance)).collect()
        })
        .collect();
    output::table(&[&["", "first level"], &DISTANCE_HEADS[..]].concat(), &cells)
}

/// The heads of [`distance_cells`].
pub(super) const DISTANCE_HEADS: [&str; 7] =
    ["distance", "LS-MAE", "MR-STFT", "FFE %", "F0 cents", "periodicity", "disturbance"];

/// A distance and its parts, as cells of a table.
pub(super) fn distance_cells(d: &Distance) -> [String; 7] {
    [
        format!("{:.4}", d.total),
        format!("{:.4}", d.ls_mae),
        format!("{:.4}", d.mr_stft),
        format!("{:.1}", 100.0 * d.ffe),
        format!("{:.0}", d.f0_rmse_cents),
        format!("{:.4}", d.periodicity_rmse),
        format!("{:.4}", d.disturbance),
    ]
}
