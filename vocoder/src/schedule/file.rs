//! Schedules in JSON files: `[levels …]`, `{"levels": […]}` or `{"betas": […]}`.

use std::path::Path;

use serde::Deserialize;

use super::Schedule;
use crate::{Error, Result};

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "lowercase")]
enum Keyed {
    Levels(Vec<f64>),
    Betas(Vec<f64>),
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
        let wrong = |error: serde_json::Error| {
            Error::mismatch(
                "schedule",
                "a JSON list of levels, {\"levels\": [...]} or {\"betas\": [...]}",
                error,
            )
        };
        if text.trim_start().starts_with('{') {
            match serde_json::from_str(text).map_err(wrong)? {
                Keyed::Levels(levels) => Self::explicit(levels),
                Keyed::Betas(betas) => Self::from_betas(&betas),
            }
        } else {
            Self::explicit(serde_json::from_str::<Vec<f64>>(text).map_err(wrong)?)
        }
    }
}
