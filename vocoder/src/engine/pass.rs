//! One step of the network over a clip that arrives in pieces: every layer keeps the rows that its
//! later outputs will still read, so that each row is computed once and pieces equal the whole.

use super::Isa;
use super::conv::{Conv, Epilogue, Input, Scratched};
use super::expand::Expand;
use super::line::Line;
use super::net::{First, Last, Net};

/// What depends on the mel alone, and so is computed once for all steps.
pub(super) struct MelPart {
    /// The mel on the network's scale, ahead by the look-ahead.
    pub mel: Line,
    first: Line,
    up: UpInput,
}

/// What an upsampling block makes of its input before the repetition.
struct UpInput {
    residual: Line,
    /// Products of a folded convolution; unused for a plain one.
    products: Line,
}

/// The rows of one step.
pub(super) struct Pass {
    /// The noisy signal, one channel.
    pub signal: Line,
    /// The predicted noise, one channel.
    pub noise: Line,
    wave: Vec<Line>,
    down: Vec<[Line; 3]>,
    film: Vec<[Line; 2]>,
    up: Vec<UpPass>,
}

struct UpPass {
    /// For the second block on; the first's is in [`MelPart`].
    input: Option<UpInput>,
    first: Line,
    half: Line,
    second: Line,
    third: Line,
    out: Line,
}

impl UpInput {
    fn new<T: Scratched>(net: &Net<T>, block: usize) -> Self {
        let co = net.up[block].residual.co;
        UpInput { residual: Line::new(co), products: Line::new(3 * co) }
    }

    fn lines(&mut self) -> [&mut Line; 2] {
        [&mut self.residual, &mut self.products]
    }

    fn run<T: Scratched>(&mut self, net: &Net<T>, block: usize, run: Run, x: &mut Line) {
        let up = &net.up[block];
        run.conv(&up.residual, Source::plain(x), Then::default(), &mut self.residual);
        if let First::Folded(expand) = &up.first {
            let from = Source { leaky: true, ..Source::plain(x) };
            run.conv(&expand.products, from, Then::default(), &mut self.products);
        }
    }
}

impl MelPart {
    pub fn new<T: Scratched>(net: &Net<T>) -> Self {
        MelPart {
            mel: Line::new(net.mel.ci),
            first: Line::new(net.mel.co),
            up: UpInput::new(net, 0),
        }
    }

    fn lines(&mut self) -> impl Iterator<Item = &mut Line> {
        [&mut self.mel, &mut self.first].into_iter().chain(self.up.lines())
    }

    /// Takes in the mel's new rows. `ended`: no row will follow.
    pub fn run<T: Scratched>(&mut self, net: &Net<T>, isa: Isa, ended: bool) {
        let run = Run { isa, ended };
        run.conv(&net.mel, Source::plain(&mut self.mel), Then::default(), &mut self.first);
        self.up.run(net, 0, run, &mut self.first);
    }

    /// Drops what no step will read again, after all of them ran.
    pub fn trim(&mut self) {
        self.lines().for_each(Line::trim);
    }

    pub fn reset(&mut self) {
        self.lines().for_each(Line::reset);
    }

    pub fn bytes(&mut self) -> usize {
        self.lines().map(|line| line.bytes()).sum()
    }
}

impl Pass {
    pub fn new<T: Scratched>(net: &Net<T>) -> Self {
        let waves = std::iter::once(net.stem.co).chain(net.down.iter().map(|d| d.residual.co));
        Pass {
            signal: Line::new(1),
            noise: Line::new(1),
            wave: waves.map(Line::new).collect(),
            down: net.down.iter().map(|d| [0; 3].map(|_| Line::new(d.residual.co))).collect(),
            film: net.film.iter().map(|f| [f.input.co, f.output.co].map(Line::new)).collect(),
            up: (0..net.up.len())
                .map(|block| {
                    let line = || Line::new(net.up[block].residual.co);
                    UpPass {
                        input: (block > 0).then(|| UpInput::new(net, block)),
                        first: line(),
                        half: line(),
                        second: line(),
                        third: line(),
                        out: line(),
                    }
                })
                .collect(),
        }
    }

    /// All lines but the two that other steps touch.
    fn inner_lines(&mut self) -> impl Iterator<Item = &mut Line> {
        let up = self.up.iter_mut().flat_map(|up| {
            let UpPass { input, first, half, second, third, out } = up;
            let input = input.iter_mut().flat_map(UpInput::lines);
            input.chain([first, half, second, third, out])
        });
        self.wave
            .iter_mut()
            .chain(self.down.iter_mut().flatten())
            .chain(self.film.iter_mut().flatten())
            .chain(up)
    }

