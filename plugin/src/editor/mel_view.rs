//! The scrolling mel spectrograms.

use egui::{Align2, Color32, ColorImage, Painter, Rect, TextureHandle, TextureOptions, pos2, vec2};

use vocoder::mel::{MelConfig, MelLog, Power, filter_bank};

use super::theme::{self, DIM, EDGE};

/// Frames that are shown.
const FRAMES: usize = 512;

/// From the loudest value to black, in dB.
const RANGE_DB: f32 = 80.0;

/// The quietest peak that fills the scale, so that silence does not become a bright picture.
const LEAST_TOP_DB: f32 = -20.0;

/// How much the top of the scale sinks with each frame.
const SINK_DB: f32 = 0.03;

/// The frequencies worth a label, in Hz, the most telling first.
const LABELS_HZ: [f32; 8] = [1000.0, 4000.0, 500.0, 2000.0, 8000.0, 200.0, 12000.0, 6000.0];

/// What the bands and values of a mel mean.
#[derive(Default)]
pub struct Axis {
    config: Option<MelConfig>,
    /// Centre of gravity of each band.
    centres_hz: Vec<f32>,
    /// Of one frame.
    seconds: f32,
}

impl Axis {
    /// Is that of mels of `config` from now on.
    pub fn follow(&mut self, config: &MelConfig) {
        if self.config.as_ref() == Some(config) {
            return;
        }
        let bin_hz = config.sample_rate as f32 / config.n_fft as f32;
        self.centres_hz = filter_bank(config)
            .chunks(config.n_fft / 2 + 1)
            .map(|band| {
                let sum: f32 = band.iter().sum();
                let moment: f32 = band.iter().enumerate().map(|(k, w)| k as f32 * bin_hz * w).sum();
                moment / sum
            })
            .collect();
        self.seconds = config.hop as f32 / config.sample_rate as f32;
        self.config = Some(config.clone());
    }

    /// In a few words.
    pub fn about(&self) -> String {
        self.config.as_ref().map_or_else(String::new, |mel| {
            let khz = f64::from(mel.sample_rate) / 1000.0;
            format!("{khz} kHz, {} bands, hop {}", mel.n_mels, mel.hop)
        })
    }

    fn db(&self, value: f32) -> f32 {
        let Some(config) = &self.config else { return value };
        // 20 dB for ten times the magnitude, 10 dB for ten times the energy.
        let per_decade = match config.power {
            Power::Magnitude => 20.0,
            Power::Energy => 10.0,
        };
        match config.log {
            MelLog::Natural => per_decade * value / std::f32::consts::LN_10,
            MelLog::Log10 => per_decade * value,
            MelLog::Db => value,
            MelLog::UnitDb => 100.0 * value - 80.0,
        }
    }
}

/// A picture of the newest frames. New ones overwrite the oldest column of a texture, which is drawn
/// in two pieces: no frame is uploaded twice.
pub struct MelView {
    name: &'static str,
    texture: Option<TextureHandle>,
    bands: usize,
    /// The column that is written next.
    next: usize,
    /// The level that is brightest.
    top_db: f32,
}

impl MelView {
    /// An empty picture.
    pub fn new(name: &'static str) -> Self {
        Self { name, texture: None, bands: 0, next: 0, top_db: LEAST_TOP_DB }
    }

    /// Forgets the textures: they belong to a window that was closed.
    pub fn close(&mut self) {
        self.texture = None;
    }

    /// Takes a frame of log-mel values in, the lowest band first.
    pub fn push(&mut self, context: &egui::Context, frame: &[f32], axis: &Axis) {
        if frame.is_empty() {
            return;
        }
        if self.texture.is_none() || self.bands != frame.len() {
            self.bands = frame.len();
            self.next = 0;
            let black = ColorImage::filled([FRAMES, self.bands], theme::magma(0.0));
            self.texture = Some(context.load_texture(self.name, black, TextureOptions::LINEAR));
        }
        let db: Vec<f32> = frame.iter().rev().map(|value| axis.db(*value)).collect();
        let loudest = db.iter().copied().filter(|db| db.is_finite()).fold(LEAST_TOP_DB, f32::max);
        self.top_db = (self.top_db - SINK_DB).max(loudest);
        let level = |db: &f32| theme::magma((db - self.top_db) / RANGE_DB + 1.0);
        let column: Vec<Color32> = db.iter().map(level).collect();
        if let Some(texture) = &mut self.texture {
            let column = ColorImage::new([1, self.bands], column);
            texture.set_partial([self.next, 0], column, TextureOptions::LINEAR);
        }
        self.next = (self.next + 1) % FRAMES;
    }

