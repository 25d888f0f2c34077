//! Distillation: a student of few steps learns where its teacher's many steps lead.
//!
//! A deterministic (DDIM) step from level t to s is linear in the predicted noise e:
//!
//! ```text
//! x_s = alpha_s (x_t - sigma_t e) / alpha_t + sigma_s e        (Song et al. 2021, eq. 12 at eta 0)
//! ```
//!
//! so that for any point at s there is one e that leads there. Distilling is then training with that e
//! in the place of the true noise. The student's prediction stays a noise: its voice is a voice like any
//! other.
//!
//! - **Progressive** (Salimans & Ho 2022, arXiv 2202.00512, algorithm 2): one step of the student is two
//!   of the teacher. A voice of N steps is the student of one of 2 N. e is theirs put in terms of noise:
//!   their target x0 = (x_s - (sigma_s/sigma_t) x_t) / (alpha_s - (sigma_s/sigma_t) alpha_t).
//! - **Consistency** (Song et al. 2023, arXiv 2303.01469, algorithm 2): at each of many levels the student
//!   predicts what it predicts one step of the teacher further on, by its mean weights. Their f =
//!   c_skip x + c_out F is x0 = (x - sigma e) / alpha: c_skip = 1 / alpha, c_out = -sigma / alpha, and at
//!   the clean signal, alpha 1 and sigma 0, f(x) = x whatever the network. Note: theirs is cut off at a
//!   least level; here the last step is the teacher's, to the clean signal itself. Note: the mean weights
//!   that become the voice are the target network, too; the paper keeps two means.
//! - **Guidance** (Meng et al. 2023, arXiv 2210.03142, section 3.1, of one weight): at any level the student
//!   predicts what its guided teacher predicts, who has to ask twice. As many steps, each at half the price.

use crate::batch::Batch;
use crate::config::Distillation;
use crate::run::Run;
use candle_core::{Device, Tensor};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use vocoder::guidance::Guidance;
use vocoder::network::Network;
use vocoder::ops::Products;
use vocoder::render::WHITE_PEAK;
use vocoder::sampler::SamplerKind;
use vocoder::schedule::{FIRST_LEVEL, PLAIN_LAST_LEVEL, Schedule, lambda, level_of_lambda, sigma};
use vocoder::start::Start;
use vocoder::voice::{Chain, Voice};
use vocoder::{Error, Result, output_file};

/// Numbers of steps that a consistency voice has schedules for.
const CONSISTENCY_STEPS: [usize; 4] = [1, 2, 3, 4];

/// Most steps of the teacher on the way from a level to the clean signal by which a consistency student
/// is judged.
const REFERENCE_STEPS: usize = 8;

/// A teacher, and what is learned from it.
pub struct Distiller {
    kind: Distillation,
    teacher: Network,
    /// The teacher's levels, noisiest first; none where the student learns at any.
    levels: Vec<f64>,
    /// How the teacher is guided where that is what is learned.
    guidance: Option<Guidance>,
    /// What the teacher goes down by from noise.
    chain: Chain,
    /// Rounds of polish that the teacher ends with.
    polish: (usize, usize),
}

impl Distiller {
    /// Prepares `teacher` on `device`, to be computed in `products`.
    ///
    /// # Errors
    /// Numbers of steps out of range; a device that fails.
    pub fn new(
        kind: Distillation,
        teacher: &Voice,
        products: Products,
        device: &Device,
    ) -> Result<Self> {
        let mut guidance = None;
        let levels = match kind {
            // A teacher that was distilled itself knows its own levels alone.
            Distillation::Progressive { steps } if is_student(teacher, 2 * steps) => {
                teacher.schedule(2 * steps)?.levels().to_vec()
            }
            Distillation::Progressive { steps } => {
                Schedule::plain(2 * steps, FIRST_LEVEL)?.levels().to_vec()
            }
            Distillation::Consistency { levels } => {
                Schedule::plain(levels, FIRST_LEVEL)?.levels().to_vec()
            }
            Distillation::Guidance { weight } => {
                guidance = Guidance::new(teacher, weight as f32)?;
                Vec::new()
            }
        };
        let chain = teacher.chain_from_noise();
        let polish = (teacher.polish, teacher.trials);
        let teacher = teacher.network_with_products(products, device)?;
        Ok(Distiller { kind, teacher, levels, guidance, chain, polish })
    }

    /// Rounds of polish that the student ends with, and trials before them: the teacher's.
    pub fn polish(&self) -> (usize, usize) {
        self.polish
    }

    /// The levels at which the student learns, noisiest first; none where it learns at those that the
    /// run's config draws.
    pub fn levels(&self) -> Vec<f64> {
        let every = match self.kind {
            Distillation::Progressive { .. } => 2,
            Distillation::Consistency { .. } | Distillation::Guidance { .. } => 1,
        };
        self.levels.iter().copied().step_by(every).collect()
    }

