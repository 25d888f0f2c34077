//! The training loop, and everything that a run leaves in its folder.

use crate::batch::Batches;
use crate::checkpoint::{self, Progress};
use crate::config::TrainConfig;
use crate::corpus::Corpus;
use crate::distill::{self, Distiller};
use crate::log::Event;
use crate::optimiser::State;
use crate::preview::{self, Previewer};
use crate::ranks::Ranks;
use crate::records::Records;
use crate::trainer::{Outcome, Trainer};
use crate::validation::Validator;
use candle_core::Device;
use std::fs::{self, File, TryLockError};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;
use vocoder::network::{Weights, grown, initial_weights};
use vocoder::voice::{Precision, Provenance, Voice};
use vocoder::{Error, Result, output_file};
use walkdir::WalkDir;

/// What a run is made of.
#[derive(Debug, Clone)]
pub struct Run {
    /// All settings.
    pub config: TrainConfig,
    /// Folders of clips.
    pub data: Vec<PathBuf>,
    /// A folder that keeps decoded clips from run to run.
    pub cache: Option<PathBuf>,
    /// Where everything is written.
    pub out: PathBuf,
    /// A voice whose weights the run goes on from, with fresh moments; grown, where the config's network is
    /// wider ([`grown`]).
    pub init: Option<PathBuf>,
    /// A voice that the run distils, and goes on from unless `init` names another. A run that is resumed
    /// has a copy of its own.
    pub distill: Option<PathBuf>,
    /// Goes on from the newest checkpoint in `out`. Without it, `out` must not hold one.
    pub resume: bool,
    /// What a fresh run's voice is to say of itself; empty parts are taken from `init`.
    pub about: About,
}

/// What a voice says of itself and its data.
#[derive(Debug, Clone, Default)]
pub struct About {
    /// What the voice is, in a line.
    pub description: String,
    /// What it is trained on, with licences.
    pub data: String,
    /// Licence of the weights.
    pub licence: String,
}

/// Trains until the config's last step, or until `stop` says so: then the run saves and returns. Returns
/// the steps taken in all.
///
/// # Errors
/// Data, files or devices that fail; another process that trains in the same folder; too many steps in
/// a row without a finite gradient. The last checkpoint stays intact.
pub fn train(
    run: &Run,
    device: &Device,
    stop: impl Fn() -> bool,
    observe: impl FnMut(&Event),
) -> Result<u64> {
    train_among(&Ranks::alone(), run, device, stop, observe)
}

