//! A filter bank by its columns: what bands add up to in each bin.
//!
//! Bands overlap their neighbours, and are narrow where they are low. Adding one after the other to the bins
//! would read again what was just written, each time before it has left the store buffer: half of a search's
//! time went there. So bins are taken by blocks, and a block's sum stays in a register while the few bands
//! that reach into it are added.

use std::array;

/// Bins of a block.
const LANES: usize = 16;

/// The transposed bank.
pub(super) struct Columns {
    blocks: Vec<Block>,
}

/// Bins side by side, and the bands between the first and the last that have weight in them.
struct Block {
    first: usize,
    /// By band.
    weights: Vec<[f32; LANES]>,
}

impl Columns {
    /// Of a bank's `rows`, one a band, all of `bins` values.
    pub fn new(rows: &[&[f32]], bins: usize) -> Self {
        let block = |from: usize| {
            let part =
                |row: &&[f32]| array::from_fn(|lane| row.get(from + lane).copied().unwrap_or(0.0));
            let weighs = |part: &[f32; LANES]| part.iter().any(|weight| *weight > 0.0);
            let parts: Vec<[f32; LANES]> = rows.iter().map(part).collect();
            let first = parts.iter().position(weighs).unwrap_or(0);
            let end = parts.iter().rposition(weighs).map_or(first, |last| last + 1);
            Block { first, weights: parts[first..end].to_vec() }
        };
        Self { blocks: (0..bins).step_by(LANES).map(block).collect() }
    }

    /// The bins of `out`: the rows added up, each times its band's value.
    ///
    /// Inlined, to be compiled for its caller's instruction set.
    #[inline(always)]
    pub fn sum(&self, values: &[f32], out: &mut [f32]) {
        let (blocks, rest) = out.as_chunks_mut::<LANES>();
        let (whole, last) = self.blocks.split_at(blocks.len());
        for (out, block) in blocks.iter_mut().zip(whole) {
            *out = block.sum(values);
        }
        for block in last {
            rest.copy_from_slice(&block.sum(values)[..rest.len()]);
        }
    }
}

impl Block {
    #[inline(always)]
    fn sum(&self, values: &[f32]) -> [f32; LANES] {
        let mut sum = [0.0; LANES];
        for (weights, value) in self.weights.iter().zip(&values[self.first..]) {
            sum = array::from_fn(|lane| sum[lane] + weights[lane] * value);
        }
        sum
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::mel::{MelConfig, filter_bank};

    #[test]
    fn it_is_the_sum_over_the_whole_matrix() {
        for name in MelConfig::PRESETS {
            let config = MelConfig::preset(name).unwrap();
            let bank = filter_bank(&config);
            // All bins, a number of blocks, and fewer than one.
            for bins in [config.n_fft / 2 + 1, 4 * LANES, 5] {
                let rows: Vec<&[f32]> =
                    bank.chunks(config.n_fft / 2 + 1).map(|row| &row[..bins]).collect();
                let values: Vec<f32> = (0..rows.len()).map(|m| 1.0 + (m % 7) as f32).collect();
                let mut out = vec![f32::NAN; bins];
                Columns::new(&rows, bins).sum(&values, &mut out);
                for (bin, found) in out.iter().enumerate() {
                    let terms = rows.iter().zip(&values).map(|(row, value)| row[bin] * value);
                    let expected = terms.fold(0.0, |sum, term| sum + term);
                    assert_eq!(*found, expected, "{name}: bin {bin} of {bins}");
                }
            }
        }
    }
}