    /// Draws the picture into `rect`.
    pub fn paint(&self, painter: &Painter, rect: Rect, title: &str, axis: &Axis) {
        let picture = Rect::from_min_max(rect.min + vec2(52.0, 0.0), rect.max - vec2(0.0, 18.0));
        painter.rect_filled(picture, theme::ROUND_FIELD, theme::magma(0.0));
        if let Some(texture) = &self.texture {
            let split = self.next as f32 / FRAMES as f32;
            let at = picture.left() + (1.0 - split) * picture.width();
            let (old, new) = picture.split_left_right_at_x(at);
            let piece = |rect: Rect, from: f32, to: f32| {
                let uv = Rect::from_min_max(pos2(from, 0.0), pos2(to, 1.0));
                painter.image(texture.id(), rect, uv, Color32::WHITE);
            };
            piece(old, split, 1.0);
            piece(new, 0.0, split);
        }
        let name = Rect::from_min_size(picture.min + vec2(8.0, 6.0), vec2(120.0, 18.0));
        let back = Rect::from_min_size(
            name.min - vec2(4.0, 1.0),
            vec2(theme::width(painter, title, theme::SMALL) + 8.0, 20.0),
        );
        painter.rect_filled(back, theme::ROUND_FIELD, Color32::from_black_alpha(150));
        theme::text(painter, name, Align2::LEFT_CENTER, title, theme::SMALL, theme::TEXT);
        frequencies(painter, picture, &axis.centres_hz);
        seconds(painter, picture, FRAMES as f32 * axis.seconds);
    }
}

/// Labels left of the picture, as many as fit.
fn frequencies(painter: &Painter, picture: Rect, centres_hz: &[f32]) {
    let mut taken: Vec<f32> = Vec::new();
    for hz in LABELS_HZ {
        let Some(part) = part_of_hz(centres_hz, hz) else { continue };
        let y = picture.bottom() - part * picture.height();
        let line = Rect::from_center_size(pos2(picture.left() - 30.0, y), vec2(46.0, 16.0));
        let fits = line.top() >= picture.top() - 2.0 && line.bottom() <= picture.bottom() + 6.0;
        if !fits || taken.iter().any(|other| (other - y).abs() < 22.0) {
            continue;
        }
        taken.push(y);
        let label =
            if hz < 1000.0 { format!("{hz:.0} Hz") } else { format!("{:.0} kHz", hz / 1000.0) };
        theme::text(painter, line, Align2::RIGHT_CENTER, &label, theme::SMALL, DIM);
        painter.hline(picture.left() - 4.0..=picture.left(), y, egui::Stroke::new(1.0, EDGE));
    }
}

/// Labels below it: seconds before now.
fn seconds(painter: &Painter, picture: Rect, length_s: f32) {
    if length_s <= 0.0 || !length_s.is_finite() {
        return;
    }
    let step = if length_s / picture.width() * 60.0 <= 1.0 { 1 } else { 2 };
    for second in (0..=length_s as usize).step_by(step) {
        let x = picture.right() - second as f32 / length_s * picture.width();
        let line = Rect::from_center_size(pos2(x, picture.bottom() + 10.0), vec2(44.0, 16.0));
        let (line, align) = match second {
            0 => (line.translate(vec2(-22.0, 0.0)), Align2::RIGHT_CENTER),
            _ if line.left() < picture.left() => continue,
            _ => (line, Align2::CENTER_CENTER),
        };
        let label = if second == 0 { "now".into() } else { format!("\u{2212}{second} s") };
        theme::text(painter, line, align, &label, theme::SMALL, DIM);
        painter.vline(x, picture.bottom()..=picture.bottom() + 3.0, egui::Stroke::new(1.0, EDGE));
    }
}

/// How far up the axis `hz` lies, from 0 to 1; bands are evenly spaced, whatever the mel's scale.
fn part_of_hz(centres_hz: &[f32], hz: f32) -> Option<f32> {
    let (below, pair) =
        centres_hz.windows(2).enumerate().find(|(_, pair)| pair[0] <= hz && hz <= pair[1])?;
    let within = (hz - pair[0]) / (pair[1] - pair[0]).max(f32::MIN_POSITIVE);
    Some((below as f32 + 0.5 + within) / centres_hz.len() as f32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frequency_lies_between_its_neighbours() {
        let centres = [100.0, 200.0, 400.0, 800.0];
        assert_eq!(part_of_hz(&centres, 200.0), Some(1.5 / 4.0));
        assert_eq!(part_of_hz(&centres, 300.0), Some(2.0 / 4.0));
        assert_eq!(part_of_hz(&centres, 900.0), None);
        assert_eq!(part_of_hz(&[], 900.0), None);
    }
}
