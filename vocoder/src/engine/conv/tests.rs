//! Forms against the plain twin, and pieces against the whole.
#![allow(clippy::unwrap_used)]
use super::*;
use crate::kernel::tests::random;
use crate::kernel::{ConvShape, plain};
use half::bf16;
use proptest::prelude::*;

/// A convolution that has but one form, whatever is fastest.
fn in_form<T: Scratched>(
    isa: Isa,
    shape: (usize, usize, usize),
    weight: &[f32],
    bias: &[f32],
    place: (usize, usize),
    tiled: bool,
) -> Conv<T> {
    let form = Form::pack(isa, shape, weight, tiled);
    Conv { form, few: None, ..Conv::new(isa, shape, weight, bias, place, Arrival::MANY) }
}

/// A convolution over a whole signal, in two calls that meet at row `cut`.
fn whole<T: Scratched>(isa: Isa, conv: &Conv<T>, x: &[f32], cut: usize) -> Vec<f32> {
    let rows = x.len() / conv.ci;
    let input = Input { data: x, first: 0, channels: conv.ci, keep: 1, repeat: 1, leaky: false };
    let mut out = vec![f32::NAN; rows * conv.co];
    let (left, right) = out.split_at_mut(cut * conv.co);
    conv.run(isa, input, 0, Epilogue::default(), &mut [], left);
    conv.run(isa, input, cut, Epilogue::default(), &mut [], right);
    out
}

fn worst(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, |m, d| if d > m { d } else { m })
}

