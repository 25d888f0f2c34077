//! Distances between spectra.

use crate::mel::{Mel, MelConfig, MelExtractor};
use crate::stft::{Stft, reflect_padded};
use crate::{Error, Result};

/// n_fft, hop and window of MR-STFT.
const RESOLUTIONS: [(usize, usize, usize); 3] =
    [(1024, 120, 600), (2048, 240, 1200), (512, 50, 240)];

/// Cepstral coefficients of MCD, without the first, which is loudness.
const COEFFICIENTS: usize = 13;

/// How far a frame's mean log-mel may be below the loudest one's for MCD to count it: 60 dB in nat.
const ACTIVE: f64 = 6.9;

/// What two log-mels say of each other.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LogMelDistance {
    /// Mean |d|, in nat.
    pub mae: f64,
    /// Mean d^2, in nat^2.
    pub mse: f64,
    /// Mel-cepstral distortion, in dB: 10 / ln 10 sqrt(2 sum d_k^2) (Kubichek 1993) over the
    /// coefficients 1 to 13 of c_k = 2/M sum_m x_m cos(pi k (m + 1/2) / M), x being the M log-mel
    /// bands; its mean over the frames within 60 dB of the reference's loudest. No time warping.
    pub mcd13_db: f64,
}

/// Compares the log-mels (in the default [`MelConfig`]) of two clips of one length at
/// [`SAMPLE_RATE`](super::SAMPLE_RATE), as they lie.
///
/// # Errors
/// A clip without samples, or with one that is not finite.
pub fn log_mel(reference: &[f32], generated: &[f32]) -> Result<LogMelDistance> {
    let (a, b) = log_mels(reference, generated)?;
    let differences = a.data.iter().zip(&b.data).map(|(a, b)| f64::from(a - b));
    let (absolute, square) =
        differences.fold((0.0, 0.0), |(absolute, square), d| (absolute + d.abs(), square + d * d));
    let count = a.data.len() as f64;
    Ok(LogMelDistance { mae: absolute / count, mse: square / count, mcd13_db: mcd(&a, &b) })
}

/// How far the log-mels of two clips are apart, whatever their levels: the mean absolute difference from the mean
/// difference, in nat. Squares would be decided by the few bands that are next to silent.
///
/// # Errors
/// As [`log_mel`].
pub(super) fn shape_distance(reference: &[f32], generated: &[f32]) -> Result<f64> {
    let (a, b) = log_mels(reference, generated)?;
    let differences = || a.data.iter().zip(&b.data).map(|(a, b)| f64::from(a - b));
    let count = a.data.len() as f64;
    let mean = differences().sum::<f64>() / count;
    Ok(differences().map(|d| (d - mean).abs()).sum::<f64>() / count)
}

fn log_mels(reference: &[f32], generated: &[f32]) -> Result<(Mel, Mel)> {
    let mut extractor = MelExtractor::new(&MelConfig::default())?;
    let (a, b) = (extractor.extract(reference)?, extractor.extract(generated)?);
    if a.frames != b.frames {
        return Err(Error::mismatch("metrics: frames", a.frames, b.frames));
    }
    Ok((a, b))
}

/// See [`LogMelDistance::mcd13_db`].
fn mcd(a: &Mel, b: &Mel) -> f64 {
    let bands = a.config.n_mels;
    let basis: Vec<f64> = (1..=COEFFICIENTS)
        .flat_map(|k| (0..bands).map(move |m| (k, m)))
        .map(|(k, m)| {
            let angle = std::f64::consts::PI * k as f64 * (m as f64 + 0.5) / bands as f64;
            2.0 / bands as f64 * angle.cos()
        })
        .collect();
    let level = |frame: usize| -> f64 {
        a.frame(frame).iter().map(|&x| f64::from(x)).sum::<f64>() / bands as f64
    };
    let loudest = (0..a.frames).map(level).fold(f64::NEG_INFINITY, f64::max);
    let (mut total, mut active) = (0.0, 0.0);
    for frame in (0..a.frames).filter(|&frame| level(frame) > loudest - ACTIVE) {
        let square: f64 = basis
            .chunks_exact(bands)
            .map(|basis| {
                let bands = a.frame(frame).iter().zip(b.frame(frame)).zip(basis);
                bands.map(|((a, b), c)| c * f64::from(a - b)).sum::<f64>().powi(2)
            })
            .sum();
        total += 10.0 / std::f64::consts::LN_10 * (2.0 * square).sqrt();
        active += 1.0;
    }
    total / active
}

/// MR-STFT of two clips of one length at [`SAMPLE_RATE`](super::SAMPLE_RATE), as they lie. The spectral convergence is
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
