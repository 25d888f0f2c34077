//! The training loop.

use crate::batch::{BatchMaker, Batches};
use crate::checkpoint::{self, Progress};
use crate::config::TrainConfig;
use crate::corpus::{Clip, Corpus, Report};
use crate::objective::loss;
use crate::optimiser::{Optimiser, State};
use candle_core::Device;
use serde::Serialize;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;
use vocoder::network::{Network, Weights, initial_weights};
use vocoder::voice::{Precision, Provenance, Voice};
use vocoder::{Error, Result, output_file};

/// Steps in a row without a finite gradient that end a run.
const MAX_SKIPPED_IN_A_ROW: u64 = 20;

/// Noise levels at which validation looks: strong, middle and weak noise.
const VALIDATION_LEVELS: [f64; 4] = [0.2, 0.7, 0.95, 0.999];

/// What a run is made of.
#[derive(Debug, Clone)]
pub struct Run {
    /// All settings.
    pub config: TrainConfig,
    /// Folders of clips.
    pub data: Vec<PathBuf>,
    /// Where everything is written.
    pub out: PathBuf,
    /// A voice whose weights the run goes on from, with fresh moments.
    pub init: Option<PathBuf>,
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

/// What a run tells while it goes.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Event {
    /// The data was read.
    Data(Report),
    /// A step was taken.
    Step {
        /// Steps so far.
        step: u64,
        /// The batch's loss.
        loss: f64,
        /// Global norm of the gradient, before clipping.
        gradient_norm: f64,
        /// Learning rate.
        rate: f64,
        /// Samples of audio a second of wall time, since the last step.
        samples_per_second: f64,
        /// Share of the time that was spent waiting for batches.
        idle: f64,
    },
    /// A step had no finite gradient and was left out.
    Skipped {
        /// Steps so far.
        step: u64,
    },
    /// The mean weights were judged on clips that are held out.
    Validation {
        /// Steps so far.
        step: u64,
        /// Mean loss.
        loss: f64,
        /// Noise levels, and the loss at each.
        by_level: Vec<(f64, f64)>,
    },
    /// A checkpoint and the voice were written.
    Saved {
        /// Steps so far.
        step: u64,
    },
}

/// Trains until the config's last step, or until `stop` says so: then the run saves and returns. Returns the steps taken in all.
///
/// # Errors
/// Data, files or devices that fail; too many steps in a row without a finite gradient. The last
/// checkpoint stays intact.
pub fn train(
    run: &Run,
    device: &Device,
    stop: impl Fn() -> bool,
    mut observe: impl FnMut(&Event),
) -> Result<u64> {
    let config = &run.config;
    config.validate()?;
    let (state, mut progress) = begin(run, device)?;
    let mut log = Log::open(&run.out)?;
    let mut tell = |event: Event| -> Result<()> {
        observe(&event);
        log.write(&event)
    };

    let crop = config.crop_frames * config.mel.hop;
    let corpus = Corpus::load(&run.data, config.mel.sample_rate, crop)?;
    tell(Event::Data(corpus.report.clone()))?;
    let mut validator = Validator::new(config, corpus.validation)?;
    let mut batches = Batches::start(config, &Arc::new(corpus.training), progress.step)?;

    let mut optimiser = Optimiser::new(config.optimiser, state)?;
    let network = Network::new(&config.model, &optimiser.weights())?;
    let mut skipped_in_a_row = 0;
    let mut saved_at = progress.step;
    while progress.step < config.steps && !stop() {
        let started = Instant::now();
        let batch = batches.take_next()?;
        let waited = started.elapsed().as_secs_f64();

        let loss = loss(&network, config, &batch)?;
        let gradients = loss.backward()?;
        let norm = optimiser.norm(&gradients)?;
        let loss = f64::from(loss.to_scalar::<f32>()?);
        let rate = Optimiser::rate(&config.optimiser, progress.step, config.steps);
        progress.step += 1;
        if !(norm.is_finite() && loss.is_finite()) {
            progress.skipped += 1;
            skipped_in_a_row += 1;
            tell(Event::Skipped { step: progress.step })?;
            if skipped_in_a_row > MAX_SKIPPED_IN_A_ROW {
                return Err(Error::mismatch(
                    format!("training, step {}", progress.step),
                    "a finite loss and gradient",
                    format!(
                        "{skipped_in_a_row} steps in a row without; the last checkpoint is intact"
                    ),
                ));
            }
            continue;
        }
        skipped_in_a_row = 0;
        optimiser.step(&gradients, norm, rate)?;
        let seconds = started.elapsed().as_secs_f64();
        progress.seconds += seconds;
        tell(Event::Step {
            step: progress.step,
            loss,
            gradient_norm: norm,
            rate,
            samples_per_second: (config.batch * crop) as f64 / seconds,
            idle: waited / seconds,
        })?;

        if progress.step.is_multiple_of(config.saving.validate_every)
            && let Some(event) =
                validator.judge(config, &optimiser.mean_weights(), progress.step)?
        {
            tell(event)?;
        }
        if progress.step.is_multiple_of(config.saving.every) || progress.step == config.steps {
            save(run, &optimiser, &progress)?;
            saved_at = progress.step;
            tell(Event::Saved { step: progress.step })?;
        }
    }
    if saved_at != progress.step {
        save(run, &optimiser, &progress)?;
        tell(Event::Saved { step: progress.step })?;
    }
    Ok(progress.step)
}

