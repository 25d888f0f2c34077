//! Every form of every kernel against its plain twin.
#![allow(clippy::unwrap_used)]

use super::finish::Through;
use super::rows::{Activation, leaky, slope};
use super::*;
use crate::noise::Noise;
use proptest::prelude::*;

/// Unit noise.
pub(crate) fn random(seed: u64, len: usize) -> Vec<f32> {
    let mut out = vec![0f32; len];
    Noise::new(seed).fill(0, 0, &mut out);
    out
}

/// `terms`: products of unit normal values in each sum. Their deviation is the root of that; rounding
/// in Winograd's form is about ten times that of the direct one.
fn close(what: &str, a: &[f32], b: &[f32], terms: usize) {
    assert_eq!(a.len(), b.len());
    let most = 2e-5 * (10.0 + terms as f32).sqrt();
    for (i, (x, y)) in a.iter().zip(b).enumerate() {
        assert!((x - y).abs() <= most, "{what}, value {i}: {x} against {y}");
    }
}

fn shapes() -> impl Strategy<Value = ConvShape> {
    (1usize..4, 1usize..300, 1usize..80, 1usize..100, 1usize..6, 1usize..9, 0f64..=1.0).prop_map(
        |(batch, rows, ci, co, taps, dilation, lean)| {
            let left = ((dilation * (taps - 1)) as f64 * lean) as usize;
            ConvShape { batch, rows, ci, co, taps, dilation, left }
        },
    )
}

fn forms(shape: &ConvShape) -> impl Iterator<Item = bool> {
    [false, true].into_iter().filter(move |tiled| !tiled || shape.taps == 3)
}

/// `source` as it is seen: `[batch][rows][channels]`.
fn seen(source: &Source<'_>, shape: &ConvShape) -> Vec<f32> {
    let ci = shape.ci;
    let value = |i: usize| {
        let (row, c) = (i / ci, i % ci);
        let x = source.x[row * source.keep * ci + c];
        match source.activation {
            Activation::Plain => x,
            Activation::Leaky => leaky(x),
            Activation::LeakyPlus(offset) => leaky(x) + offset[row / shape.rows * ci + c],
            Activation::Film(film) => {
                leaky(film[row * 2 * ci + ci + c] * x + film[row * 2 * ci + c])
            }
        }
    };
    (0..shape.batch * shape.rows * ci).map(value).collect()
}

