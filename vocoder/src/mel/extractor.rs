//! Audio to mel: window, Fourier transform, bands, log. Everything is planned once.

use std::ops::Range;
use std::sync::Arc;

use realfft::num_complex::Complex32;
use realfft::{RealFftPlanner, RealToComplex};

use super::filter_bank::SparseFilterBank;
use super::{Mel, MelConfig, Power};
use crate::{Error, Result};

/// A periodic Hann window of `length` samples, `0.5 - 0.5 cos(2 pi i / length)`: the one of torch
/// and librosa.
pub fn hann(length: usize) -> Vec<f32> {
    let turn = std::f64::consts::TAU / length as f64;
    (0..length).map(|i| (0.5 - 0.5 * (turn * i as f64).cos()) as f32).collect()
}

/// The sum of the squares of a [`hann`] window.
pub(crate) fn hann_energy(length: usize) -> f32 {
    hann(length).iter().map(|w| w * w).sum()
}

/// Turns audio into mels. Make one and reuse it: it holds the window, the transform's plan, the
/// bands and all scratch memory, so that a frame costs no allocation.
pub struct MelExtractor {
    config: MelConfig,
    /// The window, already divided by the root of its sum of squares if the config says so.
    window: Vec<f32>,
    bank: SparseFilterBank,
    fft: Arc<dyn RealToComplex<f32>>,
    frame: Vec<f32>,
    spectrum: Vec<Complex32>,
    bins: Vec<f32>,
    scratch: Vec<Complex32>,
}

impl MelExtractor {
    /// Plans for `config`.
    ///
    /// # Errors
    /// A config that [`MelConfig::validate`] refuses.
    pub fn new(config: &MelConfig) -> Result<Self> {
        config.validate()?;
        let mut window = hann(config.window);
        if config.unit_window {
            let energy: f64 = window.iter().map(|&w| f64::from(w).powi(2)).sum();
            let gain = energy.sqrt().recip() as f32;
            window.iter_mut().for_each(|w| *w *= gain);
        }
        let fft = RealFftPlanner::new().plan_fft_forward(config.n_fft);
        Ok(MelExtractor {
            window,
            bank: SparseFilterBank::new(config),
            frame: fft.make_input_vec(),
            spectrum: fft.make_output_vec(),
            bins: vec![0.0; config.n_fft / 2 + 1],
            scratch: fft.make_scratch_vec(),
            fft,
            config: config.clone(),
        })
    }

    /// The settings.
    pub fn config(&self) -> &MelConfig {
        &self.config
    }

    /// The mel of a whole clip at the config's rate.
    ///
    /// Clips shorter than the padding are reflected as often as it takes, as `numpy.pad` does; a
    /// single sample is repeated.
    ///
    /// # Errors
    /// No samples, fewer than one hop under [`super::MelPadding::HifiGan`] (no frame), or a sample
    /// that is not a finite number.
    pub fn extract(&mut self, samples: &[f32]) -> Result<Mel> {
        let frames = self.config.frames(samples.len());
        self.extract_frames(samples, 0..frames)
    }

    /// Only the given frames of the clip's mel: the same values as the same frames of
    /// [`MelExtractor::extract`], at the cost of these frames alone.
    ///
    /// # Errors
    /// As [`MelExtractor::extract`], and a range that ends beyond the clip's last frame.
    pub fn extract_frames(&mut self, samples: &[f32], range: Range<usize>) -> Result<Mel> {
        check_length(&self.config, samples.len())?;
        check_finite(samples, 0)?;
        let frames = self.config.frames(samples.len());
        if range.start > range.end || range.end > frames {
            let expected = format!("a range within 0..{frames}");
            return Err(Error::mismatch("mel frames", expected, format!("{range:?}")));
        }
        let mut data = vec![0.0; range.len() * self.config.n_mels];
        let clip = Clip { samples, first: 0, total: samples.len() };
        for (index, out) in range.clone().zip(data.chunks_mut(self.config.n_mels)) {
            self.frame(clip, index, out);
        }
        Ok(Mel { config: self.config.clone(), frames: range.len(), data })
    }

