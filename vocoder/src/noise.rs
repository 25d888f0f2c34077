//! Gaussian noise indexed by position.
//!
//! A generator that is a function of (seed, step, position) and not of what was drawn before: a
//! rendering in pieces draws, for each sample, the noise that a rendering in one go draws.
//!
//! ChaCha with 8 rounds gives 32 random bits for any word of any of 2^64 streams. The stream is the
//! step, the word is the sample position; two neighbouring words become two neighbouring normal
//! values by the transform of Box & Muller (1958). Logarithm, sine and cosine are polynomials of
//! IEEE additions, multiplications and one division, so the values are the same on every machine,
//! and the loop is vectorised by the compiler.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// The stream of the noise that the reverse chain starts from.
pub const START: u64 = 0;

/// The stream of the noise that step `step` (0 is the noisiest) adds on its way to the next level.
pub fn after_step(step: usize) -> u64 {
    step as u64 + 1
}

/// Sets these streams apart from others that the same seed may feed (bytes 8 to 31 of the key).
const KEY_TAG: &[u8; 24] = b"vocoder gaussian noise 1";

/// Words drawn at a time: an even number, small enough to stay in the first-level cache.
const BLOCK: usize = 512;

/// Unit normal noise for one seed.
///
/// ```
/// use vocoder::noise::{self, Noise};
///
/// let noise = Noise::new(7);
/// let (mut whole, mut piece) = ([0.0; 10], [0.0; 4]);
/// noise.fill(noise::START, 0, &mut whole);
/// noise.fill(noise::START, 3, &mut piece);
/// assert_eq!(whole[3..7], piece);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Noise {
    seed: u64,
}

impl Noise {
    /// The noise of `seed`.
    pub fn new(seed: u64) -> Self {
        Self { seed }
    }

    /// Writes the values of `stream` (see [`START`], [`after_step`]) at sample positions
    /// `first_position`, `first_position + 1`, … into `out`. Values lie within +-6.8.
    pub fn fill(&self, stream: u64, first_position: u64, out: &mut [f32]) {
        let mut words = self.words(stream, first_position & !1);
        let mut block = [0.0; BLOCK];
        // A piece that begins inside a pair takes the second half of that pair.
        let mut skip = (first_position % 2) as usize;
        let mut rest = out;
        while !rest.is_empty() {
            let wanted = (rest.len() + skip).min(BLOCK);
            let drawn = &mut block[..wanted.next_multiple_of(2)];
            fill_pairs(&mut words, drawn);
            let (head, tail) = rest.split_at_mut(wanted - skip);
            head.copy_from_slice(&drawn[skip..wanted]);
            (rest, skip) = (tail, 0);
        }
    }

    /// Writes the first values of `stream` into `out`, from 0 to below 1 and all as likely, where
    /// [`Noise::fill`] has normal ones.
    pub(crate) fn fill_evenly(&self, stream: u64, out: &mut [f32]) {
        let mut words = self.words(stream, 0);
        // 24 bits are what a value holds.
        out.iter_mut().for_each(|value| *value = (words.next_u32() >> 8) as f32 / (1 << 24) as f32);
    }

    fn words(&self, stream: u64, position: u64) -> ChaCha8Rng {
        let mut key = [0; 32];
        key[..8].copy_from_slice(&self.seed.to_le_bytes());
        key[8..].copy_from_slice(KEY_TAG);
        let mut words = ChaCha8Rng::from_seed(key);
        words.set_stream(stream);
        words.set_word_pos(u128::from(position));
        words
    }
}

/// Fills `out` (even length, at most [`BLOCK`]) with pairs of normal values.
fn fill_pairs(words: &mut ChaCha8Rng, out: &mut [f32]) {
    let mut bytes = [0; 4 * BLOCK];
    let bytes = &mut bytes[..4 * out.len()];
    words.fill_bytes(bytes);
    for (pair, bytes) in out.chunks_exact_mut(2).zip(bytes.chunks_exact(8)) {
        let radius_word = u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
        let angle_word = u32::from_le_bytes([bytes[4], bytes[5], bytes[6], bytes[7]]);
        let (first, second) = box_muller(radius_word, angle_word);
        pair[0] = first;
        pair[1] = second;
    }
}

