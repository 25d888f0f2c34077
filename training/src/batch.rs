//! Batches: random crops, noised, prepared by worker threads ahead of the training.

use crate::config::{LevelDraw, TrainConfig};
use crate::corpus::Clip;
use crossbeam_channel::{Receiver, bounded};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread;
use vocoder::mel::MelExtractor;
use vocoder::noise::Noise;
use vocoder::prior::{Memory, Prior};
use vocoder::{Error, Result};

/// Batches that may wait for the training.
const QUEUE: usize = 4;

/// What one step learns from. All arrays are flat, clip after clip.
#[derive(Debug, Clone, PartialEq)]
pub struct Batch {
    /// Noisy signals, whitened by the prior, `[batch, crop_frames * hop]`.
    pub noisy: Vec<f32>,
    /// The noise in them, unit normal, of the same shape.
    pub noise: Vec<f32>,
    /// `[batch, crop_frames, n_mels]`.
    pub mel: Vec<f32>,
    /// Noise level of each clip, in (0, 1).
    pub levels: Vec<f64>,
}

/// A clip at its own gain.
struct Whitened {
    /// As the prior whitens it, `[frames * hop]`.
    clean: Vec<f32>,
    /// `[frames, n_mels]`.
    mel: Vec<f32>,
}

/// Cuts and noises crops. The batch of a step depends on the config, the clips and the step alone.
pub struct BatchMaker {
    config: TrainConfig,
    clips: Arc<Vec<Clip>>,
    /// Clip `i` owns the crop positions `ends[i - 1]..ends[i]`.
    ends: Vec<u64>,
    extractor: MelExtractor,
    prior: Prior,
    /// Whole clips, by their index, if the config keeps them.
    kept: Option<Arc<Vec<OnceLock<Whitened>>>>,
    /// The levels that are drawn from; none for the config's distribution.
    listed: Option<Vec<f64>>,
}

impl BatchMaker {
    /// Prepares for crops of `clips`, each of which holds at least one crop.
    ///
    /// # Errors
    /// A config out of range; no clips.
    pub fn new(config: &TrainConfig, clips: Arc<Vec<Clip>>) -> Result<Self> {
        let crop = config.crop_frames * config.mel.hop;
        let mut ends = Vec::with_capacity(clips.len());
        let mut total = 0;
        for clip in clips.iter() {
            let room = clip.samples.len().saturating_sub(crop) / config.mel.hop;
            total += room as u64 + 1;
            ends.push(total);
        }
        if clips.is_empty() {
            return Err(Error::mismatch("clips", "at least one", "none"));
        }
        Ok(BatchMaker {
            extractor: MelExtractor::new(&config.mel)?,
            prior: Prior::new(config.model.prior, &config.mel)?,
            kept: config
                .keep_clips
                .then(|| Arc::new(clips.iter().map(|_| OnceLock::new()).collect())),
            config: config.clone(),
            clips,
            ends,
            listed: None,
        })
    }

    /// Draws only from `levels`, all alike, if there are any.
    #[must_use]
    pub fn among(mut self, levels: Option<&[f64]>) -> Self {
        self.listed = levels.filter(|levels| !levels.is_empty()).map(<[f64]>::to_vec);
        self
    }

    /// Another one of the same batches, for another thread. Clips that are kept are shared.
    ///
    /// # Errors
    /// As [`BatchMaker::new`].
    fn twin(&self) -> Result<Self> {
        let (kept, listed) = (self.kept.clone(), self.listed.clone());
        Ok(BatchMaker { kept, listed, ..Self::new(&self.config, self.clips.clone())? })
    }

    /// The batch of `step`.
    ///
    /// # Errors
    /// A mel that can't be taken.
    pub fn make(&mut self, step: u64) -> Result<Batch> {
        let mut random = ChaCha8Rng::seed_from_u64(self.config.seed);
        random.set_stream(step);
        let count = self.config.batch;
        let mut crops = Vec::with_capacity(count);
        let mut levels = Vec::with_capacity(count);
        for i in 0..count {
            let total = self.ends.last().copied().unwrap_or(1);
            let position = random.next_u64() % total;
            crops.push((position, self.draw_gain(&mut random)));
            // Stratified over the batch: each part of the range has its share in every step.
            let q = (i as f64 + unit(&mut random)) / count as f64;
            levels.push(match &self.listed {
                Some(listed) => listed[((q * listed.len() as f64) as usize).min(listed.len() - 1)],
                None => draw_level(&self.config.levels, q),
            });
        }
        let mut batch = self.assemble(&crops, levels, Noise::new(self.config.seed), step)?;
        if self.config.mel_dropout > 0.0 {
            let (silence, values) = (self.config.mel.min_value(), batch.mel.len() / count);
            for mel in batch.mel.chunks_mut(values) {
                if unit(&mut random) < self.config.mel_dropout {
                    mel.fill(silence);
                }
            }
        }
        Ok(batch)
    }

