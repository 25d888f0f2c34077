#![allow(clippy::unwrap_used)]

use super::*;
use crate::mel::MelExtractor;

/// A gliding harmonic tone with a pause over a little noise, 0.6 s.
pub(crate) fn sound(config: &MelConfig) -> Vec<f32> {
    let rate = config.sample_rate as f32;
    let mut sound = vec![0.0; (0.6 * rate) as usize];
    Noise::new(9).fill(0, 0, &mut sound);
    let mut phase = 0.0;
    for (i, x) in sound.iter_mut().enumerate() {
        let t = i as f32 / rate;
        phase += std::f32::consts::TAU * (150.0 + 100.0 * t) / rate;
        let gate = if (0.25..0.35).contains(&t) { 0.0 } else { 0.3 };
        let tone: f32 = (1..12).map(|h| (h as f32 * phase).sin() / h as f32).sum();
        *x = gate * tone + 0.003 * *x;
    }
    sound
}

/// Mean distance of the log-mels, in nat.
pub(super) fn distance(mel: &Mel, sound: &[f32]) -> f32 {
    let other = MelExtractor::new(&mel.config).unwrap().extract(sound).unwrap();
    let shared = mel.data.len().min(other.data.len());
    mel.data.iter().zip(&other.data).map(|(a, b)| (a - b).abs()).sum::<f32>() / shared as f32
}

#[test]
fn sound_has_the_mel_that_it_was_made_of() {
    for name in ["wavegrad-24k", "hifigan-22k", "vocos-24k"] {
        let config = MelConfig::preset(name).unwrap();
        let mel = MelExtractor::new(&config).unwrap().extract(&sound(&config)).unwrap();
        let with = |iterations, momentum| {
            let sound = GriffinLim { iterations, momentum, seed: 1, ..GriffinLim::default() }
                .render(&mel)
                .unwrap();
            assert_eq!(sound.len(), mel.frames * config.hop);
            distance(&mel, &sound)
        };
        let (random, plain, fast) = (with(0, 0.0), with(32, 0.0), with(32, 0.99));
        assert!(plain < 0.4 * random, "{name}: {plain} after 32 iterations, {random} before");
        assert!(fast < plain, "{name}: {fast} with momentum, {plain} without");
    }
}

#[test]
fn held_to_the_mel_it_comes_nearer_and_keeps_a_sound_that_is_right() {
    for name in ["wavegrad-24k", "hifigan-22k", "vocos-24k"] {
        let config = MelConfig::preset(name).unwrap();
        let original = sound(&config);
        let mel = MelExtractor::new(&config).unwrap().extract(&original).unwrap();
        let with = |hold| GriffinLim { hold, seed: 1, ..GriffinLim::default() };
        let off = |hold| distance(&mel, &with(hold).render(&mel).unwrap());
        let (guess, held) = (off(Hold::Magnitudes), off(Hold::Mel));
        assert!(held < 0.7 * guess, "{name}: {held} held to the mel, {guess} to magnitudes");

        let mut given = original.clone();
        given.resize(mel.frames * config.hop, 0.0);
        let error = |hold| -> f32 {
            let kept = with(hold).refine(&mel, &given).unwrap();
            let inner = 3000..original.len() - 3000;
            inner.map(|i| (kept[i] - original[i]).powi(2)).sum()
        };
        let (guess, held) = (error(Hold::Magnitudes), error(Hold::Mel));
        assert!(held < 0.1 * guess, "{name}: {held} held to the mel, {guess} to magnitudes");
    }
}

#[test]
fn seed_fixes_the_sound() {
    let config = MelConfig::default();
    let mel = MelExtractor::new(&config).unwrap().extract(&sound(&config)).unwrap();
    let with = |seed| GriffinLim { iterations: 2, seed, ..GriffinLim::default() }.render(&mel);
    assert_eq!(with(5).unwrap(), with(5).unwrap());
    assert_ne!(with(5).unwrap(), with(6).unwrap());
}

#[test]
fn one_frame_of_silence_is_silent_and_nonsense_is_refused() {
    let config = MelConfig::default();
    let mel = Mel::new(config.clone(), vec![config.min_value(); config.n_mels]).unwrap();
    let sound = GriffinLim::default().render(&mel).unwrap();
    assert_eq!(sound.len(), config.hop);
    assert!(sound.iter().all(|x| x.abs() < 1e-4));
    for momentum in [-0.1, 1.0, f32::NAN] {
        assert!(GriffinLim { momentum, ..GriffinLim::default() }.render(&mel).is_err());
    }
    let empty = Mel { frames: 0, data: Vec::new(), ..mel };
    assert!(GriffinLim::default().render(&empty).is_err());
}

#[test]
fn refining_gives_the_level_back_and_keeps_the_phases() {
    let config = MelConfig::default();
    let original = sound(&config);
    let mel = MelExtractor::new(&config).unwrap().extract(&original).unwrap();
    // As a chain of few steps ends: at half the level, with noise on top.
    let mut faulty = vec![0.0; mel.frames * config.hop];
    Noise::new(2).fill(0, 0, &mut faulty);
    for (i, x) in faulty.iter_mut().enumerate() {
        *x = 0.005 * *x + 0.5 * original.get(i).copied().unwrap_or(0.0);
    }
    let search = GriffinLim { iterations: 1, hold: Hold::Mel, ..GriffinLim::default() };
    let refined = search.refine(&mel, &faulty).unwrap();
    assert!(distance(&mel, &refined) < 0.3 * distance(&mel, &faulty));
    let inner = 3000..original.len() - 3000;
    let error_db = |x: &[f32]| {
        let energy = |x: &[f32]| x.iter().map(|x| x * x).sum::<f32>();
        let off: Vec<f32> = inner.clone().map(|i| x[i] - original[i]).collect();
        10.0 * (energy(&off) / energy(&original[inner.clone()])).log10()
    };
    // The wave itself comes nearer too: phases were right.
    assert!(error_db(&refined) < error_db(&faulty) - 3.0, "{}", error_db(&refined));
    assert!(search.refine(&mel, &faulty[1..]).is_err());
}
