#![allow(clippy::unwrap_used)]

use super::*;
use crate::griffin_lim::MelInverse;
use crate::griffin_lim::tests::{distance, sound};
use crate::mel::{Mel, MelExtractor};
use crate::noise::Noise;
use crate::stft::Stft;
use proptest::prelude::*;

/// Enough of a mel and of a sound that does not fit it.
fn example(name: &str, frames: usize) -> (Mel, Vec<f32>) {
    let config = MelConfig::preset(name).unwrap();
    let mut given = sound(&config);
    let mel = MelExtractor::new(&config).unwrap().extract(&given).unwrap();
    let data = mel.data[..frames.min(mel.frames) * config.n_mels].to_vec();
    let mel = Mel::new(config, data).unwrap();
    let mut noise = vec![0.0; given.len()];
    Noise::new(4).fill(0, 0, &mut noise);
    given.iter_mut().zip(&noise).for_each(|(x, n)| *x += 0.05 * n);
    given.resize(mel.frames * mel.config.hop, 0.0);
    (mel, given)
}

/// Rounds, look-ahead, lag and what is held.
type Settings = (usize, usize, usize, Hold);

fn whole(mel: &Mel, given: &[f32], (rounds, ahead, lag, hold): Settings) -> Vec<f32> {
    let mut out = Vec::new();
    Online::new(&mel.config, rounds, ahead, lag, hold).push(&mel.data, given, true, &mut out);
    out
}

/// The definition over arrays of the whole clip, which knows nothing of buffers that move.
fn twin(mel: &Mel, given: &[f32], (rounds, ahead, lag, hold): Settings) -> Vec<f32> {
    let config = &mel.config;
    let (hop, pad, frames) = (config.hop, config.pad(), mel.frames);
    let mut stft = Stft::with_late_synthesis(config.n_fft, hop, config.window, late(config));
    let (bins, span) = (stft.bins(), stft.length(frames));
    let mut inverse = MelInverse::new(config);
    let mut aim = Aim::new(config, hold, SHARE);
    let weights: Vec<f32> = (0..frames)
        .map(|f| aim.begin(mel.frame(f), &mut vec![0.0; bins], &mut vec![0.0; config.n_mels]))
        .collect();
    let mut magnitudes: Vec<Vec<f32>> = (0..frames)
        .map(|frame| {
            let mut out = vec![0.0; bins];
            inverse.spread(mel.frame(frame), &mut out);
            out
        })
        .collect();
    // Windows as if there were frames before the first and after the last.
    let mut full = vec![0.0; stft.length(frames + 40)];
    (0..frames + 40).for_each(|frame| stft.add_windows(1.0, frame, &mut full));
    let full = &full[20 * hop..];
    // The sound of frames, and all windows on it.
    let mean = |of: &[(usize, Vec<Complex32>)]| -> (Vec<f32>, Vec<f32>) {
        let mut stft = Stft::with_late_synthesis(config.n_fft, hop, config.window, late(config));
        let mut parts = [vec![0.0; span], vec![0.0; span], vec![0.0; span]];
        let [sums, weighted, windows] = &mut parts;
        for (frame, spectrum) in of {
            stft.add(spectrum, weights[*frame], *frame, sums);
            stft.add_windows(weights[*frame], *frame, weighted);
            stft.add_windows(1.0, *frame, windows);
        }
        for (i, value) in sums.iter_mut().enumerate() {
            let edge = (windows[i] / LEAST_WINDOW).min(1.0);
            *value *= if edge > 0.0 { stft.scale() * edge / weighted[i] } else { 0.0 };
        }
        let [sums, _, windows] = parts;
        (sums, windows)
    };
    let mut settled: Vec<(usize, Vec<Complex32>)> = Vec::new();
    let unit = |value: Complex32| if value.norm() > 1e-15 { value / value.norm() } else { value };
    let spectrum = |phases: &[Complex32], magnitudes: &[f32]| -> Vec<Complex32> {
        phases.iter().zip(magnitudes).map(|(p, m)| p * m).collect()
    };
    for frame in 0..frames {
        let active = frame..(frame + ahead + 1).min(frames);
        let known = ((frame + ahead + 1).saturating_sub(lag) * hop).min(given.len());
        let (sound, windows) = mean(&settled);
        let mixed: Vec<f32> = (0..span)
            .map(|i| {
                let given = if i < pad || i - pad >= known { 0.0 } else { given[i - pad] };
                let missing = (full[i] - windows[i]).max(0.0);
                (sound[i] * windows[i] + given * missing) / full[i]
            })
            .collect();
        let mut before: Vec<Vec<Complex32>> =
            active.clone().map(|a| stft.analyse(&mixed, a).to_vec()).collect();
        let mut phases: Vec<Vec<Complex32>> =
            before.iter().map(|f| f.iter().map(|v| unit(*v)).collect()).collect();
        for round in 0..rounds {
            let mut all = settled.clone();
            let now = active.clone().zip(&phases);
            all.extend(now.map(|(a, phases)| (a, spectrum(phases, &magnitudes[a]))));
            let (signal, _) = mean(&all);
            for (index, a) in active.clone().enumerate() {
                let now = stft.analyse(&signal, a).to_vec();
                let momentum = if round == 0 { 0.0 } else { MOMENTUM };
                phases[index] = now
                    .iter()
                    .zip(&before[index])
                    .map(|(now, before)| unit(now + (now - before) * momentum))
                    .collect();
                if hold == Hold::Mel {
                    let mut target = vec![0.0; config.n_mels];
                    inverse.target(mel.frame(a), &mut target);
                    for (magnitude, now) in magnitudes[a].iter_mut().zip(&now) {
                        *magnitude = (1.0 - SHARE) * *magnitude + SHARE * now.norm();
                    }
                    inverse.fit(&target, &mut magnitudes[a]);
                }
                before[index] = now;
            }
        }
        settled.push((frame, spectrum(&phases[0], &magnitudes[frame])));
    }
    mean(&settled).0[pad..].iter().take(frames * hop).copied().collect()
}

