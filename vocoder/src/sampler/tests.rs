#![allow(clippy::unwrap_used)]

use super::level::*;
use super::*;
use crate::noise::Noise;
use crate::schedule::{lambda, sigma};
use proptest::prelude::*;

pub(super) const KINDS: [SamplerKind; 12] = [
    SamplerKind::Ancestral,
    SamplerKind::Ddim { eta: 0.0 },
    SamplerKind::Ddim { eta: 0.5 },
    SamplerKind::DpmSolver2m,
    SamplerKind::SdeDpmSolver2m { eta: 1.0 },
    SamplerKind::SdeDpmSolver2m { eta: 0.5 },
    SamplerKind::SdeDpmSolver2m { eta: 1.5 },
    SamplerKind::Ddpm { v: 0.0 },
    SamplerKind::Ddpm { v: 1.0 },
    SamplerKind::Euler,
    SamplerKind::Heun,
    SamplerKind::PredictorCorrector { ratio: 0.16 },
];

fn noise(seed: u64, length: usize) -> Vec<f32> {
    let mut out = vec![0.0; length];
    Noise::new(seed).fill(0, 0, &mut out);
    out
}

fn close(value: f64, expected: f64, tolerance: f64) -> bool {
    (value - expected).abs() <= tolerance
}

/// Velocities, to a sampler that takes them, are the chain of the noises that they mean.
#[test]
fn velocities_give_the_chain_of_their_noises() {
    let plain = Schedule::explicit([0.2, 0.6, 0.9, 0.999]).unwrap();
    let scaled = plain.clone().scaled([0.9, 1.1, 1.0, 0.7]).unwrap();
    for (kind, schedule) in KINDS.into_iter().flat_map(|kind| [(kind, &plain), (kind, &scaled)]) {
        let mut by_noise = Sampler::new(kind, schedule, Clip::Signal(3.0));
        let mut by_velocity = by_noise.clone();
        by_velocity.take_velocities();
        let mut x = noise(1, 50);
        let mut y = x.clone();
        for step in 0..by_noise.steps() {
            let level = by_noise.level(step).unwrap();
            let (v, z) = (noise(2 + step as u64, 50), noise(90 + step as u64, 50));
            let eps: Vec<f32> = x
                .iter()
                .zip(&v)
                .map(|(x, v)| eps_from_v(level, f64::from(*x), f64::from(*v)) as f32)
                .collect();
            by_noise.advance(step, &mut x, &eps, &z).unwrap();
            by_velocity.advance(step, &mut y, &v, &z).unwrap();
            for (x, y) in x.iter().zip(&y) {
                assert!((x - y).abs() < 1e-4, "{kind} {step}: {x} {y}");
            }
        }
    }
}

/// A scale belongs to the level at which the noise is predicted, by every rule, those that ask twice a step
/// among them.
#[test]
fn scales_multiply_the_predicted_noise() {
    let plain = Schedule::explicit([0.2, 0.6, 0.9, 0.999]).unwrap();
    let scaled = plain.clone().scaled([0.9, 1.1, 1.0, 0.7]).unwrap();
    for kind in KINDS {
        let mut by_hand = Sampler::new(kind, &plain, Clip::Signal(3.0));
        let mut by_rule = Sampler::new(kind, &scaled, Clip::Signal(3.0));
        let mut x = noise(1, 50);
        let mut y = x.clone();
        for step in 0..by_hand.steps() {
            let level = by_hand.level(step).unwrap();
            let at = plain.levels().iter().position(|known| *known == level).unwrap();
            let (eps, z) = (noise(2 + step as u64, 50), noise(90 + step as u64, 50));
            let times: Vec<f32> = eps.iter().map(|v| scaled.scale(at) as f32 * v).collect();
            by_hand.advance(step, &mut x, &times, &z).unwrap();
            by_rule.advance(step, &mut y, &eps, &z).unwrap();
            for (x, y) in x.iter().zip(&y) {
                assert!((x - y).abs() < 1e-4, "{kind} {step}: {x} {y}");
            }
        }
    }
}

