//! Spectrogram pictures: mels as PNG, side by side, with axes in seconds and kHz and one colour
//! scale in decibels for all.
//!
//! Labels are drawn in an embedded font, so that a picture looks the same on every machine.

mod axis;
pub mod chart;
mod colour;
mod scale;

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
pub use chart::{Chart, Line};
use scale::Scale;

/// One spectrogram of a picture.
pub struct Panel<'a> {
    /// Said above it.
    pub title: &'a str,
    /// What is drawn.
    pub mel: &'a Mel,
}

/// A panel, and whose levels are taken from its own.
struct Cell<'a> {
    panel: &'a Panel<'a>,
    less: Option<&'a Mel>,
}

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
    write_whole(path, &encode(rows)?)
}

/// As [`draw`], into the bytes of a PNG file.
///
/// # Errors
/// No panel.
pub fn encode(rows: &[Vec<Panel>]) -> Result<Vec<u8>> {
    let rows: Vec<Vec<Cell>> = rows
        .iter()
        .map(|row| row.iter().map(|panel| Cell { panel, less: None }).collect())
        .collect();
    encode_cells(&rows)
}

/// `reference` above `others`, each with how much louder or softer it is on its right: the bytes of
/// a PNG file. Levels more than 80 dB below the loudest point count as equal.
///
/// # Errors
/// Mels of different settings.
pub fn encode_comparison(reference: &Panel, others: &[Panel]) -> Result<Vec<u8>> {
    for other in others {
        reference.mel.config.expect(&other.mel.config)?;
    }
    let difference = Panel { title: "its difference", mel: reference.mel };
    let titled: Vec<Panel> =
        others.iter().map(|other| Panel { title: difference.title, mel: other.mel }).collect();
    let mut rows = vec![vec![Cell { panel: reference, less: None }]];
    rows.extend(others.iter().zip(&titled).map(|(panel, titled)| {
        vec![Cell { panel, less: None }, Cell { panel: titled, less: Some(reference.mel) }]
    }));
    encode_cells(&rows)
}

fn encode_cells(rows: &[Vec<Cell>]) -> Result<Vec<u8>> {
    let cells = || rows.iter().flatten();
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    if columns == 0 {
        return Err(Error::mismatch("picture", "at least one panel", "none"));
    }
    let longest = cells().map(|cell| seconds(cell.panel.mel)).fold(0.0, f64::max);
    let widest = (GRID_WIDTH / columns as f64).max(PLOT_WIDTH.0).min(PLOT_WIDTH.1);
    let width = (longest * PIXELS_PER_SECOND).clamp(PLOT_WIDTH.0, widest) as i32;
    let cell_size = (LEFT + width + RIGHT, TOP + PLOT_HEIGHT + BOTTOM);
    let size = (
        (2 * OUTER + columns as i32 * cell_size.0 + COLOUR_BAR) as u32,
        (2 * OUTER + rows.len() as i32 * cell_size.1) as u32,
    );
    let loudest = cells().map(|cell| loudest_db(cell.panel.mel));
    let levels = Scale::Level { top_db: loudest.fold(f32::NEG_INFINITY, f32::max) };
    let compares = cells().any(|cell| cell.less.is_some());
    on_canvas(size, |canvas| {
        for (row, cells) in rows.iter().enumerate() {
            let y = OUTER + row as i32 * cell_size.1 + TOP;
            for (column, cell) in cells.iter().enumerate() {
                let x = OUTER + column as i32 * cell_size.0 + LEFT;
                draw_panel(canvas, cell, (x, y), width, levels)?;
            }
            if row < 1 + usize::from(compares) {
                let scale = if row == 0 { levels } else { Scale::Difference };
                let x = OUTER + columns as i32 * cell_size.0 + 10;
                draw_colour_bar(canvas, x, y, scale)?;
            }
        }
        Ok(())
    })
}