/// As [`train`], by all processes of `ranks` together. `observe` hears nothing but in the first.
///
/// # Errors
/// As [`train`]; batches that can't be shared out evenly. The other processes wait for one that fails:
/// see [`Ranks::abandon`].
pub fn train_among(
    ranks: &Ranks,
    run: &Run,
    device: &Device,
    stop: impl Fn() -> bool,
    mut observe: impl FnMut(&Event),
) -> Result<u64> {
    let config = &run.config;
    config.validate()?;
    let share = ranks.share(config.optimiser.accumulate)?;
    let writes = ranks.is_first();
    let _lock = writes.then(|| lock(&run.out)).transpose()?;
    let (mut state, mut progress) = match writes {
        true => begin(run, device)?,
        false => (State::fresh(random_weights(config, device)?)?, Progress::default()),
    };
    ranks.follow(&config.to_toml()?, &mut state, &mut progress)?;
    let distiller = distill::open(run, device)?.map(Arc::new);
    let listed = distiller.as_ref().map(|distiller| distiller.levels());
    let mut records = writes.then(|| Records::open(&run.out, config, &progress)).transpose()?;
    let mut tell = |records: &mut Option<Records>, event: Event| -> Result<()> {
        let Some(records) = records else { return Ok(()) };
        observe(&event);
        records.add(&event)
    };

    let crop = config.crop_frames * config.mel.hop;
    let corpus =
        Corpus::load_cached(&run.data, config.mel.sample_rate, crop, run.cache.as_deref())?;
    tell(&mut records, Event::Data(corpus.report))?;
    let (training, held_out) = (Arc::new(corpus.training), Arc::new(corpus.validation));
    let shown = if held_out.is_empty() { &training } else { &held_out };
    let previewer = Previewer::new(config, shown)?;
    let mut validator = Validator::new(config, held_out)?.taught_by(distiller.clone());
    let accumulate = config.optimiser.accumulate;
    let first = progress.step * accumulate as u64 + ranks.rank() as u64;
    let stride = ranks.size() as u64;
    let mut batches = Batches::start(config, &training, first, stride, listed.as_deref())?;
    let mut trainer = Trainer::new(config, state, progress)?.taught_by(distiller);
    let mut saved_at = trainer.progress.step;
    while trainer.progress.step < config.steps && !ranks.any(stop()) {
        let started = Instant::now();
        let parts = (0..share).map(|_| batches.take_next()).collect::<Result<Vec<_>>>()?;
        let waited = started.elapsed().as_secs_f64();
        let outcome = trainer.step_among(ranks, &parts)?;
        let seconds = started.elapsed().as_secs_f64();
        trainer.progress.seconds += seconds;
        let step = trainer.progress.step;
        let event = match outcome {
            Outcome::Skipped => Event::Skipped { step },
            Outcome::Taken { loss, gradient_norm, rate } => Event::Step {
                step,
                loss,
                gradient_norm,
                rate,
                samples_per_second: (config.batch * accumulate * crop) as f64 / seconds,
                idle: waited / seconds,
            },
        };
        tell(&mut records, event)?;
        if outcome == Outcome::Skipped {
            // Nothing moved: nothing to judge, and no good checkpoint to push out.
            continue;
        }

        let due = |every: u64| {
            writes && every > 0 && (step.is_multiple_of(every) || step == config.steps)
        };
        if due(config.saving.validate_every)
            && let Some(judged) = validator.judge(&trainer.mean_weights()?)?
        {
            let before = trainer.progress.best.map_or(f64::INFINITY, |(_, loss)| loss);
            // Nor is a loss that is no number ever the best: a checkpoint could not hold it.
            let best = judged.loss < before;
            if best {
                trainer.progress.best = Some((step, judged.loss));
                let path = run.out.join("voice-best.safetensors");
                voice(run, &trainer)?.save(&path, Precision::Half)?;
            }
            let (loss, by_level) = (judged.loss, judged.by_level);
            tell(&mut records, Event::Validation { step, loss, by_level, best })?;
        }
        if due(config.saving.preview_every) {
            let folder = preview::folder(&run.out, step);
            let renderings = previewer.show(&voice(run, &trainer)?, device, &folder)?;
            tell(&mut records, Event::Preview { step, renderings })?;
        }
        if due(config.saving.every) {
            save(run, &mut trainer, &mut records)?;
            saved_at = step;
            tell(&mut records, Event::Saved { step })?;
        }
    }
    let step = trainer.progress.step;
    if writes && saved_at != step {
        save(run, &mut trainer, &mut records)?;
        tell(&mut records, Event::Saved { step })?;
    }
    Ok(step)
}

/// Makes the run's folder and takes it for this process, until the file is dropped. The system frees the
/// lock of a process that was killed.
fn lock(out: &Path) -> Result<File> {
    fs::create_dir_all(out).map_err(|e| Error::io(out, e))?;
    let path = out.join(".lock");
    let file = File::create(&path).map_err(|e| Error::io(&path, e))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => {
            Err(Error::file(out, "expected a run of its own, got one that another process trains"))
        }
        // Some network file systems know no locks.
        Err(TryLockError::Error(e)) if e.kind() == ErrorKind::Unsupported => Ok(file),
        Err(TryLockError::Error(e)) => Err(Error::io(&path, e)),
    }
}