    /// The sampler that the student is made for.
    pub fn sampler(&self) -> SamplerKind {
        match self.kind {
            Distillation::Progressive { .. } => SamplerKind::Ddim { eta: 0.0 },
            Distillation::Consistency { .. } => SamplerKind::Consistency,
            Distillation::Guidance { .. } => self.chain.sampler,
        }
    }

    /// The schedules that the student is made for, by number of steps.
    ///
    /// # Errors
    /// Levels that make no schedule.
    pub fn schedules(&self) -> Result<BTreeMap<usize, Schedule>> {
        Ok(match self.kind {
            Distillation::Progressive { steps } => {
                BTreeMap::from([(steps, Schedule::explicit(self.levels())?)])
            }
            Distillation::Guidance { .. } => self.chain.schedules.clone(),
            Distillation::Consistency { .. } => {
                let (first, last) = (lambda(FIRST_LEVEL), lambda(PLAIN_LAST_LEVEL));
                let level = |i: usize, steps: usize| match i {
                    0 => FIRST_LEVEL,
                    _ => level_of_lambda(first + (last - first) * i as f64 / steps as f64),
                };
                let schedule = |steps| {
                    let levels: Vec<f64> = (0..steps).map(|i| level(i, steps)).collect();
                    Ok((steps, Schedule::explicit(levels)?))
                };
                CONSISTENCY_STEPS.into_iter().map(schedule).collect::<Result<_>>()?
            }
        })
    }

    /// `batch` with the noise that the student should predict in the place of the true one. Its levels
    /// are of [`Distiller::levels`]. `mean` is the student by its mean weights.
    ///
    /// # Errors
    /// Other levels; a device that fails.
    pub fn target(&self, batch: &Batch, mean: impl FnOnce() -> Result<Network>) -> Result<Batch> {
        let from = &batch.levels;
        match self.kind {
            Distillation::Progressive { .. } => {
                let (middle, to) = (self.later(from, 1)?, self.later(from, 2)?);
                let half = step(&self.teacher, batch, &batch.noisy, from, &middle)?;
                let arrived = step(&self.teacher, batch, &half, &middle, &to)?;
                Ok(leading(batch, &arrived, &to))
            }
            Distillation::Consistency { .. } => {
                let (to, clean) = (self.later(from, 1)?, vec![1.0; from.len()]);
                let nearer = step(&self.teacher, batch, &batch.noisy, from, &to)?;
                let guess = step(&mean()?, batch, &nearer, &to, &clean)?;
                Ok(leading(batch, &guess, &clean))
            }
            Distillation::Guidance { .. } => {
                let ask = |mel: &[f32]| predict(&self.teacher, &batch.noisy, mel, from);
                let mut noise = ask(&batch.mel)?;
                if let Some(guidance) = self.guidance {
                    guidance.lead(&mut noise, &ask(&vec![guidance.silence; batch.mel.len()])?);
                }
                Ok(Batch { noise, ..batch.clone() })
            }
        }
    }

    /// As [`Distiller::target`], by the teacher alone: what the student is judged by. Of a consistency
    /// student, the clean signal that the teacher reaches in several steps.
    ///
    /// # Errors
    /// As [`Distiller::target`].
    pub fn reference(&self, batch: &Batch) -> Result<Batch> {
        if !matches!(self.kind, Distillation::Consistency { .. }) {
            return self.target(batch, || Ok(self.teacher.clone()));
        }
        let rest = self.levels.len().div_ceil(REFERENCE_STEPS).max(1);
        let (mut at, mut signal) = (batch.levels.clone(), batch.noisy.clone());
        while at.iter().any(|level| *level < 1.0) {
            let next = self.later(&at, rest)?;
            signal = step(&self.teacher, batch, &signal, &at, &next)?;
            at = next;
        }
        Ok(leading(batch, &signal, &at))
    }

    /// The levels `count` places after each of `levels`; beyond the last, the clean signal.
    fn later(&self, levels: &[f64], count: usize) -> Result<Vec<f64>> {
        let later = |level: &f64| {
            if *level == 1.0 {
                return Ok(1.0);
            }
            let place = self.levels.iter().position(|known| known == level);
            let place = place.ok_or_else(|| {
                Error::mismatch("level of a batch", "one of the teacher's", level)
            })?;
            Ok(self.levels.get(place + count).copied().unwrap_or(1.0))
        };
        levels.iter().map(later).collect()
    }
}

/// Whether `teacher` was distilled to `steps` deterministic steps from noise.
fn is_student(teacher: &Voice, steps: usize) -> bool {
    let deterministic = SamplerKind::Ddim { eta: 0.0 };
    teacher.start == Start::Noise
        && teacher.sampler == deterministic
        && teacher.schedules.contains_key(&steps)
}

