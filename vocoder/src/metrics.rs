//! Objective distances between a rendered clip and its reference.
//!
//! All take one channel at [`SAMPLE_RATE`], whatever rate a voice has, so that figures compare.
//!
//! - **LS-MAE, LS-MSE**: mean of |d| and of d^2, d being the difference of ln(max(mel, 1e-5)) in
//!   the default [`MelConfig`](crate::mel::MelConfig) (magnitude, 128 Slaney bands). In nat and nat^2. Not comparable with
//!   the figures of the WaveGrad paper, whose scaling is unpublished.
//! - **MCD13**: mel-cepstral distortion of the same log-mels ([`LogMelDistance::mcd13_db`]).
//! - **MR-STFT**: mean over three resolutions (Parallel WaveGAN, Yamamoto et al. 2020) of spectral
//!   convergence, ||A - B|| / ||A||, plus the mean of |ln A - ln B|.
//! - **F0 RMSE, VUV F1, voicing error, FFE, periodicity error**: of pitch and voicing
//!   ([`VoicingDistance`]).
//! - **Disturbance**: differences in loudness after PESQ ([`Disturbance`]).
//!
//! [`compare`] first removes the lag; it reports the level, and leaves it unless asked otherwise.

mod alignment;
mod disturbance;
pub mod pitch;
mod spectral;
mod statistics;
mod voicing;

use serde::Serialize;

use crate::{Error, Result};

pub use alignment::{active_rms, find_lag};
pub use disturbance::{Disturbance, disturbance};
pub use spectral::{LogMelDistance, log_mel, mr_stft};
pub use statistics::{MeanInterval, mean_interval};
pub use voicing::{VoicingDistance, of_tracks, voicing};

/// Samples per second of every clip that is measured.
pub const SAMPLE_RATE: u32 = 24_000;

/// Peak below which a clip counts as silent: -80 dB.
const SILENT: f32 = 1e-4;

/// Shortest reference, in samples: a second.
const SHORTEST: usize = SAMPLE_RATE as usize;

/// How much shorter than the reference a clip may be before the rest counts as silence: 100 ms.
const SHORTFALL: usize = SAMPLE_RATE as usize / 10;

/// What is done about a clip that is louder or softer than its reference.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Level {
    /// It is measured as it is.
    #[default]
    Kept,
    /// Its active parts are brought to the reference's level first. A clip of less than half a second,
    /// or silent, stays as it is.
    Matched,
}

/// How a clip differs from its reference.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Comparison {
    /// Mean |d| of the log-mels, in nat. 0 is equal.
    pub ls_mae: f64,
    /// Mean d^2 of the log-mels, in nat^2. 0 is equal.
    pub ls_mse: f64,
    /// Multi-resolution STFT distance. 0 is equal.
    pub mr_stft: f64,
    /// Mel-cepstral distortion, in dB. 0 is equal.
    pub mcd13_db: f64,
    /// Root mean square difference of the pitch, in cents. NaN where no frame is voiced in both.
    pub f0_rmse_cents: f64,
    /// F1 score of the voicing, 0 to 1. 1 is equal.
    pub vuv_f1: f64,
    /// Share of frames whose voicing differs, 0 to 1. 0 is equal.
    pub voicing_error: f64,
    /// Share of frames whose voicing or pitch is wrong, 0 to 1. 0 is equal.
    pub ffe: f64,
    /// Root mean square difference of the periodicity, 0 to 1. 0 is equal.
    pub periodicity_rmse: f64,
    /// [`Disturbance::loss`], after PESQ: what is heard to be different. 0 is nothing, 5.9 the worst.
    pub disturbance: f64,
    /// How late the clip is, in milliseconds; removed before the rest is measured.
    pub lag_ms: f64,
    /// How much louder the clip is than its reference, in dB of the active parts; removed before the
    /// rest is measured if [`Level::Matched`] says so.
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
pub fn compare(reference: &[f32], generated: &[f32], level: Level) -> Result<Comparison> {
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

    let dead = generated.len() < SHORTEST / 2 || peak(&generated) < SILENT;
    let lag = find_lag(reference, &generated);
    let (reference, generated) = alignment::shifted(reference, &generated, lag);
    let louder = active_rms(generated) / active_rms(reference);
    let level_db = (20.0 * (louder + 1e-12).log10()).max(-120.0);
    let mut generated = generated.to_vec();
    if level == Level::Matched && !dead {
        let gain = 10f64.powf(-level_db / 20.0) as f32;
        generated.iter_mut().for_each(|x| *x *= gain);
    }
    let generated = &generated[..];
    let spectra = log_mel(reference, generated)?;
    let voices = voicing(reference, generated)?;
    let ms = |samples: f64| 1000.0 * samples / f64::from(SAMPLE_RATE);
    Ok(Comparison {
        ls_mae: spectra.mae,
        ls_mse: spectra.mse,
        mr_stft: mr_stft(reference, generated),
        mcd13_db: spectra.mcd13_db,
        f0_rmse_cents: voices.f0_rmse_cents,
        vuv_f1: voices.vuv_f1,
        voicing_error: voices.voicing_error,
        ffe: voices.ffe,
        periodicity_rmse: voices.periodicity_rmse,
        disturbance: disturbance(reference, generated)?.loss(),
        lag_ms: ms(lag as f64),
        level_db,
        length_ms: ms(length_difference),
    })
}

fn peak(x: &[f32]) -> f32 {
    x.iter().fold(0.0, |peak, x| peak.max(x.abs()))
}

#[cfg(test)]
mod tests;
