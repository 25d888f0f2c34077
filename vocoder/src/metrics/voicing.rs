//! How two clips differ in pitch and voicing.

use super::pitch::{Frame, track};
use crate::Result;

/// How far off a pitch may be before it counts as another one, not as a wrong one: a fifth (Chu &
/// Alwan 2009).
const GROSS: f64 = 0.2;

/// How far a frame's energy may be below the reference's loudest for its periodicity to count: 45 dB.
const ACTIVE: f64 = 3.162_277_66e-5;

/// Differences in pitch and voicing, over frames of 5 ms.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct VoicingDistance {
    /// Root mean square difference of the pitch, in cents, over the frames that both clips voice
    /// within a fifth of each other. NaN where there is none.
    pub f0_rmse_cents: f64,
    /// F1 score of the decision voiced or not: 2 both / (reference + generated). 0 where none is.
    pub vuv_f1: f64,
    /// Share of the frames that one clip voices and the other does not, 0 to 1 (the voicing decision
    /// error of Chu & Alwan 2009).
    pub voicing_error: f64,
    /// F0 frame error, 0 to 1: the voicing error, and the share of frames that both clips voice more
    /// than a fifth apart (Chu & Alwan 2009).
    pub ffe: f64,
    /// Root mean square difference of the periodicity, 0 to 1, over the frames within 45 dB of the
    /// reference's loudest (after Morrison et al. 2022, who take another estimate of periodicity).
    pub periodicity_rmse: f64,
}

/// Compares two clips of one length at [`SAMPLE_RATE`](super::SAMPLE_RATE), as they lie.
///
/// # Errors
/// Samples that are not finite.
pub fn voicing(reference: &[f32], generated: &[f32]) -> Result<VoicingDistance> {
    Ok(of_tracks(&track(reference)?, &track(generated)?))
}

/// As [`voicing`], of clips whose [pitch](super::pitch) is known.
pub fn of_tracks(reference: &[Frame], generated: &[Frame]) -> VoicingDistance {
    let loudest = reference.iter().map(|frame| frame.energy).fold(0.0, f64::max);
    let (mut frames, mut both, mut one, mut voiced, mut gross) = (0.0, 0.0, 0.0, 0.0, 0.0);
    let (mut cents, mut fine) = (0.0, 0.0);
    let (mut periodicity, mut active) = (0.0, 0.0);
    for (a, b) in reference.iter().zip(generated) {
        frames += 1.0;
        let (in_a, in_b) = (a.f0_hz > 0.0, b.f0_hz > 0.0);
        voiced += f64::from(u8::from(in_a) + u8::from(in_b));
        if in_a != in_b {
            one += 1.0;
        } else if in_a {
            both += 1.0;
            let ratio = b.f0_hz / a.f0_hz;
            if (ratio - 1.0).abs() > GROSS {
                gross += 1.0;
            } else {
                fine += 1.0;
                cents += (1200.0 * ratio.log2()).powi(2);
            }
        }
        if a.energy > loudest * ACTIVE {
            active += 1.0;
            periodicity += (a.periodicity - b.periodicity).powi(2);
        }
    }
    VoicingDistance {
        f0_rmse_cents: (cents / fine).sqrt(),
        vuv_f1: 2.0 * both / f64::max(voiced, 1.0),
        voicing_error: one / f64::max(frames, 1.0),
        ffe: (one + gross) / f64::max(frames, 1.0),
        periodicity_rmse: (periodicity / f64::max(active, 1.0)).sqrt(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(f0_hz: f64, periodicity: f64, energy: f64) -> Frame {
        Frame { f0_hz, periodicity, energy }
    }

    /// Worked by hand: of five frames two are voiced in both, one of them an octave off.
    #[test]
    fn counts_are_the_hand_worked_ones() {
        let a = [
            frame(100.0, 0.9, 1.0),
            frame(200.0, 0.8, 1.0),
            frame(150.0, 0.8, 1.0),
            frame(0.0, 0.2, 1.0),
            // Silent: its periodicity does not count.
            frame(0.0, 0.1, 1e-6),
        ];
        let b = [
            frame(101.0, 0.7, 1.0),
            frame(100.0, 0.8, 1.0),
            frame(0.0, 0.4, 1.0),
            frame(0.0, 0.2, 1.0),
            frame(0.0, 0.9, 1.0),
        ];
        let d = of_tracks(&a, &b);
        let close = |value: f64, expected: f64| (value - expected).abs() < 1e-6;
        // 1200 log2(1.01)
        assert!(close(d.f0_rmse_cents, 17.226_352), "{d:?}");
        assert!(close(d.vuv_f1, 4.0 / 5.0) && close(d.voicing_error, 0.2) && close(d.ffe, 0.4));
        // sqrt((0.2^2 + 0.4^2) / 4)
        assert!(close(d.periodicity_rmse, 0.05f64.sqrt()), "{d:?}");
    }

    #[test]
    fn nothing_voiced_is_told() {
        let d = of_tracks(&[frame(0.0, 0.1, 1.0); 3], &[frame(0.0, 0.1, 1.0); 3]);
        assert!(d.f0_rmse_cents.is_nan());
        assert_eq!((d.vuv_f1, d.voicing_error, d.ffe, d.periodicity_rmse), (0.0, 0.0, 0.0, 0.0));
        assert_eq!(of_tracks(&[], &[]).ffe, 0.0);
    }
}
