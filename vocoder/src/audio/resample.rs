//! Changing the sample rate, with the resampler's delay taken out.

use audioadapter_buffers::direct::SequentialSlice;
use rubato::{Fft, FixedSync, Indexing, Resampler as _, WindowFunction};

use crate::{Error, Result};

/// Rates further apart than this are refused: the anti-alias filter would have to be longer than
/// most clips, and no recording is made at such a rate.
const MAX_RATIO: u32 = 100;

/// Shortest filter, in samples of the lower of the two rates. Measured: 22.05 -> 24 kHz and
/// 24 -> 48 kHz stay flat to 11.5 kHz; half of it loses 5 dB at 10.5 kHz.
const MIN_BLOCK: usize = 1024;

/// Resamples a stream of any length, fed in pieces of any size.
///
/// The output is aligned with the input: the filter's delay is dropped. Its length is the input's
/// times the ratio of the rates, rounded, and at least 1.
pub struct Resampler {
    from: u32,
    to: u32,
    /// Nothing to do when the rates are equal.
    stage: Option<Stage>,
    taken: u64,
    given: u64,
}

struct Stage {
    fft: Fft<f32>,
    block_in: usize,
    pending: Vec<f32>,
    block_out: Vec<f32>,
    /// Output samples of the delay that are still to be dropped.
    delay_left: usize,
}

impl Resampler {
    /// A resampler from `from` to `to` samples per second.
    ///
    /// # Errors
    /// A rate of 0, or rates that are more than a factor of 100 apart.
    pub fn new(from: u32, to: u32) -> Result<Self> {
        let (low, high) = (from.min(to), from.max(to));
        if low == 0 || high > low.saturating_mul(MAX_RATIO) {
            let expected = format!("rates above 0 within a factor of {MAX_RATIO}");
            return Err(Error::mismatch("resampling", expected, format!("{from} Hz to {to} Hz")));
        }
        let stage = if from == to { None } else { Some(Stage::new(from, to)?) };
        Ok(Resampler { from, to, stage, taken: 0, given: 0 })
    }

    /// Takes `samples` and appends what is ready to `out`.
    ///
    /// # Errors
    /// None for finite memory; the signature carries the resampler's own.
    pub fn push(&mut self, samples: &[f32], out: &mut Vec<f32>) -> Result<()> {
        self.taken += samples.len() as u64;
        let before = out.len();
        match &mut self.stage {
            None => out.extend_from_slice(samples),
            Some(stage) => {
                stage.pending.extend_from_slice(samples);
                stage.drain(out)?;
            }
        }
        self.given += (out.len() - before) as u64;
        Ok(())
    }

    /// Appends the rest to `out`.
    ///
    /// # Errors
    /// As [`Resampler::push`].
    pub fn finish(mut self, out: &mut Vec<f32>) -> Result<()> {
        let Some(stage) = &mut self.stage else { return Ok(()) };
        let exact = u128::from(self.taken) * u128::from(self.to);
        let from = u128::from(self.from);
        let total = ((exact + from / 2) / from).max(u128::from(self.taken.min(1))) as u64;
        let begin = out.len();
        while self.given + ((out.len() - begin) as u64) < total {
            stage.pending.resize(stage.block_in.max(stage.pending.len()), 0.0);
            stage.drain(out)?;
        }
        out.truncate(begin + (total.saturating_sub(self.given)) as usize);
        Ok(())
    }
}

impl Stage {
    fn new(from: u32, to: u32) -> Result<Self> {
        let divisor = greatest_common_divisor(from, to);
        let (unit_in, unit_out) = ((from / divisor) as usize, (to / divisor) as usize);
        // An even number of units: then both blocks are even and the filter's centre, half a
        // block, is a whole number of samples at either rate.
        let units = MIN_BLOCK.div_ceil(unit_in.min(unit_out)).next_multiple_of(2);
        let (block_in, block_out) = (units * unit_in, units * unit_out);
        let fft = Fft::new_custom(
            from as usize,
            to as usize,
            block_in,
            /* sub_chunks */ 1,
            /* channels */ 1,
            WindowFunction::BlackmanHarris2,
            FixedSync::Both,
        )
        .map_err(|error| Error::config("resampling", error.to_string()))?;
        Ok(Stage {
            block_in,
            pending: Vec::new(),
            block_out: vec![0.0; block_out],
            delay_left: fft.output_delay(),
            fft,
        })
    }

