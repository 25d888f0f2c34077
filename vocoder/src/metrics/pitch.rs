//! The pitch of a voice, frame by frame: how high, whether there is one, and how periodic the sound.
//!
//! Boersma (1993, "Accurate short-term analysis of the fundamental frequency and the
//! harmonics-to-noise ratio of a sampled sound"): the autocorrelation of a windowed frame over that
//! of the window has a peak at the period, as high as the share of periodic power (eq. 9). The best
//! path over the peaks of all frames, of which *unvoiced* is one, is found by dynamic programming
//! (after eq. 27).
//!
//! Note: the autocorrelation is that of the sound below about 1 kHz, where voices are periodic, and
//! a frame counts as voiced only if most of its power is below 4 kHz, as D4C has it (Morise 2016).
//! The constants were fitted to WORLD's harvest with D4C's voicing on the clips of `tests/eval`:
//! `tests/reference/pitch` has the program and the agreement.

use std::sync::Arc;

use realfft::num_complex::Complex64;
use realfft::{ComplexToReal, RealFftPlanner, RealToComplex};

use super::SAMPLE_RATE;

/// Samples from one frame's centre to the next: 5 ms.
pub const HOP: usize = SAMPLE_RATE as usize / 200;

/// Samples of a frame: 50 ms, three periods of the lowest pitch.
const WINDOW: usize = SAMPLE_RATE as usize / 20;

/// Room for a window and the longest period, so that nothing wraps around.
const N_FFT: usize = 2048;

/// The lowest and the highest pitch that is looked for, in Hz.
const RANGE_HZ: (f64, f64) = (60.0, 600.0);

/// The frequencies between which the weight of the power falls from 1 to 0, and the lowest that
/// counts, in Hz.
const LOW_PASS_HZ: (f64, f64) = (800.0, 1600.0);
const LOWEST_HZ: f64 = 40.0;

/// Peaks of a frame that are kept, and the least height of one.
const CANDIDATES: usize = 10;
const LEAST_HEIGHT: f64 = 0.15;

/// What a candidate loses for each octave that it is below the highest pitch, so that of a period
/// and its double the period wins.
const OCTAVE_COST: f64 = 0.01;
/// What *unvoiced* is worth, as the height of a peak.
const UNVOICED: f64 = 0.3;
/// What a path loses where it becomes voiced or unvoiced, and for each octave of a jump.
const VOICING_COST: f64 = 0.4;
const JUMP_COST: f64 = 1.0;

/// Least share of the power from 100 Hz to 7.9 kHz that a voiced frame has below 4 kHz.
const VOICED_SHARE: f64 = 0.9;
/// How far a voiced frame's energy (over 50 ms) may be below the loudest one's: 45 dB.
const VOICED_ENERGY: f64 = 3.162_277_66e-5;

/// One frame, centred [`HOP`] samples after the one before; the first is centred on sample 0.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Frame {
    /// The pitch in Hz; 0 where there is none.
    pub f0_hz: f64,
    /// Share of periodic power, 0 to 1: the height of the autocorrelation's peak at the pitch, or of
    /// its highest peak where there is no pitch.
    pub periodicity: f64,
    /// Mean square over the frame's 50 ms.
    pub energy: f64,
}

/// The pitch of a clip at [`SAMPLE_RATE`]: `samples.len() / HOP + 1` frames.
pub fn track(samples: &[f32]) -> Vec<Frame> {
    let mut analysis = Analysis::new();
    let count = samples.len() / HOP + 1;
    let frames: Vec<Candidates> = (0..count).map(|i| analysis.frame(samples, i * HOP)).collect();
    let loudest = frames.iter().map(|frame| frame.energy).fold(0.0, f64::max);
    let path = best_path(&frames);
    let pitch = |(frame, choice): (&Candidates, Option<usize>)| {
        let highest = frame.peaks.iter().map(|peak| peak.height).fold(0.0, f64::max);
        let chosen = choice.map(|i| frame.peaks[i]);
        let voiced = frame.is_low && frame.energy > loudest * VOICED_ENERGY;
        Frame {
            f0_hz: chosen.filter(|_| voiced).map_or(0.0, |peak| peak.f0_hz),
            periodicity: chosen.map_or(highest, |peak| peak.height),
            energy: frame.energy,
        }
    };
    frames.iter().zip(path).map(pitch).collect()
}

