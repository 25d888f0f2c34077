//! How far one step of the network sees.

use crate::config::{ModelConfig, Padding, Resampling};

/// What one step's output can depend on; none of the four numbers can be smaller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reach {
    /// Samples of the signal before the output's.
    pub past: usize,
    /// Samples of the signal after the output's.
    pub ahead: usize,
    /// Whole frames before the one that holds the output, of signal and mel.
    pub frames_past: usize,
    /// Whole frames after the one that holds the output, of signal and mel.
    pub frames_ahead: usize,
}

/// Reach of one step, from the config alone.
pub fn reach(config: &ModelConfig) -> Reach {
    let hop = config.hop() as isize;
    let mut reach = Reach { past: 0, ahead: 0, frames_past: 0, frames_ahead: 0 };
    // What a sample sees depends on where in its frame it lies.
    for sample in 0..hop {
        let (signal, mel) = seen(config, Rows { first: sample, last: sample });
        let first_frame = signal.first.div_euclid(hop).min(mel.first);
        let last_frame = signal.last.div_euclid(hop).max(mel.last);
        reach.past = reach.past.max((sample - signal.first).max(0) as usize);
        reach.ahead = reach.ahead.max((signal.last - sample).max(0) as usize);
        reach.frames_past = reach.frames_past.max((-first_frame).max(0) as usize);
        reach.frames_ahead = reach.frames_ahead.max(last_frame.max(0) as usize);
    }
    reach
}

/// The samples of the signal and the frames of the mel that the samples `output` depend on.
///
/// Walks the network backwards, block by block, with the rows that the blocks walked so far read.
fn seen(config: &ModelConfig, output: Rows) -> (Rows, Rows) {
    let causal = config.padding != Padding::Symmetric;
    let linear = config.resampling == Resampling::Linear;
    let mut rows = output.read(config.taps, 1, causal);
    // What each FiLM module reads of the waveform's path, from the waveform's rate to the mel's.
    let mut films = Vec::with_capacity(config.up.len());
    for (&factor, dilations) in config.factors.iter().zip(&config.up_dilations).rev() {
        for &dilation in &dilations[1..] {
            rows = rows.read(config.taps, dilation, causal);
        }
        films.push(rows.read(config.taps, 1, causal).read(config.taps, 1, causal));
        rows = rows.read(config.taps, dilations[0], causal);
        rows = if linear { rows.before_widening(factor) } else { rows.before_repeating(factor) };
    }
    let mut mel = rows.read(config.taps, 1, causal);
    if let Padding::Causal { look_ahead } = config.padding {
        mel = Rows { first: mel.first + look_ahead as isize, last: mel.last + look_ahead as isize };
    }

    let mut wave = films.pop().unwrap_or(output);
    for (factor, film) in config.down_factors().into_iter().zip(films).rev() {
        for dilation in config.down_dilations {
            wave = wave.read(config.taps, dilation, causal);
        }
        wave =
            if linear { wave.before_narrowing(factor) } else { wave.before_keeping_one_in(factor) };
        wave = wave.union(film);
    }
    (wave.read(config.stem_taps, 1, causal), mel)
}

/// The rows from `first` to `last` of an endless signal, at whatever rate.
#[derive(Clone, Copy)]
struct Rows {
    first: isize,
    last: isize,
}

impl Rows {
    /// What a convolution reads for these rows of its output.
    fn read(self, taps: usize, dilation: usize, causal: bool) -> Self {
        let span = (dilation * (taps - 1)) as isize;
        let left = if causal { span } else { span / 2 };
        Rows { first: self.first - left, last: self.last + span - left }
    }

    fn before_repeating(self, factor: usize) -> Self {
        let factor = factor as isize;
        Rows { first: self.first.div_euclid(factor), last: self.last.div_euclid(factor) }
    }

    /// The rows on both sides of each place that [`widen`](crate::ops::widen) looks at.
    fn before_widening(self, factor: usize) -> Self {
        let twice = |row: isize| 2 * row + 1 - factor as isize;
        let (first, last) = (twice(self.first), twice(self.last));
        let factor = 2 * factor as isize;
        Rows { first: first.div_euclid(factor), last: -(-last).div_euclid(factor) }
    }

    fn before_narrowing(self, factor: usize) -> Self {
        let factor = factor as isize;
        Rows {
            first: self.first * factor + (factor - 1) / 2,
            last: self.last * factor + factor / 2,
        }
    }

    fn before_keeping_one_in(self, factor: usize) -> Self {
        let factor = factor as isize;
        Rows { first: self.first * factor, last: self.last * factor }
    }

    fn union(self, other: Self) -> Self {
        Rows { first: self.first.min(other.first), last: self.last.max(other.last) }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_single_block_by_hand() {
        // Output, three convolutions and FiLM: 1 + 1 + 1 + 1 + 2 = 6 samples on either side, and 2
        // of the stem. First convolution: 5 samples on either side of a frame of 10 reach the next
        // frame, and the convolution over the mel one more.
        let config = ModelConfig {
            down: vec![],
            up: vec![4],
            factors: vec![10],
            up_dilations: vec![[1; 4]],
            ..ModelConfig::preset("base", 80).unwrap()
        };
        let expected = Reach { past: 8, ahead: 8, frames_past: 2, frames_ahead: 2 };
        assert_eq!(reach(&config), expected);

        let causal = ModelConfig { padding: Padding::Causal { look_ahead: 1 }, ..config };
        // Twice as far back: 16 samples, and 10 samples back then 2 frames, less one of look-ahead.
        let expected = Reach { past: 16, ahead: 0, frames_past: 2, frames_ahead: 1 };
        assert_eq!(reach(&causal), expected);
    }
}
