#![allow(clippy::unwrap_used)]
use super::*;
use vocoder::config::ModelConfig;
use vocoder::mel::MelConfig;
use vocoder::network::{Weights, initial_weights};
use vocoder::ops::Products;

/// A voice whose network predicts `bias` everywhere.
fn constant(bias: f32) -> Voice {
    let mel = MelConfig::default();
    let mut model = ModelConfig::preset("eighth", mel.n_mels).unwrap();
    (model.first, model.down, model.up) = (8, vec![8; 4], vec![8; 5]);
    let mut weights: Weights = initial_weights(&model, 1).unwrap();
    weights.insert("last.weight".into(), weights["last.weight"].zeros_like().unwrap());
    weights.insert("last.bias".into(), Tensor::new(&[bias], &Device::Cpu).unwrap());
    Voice::new(model, mel, weights)
}

/// A crop of one frame at each of `levels`, of signal 1.
fn batch(levels: &[f64]) -> Batch {
    Batch {
        noisy: vec![1.0; 300 * levels.len()],
        noise: vec![9.0; 300 * levels.len()],
        mel: vec![-3.0; 128 * levels.len()],
        levels: levels.to_vec(),
    }
}

/// Levels with round numbers: sigma 0.8, 0.6, and 0.28.
fn distiller(kind: Distillation, bias: f32) -> Distiller {
    let teacher = constant(bias).network(&Device::Cpu).unwrap();
    let (guidance, chain) = (None, Chain::default());
    Distiller { kind, teacher, levels: vec![0.6, 0.8, 0.96, 0.99], guidance, chain, polish: (0, 0) }
}

fn never() -> Result<Network> {
    unreachable!("nobody asks")
}

#[test]
fn one_noise_leads_where_two_steps_led() {
    // The teacher predicts 0.5 at both levels, so one step of noise 0.5 leads to the same place.
    let progressive = distiller(Distillation::Progressive { steps: 2 }, 0.5);
    let target = progressive.target(&batch(&[0.6, 0.96]), never).unwrap();
    assert!(target.noise.iter().all(|e| (e - 0.5).abs() < 1e-5), "{:?}", &target.noise[..3]);
    assert_eq!(target.noisy, batch(&[0.6, 0.96]).noisy);
}

#[test]
fn the_target_is_that_of_salimans_and_ho() {
    // x_t = 1 at 0.6; x_m = 0.7, say, at 0.8, x_s = 0.4 at 0.96. Their target, in x0:
    // (x_s - (sigma_s/sigma_t) x_t) / (alpha_s - (sigma_s/sigma_t) alpha_t)
    //   = (0.4 - 0.35) / (0.96 - 0.35 0.6) = 0.05 / 0.75, and as noise (1 - 0.6 0.0666667) / 0.8 = 1.2.
    let found = leading(&batch(&[0.6]), &[0.4; 300], &[0.96]);
    assert!(found.noise.iter().all(|e| (e - 1.2).abs() < 1e-6), "{}", found.noise[0]);
    // To the clean signal: (1 - 0.6 0.4) / 0.8 = 0.95.
    let found = leading(&batch(&[0.6]), &[0.4; 300], &[1.0]);
    assert!(found.noise.iter().all(|e| (e - 0.95).abs() < 1e-6), "{}", found.noise[0]);
}

#[test]
fn a_step_by_hand() {
    // x0 = (1 - 0.8 0.5) / 0.6 = 1; 0.8 1 + 0.6 0.5 = 1.1, and 1 at the clean signal.
    let network = constant(0.5).network(&Device::Cpu).unwrap();
    let both = batch(&[0.6, 0.6]);
    let moved = step(&network, &both, &both.noisy, &both.levels, &[0.8, 1.0]).unwrap();
    assert!(moved[..300].iter().all(|x| (x - 1.1).abs() < 1e-6), "{}", moved[0]);
    assert!(moved[300..].iter().all(|x| (x - 1.0).abs() < 1e-6), "{}", moved[300]);
}

#[test]
fn a_step_that_runs_away_is_stopped() {
    // x0 = (1 + 0.8 100) / 0.6 = 135, held to 30; the noise is then (1 - 0.6 30) / 0.8 = -21.25, and
    // 0.8 30 - 0.6 21.25 = 11.25.
    let network = constant(-100.0).network(&Device::Cpu).unwrap();
    let one = batch(&[0.6]);
    let moved = step(&network, &one, &one.noisy, &one.levels, &[0.8]).unwrap();
    assert!(moved.iter().all(|x| (x - 11.25).abs() < 1e-4), "{}", moved[0]);
}

