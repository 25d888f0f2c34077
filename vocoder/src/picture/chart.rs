//! Line charts: a few curves over one horizontal axis, stacked in plots that share it.

use std::path::Path;

use plotters::element::{Circle, PathElement, Rectangle};
use plotters::style::text_anchor::{HPos, VPos};
use plotters::style::{Color, RGBColor, ShapeStyle};

use super::{Canvas, DIGIT_DROP, Drawn, INK, LABEL_PX, OUTER, PALE, TICK, TITLE_PX};
use super::{load_font, on_canvas, text};
use crate::output_file::write_whole;
use crate::{Error, Result};

/// A curve.
pub struct Line {
    /// Said beside it; empty for none.
    pub name: String,
    /// (x, y), by x.
    pub points: Vec<(f64, f64)>,
}

/// One plot of curves.
pub struct Chart<'a> {
    /// Said above it.
    pub title: &'a str,
    /// Said below its horizontal axis.
    pub x_title: &'a str,
    /// The curves, each in a colour of its own.
    pub lines: Vec<Line>,
}

/// Colours of the curves, in order (after Okabe & Ito 2008: told apart by all eyes).
const COLOURS: [RGBColor; 8] = [
    RGBColor(213, 94, 0),
    RGBColor(0, 114, 178),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(230, 159, 0),
    RGBColor(86, 180, 233),
    RGBColor(90, 90, 100),
    RGBColor(140, 90, 30),
];

const WIDTH: i32 = 900;
const HEIGHT: i32 = 280;
const LEFT: i32 = 100;
/// Least room for the names of the curves, and where a name begins in it.
const RIGHT: i32 = 260;
const NAME: i32 = 48;
const TOP: i32 = 56;
const BOTTOM: i32 = 74;

/// Draws `charts` below each other into the PNG file `path`, which appears whole or not at all.
///
/// # Errors
/// No chart, a chart without a finite point, or a file that cannot be written.
pub fn draw(path: &Path, charts: &[Chart]) -> Result<()> {
    write_whole(path, &encode(charts)?)
}

/// As [`draw`], into the bytes of a PNG file.
///
/// # Errors
/// No chart, or one without a finite point.
pub fn encode(charts: &[Chart]) -> Result<Vec<u8>> {
    if charts.is_empty() || charts.iter().any(|chart| Frame::of(chart).is_none()) {
        return Err(Error::mismatch("chart", "at least one finite point in each", "none"));
    }
    let cell = TOP + HEIGHT + BOTTOM;
    let size = (
        (2 * OUTER + LEFT + WIDTH + names_room(charts)?) as u32,
        (2 * OUTER + charts.len() as i32 * cell) as u32,
    );
    on_canvas(size, |canvas| {
        for (i, chart) in charts.iter().enumerate() {
            draw_chart(canvas, chart, (OUTER + LEFT, OUTER + i as i32 * cell + TOP))?;
        }
        Ok(())
    })
}

/// Width to the right of the plots: for the longest name.
fn names_room(charts: &[Chart]) -> Result<i32> {
    load_font()?;
    let name = text(LABEL_PX, INK, HPos::Left, VPos::Center);
    let lines = charts.iter().flat_map(|chart| &chart.lines);
    let widths = lines.filter_map(|line| name.font.box_size(&line.name).ok());
    Ok(widths.map(|(width, _)| NAME + width as i32).fold(RIGHT, i32::max))
}

/// What the axes span.
struct Frame {
    x: (f64, f64),
    y: (f64, f64),
}

impl Frame {
    fn of(chart: &Chart) -> Option<Self> {
        let finite = || {
            let points = chart.lines.iter().flat_map(|line| &line.points);
            points.filter(|(x, y)| x.is_finite() && y.is_finite())
        };
        finite().next()?;
        let span = |of: fn(&(f64, f64)) -> f64| {
            finite().map(of).fold((f64::INFINITY, f64::NEG_INFINITY), |(least, most), v| {
                (least.min(v), most.max(v))
            })
        };
        // A margin, and some width for a single value.
        let widened = |(least, most): (f64, f64), share: f64| {
            let room = if most > least { share * (most - least) } else { 0.5 };
            (least - room, most + room)
        };
        Some(Self { x: widened(span(|p| p.0), 0.02), y: widened(span(|p| p.1), 0.06) })
    }
}

/// Round numbers within `span`, at most about `count`: multiples of 1, 2 or 5 times a power of ten.
fn ticks((least, most): (f64, f64), count: f64) -> Vec<f64> {
    let rough = (most - least) / count;
    let power = 10f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].into_iter().map(|m| m * power).find(|s| *s >= rough);
    let step = step.unwrap_or(10.0 * power);
    let first = (least / step).ceil() as i64;
    let last = (most / step).floor() as i64;
    (first..=last).map(|i| i as f64 * step).collect()
}

/// `value` with no more digits than ticks `step` apart need.
fn told(value: f64, step: f64) -> String {
    let digits = (-step.log10().floor()).clamp(0.0, 6.0) as usize;
    format!("{value:.digits$}").replace('-', "−")
}