/// A white picture of `size` that `paint` paints, as the bytes of a PNG file.
fn on_canvas(size: (u32, u32), paint: impl FnOnce(&Canvas) -> Drawn) -> Result<Vec<u8>> {
    load_font()?;
    let cannot = |error: String| Error::config("picture", format!("cannot be drawn: {error}"));
    let mut pixels = vec![0; 3 * size.0 as usize * size.1 as usize];
    {
        let canvas = BitMapBackend::with_buffer(&mut pixels, size).into_drawing_area();
        let drawn =
            canvas.fill(&WHITE).and_then(|()| paint(&canvas)).and_then(|()| canvas.present());
        drawn.map_err(|error| cannot(error.to_string()))?;
    }
    png(&pixels, size).map_err(|error| cannot(error.to_string()))
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
    // Spectrograms are smooth: it halves them.
    encoder.set_adaptive_filter(png::AdaptiveFilterType::Adaptive);
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
    cell: &Cell,
    (x, y): (i32, i32),
    width: i32,
    levels: Scale,
) -> Drawn {
    let panel = cell.panel;
    draw_pixels(canvas, cell, (x, y), width, levels)?;
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
fn draw_pixels(
    canvas: &Canvas,
    cell: &Cell,
    (x, y): (i32, i32),
    width: i32,
    levels: Scale,
) -> Drawn {
    let (mel, n_mels) = (cell.panel.mel, cell.panel.mel.config.n_mels);
    let floor = levels.ends().0;
    let scale = if cell.less.is_some() { Scale::Difference } else { levels };
    let values: Vec<f32> = match cell.less {
        None => mel.data.iter().map(|&value| decibels(mel, value)).collect(),
        Some(less) => {
            let pairs = mel.data.iter().zip(&less.data);
            let heard = |value: f32| decibels(mel, value).max(floor);
            pairs.map(|(&value, &less)| heard(value) - heard(less)).collect()
        }
    };
    let frames = values.len() / n_mels;
    for column in 0..width {
        let (left, right, part_right) = between(column, width, frames);
        for row in 0..PLOT_HEIGHT {
            let (low, high, part_high) = between(PLOT_HEIGHT - 1 - row, PLOT_HEIGHT, n_mels);
            let value = |frame: usize| {
                let (a, b) = (values[frame * n_mels + low], values[frame * n_mels + high]);
                a + part_high * (b - a)
            };
            let (a, b) = (value(left), value(right));
            let db = a + part_right * (b - a);
            canvas.draw_pixel((x + column, y + row), &scale.colour(db))?;
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

fn draw_colour_bar(canvas: &Canvas, x: i32, y: i32, scale: Scale) -> Drawn {
    const WIDTH: i32 = 18;
    let (bottom, top) = scale.ends();
    for row in 0..PLOT_HEIGHT {
        let db = top + (bottom - top) * row as f32 / PLOT_HEIGHT as f32;
        let stripe = [(x, y + row), (x + WIDTH, y + row)];
        canvas.draw(&PathElement::new(stripe, scale.colour(db)))?;
    }
    let label = text(LABEL_PX, INK, HPos::Left, VPos::Center);
    let names = scale.labels();
    for (i, name) in names.iter().enumerate() {
        let at = y + PLOT_HEIGHT * i as i32 / (names.len() as i32 - 1);
        canvas.draw(&PathElement::new([(x + WIDTH, at), (x + WIDTH + TICK, at)], PALE))?;
        canvas.draw_text(name, &label, (x + WIDTH + TICK + 5, at + DIGIT_DROP))?;
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
    fn a_comparison_has_a_row_for_the_reference_and_one_for_each_other() {
        let mel = chirp();
        let panel = |title| Panel { title, mel: &mel };
        let png = encode_comparison(&panel("recording"), &[panel("one"), panel("two")]).unwrap();
        let size = |at: usize| u32::from_be_bytes(png[at..at + 4].try_into().unwrap());
        assert_eq!(size(20), 3 * (58 + 300 + 62) + 28);
        let other = MelConfig::preset("vocos-24k").unwrap();
        let other = Mel::new(other.clone(), vec![0.0; other.n_mels]).unwrap();
        assert!(encode_comparison(&panel("a"), &[Panel { title: "b", mel: &other }]).is_err());
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
