#![allow(clippy::unwrap_used)]
use super::*;

fn clips() -> Arc<Vec<Clip>> {
    let clip = |id: &str, len: usize, period: f32| Clip {
        id: id.into(),
        samples: (0..len)
            .map(|i| (8000.0 * (i as f32 * 6.3 / period).sin() * (i as f32 / 9000.0).sin()) as i16)
            .collect(),
    };
    Arc::new(vec![clip("a", 20_000, 80.0), clip("b", 7_200, 133.0), clip("c", 12_345, 31.0)])
}

fn config() -> TrainConfig {
    let mut config = TrainConfig::preset("speech-quarter").unwrap();
    config.gain_db = [0.0, 0.0];
    config.batch = 6;
    config
}

#[test]
fn a_step_decides_its_batch_whoever_makes_it() {
    let mut maker = BatchMaker::new(&config(), clips()).unwrap();
    let expected: Vec<Batch> = (3..9).map(|step| maker.make(step).unwrap()).collect();
    assert!(expected[0] != expected[1]);
    for workers in [1, 3] {
        let config = TrainConfig { workers, ..config() };
        let mut batches = Batches::start(&config, &clips(), 3, 1, None).unwrap();
        for expected in &expected {
            assert!(batches.take_next().unwrap() == *expected);
        }
    }
}

#[test]
fn without_its_noise_a_crop_is_the_clip() {
    let (config, clips) = (config(), clips());
    let mut maker = BatchMaker::new(&config, Arc::clone(&clips)).unwrap();
    let (hop, crop) = (config.mel.hop, config.crop_frames);
    // Clip "c" owns the positions after those of "a" ((20000 - 7200) / 300 + 1 = 43) and "b" (1).
    let position = 44 + 9;
    let (clean, mel) = maker.crop(position, 1.0).unwrap();
    let whole: Vec<f32> = clips[2].samples.iter().map(|v| f32::from(*v) / 32767.0).collect();
    let expected = MelExtractor::new(&config.mel).unwrap().extract(&whole).unwrap();
    let bands = config.mel.n_mels;
    let inner = &expected.data[9 * bands..(9 + crop) * bands];
    let worst = mel.iter().zip(inner).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(worst < 1e-4, "{worst}");
    let prior = Prior::new(config.model.prior, &config.mel).unwrap();
    let mut white = whole[..(9 + crop) * hop].to_vec();
    prior.whiten(&expected, 0..9 + crop, &mut Memory::default(), &mut white).unwrap();
    let worst = clean.iter().zip(&white[9 * hop..]).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(worst < 1e-3, "{worst}");
}

#[test]
fn noisy_signals_are_mixed_at_their_level() {
    let mut maker = BatchMaker::new(&config(), clips()).unwrap();
    let weak = maker.make_even(2, 0.999_999_9).unwrap();
    let strong = maker.make_even(2, 0.6).unwrap();
    // l u + sigma e, with 0.8 of noise at 0.6.
    for i in 0..strong.noise.len() {
        let expected = 0.6 * weak.noisy[i] + 0.8 * strong.noise[i];
        assert!((strong.noisy[i] - expected).abs() < 5e-3, "{i}");
    }
}

#[test]
fn laplace_levels_by_hand() {
    let draw = LevelDraw::LogSnrLaplace { centre: 1.0, scale: 0.5, min: -9.0, max: 10.0 };
    let lambda = |q| vocoder::schedule::lambda(draw_level(&draw, q));
    // The quartiles of a Laplace density lie scale * ln 2 from its centre.
    for (q, expected) in [(0.25, 1.0 - 0.5 * 2f64.ln()), (0.5, 1.0), (0.75, 1.0 + 0.5 * 2f64.ln())]
    {
        assert!((lambda(q) - expected).abs() < 1e-6, "{q}: {}", lambda(q));
    }
    // Cut off at the limits.
    let draw = LevelDraw::LogSnrLaplace { centre: 1.0, scale: 0.5, min: 0.0, max: 1.5 };
    for (q, expected) in [(0.0, 0.0), (1.0, 1.5)] {
        let found = vocoder::schedule::lambda(draw_level(&draw, q));
        assert!((found - expected).abs() < 1e-6, "{q}: {found}");
    }
}

#[test]
fn dropped_mels_are_silent_and_nothing_else_changes() {
    let kept = BatchMaker::new(&config(), clips()).unwrap().make(5).unwrap();
    let config = TrainConfig { mel_dropout: 0.5, ..config() };
    let mut maker = BatchMaker::new(&config, clips()).unwrap();
    let mut dropped = 0;
    for step in 0..40 {
        let batch = maker.make(step).unwrap();
        let values = batch.mel.len() / config.batch;
        let silent = |mel: &[f32]| mel.iter().all(|v| *v == config.mel.min_value());
        dropped += batch.mel.chunks(values).filter(|mel| silent(mel)).count();
        if step == 5 {
            assert!(batch.noisy == kept.noisy && batch.levels == kept.levels);
            for (ours, theirs) in batch.mel.chunks(values).zip(kept.mel.chunks(values)) {
                assert!(silent(ours) || ours == theirs);
            }
        }
    }
    // 240 throws at one half: 120, give or take four deviations of 7.7.
    assert!((90..=150).contains(&dropped), "{dropped}");
}

#[test]
fn listed_levels_are_drawn_all_alike() {
    let listed = [0.1, 0.5, 0.9];
    let mut maker = BatchMaker::new(&config(), clips()).unwrap().among(Some(&listed));
    // Six crops: each of three levels twice, the noisiest first.
    assert_eq!(maker.make(4).unwrap().levels, [0.1, 0.1, 0.5, 0.5, 0.9, 0.9]);
}

#[test]
fn hierarchical_levels_are_those_of_the_paper() {
    let draw = LevelDraw::Hierarchical { first_beta: 1e-6, last_beta: 0.01, steps: 1000 };
    assert!(draw_level(&draw, 0.0) > 0.999_999);
    // l_1000 of the linear schedule, from wavegrad's open implementations: 0.0814.
    assert!((draw_level(&draw, 1.0 - 1e-12) - 0.0814).abs() < 1e-4);
    let levels: Vec<f64> = (0..100).map(|i| draw_level(&draw, f64::from(i) / 100.0)).collect();
    assert!(levels.windows(2).all(|pair| pair[0] > pair[1]));
}

#[test]
fn clips_that_are_kept_give_the_crops_of_their_own_gain() {
    let (config, clips) = (config(), clips());
    let kept = TrainConfig { keep_clips: true, gain_db: [-6.0, -6.0], ..config.clone() };
    let mut kept = BatchMaker::new(&kept, Arc::clone(&clips)).unwrap();
    let mut anew = BatchMaker::new(&config, clips).unwrap();
    let gain = 10f32.powf(-6.0 / 20.0);
    // Of "a", the only crop of "b", the last of "c".
    for position in [0, 20, 43, 61] {
        let (clean, mel) = kept.crop(position, 1.0).unwrap();
        let (expected, expected_mel) = anew.crop(position, gain).unwrap();
        let apart = |a: &[f32], b: &[f32]| {
            assert_eq!(a.len(), b.len());
            a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
        };
        assert!(apart(&mel, &expected_mel) < 1e-4);
        assert!(apart(&clean, &expected) < 1e-3, "{position}: {}", apart(&clean, &expected));
    }
    // Threads share them.
    let twin = kept.twin().unwrap();
    assert!(Arc::ptr_eq(twin.kept.as_ref().unwrap(), kept.kept.as_ref().unwrap()));
    assert!(twin.kept.unwrap().iter().all(|clip| clip.get().is_some()));
}