    /// A fixed batch for validation: evenly spaced crops, each at every one of `levels`.
    ///
    /// # Errors
    /// A mel that can't be taken.
    pub fn make_even(&mut self, crops: usize, level: f64) -> Result<Batch> {
        let total = self.ends.last().copied().unwrap_or(1);
        let crops: Vec<(u64, f32)> =
            (0..crops as u64).map(|i| (i * total / crops as u64, 1.0)).collect();
        let levels = vec![level; crops.len()];
        // A stream that no training step uses.
        self.assemble(&crops, levels, Noise::new(!self.config.seed), 0)
    }

    fn assemble(
        &mut self,
        crops: &[(u64, f32)],
        levels: Vec<f64>,
        noise: Noise,
        stream: u64,
    ) -> Result<Batch> {
        let samples = self.config.crop_frames * self.config.mel.hop;
        let mut batch = Batch {
            noisy: Vec::with_capacity(crops.len() * samples),
            noise: vec![0.0; crops.len() * samples],
            mel: Vec::with_capacity(crops.len() * self.config.crop_frames * self.config.mel.n_mels),
            levels,
        };
        noise.fill(stream, 0, &mut batch.noise);
        for (i, (position, gain)) in crops.iter().enumerate() {
            let (clean, mel) = self.crop(*position, *gain)?;
            let level = batch.levels[i];
            let (alpha, sigma) = (level as f32, (1.0 - level * level).sqrt() as f32);
            let noise = &batch.noise[i * samples..][..samples];
            batch.noisy.extend(clean.iter().zip(noise).map(|(u, e)| alpha * u + sigma * e));
            batch.mel.extend(mel);
        }
        Ok(batch)
    }

    /// The clean crop as the prior whitens it, and its mel. Clips that are kept have a gain of their own
    /// in the place of `gain`.
    fn crop(&mut self, position: u64, gain: f32) -> Result<(Vec<f32>, Vec<f32>)> {
        let index = self.ends.partition_point(|end| *end <= position);
        let before = if index == 0 { 0 } else { self.ends[index - 1] };
        let (hop, frames) = (self.config.mel.hop, self.config.crop_frames);
        let first = (position - before) as usize;
        if let Some(kept) = self.kept.clone() {
            let clip = match kept[index].get() {
                Some(clip) => clip,
                None => {
                    let clip = self.whole(index)?;
                    kept[index].get_or_init(|| clip)
                }
            };
            let bands = self.config.mel.n_mels;
            return Ok((
                clip.clean[first * hop..(first + frames) * hop].to_vec(),
                clip.mel[first * bands..(first + frames) * bands].to_vec(),
            ));
        }
        let clip = &self.clips[index].samples;
        // As many frames of context as a window reaches, so that the crop's mel is the clip's.
        let context = self.config.mel.n_fft.div_ceil(hop) + Prior::NEIGHBOURS + 1;
        let from = first.saturating_sub(context);
        let until = ((first + frames + context) * hop).min(clip.len());
        let samples: Vec<f32> =
            clip[from * hop..until].iter().map(|v| f32::from(*v) / 32767.0 * gain).collect();
        let inner = first - from..first - from + frames;
        let known = inner.start.saturating_sub(Prior::NEIGHBOURS + 1)
            ..(inner.end + Prior::NEIGHBOURS).min(self.config.mel.frames(samples.len()));
        let mel = self.extractor.extract_frames(&samples, known.clone())?;
        let local = inner.start - known.start..inner.end - known.start;
        // From a frame earlier, where there is one: it fills the memory of the prior's filter.
        let lead = inner.start.min(1);
        let mut clean = samples[(inner.start - lead) * hop..inner.end * hop].to_vec();
        let shaped = local.start - lead..local.end;
        self.prior.whiten(&mel, shaped, &mut Memory::default(), &mut clean)?;
        clean.drain(..lead * hop);
        let bands = self.config.mel.n_mels;
        Ok((clean, mel.data[local.start * bands..local.end * bands].to_vec()))
    }