/// The state that the run starts from: its newest checkpoint, a voice, or random weights.
fn begin(run: &Run, device: &Device) -> Result<(State, Progress)> {
    if let Some(latest) = checkpoint::load_latest(&checkpoints(&run.out), device)? {
        if !run.resume {
            let reason = "holds a run already: give --resume to go on with it, or another folder";
            return Err(Error::file(&run.out, reason));
        }
        sweep(&run.out)?;
        distill::keep_teacher(run, false)?;
        return Ok(latest);
    }
    sweep(&run.out)?;
    distill::keep_teacher(run, true)?;
    let path = run.out.join("config.toml");
    output_file::write_whole(&path, run.config.to_commented_toml()?.as_bytes())?;
    let mut origin = Provenance::default();
    let teacher = run.config.distill.map(|_| distill::teacher_file(&run.out));
    let mut weights = match run.init.as_ref().or(teacher.as_ref()) {
        Some(path) => {
            let voice = Voice::load(path)?;
            origin = voice.provenance;
            if voice.mel != run.config.mel {
                let reason = "expected a voice of the run's mel, got one of another";
                return Err(Error::file(path, reason));
            }
            let (config, seed) = (&run.config.model, run.config.seed);
            if voice.model == *config {
                voice.weights
            } else {
                grown(&voice.weights, &voice.model, config, seed)
                    .map_err(|e| Error::file(path, e.to_string()))?
            }
        }
        None => random_weights(&run.config, device)?,
    };
    let about = [&run.about.description, &run.about.data, &run.about.licence];
    let parts = [&mut origin.description, &mut origin.data, &mut origin.licence];
    for (part, text) in parts.into_iter().zip(about).filter(|(_, text)| !text.is_empty()) {
        part.clone_from(text);
    }
    for tensor in weights.values_mut() {
        *tensor = tensor.to_device(device)?;
    }
    let (log_bytes, event_bytes) = (Some(0), Some(0));
    Ok((State::fresh(weights)?, Progress { origin, log_bytes, event_bytes, ..Progress::default() }))
}

fn random_weights(config: &TrainConfig, device: &Device) -> Result<Weights> {
    let mut weights = initial_weights(&config.model, config.seed)?;
    for tensor in weights.values_mut() {
        *tensor = tensor.to_device(device)?;
    }
    Ok(weights)
}

/// Removes the unfinished files of a run that was killed.
fn sweep(out: &Path) -> Result<()> {
    for entry in WalkDir::new(out).max_depth(3).into_iter().flatten() {
        let name = entry.file_name().to_string_lossy();
        if name.starts_with('.') && name.ends_with(".part") {
            fs::remove_file(entry.path()).map_err(|e| Error::io(entry.path(), e))?;
        }
    }
    Ok(())
}

fn checkpoints(out: &Path) -> PathBuf {
    out.join("checkpoints")
}

/// Writes the mean weights as a voice, the report, and a checkpoint. The checkpoint comes last: killed
/// before it, the run takes the steps again and writes the rest again.
fn save(run: &Run, trainer: &mut Trainer, records: &mut Option<Records>) -> Result<()> {
    let Some(records) = records else { return Ok(()) };
    voice(run, trainer)?.save(&run.out.join("voice.safetensors"), Precision::Half)?;
    records.report()?;
    let (log_bytes, event_bytes) = records.sync()?;
    trainer.progress.log_bytes = Some(log_bytes);
    trainer.progress.event_bytes = Some(event_bytes);
    let (folder, keep) = (checkpoints(&run.out), run.config.saving.keep);
    checkpoint::save(&folder, &trainer.state()?, &trainer.progress, keep)?;
    Ok(())
}

/// The mean weights as a voice.
fn voice(run: &Run, trainer: &Trainer) -> Result<Voice> {
    let (config, progress) = (&run.config, &trainer.progress);
    let crops = progress.step as f64 * (config.batch * config.optimiser.accumulate) as f64;
    let crop_seconds =
        (config.crop_frames * config.mel.hop) as f64 / f64::from(config.mel.sample_rate);
    let distiller = trainer.distiller();
    let (polish, trials) = distiller.map_or((0, 0), Distiller::polish);
    Ok(Voice {
        model: config.model.clone(),
        mel: config.mel.clone(),
        start: Default::default(),
        polish,
        trials,
        sampler: distiller.map(Distiller::sampler).unwrap_or_default(),
        schedules: distiller.map(Distiller::schedules).transpose()?.unwrap_or_default(),
        from_noise: None,
        provenance: Provenance {
            steps: progress.origin.steps + progress.step,
            audio_seconds: progress.origin.audio_seconds + crops * crop_seconds,
            training: config.to_toml()?,
            ..progress.origin.clone()
        },
        weights: trainer.mean_weights()?,
    })
}
