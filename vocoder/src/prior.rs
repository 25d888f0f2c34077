//! What the reverse chain starts from: unit noise, or noise shaped by the mel's energy.
//!
//! # The shaped prior, whitened
//!
//! PriorGrad (Lee et al. 2022) draws the noise with a standard deviation S per sample, taken from
//! the mel, so that the chain starts from something that has the loudness of the clip:
//! x_t = alpha_t x0 + sigma_t S e, e unit. Here the chain runs on u = x / S instead. Dividing by S,
//!
//! ```text
//! u_t = alpha_t u0 + sigma_t e        u0 = x0 / S
//! ```
//!
//! which is the standard process on u, with unit noise. A sampler's step is linear in x, the noise
//! prediction and fresh noise (see [`sampler`](crate::sampler)): dividing PriorGrad's step, with its
//! prediction S e and its fresh noise S z, by S gives the same step on u with e and z. So both run
//! the same chain, and PriorGrad's loss |S e - prediction|^2 / S^2 is the plain loss on e. A network
//! is given u and tells e; the sound is S u at the end.
//!
//! S of a sample depends on the two mel frames around it alone, so pieces of a clip get the values
//! of the whole, and streaming costs no more than [`Prior::NEIGHBOURS`] frame of look-ahead.
//!
//! # The spectral prior
//!
//! SpecGrad (Koizumi et al. 2022) shapes the noise by the mel's whole spectral envelope, not only by
//! its loudness, so that every band has the same ratio of signal to noise at every step and what is
//! left of the noise hides under the signal. Whitened as above, x = H u, where H is a filter that
//! moves with the mel. SpecGrad filters in the time-frequency domain, where H has no exact inverse;
//! here H is S times an all-pole filter of unit gain, a normalised lattice, whose inverse is exact
//! sample by sample, so that training whitens what rendering colours without loss.
//!
//! The filter may follow the envelope in part: its power response is then the envelope's to the power
//! of the *share*. Strong bands, such as a voice's low harmonics, have the better ratio then and come out
//! of the noise before the weak ones do, as from unit noise, but over fewer decibels.

mod spectral;

use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::mel::{Mel, MelConfig, MelPadding, Power, filter_bank, hann};
use crate::{Error, Result};
use spectral::{Envelope, Sections};

/// What the chain starts from, as a voice file says it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum PriorConfig {
    /// Unit noise at every sample (WaveGrad).
    Standard,
    /// Noise as loud as the mel says that the signal is (PriorGrad).
    Energy {
        /// The least deviation; 1e-3 is -60 dB of full scale.
        floor: f32,
    },
    /// Noise with the loudness and the spectral envelope that the mel says (after SpecGrad).
    Spectral {
        /// The least deviation of the whole signal; 1e-3 is -60 dB of full scale.
        floor: f32,
        /// Poles of the envelope: 1 to 256. 24 follow the formants; 100 and more also the harmonics
        /// that the mel resolves.
        order: usize,
        /// Width by which the envelope is smeared, 1 to 1000 Hz: 50 blurs single harmonics, 10 keeps
        /// them.
        #[serde(default = "default_smear_hz")]
        smear_hz: f32,
        /// How much of the envelope, in decibels, the noise follows: 0 (none, only loudness) to 1 (all
        /// of it, as SpecGrad). Ours; 0.5 is best by far of what was tried (docs/ab.md).
        #[serde(default = "default_share")]
        share: f32,
    },
}