    /// One frame of `clip` into `out` (`n_mels` values).
    pub(super) fn frame(&mut self, clip: Clip, index: usize, out: &mut [f32]) {
        let config = &self.config;
        let margin = config.margin();
        let start = (index * config.hop + margin) as i64 - config.pad() as i64;
        self.frame.fill(0.0);
        let middle = &mut self.frame[margin..margin + config.window];
        clip.copy_to(start, middle);
        middle.iter_mut().zip(&self.window).for_each(|(sample, weight)| *sample *= weight);

        let transformed =
            self.fft.process_with_scratch(&mut self.frame, &mut self.spectrum, &mut self.scratch);
        debug_assert!(transformed.is_ok(), "the buffers come from the plan");
        for (bin, value) in self.bins.iter_mut().zip(&self.spectrum) {
            let energy = value.norm_sqr() + config.energy_guard;
            *bin = if config.power == Power::Energy { energy } else { energy.sqrt() };
        }
        self.bank.apply(&self.bins, out);
        out.iter_mut().for_each(|value| *value = config.compress(*value));
    }
}

/// The part of a clip that is at hand: `samples` begin at the clip's sample `first`, and the clip
/// is `total` samples long.
#[derive(Clone, Copy)]
pub(super) struct Clip<'a> {
    pub(super) samples: &'a [f32],
    pub(super) first: usize,
    pub(super) total: usize,
}

impl Clip<'_> {
    /// The clip's samples from `start` on into `out`, reflected about both ends.
    fn copy_to(self, start: i64, out: &mut [f32]) {
        let end = start + out.len() as i64;
        if start >= 0 && end <= self.total as i64 {
            let from = start as usize - self.first;
            out.copy_from_slice(&self.samples[from..from + out.len()]);
            return;
        }
        for (index, sample) in (start..end).zip(out) {
            *sample = self.samples[reflect(index, self.total) - self.first];
        }
    }
}

/// The index within `0..len` that `index` falls on when the clip is mirrored about its first and
/// its last sample, again and again.
fn reflect(index: i64, len: usize) -> usize {
    if len == 1 {
        return 0;
    }
    let last = len as i64 - 1;
    let wrapped = index.rem_euclid(2 * last);
    (if wrapped > last { 2 * last - wrapped } else { wrapped }) as usize
}

/// Refuses clips that have no frame.
pub(super) fn check_length(config: &MelConfig, len: usize) -> Result<()> {
    if len == 0 {
        return Err(Error::mismatch("audio", "at least one sample", "none"));
    }
    if config.frames(len) == 0 {
        let expected = format!("at least one hop of {} samples", config.hop);
        return Err(Error::mismatch("audio", expected, len));
    }
    Ok(())
}

