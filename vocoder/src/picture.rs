//! Spectrogram pictures: mels as PNG, side by side, with axes in seconds and kHz and one colour
//! scale in decibels for all.
//!
//! Labels are drawn in an embedded font, so that a picture looks the same on every machine.

mod axis;
mod colour;

use std::path::Path;
use std::sync::OnceLock;

use plotters::backend::BitMapBackend;
use plotters::coord::Shift;
use plotters::drawing::{DrawingArea, IntoDrawingArea};
use plotters::element::{PathElement, Rectangle};
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{
    Color, FontStyle, IntoFont, RGBColor, ShapeStyle, TextStyle, WHITE, register_font,
};

use crate::mel::Mel;
use crate::output_file::write_whole;
use crate::{Error, Result};
use axis::{BandAxis, seconds_ticks};
use colour::magma;

/// One spectrogram of a picture.
pub struct Panel<'a> {
    /// Said above it.
    pub title: &'a str,
    /// What is drawn.
    pub mel: &'a Mel,
}

/// Range of the colour scale below the loudest point of all panels, in dB.
const RANGE_DB: f32 = 80.0;

const PLOT_HEIGHT: i32 = 300;
/// Width of a panel by the length of the longest mel, in pixels a second, and its limits.
const PIXELS_PER_SECOND: f64 = 220.0;
const PLOT_WIDTH: (f64, f64) = (560.0, 2400.0);
/// Widest a grid of panels may grow, unless its panels are as narrow as they may be.
const GRID_WIDTH: f64 = 2600.0;

const LEFT: i32 = 78;
const RIGHT: i32 = 26;
const TOP: i32 = 58;
const BOTTOM: i32 = 62;
const COLOUR_BAR: i32 = 120;
const OUTER: i32 = 14;

const TITLE_PX: i32 = 26;
const LABEL_PX: i32 = 21;
const TICK: i32 = 7;
/// The middle of a digit lies this much below the middle of its line.
const DIGIT_DROP: i32 = 3;
const FONT: &str = "labels";
const INK: RGBColor = RGBColor(38, 38, 46);
const PALE: RGBColor = RGBColor(130, 130, 140);

type Canvas<'a> = DrawingArea<BitMapBackend<'a>, Shift>;

/// Draws `rows` of panels into the PNG file `path`. All share one colour scale, from the loudest
/// point of any panel to 80 dB below it.
///
/// The file appears whole or not at all.
///
/// # Errors
/// No panel, or the file cannot be written.
pub fn draw(path: &Path, rows: &[Vec<Panel>]) -> Result<()> {
    let panels = || rows.iter().flatten();
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    if columns == 0 {
        return Err(Error::mismatch("picture", "at least one panel", "none"));
    }
    load_font()?;
    let longest = panels().map(|panel| seconds(panel.mel)).fold(0.0, f64::max);
    let widest = (GRID_WIDTH / columns as f64).max(PLOT_WIDTH.0).min(PLOT_WIDTH.1);
    let width = (longest * PIXELS_PER_SECOND).clamp(PLOT_WIDTH.0, widest) as i32;
    let cell = (LEFT + width + RIGHT, TOP + PLOT_HEIGHT + BOTTOM);
    let size = (
        (2 * OUTER + columns as i32 * cell.0 + COLOUR_BAR) as u32,
        (2 * OUTER + rows.len() as i32 * cell.1) as u32,
    );
    let top_db = panels().map(|panel| loudest_db(panel.mel)).fold(f32::NEG_INFINITY, f32::max);

    let mut pixels = vec![0; 3 * size.0 as usize * size.1 as usize];
    {
        let canvas = BitMapBackend::with_buffer(&mut pixels, size).into_drawing_area();
        let drawn = canvas.fill(&WHITE).and_then(|()| {
            for (row, panels) in rows.iter().enumerate() {
                for (column, panel) in panels.iter().enumerate() {
                    let x = OUTER + column as i32 * cell.0 + LEFT;
                    let y = OUTER + row as i32 * cell.1 + TOP;
                    draw_panel(&canvas, panel, (x, y), width, top_db)?;
                }
            }
            draw_colour_bar(&canvas, OUTER + columns as i32 * cell.0 + 10, OUTER + TOP, top_db)?;
            canvas.present()
        });
        drawn.map_err(|error| Error::file(path, format!("cannot draw: {error}")))?;
    }
    write_whole(path, &png(&pixels, size).map_err(|error| Error::io(path, error.into()))?)
}

