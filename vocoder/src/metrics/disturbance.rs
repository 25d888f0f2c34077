//! How much of what is heard of a clip differs from its reference: the disturbances of PESQ.
//!
//! After ITU-T P.862 (Rix, Beerends, Hollier & Hekstra 2001, "Perceptual evaluation of speech quality
//! (PESQ)", sections 4 to 6) and P.862.2 for wide band: the power in bands of the Bark scale, less what a
//! constant filter and slow changes of gain would explain, becomes loudness by Zwicker's law; its
//! differences, less those that are masked, are summed, those that were added (asymmetric) once more.
//!
//! Note: not PESQ. Bands and thresholds come from formulas (Traunmueller 1990, Terhardt 1979) instead
//! of the standard's tables, nothing is aligned in time, and no frames are realigned or left out.
//! `tests/reference/metrics` has PESQ's own values beside which this ranks renderings alike.

use std::f64::consts::TAU;
use std::sync::Arc;

use realfft::num_complex::Complex64;
use realfft::{RealFftPlanner, RealToComplex};

use super::SAMPLE_RATE;
use crate::Result;
use crate::audio::resample;

/// Samples per second of the model, of a frame (32 ms) and between frames.
const RATE: f64 = 16_000.0;
const FRAME: usize = 512;
const HOP: usize = FRAME / 2;

/// Bands, evenly spaced in Bark from the lowest to the highest frequency.
const BANDS: usize = 49;
const RANGE_HZ: (f64, f64) = (100.0, 8000.0);

/// How loud the reference is played, in dB SPL: as P.862 has it. Powers are relative to 0 dB SPL.
const LEVEL_DB: f64 = 79.0;

/// Exponent of Zwicker's law.
const ZWICKER: f64 = 0.23;

/// Share of the softer of two loudnesses by which they may differ unheard.
const MASKED: f64 = 0.25;

/// Most that one frame counts.
const WORST_FRAME: f64 = 45.0;

/// Of a clip of which nothing can be said.
const WORST: Disturbance = Disturbance { symmetric: WORST_FRAME, asymmetric: WORST_FRAME };

/// Frames that are taken together as about a syllable (320 ms), half of them over each other.
const SYLLABLE: usize = 20;

/// What is heard to be different, after P.862; 0 is nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Disturbance {
    /// All differences in loudness.
    pub symmetric: f64,
    /// Those where something was added.
    pub asymmetric: f64,
}

impl Disturbance {
    /// What the disturbances take from P.862's score of 4.5: 0.1 and 0.0309 of them.
    pub fn loss(&self) -> f64 {
        0.1 * self.symmetric + 0.0309 * self.asymmetric
    }
}

/// The disturbance of `generated` beside `reference`, two clips of one length at
/// [`SAMPLE_RATE`](super::SAMPLE_RATE), as they lie. The worst for clips of less than a frame, or silence.
///
/// # Errors
/// None for finite memory; the signature carries the resampler's own.
pub fn disturbance(reference: &[f32], generated: &[f32]) -> Result<Disturbance> {
    let at_rate = |x: &[f32]| resample(x, SAMPLE_RATE, RATE as u32);
    let (reference, generated) = (at_rate(reference)?, at_rate(generated)?);
    let mut ear = Ear::new();
    let (mut a, mut b) = (ear.powers(&reference), ear.powers(&generated));
    // Each clip is played at the same loudness.
    for powers in [&mut a, &mut b] {
        let total: f64 = powers.iter().flatten().sum();
        if total <= 0.0 {
            return Ok(WORST);
        }
        let scale = 10f64.powf(LEVEL_DB / 10.0) * powers.len() as f64 / total;
        powers.iter_mut().flatten().for_each(|power| *power *= scale);
    }
    explain_by_filter(&ear, &mut a, &b);
    explain_by_gain(&ear, &a, &mut b);
    let frames: Vec<Disturbance> = a.iter().zip(&b).map(|(a, b)| ear.differ(a, b)).collect();
    Ok(Disturbance {
        symmetric: over_time(&frames, |d| d.symmetric),
        asymmetric: over_time(&frames, |d| d.asymmetric),
    })
}

/// The power in each band of one frame.
type Powers = [f64; BANDS];

/// Bands, their thresholds and their loudness.
struct Ear {
    forward: Arc<dyn RealToComplex<f64>>,
    /// In Bark.
    width: f64,
    edges_hz: Vec<f64>,
    /// The power at which a band is heard in quiet.
    threshold: Powers,
    /// Zwicker's exponent, larger below 4 Bark.
    exponent: Powers,
    /// So that a tone of 1 kHz at 40 dB is 1 sone loud.
    sones: f64,
}

