//! Judging weights on held-out clips, at fixed noise levels and with fixed noise.

use crate::batch::{Batch, BatchMaker};
use crate::config::TrainConfig;
use crate::corpus::Clip;
use crate::distill::Distiller;
use crate::objective::Objective;
use std::sync::Arc;
use vocoder::Result;
use vocoder::network::{Network, Weights};

/// Noise levels at which validation looks: strong, middle and weak noise.
const LEVELS: [f64; 4] = [0.2, 0.7, 0.95, 0.999];

/// Judges weights on evenly spaced crops of held-out clips.
pub struct Validator {
    config: TrainConfig,
    /// None where nothing is held out.
    maker: Option<BatchMaker>,
    distiller: Option<Arc<Distiller>>,
    /// What a student is judged by: made once, for the teacher does not change.
    references: Vec<(f64, Batch)>,
}

/// How far predicted noise is from the true one, or a student's from that which leads where its teacher
/// goes.
#[derive(Debug, Clone, PartialEq)]
pub struct Judgement {
    /// Mean over the levels.
    pub loss: f64,
    /// Noise levels, and the distance at each.
    pub by_level: Vec<(f64, f64)>,
}

impl Validator {
    /// A judge on `clips`, which may be none.
    ///
    /// # Errors
    /// A config out of range.
    pub fn new(config: &TrainConfig, clips: Arc<Vec<Clip>>) -> Result<Self> {
        let maker = match clips.is_empty() || config.saving.validate_crops == 0 {
            true => None,
            // Each crop as it is, whatever gain training keeps its clip at.
            false => {
                let config = TrainConfig { keep_clips: false, ..config.clone() };
                Some(BatchMaker::new(&config, clips)?)
            }
        };
        let (config, references) = (config.clone(), Vec::new());
        Ok(Validator { config, maker, distiller: None, references })
    }

    /// Judges by what a teacher does, if there is one, at up to four of the student's levels.
    #[must_use]
    pub fn taught_by(mut self, distiller: Option<Arc<Distiller>>) -> Self {
        self.distiller = distiller;
        self
    }

    /// Judges `weights`, if there is anything to judge on.
    ///
    /// # Errors
    /// A device that fails.
    pub fn judge(&mut self, weights: &Weights) -> Result<Option<Judgement>> {
        let Some(maker) = &mut self.maker else { return Ok(None) };
        let crops = self.config.saving.validate_crops;
        if let (Some(distiller), true) = (&self.distiller, self.references.is_empty()) {
            let levels = distiller.levels();
            for level in spread(if levels.is_empty() { &LEVELS } else { &levels }) {
                let batch = maker.make_even(crops, level)?;
                self.references.push((level, distiller.reference(&batch)?));
            }
        }
        let network = Network::new(&self.config.model, weights)?;
        let objective = Objective::new(&self.config, network.device())?;
        let mut by_level = Vec::new();
        for (level, batch) in &self.references {
            by_level.push((*level, objective.noise_distance(&network, batch)?));
        }
        if self.references.is_empty() {
            for level in LEVELS {
                let batch = maker.make_even(crops, level)?;
                by_level.push((level, objective.noise_distance(&network, &batch)?));
            }
        }
        let loss = by_level.iter().map(|(_, loss)| loss).sum::<f64>() / by_level.len() as f64;
        Ok(Some(Judgement { loss, by_level }))
    }
}

/// As many of `levels` as [`LEVELS`] has, evenly chosen, or all if they are fewer.
fn spread(levels: &[f64]) -> Vec<f64> {
    let count = levels.len().min(LEVELS.len());
    (0..count).map(|i| levels[i * levels.len() / count]).collect()
}