/// `pixels`, RGB by rows, as a PNG file.
fn png(
    pixels: &[u8],
    (width, height): (u32, u32),
) -> std::result::Result<Vec<u8>, png::EncodingError> {
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, width, height);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    let mut writer = encoder.write_header()?;
    writer.write_image_data(pixels)?;
    writer.finish()?;
    Ok(file)
}

fn load_font() -> Result<()> {
    static LOADED: OnceLock<bool> = OnceLock::new();
    let load =
        || register_font(FONT, FontStyle::Normal, include_bytes!("picture/labels.ttf")).is_ok();
    match LOADED.get_or_init(load) {
        true => Ok(()),
        false => Err(Error::config("picture", "the embedded font is damaged")),
    }
}

fn seconds(mel: &Mel) -> f64 {
    (mel.frames * mel.config.hop) as f64 / f64::from(mel.config.sample_rate)
}

/// The level of a mel value, in dB of magnitude, whatever the mel's own compression.
fn decibels(mel: &Mel, value: f32) -> f32 {
    let linear = mel.config.expand(value).max(f32::MIN_POSITIVE);
    20.0 / mel.config.power.exponent() as f32 * linear.log10()
}

fn loudest_db(mel: &Mel) -> f32 {
    decibels(mel, mel.data.iter().copied().fold(f32::NEG_INFINITY, f32::max))
}

type Drawn = std::result::Result<
    (),
    plotters::drawing::DrawingAreaErrorKind<
        <BitMapBackend<'static> as plotters::backend::DrawingBackend>::ErrorType,
    >,
>;

fn draw_panel(
    canvas: &Canvas,
    panel: &Panel,
    (x, y): (i32, i32),
    width: i32,
    top_db: f32,
) -> Drawn {
    draw_pixels(canvas, panel.mel, (x, y), width, top_db)?;
    let frame = [(x - 1, y - 1), (x + width, y + PLOT_HEIGHT)];
    canvas.draw(&Rectangle::new(frame, ShapeStyle::from(&PALE)))?;
    let title = text(TITLE_PX, INK, HPos::Left, VPos::Center);
    canvas.draw_text(panel.title, &title, (x, y - TOP / 2))?;

    let bottom = y + PLOT_HEIGHT;
    let label = text(LABEL_PX, INK, HPos::Center, VPos::Top);
    let length = seconds(panel.mel);
    for second in seconds_ticks(length, width) {
        let at = x + (second / length * f64::from(width)) as i32;
        canvas.draw(&PathElement::new([(at, bottom), (at, bottom + TICK)], PALE))?;
        canvas.draw_text(&format!("{second}"), &label, (at, bottom + TICK + 5))?;
    }
    let unit = text(LABEL_PX, PALE, HPos::Right, VPos::Top);
    canvas.draw_text("s", &unit, (x + width + RIGHT - 4, bottom + TICK + 5))?;

    let label = text(LABEL_PX, INK, HPos::Right, VPos::Center);
    let bands = BandAxis::new(&panel.mel.config);
    for khz in bands.khz_ticks(PLOT_HEIGHT) {
        let Some(part) = bands.part_of_hz(khz * 1000.0) else { continue };
        let at = bottom - (part * f64::from(PLOT_HEIGHT)) as i32;
        canvas.draw(&PathElement::new([(x - TICK, at), (x, at)], PALE))?;
        canvas.draw_text(&format!("{khz}"), &label, (x - TICK - 5, at + DIGIT_DROP))?;
    }
    let unit = text(LABEL_PX, PALE, HPos::Right, VPos::Center);
    canvas.draw_text("kHz", &unit, (x - TICK - 5, y - TOP / 2))
}

/// The spectrogram itself, interpolated between frames and bands.
fn draw_pixels(canvas: &Canvas, mel: &Mel, (x, y): (i32, i32), width: i32, top_db: f32) -> Drawn {
    let n_mels = mel.config.n_mels;
    let levels: Vec<f32> = mel.data.iter().map(|&value| decibels(mel, value)).collect();
    for column in 0..width {
        let (left, right, part_right) = between(column, width, mel.frames);
        for row in 0..PLOT_HEIGHT {
            let (low, high, part_high) = between(PLOT_HEIGHT - 1 - row, PLOT_HEIGHT, n_mels);
            let level = |frame: usize| {
                let (a, b) = (levels[frame * n_mels + low], levels[frame * n_mels + high]);
                a + part_high * (b - a)
            };
            let (a, b) = (level(left), level(right));
            let db = a + part_right * (b - a);
            canvas.draw_pixel((x + column, y + row), &shade(db, top_db))?;
        }
    }
    Ok(())
}