    /// A whole clip, at a gain that is its own.
    fn whole(&mut self, index: usize) -> Result<Whitened> {
        let mut random = ChaCha8Rng::seed_from_u64(self.config.seed);
        // A stream that no step uses.
        random.set_stream(u64::MAX - index as u64);
        let gain = self.draw_gain(&mut random);
        let samples = &self.clips[index].samples;
        let samples: Vec<f32> = samples.iter().map(|v| f32::from(*v) / 32767.0 * gain).collect();
        let mel = self.extractor.extract(&samples)?;
        let frames = samples.len() / self.config.mel.hop;
        let mut clean = samples[..frames * self.config.mel.hop].to_vec();
        self.prior.whiten(&mel, 0..frames, &mut Memory::default(), &mut clean)?;
        let mut mel = mel.data;
        mel.truncate(frames * self.config.mel.n_mels);
        Ok(Whitened { clean, mel })
    }

    fn draw_gain(&self, random: &mut ChaCha8Rng) -> f32 {
        let [low, high] = self.config.gain_db;
        10f32.powf((low + (high - low) * unit(random) as f32) / 20.0)
    }
}

/// A number in [0, 1).
fn unit(random: &mut ChaCha8Rng) -> f64 {
    (random.next_u64() >> 11) as f64 / (1u64 << 53) as f64
}

/// The noise level at quantile `q` of its distribution.
fn draw_level(draw: &LevelDraw, q: f64) -> f64 {
    match *draw {
        LevelDraw::LogSnr { min, max } => vocoder::schedule::level_of_lambda(min + (max - min) * q),
        LevelDraw::LogSnrLaplace { centre, scale, min, max } => {
            // The distribution function and its inverse, in distances from the centre.
            let below = |x: f64| {
                let tail = 0.5 * (-x.abs() / scale).exp();
                if x < 0.0 { tail } else { 1.0 - tail }
            };
            let (from, to) = (below(min - centre), below(max - centre));
            let p = from + (to - from) * q - 0.5;
            let x = -scale * p.signum() * (1.0 - 2.0 * p.abs()).ln();
            vocoder::schedule::level_of_lambda((centre + x).clamp(min, max))
        }
        LevelDraw::Hierarchical { first_beta, last_beta, steps } => {
            // The interval's number is uniform, and the place within it too.
            let place = q * steps as f64;
            let interval = (place as usize).min(steps - 1);
            let beta = |n: usize| {
                first_beta + (last_beta - first_beta) * n as f64 / (steps.max(2) - 1) as f64
            };
            let upper: f64 = (0..interval).map(|n| (1.0 - beta(n)).ln()).sum::<f64>() / 2.0;
            let (upper, lower) = (upper.exp(), (upper + (1.0 - beta(interval)).ln() / 2.0).exp());
            // Exactly 1 would be a clip without noise, from which nothing is learnt.
            (upper + (lower - upper) * (place - interval as f64)).min(1.0 - 1e-9)
        }
    }
}

/// Batches in the order of their steps, prepared by threads that stop when this is dropped.
pub struct Batches {
    ready: Receiver<(u64, Result<Batch>)>,
    early: BTreeMap<u64, Result<Batch>>,
    next: u64,
    stride: u64,
}

impl Batches {
    /// Starts preparing the batches of `first` and of each `stride`-th after it,
    /// [among](BatchMaker::among) `levels`.
    ///
    /// # Errors
    /// As [`BatchMaker::new`].
    pub fn start(
        config: &TrainConfig,
        clips: &Arc<Vec<Clip>>,
        first: u64,
        stride: u64,
        levels: Option<&[f64]>,
    ) -> Result<Self> {
        let (send, ready) = bounded(QUEUE);
        let counter = Arc::new(AtomicU64::new(first));
        let template = BatchMaker::new(config, Arc::clone(clips))?.among(levels);
        for _ in 0..config.workers {
            let mut maker = template.twin()?;
            let (send, counter) = (send.clone(), Arc::clone(&counter));
            thread::spawn(move || {
                loop {
                    let step = counter.fetch_add(stride, Ordering::Relaxed);
                    if send.send((step, maker.make(step))).is_err() {
                        break;
                    }
                }
            });
        }
        Ok(Batches { ready, early: BTreeMap::new(), next: first, stride })
    }

    /// The next step's batch. Waits where none is ready.
    ///
    /// # Errors
    /// A batch that could not be made; workers that died.
    pub fn take_next(&mut self) -> Result<Batch> {
        loop {
            if let Some(batch) = self.early.remove(&self.next) {
                self.next += self.stride;
                return batch;
            }
            let (step, batch) = self
                .ready
                .recv()
                .map_err(|_| Error::mismatch("batch workers", "running", "all of them ended"))?;
            self.early.insert(step, batch);
        }
    }
}

#[cfg(test)]
mod tests;