/// A possible pitch.
#[derive(Clone, Copy, Debug)]
struct Peak {
    f0_hz: f64,
    /// Of the normalised autocorrelation, at most 1.
    height: f64,
}

impl Peak {
    fn strength(&self) -> f64 {
        self.height - OCTAVE_COST * (RANGE_HZ.1 / self.f0_hz).log2()
    }
}

/// What one frame says.
struct Candidates {
    /// The strongest first.
    peaks: Vec<Peak>,
    energy: f64,
    /// Whether most of its power is where a voice has it.
    is_low: bool,
}

/// Plans and scratch memory.
struct Analysis {
    window: Vec<f64>,
    /// 1 / autocorrelation of the window, which is 1 at lag 0.
    gains: Vec<f64>,
    /// Per bin.
    low_pass: Vec<f64>,
    forward: Arc<dyn RealToComplex<f64>>,
    inverse: Arc<dyn ComplexToReal<f64>>,
    frame: Vec<f64>,
    spectrum: Vec<Complex64>,
    lags: Vec<f64>,
}

impl Analysis {
    fn new() -> Self {
        let mut planner = RealFftPlanner::new();
        let (forward, inverse) = (planner.plan_fft_forward(N_FFT), planner.plan_fft_inverse(N_FFT));
        let turn = std::f64::consts::TAU / WINDOW as f64;
        let window = (0..WINDOW).map(|i| 0.5 - 0.5 * (turn * (i as f64 + 0.5)).cos()).collect();
        let mut analysis = Self {
            window,
            gains: vec![1.0; N_FFT / 2],
            low_pass: vec![1.0; N_FFT / 2 + 1],
            frame: forward.make_input_vec(),
            spectrum: forward.make_output_vec(),
            lags: inverse.make_output_vec(),
            forward,
            inverse,
        };
        analysis.frame[..WINDOW].copy_from_slice(&analysis.window);
        analysis.correlate();
        let at_zero = analysis.lags[0];
        // Beyond the longest period, the window's own autocorrelation may come near 0.
        analysis.gains = (0..N_FFT / 2).map(|i| at_zero / analysis.lags[i].max(1e-9)).collect();
        analysis.low_pass = (0..=N_FFT / 2)
            .map(|bin| {
                let (flat, stop) = LOW_PASS_HZ;
                let part = ((stop - hz(bin)) / (stop - flat)).clamp(0.0, 1.0);
                let weight = 0.5 - 0.5 * (std::f64::consts::PI * part).cos();
                if hz(bin) < LOWEST_HZ { 0.0 } else { weight }
            })
            .collect();
        analysis
    }

    /// The frame centred on sample `centre`; beyond the clip's ends there is silence.
    fn frame(&mut self, samples: &[f32], centre: usize) -> Candidates {
        let first = centre as isize - WINDOW as isize / 2;
        let sample = |i: usize| {
            let at = usize::try_from(first + i as isize).ok();
            at.and_then(|at| samples.get(at)).map_or(0.0, |&x| f64::from(x))
        };
        self.frame.fill(0.0);
        (0..WINDOW).for_each(|i| self.frame[i] = sample(i));
        let mean = self.frame[..WINDOW].iter().sum::<f64>() / WINDOW as f64;
        let energy = self.frame[..WINDOW].iter().map(|x| x * x).sum::<f64>() / WINDOW as f64;
        for (x, weight) in self.frame.iter_mut().zip(&self.window) {
            *x = (*x - mean) * weight;
        }
        let is_low = self.correlate();
        Candidates { peaks: self.peaks(), energy, is_low }
    }