    /// Computes every row of `noise` that the rows of `signal` and of the mel allow. `level` is
    /// [`Net::encode`]'s. `ended`: no row of either will follow.
    pub fn run<T: Scratched>(
        &mut self,
        net: &Net<T>,
        isa: Isa,
        level: &[Vec<f32>],
        mel: &mut MelPart,
        ended: bool,
    ) {
        let run = Run { isa, ended };
        run.conv(&net.stem, Source::plain(&mut self.signal), Then::default(), &mut self.wave[0]);
        for (i, film) in net.film.iter().enumerate() {
            let [hidden, modulation] = &mut self.film[i];
            let then = Then { leaky: true, plus: Some(&level[i]), ..Then::default() };
            run.conv(&film.input, Source::plain(&mut self.wave[i]), then, hidden);
            run.conv(&film.output, Source::plain(hidden), Then::default(), modulation);
            if let Some(down) = net.down.get(i) {
                let (x, out) = self.wave.split_at_mut(i + 1);
                let (x, out) = (&mut x[i], &mut out[0]);
                let [residual, first, second] = &mut self.down[i];
                let kept = Source { keep: down.factor, ..Source::plain(x) };
                run.conv(&down.residual, kept, Then::default(), residual);
                let kept = Source { keep: down.factor, leaky: true, ..Source::plain(x) };
                let activated = || Then { leaky: true, ..Then::default() };
                run.conv(&down.convs[0], kept, activated(), first);
                run.conv(&down.convs[1], Source::plain(first), activated(), second);
                let then = Then { residual: Some((residual, 1)), ..Then::default() };
                run.conv(&down.convs[2], Source::plain(second), then, out);
            }
        }
        for (i, up) in net.up.iter().enumerate() {
            let [_, film] = &mut self.film[net.film.len() - 1 - i];
            let (done, rest) = self.up.split_at_mut(i);
            let UpPass { input, first, half, second, third, out } = &mut rest[0];
            let before = match done.last_mut() {
                Some(up) => &mut up.out,
                None => &mut mel.first,
            };
            let input = match input {
                Some(input) => {
                    input.run(net, i, run, before);
                    input
                }
                None => &mut mel.up,
            };
            match &up.first {
                First::Folded(expand) => run.expand(expand, &mut input.products, film, first),
                First::Plain(conv) => {
                    let from = Source { repeat: up.factor, leaky: true, ..Source::plain(before) };
                    run.conv(conv, from, Then::modulated(film), first);
                }
            }
            let then = Then {
                residual: Some((&mut input.residual, up.factor)),
                raw: Some(half),
                ..Then::modulated(film)
            };
            run.conv(&up.convs[0], Source::plain(first), then, second);
            run.conv(&up.convs[1], Source::plain(second), Then::modulated(film), third);
            let then = Then { residual: Some((half, 1)), ..Then::default() };
            run.conv(&up.convs[2], Source::plain(third), then, out);
        }
        if let Some(up) = self.up.last_mut() {
            run.last(&net.last, &mut up.out, &mut self.noise);
        }
    }

    /// Takes the buffers that all steps share, one after the other.
    pub fn unpack(&mut self, buffers: &mut Buffers) {
        let count = self.inner_lines().count();
        buffers.0.resize_with(count, Vec::new);
        self.inner_lines().zip(&mut buffers.0).for_each(|(line, buffer)| line.unpack(buffer));
    }

    /// Gives the buffers back, and drops what will not be read again of what they held.
    pub fn pack(&mut self, buffers: &mut Buffers) {
        self.inner_lines().zip(&mut buffers.0).for_each(|(line, buffer)| line.pack(buffer));
    }

    /// Drops what will not be read again of signal and noise, after the noise was used.
    pub fn trim(&mut self) {
        self.signal.trim();
        self.noise.trim();
    }

    pub fn reset(&mut self) {
        self.inner_lines().for_each(Line::reset);
        self.signal.reset();
        self.noise.reset();
    }

    pub fn bytes(&mut self) -> usize {
        let inner: usize = self.inner_lines().map(|line| line.bytes()).sum();
        inner + self.signal.bytes() + self.noise.bytes()
    }
}

/// The large buffers of a pass: one for each of its lines.
#[derive(Default)]
pub(super) struct Buffers(Vec<Vec<f32>>);

impl Buffers {
    pub fn bytes(&self) -> usize {
        self.0.iter().map(|buffer| buffer.capacity() * size_of::<f32>()).sum()
    }
}

/// How ops run over lines.
#[derive(Clone, Copy)]
struct Run {
    isa: Isa,
    ended: bool,
}

/// Where an op reads: see [`Input`].
struct Source<'a> {
    line: &'a mut Line,
    keep: usize,
    repeat: usize,
    leaky: bool,
}

impl<'a> Source<'a> {
    fn plain(line: &'a mut Line) -> Self {
        Source { line, keep: 1, repeat: 1, leaky: false }
    }
}

/// What follows a convolution: see [`Epilogue`].
#[derive(Default)]
struct Then<'a> {
    residual: Option<(&'a mut Line, usize)>,
    raw: Option<&'a mut Line>,
    film: Option<&'a mut Line>,
    leaky: bool,
    plus: Option<&'a [f32]>,
}

impl<'a> Then<'a> {
    fn modulated(film: &'a mut Line) -> Self {
        Then { film: Some(film), leaky: true, ..Then::default() }
    }
}

impl Run {
    /// Appends to `out` the rows that all inputs allow, and says what later rows will read.
    fn conv<T: Scratched>(&self, conv: &Conv<T>, from: Source, then: Then, out: &mut Line) {
        let seen = from.line.end().div_ceil(from.keep) * from.repeat;
        let mut end = if self.ended { seen } else { seen.saturating_sub(conv.ahead()) };
        if let Some((residual, repeat)) = &then.residual {
            end = end.min(residual.end() * repeat);
        }
        if let Some(film) = &then.film {
            end = end.min(film.end());
        }
        let start = out.end();
        let end = end.max(start);
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

    fn expand<T: Scratched>(
        &self,
        expand: &Expand<T>,
        products: &mut Line,
        film: &mut Line,
        out: &mut Line,
    ) {
        let start = out.end();
        let end = expand.reaches(products.end(), self.ended).min(film.end()).max(start);
        if end > start {
            let from = (products.data(), products.first());
            expand.run(self.isa, from, start, film.rows_from(start), out.grow(start, end));
        }
        products.keep_from(expand.needs(end));
        film.keep_from(end);
    }

    fn last(&self, last: &Last, input: &mut Line, out: &mut Line) {
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