impl Ear {
    fn new() -> Self {
        let (lowest, highest) = (bark(RANGE_HZ.0), bark(RANGE_HZ.1));
        let width = (highest - lowest) / BANDS as f64;
        let edges_hz = (0..=BANDS).map(|i| hz(lowest + width * i as f64)).collect();
        let centre = |i: usize| lowest + width * (i as f64 + 0.5);
        let exponent = |i: usize| {
            let low = if centre(i) < 4.0 { (6.0 / (centre(i) + 2.0)).min(2.0) } else { 1.0 };
            ZWICKER * low.powf(0.15)
        };
        let mut ear = Self {
            forward: RealFftPlanner::new().plan_fft_forward(FRAME),
            width,
            edges_hz,
            threshold: std::array::from_fn(|i| 10f64.powf(threshold_db(hz(centre(i))) / 10.0)),
            exponent: std::array::from_fn(exponent),
            sones: 1.0,
        };
        let tone: Vec<f32> =
            (0..FRAME).map(|i| (TAU * 1000.0 * i as f64 / RATE).sin() as f32).collect();
        let mut powers = ear.powers(&tone);
        let total: f64 = powers[0].iter().sum();
        powers[0].iter_mut().for_each(|power| *power *= 1e4 / total);
        ear.sones = 1.0 / (ear.loudness(&powers[0]).iter().sum::<f64>() * width);
        ear
    }

    /// The power in each band of each frame, by bins that are shared out among the bands they lie in.
    fn powers(&mut self, samples: &[f32]) -> Vec<Powers> {
        let bin_hz = RATE / FRAME as f64;
        let (mut frame, mut spectrum) =
            (self.forward.make_input_vec(), self.forward.make_output_vec());
        let hann = |i: usize| 0.5 - 0.5 * (TAU * i as f64 / FRAME as f64).cos();
        let count = (samples.len() + HOP).saturating_sub(FRAME) / HOP;
        let mut all = Vec::with_capacity(count);
        for at in 0..count {
            let part = &samples[at * HOP..at * HOP + FRAME];
            (0..FRAME).for_each(|i| frame[i] = f64::from(part[i]) * hann(i));
            // The buffers come from the plan: this can't fail.
            let done = self.forward.process(&mut frame, &mut spectrum);
            debug_assert!(done.is_ok());
            let power: Vec<f64> = spectrum.iter().map(Complex64::norm_sqr).collect();
            all.push(std::array::from_fn(|band| {
                // A bin reaches half its distance to either side.
                let place = |edge: usize| self.edges_hz[edge] / bin_hz + 0.5;
                let (low, high) = (place(band), place(band + 1).min(power.len() as f64));
                let share =
                    |bin: usize| (high.min(bin as f64 + 1.0) - low.max(bin as f64)).max(0.0);
                let bins = low as usize..high.ceil() as usize;
                bins.map(|bin| share(bin) * power[bin.min(power.len() - 1)]).sum()
            }));
        }
        all
    }

    /// Zwicker's law (P.862, eq. 5): sones a Bark in each band.
    fn loudness(&self, powers: &Powers) -> Powers {
        std::array::from_fn(|i| {
            let (threshold, exponent) = (self.threshold[i], self.exponent[i]);
            if powers[i] <= threshold {
                return 0.0;
            }
            let above = (0.5 + 0.5 * powers[i] / threshold).powf(exponent) - 1.0;
            self.sones * (threshold / 0.5).powf(exponent) * above
        })
    }

    /// The power of what is heard, `margin` times above the threshold.
    fn audible(&self, powers: &Powers, margin: f64) -> f64 {
        let heard = powers.iter().zip(&self.threshold).filter(|(p, t)| **p > margin * **t);
        heard.map(|(power, _)| power).sum()
    }

    /// The disturbances of one frame (P.862, section 6).
    fn differ(&self, a: &Powers, b: &Powers) -> Disturbance {
        let (mut squares, mut added) = (0.0, 0.0);
        let loudness = self.loudness(a).into_iter().zip(self.loudness(b));
        for ((loud_a, loud_b), (a, b)) in loudness.zip(a.iter().zip(b)) {
            let masked = MASKED * loud_a.min(loud_b);
            let heard = ((loud_b - loud_a).abs() - masked).max(0.0);
            squares += (heard * self.width).powi(2) / BANDS as f64;
            let ratio = ((b + 50.0) / (a + 50.0)).powf(1.2);
            added += if ratio < 3.0 { 0.0 } else { heard * self.width * ratio.min(12.0) };
        }
        // Soft frames count more.
        let weight = ((self.audible(a, 1.0) + 1e5) / 1e7).powf(0.04);
        Disturbance {
            symmetric: (squares.sqrt() * BANDS as f64 / weight).min(WORST_FRAME),
            asymmetric: (added / weight).min(WORST_FRAME),
        }
    }
}

/// Gives the reference the clip's mean spectrum, within 20 dB: a constant filter disturbs little.
fn explain_by_filter(ear: &Ear, a: &mut [Powers], b: &[Powers]) {
    // Of the frames in which the reference speaks: 70 dB, P.862's 1e7.
    let speaks: Vec<usize> =
        (0..a.len().min(b.len())).filter(|&i| ear.audible(&a[i], 100.0) > 1e7).collect();
    let mean = |powers: &[Powers], band: usize| {
        let heard = |i: &&usize| powers[**i][band] > 100.0 * ear.threshold[band];
        speaks.iter().filter(heard).map(|&i| powers[i][band]).sum::<f64>()
            / speaks.len().max(1) as f64
    };
    let ratio = |i| ((mean(b, i) + 1000.0) / (mean(a, i) + 1000.0)).clamp(0.01, 100.0);
    let ratios: Powers = std::array::from_fn(ratio);
    for frame in a {
        frame.iter_mut().zip(&ratios).for_each(|(power, ratio)| *power *= ratio);
    }
}

