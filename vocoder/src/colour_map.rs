//! Matplotlib's "magma", in which equal steps of level look like equal steps of brightness: for every
//! spectrogram, on paper and in a window.

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

/// Red, green and blue of `level`, from 0 (black) to 1 (pale yellow). Levels outside are clipped, and
/// one that is no number is black.
pub fn magma(level: f32) -> [u8; 3] {
    let level = if level.is_nan() { 0.0 } else { level.clamp(0.0, 1.0) };
    let position = level * (MAGMA.len() - 1) as f32;
    let below = position as usize;
    let above = (below + 1).min(MAGMA.len() - 1);
    let part = position - below as f32;
    std::array::from_fn(|channel| {
        let (a, b) = (f32::from(MAGMA[below][channel]), f32::from(MAGMA[above][channel]));
        (a + part * (b - a)).round() as u8
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_middle_and_what_lies_outside() {
        assert_eq!(magma(0.0), [0, 0, 4]);
        assert_eq!(magma(1.0), [252, 253, 191]);
        assert_eq!(magma(0.5), [183, 55, 121]);
        assert_eq!(magma(0.5 / 24.0), [3, 2, 13]);
        assert_eq!(magma(-3.0), magma(0.0));
        assert_eq!(magma(9.0), magma(1.0));
        assert_eq!(magma(f32::NAN), magma(0.0));
    }
}
