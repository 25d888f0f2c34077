//! Schedules in JSON files: `[levels …]`, `{"levels": […]}` or `{"betas": […]}`.

use std::path::Path;

use serde::Deserialize;

use super::Schedule;
use crate::{Error, Result};

/// A schedule under the name of what it lists. `vocoder schedule show --json` writes both, and more.
#[derive(Deserialize)]
struct Keyed {
    levels: Option<Vec<f64>>,
    betas: Option<Vec<f64>>,
}

impl Schedule {
    /// Reads a schedule from a JSON file: a list of numbers or `{"levels": [numbers]}` is levels,
    /// noisiest first; `{"betas": [numbers]}` is betas, beta_1 (the cleanest step) first.
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
            match serde_json::from_str(text).map_err(not_json)? {
                Keyed { levels: Some(levels), betas: None } => Self::explicit(levels),
                Keyed { levels: None, betas: Some(betas) } => Self::from_betas(&betas),
                Keyed { levels: Some(levels), betas: Some(betas) } => {
                    let (schedule, other) = (Self::explicit(levels)?, Self::from_betas(&betas)?);
                    let close = |(a, b): (&f64, &f64)| (a - b).abs() < 1e-6;
                    let same = schedule.steps() == other.steps()
                        && schedule.levels().iter().zip(other.levels()).all(close);
                    if same {
                        Ok(schedule)
                    } else {
                        Err(wrong("levels and betas that differ".into()))
                    }
                }
                _ => Err(wrong("neither levels nor betas".into())),
            }
        } else {
            Self::explicit(serde_json::from_str::<Vec<f64>>(text).map_err(not_json)?)
        }
    }
}