/// Gives the clip the reference's power, frame by frame and smoothed: slow changes of gain disturb little.
fn explain_by_gain(ear: &Ear, a: &[Powers], b: &mut [Powers]) {
    let mut gain = 1.0;
    for (a, b) in a.iter().zip(b) {
        let now = (ear.audible(a, 1.0) + 5e3) / (ear.audible(b, 1.0) + 5e3);
        gain = (0.2 * gain + 0.8 * now).clamp(3e-4, 5.0);
        b.iter_mut().for_each(|power| *power *= gain);
    }
}

/// The power mean of order 6 over each syllable, then of order 2 over all: bad moments count most.
fn over_time(frames: &[Disturbance], part: fn(&Disturbance) -> f64) -> f64 {
    let (mut sum, mut count) = (0.0, 0.0);
    for begin in (0..frames.len()).step_by(SYLLABLE / 2) {
        let syllable = &frames[begin..(begin + SYLLABLE).min(frames.len())];
        let mean = syllable.iter().map(|d| part(d).powi(6)).sum::<f64>() / SYLLABLE as f64;
        sum += mean.powf(2.0 / 6.0);
        count += 1.0;
    }
    (sum / f64::max(count, 1.0)).sqrt()
}

/// Traunmueller (1990), eq. 2.
fn bark(hz: f64) -> f64 {
    26.81 * hz / (1960.0 + hz) - 0.53
}

/// The other way round.
fn hz(bark: f64) -> f64 {
    1960.0 * (bark + 0.53) / (26.28 - bark)
}

/// What is just heard in quiet, in dB SPL: Terhardt (1979), eq. 4.
fn threshold_db(hz: f64) -> f64 {
    let khz = hz / 1000.0;
    3.64 * khz.powf(-0.8) - 6.5 * (-0.6 * (khz - 3.3).powi(2)).exp() + 1e-3 * khz.powi(4)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::noise::Noise;

    /// Bursts of noise with pauses, as speech has them.
    fn bursts() -> Vec<f32> {
        let mut clip = vec![0.0; 48_000];
        Noise::new(5).fill(0, 0, &mut clip);
        let level = |i: usize| if (i / 6000).is_multiple_of(2) { 0.1 } else { 1e-4 };
        clip.iter_mut().enumerate().for_each(|(i, x)| *x *= level(i));
        clip
    }

    #[test]
    fn the_scales_are_the_hand_worked_ones() {
        // 26.81 * 1000 / 2960 - 0.53
        assert!(
            (bark(1000.0) - 8.527_432).abs() < 1e-5 && (hz(bark(1000.0)) - 1000.0).abs() < 1e-9
        );
        // 3.64 - 6.5 exp(-0.6 * 2.3^2) + 0.001
        assert!((threshold_db(1000.0) - 3.369_1).abs() < 1e-3, "{}", threshold_db(1000.0));
        // Zwicker's law: ten times the power is about 10^0.23 times as loud.
        let ear = Ear::new();
        let at = |power: f64| ear.loudness(&[power; BANDS])[30];
        assert!((at(1e8) / at(1e7) - 10f64.powf(0.23)).abs() < 0.05);
    }

    #[test]
    fn level_and_masked_noise_are_not_heard_and_added_noise_is() {
        let clip = bursts();
        let soft: Vec<f32> = clip.iter().map(|x| 0.25 * x).collect();
        assert!(disturbance(&clip, &soft).unwrap().loss() < 1e-6);
        let with = |level: f32| {
            let mut noise = vec![0.0; clip.len()];
            Noise::new(6).fill(0, 0, &mut noise);
            let mixed: Vec<f32> = clip.iter().zip(&noise).map(|(x, n)| x + level * n).collect();
            disturbance(&clip, &mixed).unwrap()
        };
        let (masked, heard, loud) = (with(1e-5), with(1e-3), with(1e-2));
        assert!(masked.loss() < 0.05 && heard.loss() > 4.0 * masked.loss(), "{masked:?} {heard:?}");
        assert!(loud.loss() > heard.loss() && loud.asymmetric > loud.symmetric, "{loud:?}");
        // What is missing is no addition.
        let cut: Vec<f32> = clip.iter().map(|x| if x.abs() < 0.05 { 0.0 } else { *x }).collect();
        assert!(disturbance(&clip, &cut).unwrap().symmetric > 0.0);
        assert_eq!(disturbance(&clip, &[0.0; 48_000]).unwrap(), WORST);
        assert_eq!(disturbance(&[], &[]).unwrap(), WORST);
    }
}
