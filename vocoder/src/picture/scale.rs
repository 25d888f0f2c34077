//! The two colour scales: level, and difference of level.

use plotters::style::RGBColor;

use super::colour::{diverging, magma};

/// What a colour stands for.
#[derive(Clone, Copy)]
pub enum Scale {
    /// Levels from this one, the loudest, to 80 dB below.
    Level {
        /// In dB.
        top_db: f32,
    },
    /// Differences of levels within +-20 dB.
    Difference,
}

impl Scale {
    /// Range of the levels below the top, in dB.
    pub const RANGE_DB: f32 = 80.0;

    /// Range of differences on either side, in dB.
    const REACH_DB: f32 = 20.0;

    /// The colour of a level or of a difference, in dB.
    pub fn colour(self, db: f32) -> RGBColor {
        match self {
            Self::Level { top_db } => magma((db - top_db) / Self::RANGE_DB + 1.0),
            Self::Difference => diverging(db / Self::REACH_DB),
        }
    }

    /// The values at the bar's bottom and top, in dB.
    pub fn ends(self) -> (f32, f32) {
        match self {
            Self::Level { top_db } => (top_db - Self::RANGE_DB, top_db),
            Self::Difference => (-Self::REACH_DB, Self::REACH_DB),
        }
    }

    /// The labels of its bar from the top down, evenly spaced.
    pub fn labels(self) -> [&'static str; 5] {
        match self {
            Self::Level { .. } => ["0", "−20", "−40", "−60", "−80"],
            Self::Difference => ["+20", "+10", "0", "−10", "−20"],
        }
    }
}