/// The state that the run starts from: its newest checkpoint, a voice, or random weights.
fn begin(run: &Run, device: &Device) -> Result<(State, Progress)> {
    let checkpoints = checkpoints(&run.out);
    let latest = checkpoint::load_latest(&checkpoints, device)?;
    if let Some(latest) = latest {
        if !run.resume {
            let reason = "holds a run already: give --resume to go on with it, or another folder";
            return Err(Error::file(&run.out, reason));
        }
        return Ok(latest);
    }
    fs::create_dir_all(&run.out).map_err(|e| Error::io(&run.out, e))?;
    let path = run.out.join("config.toml");
    output_file::write_whole(&path, run.config.to_toml()?.as_bytes())?;
    let mut origin = Provenance::default();
    let mut weights = match &run.init {
        Some(path) => {
            let voice = Voice::load(path)?;
            origin = voice.provenance;
            if voice.model != run.config.model || voice.mel != run.config.mel {
                let reason = "expected a voice of the run's model and mel, got one of others";
                return Err(Error::file(path, reason));
            }
            voice.weights
        }
        None => initial_weights(&run.config.model, run.config.seed)?,
    };
    let about = [&run.about.description, &run.about.data, &run.about.licence];
    let parts = [&mut origin.description, &mut origin.data, &mut origin.licence];
    for (part, text) in parts.into_iter().zip(about).filter(|(_, text)| !text.is_empty()) {
        part.clone_from(text);
    }
    for tensor in weights.values_mut() {
        *tensor = tensor.to_device(device)?;
    }
    Ok((State::fresh(weights)?, Progress { step: 0, skipped: 0, seconds: 0.0, origin }))
}

fn checkpoints(out: &Path) -> PathBuf {
    out.join("checkpoints")
}

/// Writes a checkpoint, and the mean weights as a voice.
fn save(run: &Run, optimiser: &Optimiser, progress: &Progress) -> Result<()> {
    let config = &run.config;
    checkpoint::save(&checkpoints(&run.out), &optimiser.state()?, progress, config.saving.keep)?;
    let crops = (progress.step * config.batch as u64) as f64;
    let crop_seconds =
        (config.crop_frames * config.mel.hop) as f64 / f64::from(config.mel.sample_rate);
    let voice = Voice {
        model: config.model.clone(),
        mel: config.mel.clone(),
        start: Default::default(),
        polish: 0,
        schedules: Default::default(),
        provenance: Provenance {
            steps: progress.origin.steps + progress.step,
            audio_seconds: progress.origin.audio_seconds + crops * crop_seconds,
            training: config.to_toml()?,
            ..progress.origin.clone()
        },
        weights: optimiser.mean_weights(),
    };
    voice.save(&run.out.join("voice.safetensors"), Precision::Half)
}

/// Judges weights on fixed crops of held-out clips at fixed noise levels.
struct Validator(Option<BatchMaker>);

impl Validator {
    fn new(config: &TrainConfig, clips: Vec<Clip>) -> Result<Self> {
        if clips.is_empty() || config.saving.validate_crops == 0 {
            return Ok(Validator(None));
        }
        Ok(Validator(Some(BatchMaker::new(config, Arc::new(clips))?)))
    }

    fn judge(
        &mut self,
        config: &TrainConfig,
        weights: &Weights,
        step: u64,
    ) -> Result<Option<Event>> {
        let Some(maker) = &mut self.0 else { return Ok(None) };
        let network = Network::new(&config.model, weights)?;
        let mut by_level = Vec::new();
        for level in VALIDATION_LEVELS {
            let batch = maker.make_even(config.saving.validate_crops, level)?;
            let loss = loss(&network, config, &batch)?.to_scalar::<f32>()?;
            by_level.push((level, f64::from(loss)));
        }
        let mean = by_level.iter().map(|(_, loss)| loss).sum::<f64>() / by_level.len() as f64;
        Ok(Some(Event::Validation { step, loss: mean, by_level }))
    }
}

/// `log.jsonl`: one JSON object a line, appended.
struct Log {
    path: PathBuf,
    file: fs::File,
}

impl Log {
    fn open(out: &Path) -> Result<Self> {
        let path = out.join("log.jsonl");
        let file = OpenOptions::new().create(true).append(true).open(&path);
        Ok(Log { file: file.map_err(|e| Error::io(&path, e))?, path })
    }

    fn write(&mut self, event: &Event) -> Result<()> {
        let mut line =
            serde_json::to_vec(event).map_err(|e| Error::file(&self.path, e.to_string()))?;
        line.push(b'\n');
        self.file.write_all(&line).map_err(|e| Error::io(&self.path, e))
    }
}
