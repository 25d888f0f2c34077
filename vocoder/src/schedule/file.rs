//! Schedules in JSON files: `[levels …]`, `{"levels": […]}` or `{"betas": […]}`, the last two with
//! `"scales": […]` or without.

use std::path::Path;

use serde::Deserialize;

use super::Schedule;
use crate::{Error, Result};

/// A schedule under the name of what it lists. `vocoder schedule show --json` writes both, and more.
#[derive(Deserialize)]
struct Keyed {
    levels: Option<Vec<f64>>,
    betas: Option<Vec<f64>>,
    scales: Option<Vec<f64>>,
}

impl Schedule {
    /// Reads a schedule from a JSON file: a list of numbers or `{"levels": [numbers]}` is levels,
    /// noisiest first; `{"betas": [numbers]}` is betas, beta_1 (the cleanest step) first. Both may be
    /// there if they agree, `"scales"` in the order of the levels, and other keys, as in what
    /// `vocoder schedule show --json` prints.
    ///
    /// # Errors
    /// The file cannot be read, is none of these, or its numbers make no schedule.
    pub fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).map_err(|source| Error::io(path, source))?;
        Self::from_json(&text).map_err(|error| Error::file(path, error.to_string()))
    }

    /// As [`Schedule::read`], from the text of the file.
    ///
    /// # Errors
    /// The text is no such JSON, or its numbers make no schedule.
    pub fn from_json(text: &str) -> Result<Self> {
        let wrong = |got: String| {
            let expected = "a JSON list of levels, {\"levels\": [...]} or {\"betas\": [...]}";
            Error::mismatch("schedule", expected, got)
        };
        let not_json = |error: serde_json::Error| wrong(error.to_string());
        if text.trim_start().starts_with('{') {
            let Keyed { levels, betas, scales } = serde_json::from_str(text).map_err(not_json)?;
            let levels = levels.map(Self::explicit).transpose()?;
            let betas = betas.map(|betas| Self::from_betas(&betas)).transpose()?;
            let schedule = match (levels, betas) {
                (Some(a), Some(b)) if !a.is_near(&b) => Err(wrong("both, which differ".into())),
                (Some(schedule), _) | (None, Some(schedule)) => Ok(schedule),
                (None, None) => Err(wrong("neither".into())),
            }?;
            match scales {
                Some(scales) => schedule.scaled(scales),
                None => Ok(schedule),
            }
        } else {
            Self::explicit(serde_json::from_str::<Vec<f64>>(text).map_err(not_json)?)
        }
    }

    /// Whether it has the levels of `other`, but for what printing and converting them rounds.
    fn is_near(&self, other: &Self) -> bool {
        let close = |(a, b): (&f64, &f64)| (a - b).abs() < 1e-6;
        self.steps() == other.steps() && self.levels().iter().zip(other.levels()).all(close)
    }
}