/// The noise that `network` predicts in crops of `signal` at `levels`.
fn predict(network: &Network, signal: &[f32], mel: &[f32], levels: &[f64]) -> Result<Vec<f32>> {
    let (device, count) = (network.device(), levels.len());
    let (samples, bands) = (signal.len() / count, network.config().n_mels);
    let signal = Tensor::from_slice(signal, (count, samples), device)?;
    let mel = Tensor::from_slice(mel, (count, mel.len() / count / bands, bands), device)?;
    Ok(network.forward(&signal, &mel, levels)?.flatten_all()?.to_vec1()?)
}

/// x_s = a x_t + b e: a and b.
fn linear(t: f64, s: f64) -> (f64, f64) {
    let a = s / t;
    (a, sigma(s) - sigma(t) * a)
}

/// One deterministic step of `network` on `signal`, which lies in `batch`'s place: of each crop from its
/// level in `from` to that in `to`.
fn step(
    network: &Network,
    batch: &Batch,
    signal: &[f32],
    from: &[f64],
    to: &[f64],
) -> Result<Vec<f32>> {
    let noise = predict(network, signal, &batch.mel, from)?;
    let samples = signal.len() / from.len();
    let mut moved = Vec::with_capacity(signal.len());
    let crops = signal.chunks(samples).zip(noise.chunks(samples));
    for ((x, e), (t, s)) in crops.zip(from.iter().zip(to)) {
        let (a, b) = linear(*t, *s);
        let (a, b, alpha, sigma) = (a as f32, b as f32, *t as f32, sigma(*t) as f32);
        moved.extend(x.iter().zip(e).map(|(x, e)| {
            let clean = (x - sigma * e) / alpha;
            // As in rendering: the chain of a poor teacher would run away without a limit.
            let within = clean.clamp(-WHITE_PEAK, WHITE_PEAK);
            // The noise follows a clipped signal, as in the sampler.
            let e = if clean == within { *e } else { (x - alpha * within) / sigma };
            a * x + b * e
        }));
    }
    Ok(moved)
}

/// `batch` with the noise by which one step leads to `arrived`, at the levels `to`.
fn leading(batch: &Batch, arrived: &[f32], to: &[f64]) -> Batch {
    let samples = arrived.len() / to.len().max(1);
    let mut noise = Vec::with_capacity(arrived.len());
    let crops = batch.noisy.chunks(samples).zip(arrived.chunks(samples));
    for ((x, goal), (t, s)) in crops.zip(batch.levels.iter().zip(to)) {
        let (a, b) = linear(*t, *s);
        noise.extend(
            x.iter().zip(goal).map(|(x, y)| ((f64::from(*y) - a * f64::from(*x)) / b) as f32),
        );
    }
    Batch { noise, ..batch.clone() }
}

/// Where a run keeps its teacher, so that it can go on without the file that it was given.
pub fn teacher_file(out: &Path) -> PathBuf {
    out.join("teacher.safetensors")
}

/// Copies the teacher that `run` names into its folder, for a run that begins. A run that goes on has it
/// there, and takes no other.
///
/// # Errors
/// A teacher without a kind of distillation or the other way round; another teacher than before; files
/// that can't be read or written.
pub fn keep_teacher(run: &Run, begins: bool) -> Result<()> {
    let kept = teacher_file(&run.out);
    let read = |path: &Path| std::fs::read(path).map_err(|e| Error::io(path, e));
    match (run.config.distill, &run.distill) {
        (None, None) => Ok(()),
        (None, Some(_)) => Err(Error::mismatch(
            "training config with a teacher",
            "[distill.progressive], [distill.consistency] or [distill.guidance]",
            "none of them",
        )),
        (Some(_), Some(path)) if begins => output_file::write_whole(&kept, &read(path)?),
        (Some(_), Some(path)) if read(path)? != read(&kept)? => {
            Err(Error::file(path, "expected the teacher that the run began with, got another"))
        }
        (Some(_), None) if !kept.exists() => {
            Err(Error::mismatch("distillation", "a voice as teacher", "none"))
        }
        _ => Ok(()),
    }
}

/// The distiller of `run`, which has kept its teacher, if it has one.
///
/// # Errors
/// A teacher that can't be read, or of another model than the run's; crops without mel for a teacher that
/// has not seen such.
pub fn open(run: &Run, device: &Device) -> Result<Option<Distiller>> {
    let Some(kind) = run.config.distill else { return Ok(None) };
    let path = teacher_file(&run.out);
    let teacher = Voice::load(&path)?;
    if teacher.model != run.config.model || teacher.mel != run.config.mel {
        return Err(Error::file(&path, "expected a teacher of the run's model and mel"));
    }
    if run.config.mel_dropout > 0.0 && teacher.provenance.mel_dropout() <= 0.0 {
        let reason = "expected 0 for a teacher that was trained without";
        return Err(Error::config("mel_dropout", reason));
    }
    Distiller::new(kind, &teacher, run.config.precision.products(), device).map(Some)
}

#[cfg(test)]
mod tests;
