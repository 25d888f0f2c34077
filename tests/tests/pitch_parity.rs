//! Pitch and voicing against WORLD's: `reference/pitch/make_reference.py` for tracks,
//! `reference/metrics/make_reference.py` for the figures of spoilt clips.
//!
//! Two estimators never agree on where a voice ends and whether a creak has a pitch. The tolerances
//! are what was measured, with some room.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeMap;
use std::path::Path;

use vocoder::audio;
use vocoder::metrics::pitch::track;
use vocoder_tests::arrays::correlation;

#[test]
fn tracks_agree_with_worlds() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let reference = std::fs::read_to_string(root.join("reference/pitch/reference.json")).unwrap();
    let reference: BTreeMap<String, Vec<u32>> = serde_json::from_str(&reference).unwrap();
    assert_eq!(reference.len(), 6);
    let (mut frames, mut disagree, mut both, mut gross) = (0, 0, 0, 0);
    let mut cents = Vec::new();
    let mut pairs = Vec::new();
    for (clip, expected) in &reference {
        let path = root.join("eval").join(clip).with_extension("flac");
        let got = track(&audio::read(&path).unwrap().audio.samples);
        assert!(got.len().abs_diff(expected.len()) <= 1, "{clip}: {} frames", got.len());
        for (frame, &tenths) in got.iter().zip(expected) {
            let expected = f64::from(tenths) / 10.0;
            frames += 1;
            match (frame.f0_hz > 0.0, expected > 0.0) {
                (true, true) if (frame.f0_hz / expected - 1.0).abs() > 0.2 => gross += 1,
                (true, true) => {
                    both += 1;
                    cents.push((1200.0 * (frame.f0_hz / expected).log2()).abs());
                    pairs.push((frame.f0_hz, expected));
                }
                (a, b) => disagree += usize::from(a != b),
            }
        }
    }
    cents.sort_by(f64::total_cmp);
    let share = |count: usize| count as f64 / frames as f64;
    let (median, r) = (cents[both / 2], correlation(&pairs));
    // Measured: 7.7 % of the frames, 3.4 % of the frames, 8.3 cents and 0.994.
    assert!(share(disagree) < 0.09, "voicing differs in {} of the frames", share(disagree));
    assert!(share(gross) < 0.04, "more than a fifth apart in {} of the frames", share(gross));
    assert!(median < 10.0 && r > 0.99, "median {median} cents, correlation {r}");
}