/// Values worked by hand.
#[test]
fn formulas_give_the_hand_worked_values() {
    // sqrt(0.81) 2 - sqrt(0.19) 0.5
    assert!(close(forward(0.9, 2.0, -0.5), 1.582_055, 1e-6));
    // alpha_bar 0.36: (1.2 - 0.8 0.5) / 0.6 and (-0.3 + 0.8) / 0.6
    assert!(close(x0_from_eps(0.6, 1.2, 0.5), 1.333_333, 1e-6));
    assert!(close(x0_from_eps(0.6, -0.3, -1.0), 0.833_333, 1e-6));
    // alpha_t 0.9, alpha_bar 0.5: (0.7 - 0.1 / sqrt(0.5) 0.2) / sqrt(0.9)
    assert!(close(posterior_mean(0.5f64.sqrt(), 0.9, 0.7, 0.2), 0.7081, 1e-4));
    // alpha_bar 0.64: 0.8 3 - 0.6 and 0.6 2
    assert!(close(forward(0.8, 3.0, -1.0), 1.8, 1e-9));
    assert!(close(forward(0.8, 0.0, 2.0), 1.2, 1e-9));
}

proptest! {
    #[test]
    fn conversions_undo_each_other(level in 0.01f64..0.999, x0 in -3f64..3.0, eps in -3f64..3.0) {
        let x = forward(level, x0, eps);
        let v = v_from(level, x0, eps);
        for (value, expected) in [
            (x0_from_eps(level, x, eps), x0),
            (eps_from_x0(level, x, x0), eps),
            (x0_from_v(level, x, v), x0),
            (eps_from_v(level, x, v), eps),
            (eps_from_score(level, score_from_eps(level, eps)), eps),
            (x0_from_score(level, x, score_from_eps(level, eps)), x0),
        ] {
            prop_assert!(close(value, expected, 1e-7));
        }
    }

    /// One step of each rule against its textbook form in f64.
    #[test]
    fn steps_follow_the_textbook(
        t in 0.05f64..0.9, gap in 0.01f64..0.09, x in -2f32..2.0, eps in -2f32..2.0, z in -2f32..2.0
    ) {
        let s = t + gap;
        let schedule = Schedule::explicit([t, s]).unwrap();
        let step = |kind: SamplerKind| {
            let mut out = [x];
            Sampler::new(kind, &schedule, Clip::None).advance(0, &mut out, &[eps], &[z]).unwrap();
            f64::from(out[0])
        };
        let (x, eps, z) = (f64::from(x), f64::from(eps), f64::from(z));
        let x0 = x0_from_eps(t, x, eps);

        // WaveGrad, Algorithm 2
        let a = (t / s).powi(2);
        let posterior = posterior_mean(t, a, x, eps)
            + ((1.0 - s * s) / (1.0 - t * t) * (1.0 - a)).sqrt() * z;
        let tolerance = 1e-5 * (1.0 + x0.abs());
        prop_assert!(close(step(SamplerKind::Ancestral), posterior, tolerance));
        let full = step(SamplerKind::Ddim { eta: 1.0 });
        prop_assert!(close(full, posterior, tolerance));

        // DDIM as in its paper
        for eta in [0.0, 0.3] {
            let g = eta * sigma(s) / sigma(t) * (1.0 - a).sqrt();
            let ddim = s * x0 + (sigma(s).powi(2) - g * g).sqrt() * eps + g * z;
            let partial = step(SamplerKind::Ddim { eta });
            prop_assert!(close(partial, ddim, tolerance));
        }
        // The first step of the second-order rules is of first order.
        let ddim = s * x0 + sigma(s) * eps;
        prop_assert!(close(step(SamplerKind::DpmSolver2m), ddim, tolerance));
        let [none, all] = [0.0, 1.0].map(|eta| step(SamplerKind::SdeDpmSolver2m { eta }));
        prop_assert!(close(none, ddim, tolerance));
        prop_assert!(close(all, posterior, tolerance));
        // Ho et al. 2020: the same posterior; the larger variance differs in the noise alone.
        let small = step(SamplerKind::Ddpm { v: 0.0 });
        prop_assert!(close(small, posterior, tolerance));
        let beta = posterior_mean(t, a, x, eps) + (1.0 - a).sqrt() * z;
        let large = step(SamplerKind::Ddpm { v: 1.0 });
        prop_assert!(close(large, beta, tolerance));
        // Euler's step of dx/dl = x0 - (l / sigma) eps.
        let euler = x + (s - t) * (x0 - t / sigma(t) * eps);
        prop_assert!(close(step(SamplerKind::Euler), euler, tolerance));
        // Heun's predictor is Euler's step in sigma/alpha, which is DDIM.
        prop_assert!(close(step(SamplerKind::Heun), ddim, tolerance));
        let predictor = step(SamplerKind::PredictorCorrector { ratio: 0.1 });
        prop_assert!(close(predictor, posterior, tolerance));
    }
}

