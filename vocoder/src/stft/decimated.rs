//! Transforms of a sound that was low-passed and keeps every `factor`-th sample: the lowest bins of what
//! [`Stft`](super::Stft) finds at the full rate, one part in `factor` of their values, at one part in
//! `factor` of the work.
//!
//! Sample `j` is the padded clip's at `factor j`, and frame `f` begins at `f hop`, which may lie between two
//! of them: each frame's window is sampled where its samples are.

use rustfft::num_complex::Complex32;

use super::real::RealFft;
use crate::mel::hann;

/// One transform's plan and scratch memory.
pub(crate) struct DecimatedStft {
    hop: usize,
    factor: usize,
    /// Samples at the full rate before a frame's window.
    margin: usize,
    /// The window, sampled from each of its first `factor` places on.
    windows: Vec<Vec<f32>>,
    fft: RealFft,
    frame: Vec<f32>,
    spectrum: Vec<Complex32>,
}

impl DecimatedStft {
    /// Plans for `n_fft`, a multiple of twice `factor`, with hop and window, at least `factor`, as at the full
    /// rate.
    pub(crate) fn new(n_fft: usize, hop: usize, window: usize, factor: usize) -> Self {
        let margin = (n_fft - window) / 2;
        let window = hann(window);
        let from = |first: usize| window[first..].iter().step_by(factor).copied().collect();
        let length = n_fft / factor;
        Self {
            hop,
            factor,
            margin,
            windows: (0..factor).map(from).collect(),
            fft: RealFft::new(length),
            frame: vec![0.0; length],
            spectrum: vec![Complex32::ZERO; length / 2 + 1],
        }
    }

    /// Bins of a spectrum: `n_fft / factor / 2 + 1`.
    pub(crate) fn bins(&self) -> usize {
        self.spectrum.len()
    }

    /// The samples under the window of frame `index`.
    pub(crate) fn span(&self, index: usize) -> std::ops::Range<usize> {
        let first = (index * self.hop + self.margin).div_ceil(self.factor);
        first..first + self.windows[self.place(index)].len()
    }

    /// Which of the windows is frame `index`'s.
    fn place(&self, index: usize) -> usize {
        let begins = index * self.hop + self.margin;
        begins.div_ceil(self.factor) * self.factor - begins
    }

    /// The spectrum of frame `index` of a sound whose samples are known from `origin` on; its phases are
    /// those of a frame that begins with its span.
    pub(crate) fn analyse(&mut self, samples: &[f32], origin: usize, index: usize) -> &[Complex32] {
        let span = self.span(index);
        let window = &self.windows[self.place(index)];
        let samples = &samples[span.start - origin..span.end - origin];
        let (under, beside) = self.frame.split_at_mut(window.len());
        for ((out, x), weight) in under.iter_mut().zip(samples).zip(window) {
            *out = x * weight;
        }
        beside.fill(0.0);
        self.fft.forward(&self.frame, &mut self.spectrum);
        &self.spectrum
    }

    /// Adds `weight` times the windowed inverse transform of frame `index`: as [`Stft::add`](super::Stft::add).
    pub(crate) fn add(
        &mut self,
        spectrum: &[Complex32],
        weight: f32,
        index: usize,
        samples: &mut [f32],
        origin: usize,
    ) {
        self.fft.inverse(spectrum, &mut self.frame);
        let span = self.span(index);
        let window = &self.windows[self.place(index)];
        let out = &mut samples[span.start - origin..span.end - origin];
        for ((out, value), window) in out.iter_mut().zip(&self.frame).zip(window) {
            *out += weight * value * window;
        }
    }

    /// What each of `length` samples is multiplied with after [`DecimatedStft::add`] of frames of these
    /// `weights`: as [`Stft::gains`](super::Stft::gains).
    pub(crate) fn gains(&self, weights: &[f32], length: usize) -> Vec<f32> {
        let (mut windows, mut sums) = (vec![0.0f32; length], vec![0.0f32; length]);
        for (index, weight) in weights.iter().enumerate() {
            for (at, window) in self.span(index).zip(&self.windows[self.place(index)]) {
                windows[at] += window * window;
                sums[at] += weight * window * window;
            }
        }
        let scale = 1.0 / self.frame.len() as f32;
        let gain = |(windows, sum): (&f32, &f32)| if *windows > 1e-4 { scale / sum } else { 0.0 };
        windows.iter().zip(&sums).map(gain).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stft::Stft;

    /// A few tones below 1 kHz of 24, whole and decimated: `[sample]` each.
    fn tones(factor: usize) -> (Vec<f32>, Vec<f32>) {
        let sound = |i: usize| {
            let tone = |(hz, phase): (f64, f64)| {
                (std::f64::consts::TAU * hz * i as f64 / 24e3 + phase).sin()
            };
            [(110.0, 0.3), (233.0, 1.0), (777.0, 2.0)].into_iter().map(tone).sum::<f64>() as f32
        };
        let whole: Vec<f32> = (0..12_000).map(sound).collect();
        let part = whole.iter().step_by(factor).copied().collect();
        (whole, part)
    }

    #[test]
    fn it_has_the_lowest_bins_of_the_transform_at_the_full_rate() {
        // A hop that the factor divides, and one that it doesn't.
        for (n_fft, hop, window, factor) in [(2048, 300, 1200, 8), (1024, 256, 1024, 4)] {
            let (whole, part) = tones(factor);
            let mut full = Stft::new(n_fft, hop, window);
            let mut low = DecimatedStft::new(n_fft, hop, window, factor);
            assert_eq!(low.bins(), n_fft / factor / 2 + 1);
            for frame in 0..full.frames(whole.len()) {
                let expected = full.analyse(&whole, frame);
                let found = low.analyse(&part, 0, frame);
                let peak = expected.iter().map(|v| v.norm()).fold(0.0, f32::max);
                for (k, (found, expected)) in found.iter().zip(expected).enumerate() {
                    let (found, expected) = (found.norm() * factor as f32, expected.norm());
                    let off = (found - expected).abs();
                    assert!(off < 1e-3 * peak, "frame {frame}, bin {k}: {found} for {expected}");
                }
            }
        }
    }

    #[test]
    fn synthesis_undoes_analysis() {
        for (n_fft, hop, window, factor) in [(2048, 300, 1200, 8), (1024, 256, 1024, 4)] {
            let (_, part) = tones(factor);
            let mut stft = DecimatedStft::new(n_fft, hop, window, factor);
            let frames = (12_000 - n_fft) / hop + 1;
            let weights: Vec<f32> = (0..frames).map(|frame| 1.0 + (frame % 5) as f32).collect();
            // In a piece that begins later than the sound does.
            let origin = stft.span(0).start;
            let mut back = vec![0.0; part.len() - origin];
            for (frame, weight) in weights.iter().enumerate() {
                let spectrum = stft.analyse(&part, 0, frame).to_vec();
                stft.add(&spectrum, *weight, frame, &mut back, origin);
            }
            let gains = stft.gains(&weights, part.len());
            let last = stft.span(frames - 1).end;
            for i in origin + 10..last - 10 {
                let found = back[i - origin] * gains[i];
                assert!((found - part[i]).abs() < 1e-4, "{i}: {found} for {}", part[i]);
            }
        }
    }
}
