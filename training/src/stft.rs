//! Multi-resolution STFT distance of two signals, as an operation with gradients (Yamamoto et al. 2020,
//! Parallel WaveGAN, eq. 4 to 6).
//!
//! The transform is one product with a fixed matrix of windowed sines and cosines, of frames that
//! overlapping slices are put together from: operations whose gradients were found right by finite
//! differences.

use candle_core::{DType, Device, Result, Tensor};
use std::f64::consts::TAU;

/// Samples of the longest window: a signal needs as many.
pub const LONGEST_WINDOW: usize = 1200;

/// Added to each bin's energy, so that silence has a logarithm and a gradient. Windows sum about 100
/// and more unit values: -90 dB of a unit signal.
const GUARD: f64 = 1e-7;

/// One transform.
#[derive(Debug, Clone, Copy)]
pub struct Resolution {
    /// Length of the Fourier transform, in samples.
    pub n_fft: usize,
    /// Samples from one frame to the next. Divides `window`.
    pub hop: usize,
    /// Samples of the periodic Hann window.
    pub window: usize,
}

/// Parallel WaveGAN's three, but for a hop of 48 for 50, which divides its window.
pub const RESOLUTIONS: [Resolution; 3] = [
    Resolution { n_fft: 1024, hop: 120, window: 600 },
    Resolution { n_fft: 2048, hop: 240, window: LONGEST_WINDOW },
    Resolution { n_fft: 512, hop: 48, window: 240 },
];

/// The matrices of some resolutions.
#[derive(Debug, Clone)]
pub struct StftDistance(Vec<(Resolution, Tensor)>);

impl StftDistance {
    /// Prepares for signals of `dtype` on `device`.
    ///
    /// # Errors
    /// Those of the tensor library.
    pub fn new(resolutions: &[Resolution], dtype: DType, device: &Device) -> Result<Self> {
        let parts = resolutions.iter().map(|r| {
            let shape = (r.window, 2 * bins(r));
            Ok((*r, Tensor::from_vec(matrix(r), shape, device)?.to_dtype(dtype)?))
        });
        Ok(StftDistance(parts.collect::<Result<_>>()?))
    }

    /// Mean over clips and resolutions of spectral convergence, |A - B| / |A|, plus the mean of
    /// |ln A - ln B|, A and B being the magnitudes of `reference` and `predicted`, both
    /// `[batch, samples]`. A scalar. Neither part changes with the scale of both signals.
    ///
    /// # Errors
    /// Signals shorter than a window.
    pub fn distance(&self, reference: &Tensor, predicted: &Tensor) -> Result<Tensor> {
        let mut total: Option<Tensor> = None;
        for (resolution, matrix) in &self.0 {
            let a = magnitudes(reference, resolution, matrix)?;
            let b = magnitudes(predicted, resolution, matrix)?;
            let norm = |x: &Tensor| (x.sqr()?.sum(1)? + GUARD)?.sqrt();
            let convergence = (norm(&(&a - &b)?)? / norm(&a)?)?.mean_all()?;
            let logarithmic = (a.log()? - b.log()?)?.abs()?.mean_all()?;
            let part = (convergence + logarithmic)?;
            total = Some(match total {
                Some(total) => (total + part)?,
                None => part,
            });
        }
        match total {
            Some(total) => total / self.0.len() as f64,
            None => candle_core::bail!("expected at least one STFT resolution, got none"),
        }
    }
}

fn bins(resolution: &Resolution) -> usize {
    resolution.n_fft / 2 + 1
}

/// `[window, 2 * bins]`: each bin's windowed cosine, then each bin's windowed sine.
fn matrix(resolution: &Resolution) -> Vec<f64> {
    let (n_fft, bins) = (resolution.n_fft, bins(resolution));
    let mut values = Vec::with_capacity(resolution.window * 2 * bins);
    for i in 0..resolution.window {
        let hann = 0.5 - 0.5 * (TAU * i as f64 / resolution.window as f64).cos();
        // Reduced before the multiplication by 2 pi, for exact angles.
        let angle = |bin: usize| TAU * ((i * bin) % n_fft) as f64 / n_fft as f64;
        values.extend((0..bins).map(|bin| hann * angle(bin).cos()));
        values.extend((0..bins).map(|bin| hann * angle(bin).sin()));
    }
    values
}

