//! Means with their uncertainty.

use serde::Serialize;

/// A mean and its 95 % confidence interval, mean +- half_width.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct MeanInterval {
    /// The mean.
    pub mean: f64,
    /// Half the width of the interval; none for a single value.
    pub half_width: Option<f64>,
    /// How many values there were.
    pub count: usize,
}

/// The mean of the finite ones among `values`, with Student's 95 % interval; none if there is none.
pub fn mean_interval(values: &[f64]) -> Option<MeanInterval> {
    let finite: Vec<f64> = values.iter().copied().filter(|v| v.is_finite()).collect();
    let count = finite.len();
    if count == 0 {
        return None;
    }
    let mean = finite.iter().sum::<f64>() / count as f64;
    let half_width = (count > 1).then(|| {
        let freedom = (count - 1) as f64;
        let variance = finite.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / freedom;
        student_quantile(count - 1) * (variance / count as f64).sqrt()
    });
    Some(MeanInterval { mean, half_width, count })
}

/// The 97.5 % point of Student's distribution with `freedom` (at least 1) degrees of freedom, to
/// 1e-4: a table, then the expansion of Abramowitz & Stegun 26.7.5.
fn student_quantile(freedom: usize) -> f64 {
    const TABLE: [f64; 8] =
        [12.706_205, 4.302_653, 3.182_446, 2.776_445, 2.570_582, 2.446_912, 2.364_624, 2.306_004];
    if let Some(quantile) = TABLE.get(freedom - 1) {
        return *quantile;
    }
    let (z, n) = (1.959_963_985_f64, freedom as f64);
    let term = |coefficients: &[f64], divisor: f64| {
        coefficients.iter().rev().fold(0.0, |sum, c| sum * z * z + c) * z / divisor
    };
    z + term(&[1.0, 1.0], 4.0) / n
        + term(&[3.0, 16.0, 5.0], 96.0) / n.powi(2)
        + term(&[-15.0, 17.0, 19.0, 3.0], 384.0) / n.powi(3)
        + term(&[-945.0, -1920.0, 1482.0, 776.0, 79.0], 92_160.0) / n.powi(4)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    /// scipy.stats.t.ppf(0.975, freedom)
    #[test]
    fn quantiles_are_scipys() {
        for (freedom, expected) in [
            (1, 12.706_205),
            (8, 2.306_004),
            (9, 2.262_157),
            (15, 2.131_450),
            (30, 2.042_272),
            (100, 1.983_972),
            (1_000_000, 1.959_966),
        ] {
            assert!((student_quantile(freedom) - expected).abs() < 1e-4, "{freedom}");
        }
    }

    #[test]
    fn interval_is_students() {
        // Mean 2.5, standard deviation 1.290994, t 3.182446, over the root of 4.
        let interval = mean_interval(&[1.0, 2.0, f64::NAN, 3.0, 4.0]).unwrap();
        assert_eq!((interval.mean, interval.count), (2.5, 4));
        assert!((interval.half_width.unwrap() - 2.054_26).abs() < 1e-4);
        assert_eq!(mean_interval(&[7.0]).unwrap().half_width, None);
        assert_eq!(mean_interval(&[f64::INFINITY]), None);
    }
}
