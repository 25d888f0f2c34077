//! How long a sound takes from input to output, and why.

use vocoder::render::Polish;

use crate::Quality;

/// The share of a chunk's duration that the worker may take.
const BUDGET_PERCENT: usize = 80;

/// Lengths in samples of the host. The same for as long as a player lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// Samples that the worker gets at a time.
    pub chunk: usize,
    /// From the input to the output: `chunk + block * ceil(time / block) + look_ahead`.
    ///
    /// A chunk must be full before it can be sent; the host asks for sound a block at a time, so the
    /// worker's time, a budget of 80 % of a chunk and what may queue before it, ends with a block; and what the worker makes of a sample depends on what comes
    /// after it.
    pub latency: usize,
    /// By how much chunks of wet sound begin before those of input, so that each is complete as soon as
    /// a chunk of input is in: the look-ahead less whole chunks.
    pub(crate) lead: usize,
}

impl Quality {
    /// Frames in a chunk.
    pub(crate) fn frames(self) -> usize {
        match self {
            Self::Low | Self::Balanced => 1,
            Self::Studio => 2,
        }
    }

    /// What follows the chain. Look-ahead costs a frame of latency each, and is worth more than rounds:
    /// PESQ-WB of 12 clips is 3.76, 3.81, 3.92 and 3.96 with 16, 24, 32 and 64 rounds and a frame of
    /// look-ahead, and 4.00 and 4.05 with 32 and 40 rounds and three frames (`vocoder render --voice
    /// speech-stream --polish ROUNDS:AHEAD`).
    pub(crate) fn polish(self) -> Polish {
        match self {
            Self::Low => Polish::Frames { rounds: 16, ahead: 0 },
            Self::Balanced => Polish::Frames { rounds: 24, ahead: 1 },
            Self::Studio => Polish::Frames { rounds: 40, ahead: 3 },
        }
    }
}

impl Timing {
    /// For a host that asks for at most `max_block` samples at a time, chunks of `frames` frames of
    /// `frame_s` seconds, and a model that looks `look_ahead` samples ahead.
    pub(crate) fn new(
        rate: u32,
        max_block: usize,
        quality: Quality,
        frame_s: f64,
        look_ahead: usize,
    ) -> Self {
        let seconds = quality.frames() as f64 * frame_s;
        let chunk = (seconds * f64::from(rate)).ceil() as usize;
        let waits = max_block * backlog(chunk, max_block).div_ceil(max_block);
        Self { chunk, latency: chunk + waits + look_ahead, lead: look_ahead % chunk }
    }
}

/// The longest time from a chunk's arrival to its return, where each takes the whole budget.
///
/// Chunks are sent when a block is over, so after n more of them floor(n chunk / block) blocks have passed
/// at least, and some may come together; the worker deals with one after the other.
fn backlog(chunk: usize, block: usize) -> usize {
    let budget = (chunk * BUDGET_PERCENT).div_ceil(100);
    // Beyond that many, the time that chunks leave over has made up for a block.
    let most = block.div_ceil(chunk - budget) + 1;
    (0..=most)
        .map(|more| ((more + 1) * budget).saturating_sub(more * chunk / block * block))
        .max()
        .unwrap_or(budget)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_formula_by_hand() {
        let timing = |block, quality| Timing::new(48_000, block, quality, 0.0125, 1000);
        // 600 to collect; 480 of budget are one block of 512.
        assert_eq!(
            timing(512, Quality::Low),
            Timing { chunk: 600, latency: 600 + 512 + 1000, lead: 400 }
        );
        // 1200 to collect; 960 of budget are two blocks of 512, or 15 of 64.
        assert_eq!(timing(512, Quality::Studio).latency, 1200 + 1024 + 1000);
        assert_eq!(timing(64, Quality::Studio).latency, 1200 + 960 + 1000);
        assert_eq!(timing(4096, Quality::Low).latency, 600 + 4096 + 1000);
        // 551.25 samples of 44.1 kHz a frame: a chunk is never shorter than its frames.
        assert_eq!(Timing::new(44_100, 512, Quality::Low, 0.0125, 0).chunk, 552);
    }
}