    /// The autocorrelation of `self.frame` below the low-pass, into `self.lags`. Says whether most
    /// of the frame's whole power is low.
    fn correlate(&mut self) -> bool {
        // The buffers come from the plans: neither transform can fail.
        let done = self.forward.process(&mut self.frame, &mut self.spectrum);
        debug_assert!(done.is_ok());
        let (mut low, mut all) = (0.0, 1e-20);
        for (bin, (value, weight)) in self.spectrum.iter_mut().zip(&self.low_pass).enumerate() {
            let power = value.norm_sqr();
            if (100.0..=7900.0).contains(&hz(bin)) {
                all += power;
                low += if hz(bin) <= 4000.0 { power } else { 0.0 };
            }
            *value = Complex64::new(power * weight, 0.0);
        }
        let done = self.inverse.process(&mut self.spectrum, &mut self.lags);
        debug_assert!(done.is_ok());
        low > VOICED_SHARE * all
    }

    /// The peaks of the normalised autocorrelation within the range, with parabolas through them.
    fn peaks(&self) -> Vec<Peak> {
        let rate = f64::from(SAMPLE_RATE);
        let (shortest, longest) = ((rate / RANGE_HZ.1) as usize, (rate / RANGE_HZ.0) as usize);
        let scale = 1.0 / (self.lags[0] + 1e-12);
        let height = |lag: usize| self.lags[lag] * scale * self.gains[lag];
        let mut peaks = Vec::new();
        for lag in shortest..=longest {
            let (before, here, after) = (height(lag - 1), height(lag), height(lag + 1));
            if here < LEAST_HEIGHT || here <= before || here < after {
                continue;
            }
            let slope = 0.5 * (after - before);
            let curvature = 2.0 * here - before - after;
            peaks.push(Peak {
                f0_hz: rate / (lag as f64 + slope / curvature),
                height: (here + 0.5 * slope * slope / curvature).min(1.0),
            });
        }
        peaks.sort_by(|a, b| b.strength().total_cmp(&a.strength()));
        peaks.truncate(CANDIDATES);
        peaks
    }
}

fn hz(bin: usize) -> f64 {
    bin as f64 * f64::from(SAMPLE_RATE) / N_FFT as f64
}