/// sqrt(-2 ln u) (cos, sin)(2 pi v) for u = (radius_word + 1/2) / 2^32 and v = angle_word / 2^32.
#[inline(always)]
fn box_muller(radius_word: u32, angle_word: u32) -> (f32, f32) {
    const UNIT: f32 = 1.0 / 4_294_967_296.0; // 2^-32
    let u = (radius_word as f32 + 0.5) * UNIT;
    let radius = (-2.0 * ln(u)).sqrt();
    let (sin, cos) = sin_cos_turn(angle_word);
    (radius * cos, radius * sin)
}

/// ln(u) for normal 0 < u <= 1, within 1 unit in the last place: the reduction and coefficients of
/// fdlibm's e_logf.c (Sun Microsystems), without its special cases.
#[inline(always)]
fn ln(u: f32) -> f32 {
    const SQRT_HALF_BITS: i32 = 0x3f35_04f3;
    const LN2_HIGH: f32 = 6.931_381e-1; // the bits of ln 2 that k multiplies exactly
    const LN2_LOW: f32 = 9.058_001e-6;
    let bits = u.to_bits() as i32;
    let exponent = (bits - SQRT_HALF_BITS) >> 23;
    let f = f32::from_bits((bits - (exponent << 23)) as u32) - 1.0;
    let k = exponent as f32;
    let s = f / (2.0 + f);
    let z = s * s;
    let series = z * (0.666_666_6 + z * (0.400_009_72 + z * (0.284_987_87 + z * 0.242_790_79)));
    let half_square = 0.5 * f * f;
    k * LN2_HIGH - ((half_square - (s * (half_square + series) + k * LN2_LOW)) - f)
}