/// Heun's step in the form of Karras et al. 2022, which keeps x_t and d_t.
#[test]
fn consistency_steps_noise_the_guess_afresh() {
    let schedule = Schedule::explicit([0.6, 0.8]).unwrap();
    let mut sampler = Sampler::new(SamplerKind::Consistency, &schedule, Clip::None);
    // x0_hat = (1.2 - 0.8 0.5) / 0.6 = 4/3; 0.8 4/3 + 0.6 0.25 = 1.216667.
    let mut x = [1.2];
    sampler.advance(0, &mut x, &[0.5], &[0.25]).unwrap();
    assert!(close(f64::from(x[0]), 1.216_667, 1e-6), "{x:?}");
    // The last step is the guess itself: (1.216667 - 0.6 (-1)) / 0.8.
    assert!(!sampler.needs_noise(1));
    sampler.advance(1, &mut x, &[-1.0], &[]).unwrap();
    assert!(close(f64::from(x[0]), 2.270_833, 1e-6), "{x:?}");
}

#[test]
fn heun_follows_karras_et_al() {
    let schedule = Schedule::explicit([0.5, 0.8]).unwrap();
    let mut sampler = Sampler::new(SamplerKind::Heun, &schedule, Clip::None);
    assert_eq!((sampler.steps(), SamplerKind::Heun.evaluations(2)), (3, 3));
    let levels: Vec<f64> = (0..4).filter_map(|i| sampler.level(i)).collect();
    assert_eq!(levels, [0.5, 0.8, 0.8]);
    let (mut x, eps) = ([0.7f32], [0.2f32, -0.4]);
    sampler.advance(0, &mut x, &eps[..1], &[]).unwrap();
    sampler.advance(1, &mut x, &eps[1..], &[]).unwrap();
    let ratio = |l: f64| sigma(l) / l;
    let mean = 0.5 * (f64::from(eps[0]) + f64::from(eps[1]));
    let expected = 0.8 * (f64::from(0.7f32) / 0.5 + (ratio(0.8) - ratio(0.5)) * mean);
    assert!(close(f64::from(x[0]), expected, 1e-6), "{} {expected}", x[0]);
    // By hand: 0.8 (1.4 + (0.75 - 1.732051) (-0.1)).
    assert!(close(expected, 1.198_564, 1e-6), "{expected}");
}

/// One Langevin step by hand: alpha (0.5 / 0.8)^2 = 0.390625, sigma 0.6, r 0.4:
/// d = 2 0.390625 (0.4 0.6)^2 = 0.045; x + d (-eps / 0.6) + sqrt(0.09) z.
#[test]
fn langevin_steps_follow_song_et_al() {
    let schedule = Schedule::explicit([0.5, 0.8]).unwrap();
    let kind = SamplerKind::PredictorCorrector { ratio: 0.4 };
    let mut sampler = Sampler::new(kind, &schedule, Clip::None);
    assert!(sampler.needs_noise(0) && sampler.needs_noise(1) && !sampler.needs_noise(2));
    sampler.advance(0, &mut [0.1], &[0.0], &[0.0]).unwrap();
    let mut x = [1.0];
    sampler.advance(1, &mut x, &[0.5], &[-2.0]).unwrap();
    let expected = 1.0 - 0.045 * 0.5 / 0.6 - 0.3 * 2.0;
    assert!(close(f64::from(x[0]), expected, 1e-6), "{} {expected}", x[0]);
}

#[test]
fn second_order_step_follows_lu_et_al() {
    let levels = [0.1, 0.4, 0.8, 0.9];
    let mut sampler =
        Sampler::new(SamplerKind::DpmSolver2m, &Schedule::explicit(levels).unwrap(), Clip::None);
    let (mut x, eps) = ([0.7f32], [0.2f32, -0.4]);
    sampler.advance(0, &mut x, &eps[..1], &[]).unwrap();
    let x0_before = x0_from_eps(0.1, f64::from(0.7f32), f64::from(eps[0]));
    let x1 = f64::from(x[0]);
    sampler.advance(1, &mut x, &eps[1..], &[]).unwrap();

    let (h_before, h) = (lambda(0.4) - lambda(0.1), lambda(0.8) - lambda(0.4));
    let r = h_before / h;
    let x0 = x0_from_eps(0.4, x1, f64::from(eps[1]));
    let d = (1.0 + 0.5 / r) * x0 - 0.5 / r * x0_before;
    let expected = sigma(0.8) / sigma(0.4) * x1 - 0.8 * ((-h).exp() - 1.0) * d;
    assert!(close(f64::from(x[0]), expected, 1e-5), "{} {expected}", x[0]);
}