/// The gradient of the input, back through an activation.
fn pulled(isa: Isa, packed: &Packed, s: &ConvShape, dy: &[f32], through: Through<'_>) -> Vec<f32> {
    let mut dx = vec![f32::NAN; s.batch * s.rows * s.ci];
    let finish = Finish::through(through);
    conv::run(isa, packed, &s.transposed(), Source::plain(dy), finish, &mut dx);
    dx
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn convolutions_equal_their_plain_twin(
        s in shapes(), seed in 0u64..1000, keep in 1usize..4, kind in 0usize..4,
    ) {
        let total = s.batch * s.rows;
        let x = random(seed, total * keep * s.ci);
        let (film, offset) = (random(seed + 4, total * 2 * s.ci), random(seed + 5, s.batch * s.ci));
        let activation = match kind {
            0 => Activation::Plain,
            1 => Activation::Leaky,
            2 => Activation::LeakyPlus(&offset),
            _ => Activation::Film(&film),
        };
        let source = Source { x: &x, keep, activation };
        let w = random(seed + 1, s.taps * s.ci * s.co);
        let (bias, add) = (random(seed + 2, s.co), random(seed + 3, total * s.co));
        let mut expected = plain::forward(&s, &seen(&source, &s), &w, Some(&bias));
        expected.iter_mut().zip(&add).for_each(|(y, a)| *y += a);
        let home = Buffers::default();
        for (isa, tiled) in Isa::all().into_iter().flat_map(|i| forms(&s).map(move |t| (i, t))) {
            let packed = Packed::new(isa, &home, &s, &w, false, tiled);
            let mut y = vec![f32::NAN; total * s.co];
            let finish = Finish::bias(&bias).plus(&add, 1);
            conv::run(isa, &packed, &s, source, finish, &mut y);
            close(&format!("{isa}, tiled {tiled}"), &y, &expected, s.taps * s.ci);
        }
    }

    #[test]
    fn input_gradients_equal_their_plain_twin(s in shapes(), seed in 0u64..1000, keep in 1usize..4) {
        let total = s.batch * s.rows;
        let (dy, w) = (random(seed, total * s.co), random(seed + 1, s.taps * s.ci * s.co));
        let flipped = plain::flip(&w, s.taps, s.ci, s.co);
        let direct = plain::forward(&s.transposed(), &dy, &flipped, None);
        let home = Buffers::default();
        let (x, film) = (random(seed + 2, total * keep * s.ci), random(seed + 3, total * 2 * s.ci));
        for tiled in forms(&s) {
            let isa = Isa::detect().unwrap();
            let packed = Packed::new(isa, &home, &s.transposed(), &w, true, tiled);
            let run = |through: Through<'_>| pulled(isa, &packed, &s, &dy, through);
            let terms = s.taps * s.co;
            close("plain", &run(Through::Nothing), &direct, terms);

            let kept = |i: usize| x[i / s.ci * keep * s.ci + i % s.ci];
            let expected: Vec<f32> =
                direct.iter().enumerate().map(|(i, d)| d * slope(kept(i))).collect();
            close("leaky", &run(Through::Leaky(&x, keep)), &expected, terms);

            // Twice: written, then added to.
            let mut gradient = vec![f32::NAN; total * 2 * s.ci];
            for (count, first) in [(1.0, true), (2.0, false)] {
                let x = &x[..total * s.ci];
                let dx = run(Through::Film { x, film: &film, gradient: &mut gradient, first });
                for (i, d) in direct.iter().enumerate() {
                    let at = i / s.ci * 2 * s.ci + i % s.ci;
                    let (shift, scale) = (film[at], film[at + s.ci]);
                    let d = d * slope(scale * x[i] + shift);
                    for (found, expected) in [
                        (dx[i], d * scale),
                        (gradient[at], count * d),
                        (gradient[at + s.ci], count * d * x[i]),
                    ] {
                        let most = 1e-4 * (10.0 + terms as f32).sqrt();
                        prop_assert!((found - expected).abs() < most, "{found} {expected}");
                    }
                }
            }
        }
    }

    #[test]
    fn weight_gradients_equal_their_plain_twin(s in shapes(), seed in 0u64..1000, keep in 1usize..3) {
        let total = s.batch * s.rows;
        let x = random(seed, total * keep * s.ci);
        let source = Source { x: &x, keep, activation: Activation::Leaky };
        let dy = random(seed + 1, total * s.co);
        let (dw, db) = plain::weight_gradient(&s, &seen(&source, &s), &dy);
        let home = Buffers::default();
        for (isa, tiled) in Isa::all().into_iter().flat_map(|i| forms(&s).map(move |t| (i, t))) {
            let (mut w, mut b) = (vec![f32::NAN; dw.len()], vec![f32::NAN; db.len()]);
            gradient::in_form(isa, &home, &s, source, &dy, (&mut w, &mut b), tiled);
            let what = format!("{isa}, tiled {tiled}");
            close(&what, &w, &dw, total);
            close(&what, &b, &db, total);
        }
    }
}

#[test]
fn threads_change_no_bit() {
    let shape = ConvShape { batch: 3, rows: 1300, ci: 48, co: 64, taps: 3, dilation: 4, left: 4 };
    let isa = Isa::detect().unwrap();
    let (x, w) = (random(1, 3 * 1300 * 48), random(2, 3 * 48 * 64));
    let dy = random(3, 3 * 1300 * 64);
    let run = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let y = forward(isa, &shape, &x, &w, &dy[..64]);
            (y, input_gradient(isa, &shape, &w, &dy), weight_gradient(isa, &shape, &x, &dy))
        })
    };
    assert!(run(1) == run(3));
}

#[test]
fn nothing_in_nothing_out() {
    let isa = Isa::detect().unwrap();
    for (batch, rows) in [(0, 5), (3, 0)] {
        let shape = ConvShape { batch, rows, ci: 2, co: 3, taps: 3, dilation: 1, left: 1 };
        assert!(forward(isa, &shape, &[], &[1.0; 18], &[1.0; 3]).is_empty());
        assert_eq!(weight_gradient(isa, &shape, &[], &[]), (vec![0.0; 18], vec![0.0; 3]));
    }
}
