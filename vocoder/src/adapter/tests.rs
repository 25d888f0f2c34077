#![allow(clippy::unwrap_used)]

use super::*;
use crate::audio::resample;
use crate::griffin_lim::tests::sound;
use crate::mel::MelExtractor;

fn mel_of(config: &MelConfig, sound: &[f32]) -> Mel {
    MelExtractor::new(config).unwrap().extract(sound).unwrap()
}

/// Mean distance in nat of the bands below `hz` that are well above the floor.
fn distance(a: &Mel, b: &Mel, hz: f32) -> f32 {
    let frames = a.frames.min(b.frames);
    let edges = filter_bank(&a.config);
    let bins = a.config.n_fft / 2 + 1;
    let top = |row: &[f32]| row.iter().rposition(|w| *w > 0.0).unwrap_or(0);
    let most = (hz * a.config.n_fft as f32 / a.config.sample_rate as f32) as usize;
    let bands: Vec<usize> = edges
        .chunks(bins)
        .enumerate()
        .filter(|(_, row)| top(row) <= most)
        .map(|(band, _)| band)
        .collect();
    let (mut sum, mut count) = (0.0, 0);
    for frame in 2..frames - 2 {
        for &band in &bands {
            let (a, b) = (a.frame(frame)[band], b.frame(frame)[band]);
            if a.max(b) > -7.0 {
                sum += (a - b).abs();
                count += 1;
            }
        }
    }
    sum / count as f32
}

#[test]
fn the_same_convention_is_left_as_it_is() {
    let config = MelConfig::default();
    let mel = mel_of(&config, &sound(&config));
    let adapted = adapt(&mel, &config).unwrap();
    assert_eq!(adapted.frames, mel.frames);
    // As near as bands are after they were spread over bins.
    let apart = adapted.data.iter().zip(&mel.data).map(|(a, b)| (a - b).abs()).sum::<f32>();
    let mean = apart / mel.data.len() as f32;
    assert!(mean < 0.01, "{mean}");
}

#[test]
fn mels_of_other_systems_become_ours() {
    let ours = MelConfig::default();
    let clip = sound(&ours);
    let expected = mel_of(&ours, &clip);
    for name in ["hifigan-22k", "tacotron2-22k", "vocos-24k", "lmnt-22k"] {
        let theirs = MelConfig::preset(name).unwrap();
        let mel = mel_of(&theirs, &resample(&clip, ours.sample_rate, theirs.sample_rate).unwrap());
        let adapted = adapt(&mel, &ours).unwrap();
        // Conventions differ in what they make of a last frame that is not full.
        assert!(adapted.frames.abs_diff(expected.frames) <= 2, "{name}");
        let error = distance(&adapted, &expected, 7000.0);
        println!("{name}: {error:.3} nat");
        assert!(error < 0.35, "{name}: {error} nat");
    }
}

#[test]
fn a_tone_keeps_its_level_and_a_click_its_time() {
    let (ours, theirs) = (MelConfig::default(), MelConfig::preset("hifigan-22k").unwrap());
    let rate = theirs.sample_rate as f32;
    let tone: Vec<f32> = (0..11_025)
        .map(|i| 0.3 * (std::f32::consts::TAU * 1000.0 * i as f32 / rate).sin())
        .collect();
    let at_ours = resample(&tone, theirs.sample_rate, ours.sample_rate).unwrap();
    let loudest = |mel: &Mel, frame| mel.frame(frame).iter().copied().fold(f32::MIN, f32::max);
    let level = loudest(&adapt(&mel_of(&theirs, &tone), &ours).unwrap(), 20);
    let expected = loudest(&mel_of(&ours, &at_ours), 20);
    // 80 bands tell less finely where it lies.
    assert!((level - expected).abs() < 0.4, "{level} {expected}");

    let mut click = vec![0.0; 11_025];
    click[5512] = 0.9;
    let adapted = adapt(&mel_of(&theirs, &click), &ours).unwrap();
    let energy = |frame: &usize| adapted.frame(*frame).iter().map(|v| v.exp()).sum::<f32>();
    let at = (0..adapted.frames).max_by(|a, b| energy(a).total_cmp(&energy(b))).unwrap();
    // 5512 samples are 0.25 s: frame 20 of 12.5 ms.
    assert!((19..=21).contains(&at), "{at}");
}

#[test]
fn above_the_sources_highest_frequency_there_is_nothing() {
    let ours = MelConfig::default();
    let theirs = MelConfig::preset("hifigan-22k").unwrap();
    let noise = sound(&theirs).iter().map(|v| v * 0.5).collect::<Vec<_>>();
    let adapted = adapt(&mel_of(&theirs, &noise), &ours).unwrap();
    assert!(adapted.frame(10)[127] == ours.min_value());
    assert!(adapted.data.iter().all(|v| v.is_finite()));
}

#[test]
fn a_mel_of_no_frame_is_refused() {
    let mel = Mel { config: MelConfig::default(), frames: 0, data: Vec::new() };
    assert!(adapt(&mel, &MelConfig::default()).is_err());
}
