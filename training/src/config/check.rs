//! Which values make sense.

use super::{Distillation, LevelDraw, TrainConfig, Weighting};
use crate::stft;
use vocoder::guidance::MAX_WEIGHT;
use vocoder::{Error, Result};

impl TrainConfig {
    /// Checks ranges, and that mel and model fit each other.
    ///
    /// # Errors
    /// The first key that is out of range.
    pub fn validate(&self) -> Result<()> {
        self.mel.validate()?;
        self.model.validate(self.mel.hop)?;
        if self.model.n_mels != self.mel.n_mels {
            return Err(Error::mismatch("model.n_mels", self.mel.n_mels, self.model.n_mels));
        }
        let o = &self.optimiser;
        let checks = [
            ("steps", self.steps >= 1, "at least 1"),
            ("batch", (1..=65_536).contains(&self.batch), "1 to 65536"),
            ("crop_frames", (1..=4096).contains(&self.crop_frames), "1 to 4096"),
            ("workers", (1..=256).contains(&self.workers), "1 to 256"),
            (
                "gain_db",
                self.gain_db[0] <= self.gain_db[1] && self.gain_db.iter().all(|g| g.abs() <= 60.0),
                "a range within -60 to 60",
            ),
            (
                "optimiser.learning_rate",
                o.learning_rate > 0.0 && o.learning_rate <= 1.0,
                "above 0, at most 1",
            ),
            ("optimiser.final_rate", (0.0..=1.0).contains(&o.final_rate), "0 to 1"),
            ("optimiser.beta1", (0.0..1.0).contains(&o.beta1), "at least 0, below 1"),
            ("optimiser.beta2", (0.0..1.0).contains(&o.beta2), "at least 0, below 1"),
            ("optimiser.weight_decay", (0.0..=1.0).contains(&o.weight_decay), "0 to 1"),
            ("optimiser.clip", o.clip > 0.0, "above 0"),
            ("optimiser.ema", (0.0..1.0).contains(&o.ema), "at least 0, below 1"),
            ("optimiser.accumulate", (1..=65_536).contains(&o.accumulate), "1 to 65536"),
            ("mel_dropout", (0.0..=1.0).contains(&self.mel_dropout), "0 to 1"),
            ("stft", (0.0..=1000.0).contains(&self.stft), "0 to 1000"),
            ("saving.every", self.saving.every >= 1, "at least 1"),
            ("saving.keep", self.saving.keep >= 1, "at least 1"),
            ("saving.validate_every", self.saving.validate_every >= 1, "at least 1"),
            (
                "saving.preview_seconds",
                (0.5..=60.0).contains(&self.saving.preview_seconds),
                "0.5 to 60",
            ),
        ];
        let distilled = match self.distill {
            None => ("distill", true, ""),
            Some(Distillation::Progressive { steps }) => {
                ("distill.progressive.steps", (1..=50).contains(&steps), "1 to 50")
            }
            Some(Distillation::Consistency { levels }) => {
                ("distill.consistency.levels", (2..=1000).contains(&levels), "2 to 1000")
            }
            Some(Distillation::Guidance { weight }) => {
                let fine = (0.0..=f64::from(MAX_WEIGHT)).contains(&weight) && weight != 1.0;
                ("distill.guidance.weight", fine, "0 to 100, and not 1, which is no guidance")
            }
        };
        for (key, fine, expected) in checks.into_iter().chain([distilled]) {
            if !fine {
                return Err(Error::config(key, format!("expected {expected}")));
            }
        }
        if let Weighting::MinSnr { gamma } = self.weighting
            && !(gamma > 0.0 && gamma.is_finite())
        {
            let reason = format!("expected above 0, got {gamma}");
            return Err(Error::config("weighting.min-snr.gamma", reason));
        }
        let shortest = stft::LONGEST_WINDOW.div_ceil(self.mel.hop);
        if self.stft > 0.0 && self.crop_frames < shortest {
            let reason = format!(
                "expected at least {shortest} for the windows of `stft`, got {}",
                self.crop_frames
            );
            return Err(Error::config("crop_frames", reason));
        }
        self.levels.validate()
    }
}

impl LevelDraw {
    fn validate(&self) -> Result<()> {
        match *self {
            LevelDraw::LogSnr { min, max } | LevelDraw::LogSnrLaplace { min, max, .. }
                if !(min < max && min.abs() <= 10.0 && max.abs() <= 10.0) =>
            {
                let reason =
                    format!("expected min below max, within -10 to 10, got {min} and {max}");
                Err(Error::config("levels", reason))
            }
            LevelDraw::LogSnrLaplace { centre, scale, min, max }
                if !((min..=max).contains(&centre) && scale > 0.0 && scale.is_finite()) =>
            {
                let reason = format!(
                    "expected a centre within {min} to {max} and a scale above 0, got {centre} and {scale}"
                );
                Err(Error::config("levels.log-snr-laplace", reason))
            }
            LevelDraw::Hierarchical { first_beta, last_beta, steps }
                if !(0.0 < first_beta
                    && first_beta <= last_beta
                    && last_beta < 1.0
                    && (1..=100_000).contains(&steps)) =>
            {
                let reason = format!(
                    "expected 0 < first_beta <= last_beta < 1 in 1 to 100000 steps, got {first_beta}, {last_beta}, {steps}"
                );
                Err(Error::config("levels.hierarchical", reason))
            }
            _ => Ok(()),
        }
    }
}
