//! The figures of a comparison by name, and their means.

use std::collections::BTreeMap;

use serde::Serialize;
use vocoder::metrics::{Comparison, MeanInterval, mean_interval};

/// One figure.
pub struct Figure {
    /// In JSON.
    pub key: &'static str,
    /// In tables.
    pub title: &'static str,
    /// What is better.
    pub better: &'static str,
    /// In tables, the value times this, with so many digits.
    shown: (f64, usize),
    /// Where a comparison has it.
    pub of: fn(&Comparison) -> f64,
}

const fn figure(
    key: &'static str,
    title: &'static str,
    better: &'static str,
    shown: (f64, usize),
    of: fn(&Comparison) -> f64,
) -> Figure {
    Figure { key, title, better, shown, of }
}

/// Every figure; [`vocoder::metrics`] defines them.
pub const FIGURES: [Figure; 13] = [
    figure("ls_mae", "LS-MAE", "low", (1.0, 3), |c| c.ls_mae),
    figure("ls_mse", "LS-MSE", "low", (1.0, 3), |c| c.ls_mse),
    figure("mr_stft", "MR-STFT", "low", (1.0, 3), |c| c.mr_stft),
    figure("mcd13_db", "MCD13 dB", "low", (1.0, 2), |c| c.mcd13_db),
    figure("f0_rmse_cents", "F0 cents", "low", (1.0, 1), |c| c.f0_rmse_cents),
    figure("vuv_f1", "VUV-F1", "high", (1.0, 3), |c| c.vuv_f1),
    figure("voicing_error", "VDE %", "low", (100.0, 1), |c| c.voicing_error),
    figure("ffe", "FFE %", "low", (100.0, 1), |c| c.ffe),
    figure("periodicity_rmse", "periodicity", "low", (1.0, 3), |c| c.periodicity_rmse),
    figure("disturbance", "disturbance", "low", (1.0, 3), |c| c.disturbance),
    figure("lag_ms", "lag ms", "zero", (1.0, 1), |c| c.lag_ms),
    figure("level_db", "level dB", "zero", (1.0, 2), |c| c.level_db),
    figure("length_ms", "length ms", "zero", (1.0, 0), |c| c.length_ms),
];

/// One pair's figures.
#[derive(Serialize)]
pub struct Figures {
    /// The pair's name.
    pub file: String,
    /// Of the rendering.
    pub generated: Comparison,
    /// Of Griffin-Lim from the same mel.
    pub griffin_lim: Comparison,
}

impl Figure {
    /// As a cell of a table.
    pub fn cell(&self, comparison: &Comparison) -> String {
        self.told((self.of)(comparison))
    }

    fn told(&self, value: f64) -> String {
        let (scale, digits) = self.shown;
        if value.is_finite() { format!("{:.digits$}", scale * value) } else { "none".into() }
    }

    fn interval(&self, interval: Option<MeanInterval>) -> String {
        let Some(interval) = interval else { return "none".into() };
        let mean = self.told(interval.mean);
        interval.half_width.map_or(mean.clone(), |half| format!("{mean}±{}", self.told(half)))
    }
}

/// The side of a pair that a mean is of.
type Side = fn(&Figures) -> Comparison;

/// The means of one side, by key.
pub fn means(figures: &[Figures], side: Side) -> BTreeMap<&'static str, Option<MeanInterval>> {
    FIGURES.iter().map(|figure| (figure.key, mean(figures, |f| (figure.of)(&side(f))))).collect()
}

fn mean(figures: &[Figures], of: impl Fn(&Figures) -> f64) -> Option<MeanInterval> {
    mean_interval(&figures.iter().map(of).collect::<Vec<_>>())
}

/// The heads of [`file_rows`].
pub fn file_heads() -> Vec<&'static str> {
    std::iter::once("file").chain(FIGURES.iter().map(|figure| figure.title)).collect()
}

/// A row a file: the rendering's figures.
pub fn file_rows(figures: &[Figures]) -> Vec<Vec<String>> {
    let row = |f: &Figures| {
        let cells = FIGURES.iter().map(|figure| figure.cell(&f.generated));
        std::iter::once(f.file.clone()).chain(cells).collect()
    };
    figures.iter().map(row).collect()
}

/// The heads of [`mean_rows`].
pub const MEAN_HEADS: [&str; 5] =
    ["mean, 95 % interval", "rendering", "Griffin-Lim", "difference", "better"];

/// A row a figure: the means of both sides, and of the difference within each pair.
pub fn mean_rows(figures: &[Figures]) -> Vec<Vec<String>> {
    let row = |figure: &Figure| {
        let [ours, theirs]: [fn(&Figures) -> Comparison; 2] = [|f| f.generated, |f| f.griffin_lim];
        let of = |side: fn(&Figures) -> Comparison| mean(figures, |f| (figure.of)(&side(f)));
        let difference = mean(figures, |f| (figure.of)(&f.generated) - (figure.of)(&f.griffin_lim));
        vec![
            figure.title.to_string(),
            figure.interval(of(ours)),
            figure.interval(of(theirs)),
            figure.interval(difference),
            figure.better.to_string(),
        ]
    };
    FIGURES.iter().map(row).collect()
}