impl PriorConfig {
    /// Checks the range.
    ///
    /// # Errors
    /// A floor outside (0, 1]; an order, smear or share outside what its field says.
    pub fn validate(&self) -> Result<()> {
        match self {
            Self::Energy { floor } if !(*floor > 0.0 && *floor <= 1.0) => Err(Error::config(
                "prior floor",
                format!("expected above 0 and at most 1, got {floor}"),
            )),
            Self::Spectral { floor, order, smear_hz, share }
                if !(*floor > 0.0
                    && *floor <= 1.0
                    && (1..=MAX_ORDER).contains(order)
                    && (1.0..=1000.0).contains(smear_hz)
                    && (0.0..=1.0).contains(share)) =>
            {
                Err(Error::config(
                    "spectral prior",
                    format!(
                        "expected a floor above 0 and at most 1, an order of 1 to {MAX_ORDER}, a \
                         smear of 1 to 1000 Hz and a share of 0 to 1, got {floor}, {order}, \
                         {smear_hz} and {share}"
                    ),
                ))
            }
            _ => Ok(()),
        }
    }
}

/// Most poles of a spectral prior: no more than the samples of the shortest hop in use, so that one
/// frame of lead-in fills the filter's memory.
const MAX_ORDER: usize = 256;

/// The smear of voices that don't name one.
fn default_smear_hz() -> f32 {
    50.0
}

/// The share of voices that don't name one.
fn default_share() -> f32 {
    1.0
}

/// What a spectral prior's filter remembers between pieces of a clip. New for each clip.
#[derive(Clone, Debug, Default)]
pub struct Memory {
    filter: Vec<f32>,
    /// The mel values of the last frames and what they say: the next piece begins with them.
    shapes: Vec<(Vec<f32>, Shape)>,
}

/// S and the reflection coefficients at the centre of a frame.
type Shape = (f32, Vec<f32>);

/// The deviation S of one voice, worked out from its mel settings.
#[derive(Clone, Debug)]
pub struct Prior {
    config: PriorConfig,
    mel: MelConfig,
    /// Per band: what the square of its linear value (or the value, for [`Power::Energy`]) adds to
    /// the mean square of the signal.
    power_per_band: Vec<f32>,
    /// The envelope's filter, for spectral priors.
    envelope: Option<Envelope>,
}

/// What frames say, from frame `first` on; beyond them it stays as it is.
struct Shapes {
    first: usize,
    at_centres: Vec<Shape>,
}

impl Shapes {
    fn of(&self, frame: usize) -> &Shape {
        let last = self.at_centres.len() - 1;
        &self.at_centres[frame.saturating_sub(self.first).min(last)]
    }

    /// Of the frames of `mel` that the piece after this one needs as well.
    fn last(&self, mel: &Mel) -> Vec<(Vec<f32>, Shape)> {
        let shared = self.at_centres.len().saturating_sub(2 * Prior::NEIGHBOURS);
        let frames = self.at_centres.iter().enumerate().skip(shared);
        frames.map(|(i, shape)| (mel.frame(self.first + i).to_vec(), shape.clone())).collect()
    }
}

impl Prior {
    /// Mel frames beside a sample's own, on either side, that its deviation may depend on.
    pub const NEIGHBOURS: usize = 1;

    /// Plans for mels of `mel`.
    ///
    /// # Errors
    /// Either config is out of range.
    pub fn new(config: PriorConfig, mel: &MelConfig) -> Result<Self> {
        config.validate()?;
        mel.validate()?;
        let envelope = match config {
            PriorConfig::Spectral { floor, order, smear_hz, share } => {
                Some(Envelope::new(mel, order, smear_hz, share, floor))
            }
            _ => None,
        };
        Ok(Self { config, power_per_band: power_per_band(mel), mel: mel.clone(), envelope })
    }

    /// Whether S alone makes x from u, sample by sample: so for all but spectral priors.
    pub fn is_pointwise(&self) -> bool {
        self.envelope.is_none()
    }

    /// Turns the signal x of `frames` into u, in place: `frames.len() * hop` samples.
    ///
    /// Pieces that follow each other share `memory`. A spectral prior's u depends on as many samples
    /// before it as the prior has poles, so a piece that starts elsewhere is right after these.
    ///
    /// # Errors
    /// As [`Prior::deviation`]; a signal of another length.
    pub fn whiten(
        &self,
        mel: &Mel,
        frames: Range<usize>,
        memory: &mut Memory,
        signal: &mut [f32],
    ) -> Result<()> {
        self.shape(mel, frames, memory, signal, |x, s, sections, memory| {
            spectral::analyse(x / s, sections, memory)
        })
    }