/// For each frame the peak that the best path goes through, or none where it is unvoiced.
fn best_path(frames: &[Candidates]) -> Vec<Option<usize>> {
    // States of a frame: its peaks, then unvoiced.
    let states = |frame: &Candidates| frame.peaks.len() + 1;
    let worth =
        |frame: &Candidates, state: usize| frame.peaks.get(state).map_or(UNVOICED, Peak::strength);
    let mut scores: Vec<f64> = Vec::new();
    let mut origins: Vec<Vec<usize>> = Vec::with_capacity(frames.len());
    for (i, frame) in frames.iter().enumerate() {
        let (mut now, mut from) = (Vec::new(), Vec::new());
        for state in 0..states(frame) {
            let arrive = |(origin, score): (usize, &f64)| {
                let cost = match (frames[i - 1].peaks.get(origin), frame.peaks.get(state)) {
                    (None, None) => 0.0,
                    (Some(a), Some(b)) => JUMP_COST * (a.f0_hz / b.f0_hz).log2().abs(),
                    _ => VOICING_COST,
                };
                (origin, score - cost)
            };
            let best =
                scores.iter().enumerate().map(arrive).reduce(|a, b| if b.1 > a.1 { b } else { a });
            let (origin, score) = best.unwrap_or((0, 0.0));
            now.push(score + worth(frame, state));
            from.push(origin);
        }
        scores = now;
        origins.push(from);
    }
    let mut state =
        (0..scores.len()).fold(0, |best, i| if scores[i] > scores[best] { i } else { best });
    let mut path = Vec::with_capacity(frames.len());
    for (frame, origins) in frames.iter().zip(&origins).rev() {
        path.push((state < frame.peaks.len()).then_some(state));
        state = origins[state];
    }
    path.reverse();
    path
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::noise::Noise;

    /// Ten harmonics of a pitch that moves, `f0_hz` at sample i.
    fn voice(length: usize, f0_hz: impl Fn(usize) -> f64) -> Vec<f32> {
        let mut phase = 0.0;
        (0..length)
            .map(|i| {
                phase += std::f64::consts::TAU * f0_hz(i) / f64::from(SAMPLE_RATE);
                (1..=10).map(|k| 0.1 * (f64::from(k) * phase).sin() / f64::from(k)).sum::<f64>()
                    as f32
            })
            .collect()
    }

    fn noise(length: usize) -> Vec<f32> {
        let mut out = vec![0.0; length];
        Noise::new(3).fill(0, 0, &mut out);
        out
    }

    #[test]
    fn a_gliding_voice_is_followed_within_two_cents() {
        for (from, to) in [(80.0f64, 110.0), (120.0, 250.0), (300.0, 500.0)] {
            let pitch = |i: usize| from * (to / from).powf(i as f64 / 24_000.0);
            let frames = track(&voice(24_000, pitch));
            assert_eq!(frames.len(), 201);
            for (i, frame) in frames.iter().enumerate().take(195).skip(6) {
                let cents = 1200.0 * (frame.f0_hz / pitch(i * HOP)).log2();
                assert!(cents.abs() < 2.0, "frame {i} of {from} to {to} Hz: {cents} cents");
                assert!(frame.periodicity > 0.98, "{frame:?}");
            }
        }
    }

    #[test]
    fn noise_and_silence_have_no_pitch() {
        let frames = track(&noise(24_000));
        assert!(frames.iter().all(|frame| frame.f0_hz == 0.0));
        assert!(track(&[0.0; 24_000]).iter().all(|frame| *frame == Frame::default()));
        assert_eq!(track(&[]).len(), 1);
    }

    /// A tone in white noise of a tenth of its power: of the power below the low-pass nearly all is
    /// periodic, and the pitch is found within a percent.
    #[test]
    fn noise_over_a_voice_lowers_its_periodicity_not_its_pitch() {
        let clean = voice(24_000, |_| 150.0);
        let power: f32 = clean.iter().map(|x| x * x).sum::<f32>() / 24_000.0;
        for (share, least, most) in [(0.1, 0.9, 0.999), (3.0, 0.3, 0.9)] {
            let scale = (share * power).sqrt();
            let mixed: Vec<f32> =
                clean.iter().zip(noise(24_000)).map(|(x, n)| x + scale * n).collect();
            let frames = track(&mixed);
            let middle = &frames[10..190];
            let mean = middle.iter().map(|f| f.periodicity).sum::<f64>() / middle.len() as f64;
            assert!((least..most).contains(&mean), "{share}: {mean}");
            if share < 1.0 {
                assert!(middle.iter().all(|f| (f.f0_hz / 150.0 - 1.0).abs() < 0.01));
            }
        }
    }

    /// Half a second each of silence, voice and silence: the borders are found within 30 ms.
    #[test]
    fn a_voice_begins_and_ends() {
        let mut clip = vec![0.0; 36_000];
        clip[12_000..24_000].copy_from_slice(&voice(12_000, |_| 200.0));
        let frames = track(&clip);
        for (i, frame) in frames.iter().enumerate() {
            let ms = 5 * i as i32;
            if (530..970).contains(&ms) {
                assert!((frame.f0_hz / 200.0 - 1.0).abs() < 0.005, "{ms} ms: {frame:?}");
            } else if !(470..1030).contains(&ms) {
                assert_eq!(frame.f0_hz, 0.0, "{ms} ms: {frame:?}");
            }
        }
    }
}
