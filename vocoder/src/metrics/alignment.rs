//! How late and how loud a clip is.

use realfft::RealFftPlanner;
use realfft::num_complex::Complex64;

use super::spectral::shape_distance;
use super::{SAMPLE_RATE, SILENT, peak};

/// Samples in a millisecond.
const MS: usize = SAMPLE_RATE as usize / 1000;

/// Farthest lag that is looked for, in milliseconds.
const MAX_LAG_MS: usize = 50;

/// Samples by which `generated` is late, within +-50 ms: at the maximum of the cross-correlation if
/// that is above 0.5, else at that of the logarithmic energies per millisecond, which phases leave
/// alone (vocoders such as Griffin-Lim invent them). 0 for silence, and where the log-mels fit no better for
/// the lag: a voice whose phases are turned is most like itself a part of a period away.
pub fn find_lag(reference: &[f32], generated: &[f32]) -> isize {
    let shared = reference.len().min(generated.len());
    let (a, b) = (&reference[..shared], &generated[..shared]);
    // 20 ms: an envelope of fewer points says nothing.
    if shared < 20 * MS || peak(a) < SILENT || peak(b) < SILENT {
        return 0;
    }
    let samples = |x: &[f32]| x.iter().map(|&x| f64::from(x)).collect::<Vec<_>>();
    let (lag, correlation) = best_lag(&samples(a), &samples(b), MAX_LAG_MS * MS);
    let lag = if correlation > 0.5 {
        lag
    } else {
        best_lag(&log_envelope(a), &log_envelope(b), MAX_LAG_MS).0 * MS as isize
    };
    let distance = |lag| {
        let (a, b) = shifted(reference, generated, lag);
        shape_distance(a, b).unwrap_or(f64::INFINITY)
    };
    if lag != 0 && distance(lag) < distance(0) { lag } else { 0 }
}

/// The parts of two clips that lie over each other once `generated` is moved `lag` samples ahead.
pub(super) fn shifted<'a>(
    reference: &'a [f32],
    generated: &'a [f32],
    lag: isize,
) -> (&'a [f32], &'a [f32]) {
    let skip = lag.unsigned_abs();
    let (a, b) =
        if lag > 0 { (reference, &generated[skip..]) } else { (&reference[skip..], generated) };
    let shared = a.len().min(b.len());
    (&a[..shared], &b[..shared])
}

/// Root mean square over the 20 ms blocks that are within 40 dB of the loudest. 0 for less than a
/// block.
pub fn active_rms(x: &[f32]) -> f64 {
    let energies: Vec<f64> = x.chunks_exact(20 * MS).map(mean_square).collect();
    let threshold = energies.iter().fold(0.0, |a: f64, &b| a.max(b)) * 1e-4;
    let active: Vec<f64> = energies.into_iter().filter(|&e| e >= threshold).collect();
    if active.is_empty() {
        return 0.0;
    }
    (active.iter().sum::<f64>() / active.len() as f64 + 1e-20).sqrt()
}

fn mean_square(x: &[f32]) -> f64 {
    x.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>() / x.len() as f64
}

/// log10 of the mean square per millisecond, smoothed over 11 ms, less its mean.
fn log_envelope(x: &[f32]) -> Vec<f64> {
    const TAPS: usize = 12;
    let energies: Vec<f64> = x.chunks_exact(MS).map(mean_square).collect();
    // A symmetric Hann window, whose sum is 5.5.
    let hann = |i: usize| 0.5 - 0.5 * (std::f64::consts::TAU * i as f64 / (TAPS - 1) as f64).cos();
    let smooth = |at: usize| -> f64 {
        let centre = at + (TAPS - 1) / 2;
        (0..TAPS)
            .filter_map(|i| energies.get(centre.checked_sub(i)?).map(|e| e * hann(i) / 5.5))
            .sum()
    };
    let mut envelope: Vec<f64> =
        (0..energies.len()).map(|at| (smooth(at) + 1e-6).log10()).collect();
    let mean = envelope.iter().sum::<f64>() / envelope.len() as f64;
    envelope.iter_mut().for_each(|e| *e -= mean);
    envelope
}

/// The lag of `b` within +-`farthest` at which sum_i a[i] b[i + lag] / (||a|| ||b||) is greatest,
/// and that value. Both are of one length, at least 1.
fn best_lag(a: &[f64], b: &[f64], farthest: usize) -> (isize, f64) {
    let farthest = farthest.min(a.len() - 1);
    let correlations = correlate(a, b, farthest);
    let norm = |x: &[f64]| x.iter().map(|x| x * x).sum::<f64>().sqrt();
    let best = (0..correlations.len())
        .fold(0, |best, i| if correlations[i] > correlations[best] { i } else { best });
    (best as isize - farthest as isize, correlations[best] / (norm(a) * norm(b) + 1e-12))
}

