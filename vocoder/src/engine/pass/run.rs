//! An op over lines: the rows that its inputs allow, and what it will still read of them; and strips of
//! rows that pass several ops before the next ones do.

use crate::engine::Isa;
use crate::engine::conv::{Conv, Epilogue, Input, Scratched};
use crate::engine::expand::Expand;
use crate::engine::line::Line;
use crate::engine::net::Last;

/// How ops run over lines.
#[derive(Clone, Copy)]
pub(super) struct Run {
    pub isa: Isa,
    /// No row will follow.
    pub ended: bool,
    /// Most rows that an op appends.
    pub most: usize,
}

/// Where an op reads: see [`Input`].
pub(super) struct Source<'a> {
    pub line: &'a mut Line,
    pub keep: usize,
    pub repeat: usize,
    pub leaky: bool,
}

impl<'a> Source<'a> {
    pub fn plain(line: &'a mut Line) -> Self {
        Source { line, keep: 1, repeat: 1, leaky: false }
    }
}

/// What follows a convolution: see [`Epilogue`].
#[derive(Default)]
pub(super) struct Then<'a> {
    pub residual: Option<(&'a mut Line, usize)>,
    pub raw: Option<&'a mut Line>,
    pub film: Option<&'a mut Line>,
    pub leaky: bool,
    pub plus: Option<&'a [f32]>,
}

impl<'a> Then<'a> {
    pub fn modulated(film: &'a mut Line) -> Self {
        Then { film: Some(film), leaky: true, ..Then::default() }
    }
}

impl Run {
    /// Appends to `out` the rows that all inputs allow, and says what later rows will read.
    pub fn conv<T: Scratched>(&self, conv: &Conv<T>, from: Source, then: Then, out: &mut Line) {
        let seen = from.line.end().div_ceil(from.keep) * from.repeat;
        let mut end = if self.ended { seen } else { seen.saturating_sub(conv.ahead()) };
        if let Some((residual, repeat)) = &then.residual {
            end = end.min(residual.end() * repeat);
        }
        if let Some(film) = &then.film {
            end = end.min(film.end());
        }
        let start = out.end();
        let mut end = end.clamp(start, start.saturating_add(self.most));
        if !self.ended {
            end = conv.whole(end).max(start);
        }
        if end > start {
            let input = Input {
                data: from.line.data(),
                first: from.line.first(),
                channels: from.line.channels(),
                keep: from.keep,
                repeat: from.repeat,
                leaky: from.leaky,
            };
            let epilogue = Epilogue {
                residual: then.residual.as_ref().map(|(line, repeat)| {
                    (line.rows_from(start / repeat), *repeat, start % repeat)
                }),
                film: then.film.as_ref().map(|line| line.rows_from(start)),
                leaky: then.leaky,
                plus: then.plus,
            };
            let raw = then.raw.map_or(&mut [][..], |raw| raw.grow(start, end));
            conv.run(self.isa, input, start, epilogue, raw, out.grow(start, end));
        }
        let oldest = end.saturating_sub(conv.left) / from.repeat * from.keep;
        from.line.keep_from(oldest);
        if let Some((residual, repeat)) = then.residual {
            residual.keep_from(end / repeat);
        }
        if let Some(film) = then.film {
            film.keep_from(end);
        }
    }

    pub fn expand<T: Scratched>(
        &self,
        expand: &Expand<T>,
        products: &mut Line,
        film: &mut Line,
        out: &mut Line,
    ) {
        let start = out.end();
        let end = expand.reaches(products.end(), self.ended).min(film.end());
        let end = end.clamp(start, start.saturating_add(self.most));
        if end > start {
            let from = (products.data(), products.first());
            expand.run(self.isa, from, start, film.rows_from(start), out.grow(start, end));
        }
        products.keep_from(expand.needs(end));
        film.keep_from(end);
    }

    pub fn last(&self, last: &Last, input: &mut Line, out: &mut Line) {
        let start = out.end();
        let seen = input.end();
        let end = if self.ended { seen } else { seen.saturating_sub(last.ahead()) }.max(start);
        let (data, first) = (input.data(), input.first());
        let rows = out.grow(start, end);
        self.isa.arch().dispatch(|| {
            for (t, value) in (start..).zip(rows) {
                *value = last.bias;
                for (tap, weights) in last.weights.chunks_exact(last.ci).enumerate() {
                    let row = (t + tap).checked_sub(last.left + first).map(|row| row * last.ci);
                    if let Some(row) = row.and_then(|row| data.get(row..row + last.ci)) {
                        *value += dot(row, weights);
                    }
                }
            }
        });
        input.keep_from(end.saturating_sub(last.left));
    }
}

/// Sums in 16 lanes, so that the compiler may use wide registers without changing the order.
#[inline(always)]
fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut lanes = [0f32; 16];
    let (a, b) = (a.chunks_exact(16), b.chunks_exact(16));
    let rest: f32 = a.remainder().iter().zip(b.remainder()).map(|(a, b)| a * b).sum();
    for (a, b) in a.zip(b) {
        for n in 0..16 {
            lanes[n] += a[n] * b[n];
        }
    }
    lanes.iter().sum::<f32>() + rest
}

/// Bytes, for each thread, of a strip's rows of one line: several lines and the weights share the second-level cache.
const STRIP_BYTES: usize = 64 << 10;

/// Least rows of a strip, where channels are so many that reading the weights again would cost more.
const LEAST_ROWS: usize = 512;

/// A block's rows in strips, each of which passes all of the block's convolutions before the next: what
/// they hand on is read while it still lies in the second-level cache.
pub(super) struct Strips {
    rows: usize,
    pub count: usize,
}

impl Strips {
    /// Of `rows` new rows of `channels`.
    pub fn of(rows: usize, channels: usize) -> Self {
        let bytes = STRIP_BYTES * rayon::current_num_threads();
        let fit = bytes / (channels * size_of::<f32>());
        // Whole tiles of every dilation.
        let most = fit.max(LEAST_ROWS).next_multiple_of(128);
        Strips { rows: most, count: rows.div_ceil(most).max(1) }
    }

    /// The last strip takes what there is; after the others more will follow.
    pub fn limit(&self, run: Run, strip: usize) -> Run {
        match strip + 1 < self.count {
            true => Run { most: self.rows, ended: false, ..run },
            false => run,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strips_cover_the_rows_and_the_last_has_no_limit() {
        let run = Run { isa: Isa::all()[0], ended: true, most: usize::MAX };
        for (rows, channels) in [(0, 32), (300, 32), (4800, 32), (4800, 512)] {
            let strips = Strips::of(rows, channels);
            assert!(strips.count >= 1 && strips.rows.is_multiple_of(128));
            let limit = |strip| strips.limit(run, strip).most;
            assert_eq!(limit(strips.count - 1), usize::MAX);
            assert!((0..strips.count - 1).all(|strip| !strips.limit(run, strip).ended));
            let before: usize = (0..strips.count - 1).map(limit).sum();
            assert!(before < rows.max(1), "{rows} {channels}");
        }
        // Few rows, as a stream of single frames has, are one strip.
        assert_eq!(Strips::of(300, 32).count, 1);
    }
}
