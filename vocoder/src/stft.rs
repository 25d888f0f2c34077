//! Short-time Fourier transforms, forward and inverse, frame by frame: the ground of [`metrics`]
//! and [`griffin_lim`].
//!
//! Frame `f` begins at sample `f hop` of a clip that has already been padded. The window is a
//! periodic Hann, centred in `n_fft` samples, as in librosa and torch.
//!
//! [`metrics`]: crate::metrics
//! [`griffin_lim`]: crate::griffin_lim

mod decimated;
mod real;

use realfft::num_complex::Complex32;

use crate::mel::hann;
pub(crate) use decimated::DecimatedStft;
use real::RealFft;

/// One transform's plan and scratch memory.
pub(crate) struct Stft {
    n_fft: usize,
    hop: usize,
    window: Vec<f32>,
    /// The window of the inverse.
    synthesis: Vec<f32>,
    late: usize,
    fft: RealFft,
    frame: Vec<f32>,
    spectrum: Vec<Complex32>,
}

impl Stft {
    /// Plans for an even `n_fft`, a window of 1 to `n_fft` samples and a hop of at least 1.
    pub(crate) fn new(n_fft: usize, hop: usize, window: usize) -> Self {
        Self::with_late_synthesis(n_fft, hop, window, 0)
    }

    /// As [`Stft::new`], but the inverse's window is 0 for its first `late` samples and rises, in the
    /// shape of a shorter Hann window, over the rest of the first half.
    pub(crate) fn with_late_synthesis(
        n_fft: usize,
        hop: usize,
        window: usize,
        late: usize,
    ) -> Self {
        Self {
            n_fft,
            hop,
            window: hann(window),
            synthesis: late_hann(window, late),
            late,
            fft: RealFft::new(n_fft),
            frame: vec![0.0; n_fft],
            spectrum: vec![Complex32::ZERO; n_fft / 2 + 1],
        }
    }

    /// Bins of a spectrum: `n_fft / 2 + 1`.
    pub(crate) fn bins(&self) -> usize {
        self.n_fft / 2 + 1
    }

    /// Samples from one frame to the next.
    pub(crate) fn hop(&self) -> usize {
        self.hop
    }

    /// Frames that begin within a padded clip of `length` samples and end in it.
    pub(crate) fn frames(&self, length: usize) -> usize {
        length.checked_sub(self.n_fft).map_or(0, |rest| rest / self.hop + 1)
    }

    /// Samples of a padded clip that has `frames` frames (at least 1) and not a sample more.
    pub(crate) fn length(&self, frames: usize) -> usize {
        (frames - 1) * self.hop + self.n_fft
    }

    /// The spectrum of frame `index` of `padded`.
    pub(crate) fn analyse(&mut self, padded: &[f32], index: usize) -> &[Complex32] {
        let margin = self.margin();
        let first = index * self.hop + margin;
        self.frame.fill(0.0);
        for (i, (out, weight)) in self.frame[margin..].iter_mut().zip(&self.window).enumerate() {
            *out = padded[first + i] * weight;
        }
        self.fft.forward(&self.frame, &mut self.spectrum);
        &self.spectrum
    }

    /// Adds `weight` times the windowed inverse transform of frame `index` to `padded`. With all frames added
    /// and [`Stft::gains`] multiplied in, this is the signal whose transform is nearest to the spectra
    /// in least squares (Griffin & Lim 1984, eq. 6), each frame's counted `weight` times. A real signal has
    /// no phase at 0 Hz and at half the rate: what is imaginary there is left out.
    pub(crate) fn add(
        &mut self,
        spectrum: &[Complex32],
        weight: f32,
        index: usize,
        padded: &mut [f32],
    ) {
        self.fft.inverse(spectrum, &mut self.frame);
        let margin = self.margin();
        let out = &mut padded[index * self.hop + margin..];
        for ((out, value), window) in out.iter_mut().zip(&self.frame[margin..]).zip(&self.synthesis)
        {
            *out += weight * value * window;
        }
    }

    /// What each sample of a padded clip is multiplied with after [`Stft::add`] of frames of these
    /// `weights`, above 0: [`Stft::scale`] over the weighted sum of the windows on it; 0 where there is next
    /// to none.
    pub(crate) fn gains(&self, weights: &[f32]) -> Vec<f32> {
        let mut windows = vec![0.0f32; self.length(weights.len())];
        let mut sums = windows.clone();
        for (index, weight) in weights.iter().enumerate() {
            self.add_windows(1.0, index, &mut windows);
            self.add_windows(*weight, index, &mut sums);
        }
        let gain = |(windows, sum): (&f32, &f32)| {
            let enough = 1e-4;
            if *windows > enough { self.scale() / sum } else { 0.0 }
        };
        windows.iter().zip(&sums).map(gain).collect()
    }

    /// What [`Stft::add`] leaves to divide by beside the windows: the transform's length.
    pub(crate) fn scale(&self) -> f32 {
        1.0 / self.n_fft as f32
    }

    /// The product of both windows, within the window.
    pub(crate) fn windows(&self) -> impl Iterator<Item = f32> {
        self.window.iter().zip(&self.synthesis).map(|(a, b)| a * b)
    }

    /// Adds `weight` times the product of both windows of frame `index` to `padded`.
    pub(crate) fn add_windows(&self, weight: f32, index: usize, padded: &mut [f32]) {
        let out = &mut padded[index * self.hop + self.margin()..];
        out.iter_mut().zip(self.windows()).for_each(|(out, window)| *out += weight * window);
    }