    /// Turns u of `frames` into the signal x, in place: the exact inverse of [`Prior::whiten`].
    ///
    /// # Errors
    /// As [`Prior::whiten`].
    pub fn colour(
        &self,
        mel: &Mel,
        frames: Range<usize>,
        memory: &mut Memory,
        signal: &mut [f32],
    ) -> Result<()> {
        self.shape(mel, frames, memory, signal, |u, s, sections, memory| {
            spectral::synthesise(u, sections, memory) * s
        })
    }

    fn shape(
        &self,
        mel: &Mel,
        frames: Range<usize>,
        memory: &mut Memory,
        signal: &mut [f32],
        one: impl Fn(f32, f32, &Sections, &mut [f32]) -> f32,
    ) -> Result<()> {
        let shapes = self.shapes(mel, frames.clone(), &memory.shapes)?;
        let hop = self.mel.hop;
        if signal.len() != frames.len() * hop {
            let expected = format!("{} samples", frames.len() * hop);
            return Err(Error::mismatch("prior: signal", expected, signal.len()));
        }
        let order = match self.config {
            PriorConfig::Spectral { order, .. } => order,
            _ => 0,
        };
        memory.filter.resize(order, 0.0);
        memory.shapes = if self.is_pointwise() { Vec::new() } else { shapes.last(mel) };
        let mut sections = Sections::new(order);
        for (index, value) in signal.iter_mut().enumerate() {
            let (left, right, part) = self.between(frames.start + index / hop, index % hop);
            let (left, right) = (shapes.of(left), shapes.of(right));
            sections.set_between(&left.1, &right.1, part);
            let s = left.0 + (right.0 - left.0) * part;
            *value = one(*value, s, &sections, &mut memory.filter);
        }
        Ok(())
    }

    /// Whether S is 1 everywhere, so that u = x.
    pub fn is_standard(&self) -> bool {
        self.config == PriorConfig::Standard
    }

    /// S for the samples of `frames`, `frames.len() * hop` of them, from sample `frames.start * hop`
    /// on. Linear between the centres of the frames, and constant beyond the first and the last.
    ///
    /// Equal, bit for bit, for any mel that holds the same [`Prior::NEIGHBOURS`] around `frames`.
    ///
    /// # Errors
    /// `mel` was made with other settings, or has not all of `frames`.
    pub fn deviation(&self, mel: &Mel, frames: Range<usize>) -> Result<Vec<f32>> {
        let shapes = self.shapes(mel, frames.clone(), &[])?;
        let hop = self.mel.hop;
        if self.is_standard() {
            return Ok(vec![1.0; frames.len() * hop]);
        }
        let mut out = Vec::with_capacity(frames.len() * hop);
        for frame in frames {
            for offset in 0..hop {
                let (left, right, part) = self.between(frame, offset);
                let (left, right) = (shapes.of(left).0, shapes.of(right).0);
                out.push(left + (right - left) * part);
            }
        }
        Ok(out)
    }

    /// The shapes of `frames` and of those beside them, of which those in `known` are not worked out again.
    fn shapes(
        &self,
        mel: &Mel,
        frames: Range<usize>,
        known: &[(Vec<f32>, Shape)],
    ) -> Result<Shapes> {
        self.mel.expect(&mel.config)?;
        if frames.start > frames.end || frames.end > mel.frames {
            let expected = format!("frames within 0..{}", mel.frames);
            return Err(Error::mismatch("prior", expected, format!("{frames:?}")));
        }
        let first = frames.start.saturating_sub(Self::NEIGHBOURS);
        let end = (frames.end + Self::NEIGHBOURS).min(mel.frames);
        let shape = |frame: &[f32]| match known.iter().find(|(values, _)| values == frame) {
            Some((_, shape)) => shape.clone(),
            None => self.frame_shape(frame),
        };
        let at_centres = (first..end).map(|f| shape(mel.frame(f))).collect();
        Ok(Shapes { first, at_centres })
    }