/// sum_i a[i] b[i + lag] for lag from -`farthest` to `farthest`, by Fourier transform.
fn correlate(a: &[f64], b: &[f64], farthest: usize) -> Vec<f64> {
    // Room enough that no lag that is asked for wraps around.
    let size = (a.len() + farthest).next_power_of_two();
    let mut planner = RealFftPlanner::<f64>::new();
    let (forward, inverse) = (planner.plan_fft_forward(size), planner.plan_fft_inverse(size));
    let transform = |x: &[f64]| {
        let mut padded = forward.make_input_vec();
        padded[..x.len()].copy_from_slice(x);
        let mut spectrum = forward.make_output_vec();
        let done = forward.process(&mut padded, &mut spectrum);
        debug_assert!(done.is_ok(), "the buffers come from the plan");
        spectrum
    };
    let mut product: Vec<Complex64> =
        transform(a).iter().zip(&transform(b)).map(|(a, b)| a.conj() * b).collect();
    let mut correlation = inverse.make_output_vec();
    // Real input: what is left of an imaginary part at the two ends is rounding.
    product[0].im = 0.0;
    product[size / 2].im = 0.0;
    let done = inverse.process(&mut product, &mut correlation);
    debug_assert!(done.is_ok(), "the buffers come from the plan");
    let at = |lag: isize| correlation[lag.rem_euclid(size as isize) as usize] / size as f64;
    (-(farthest as isize)..=farthest as isize).map(at).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::noise::Noise;

    fn noise(seed: u64, length: usize) -> Vec<f32> {
        let mut out = vec![0.0; length];
        Noise::new(seed).fill(0, 0, &mut out);
        out
    }

    #[test]
    fn correlation_is_the_sum() {
        let [a, b] =
            [1, 2].map(|seed| -> Vec<f64> { noise(seed, 37).into_iter().map(f64::from).collect() });
        for (i, fast) in correlate(&a, &b, 10).iter().enumerate() {
            let lag = i as isize - 10;
            let slow: f64 = (0..37isize)
                .filter(|i| (0..37).contains(&(i + lag)))
                .map(|i| a[i as usize] * b[(i + lag) as usize])
                .sum();
            assert!((fast - slow).abs() < 1e-10, "lag {lag}: {fast} {slow}");
        }
    }

    #[test]
    fn lag_is_found_and_removed() {
        let reference = noise(1, 24_000);
        for lag in [-1200, -7, 0, 1, 480, 1200isize] {
            let generated: Vec<f32> = (0..24_000isize)
                .map(|i| reference.get((i - lag) as usize).map_or(0.0, |x| -0.2 * x))
                .collect();
            let inverted: Vec<f32> = generated.iter().map(|x| -x).collect();
            assert_eq!(find_lag(&reference, &inverted), lag);
            let (a, b) = shifted(&reference, &inverted, lag);
            assert!(a.iter().zip(b).all(|(a, b)| (0.2 * a - b).abs() < 1e-6 || *b == 0.0));
        }
    }

    #[test]
    fn phases_may_differ_where_the_envelopes_agree() {
        // Bursts of unrelated noise, 10 ms late.
        let burst = |i: isize| if (i / 1000) % 3 == 0 { 1.0 } else { 0.01 };
        let [a, b] = [(1, 0), (2, 240)].map(|(seed, late)| -> Vec<f32> {
            noise(seed, 48_000).iter().zip(0..).map(|(x, i)| x * burst(i + 3000 - late)).collect()
        });
        assert_eq!(find_lag(&a, &b), 240);
    }

    #[test]
    fn turned_phases_are_no_lag() {
        // Syllables of 200 Hz in a room, and the same a quarter of a turn later, which is 30 samples.
        let room = noise(1, 48_000);
        let voice = |turned: f64| -> Vec<f32> {
            let sound = |i: u32| {
                let t = f64::from(i) / 24e3;
                let loud = (std::f64::consts::PI * (4.0 * t).fract()).sin().powi(2);
                (loud * (std::f64::consts::TAU * (200.0 * t - turned)).sin()) as f32
            };
            (0..48_000).map(sound).zip(&room).map(|(x, room)| x + 3e-3 * room).collect()
        };
        let (a, b) = (voice(0.0), voice(0.25));
        let samples = |x: &[f32]| x.iter().map(|&x| f64::from(x)).collect::<Vec<_>>();
        assert_eq!(best_lag(&samples(&a), &samples(&b), 60).0, 30);
        assert_eq!(find_lag(&a, &b), 0);
        // Late as well as turned.
        let late = [&[0.0; 480], &b[..47_520]].concat();
        assert!((find_lag(&a, &late) - 480).abs() <= 60, "{}", find_lag(&a, &late));
    }

    #[test]
    fn a_recording_whose_phases_are_turned_has_no_lag() {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../tests/eval/kerstin-0268.flac");
        let sound = crate::audio::read_at(&path, SAMPLE_RATE).unwrap().audio.samples.clone();
        for degrees in [30.0, 60.0, 90.0f64] {
            let mut planner = RealFftPlanner::<f64>::new();
            let size = (2 * sound.len()).next_power_of_two();
            let (forward, inverse) =
                (planner.plan_fft_forward(size), planner.plan_fft_inverse(size));
            let mut padded = forward.make_input_vec();
            padded.iter_mut().zip(&sound).for_each(|(to, from)| *to = f64::from(*from));
            let mut spectrum = forward.make_output_vec();
            forward.process(&mut padded, &mut spectrum).unwrap();
            let by = Complex64::from_polar(1.0, degrees.to_radians());
            spectrum[1..size / 2].iter_mut().for_each(|v| *v *= by);
            let mut turned = inverse.make_output_vec();
            inverse.process(&mut spectrum, &mut turned).unwrap();
            let turned: Vec<f32> =
                turned[..sound.len()].iter().map(|x| (x / size as f64) as f32).collect();
            assert_eq!(find_lag(&sound, &turned), 0, "{degrees}");
        }
    }

    #[test]
    fn silence_and_crumbs_have_no_lag() {
        assert_eq!(find_lag(&noise(1, 24_000), &[0.0; 24_000]), 0);
        assert_eq!(find_lag(&noise(1, 24_000), &[]), 0);
        assert_eq!(active_rms(&[]), 0.0);
    }

    #[test]
    fn pauses_do_not_count_for_the_level() {
        let mut x = vec![0.5; 48_000];
        assert!((active_rms(&x) - 0.5).abs() < 1e-6);
        x[..24_000].fill(0.0);
        assert!((active_rms(&x) - 0.5).abs() < 1e-6);
    }
}