/// (sin, cos) of `turn` / 2^32 of a full turn: the two top bits, rounded, choose the quadrant, and
/// Taylor series serve the rest, within pi/4, where they are within 1e-7.
#[inline(always)]
fn sin_cos_turn(turn: u32) -> (f32, f32) {
    const RADIANS: f32 = std::f32::consts::TAU / 4_294_967_296.0;
    let quadrant = turn.wrapping_add(1 << 29) >> 30;
    let x = turn.wrapping_sub(quadrant << 30) as i32 as f32 * RADIANS;
    let z = x * x;
    let sin =
        x * (1.0 + z * (-1.0 / 6.0 + z * (1.0 / 120.0 + z * (-1.0 / 5040.0 + z / 362_880.0))));
    let cos = 1.0 + z * (-0.5 + z * (1.0 / 24.0 + z * (-1.0 / 720.0 + z / 40_320.0)));
    let (s, c) = if quadrant & 1 == 0 { (sin, cos) } else { (cos, sin) };
    let s = if quadrant & 2 == 0 { s } else { -s };
    let c = if (quadrant + 1) & 2 == 0 { c } else { -c };
    (s, c)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn draw(seed: u64, stream: u64, first: u64, length: usize) -> Vec<f32> {
        let mut out = vec![0.0; length];
        Noise::new(seed).fill(stream, first, &mut out);
        out
    }

    proptest! {
        #[test]
        fn pieces_equal_the_whole(
            seed: u64, stream: u64, first in 0..u64::MAX - 10_000, cuts in prop::collection::vec(0usize..1200, 1..8)
        ) {
            let whole = draw(seed, stream, first, cuts.iter().sum());
            let mut at = 0;
            for length in cuts {
                let piece = draw(seed, stream, first + at as u64, length);
                prop_assert_eq!(&whole[at..at + length], &piece[..]);
                at += length;
            }
        }
    }

    #[test]
    fn even_values_are_even() {
        let mut values = vec![f32::NAN; 100_000];
        Noise::new(3).fill_evenly(1, &mut values);
        assert!(values.iter().all(|value| (0.0..1.0).contains(value)));
        for tenth in 0..10 {
            let count = values.iter().filter(|value| (**value * 10.0) as usize == tenth).count();
            // Five standard deviations.
            assert!(count.abs_diff(10_000) < 475, "{tenth}: {count}");
        }
    }

    /// ChaCha8 and Box-Muller in Python: `tests/reference/noise/make_reference.py`. A seed that
    /// someone wrote down keeps its meaning.
    #[test]
    fn values_do_not_change() {
        let start = [-0.172_706_88, 0.391_989_64, 1.375_294_4, -0.086_413_77];
        let later = [0.008_117_202, -0.334_081_31, 0.603_800_4];
        let drawn = draw(7, START, 0, 4).into_iter().chain(draw(7, after_step(5), 1_000_001, 3));
        for (got, expected) in drawn.zip(start.into_iter().chain(later)) {
            assert!((got - expected).abs() < 1e-6, "{got}, expected {expected}");
        }
    }

    #[test]
    fn transform_follows_libm() {
        // Steps through the words by a stride that is coprime to 2^32, and through the corners.
        let strided =
            (0..200_000u32).map(|i| (i.wrapping_mul(2_654_435_761), i.wrapping_mul(40_503)));
        let corners = [0, 1, 1 << 29, 1 << 30, 1 << 31, 3 << 30, u32::MAX];
        let corners = corners.iter().flat_map(|&a| corners.iter().map(move |&b| (a, b)));
        for (radius_word, angle_word) in strided.chain(corners) {
            let u = (f64::from(radius_word) + 0.5) / 4_294_967_296.0;
            let angle = std::f64::consts::TAU * f64::from(angle_word) / 4_294_967_296.0;
            let radius = (-2.0 * u.ln()).sqrt();
            let (first, second) = box_muller(radius_word, angle_word);
            // The f32 of u near 1 is coarse: a radius of 1e-4 may be off by 3e-4.
            let tolerance = if radius > 0.01 { 4e-6 } else { 4e-4 };
            assert!((f64::from(first) - radius * angle.cos()).abs() < tolerance);
            assert!((f64::from(second) - radius * angle.sin()).abs() < tolerance);
        }
    }

    #[test]
    fn moments_and_distribution_are_normal() {
        const N: usize = 1 << 20;
        let mut x: Vec<f64> = draw(1, START, 12_345, N).iter().map(|&x| f64::from(x)).collect();
        let moment = |p: i32| x.iter().map(|x| x.powi(p)).sum::<f64>() / N as f64;
        // Four standard errors of each moment: sqrt(var(x^p) / N), var = 1, 2, 15, 96.
        for (p, expected, variance) in
            [(1, 0.0, 1.0), (2, 1.0, 2.0), (3, 0.0, 15.0), (4, 3.0, 96.0)]
        {
            let limit = 4.0 * (variance / N as f64).sqrt();
            assert!((moment(p) - expected).abs() < limit, "moment {p}: {}", moment(p));
        }
        let neighbours = x.windows(2).map(|w| w[0] * w[1]).sum::<f64>() / N as f64;
        assert!(neighbours.abs() < 4.0 / (N as f64).sqrt(), "neighbours correlate: {neighbours}");

        // Kolmogorov-Smirnov at quantiles of the normal distribution; 1.95 / sqrt(N) is its 0.1 % point.
        x.sort_by(f64::total_cmp);
        for (z, cumulative) in [
            (-3.0, 0.001_349_90),
            (-2.0, 0.022_750_13),
            (-1.0, 0.158_655_25),
            (-0.5, 0.308_537_54),
            (0.0, 0.5),
            (0.5, 0.691_462_46),
            (1.0, 0.841_344_75),
            (2.0, 0.977_249_87),
            (3.0, 0.998_650_10),
        ] {
            let below = x.partition_point(|&x| x < z) as f64 / N as f64;
            assert!((below - cumulative).abs() < 1.95 / (N as f64).sqrt(), "at {z}: {below}");
        }
    }

    #[test]
    fn seeds_and_streams_are_unrelated() {
        let base = draw(1, START, 0, 4096);
        for other in
            [draw(2, START, 0, 4096), draw(1, after_step(0), 0, 4096), draw(1, START, 4096, 4096)]
        {
            let correlation = base.iter().zip(&other).map(|(a, b)| a * b).sum::<f32>() / 4096.0;
            assert!(correlation.abs() < 4.0 / 64.0, "{correlation}");
        }
    }
}
