//! Curves as inline SVG.

use std::fmt::Write;

/// Size of a chart, and of the margins that hold its labels, in pixels.
const SIZE: (f64, f64) = (720.0, 240.0);
const MARGIN: (f64, f64, f64, f64) = (62.0, 14.0, 10.0, 26.0); // left, right, top, bottom

/// Most points of a drawn curve: more are averaged in groups.
const MOST_POINTS: usize = 700;

/// Colours that stay apart for most eyes (Okabe & Ito 2008).
const COLOURS: [&str; 5] = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9"];

/// A curve.
pub(super) struct Curve {
    /// What the legend calls it.
    pub name: String,
    /// Steps and values.
    pub points: Vec<(f64, f64)>,
}

/// The curves over one horizontal axis of steps, their vertical axis from the least to the largest
/// value; logarithmic where all values are above zero and `logarithmic` is set.
pub(super) fn chart(curves: &[Curve], logarithmic: bool) -> String {
    let curves: Vec<(&str, Vec<(f64, f64)>)> = curves
        .iter()
        .map(|curve| (curve.name.as_str(), thin(&curve.points)))
        .filter(|(_, points)| !points.is_empty())
        .collect();
    let all = || curves.iter().flat_map(|(_, points)| points.iter());
    if all().next().is_none() {
        return "<p>Nothing yet.</p>".into();
    }
    let logarithmic = logarithmic && all().all(|(_, y)| *y > 0.0);
    let scale = |y: f64| if logarithmic { y.log10() } else { y };
    let range = |values: &mut dyn Iterator<Item = f64>| {
        let (low, high) = values
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| (low.min(v), high.max(v)));
        if high > low { (low, high) } else { (low - 0.5, high + 0.5) }
    };
    let (x_low, x_high) = range(&mut all().map(|(x, _)| *x));
    let (y_low, y_high) = range(&mut all().map(|(_, y)| scale(*y)));
    let (left, right, top, bottom) = MARGIN;
    let x_of = |x: f64| left + (x - x_low) / (x_high - x_low) * (SIZE.0 - left - right);
    let y_of = |y: f64| top + (y_high - y) / (y_high - y_low) * (SIZE.1 - top - bottom);

    let mut svg = format!("<svg viewBox=\"0 0 {} {}\" role=\"img\">", SIZE.0, SIZE.1);
    for i in 0..=4 {
        let part = f64::from(i) / 4.0;
        let (x, y) = (x_low + part * (x_high - x_low), y_low + part * (y_high - y_low));
        let value = if logarithmic { 10f64.powf(y) } else { y };
        let (x_end, y_at) = (SIZE.0 - right, y_of(y));
        _ = write!(
            svg,
            "<path class=\"grid\" d=\"M{left} {y_at:.1}H{x_end}\"/>\
             <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>\
             <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{:.0}</text>",
            left - 6.0,
            y_at + 4.0,
            short(value),
            x_of(x),
            SIZE.1 - 8.0,
            x
        );
    }
    for ((name, points), colour) in curves.iter().zip(COLOURS.iter().cycle()) {
        let line: Vec<String> =
            points.iter().map(|(x, y)| format!("{:.1},{:.1}", x_of(*x), y_of(scale(*y)))).collect();
        let line = line.join(" ");
        _ = write!(
            svg,
            "<polyline stroke=\"{colour}\" points=\"{line}\"><title>{name}</title></polyline>"
        );
    }
    svg.push_str("</svg><p class=\"legend\">");
    for ((name, points), colour) in curves.iter().zip(COLOURS.iter().cycle()) {
        let last = points.last().map_or(0.0, |(_, y)| *y);
        _ = write!(svg, "<span style=\"color:{colour}\">\u{2501} {name}: {}</span> ", short(last));
    }
    svg + "</p>"
}

/// The mean of each of at most [`MOST_POINTS`] groups of neighbours; values that are not finite are
/// left out.
fn thin(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let points: Vec<(f64, f64)> = points.iter().copied().filter(|(_, y)| y.is_finite()).collect();
    let group = points.len().div_ceil(MOST_POINTS).max(1);
    let mean = |group: &[(f64, f64)]| {
        let count = group.len() as f64;
        let sum = group.iter().fold((0.0, 0.0), |sum, p| (sum.0 + p.0, sum.1 + p.1));
        (sum.0 / count, sum.1 / count)
    };
    points.chunks(group).map(mean).collect()
}

/// Three digits.
fn short(value: f64) -> String {
    match value.abs() {
        0.0 => "0".into(),
        size if !(1e-3..1e5).contains(&size) => format!("{value:.1e}"),
        size => {
            let decimals = (2 - size.log10().floor() as i32).clamp(0, 5) as usize;
            format!("{value:.decimals$}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_lie_where_their_values_say() {
        let curve = |points: &[(f64, f64)]| Curve { name: "loss".into(), points: points.to_vec() };
        // The corners of the plot: the least value at the bottom left, the largest at the top right.
        let svg = chart(&[curve(&[(0.0, 0.01), (10.0, 1.0)])], true);
        assert!(svg.contains("points=\"62.0,214.0 706.0,10.0\""), "{svg}");
        // Half-way between the logarithms.
        let svg = chart(&[curve(&[(0.0, 0.01), (5.0, 0.1), (10.0, 1.0)])], true);
        assert!(svg.contains("384.0,112.0"), "{svg}");
        assert!(chart(&[curve(&[])], false).contains("Nothing yet"));
        assert!(!chart(&[curve(&[(1.0, 2.0)])], true).contains("NaN"));
    }

    #[test]
    fn long_curves_are_averaged() {
        let points: Vec<(f64, f64)> = (0..7000).map(|i| (f64::from(i), f64::from(i % 2))).collect();
        let thinned = thin(&points);
        assert_eq!((thinned.len(), thinned[0]), (700, (4.5, 0.5)));
    }

    #[test]
    fn three_digits() {
        let found = [0.0, 0.12345, 12.345, 12_345.0, 1.5e-7].map(short);
        assert_eq!(found, ["0", "0.123", "12.3", "12345", "1.5e-7"]);
    }
}