/// Magnitudes of the frames that lie wholly within `signal` `[batch, samples]`:
/// `[batch, frames * bins]`.
fn magnitudes(signal: &Tensor, resolution: &Resolution, matrix: &Tensor) -> Result<Tensor> {
    let Resolution { hop, window, .. } = *resolution;
    let (batch, samples) = signal.dims2()?;
    if samples < window {
        candle_core::bail!("expected at least {window} samples for the STFT, got {samples}");
    }
    let frames = (samples - window) / hop + 1;
    let overlap = window / hop;
    let rows = frames + overlap - 1;
    let hops = signal.narrow(1, 0, rows * hop)?.reshape((batch, rows, hop))?;
    let slices: Vec<Tensor> =
        (0..overlap).map(|k| hops.narrow(1, k, frames)).collect::<Result<_>>()?;
    let framed = Tensor::cat(&slices, 2)?.reshape((batch * frames, window))?;
    let spectrum = framed.matmul(matrix)?;
    let bins = bins(resolution);
    let energy = (spectrum.narrow(1, 0, bins)?.sqr()? + spectrum.narrow(1, bins, bins)?.sqr()?)?;
    (energy + GUARD)?.sqrt()?.reshape((batch, frames * bins))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_tone_by_hand() {
        // A cosine of bin 4 of 32, window 16: the periodic Hann window sums to 8 in the tone's own bin,
        // half of it for each of its two frequencies, less what leaks from the other one.
        let resolution = Resolution { n_fft: 16, hop: 8, window: 16 };
        let tone: Vec<f64> = (0..32).map(|i| (TAU * 4.0 * i as f64 / 16.0).cos()).collect();
        let tone = Tensor::from_vec(tone, (1, 32), &Device::Cpu).unwrap();
        let matrix = Tensor::from_vec(matrix(&resolution), (16, 18), &Device::Cpu).unwrap();
        let found = magnitudes(&tone, &resolution, &matrix).unwrap();
        let found = found.flatten_all().unwrap().to_vec1::<f64>().unwrap();
        assert_eq!(found.len(), 3 * 9);
        for frame in found.chunks(9) {
            for (bin, value) in frame.iter().enumerate() {
                // Hann: 1/2 in the middle, 1/4 in the neighbours; times 16 / 2.
                let expected = [0.0, 0.0, 0.0, 2.0, 4.0, 2.0, 0.0, 0.0, 0.0][bin];
                assert!((value - expected).abs() < 1e-3, "{bin}: {value}");
            }
        }
    }

    #[test]
    fn equal_signals_are_at_no_distance_and_scale_does_not_matter() {
        // The squares of whole numbers make sines that pass for noise: no bin is near the guard.
        let noise = |scale: f64, speed: f64| {
            let x = (0..2400).map(|i| scale * (f64::from(i * i) * speed).sin());
            Tensor::from_vec(x.collect::<Vec<f64>>(), (1, 2400), &Device::Cpu).unwrap()
        };
        let stft = StftDistance::new(&RESOLUTIONS, DType::F64, &Device::Cpu).unwrap();
        let distance =
            |a: &Tensor, b: &Tensor| stft.distance(a, b).unwrap().to_scalar::<f64>().unwrap();
        let (a, b) = (noise(1.0, 0.37), noise(1.0, 0.73));
        assert!(distance(&a, &a) < 1e-4);
        let near = distance(&a, &(&a + (&b * 0.1).unwrap()).unwrap());
        let far = distance(&a, &b);
        assert!(0.01 < near && near < far, "{near} {far}");
        let scaled = distance(&noise(10.0, 0.37), &noise(10.0, 0.73));
        assert!((far - scaled).abs() < 1e-3 * scaled, "{far} {scaled}");
    }
}