/// The two neighbours among `cells` cells that pixel `pixel` of `pixels` lies between, by their
/// centres, and how far it is towards the second.
fn between(pixel: i32, pixels: i32, cells: usize) -> (usize, usize, f32) {
    let position = (f64::from(pixel) + 0.5) / f64::from(pixels) * cells as f64 - 0.5;
    let position = position.clamp(0.0, cells as f64 - 1.0);
    let first = position as usize;
    (first, (first + 1).min(cells - 1), (position - first as f64) as f32)
}

fn shade(db: f32, top_db: f32) -> RGBColor {
    magma((db - top_db) / RANGE_DB + 1.0)
}

fn draw_colour_bar(canvas: &Canvas, x: i32, y: i32, top_db: f32) -> Drawn {
    const WIDTH: i32 = 18;
    for row in 0..PLOT_HEIGHT {
        let db = top_db - RANGE_DB * row as f32 / PLOT_HEIGHT as f32;
        let stripe = [(x, y + row), (x + WIDTH, y + row)];
        canvas.draw(&PathElement::new(stripe, shade(db, top_db)))?;
    }
    let label = text(LABEL_PX, INK, HPos::Left, VPos::Center);
    for below in [0, 20, 40, 60, 80] {
        let at = y + PLOT_HEIGHT * below / RANGE_DB as i32;
        let name = if below == 0 { "0".to_string() } else { format!("−{below}") };
        canvas.draw(&PathElement::new([(x + WIDTH, at), (x + WIDTH + TICK, at)], PALE))?;
        canvas.draw_text(&name, &label, (x + WIDTH + TICK + 5, at + DIGIT_DROP))?;
    }
    let unit = text(LABEL_PX, PALE, HPos::Left, VPos::Center);
    canvas.draw_text("dB", &unit, (x + WIDTH + TICK + 5, y - TOP / 2))
}

fn text(px: i32, colour: RGBColor, horizontal: HPos, vertical: VPos) -> TextStyle<'static> {
    TextStyle {
        font: (FONT, px).into_font(),
        color: colour.to_backend_color(),
        pos: Pos::new(horizontal, vertical),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::mel::{MelConfig, MelExtractor};

    /// Half a second of a tone that rises from 200 Hz to 4 kHz.
    fn chirp() -> Mel {
        let config = MelConfig::default();
        let rate = config.sample_rate as f32;
        let samples: Vec<f32> = (0..config.sample_rate / 2)
            .map(|i| {
                let t = i as f32 / rate;
                0.5 * (std::f32::consts::TAU * (200.0 * t + 3800.0 * t * t)).sin()
            })
            .collect();
        MelExtractor::new(&config).unwrap().extract(&samples).unwrap()
    }

    #[test]
    fn a_picture_appears_whole_with_the_size_of_its_grid() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("picture.png");
        let mel = chirp();
        let panel = |title| Panel { title, mel: &mel };
        draw(&path, &[vec![panel("one"), panel("two")], vec![panel("three")]]).unwrap();
        let png = std::fs::read(&path).unwrap();
        assert_eq!(&png[..8], b"\x89PNG\r\n\x1a\n");
        let size = |at: usize| u32::from_be_bytes(png[at..at + 4].try_into().unwrap());
        let expected = (2 * (78 + 560 + 26) + 120 + 28, 2 * (58 + 300 + 62) + 28);
        assert_eq!((size(16), size(20)), expected);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "no temporary file left");
    }

    #[test]
    fn what_cannot_be_drawn_is_an_error_and_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        assert!(draw(&folder.path().join("none.png"), &[]).is_err());
        let mel = chirp();
        let lost = folder.path().join("no such folder/picture.png");
        assert!(draw(&lost, &[vec![Panel { title: "", mel: &mel }]]).is_err());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn pixels_lie_between_the_centres_of_cells() {
        assert_eq!(between(0, 4, 2), (0, 1, 0.0));
        assert_eq!(between(1, 4, 2), (0, 1, 0.25));
        assert_eq!(between(3, 4, 2), (1, 1, 0.0));
        assert_eq!(between(2, 5, 1), (0, 0, 0.0));
    }

    #[test]
    fn levels_do_not_depend_on_the_compression() {
        for name in ["wavegrad-24k", "lmnt-24k", "vocos-24k"] {
            let config = MelConfig::preset(name).unwrap();
            let value = config.compress(0.1);
            let mel = Mel::new(config.clone(), vec![value; config.n_mels]).unwrap();
            assert!((loudest_db(&mel) + 20.0).abs() < 1e-3, "{name}");
        }
    }
}
