//! Pitch and voicing against WORLD's, clip by clip: `reference/pitch/make_reference.py`.
//!
//! Both compute in f64 from the same steps; what differs is the resampler to 16 kHz (rubato's here, SoX's
//! there), which moves a share or a score over a threshold in a few frames.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeMap;
use std::path::Path;

use vocoder::audio;
use vocoder::metrics::pitch::{Frame, track};

/// The reference program's: see there.
fn noisy(x: &[f32]) -> Vec<f32> {
    let word = |i: usize| (i as u32).wrapping_mul(2_654_435_761) >> 16;
    let noise = |i: usize| (word(i) as i32 - 32_768) as f32 * 2f32.powi(-21);
    x.iter().enumerate().map(|(i, x)| x + noise(i)).collect()
}

/// How two tracks of one clip differ.
#[derive(Debug, Default)]
struct Difference {
    /// Shares of all frames: of other voicing, and of a pitch more than a fifth off.
    voicing: f64,
    gross: f64,
    /// Of the frames that both voice: root mean square in cents.
    cents: f64,
}

fn difference(got: &[Frame], expected: &[u32]) -> Difference {
    let (mut d, mut both) = (Difference::default(), 0.0);
    for (frame, &thousandths) in got.iter().zip(expected) {
        let expected = f64::from(thousandths) / 1000.0;
        match (frame.f0_hz > 0.0, expected > 0.0) {
            (true, true) if (frame.f0_hz / expected - 1.0).abs() > 0.2 => d.gross += 1.0,
            (true, true) => {
                both += 1.0;
                d.cents += (1200.0 * (frame.f0_hz / expected).log2()).powi(2);
            }
            (a, b) => d.voicing += f64::from(u8::from(a != b)),
        }
    }
    let frames = expected.len() as f64;
    Difference {
        voicing: d.voicing / frames,
        gross: d.gross / frames,
        cents: (d.cents / both).sqrt(),
    }
}

#[test]
fn tracks_equal_worlds() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let reference = std::fs::read_to_string(root.join("reference/pitch/reference.json")).unwrap();
    let reference: BTreeMap<String, Vec<u32>> = serde_json::from_str(&reference).unwrap();
    assert_eq!(reference.len(), 7);
    for (clip, expected) in &reference {
        let name = if clip == "noisy" { "bf_alice-015003" } else { clip };
        let samples = audio::read(&root.join(format!("eval/{name}.flac"))).unwrap().audio.samples;
        let got = track(&if clip == "noisy" { noisy(&samples) } else { samples }).unwrap();
        assert!(got.len().abs_diff(expected.len()) <= 1, "{clip}: {} frames", got.len());
        let d = difference(&got, expected);
        println!("{clip}: {d:?}");
        assert!(d.voicing < 0.01 && d.gross < 0.003 && d.cents < 5.0, "{clip}: {d:?}");
    }
}
