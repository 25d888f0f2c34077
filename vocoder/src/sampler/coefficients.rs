//! The numbers of each evaluation of the network, worked out in f64.
//!
//! Whatever the rule, a chain is a list of evaluations, each at a level of its own and each followed
//! by one linear update. A corrector is an evaluation more, at the level that the step has reached.

use super::SamplerKind;
use crate::schedule::{Schedule, lambda, sigma};

/// What follows one evaluation, at `level`: x0_hat = clean_from_x x + clean_from_eps eps_hat, then
/// x <- x x + clean x0_hat + previous x0_hat_before + noise z.
#[derive(Clone, Copy, Debug)]
pub(super) struct Coefficients {
    pub level: f64,
    /// Of eps_hat: see [`Schedule::scale`]. It is a part of `clean_from_eps`.
    pub scale: f64,
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

/// The coefficients of `kind` for every evaluation on the way down `schedule`.
pub(super) fn of_schedule(kind: SamplerKind, schedule: &Schedule) -> Vec<Coefficients> {
    let levels = schedule.levels();
    let mut all = Vec::with_capacity(kind.evaluations(levels.len()));
    for step in 0..levels.len() {
        let (from, to) = (levels[step], schedule.target(step));
        let last = step + 1 == levels.len();
        let rule = if last { ARRIVE } else { rule(kind, from, to) };
        let extrapolates =
            matches!(kind, SamplerKind::DpmSolver2m | SamplerKind::SdeDpmSolver2m { .. });
        let weight = match extrapolates && step > 0 && !last {
            true => extrapolation(levels[step - 1], from, to),
            false => 0.0,
        };
        let previous = -rule.drift * weight;
        let rule = Rule { drift: rule.drift * (1.0 + weight), ..rule };
        all.push(rule.after((from, schedule.scale(step)), previous));
        if !last {
            all.extend(correction(kind, from, (to, schedule.scale(step + 1))));
        }
    }
    all
}

impl Rule {
    /// As coefficients after an evaluation at `level`, whose noise is scaled, with a weight of the x0_hat before.
    fn after(self, (level, scale): (f64, f64), previous: f64) -> Coefficients {
        Coefficients {
            level,
            scale,
            clean_from_x: (1.0 / level) as f32,
            clean_from_eps: (-scale * sigma(level) / level) as f32,
            x: self.x as f32,
            clean: self.drift as f32,
            previous: previous as f32,
            noise: self.noise as f32,
        }
    }
}

/// What corrects the step from `t` to `s` after an evaluation at `s`, whose noise is scaled.
fn correction(kind: SamplerKind, t: f64, (s, scale): (f64, f64)) -> Option<Coefficients> {
    match kind {
        SamplerKind::Heun => {
            // Karras et al. 2022, algorithm 1, line 8, with x' = x/alpha, sigma' = sigma/alpha and
            // d = eps: x'_s = x'_t + (sigma'_s - sigma'_t) (d_t + d_s) / 2. Euler's step before has
            // made x' = x'_t + (sigma'_s - sigma'_t) d_t = x0_t + sigma'_s d_t, so that d_t and d_s
            // = (x' - x0_s) / sigma'_s differ by (x0_t - x0_s) / sigma'_s, and neither x_t nor d_t
            // need be kept.
            let ratio = |l: f64| sigma(l) / l;
            let weight = 0.5 * s * (ratio(t) - ratio(s)) / ratio(s);
            Some(Rule { x: 1.0, drift: weight, noise: 0.0 }.after((s, scale), -weight))
        }
        SamplerKind::PredictorCorrector { ratio } => {
            // Song et al. 2021, algorithm 5: x <- x + d score + sqrt(2 d) z with
            // d = 2 alpha (r |z| / |score|)^2, alpha = 1 - beta of the step, score = -eps / sigma.
            // Note: |z| / |score| is taken as sigma, its value for a network that is right, so that
            // a piece of a clip is not changed by the loudness of another.
            let alpha = (t / s).powi(2);
            let d = 2.0 * alpha * (ratio * sigma(s)).powi(2);
            let share = d / sigma(s).powi(2);
            let rule = Rule { x: 1.0 - share, drift: share * s, noise: (2.0 * d).sqrt() };
            Some(rule.after((s, scale), 0.0))
        }
        _ => None,
    }
}

/// To the clean signal, where lambda is infinite: x0_hat itself.
const ARRIVE: Rule = Rule { x: 0.0, drift: 1.0, noise: 0.0 };

/// From level `t` to the cleaner level `s` < 1.
fn rule(kind: SamplerKind, t: f64, s: f64) -> Rule {
    match kind {
        SamplerKind::Ancestral | SamplerKind::PredictorCorrector { .. } => ddim(t, s, 1.0),
        SamplerKind::Ddim { eta } => ddim(t, s, eta),
        SamplerKind::Heun => ddim(t, s, 0.0),
        SamplerKind::Euler => {
            // x = l x0 + sigma eps, so dx/dl = x0 - (l / sigma) eps, eps = (x - l x0) / sigma.
            let slope = (s - t) / sigma(t).powi(2);
            Rule { x: 1.0 - slope * t, drift: slope, noise: 0.0 }
        }
        SamplerKind::Ddpm { v } => {
            // Ho et al. 2020, eq. 7: the mean sqrt(alpha) (1 - alpha_bar_s) / (1 - alpha_bar_t) x_t
            // + sqrt(alpha_bar_s) beta / (1 - alpha_bar_t) x0, and beta_tilde.
            let beta = (1.0 - t / s) * (1.0 + t / s);
            let shrinks = (sigma(s) / sigma(t)).powi(2);
            // beta_tilde^(1-v) beta^v = beta shrinks^(1-v)
            let variance = beta * shrinks.powf(1.0 - v);
            Rule { x: t / s * shrinks, drift: s * beta / sigma(t).powi(2), noise: variance.sqrt() }
        }
        SamplerKind::Consistency => {
            // Song et al. 2023, algorithm 1, over alpha: x_s = alpha_s x0_hat + sigma_s z. Note: its
            // variance leaves out the least level that training knows, which here is none.
            Rule { x: 0.0, drift: s, noise: sigma(s) }
        }
        SamplerKind::DpmSolver2m => {
            // Lu et al. 2022, algorithm 2: x_s = (sigma_s/sigma_t) x_t - alpha_s (e^-h - 1) D
            let h = lambda(s) - lambda(t);
            Rule { x: sigma(s) / sigma(t), drift: -s * (-h).exp_m1(), noise: 0.0 }
        }
        SamplerKind::SdeDpmSolver2m { eta } => {
            // x_s = (sigma_s/sigma_t) e^(-eta h) x_t + alpha_s (1 - e^(-(1 + eta) h)) D
            //     + sigma_s sqrt(1 - e^(-2 eta h)) z
            let h = lambda(s) - lambda(t);
            Rule {
                x: sigma(s) / sigma(t) * (-eta * h).exp(),
                drift: -s * (-(1.0 + eta) * h).exp_m1(),
                noise: sigma(s) * (-(-2.0 * eta * h).exp_m1()).sqrt(),
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
