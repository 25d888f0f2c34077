//! Objective distances between a rendered clip and its reference.
//!
//! All take one channel at [`SAMPLE_RATE`], whatever rate a voice has, so that figures compare.
//!
//! - **LS-MAE, LS-MSE**: mean of |d| and of d^2, d being the difference of ln(max(mel, 1e-5)) in
//!   the default [`MelConfig`] (magnitude, 128 Slaney bands). In nat and nat^2. Not comparable with
//!   the figures of the WaveGrad paper, whose scaling is unpublished.
//! - **MR-STFT**: mean over three resolutions (Parallel WaveGAN, Yamamoto et al. 2020) of spectral
//!   convergence, ||A - B|| / ||A||, plus the mean of |ln A - ln B|.
//!
//! [`compare`] first removes the lag; it reports the level but leaves it.

mod alignment;
mod statistics;

use serde::Serialize;

use crate::mel::{MelConfig, MelExtractor};
use crate::stft::{Stft, reflect_padded};
use crate::{Error, Result};

pub use alignment::{active_rms, find_lag};
pub use statistics::{MeanInterval, mean_interval};

/// Samples per second of every clip that is measured.
pub const SAMPLE_RATE: u32 = 24_000;

/// Peak below which a clip counts as silent: -80 dB.
const SILENT: f32 = 1e-4;

/// Shortest reference, in samples: a second.
const SHORTEST: usize = SAMPLE_RATE as usize;

/// How much shorter than the reference a clip may be before the rest counts as silence: 100 ms.
const SHORTFALL: usize = SAMPLE_RATE as usize / 10;

/// n_fft, hop and window of MR-STFT.
const RESOLUTIONS: [(usize, usize, usize); 3] =
    [(1024, 120, 600), (2048, 240, 1200), (512, 50, 240)];

/// How a clip differs from its reference.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Comparison {
    /// Mean |d| of the log-mels, in nat. 0 is equal.
    pub ls_mae: f64,
    /// Mean d^2 of the log-mels, in nat^2. 0 is equal.
    pub ls_mse: f64,
    /// Multi-resolution STFT distance. 0 is equal.
    pub mr_stft: f64,
    /// How late the clip is, in milliseconds; removed before the rest is measured.
    pub lag_ms: f64,
    /// How much louder the clip is than its reference, in dB of the active parts; not removed.
    pub level_db: f64,
    /// How much longer the clip is than its reference, in milliseconds.
    pub length_ms: f64,
}

/// Compares `generated` with `reference`, both at [`SAMPLE_RATE`].
///
/// A clip with anything that is not a finite number counts as silence, as does what is missing at
/// its end beyond 100 ms: a failed rendering gets a bad value, not none.
///
/// # Errors
/// The reference is shorter than a second, silent (a peak below 1e-4) or not finite.
pub fn compare(reference: &[f32], generated: &[f32]) -> Result<Comparison> {
    if reference.len() < SHORTEST {
        let expected = format!("at least {SHORTEST} samples");
        return Err(Error::mismatch("metrics: reference", expected, reference.len()));
    }
    if !reference.iter().all(|x| x.is_finite()) || peak(reference) < SILENT {
        let expected = format!("finite samples with a peak of at least {SILENT}");
        return Err(Error::mismatch("metrics: reference", expected, peak(reference)));
    }
    let length_difference = generated.len() as f64 - reference.len() as f64;
    let mut generated = generated.to_vec();
    if !generated.iter().all(|x| x.is_finite()) {
        generated = vec![0.0; reference.len()];
    }
    if generated.len() + SHORTFALL < reference.len() {
        generated.resize(reference.len(), 0.0);
    }

    let lag = find_lag(reference, &generated);
    let (reference, generated) = alignment::shifted(reference, &generated, lag);
    let level = active_rms(generated) / active_rms(reference);
    let (ls_mae, ls_mse) = log_spectral(reference, generated)?;
    let ms = |samples: f64| 1000.0 * samples / f64::from(SAMPLE_RATE);
    Ok(Comparison {
        ls_mae,
        ls_mse,
        mr_stft: mr_stft(reference, generated),
        lag_ms: ms(lag as f64),
        level_db: (20.0 * (level + 1e-12).log10()).max(-120.0),
        length_ms: ms(length_difference),
    })
}

/// (LS-MAE, LS-MSE) of two clips of one length at [`SAMPLE_RATE`], as they lie.
///
/// # Errors
/// A clip without samples, or with one that is not finite.
pub fn log_spectral(reference: &[f32], generated: &[f32]) -> Result<(f64, f64)> {
    let mut extractor = MelExtractor::new(&MelConfig::default())?;
    let (a, b) = (extractor.extract(reference)?, extractor.extract(generated)?);
    let differences = a.data.iter().zip(&b.data).map(|(a, b)| f64::from(a - b));
    let (absolute, square) =
        differences.fold((0.0, 0.0), |(absolute, square), d| (absolute + d.abs(), square + d * d));
    let count = a.data.len().min(b.data.len()) as f64;
    Ok((absolute / count, square / count))
}

/// MR-STFT of two clips of one length at [`SAMPLE_RATE`], as they lie. The spectral convergence is
/// relative to `reference`. NaN for clips without samples.
pub fn mr_stft(reference: &[f32], generated: &[f32]) -> f64 {
    let total: f64 = RESOLUTIONS
        .iter()
        .map(|&(n_fft, hop, window)| {
            let mut stft = Stft::new(n_fft, hop, window);
            let [a, b] = [reference, generated].map(|clip| reflect_padded(clip, n_fft / 2));
            let frames = stft.frames(a.len()).min(stft.frames(b.len()));
            let mut sums = Sums::default();
            let mut magnitudes = vec![0.0; stft.bins()];
            for frame in 0..frames {
                for (m, bin) in magnitudes.iter_mut().zip(stft.analyse(&a, frame)) {
                    *m = floored_magnitude(bin.norm_sqr());
                }
                for (a, bin) in magnitudes.iter().zip(stft.analyse(&b, frame)) {
                    sums.add(*a, floored_magnitude(bin.norm_sqr()));
                }
            }
            sums.distance()
        })
        .sum();
    total / RESOLUTIONS.len() as f64
}

/// sqrt(max(energy, 1e-7)).
fn floored_magnitude(energy: f32) -> f64 {
    f64::from(energy.max(1e-7)).sqrt()
}

#[derive(Default)]
struct Sums {
    difference_energy: f64,
    reference_energy: f64,
    log_distance: f64,
    bins: f64,
}

impl Sums {
    fn add(&mut self, a: f64, b: f64) {
        self.difference_energy += (a - b) * (a - b);
        self.reference_energy += a * a;
        self.log_distance += (a / b).ln().abs();
        self.bins += 1.0;
    }

    fn distance(&self) -> f64 {
        (self.difference_energy / self.reference_energy).sqrt() + self.log_distance / self.bins
    }
}

fn peak(x: &[f32]) -> f32 {
    x.iter().fold(0.0, |peak, x| peak.max(x.abs()))
}

#[cfg(test)]
mod tests;