#[test]
fn a_consistent_guess_is_that_of_the_next_level() {
    // The teacher's noise is 0.5, the student's -1. From 0.6 to 0.8 the teacher arrives at 1.1 (above),
    // where the student guesses (1.1 + 0.6) / 0.8 = 2.125: as noise (1 - 0.6 2.125) / 0.8 = -0.34375.
    let consistency = distiller(Distillation::Consistency { levels: 4 }, 0.5);
    let student = || constant(-1.0).network(&Device::Cpu);
    let target = consistency.target(&batch(&[0.6, 0.99]), student).unwrap();
    assert!(target.noise[..300].iter().all(|e| (e + 0.343_75).abs() < 1e-5), "{}", target.noise[0]);
    // After the last level comes the clean signal, where the guess is the signal, whatever the student:
    // the teacher's noise stays.
    assert!(target.noise[300..].iter().all(|e| (e - 0.5).abs() < 1e-4), "{}", target.noise[300]);
}

#[test]
fn the_reference_is_the_teachers_whole_way() {
    for kind in [Distillation::Consistency { levels: 4 }, Distillation::Progressive { steps: 2 }] {
        let reference = distiller(kind, 0.5).reference(&batch(&[0.6, 0.96])).unwrap();
        assert!(reference.noise.iter().all(|e| (e - 0.5).abs() < 1e-4), "{}", reference.noise[0]);
    }
}

#[test]
fn students_halve_their_teachers_levels() {
    let mut teacher = constant(0.0);
    let half = |teacher: &Voice, steps| {
        Distiller::new(Distillation::Progressive { steps }, teacher, Products::F32, &Device::Cpu)
            .unwrap()
    };
    let first = half(&teacher, 4);
    assert_eq!(first.levels().len(), 4);
    assert_eq!(first.levels()[0], FIRST_LEVEL);
    // The student as a teacher.
    (teacher.sampler, teacher.schedules) = (first.sampler(), first.schedules().unwrap());
    let second = half(&teacher, 2);
    assert_eq!(second.levels(), [first.levels()[0], first.levels()[2]]);
    // Levels of an ordinary voice were learned for another sampler.
    teacher.sampler = SamplerKind::Ancestral;
    assert_ne!(half(&teacher, 2).levels(), second.levels());
}

#[test]
fn a_consistency_voice_has_schedules_of_few_steps() {
    let kind = Distillation::Consistency { levels: 40 };
    let schedules = Distiller::new(kind, &constant(0.0), Products::F32, &Device::Cpu)
        .unwrap()
        .schedules()
        .unwrap();
    assert_eq!(schedules.keys().copied().collect::<Vec<_>>(), [1, 2, 3, 4]);
    for (steps, schedule) in schedules {
        assert!(schedule.steps() == steps && schedule.matches_prior());
    }
}

fn levels(levels: &[f64]) -> Schedule {
    Schedule::explicit(levels).unwrap()
}

#[test]
fn a_guided_target_leans_on_the_mel() {
    let mel = MelConfig::default();
    let model = ModelConfig::preset("eighth", mel.n_mels).unwrap();
    let weights = initial_weights(&model, 1).unwrap();
    let mut teacher = Voice::new(model, mel, weights);
    let kind = Distillation::Guidance { weight: 3.0 };
    let new = |teacher: &Voice| Distiller::new(kind, teacher, Products::F32, &Device::Cpu);
    assert!(new(&teacher).err().unwrap().to_string().contains("mel_dropout"));
    teacher.provenance.training = "mel_dropout = 0.1".into();
    (teacher.sampler, teacher.schedules) =
        (SamplerKind::Ddim { eta: 0.0 }, [(1, levels(&[0.1]))].into());
    let distiller = new(&teacher).unwrap();
    // At the levels of the config, and rendered as its teacher is.
    assert!(distiller.levels().is_empty());
    assert_eq!(
        (distiller.sampler(), distiller.schedules().unwrap()),
        (teacher.sampler, teacher.schedules.clone())
    );

    // From noise by what the teacher has for that, whatever its own start.
    let schedules = [(2, levels(&[0.1, 0.5]))].into();
    let beside = Chain { sampler: SamplerKind::Consistency, schedules };
    let start = Start::GriffinLim { iterations: 32, level: 0.9 };
    let other = Voice { start, from_noise: Some(beside.clone()), ..teacher.clone() };
    let other = new(&other).unwrap();
    assert_eq!((other.sampler(), other.schedules().unwrap()), (beside.sampler, beside.schedules));

    let batch = batch(&[0.3, 0.9]);
    let target = distiller.target(&batch, never).unwrap();
    let network = teacher.network(&Device::Cpu).unwrap();
    let with = predict(&network, &batch.noisy, &batch.mel, &batch.levels).unwrap();
    let silence = vec![teacher.mel.min_value(); batch.mel.len()];
    let without = predict(&network, &batch.noisy, &silence, &batch.levels).unwrap();
    assert!(with.iter().zip(&without).any(|(a, b)| (a - b).abs() > 1e-3));
    for ((found, a), b) in target.noise.iter().zip(&with).zip(&without) {
        assert!((found - (b + 3.0 * (a - b))).abs() < 1e-5, "{found} {a} {b}");
    }
    assert_eq!(distiller.reference(&batch).unwrap().noise, target.noise);
}

#[test]
fn other_levels_are_refused() {
    let progressive = distiller(Distillation::Progressive { steps: 2 }, 0.5);
    assert!(progressive.target(&batch(&[0.7]), never).is_err());
}
