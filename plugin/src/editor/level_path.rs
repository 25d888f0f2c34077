//! The way from noise to sound: the noise level at each step of the schedule.

use egui::{Align2, Color32, Painter, Pos2, Rect, Shape, Stroke, pos2, vec2};

use super::theme::{self, ACCENT, DIM, EDGE, GROUND};

/// The ends of the axis of signal-to-noise ratio, in dB.
const LOWEST_DB: f32 = -40.0;
const HIGHEST_DB: f32 = 60.0;

/// Draws `levels` (the first first) into `rect`: signal-to-noise ratio against step.
pub fn paint(painter: &Painter, rect: Rect, levels: &[f32]) {
    let plot = Rect::from_min_max(rect.min + vec2(40.0, 4.0), rect.max - vec2(6.0, 20.0));
    painter.rect_filled(plot, theme::ROUND_FIELD, GROUND);
    let y_of = |db: f32| {
        let part = (db.clamp(LOWEST_DB, HIGHEST_DB) - LOWEST_DB) / (HIGHEST_DB - LOWEST_DB);
        plot.bottom() - 4.0 - part * (plot.height() - 8.0)
    };
    let few = plot.height() <= 130.0;
    for db in (-40..=60).step_by(20).filter(|db| !few || db % 40 == 0) {
        let y = y_of(db as f32);
        painter.hline(plot.x_range(), y, Stroke::new(1.0, EDGE));
        let line = Rect::from_center_size(pos2(plot.left() - 22.0, y), vec2(36.0, 16.0));
        let label = if db < 0 { format!("\u{2212}{}", -db) } else { db.to_string() };
        theme::text(painter, line, Align2::RIGHT_CENTER, &label, theme::SMALL, DIM);
    }
    if levels.is_empty() {
        theme::text(painter, plot, Align2::CENTER_CENTER, "no schedule yet", theme::BODY, DIM);
        return;
    }
    let x_of = |i: usize| {
        let part = if levels.len() > 1 { i as f32 / (levels.len() - 1) as f32 } else { 0.5 };
        plot.left() + 10.0 + part * (plot.width() - 20.0)
    };
    let points: Vec<Pos2> =
        levels.iter().enumerate().map(|(i, level)| pos2(x_of(i), y_of(snr_db(*level)))).collect();
    fill_below(painter, &points, plot.bottom());
    painter.line(points.clone(), Stroke::new(2.0, ACCENT));
    if levels.len() <= 30 {
        for point in &points {
            painter.circle(*point, 3.0, GROUND, Stroke::new(1.5, ACCENT));
        }
    }
    steps(painter, plot, levels.len(), x_of);
}

/// Signal-to-noise ratio of a noise level (the signal's share, sqrt of alpha bar): `20 log10(l /
/// sqrt(1 - l²))`.
fn snr_db(level: f32) -> f32 {
    let noise = (1.0 - level * level).max(1e-12).sqrt();
    20.0 * (level.max(1e-6) / noise).log10()
}

fn fill_below(painter: &Painter, points: &[Pos2], bottom: f32) {
    for pair in points.windows(2) {
        let quad = vec![pair[0], pair[1], pos2(pair[1].x, bottom), pos2(pair[0].x, bottom)];
        let colour = ACCENT.gamma_multiply(0.13);
        painter.add(Shape::convex_polygon(quad, colour, Stroke::new(0.0, Color32::TRANSPARENT)));
    }
}

/// Labels below the plot: the first, the last, and what fits between.
fn steps(painter: &Painter, plot: Rect, count: usize, x_of: impl Fn(usize) -> f32) {
    let every = [1, 2, 5, 10, 25]
        .into_iter()
        .find(|every| count / every <= (plot.width() / 34.0) as usize)
        .unwrap_or(50);
    for step in (1..=count).filter(|step| *step == 1 || step % every == 0) {
        let line =
            Rect::from_center_size(pos2(x_of(step - 1), plot.bottom() + 11.0), vec2(32.0, 16.0));
        theme::text(painter, line, Align2::CENTER_CENTER, &step.to_string(), theme::SMALL, DIM);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_parts_of_signal_and_noise_are_0_db() {
        assert!(snr_db(0.5_f32.sqrt()).abs() < 1e-3);
        // 0.1 of signal to sqrt(0.99) of noise.
        assert!((snr_db(0.1) + 19.956).abs() < 1e-2);
        assert!(snr_db(1.0).is_finite() && snr_db(0.0).is_finite());
    }
}