#[test]
fn it_is_its_definition() {
    for (name, settings, frames) in [
        ("wavegrad-24k", (3, 1, 1, Hold::Magnitudes), 12),
        ("wavegrad-24k", (2, 0, 1, Hold::Mel), 9),
        ("wavegrad-24k", (1, 4, 0, Hold::Mel), 6),
        ("hifigan-22k", (2, 2, 1, Hold::Mel), 10),
        ("vocos-24k", (0, 1, 3, Hold::Mel), 7),
        ("wavegrad-24k", (4, 3, 1, Hold::Magnitudes), 1),
    ] {
        let (mel, given) = example(name, frames);
        let (ours, expected) = (whole(&mel, &given, settings), twin(&mel, &given, settings));
        assert_eq!(ours.len(), expected.len(), "{name} {settings:?}");
        let size = expected.iter().fold(0f32, |m, v| m.max(v.abs()));
        let error = ours.iter().zip(&expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        // Where there is no sound yet, rounding decides phases.
        assert!(size > 0.01 && error < 3e-3 * size, "{name} {settings:?}: {error} of {size}");
    }
}

#[test]
fn a_noisy_sound_gets_nearer_to_its_mel_and_look_ahead_helps() {
    let (mel, given) = example("wavegrad-24k", 1000);
    let after = |rounds, ahead| distance(&mel, &whole(&mel, &given, (rounds, ahead, 1, Hold::Mel)));
    let (none, few, many, further) =
        (distance(&mel, &given), after(1, 0), after(16, 0), after(16, 2));
    assert!(
        few < 0.5 * none && many < few && further < 0.7 * many,
        "{none} {few} {many} {further}"
    );
}

#[test]
fn an_empty_clip_has_no_sound() {
    let mut out = Vec::new();
    Online::new(&MelConfig::default(), 2, 1, 1, Hold::Mel).push(&[], &[], true, &mut out);
    assert!(out.is_empty());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// The mel ahead of the sound by the lag or by more, in pieces, and twice with a reset between.
    #[test]
    fn pieces_equal_the_whole_and_come_in_time(
        frames in 1usize..16,
        ahead in 0usize..4,
        lag in 0usize..3,
        more in 0usize..3,
        pieces in prop::collection::vec(1usize..5, 16),
    ) {
        let (mel, given) = example("wavegrad-24k", frames);
        let (hop, bands) = (mel.config.hop, mel.config.n_mels);
        let expected = whole(&mel, &given, (2, ahead, lag, Hold::Mel));
        let mut online = Online::new(&mel.config, 2, ahead, lag, Hold::Mel);
        for _ in 0..2 {
            let (mut out, mut heard, mut given_frames) = (Vec::new(), 0, 0);
            for piece in &pieces {
                let sound_to = (given_frames + piece).min(mel.frames);
                let mel_to = (sound_to + lag + more).min(mel.frames);
                let ended = sound_to == mel.frames;
                online.push(
                    &mel.data[heard * bands..mel_to * bands],
                    &given[given_frames * hop..sound_to * hop],
                    ended,
                    &mut out,
                );
                (heard, given_frames) = (mel_to, sound_to);
                if ended {
                    break;
                }
                // As the stated reach promises, once the mel is ahead by the lag.
                let known = (given_frames + lag).min(mel.frames);
                let due = known.saturating_sub(Online::reach(&mel.config, ahead));
                prop_assert!(out.len() >= due.min(given_frames) * hop, "{} of {due}", out.len() / hop);
            }
            prop_assert!(out == expected);
            online.reset();
        }
    }
}
