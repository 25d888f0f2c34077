//! How the network is told the noise level.

use crate::config::LevelEncoding;

/// Half log-SNRs beyond this are as good as clean, or as good as pure noise.
pub(crate) const MAX_HALF_LOG_SNR: f64 = 10.0;

/// Sines, then cosines, of the level at frequencies from 1 down to 1e-4:
/// `[levels.len(), channels]`, flat.
///
/// WaveGrad section 3.3 after Vaswani et al. 2017, section 3.5; see [`LevelEncoding`] for the scale.
pub fn encode_level(encoding: &LevelEncoding, levels: &[f64], channels: usize) -> Vec<f32> {
    let half = channels / 2;
    let mut out = Vec::with_capacity(levels.len() * channels);
    for &level in levels {
        let position = match encoding {
            LevelEncoding::Level { scale } => scale * level,
            LevelEncoding::LogSnr { scale } => {
                let half_log_snr = (level / (1.0 - level * level).max(0.0).sqrt()).ln();
                scale * half_log_snr.clamp(-MAX_HALF_LOG_SNR, MAX_HALF_LOG_SNR)
            }
        };
        let angle = |k: usize| position * 10f64.powf(-4.0 * k as f64 / half as f64);
        out.extend((0..half).map(|k| angle(k).sin() as f32));
        out.extend((0..half).map(|k| angle(k).cos() as f32));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sines_come_first_and_frequencies_fall_by_powers_of_ten() {
        let encoded = encode_level(&LevelEncoding::Level { scale: 5000.0 }, &[0.5], 4);
        // Angles 2500 and 2500 * 10^-2 = 25.
        let expected = [2500f64.sin(), 25f64.sin(), 2500f64.cos(), 25f64.cos()];
        for (value, expected) in encoded.iter().zip(expected) {
            assert!((f64::from(*value) - expected).abs() < 1e-6);
        }
    }

    #[test]
    fn small_noise_is_told_apart() {
        // Noise of 0.001 and of 0.01: 5e-5 rad apart without the paper's factor.
        let levels = [0.001f64, 0.01].map(|noise| (1.0 - noise * noise).sqrt());
        let distance = |encoding| {
            let e = encode_level(&encoding, &levels, 32);
            e[..32].iter().zip(&e[32..]).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
        };
        assert!(distance(LevelEncoding::Level { scale: 1.0 }) < 1e-4);
        assert!(distance(LevelEncoding::Level { scale: 5000.0 }) > 0.1);
        assert!(distance(LevelEncoding::LogSnr { scale: 32.0 }) > 0.1);
    }

    #[test]
    fn the_ends_are_finite() {
        for level in [0.0, 1e-300, 1.0] {
            let encoded = encode_level(&LevelEncoding::LogSnr { scale: 32.0 }, &[level], 8);
            assert!(encoded.iter().all(|v| v.is_finite()));
        }
    }
}