    /// The first sample of a frame that [`Stft::add`] changes.
    pub(crate) fn first_synthesised(&self) -> usize {
        self.margin() + self.late
    }

    /// Samples of a frame before its window.
    pub(crate) fn margin(&self) -> usize {
        (self.n_fft - self.window.len()) / 2
    }
}

/// A periodic Hann window whose first half rises `late` samples late, and so faster.
fn late_hann(window: usize, late: usize) -> Vec<f32> {
    let rise = (window / 2).saturating_sub(late);
    let mut out = hann(window);
    for (i, value) in out.iter_mut().take(window / 2).enumerate() {
        let turn = i.saturating_sub(late) as f32 / rise.max(1) as f32;
        *value = if late == 0 { *value } else { 0.5 - 0.5 * (std::f32::consts::PI * turn).cos() };
    }
    out
}

/// `samples` with `pad` more on either side, mirrored about the first and the last sample, as often
/// as it takes. Empty samples stay empty.
pub(crate) fn reflect_padded(samples: &[f32], pad: usize) -> Vec<f32> {
    let Some(last) = samples.len().checked_sub(1) else { return Vec::new() };
    let period = (2 * last).max(1);
    (0..samples.len() + 2 * pad)
        .map(|i| {
            let wrapped = (i as i64 - pad as i64).rem_euclid(period as i64) as usize;
            samples[if wrapped > last { period - wrapped } else { wrapped }]
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::noise::Noise;

    fn noise(length: usize) -> Vec<f32> {
        let mut out = vec![0.0; length];
        Noise::new(1).fill(0, 0, &mut out);
        out
    }

    #[test]
    fn analysis_is_the_fourier_sum() {
        let (n_fft, hop, window) = (32, 6, 20);
        let padded = noise(80);
        let mut stft = Stft::new(n_fft, hop, window);
        assert_eq!(stft.frames(80), 9);
        assert_eq!(stft.frames(31), 0);
        let spectrum = stft.analyse(&padded, 3).to_vec();
        for (k, bin) in spectrum.iter().enumerate() {
            let (mut re, mut im) = (0.0f64, 0.0f64);
            for i in 0..window {
                let turn = std::f64::consts::TAU;
                let weight = 0.5 - 0.5 * (turn * i as f64 / window as f64).cos();
                let x = weight * f64::from(padded[3 * hop + 6 + i]);
                re += x * (turn * (k * (6 + i)) as f64 / n_fft as f64).cos();
                im -= x * (turn * (k * (6 + i)) as f64 / n_fft as f64).sin();
            }
            assert!((f64::from(bin.re) - re).abs() < 1e-5 && (f64::from(bin.im) - im).abs() < 1e-5);
        }
    }

    #[test]
    fn synthesis_undoes_analysis() {
        for (n_fft, hop, window) in [(32, 6, 20), (64, 16, 64), (30, 5, 21)] {
            let mut stft = Stft::new(n_fft, hop, window);
            let padded = noise(stft.length(12));
            assert_eq!(stft.frames(padded.len()), 12);
            let mut back = vec![0.0; padded.len()];
            // Whatever frames weigh, where they agree.
            let weights: Vec<f32> = (0..12).map(|index| 1.0 + (index % 5) as f32).collect();
            for (index, weight) in weights.iter().enumerate() {
                let spectrum = stft.analyse(&padded, index).to_vec();
                stft.add(&spectrum, *weight, index, &mut back);
            }
            back.iter_mut().zip(stft.gains(&weights)).for_each(|(x, gain)| *x *= gain);
            for i in n_fft..padded.len() - n_fft {
                assert!((back[i] - padded[i]).abs() < 1e-5, "{n_fft}: {} {}", back[i], padded[i]);
            }
        }
    }

    #[test]
    fn where_frames_differ_the_mean_is_weighted_by_hand() {
        // Two frames of 4 samples, 2 apart, windows 0, 1/2, 1, 1/2: spectra of constants 1 and 4.
        let mut stft = Stft::new(4, 2, 4);
        let constant = |value: f32| [Complex32::new(4.0 * value, 0.0), 0.0.into(), 0.0.into()];
        let weights = [1.0, 3.0];
        let mut sound = vec![0.0; 6];
        stft.add(&constant(1.0), weights[0], 0, &mut sound);
        stft.add(&constant(4.0), weights[1], 1, &mut sound);
        sound.iter_mut().zip(stft.gains(&weights)).for_each(|(x, gain)| *x *= gain);
        // On sample 3 lie 1/2 of both: (1/2 * 1 + 3 * 1/2 * 4) / (1/4 + 3/4).
        let expected = [0.0, 2.0, 1.0, 6.5, 4.0, 8.0];
        assert!(sound.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-6), "{sound:?}");
    }

    #[test]
    fn reflection_is_numpys() {
        assert_eq!(
            reflect_padded(&[1.0, 2.0, 3.0], 4),
            [1.0, 2.0, 3.0, 2.0, 1.0, 2.0, 3.0, 2.0, 1.0, 2.0, 3.0]
        );
        assert_eq!(reflect_padded(&[1.0], 2), [1.0; 5]);
        assert!(reflect_padded(&[], 2).is_empty());
    }
}
