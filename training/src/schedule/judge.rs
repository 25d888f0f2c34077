//! How far rendered clips are from their recordings.

use crate::corpus::Clip;
use rayon::prelude::*;
use serde::Serialize;
use vocoder::audio::resample;
use vocoder::mel::{Mel, MelConfig, MelExtractor};
use vocoder::metrics::pitch::{self, Frame};
use vocoder::metrics::{self, SAMPLE_RATE};
use vocoder::{Error, Result};

/// Seconds of a clip that a candidate renders: shorter ones don't serve.
pub const CLIP_SECONDS: usize = 2;

/// What an LS-MAE of 1 nat, an F0 frame error of 1, a periodicity error of 1, 100 cents and the loss by
/// disturbance are worth, MR-STFT counting once. At Griffin-Lim's figures (LS-MAE 0.1, MR-STFT 0.8, FFE 0.12,
/// 55 cents) spectra and voices then weigh as much as each other within a factor of two. Checked against PESQ:
/// nine renderings of eight clips, from noise, from Griffin-Lim's sound at seven levels and Griffin-Lim
/// alone, come in the same order by both, disturbance and LS-MAE counted once.
///
/// Of one voice's schedules those of long last steps disturb least, and leave weak bands too weak: with
/// LS-MAE and disturbance counted once, what was learned for one voice led everybody else's in all but PESQ,
/// with disturbance counted twice, for another, in all but LS-MAE. Counted so, it leads in all
/// (`models/speech.md`).
const LS_MAE_WEIGHT: f64 = 3.0;
const FFE_WEIGHT: f64 = 4.0;
const PERIODICITY_WEIGHT: f64 = 1.0;
const HUNDRED_CENTS_WEIGHT: f64 = 0.5;
const DISTURBANCE_WEIGHT: f64 = 2.0;

/// F0 RMSE that counts for a clip of whose voice nothing is left, in cents.
const LOST_CENTS: f64 = 200.0;

/// The mean distance of rendered clips from their recordings, and its parts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Distance {
    /// 3 LS-MAE + MR-STFT + 4 FFE + periodicity error + F0 RMSE / 200 cents + 2 disturbance.
    pub total: f64,
    /// As [`metrics::Comparison::ls_mae`].
    pub ls_mae: f64,
    /// As [`metrics::Comparison::mr_stft`].
    pub mr_stft: f64,
    /// As [`metrics::Comparison::ffe`].
    pub ffe: f64,
    /// As [`metrics::Comparison::f0_rmse_cents`].
    pub f0_rmse_cents: f64,
    /// As [`metrics::Comparison::periodicity_rmse`].
    pub periodicity_rmse: f64,
    /// What [`metrics::Disturbance::loss`] says: after PESQ.
    pub disturbance: f64,
}

/// The clips that candidates are judged by.
pub(super) struct Judge {
    clips: Vec<Judged>,
    sample_rate: u32,
}

struct Judged {
    mel: Mel,
    /// At [`SAMPLE_RATE`].
    recording: Vec<f32>,
    pitch: Vec<Frame>,
}

impl Judge {
    /// Two seconds from the middle of up to `count` of `clips`, evenly chosen.
    ///
    /// # Errors
    /// No clip is long enough.
    pub fn new(mel: &MelConfig, clips: &[Clip], count: usize) -> Result<Self> {
        let mut extractor = MelExtractor::new(mel)?;
        let length = CLIP_SECONDS * mel.sample_rate as usize;
        let long: Vec<&Clip> = clips.iter().filter(|clip| clip.samples.len() >= length).collect();
        if long.is_empty() {
            return Err(Error::mismatch(
                "data to learn a schedule from",
                format!("at least one clip of {CLIP_SECONDS} s or more"),
                format!("{} clips, all shorter", clips.len()),
            ));
        }
        let count = count.clamp(1, long.len());
        let mut judged = Vec::new();
        for clip in (0..count).map(|i| long[i * long.len() / count]) {
            // The middle: clips begin and end in silence.
            let from = (clip.samples.len() - length) / 2;
            let samples: Vec<f32> =
                clip.samples[from..from + length].iter().map(|v| f32::from(*v) / 32767.0).collect();
            let recording = resample(&samples, mel.sample_rate, SAMPLE_RATE)?;
            let pitch = pitch::track(&recording)?;
            judged.push(Judged { mel: extractor.extract(&samples)?, recording, pitch });
        }
        Ok(Self { clips: judged, sample_rate: mel.sample_rate })
    }

    /// The recordings, each two seconds at [`SAMPLE_RATE`].
    pub fn recordings(&self) -> impl Iterator<Item = &[f32]> {
        self.clips.iter().map(|clip| &clip.recording[..])
    }

    /// The clips as `render` makes them from their mels, at [`SAMPLE_RATE`] and of the recordings' length.
    ///
    /// # Errors
    /// As those of `render`.
    pub fn sounds(
        &self,
        render: impl Fn(&Mel) -> Result<Vec<f32>> + Sync,
    ) -> Result<Vec<Vec<f32>>> {
        let sound = |clip: &Judged| {
            let mut sound = resample(&render(&clip.mel)?, self.sample_rate, SAMPLE_RATE)?;
            sound.resize(clip.recording.len(), 0.0);
            Ok(sound)
        };
        self.clips.par_iter().map(sound).collect()
    }

    /// The mean distance of `sounds` from the recordings.
    ///
    /// # Errors
    /// Sounds that are not finite.
    pub fn distance(&self, sounds: &[Vec<f32>]) -> Result<Distance> {
        let pairs = self.clips.par_iter().zip(sounds);
        let distances: Result<Vec<Distance>> =
            pairs.map(|(clip, sound)| of_clip(clip, sound)).collect();
        Ok(mean(&distances?))
    }
}

fn of_clip(clip: &Judged, sound: &[f32]) -> Result<Distance> {
    let spectra = metrics::log_mel(&clip.recording, sound)?;
    let voices = metrics::of_tracks(&clip.pitch, &pitch::track(sound)?);
    let cents = voices.f0_rmse_cents;
    Ok(Distance {
        total: 0.0,
        ls_mae: spectra.mae,
        mr_stft: metrics::mr_stft(&clip.recording, sound),
        ffe: voices.ffe,
        f0_rmse_cents: if cents.is_nan() { LOST_CENTS } else { cents },
        periodicity_rmse: voices.periodicity_rmse,
        disturbance: metrics::disturbance(&clip.recording, sound)?.loss(),
    }
    .summed())
}

impl Distance {
    fn summed(self) -> Self {
        let total = LS_MAE_WEIGHT * self.ls_mae
            + self.mr_stft
            + FFE_WEIGHT * self.ffe
            + PERIODICITY_WEIGHT * self.periodicity_rmse
            + HUNDRED_CENTS_WEIGHT * self.f0_rmse_cents / 100.0
            + DISTURBANCE_WEIGHT * self.disturbance;
        Self { total, ..self }
    }
}

fn mean(distances: &[Distance]) -> Distance {
    let of = |part: fn(&Distance) -> f64| {
        distances.iter().map(part).sum::<f64>() / distances.len() as f64
    };
    Distance {
        total: 0.0,
        ls_mae: of(|d| d.ls_mae),
        mr_stft: of(|d| d.mr_stft),
        ffe: of(|d| d.ffe),
        f0_rmse_cents: of(|d| d.f0_rmse_cents),
        periodicity_rmse: of(|d| d.periodicity_rmse),
        disturbance: of(|d| d.disturbance),
    }
    .summed()
}