    /// S at the centre of a frame with these `n_mels` values: the signal's root mean square as far
    /// as the mel shows it, not below the floor. Of white noise and of harmonic tones it is within
    /// 2 dB.
    pub fn of_frame(&self, frame: &[f32]) -> f32 {
        self.frame_shape(frame).0
    }

    /// S at the centre of a frame, and the reflection coefficients there (none but for spectral
    /// priors).
    fn frame_shape(&self, frame: &[f32]) -> Shape {
        let shares = frame.iter().zip(&self.power_per_band).map(|(&value, &weight)| {
            let linear = self.mel.expand(value);
            weight * if self.mel.power == Power::Energy { linear } else { linear * linear }
        });
        match (self.config, &self.envelope) {
            (PriorConfig::Energy { floor }, _) => (shares.sum::<f32>().sqrt().max(floor), vec![]),
            (_, Some(envelope)) => envelope.of_bands(&shares.collect::<Vec<f32>>()),
            _ => (1.0, vec![]),
        }
    }

    /// The two frames whose centres lie around sample `offset` of hop `frame`, and how far it is on
    /// the way from the one to the other.
    fn between(&self, frame: usize, offset: usize) -> (usize, usize, f32) {
        let hop = self.mel.hop as f32;
        // In hops, from the centre of `frame`.
        let distance = match self.mel.padding {
            MelPadding::Centre => offset as f32 / hop,
            MelPadding::HifiGan => offset as f32 / hop - 0.5,
        };
        if distance < 0.0 {
            (frame.saturating_sub(1), frame, 1.0 + distance)
        } else {
            (frame, frame + 1, distance)
        }
    }
}

/// The weights of [`Prior::of_frame`].
///
/// A band's linear value over the sum of its weights is the mean magnitude (or energy) of the bins
/// that it covers. It stands for `bins` of them, half the base of its triangle, and all bands
/// together for those between `f_min_hz` and `f_max_hz`, once. Parseval, one-sided: the mean square
/// of a signal of energy E = sum |X_k|^2 is 2 E / (n_fft sum w^2), w being the window.
fn power_per_band(config: &MelConfig) -> Vec<f32> {
    let bins = config.n_fft / 2 + 1;
    let bank = filter_bank(config);
    let sum = |band: &[f32]| band.iter().map(|&w| f64::from(w)).sum::<f64>();
    let stands_for = |band: &[f32]| {
        let peak = band.iter().fold(0.0, |peak: f32, &w| peak.max(w));
        if peak > 0.0 { sum(band) / f64::from(peak) } else { 0.0 }
    };
    let claimed: f64 = bank.chunks(bins).map(stands_for).sum();
    let hz = f64::from(config.f_max_hz) - f64::from(config.f_min_hz);
    let covered = hz * config.n_fft as f64 / f64::from(config.sample_rate);

    let window_energy: f64 = if config.unit_window {
        1.0
    } else {
        hann(config.window).iter().map(|&w| f64::from(w).powi(2)).sum()
    };
    let parseval = 2.0 / (config.n_fft as f64 * window_energy);
    let per_band = |band: &[f32]| {
        let sum = sum(band);
        if sum == 0.0 {
            return 0.0;
        }
        let to_energy = sum.powi(if config.power == Power::Energy { 1 } else { 2 });
        (parseval * stands_for(band) * covered / claimed / to_energy) as f32
    };
    bank.chunks(bins).map(per_band).collect()
}

#[cfg(test)]
mod tests;
