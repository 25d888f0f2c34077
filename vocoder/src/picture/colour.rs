//! The colours of a picture's cells: [`colour_map::magma`] of levels, blue over white to red of
//! differences.

use plotters::style::RGBColor;

use crate::colour_map;

/// The colour of `level`, as [`colour_map::magma`].
pub fn magma(level: f32) -> RGBColor {
    let [red, green, blue] = colour_map::magma(level);
    RGBColor(red, green, blue)
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
