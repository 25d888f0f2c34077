#![allow(clippy::unwrap_used)]

use super::*;
use crate::noise::Noise;

fn noise(seed: u64, length: usize) -> Vec<f32> {
    let mut out = vec![0.0; length];
    Noise::new(seed).fill(0, 0, &mut out);
    out.iter_mut().for_each(|x| *x *= 0.1);
    out
}

#[test]
fn a_clip_equals_itself() {
    let clip = noise(1, 30_000);
    let same = compare(&clip, &clip, Level::Kept).unwrap();
    assert_eq!((same.ls_mae, same.ls_mse, same.mr_stft), (0.0, 0.0, 0.0));
    assert_eq!((same.lag_ms, same.length_ms), (0.0, 0.0));
    assert!(same.level_db.abs() < 1e-6);
}

/// Half the amplitude: every log magnitude is ln 2 lower, spectral convergence 1/2.
#[test]
fn half_the_level_is_ln_2_everywhere() {
    let clip = noise(1, 30_000);
    let half: Vec<f32> = clip.iter().map(|x| 0.5 * x).collect();
    let ln2 = std::f64::consts::LN_2;
    let c = compare(&clip, &half, Level::Kept).unwrap();
    assert!((c.ls_mae - ln2).abs() < 1e-4 && (c.ls_mse - ln2 * ln2).abs() < 1e-4, "{c:?}");
    assert!((c.mr_stft - (0.5 + ln2)).abs() < 1e-3, "{c:?}");
    assert!((c.level_db + 6.0206).abs() < 1e-3, "{c:?}");
    // Brought to the same level it is the same; how far it was off is still told.
    let c = compare(&clip, &half, Level::Matched).unwrap();
    assert!(c.ls_mae < 1e-4 && c.mr_stft < 1e-4, "{c:?}");
    assert!((c.level_db + 6.0206).abs() < 1e-3, "{c:?}");
}

#[test]
fn failed_renderings_get_bad_values_not_none() {
    let clip = noise(1, 30_000);
    let silence = compare(&clip, &[0.0; 30_000], Level::Kept).unwrap();
    // There is nothing to bring to a level.
    let matched = compare(&clip, &[0.0; 30_000], Level::Matched).unwrap();
    assert_eq!(matched.ls_mae, silence.ls_mae);
    assert!(silence.ls_mae > 2.0 && silence.level_db == -120.0, "{silence:?}");
    let mut broken = clip.clone();
    broken[777] = f32::NAN;
    let nan = compare(&clip, &broken, Level::Kept).unwrap();
    assert_eq!(nan.ls_mae, silence.ls_mae);
    let empty = compare(&clip, &[], Level::Kept).unwrap();
    assert_eq!((empty.ls_mae, empty.length_ms), (silence.ls_mae, -1250.0));
    let short = compare(&clip, &clip[..20_000], Level::Kept).unwrap();
    assert!(short.ls_mae > 0.5 && short.length_ms < -400.0, "{short:?}");
}

#[test]
fn unusable_references_are_refused() {
    let clip = noise(1, 30_000);
    for reference in [&clip[..23_999], &[0.0; 30_000], &[f32::NAN; 30_000]] {
        let message = compare(reference, &clip, Level::Kept).unwrap_err().to_string();
        assert!(message.starts_with("metrics: reference: expected"), "{message}");
    }
}