    /// Resamples every whole block that is pending.
    fn drain(&mut self, out: &mut Vec<f32>) -> Result<()> {
        let mut used = 0;
        while self.pending.len() - used >= self.block_in {
            let input = SequentialSlice::new(&self.pending[used..], 1, self.block_in)
                .map_err(|error| Error::config("resampling", error.to_string()))?;
            let frames = self.block_out.len();
            let mut output = SequentialSlice::new_mut(&mut self.block_out, 1, frames)
                .map_err(|error| Error::config("resampling", error.to_string()))?;
            let (_, written) = self
                .fft
                .process_into_buffer(&input, &mut output, Some(&Indexing::new()))
                .map_err(|error| Error::config("resampling", error.to_string()))?;
            let dropped = self.delay_left.min(written);
            self.delay_left -= dropped;
            out.extend_from_slice(&self.block_out[dropped..written]);
            used += self.block_in;
        }
        self.pending.drain(..used);
        Ok(())
    }
}

/// `samples` at `to` instead of `from` samples per second.
///
/// # Errors
/// As [`Resampler::new`].
pub fn resample(samples: &[f32], from: u32, to: u32) -> Result<Vec<f32>> {
    let mut resampler = Resampler::new(from, to)?;
    let ratio = f64::from(to) / f64::from(from);
    let mut out = Vec::with_capacity((samples.len() as f64 * ratio) as usize + 2 * MIN_BLOCK);
    resampler.push(samples, &mut out)?;
    resampler.finish(&mut out)?;
    Ok(out)
}

fn greatest_common_divisor(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { greatest_common_divisor(b, a % b) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn sine(hz: f64, rate: u32, len: usize) -> Vec<f32> {
        let step = std::f64::consts::TAU * hz / f64::from(rate);
        (0..len).map(|i| (0.5 * (step * i as f64).sin()) as f32).collect()
    }

    /// The middle of a second: away from the clip's own beginning and end.
    fn middle(samples: &[f32]) -> &[f32] {
        &samples[samples.len() / 4..samples.len() * 3 / 4]
    }

    #[test]
    fn a_sine_keeps_its_level_frequency_and_place() {
        let pairs = [
            (22_050, 24_000, 10_500.0),
            (24_000, 48_000, 11_500.0),
            (44_100, 24_000, 11_500.0),
            (48_000, 24_000, 11_500.0),
            (192_000, 24_000, 11_500.0),
            (768_000, 24_000, 11_500.0),
            (8_000, 24_000, 3_800.0),
            (44_101, 24_000, 11_500.0),
        ];
        for (from, to, highest) in pairs {
            for hz in [100.0, 1_234.5, highest] {
                let got = resample(&sine(hz, from, from as usize), from, to).unwrap();
                assert_eq!(got.len(), to as usize);
                let expected = sine(hz, to, got.len());
                let worst = middle(&got)
                    .iter()
                    .zip(middle(&expected))
                    .map(|(a, b)| (a - b).abs())
                    .fold(0.0, f32::max);
                assert!(worst < 2e-3, "{from} -> {to} at {hz} Hz: off by {worst}");
            }
        }
    }

    #[test]
    fn what_lies_above_half_the_new_rate_is_gone() {
        for (from, to) in [(48_000, 24_000), (44_100, 24_000), (96_000, 22_050)] {
            let hz = f64::from(to) * 0.53;
            let got = resample(&sine(hz, from, from as usize), from, to).unwrap();
            let peak = middle(&got).iter().fold(0.0f32, |peak, s| peak.max(s.abs()));
            assert!(peak < 1e-4, "{from} -> {to}: an alias of {peak}");
        }
    }

    #[test]
    fn the_length_is_the_rounded_product() {
        for (len, from, to, expected) in
            [(1, 48_000, 24_000, 1), (3, 44_100, 24_000, 2), (1, 8_000, 24_000, 3), (0, 8, 16, 0)]
        {
            assert_eq!(resample(&vec![0.1; len], from, to).unwrap().len(), expected);
        }
        assert_eq!(resample(&[0.1, 0.2], 24_000, 24_000).unwrap(), [0.1, 0.2]);
    }

    #[test]
    fn pieces_equal_the_whole() {
        let clip = sine(440.0, 22_050, 30_000);
        let whole = resample(&clip, 22_050, 24_000).unwrap();
        for size in [1, 977, 5_000] {
            let mut resampler = Resampler::new(22_050, 24_000).unwrap();
            let mut out = Vec::new();
            for piece in clip.chunks(size) {
                resampler.push(piece, &mut out).unwrap();
            }
            resampler.finish(&mut out).unwrap();
            assert!(out == whole, "pieces of {size}");
        }
    }

    #[test]
    fn rates_too_far_apart_are_refused() {
        for (from, to) in [(0, 24_000), (24_000, 0), (1, 24_000), (24_000, 239)] {
            let message = resample(&[0.0; 10], from, to).unwrap_err().to_string();
            assert!(message.contains(&format!("{from} Hz to {to} Hz")), "{message}");
        }
    }
}
