//! Where the axes' labels go.

use crate::mel::{MelConfig, filter_bank};

/// The frequencies worth a label, in kHz, the most telling first.
const KHZ: &[f64] = &[1.0, 4.0, 0.5, 2.0, 8.0, 12.0, 0.2, 16.0, 3.0, 6.0, 0.1, 10.0];
/// Least distance between two labels on the frequency axis, in pixels.
const LABEL_DISTANCE: f64 = 30.0;

/// The frequency axis of a mel: bands are evenly spaced, whatever the mel's scale.
pub struct BandAxis {
    /// Centre of gravity of each band, in Hz.
    centres: Vec<f64>,
}

impl BandAxis {
    /// The axis of mels of `config`.
    pub fn new(config: &MelConfig) -> Self {
        let bin_hz = f64::from(config.sample_rate) / config.n_fft as f64;
        let centres = filter_bank(config)
            .chunks(config.n_fft / 2 + 1)
            .map(|band| {
                let sum: f64 = band.iter().map(|&w| f64::from(w)).sum();
                let moment: f64 =
                    band.iter().enumerate().map(|(k, &w)| k as f64 * bin_hz * f64::from(w)).sum();
                // A band narrower than a bin may be empty: it has no centre and takes no label.
                moment / sum
            })
            .collect();
        Self { centres }
    }

    /// How far up the axis `hz` lies, from 0 to 1; none if it is off the axis.
    pub fn part_of_hz(&self, hz: f64) -> Option<f64> {
        let bands = self.centres.len() as f64;
        let (below, pair) =
            self.centres.windows(2).enumerate().find(|(_, pair)| pair[0] <= hz && hz <= pair[1])?;
        let within = (hz - pair[0]) / (pair[1] - pair[0]).max(f64::MIN_POSITIVE);
        Some((below as f64 + 0.5 + within) / bands)
    }

    /// The labels that fit an axis of `pixels` pixels, in kHz.
    pub fn khz_ticks(&self, pixels: i32) -> Vec<f64> {
        let mut taken: Vec<(f64, f64)> = Vec::new();
        for &khz in KHZ {
            let Some(part) = self.part_of_hz(khz * 1000.0) else { continue };
            let at = part * f64::from(pixels);
            if taken.iter().all(|(_, other)| (other - at).abs() >= LABEL_DISTANCE) {
                taken.push((khz, at));
            }
        }
        taken.into_iter().map(|(khz, _)| khz).collect()
    }
}

/// The labels of a time axis of `length` seconds on `pixels` pixels: multiples of 1, 2 or 5 times a
/// power of ten, about 110 pixels apart or more.
pub fn seconds_ticks(length: f64, pixels: i32) -> Vec<f64> {
    let least = length * 110.0 / f64::from(pixels);
    let steps = (-2..6).flat_map(|power| [1.0, 2.0, 5.0].map(|unit| unit * 10f64.powi(power)));
    let step = steps.into_iter().find(|&step| step >= least).unwrap_or(length);
    let count = (length / step + 1e-9) as usize;
    // Rounded to the hundredth, so that 3 x 0.1 is told as 0.3.
    (0..=count).map(|i| (i as f64 * step * 100.0).round() / 100.0).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// On the Slaney scale 20 Hz is 0.3 mel, 1 kHz is 15 and 12 kHz is 51.14 (15 + 27 ln 12 / ln
    /// 6.4), and band m of 128 is centred on (m + 1) / 129 of the way.
    #[test]
    fn one_khz_lies_where_the_slaney_scale_puts_it() {
        let axis = BandAxis::new(&MelConfig::default());
        let band = (15.0 - 0.3) / (51.143 - 0.3) * 129.0 - 1.0;
        let expected = (band + 0.5) / 128.0;
        assert!((axis.part_of_hz(1000.0).unwrap() - expected).abs() < 2e-3);
        assert_eq!(axis.part_of_hz(13_000.0), None);
        assert_eq!(axis.part_of_hz(1.0), None);
    }

    #[test]
    fn frequency_labels_keep_their_distance() {
        for name in MelConfig::PRESETS {
            let axis = BandAxis::new(&MelConfig::preset(name).unwrap());
            let mut at: Vec<f64> = axis
                .khz_ticks(300)
                .into_iter()
                .map(|khz| axis.part_of_hz(khz * 1000.0).unwrap() * 300.0)
                .collect();
            at.sort_by(f64::total_cmp);
            assert!(at.len() >= 4, "{name}");
            assert!(at.windows(2).all(|pair| pair[1] - pair[0] >= LABEL_DISTANCE), "{name}");
        }
    }

    #[test]
    fn time_labels_are_round_numbers() {
        assert_eq!(seconds_ticks(0.9, 600), [0.0, 0.2, 0.4, 0.6, 0.8]);
        assert_eq!(seconds_ticks(3.0, 600), [0.0, 1.0, 2.0, 3.0]);
        assert_eq!(
            seconds_ticks(3600.0, 1000),
            [0.0, 500.0, 1000.0, 1500.0, 2000.0, 2500.0, 3000.0, 3500.0,]
        );
        assert_eq!(seconds_ticks(0.0, 600), [0.0]);
    }
}
