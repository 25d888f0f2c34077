//! How hard the worker works, what was late, how loud it is.

use std::time::Instant;

use egui::{Align2, Color32, Painter, Rect, pos2, vec2};
use live::{Status, Telemetry};

use super::theme::{self, ACCENT, BAD, DIM, FIELD, GOOD, TEXT, WARN};

/// The quietest level of the meters, in dB of full scale.
const FLOOR_DB: f32 = -60.0;
/// How fast they fall, in dB a second.
const FALL: f32 = 26.0;

/// From which load on it may get late, and from which it does.
const LOAD_WARN: f32 = 0.7;
const LOAD_BAD: f32 = 0.95;

/// Height of a line.
const LINE: f32 = 21.0;

/// Height of all that there can be.
pub const HEIGHT: f32 = 9.0 * LINE;

/// The meters' memory: levels fall slowly.
pub struct Meters {
    levels_db: [f32; 2],
    seen: Instant,
}

impl Default for Meters {
    fn default() -> Self {
        Self { levels_db: [FLOOR_DB; 2], seen: Instant::now() }
    }
}

impl Meters {
    /// Reads and draws into `rect`; `device` is the one in use.
    pub fn paint(&mut self, painter: &Painter, rect: Rect, telemetry: &Telemetry, device: &str) {
        let mut lines = Lines { painter, rest: rect };
        let load = telemetry.load();
        let colour = match load {
            load if load >= LOAD_BAD => BAD,
            load if load >= LOAD_WARN => WARN,
            _ => GOOD,
        };
        lines.bar("Load", load, &format!("{:.0} %", load * 100.0), colour);
        self.follow(telemetry.take_peaks());
        for (name, level) in ["Input", "Output"].into_iter().zip(self.levels_db) {
            let label = if level > FLOOR_DB { format!("{level:.0} dB") } else { "silent".into() };
            let colour = if level > -0.1 { BAD } else { ACCENT };
            lines.bar(name, 1.0 - level / FLOOR_DB, &label.replace('-', "\u{2212}"), colour);
        }
        let (late, chunks) = (telemetry.late(), telemetry.chunks());
        let colour = if late > 0 { WARN } else { TEXT };
        lines.pair("Late chunks", &format!("{} of {}", grouped(late), grouped(chunks)), colour);
        lines.pair("RTF", &format!("{load:.2}"), TEXT);
        lines.pair("Steps taken", &telemetry.steps().to_string(), TEXT);
        lines.pair("Latency", &latency(telemetry), TEXT);
        lines.pair("Device", device, TEXT);
        if telemetry.dropped() > 0 {
            lines.pair("Dropped", &grouped(telemetry.dropped()), BAD);
        }
    }

    fn follow(&mut self, peaks: [f32; 2]) {
        let fallen = FALL * self.seen.elapsed().as_secs_f32();
        self.seen = Instant::now();
        for (level, peak) in self.levels_db.iter_mut().zip(peaks) {
            let now = 20.0 * peak.max(1e-6).log10();
            *level = (*level - fallen).max(now).clamp(FLOOR_DB, 12.0);
        }
    }
}

/// Lines from top to bottom, as many as there is room for.
struct Lines<'a> {
    painter: &'a Painter,
    rest: Rect,
}

impl Lines<'_> {
    fn next(&mut self) -> Option<Rect> {
        if self.rest.height() < LINE - 2.0 {
            return None;
        }
        let (line, rest) = self.rest.split_top_bottom_at_y(self.rest.top() + LINE);
        self.rest = rest;
        Some(line)
    }

    fn pair(&mut self, name: &str, value: &str, colour: Color32) {
        let Some(line) = self.next() else { return };
        let (left, right) = line.split_left_right_at_x(line.left() + 86.0);
        theme::text(self.painter, left, Align2::LEFT_CENTER, name, theme::SMALL, DIM);
        theme::text(self.painter, right, Align2::RIGHT_CENTER, value, theme::BODY, colour);
    }

    fn bar(&mut self, name: &str, part: f32, value: &str, colour: Color32) {
        let Some(line) = self.next() else { return };
        let (left, rest) = line.split_left_right_at_x(line.left() + 58.0);
        let (track, right) = rest.split_left_right_at_x(rest.right() - 62.0);
        theme::text(self.painter, left, Align2::LEFT_CENTER, name, theme::SMALL, DIM);
        theme::text(self.painter, right, Align2::RIGHT_CENTER, value, theme::BODY, TEXT);
        let track = Rect::from_center_size(track.center(), vec2(track.width(), 8.0));
        self.painter.rect_filled(track, 4.0, FIELD);
        let width = track.width() * part.clamp(0.0, 1.0);
        if width >= 1.0 {
            let full = Rect::from_min_max(track.min, pos2(track.left() + width, track.bottom()));
            self.painter.rect_filled(full, 4.0, colour);
        }
    }
}

/// Milliseconds and samples.
pub fn latency(telemetry: &Telemetry) -> String {
    let (samples, rate) = (telemetry.latency(), telemetry.rate());
    if rate == 0 {
        return "\u{2013}".into();
    }
    let ms = f64::from(samples) / f64::from(rate) * 1000.0;
    format!("{ms:.1} ms = {} samples", grouped(u64::from(samples)))
}

/// What is going on, in a word, and its colour.
pub fn status(telemetry: &Telemetry) -> (&'static str, Color32) {
    match telemetry.status() {
        Status::Loading => ("Loading the voice", WARN),
        Status::Running => ("Running", GOOD),
        Status::Resting => ("Resting", DIM),
        Status::Failed => ("Dry sound passes", BAD),
        Status::TimedOut => ("Timed out", BAD),
    }
}

/// A number with thin gaps between thousands.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push('\u{2009}');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_set_apart() {
        assert_eq!(grouped(7), "7");
        assert_eq!(grouped(1234567), "1\u{2009}234\u{2009}567");
    }
}