fn shapes() -> impl Strategy<Value = ConvShape> {
    (1usize..200, 1usize..20, 1usize..100, 1usize..6, 1usize..9, 0f64..=1.0).prop_map(
        |(rows, half_ci, co, taps, dilation, lean)| {
            let left = ((dilation * (taps - 1)) as f64 * lean) as usize;
            ConvShape { batch: 1, rows, ci: 2 * half_ci, co, taps, dilation, left }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn every_form_equals_the_plain_twin(s in shapes(), seed in 0u64..1000, cut in 0f64..1.0) {
        let x = random(seed, s.rows * s.ci);
        let w = random(seed + 1, s.taps * s.ci * s.co);
        let bias = random(seed + 2, s.co);
        let expected = plain::forward(&s, &x, &w, Some(&bias));
        let round = |v: &[f32]| v.iter().map(|v| bf16::round(*v).to_f32()).collect::<Vec<f32>>();
        let rounded = plain::forward(&s, &round(&x), &round(&w), Some(&bias));
        let cut = (cut * s.rows as f64) as usize;
        let scale = ((s.taps * s.ci) as f32).sqrt();
        for isa in Isa::all() {
            for tiled in [false, s.taps == 3] {
                let (shape, place) = ((s.taps, s.ci, s.co), (s.dilation, s.left));
                let conv = in_form::<f32>(isa, shape, &w, &bias, place, tiled);
                let error = worst(&whole(isa, &conv, &x, cut), &expected);
                prop_assert!(error < 1e-5 * scale, "{isa} f32 tiled {tiled}: {error}");
                // The direct form is exact in the rounded factors; in tiles sums of inputs and of
                // weights are rounded, each by 2^-9.
                let conv = in_form::<bf16>(isa, shape, &w, &bias, place, tiled);
                let (twin, most) = if tiled { (&expected, 0.25) } else { (&rounded, 1e-5) };
                let error = worst(&whole(isa, &conv, &x, cut), twin);
                prop_assert!(error < most * scale, "{isa} bf16 tiled {tiled}: {error}");
                // Sums of rounded inputs are exact in tiles; their weights are not.
                let conv = in_form::<i16>(isa, shape, &w, &bias, place, tiled);
                let most = if tiled { 0.02 } else { 0.004 };
                let error = worst(&whole(isa, &conv, &x, cut), &expected);
                prop_assert!(error < most * scale, "{isa} int16 tiled {tiled}: {error}");
                let conv = in_form::<i8>(isa, shape, &w, &bias, place, tiled);
                let most = if tiled { 0.3 } else { 0.1 };
                let error = worst(&whole(isa, &conv, &x, cut), &expected);
                prop_assert!(error < most * scale, "{isa} int8 tiled {tiled}: {error}");
            }
        }
    }
}

/// A convolution of which each call computes the rows up to the next of `ends`.
fn in_calls<T: Scratched>(isa: Isa, conv: &Conv<T>, x: &[f32], ends: &[usize]) -> Vec<f32> {
    let rows = x.len() / conv.ci;
    let mut out = vec![f32::NAN; rows * conv.co];
    let mut from = 0;
    for &end in ends.iter().chain([&rows]) {
        // What lies too far ahead is not there yet.
        let seen = if end < rows { end + conv.ahead() } else { rows };
        let data = &x[..seen.min(rows) * conv.ci];
        let input = Input { data, first: 0, channels: conv.ci, keep: 1, repeat: 1, leaky: true };
        let to = &mut out[from * conv.co..end * conv.co];
        conv.run(isa, input, from, Epilogue::default(), &mut [], to);
        from = end;
    }
    out
}

/// The same bits in one call, in calls of whole frames or sets of tiles, and on any number of threads.
fn the_same_bits<T: Scratched>(s: &ConvShape, tiled: bool, seed: u64, ends: &[usize]) {
    let x = random(seed, s.rows * s.ci);
    let w = random(seed + 1, s.taps * s.ci * s.co);
    let isa = Isa::detect().unwrap();
    for frame in [1, 5, 25, 75] {
        let arrival = Arrival { frame, alone: true };
        let (shape, place) = ((s.taps, s.ci, s.co), (s.dilation, s.left));
        let conv = Conv {
            form: Form::pack(isa, shape, &w, tiled),
            ..Conv::<T>::new(isa, shape, &w, &vec![0.0; s.co], place, arrival)
        };
        let whole = |end: &usize| [end / frame * frame, conv.whole(*end)];
        let mut ends: Vec<usize> = ends.iter().flat_map(whole).collect();
        ends.sort_unstable();
        let expected = in_calls(isa, &conv, &x, &[]);
        assert!(expected == in_calls(isa, &conv, &x, &ends), "{frame} {ends:?}");
        for threads in [2, 5] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let found = pool.install(|| in_calls(isa, &conv, &x, &ends));
            assert!(expected == found, "{threads} threads, {frame} {ends:?}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn frames_alone_have_the_same_bits_in_pieces(
        s in shapes(),
        seed in 0u64..1000,
        ends in proptest::collection::vec(0f64..1.0, 0..4),
    ) {
        let ends: Vec<usize> = ends.iter().map(|end| (end * s.rows as f64) as usize).collect();
        for tiled in [false, s.taps == 3] {
            the_same_bits::<f32>(&s, tiled, seed, &ends);
            the_same_bits::<bf16>(&s, tiled, seed, &ends);
            the_same_bits::<i16>(&s, tiled, seed, &ends);
            the_same_bits::<i8>(&s, tiled, seed, &ends);
        }
    }
}

#[test]
fn few_rows_are_computed_directly_and_many_in_tiles() {
    let weight = random(1, 3 * 128 * 128);
    let isa = Isa::detect().unwrap();
    let conv = |frame, dilation| {
        let place = (dilation, 2 * dilation);
        let arrival = Arrival { frame, alone: false };
        Conv::<f32>::new(isa, (3, 128, 128), &weight, &[0.0; 128], place, arrival)
    };
    let tiled = |frame, dilation, rows| conv(frame, dilation).form(rows).tiled;
    assert_eq!([1, 5, 25].map(|rows| tiled(5, 1, rows)), [false, false, true]);
    // Of each phase of the dilation there are one or two rows, where a tile computes four.
    assert_eq!([5, 12, 75].map(|rows| tiled(5, 8, rows)), [false, false, true]);
    assert_eq!([1, 5, 25].map(|rows| tiled(75, 1, rows)), [true; 3]);
}

/// Frames that are computed alone have one form, whatever the call: what fits a frame's rows.
#[test]
fn the_form_of_frames_alone_depends_on_their_rows() {
    let weight = random(1, 3 * 128 * 128);
    let isa = Isa::detect().unwrap();
    let tiled = |frame| {
        let arrival = Arrival { frame, alone: true };
        let conv = Conv::<i16>::new(isa, (3, 128, 128), &weight, &[0.0; 128], (1, 2), arrival);
        assert!([1, 5, 25].iter().all(|&rows| conv.form(rows).tiled == conv.form.tiled));
        conv.form.tiled
    };
    assert_eq!([1, 5, 25].map(tiled), [false, false, true]);
}
