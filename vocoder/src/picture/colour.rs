//! Colour maps: Matplotlib's "magma", in which equal steps of level look like equal steps of
//! brightness, and one from blue over white to red.

use plotters::style::RGBColor;

/// Every 24th part of the map, from `matplotlib.colormaps["magma"](i / 24)` (matplotlib 3.11, CC0).
const MAGMA: [[u8; 3]; 25] = [
    [0, 0, 4],
    [5, 4, 22],
    [16, 11, 45],
    [29, 17, 71],
    [44, 17, 95],
    [63, 15, 114],
    [81, 18, 124],
    [96, 24, 128],
    [114, 31, 129],
    [131, 38, 129],
    [147, 43, 128],
    [165, 49, 126],
    [183, 55, 121],
    [199, 61, 115],
    [216, 69, 108],
    [231, 82, 99],
    [241, 96, 93],
    [248, 116, 92],
    [252, 137, 97],
    [253, 155, 107],
    [254, 176, 120],
    [254, 196, 136],
    [254, 215, 153],
    [253, 235, 172],
    [252, 253, 191],
];

/// The colour of `level`, from 0 (black) to 1 (pale yellow). Levels outside are clipped, and one
/// that is no number is black.
pub fn magma(level: f32) -> RGBColor {
    let level = if level.is_nan() { 0.0 } else { level.clamp(0.0, 1.0) };
    let position = level * (MAGMA.len() - 1) as f32;
    let below = position as usize;
    let above = (below + 1).min(MAGMA.len() - 1);
    let part = position - below as f32;
    let mix = |channel: usize| {
        let (a, b) = (f32::from(MAGMA[below][channel]), f32::from(MAGMA[above][channel]));
        (a + part * (b - a)).round() as u8
    };
    RGBColor(mix(0), mix(1), mix(2))
}

/// The colour of `difference`, from -1 (blue) over 0 (white) to 1 (red). What lies outside is
/// clipped, and what is no number is white.
pub fn diverging(difference: f32) -> RGBColor {
    const BLUE: [f32; 3] = [33.0, 84.0, 178.0];
    const RED: [f32; 3] = [190.0, 28.0, 46.0];
    let part = if difference.is_nan() { 0.0 } else { difference.clamp(-1.0, 1.0) };
    let end = if part < 0.0 { BLUE } else { RED };
    let mix = |channel: usize| (255.0 + part.abs() * (end[channel] - 255.0)).round() as u8;
    RGBColor(mix(0), mix(1), mix(2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_middle_and_what_lies_outside() {
        let rgb = |level| {
            let RGBColor(r, g, b) = magma(level);
            [r, g, b]
        };
        assert_eq!(rgb(0.0), [0, 0, 4]);
        assert_eq!(rgb(1.0), [252, 253, 191]);
        assert_eq!(rgb(0.5), [183, 55, 121]);
        assert_eq!(rgb(0.5 / 24.0), [3, 2, 13]);
        assert_eq!(rgb(-3.0), rgb(0.0));
        assert_eq!(rgb(9.0), rgb(1.0));
        assert_eq!(rgb(f32::NAN), rgb(0.0));
        let diverging = |difference| {
            let RGBColor(r, g, b) = diverging(difference);
            [r, g, b]
        };
        assert_eq!(diverging(0.0), [255; 3]);
        assert_eq!(diverging(f32::NAN), [255; 3]);
        assert_eq!(diverging(-1.0), [33, 84, 178]);
        assert_eq!(diverging(7.0), [190, 28, 46]);
    }
}
