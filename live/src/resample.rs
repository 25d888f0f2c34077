//! From the host's sample rate to the voice's and back, with little delay that is known to the sample.
//!
//! A windowed sinc, evaluated at the exact place of each output sample. Output sample m lies at
//! m from/to input samples: nothing is shifted, so the filter's reach is the only delay. The filter is
//! flat to 0.45 of the lower rate (10.8 kHz of 24 kHz), and what it lets through above half of that rate
//! is below -95 dB (Kaiser 1974).
//!
//! `vocoder::audio` resamples whole files by rubato's FFT, in blocks of 1024 and more: a latency that a player
//! can't afford. Its sinc resampler works in chunks of one size and tells its delay rounded to samples, so
//! that dry and wet would not meet exactly.

/// Half the filter, in samples of the lower rate: 2.5 ms at 24 kHz.
const HALF: f64 = 60.0;

/// Kaiser's beta for 97 dB: 0.1102 (A - 8.7).
const BETA: f64 = 9.73;

/// The middle of the transition, as a share of the lower rate; half its width is (97 - 7.95) /
/// (14.36 * 2 HALF) / 2 = 0.0258.
const CUTOFF: f64 = 0.5 - 0.0262;

/// Most phases that are tabulated one by one; rates with more of them use the nearest two, whose mean by
/// distance is right within -100 dB.
const MOST_PHASES: usize = 1024;

/// Resamples a stream of any length, in pieces of any size.
pub(crate) struct Resampler {
    /// `from` and `to` without common factors.
    from: u64,
    to: u64,
    /// `[phases + 1][taps]`; empty when the rates are equal.
    table: Vec<f32>,
    phases: usize,
    taps: usize,
    /// Newest input; `kept[0]` is input sample `first`.
    kept: Vec<f32>,
    first: i64,
    /// Next output sample.
    next: u64,
}

impl Resampler {
    pub fn new(from: u32, to: u32) -> Self {
        let divisor = gcd(from.into(), to.into());
        let (from, to) = (u64::from(from) / divisor, u64::from(to) / divisor);
        let (mut table, mut phases, mut taps) = (Vec::new(), 0, 0);
        if from != to {
            phases = (to as usize).min(MOST_PHASES);
            let half = Self::half(from, to);
            taps = 2 * half;
            let scale = (to as f64 / from as f64).min(1.0);
            for phase in 0..=phases {
                let shift = phase as f64 / phases as f64;
                let row = (0..taps).map(|tap| {
                    // In input samples, from the place of the output sample.
                    let distance = tap as f64 + 1.0 - half as f64 - shift;
                    scale * kernel(distance * scale)
                });
                table.extend(row.map(|v| v as f32));
            }
        }
        let mut new = Self { from, to, table, phases, taps, kept: Vec::new(), first: 0, next: 0 };
        new.reset();
        new
    }

    /// Input samples on either side of an output sample that it depends on.
    fn half(from: u64, to: u64) -> usize {
        (HALF * (from as f64 / to as f64).max(1.0)).ceil() as usize
    }

    /// Input samples after its place that an output sample waits for.
    pub fn look_ahead(&self) -> usize {
        self.taps / 2
    }

    /// Takes `samples` and appends what they complete to `out`.
    pub fn push(&mut self, samples: &[f32], out: &mut Vec<f32>) {
        if self.taps == 0 {
            out.extend_from_slice(samples);
            return;
        }
        self.kept.extend_from_slice(samples);
        let end = self.first + self.kept.len() as i64;
        let half = (self.taps / 2) as i64;
        loop {
            let place = self.next * self.from;
            let (whole, part) = ((place / self.to) as i64, place % self.to);
            if whole + half >= end {
                break;
            }
            let begin = (whole + 1 - half - self.first) as usize;
            out.push(self.value(&self.kept[begin..begin + self.taps], part));
            self.next += 1;
        }
        let needed = (self.next * self.from / self.to) as i64 + 1 - half;
        self.kept.drain(..(needed - self.first) as usize);
        self.first = needed;
    }

    /// The output sample `part / to` input samples after the middle of `window`.
    fn value(&self, window: &[f32], part: u64) -> f32 {
        let row = |phase: usize| &self.table[phase * self.taps..(phase + 1) * self.taps];
        if self.phases as u64 == self.to {
            return dot(window, row(part as usize));
        }
        let place = part as f64 / self.to as f64 * self.phases as f64;
        let (phase, rest) = (place as usize, place.fract() as f32);
        let (a, b) = (dot(window, row(phase)), dot(window, row(phase + 1)));
        a + (b - a) * rest
    }

    /// The next sample is the first of a stream, with silence before it.
    pub fn reset(&mut self) {
        let before = (self.taps / 2).saturating_sub(1);
        self.kept.clear();
        self.kept.resize(before, 0.0);
        self.first = -(before as i64);
        self.next = 0;
    }
}

/// The filter, `x` samples of the lower rate from its centre: gain 1 at frequency 0.
fn kernel(x: f64) -> f64 {
    let edge = 1.0 - (x / HALF).powi(2);
    if edge <= 0.0 {
        return 0.0;
    }
    let phase = std::f64::consts::TAU * CUTOFF * x;
    let sinc = if phase.abs() < 1e-9 { 1.0 } else { phase.sin() / phase };
    2.0 * CUTOFF * sinc * bessel_i0(BETA * edge.sqrt()) / bessel_i0(BETA)
}

