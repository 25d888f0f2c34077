//! Where Winograd's tiles lie.
//!
//! A product in fewer bits is off by the rounding of its tile, which depends on all six rows that the tile
//! reads. So pieces equal the whole only if tiles lie in the same places however rows come. In a stream the
//! rows of a frame are due with the frame: there tiles begin anew with each, and never reach into the next.

use std::ops::Range;

use crate::kernel::winograd::TILE;

/// Where the tiles of a convolution may begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Grid {
    /// Rows from which on tiles begin, one of each phase of the dilation, are multiples of this within a run.
    set: usize,
    /// Rows of a run. Tiles begin anew after it, and see nothing of the next.
    run: usize,
}

/// How the rows of a convolution come.
#[derive(Clone, Copy, Debug)]
pub(in crate::engine) struct Arrival {
    /// Rows of a frame of mel; `usize::MAX` if they are many.
    pub frame: usize,
    /// Rows come in whole frames, and each frame is computed as if it came alone: to the same bits however many
    /// come together.
    pub alone: bool,
}

impl Arrival {
    /// Many rows at a time, of whatever frames.
    pub const MANY: Self = Arrival { frame: usize::MAX, alone: false };
}

impl Grid {
    /// The grid of a dilation.
    pub fn new(dilation: usize, arrival: Arrival) -> Self {
        match arrival.alone {
            true => Grid { set: TILE * dilation, run: arrival.frame },
            false => Grid { set: 1, run: usize::MAX },
        }
    }

    /// The last row up to `row` from which on tiles may begin.
    pub fn floor(&self, row: usize) -> usize {
        let within = row % self.run;
        row - within % self.set
    }

    /// The part of a run that begins at row `from` of the clip and has at most `most` rows.
    #[inline(always)]
    pub fn part(&self, from: usize, most: usize) -> usize {
        (self.run - from % self.run).min(most)
    }

    /// Tiles that cover `rows`, part by part and phase by phase of the dilation.
    pub fn tiles(&self, rows: Range<usize>, dilation: usize) -> usize {
        let (mut from, mut count) = (rows.start, 0);
        while from < rows.end {
            let part = self.part(from, rows.end - from);
            count += tiles(part, dilation);
            from += part;
        }
        count
    }
}

/// Tiles that cover `rows` rows side by side, phase by phase of the dilation.
pub(super) fn tiles(rows: usize, dilation: usize) -> usize {
    (0..dilation.min(rows)).map(|phase| (rows - phase).div_ceil(dilation).div_ceil(TILE)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_of_tiles_by_hand() {
        let arrival = |alone| Arrival { frame: 75, alone };
        // Anywhere.
        let grid = Grid::new(2, arrival(false));
        assert_eq!(grid.floor(77), 77);
        assert_eq!(grid.part(72, 500), 500);
        // Of a dilation of 2, 75 rows are 38 and 37, each ten tiles.
        assert_eq!(grid.tiles(0..75, 2), 20);
        // From each frame's first row on.
        let grid = Grid::new(2, arrival(true));
        assert_eq!([7, 8, 74, 75, 77, 83].map(|row| grid.floor(row)), [0, 8, 72, 75, 75, 83]);
        assert_eq!([0, 72, 75, 100].map(|row| grid.part(row, 60)), [60, 3, 60, 50]);
        // Three rows after the last full set, one whole frame, one set.
        assert_eq!(grid.tiles(72..158, 2), 2 + 20 + 2);
    }
}