#[test]
fn last_step_returns_the_clean_signal_without_noise() {
    for kind in KINDS {
        let mut sampler = Sampler::new(kind, &Schedule::explicit([0.1, 0.6]).unwrap(), Clip::None);
        let last = sampler.steps() - 1;
        assert!(!sampler.needs_noise(last) && !sampler.needs_noise(last + 1));
        for step in 0..last {
            sampler.advance(step, &mut [1.0, -0.3], &[0.0; 2], &[0.0; 2]).unwrap();
        }
        let mut x = [1.2, -0.3];
        sampler.advance(last, &mut x, &[0.5, -1.0], &[9.0, 9.0]).unwrap();
        assert!(
            (x[0] - 1.333_333).abs() < 1e-5 && (x[1] - 0.833_333).abs() < 1e-5,
            "{kind}: {x:?}"
        );
    }
}

/// Data of N(0, s^2) have the exact prediction eps = sigma x / (l^2 s^2 + sigma^2), so every step
/// is linear and the variance at the end is the sum of the squared responses to a unit impulse in
/// each noise that was drawn: exact, without statistics.
fn variance_of_gaussian_data(kind: SamplerKind, steps: usize, s: f64) -> f64 {
    let schedule = Schedule::log_snr(steps, 0.01, 0.999_99).unwrap();
    let mut sampler = Sampler::new(kind, &schedule, Clip::None);
    let steps = sampler.steps();
    let mut x = vec![0.0f32; steps + 1];
    x[steps] = 1.0;
    for step in 0..steps {
        let l = sampler.level(step).unwrap();
        let gain = sigma(l) / (l * l * s * s + sigma(l).powi(2));
        let eps: Vec<f32> = x.iter().map(|&x| (gain * f64::from(x)) as f32).collect();
        let mut z = vec![0.0; steps + 1];
        z[step] = 1.0;
        sampler.advance(step, &mut x, &eps, &z).unwrap();
    }
    x.iter().map(|&x| f64::from(x).powi(2)).sum()
}

#[test]
fn gaussian_data_come_out_with_their_variance() {
    for s in [0.1, 0.5, 2.0] {
        // Noise of variance beta is right at unit variance only, and Euler's steps in l are many.
        let even =
            |kind: &SamplerKind| !matches!(kind, SamplerKind::Ddpm { v: 1.0 } | SamplerKind::Euler);
        for kind in KINDS.into_iter().filter(even) {
            let error = |steps| (variance_of_gaussian_data(kind, steps, s) / (s * s) - 1.0).abs();
            let (few, many) = (error(10), error(800));
            assert!(many < 0.03 && many < few, "{kind}, s {s}: {few} at 10, {many} at 800");
        }
        // Second order: from 50 to 100 steps the error falls about fourfold, not twofold.
        for kind in [SamplerKind::DpmSolver2m, SamplerKind::Heun] {
            let error = |steps| (variance_of_gaussian_data(kind, steps, s) / (s * s) - 1.0).abs();
            assert!(error(100) < error(50) / 3.0, "{kind}, s {s}: {} {}", error(50), error(100));
        }
    }
}

/// A window that is cropped between steps gives the samples of the whole, bit for bit.
#[test]
fn cropped_windows_equal_the_whole() {
    const N: usize = 400;
    let schedule = Schedule::named("log-snr", 6).unwrap();
    let deviation: Vec<f32> = noise(5, N).iter().map(|x| 0.01 + x.abs()).collect();
    for kind in KINDS {
        let run = |crop: usize| {
            let mut sampler = Sampler::new(kind, &schedule, Clip::Signal(0.3));
            sampler.set_deviation(&deviation);
            let mut x = noise(1, N);
            let (mut first, mut end) = (0, N);
            for step in 0..sampler.steps() {
                let z = noise(100 + step as u64, N);
                let eps: Vec<f32> = x.iter().map(|x| 0.9 * x).collect();
                sampler.advance(step, &mut x, &eps, &z[first..end]).unwrap();
                sampler.crop(crop, 2 * crop).unwrap();
                (first, end) = (first + crop, end - 2 * crop);
                x = x[crop..x.len() - 2 * crop].to_vec();
            }
            x
        };
        let steps = kind.evaluations(6);
        assert_eq!(run(7), run(0)[steps * 7..N - steps * 14], "{kind}");
    }
}