fn draw_chart(canvas: &Canvas, chart: &Chart, (left, top): (i32, i32)) -> Drawn {
    let Some(frame) = Frame::of(chart) else { return Ok(()) };
    let bottom = top + HEIGHT;
    let part = |value: f64, (least, most): (f64, f64)| (value - least) / (most - least);
    let at_x = |x: f64| left + (part(x, frame.x) * f64::from(WIDTH)).round() as i32;
    let at_y = |y: f64| bottom - (part(y, frame.y) * f64::from(HEIGHT)).round() as i32;

    canvas.draw_text(
        chart.title,
        &text(TITLE_PX, INK, HPos::Left, VPos::Center),
        (left, top - 30),
    )?;
    let border = [(left, top), (left + WIDTH, bottom)];
    canvas.draw(&Rectangle::new(border, ShapeStyle::from(&PALE)))?;
    let grid = PALE.mix(0.25);
    let step = |ticks: &[f64]| ticks.windows(2).next().map_or(1.0, |pair| pair[1] - pair[0]);
    let xs = ticks(frame.x, 8.0);
    let label = text(LABEL_PX, INK, HPos::Center, VPos::Top);
    for &x in &xs {
        canvas.draw(&PathElement::new([(at_x(x), top), (at_x(x), bottom + TICK)], grid))?;
        canvas.draw_text(&told(x, step(&xs)), &label, (at_x(x), bottom + TICK + 5))?;
    }
    let label = text(LABEL_PX, PALE, HPos::Center, VPos::Top);
    canvas.draw_text(chart.x_title, &label, (left + WIDTH / 2, bottom + TICK + 32))?;
    let ys = ticks(frame.y, 5.0);
    let label = text(LABEL_PX, INK, HPos::Right, VPos::Center);
    for &y in &ys {
        canvas.draw(&PathElement::new([(left - TICK, at_y(y)), (left + WIDTH, at_y(y))], grid))?;
        canvas.draw_text(&told(y, step(&ys)), &label, (left - TICK - 5, at_y(y) + DIGIT_DROP))?;
    }
    for (i, line) in chart.lines.iter().enumerate() {
        let colour = COLOURS[i % COLOURS.len()];
        let finite = line.points.iter().filter(|(x, y)| x.is_finite() && y.is_finite());
        let points: Vec<(i32, i32)> = finite.map(|&(x, y)| (at_x(x), at_y(y))).collect();
        // Points that can be told apart are marked.
        if points.len() <= 60 {
            for &point in &points {
                canvas.draw(&Circle::new(point, 4, colour.filled()))?;
            }
        }
        canvas.draw(&PathElement::new(points, colour.stroke_width(2)))?;
        let y = top + 14 + 28 * i as i32;
        if !line.name.is_empty() {
            let dash = [(left + WIDTH + 14, y), (left + WIDTH + 40, y)];
            canvas.draw(&PathElement::new(dash, colour.stroke_width(3)))?;
            let name = text(LABEL_PX, INK, HPos::Left, VPos::Center);
            canvas.draw_text(&line.name, &name, (left + WIDTH + NAME, y + DIGIT_DROP))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn ticks_are_round_and_within() {
        assert_eq!(ticks((0.0, 1.0), 5.0), [0.0, 0.2, 0.4, 0.6000000000000001, 0.8, 1.0]);
        assert_eq!(ticks((-31.0, 52.0), 5.0), [-20.0, 0.0, 20.0, 40.0]);
        assert_eq!(told(-0.5, 0.5), "−0.5");
        assert_eq!(told(20.0, 20.0), "20");
    }

    #[test]
    fn charts_are_drawn_below_each_other() {
        let line = |values: &[f64]| Line {
            name: "curve".into(),
            points: values.iter().enumerate().map(|(i, v)| (i as f64, *v)).collect(),
        };
        let chart = |values: &[f64]| Chart { title: "t", x_title: "x", lines: vec![line(values)] };
        let png = encode(&[chart(&[1.0, f64::NAN, 2.0]), chart(&[3.0])]).unwrap();
        assert_eq!(&png[..8], b"\x89PNG\r\n\x1a\n");
        let size = |at: usize| i32::from_be_bytes(png[at..at + 4].try_into().unwrap());
        assert_eq!(size(20), 2 * (TOP + HEIGHT + BOTTOM) + 2 * OUTER);
        // A long name widens the picture, a short one does not narrow it.
        assert_eq!(size(16), LEFT + WIDTH + RIGHT + 2 * OUTER);
        let mut long = chart(&[3.0]);
        long.lines[0].name = "ivanvovk/WaveGrad 6, tied, sde-dpm++2m".into();
        let png = encode(&[long]).unwrap();
        let width = i32::from_be_bytes(png[16..20].try_into().unwrap());
        assert!((100..300).contains(&(width - size(16))), "{width}");
        assert!(encode(&[chart(&[])]).is_err() && encode(&[]).is_err());
        assert!(encode(&[chart(&[f64::NAN])]).is_err());
    }
}