/// The modified Bessel function of the first kind of order 0, by its power series.
fn bessel_i0(x: f64) -> f64 {
    let (mut term, mut sum) = (1.0, 1.0);
    for k in 1..60 {
        term *= (x / 2.0 / f64::from(k)).powi(2);
        sum += term;
        if term < f64::EPSILON / 16.0 * sum {
            break;
        }
    }
    sum
}

fn dot(a: &[f32], b: &[f32]) -> f32 {
    // Eight sums, so that the compiler may use vectors.
    let mut sums = [0f32; 8];
    let (a_chunks, b_chunks) = (a.chunks_exact(8), b.chunks_exact(8));
    let rest: f32 = a_chunks.remainder().iter().zip(b_chunks.remainder()).map(|(a, b)| a * b).sum();
    for (a, b) in a_chunks.zip(b_chunks) {
        for lane in 0..8 {
            sums[lane] += a[lane] * b[lane];
        }
    }
    rest + sums.iter().sum::<f32>()
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resample(samples: &[f32], from: u32, to: u32, piece: usize) -> Vec<f32> {
        let mut resampler = Resampler::new(from, to);
        let mut out = Vec::new();
        samples.chunks(piece).for_each(|piece| resampler.push(piece, &mut out));
        out
    }

    fn sine(hz: f64, rate: u32, len: usize) -> Vec<f32> {
        let step = std::f64::consts::TAU * hz / f64::from(rate);
        (0..len).map(|i| (step * i as f64).sin() as f32).collect()
    }

    /// The largest difference from `expected` away from both ends, in dB of full scale.
    fn error_db(got: &[f32], expected: &[f32]) -> f64 {
        let inner = 500..got.len() - 500;
        let worst = got[inner.clone()]
            .iter()
            .zip(&expected[inner])
            .fold(0f32, |worst, (a, b)| worst.max((a - b).abs()));
        20.0 * f64::from(worst.max(1e-9)).log10()
    }

    const RATES: [(u32, u32); 8] = [
        (44_100, 24_000),
        (48_000, 24_000),
        (88_200, 24_000),
        (96_000, 24_000),
        (192_000, 24_000),
        (24_000, 44_100),
        (24_000, 48_000),
        (44_101, 24_000),
    ];

    #[test]
    fn a_sine_in_the_pass_band_keeps_level_and_place() {
        for (from, to) in RATES {
            for hz in [100.0, 1234.5, 9000.0, 10_700.0] {
                let got = resample(&sine(hz, from, from as usize / 2), from, to, 512);
                let error = error_db(&got, &sine(hz, to, got.len()));
                assert!(error < -70.0, "{from} -> {to}, {hz} Hz: {error:.1} dB");
            }
        }
    }

    #[test]
    fn aliases_and_images_are_below_90_db() {
        for (from, to) in RATES {
            let low = f64::from(from.min(to));
            if from > to {
                // Above half the lower rate nothing may come through.
                for share in [0.501, 0.55, 0.7, 0.9] {
                    let hz = share * low;
                    let got = resample(&sine(hz, from, from as usize / 2), from, to, 512);
                    let error = error_db(&got, &vec![0.0; got.len()]);
                    assert!(error < -90.0, "{from} -> {to}, {hz} Hz: {error:.1} dB");
                }
            } else {
                // Whatever is not the sine itself is an image.
                let got = resample(&sine(10_000.0, from, from as usize / 2), from, to, 512);
                let error = error_db(&got, &sine(10_000.0, to, got.len()));
                assert!(error < -70.0, "{from} -> {to}: {error:.1} dB");
            }
        }
    }

    #[test]
    fn an_output_waits_for_its_look_ahead_and_no_longer() {
        for (from, to) in RATES {
            let mut resampler = Resampler::new(from, to);
            let ahead = resampler.look_ahead() as u64;
            let mut out = Vec::new();
            for taken in 1..3000u64 {
                resampler.push(&[0.5], &mut out);
                let (from, to) = (u64::from(from), u64::from(to));
                // Sample m is there once input sample floor(m from / to) + ahead is.
                let last = out.len() as u64;
                assert!(last == 0 || (last - 1) * from / to + ahead < taken);
                assert!(last * from / to + ahead >= taken, "{from} -> {to} after {taken}");
            }
        }
    }

    #[test]
    fn pieces_equal_the_whole_and_a_reset_is_as_new() {
        let clip = sine(440.0, 44_100, 9000);
        let whole = resample(&clip, 44_100, 24_000, clip.len());
        assert_eq!(whole, resample(&clip, 44_100, 24_000, 1));
        let mut resampler = Resampler::new(44_100, 24_000);
        resampler.push(&clip[..777], &mut Vec::new());
        resampler.reset();
        let mut again = Vec::new();
        resampler.push(&clip, &mut again);
        assert_eq!(whole, again);
        assert_eq!(resample(&clip, 24_000, 24_000, 7), clip);
    }
}