/// Refuses samples that are not finite; `first` is the position of `samples[0]`.
pub(super) fn check_finite(samples: &[f32], first: usize) -> Result<()> {
    match samples.iter().position(|sample| !sample.is_finite()) {
        None => Ok(()),
        Some(at) => {
            let what = format!("audio sample {}", first + at);
            Err(Error::mismatch(what, "a finite number", samples[at]))
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::mel::{MelNorm, MelPadding, filter_bank};

    fn chirp(len: usize) -> Vec<f32> {
        (0..len).map(|i| 0.5 * (1e-5 * (i * i) as f32 + 0.05 * i as f32).sin()).collect()
    }

    /// The definition, in f64: an explicit padded copy and a Fourier sum.
    fn slow(config: &MelConfig, samples: &[f32]) -> Vec<f64> {
        let pad = config.pad() as i64;
        let padded: Vec<f64> = (-pad..samples.len() as i64 + pad)
            .map(|i| {
                let mut i = i;
                let last = samples.len() as i64 - 1;
                while last > 0 && (i < 0 || i > last) {
                    i = if i < 0 { -i } else { 2 * last - i };
                }
                f64::from(samples[if last == 0 { 0 } else { i as usize }])
            })
            .collect();
        let margin = (config.n_fft - config.window) / 2;
        let bank = filter_bank(config);
        let bins = config.n_fft / 2 + 1;
        let mut out = Vec::new();
        for frame in padded.windows(config.n_fft).step_by(config.hop) {
            let magnitudes: Vec<f64> = (0..bins)
                .map(|k| {
                    let (mut re, mut im) = (0.0, 0.0);
                    for i in 0..config.window {
                        let turn = std::f64::consts::TAU;
                        let hann = 0.5 - 0.5 * (turn * i as f64 / config.window as f64).cos();
                        let phase = turn * (k * (i + margin)) as f64 / config.n_fft as f64;
                        re += hann * frame[i + margin] * phase.cos();
                        im -= hann * frame[i + margin] * phase.sin();
                    }
                    (re * re + im * im + f64::from(config.energy_guard)).sqrt()
                })
                .collect();
            for band in bank.chunks(bins) {
                let sum: f64 = band
                    .iter()
                    .zip(&magnitudes)
                    .map(|(&w, m)| f64::from(w) * m.powi(config.power.exponent() as i32))
                    .sum();
                out.push(sum.max(f64::from(config.floor)).ln());
            }
        }
        out
    }

    fn small() -> MelConfig {
        MelConfig {
            sample_rate: 8_000,
            n_mels: 12,
            n_fft: 128,
            window: 96,
            hop: 24,
            f_min_hz: 50.0,
            f_max_hz: 4_000.0,
            norm: MelNorm::None,
            ..MelConfig::default()
        }
    }

    #[test]
    fn equals_the_definition_at_every_padding_power_and_length() {
        for padding in [MelPadding::Centre, MelPadding::HifiGan] {
            for power in [Power::Magnitude, Power::Energy] {
                let config = MelConfig { padding, power, energy_guard: 1e-9, ..small() };
                let mut extractor = MelExtractor::new(&config).unwrap();
                for len in [1, 2, 23, 24, 63, 64, 65, 500] {
                    let clip = chirp(len);
                    if config.frames(len) == 0 {
                        assert!(extractor.extract(&clip).is_err());
                        continue;
                    }
                    let mel = extractor.extract(&clip).unwrap();
                    let expected = slow(&config, &clip);
                    assert_eq!(mel.data.len(), expected.len(), "{padding:?} {len}");
                    assert_eq!(mel.frames, config.frames(len));
                    for (got, expected) in mel.data.iter().zip(&expected) {
                        assert!((f64::from(*got) - expected).abs() < 2e-3, "{padding:?} {len}");
                    }
                }
            }
        }
    }

    #[test]
    fn reflects_as_numpy_does() {
        let mirrored: Vec<usize> = (-4..7).map(|i| reflect(i, 3)).collect();
        assert_eq!(mirrored, [0, 1, 2, 1, 0, 1, 2, 1, 0, 1, 2]);
        assert_eq!(reflect(-7, 1), 0);
    }

    #[test]
    fn a_full_scale_sine_stays_below_the_bound_and_silence_lies_on_the_floor() {
        for name in MelConfig::PRESETS {
            let config = MelConfig::preset(name).unwrap();
            let mut extractor = MelExtractor::new(&config).unwrap();
            let top = config.max_value();
            for hz in [60.0, 440.0, 5_000.0] {
                let step = std::f32::consts::TAU * hz / config.sample_rate as f32;
                let sine: Vec<f32> = (0..6_000).map(|i| (step * i as f32).sin()).collect();
                let mel = extractor.extract(&sine).unwrap();
                assert!(mel.data.iter().all(|&v| v <= top), "{name} {hz}");
            }
            let silence = extractor.extract(&[0.0; 3_000]).unwrap();
            assert!(silence.data.iter().all(|&v| v == config.min_value()), "{name}");
        }
    }

    #[test]
    fn a_range_of_frames_equals_the_same_frames_of_the_whole() {
        let mut extractor = MelExtractor::new(&small()).unwrap();
        let clip = chirp(1_000);
        let whole = extractor.extract(&clip).unwrap();
        let part = extractor.extract_frames(&clip, 3..17).unwrap();
        assert_eq!(part.data, whole.data[3 * 12..17 * 12]);
        assert!(extractor.extract_frames(&clip, 0..whole.frames + 1).is_err());
    }

    #[test]
    fn what_is_no_audio_is_refused() {
        let mut extractor = MelExtractor::new(&MelConfig::default()).unwrap();
        assert!(extractor.extract(&[]).is_err());
        let message = extractor.extract(&[0.0, 0.0, f32::NAN]).unwrap_err().to_string();
        assert!(message.contains("sample 2") && message.contains("NaN"), "{message}");
    }
}
