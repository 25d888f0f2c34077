//! Every sampler against a distribution whose exact noise prediction is known: two narrow peaks.

#![allow(clippy::unwrap_used)]

use super::tests::KINDS;
use super::*;
use crate::noise::{self, Noise};
use crate::schedule::sigma;

/// Weights, means and deviations of a Gaussian mixture: a third at -0.8, the rest at 0.5.
const MIXTURE: [(f64, f64, f64); 2] = [(1.0 / 3.0, -0.8, 0.05), (2.0 / 3.0, 0.5, 0.2)];

/// Particles that go down the chain.
const PARTICLES: usize = 4000;

/// E[eps | x] at `level`: -sigma times the score of sum_k w_k N(l m_k, l^2 s_k^2 + sigma^2).
fn exact_eps(level: f64, x: f64) -> f64 {
    let (mut density, mut slope) = (0.0, 0.0);
    for (weight, mean, deviation) in MIXTURE {
        let variance = (level * deviation).powi(2) + sigma(level).powi(2);
        let off = x - level * mean;
        let share = weight / variance.sqrt() * (-0.5 * off * off / variance).exp();
        density += share;
        slope -= share * off / variance;
    }
    -sigma(level) * slope / density.max(1e-300)
}

/// The mixture's quantile at `part`, by bisection of its cumulative distribution.
fn quantile(part: f64) -> f64 {
    let below = |x: f64| -> f64 {
        MIXTURE.iter().map(|(w, m, s)| w * normal_cumulative((x - m) / s)).sum()
    };
    let (mut low, mut high) = (-3.0, 3.0);
    for _ in 0..60 {
        let middle = 0.5 * (low + high);
        if below(middle) < part { low = middle } else { high = middle }
    }
    0.5 * (low + high)
}

/// The cumulative normal distribution, within 1e-7 (Abramowitz & Stegun 26.2.17).
fn normal_cumulative(z: f64) -> f64 {
    const B: [f64; 5] =
        [0.319_381_530, -0.356_563_782, 1.781_477_937, -1.821_255_978, 1.330_274_429];
    let t = 1.0 / (1.0 + 0.231_641_9 * z.abs());
    let tail = B.iter().rev().fold(0.0, |sum, b| (sum + b) * t);
    let upper = (-0.5 * z * z).exp() / std::f64::consts::TAU.sqrt() * tail;
    if z > 0.0 { 1.0 - upper } else { upper }
}

/// Wasserstein-1 distance of what `kind` makes in `steps` steps from the mixture: the mean distance
/// of sorted particles from the quantiles.
fn distance(kind: SamplerKind, steps: usize) -> f64 {
    let schedule = Schedule::log_snr(steps, 0.01, 0.9999).unwrap();
    let mut sampler = Sampler::new(kind, &schedule, Clip::None);
    let noise = Noise::new(1);
    let draw = |stream: u64| {
        let mut out = vec![0.0; PARTICLES];
        noise.fill(stream, 0, &mut out);
        out
    };
    let mut x = draw(noise::START);
    for step in 0..sampler.steps() {
        let level = sampler.level(step).unwrap();
        let eps: Vec<f32> = x.iter().map(|&x| exact_eps(level, f64::from(x)) as f32).collect();
        let fresh = if sampler.needs_noise(step) { draw(noise::after_step(step)) } else { vec![] };
        sampler.advance(step, &mut x, &eps, &fresh).unwrap();
    }
    x.sort_by(f32::total_cmp);
    let off = |(i, x): (usize, &f32)| {
        (f64::from(*x) - quantile((i as f64 + 0.5) / PARTICLES as f64)).abs()
    };
    x.iter().enumerate().map(off).sum::<f64>() / PARTICLES as f64
}

/// Each sampler's distance falls as the steps grow, to that of as many true samples: what 4000 of
/// them have by chance is 0.01, as the shares of the two peaks vary.
#[test]
fn every_sampler_converges_to_the_mixture() {
    for kind in KINDS {
        let [few, some, many] = [4, 16, 128].map(|steps| distance(kind, steps));
        println!("{kind}: {few:.4} {some:.4} {many:.4}");
        assert!(many < 0.02, "{kind}: {few:.4}, {some:.4}, {many:.4}");
        assert!(many < few, "{kind}: {few:.4}, {some:.4}, {many:.4}");
    }
}
