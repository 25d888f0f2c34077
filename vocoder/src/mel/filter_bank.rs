//! The triangular bands, dense for those who invert them and sparse for those who sum them.

use super::{MelConfig, MelNorm, MelScale};

/// The weights of the bands, `[n_mels][n_fft / 2 + 1]`, band after band.
///
/// They come from `mel_spec`'s `mel`, which equals librosa's `filters.mel` to 1e-15. The rest of
/// that crate follows Whisper's conventions (symmetric window, zero padding), so it is not used.
pub fn filter_bank(config: &MelConfig) -> Vec<f32> {
    mel_spec::mel::mel(
        f64::from(config.sample_rate),
        config.n_fft,
        config.n_mels,
        Some(f64::from(config.f_min_hz)),
        Some(f64::from(config.f_max_hz)),
        config.scale == MelScale::Htk,
        config.norm == MelNorm::Slaney,
    )
    .iter()
    .map(|&weight| weight as f32)
    .collect()
}

/// The same bands without their zeros: each is one run of neighbouring bins.
#[derive(Clone, Debug)]
pub(super) struct SparseFilterBank {
    bands: Vec<Band>,
}

#[derive(Clone, Debug)]
struct Band {
    first_bin: usize,
    weights: Vec<f32>,
}

impl SparseFilterBank {
    pub(super) fn new(config: &MelConfig) -> Self {
        let dense = filter_bank(config);
        let bands = dense.chunks(config.n_fft / 2 + 1).map(Band::from_row).collect();
        SparseFilterBank { bands }
    }

    /// The band sums of `spectrum` (`n_fft / 2 + 1` bins) into `out` (`n_mels`).
    pub(super) fn apply(&self, spectrum: &[f32], out: &mut [f32]) {
        for (value, band) in out.iter_mut().zip(&self.bands) {
            let bins = &spectrum[band.first_bin..band.first_bin + band.weights.len()];
            *value = bins.iter().zip(&band.weights).map(|(bin, weight)| bin * weight).sum();
        }
    }
}

impl Band {
    fn from_row(row: &[f32]) -> Self {
        let first_bin = row.iter().position(|&weight| weight != 0.0).unwrap_or(0);
        let end = row.iter().rposition(|&weight| weight != 0.0).map_or(first_bin, |last| last + 1);
        Band { first_bin, weights: row[first_bin..end].to_vec() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two HTK bands over 0 to 4 kHz at 8 kHz, by hand: edges in mel are 0, 715.4, 1430.7, 2146.1.
    #[test]
    fn two_bands_by_hand() {
        let config = MelConfig {
            sample_rate: 8_000,
            n_mels: 2,
            n_fft: 8,
            window: 8,
            hop: 2,
            f_min_hz: 0.0,
            f_max_hz: 4_000.0,
            scale: MelScale::Htk,
            norm: MelNorm::None,
            ..MelConfig::default()
        };
        let edge = |part: f64| {
            let top = 2595.0 * (1.0 + 4000.0 / 700.0f64).log10();
            700.0 * (10f64.powf(top * part / 3.0 / 2595.0) - 1.0)
        };
        let bank = filter_bank(&config);
        let bins = [0.0, 1000.0, 2000.0, 3000.0, 4000.0];
        for band in 0..2 {
            let [low, mid, high] = [0.0, 1.0, 2.0].map(|i| edge(band as f64 + i));
            for (k, hz) in bins.iter().enumerate() {
                let up = (hz - low) / (mid - low);
                let down = (high - hz) / (high - mid);
                let expected = up.min(down).max(0.0) as f32;
                assert!((bank[band * 5 + k] - expected).abs() < 1e-6, "band {band} bin {k}");
            }
        }
    }

    #[test]
    fn sparse_equals_dense() {
        for name in MelConfig::PRESETS {
            let Ok(config) = MelConfig::preset(name) else { unreachable!() };
            let bins = config.n_fft / 2 + 1;
            let spectrum: Vec<f32> = (0..bins).map(|k| ((k * 37) % 101) as f32).collect();
            let mut sparse = vec![0.0; config.n_mels];
            SparseFilterBank::new(&config).apply(&spectrum, &mut sparse);
            for (row, got) in filter_bank(&config).chunks(bins).zip(&sparse) {
                let expected: f64 = row.iter().zip(&spectrum).map(|(w, s)| f64::from(w * s)).sum();
                assert!((f64::from(*got) - expected).abs() <= 1e-5 * expected.abs(), "{name}");
            }
        }
    }
}
