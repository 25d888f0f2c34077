//! The whole way from samples to pitch, on sounds whose pitch is known.
#![allow(clippy::unwrap_used)]

use super::*;
use crate::noise::Noise;

/// Ten harmonics of a pitch that moves, `f0_hz` at sample i.
fn voice(length: usize, f0_hz: impl Fn(usize) -> f64) -> Vec<f32> {
    let mut phase = 0.0;
    (0..length)
        .map(|i| {
            phase += std::f64::consts::TAU * f0_hz(i) / f64::from(SAMPLE_RATE);
            (1..=10).map(|k| 0.1 * (f64::from(k) * phase).sin() / f64::from(k)).sum::<f64>() as f32
        })
        .collect()
}

fn noise(length: usize) -> Vec<f32> {
    let mut out = vec![0.0; length];
    Noise::new(3).fill(0, 0, &mut out);
    out
}

#[test]
fn a_gliding_voice_is_followed_within_five_cents() {
    for (from, to) in [(80.0f64, 110.0), (120.0, 250.0), (300.0, 500.0)] {
        let pitch = |i: usize| from * (to / from).powf(i as f64 / 24_000.0);
        let frames = track(&voice(24_000, pitch)).unwrap();
        assert_eq!(frames.len(), 201);
        for (i, frame) in frames.iter().enumerate().take(190).skip(11) {
            let cents = 1200.0 * (frame.f0_hz / pitch(i * HOP)).log2();
            assert!(cents.abs() < 5.0, "frame {i} of {from} to {to} Hz: {cents} cents");
            assert!(frame.periodicity > 0.97, "{frame:?}");
        }
    }
}

#[test]
fn noise_and_silence_have_no_pitch() {
    // Harvest finds a pitch here and there; the love train has none of it.
    let frames = track(&noise(24_000)).unwrap();
    assert!(frames.iter().filter(|frame| frame.f0_hz > 0.0).count() < 4);
    assert!(frames.iter().all(|frame| frame.periodicity < 0.7));
    let silent = track(&[0.0; 24_000]).unwrap();
    assert!(silent.iter().all(|frame| *frame == Frame::default()));
    for short in 0..3 {
        assert_eq!(track(&vec![0.5; short]).unwrap().len(), 1);
    }
    let error = track(&[0.0, f32::NAN]).unwrap_err().to_string();
    assert!(error.contains("finite"), "{error}");
}

#[test]
fn noise_over_a_voice_lowers_its_periodicity_not_its_pitch() {
    let clean = voice(24_000, |_| 150.0);
    let power: f32 = clean.iter().map(|x| x * x).sum::<f32>() / 24_000.0;
    for (share, least, most) in [(0.1, 0.9, 0.999), (3.0, 0.3, 0.9)] {
        let scale = (share * power).sqrt();
        let mixed: Vec<f32> = clean.iter().zip(noise(24_000)).map(|(x, n)| x + scale * n).collect();
        let frames = track(&mixed).unwrap();
        let middle = &frames[20..180];
        let mean = middle.iter().map(|f| f.periodicity).sum::<f64>() / middle.len() as f64;
        assert!((least..most).contains(&mean), "{share}: {mean}");
        if share < 1.0 {
            let off = |f: &Frame| f.f0_hz > 0.0 && (f.f0_hz / 150.0 - 1.0).abs() > 0.02;
            assert!(!middle.iter().any(off));
        }
    }
}

/// Half a second each of silence, voice and silence: the borders are found within 50 ms.
#[test]
fn a_voice_begins_and_ends() {
    let mut clip = vec![0.0; 36_000];
    clip[12_000..24_000].copy_from_slice(&voice(12_000, |_| 200.0));
    for (i, frame) in track(&clip).unwrap().iter().enumerate() {
        let ms = 5 * i as i32;
        if (530..970).contains(&ms) {
            assert!((frame.f0_hz / 200.0 - 1.0).abs() < 0.005, "{ms} ms: {frame:?}");
        } else if !(450..1050).contains(&ms) {
            assert_eq!(frame.f0_hz, 0.0, "{ms} ms: {frame:?}");
        }
    }
}