#[test]
fn clipping_holds_the_signal_not_the_whitened_one() {
    let schedule = Schedule::explicit([0.5]).unwrap();
    let advance = |clip: Clip, deviation: &[f32]| {
        let mut sampler = Sampler::new(SamplerKind::Ancestral, &schedule, clip);
        sampler.set_deviation(deviation);
        let mut x = [2.0, -2.0, 0.1];
        sampler.advance(0, &mut x, &[0.0; 3], &[]).unwrap();
        x
    };
    assert_eq!(advance(Clip::None, &[]), [4.0, -4.0, 0.2]);
    assert_eq!(advance(Clip::Signal(1.0), &[]), [1.0, -1.0, 0.2]);
    assert_eq!(advance(Clip::Signal(1.0), &[0.5, 0.1, 0.1]), [2.0, -4.0, 0.2]);

    // The noise prediction follows: at eta 0, x_s = alpha_s x0 + sigma_s (x - alpha_t x0) / sigma_t.
    let schedule = Schedule::explicit([0.5, 0.8]).unwrap();
    let mut x = [2.0];
    Sampler::new(SamplerKind::Ddim { eta: 0.0 }, &schedule, Clip::Signal(1.0))
        .advance(0, &mut x, &[0.0], &[])
        .unwrap();
    let expected = 0.8 + 0.6 * (2.0 - 0.5) / 0.75f64.sqrt();
    assert!(close(f64::from(x[0]), expected, 1e-6));
}

#[test]
fn only_stochastic_rules_ask_for_noise() {
    let schedule = Schedule::named("linear", 3).unwrap();
    let needs = |kind| {
        let sampler = Sampler::new(kind, &schedule, Clip::None);
        [0, 1, 2].map(|step| sampler.needs_noise(step))
    };
    assert_eq!(needs(SamplerKind::Ancestral), [true, true, false]);
    assert_eq!(needs(SamplerKind::SdeDpmSolver2m { eta: 1.0 }), [true, true, false]);
    assert_eq!(needs(SamplerKind::Ddim { eta: 0.0 }), [false; 3]);
    assert_eq!(needs(SamplerKind::DpmSolver2m), [false; 3]);
}

#[test]
fn wrong_lengths_and_steps_are_refused() {
    let schedule = Schedule::named("linear", 3).unwrap();
    let mut sampler = Sampler::new(SamplerKind::SdeDpmSolver2m { eta: 1.0 }, &schedule, Clip::None);
    let mut x = [0.0; 4];
    assert!(sampler.advance(3, &mut x, &[0.0; 4], &[0.0; 4]).is_err());
    assert!(sampler.advance(0, &mut x, &[0.0; 3], &[0.0; 4]).is_err());
    assert!(sampler.advance(0, &mut x, &[0.0; 4], &[]).is_err());
    assert!(sampler.advance(1, &mut x, &[0.0; 4], &[0.0; 4]).is_err(), "no step before");
    sampler.advance(0, &mut x, &[0.0; 4], &[0.0; 4]).unwrap();
    assert!(sampler.crop(3, 2).is_err());
    sampler.crop(1, 0).unwrap();
    assert!(sampler.advance(1, &mut x, &[0.0; 4], &[0.0; 4]).is_err(), "window not cropped");
    sampler.set_deviation(&[1.0; 2]);
    assert!(sampler.advance(1, &mut x[..3], &[0.0; 3], &[0.0; 3]).is_err());
}

#[test]
fn names_make_the_round_trip() {
    for kind in KINDS {
        assert_eq!(kind.to_string().parse::<SamplerKind>().unwrap(), kind);
        let json = serde_json::to_string(&kind).unwrap();
        assert_eq!(serde_json::from_str::<SamplerKind>(&json).unwrap(), kind);
    }
    for wrong in [
        "",
        "eular",
        "ddim:",
        "ddim:2",
        "ddim:-0.1",
        "ddim:NaN",
        "DDIM",
        "dpm++2m ",
        "dpm++2m:1",
        "sde-dpm++2m:2.1",
        "sde-dpm++2m:",
        "heun:2",
        "pc:0",
        "pc:0.6",
        "ddpm:-1",
        "ancestral:1",
    ] {
        let message = wrong.parse::<SamplerKind>().unwrap_err().to_string();
        assert!(message.contains("expected ancestral"), "{message}");
    }
}
