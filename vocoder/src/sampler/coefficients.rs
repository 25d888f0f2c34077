//! The numbers of each step, worked out in f64.

use super::SamplerKind;
use crate::schedule::{Schedule, lambda, sigma};

/// One step: x0_hat = clean_from_x x + clean_from_eps eps_hat, then
/// x <- x x + clean x0_hat + previous x0_hat_before + noise z.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Coefficients {
    pub clean_from_x: f32,
    pub clean_from_eps: f32,
    pub x: f32,
    pub clean: f32,
    pub previous: f32,
    pub noise: f32,
}

/// x_s = x x_t + drift D + noise z, before D is put in.
struct Rule {
    x: f64,
    drift: f64,
    noise: f64,
}

/// The coefficients of `kind` for every step of `schedule`.
pub(super) fn of_schedule(kind: SamplerKind, schedule: &Schedule) -> Vec<Coefficients> {
    let levels = schedule.levels();
    (0..levels.len())
        .map(|step| {
            let (from, to) = (levels[step], schedule.target(step));
            let last = step + 1 == levels.len();
            let rule = if last { ARRIVE } else { rule(kind, from, to) };
            let looks_back = kind.looks_back() && step > 0 && !last;
            let weight = if looks_back { extrapolation(levels[step - 1], from, to) } else { 0.0 };
            Coefficients {
                clean_from_x: (1.0 / from) as f32,
                clean_from_eps: (-sigma(from) / from) as f32,
                x: rule.x as f32,
                clean: (rule.drift * (1.0 + weight)) as f32,
                previous: (-rule.drift * weight) as f32,
                noise: rule.noise as f32,
            }
        })
        .collect()
}

/// To the clean signal, where lambda is infinite: x0_hat itself.
const ARRIVE: Rule = Rule { x: 0.0, drift: 1.0, noise: 0.0 };

/// From level `t` to the cleaner level `s` < 1.
fn rule(kind: SamplerKind, t: f64, s: f64) -> Rule {
    match kind {
        SamplerKind::Ancestral => ddim(t, s, 1.0),
        SamplerKind::Ddim { eta } => ddim(t, s, eta),
        SamplerKind::DpmSolver2m => {
            // Lu et al. 2022, algorithm 2: x_s = (sigma_s/sigma_t) x_t - alpha_s (e^-h - 1) D
            let h = lambda(s) - lambda(t);
            Rule { x: sigma(s) / sigma(t), drift: -s * (-h).exp_m1(), noise: 0.0 }
        }
        SamplerKind::SdeDpmSolver2m => {
            // x_s = (sigma_s/sigma_t) e^-h x_t + alpha_s (1 - e^-2h) D + sigma_s sqrt(1 - e^-2h) z
            let h = lambda(s) - lambda(t);
            let fresh = -(-2.0 * h).exp_m1();
            Rule {
                x: sigma(s) / sigma(t) * (-h).exp(),
                drift: s * fresh,
                noise: sigma(s) * fresh.sqrt(),
            }
        }
    }
}

/// Song et al. 2021, eq. 12 and 16: x_s = alpha_s x0_hat + sqrt(sigma_s^2 - g^2) eps_hat + g z, with
/// g = eta (sigma_s/sigma_t) sqrt(1 - alpha_t^2/alpha_s^2), and eps_hat = (x_t - alpha_t x0_hat) /
/// sigma_t put in, so that it follows a clipped x0_hat.
fn ddim(t: f64, s: f64, eta: f64) -> Rule {
    let beta = (1.0 - t / s) * (1.0 + t / s);
    let noise = eta * sigma(s) / sigma(t) * beta.sqrt();
    let kept = ((sigma(s) - noise) * (sigma(s) + noise)).sqrt() / sigma(t);
    Rule { x: kept, drift: s - kept * t, noise }
}

/// 1 / (2r) with r = h_before / h: D = (1 + 1/(2r)) x0_hat - 1/(2r) x0_hat_before.
fn extrapolation(before: f64, t: f64, s: f64) -> f64 {
    0.5 * (lambda(s) - lambda(t)) / (lambda(t) - lambda(before))
}
