//! One step of the network over a clip that arrives in pieces: every layer keeps the rows that its
//! later outputs will still read, so that each row is computed once and pieces equal the whole.

mod run;

use super::Isa;
use super::conv::Scratched;
use super::line::Line;
use super::net::{First, Net};
use run::{Run, Source, Strips, Then};

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
        let run = Run { isa, ended, most: usize::MAX };
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
        let run = Run { isa, ended, most: usize::MAX };
        run.conv(&net.stem, Source::plain(&mut self.signal), Then::default(), &mut self.wave[0]);
        for (i, down) in net.down.iter().enumerate() {
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
        for block in 0..net.up.len() {
            self.upsample(net, run, level, mel, block);
        }
    }

    /// An upsampling block with the modulation that it takes, and after the last one the noise.
    fn upsample<T: Scratched>(
        &mut self,
        net: &Net<T>,
        run: Run,
        level: &[Vec<f32>],
        mel: &mut MelPart,
        block: usize,
    ) {
        let (up, at) = (&net.up[block], net.film.len() - 1 - block);
        let (wave, [hidden, film]) = (&mut self.wave[at], &mut self.film[at]);
        let (done, rest) = self.up.split_at_mut(block);
        let UpPass { input, first, half, second, third, out } = &mut rest[0];
        let before = match done.last_mut() {
            Some(up) => &mut up.out,
            None => &mut mel.first,
        };
        let input = match input {
            Some(input) => {
                input.run(net, block, run, before);
                input
            }
            None => &mut mel.up,
        };
        let wanted = [&*wave, &*before, &input.residual, &input.products].map(Line::needed);
        let strips = Strips::of(wave.end() - hidden.end(), out.channels());
        for strip in 0..strips.count {
            if strip > 0 {
                // What passes between the block's convolutions stays where it is in the cache.
                let inner = [&mut *hidden, film, first, half, second, third];
                inner.into_iter().for_each(Line::trim);
                let lines = [&mut *wave, before, &mut input.residual, &mut input.products];
                lines.into_iter().zip(wanted).for_each(|(line, row)| line.need(row));
            }
            let run = strips.limit(run, strip);
            let then = Then { leaky: true, plus: Some(&level[at]), ..Then::default() };
            run.conv(&net.film[at].input, Source::plain(wave), then, hidden);
            run.conv(&net.film[at].output, Source::plain(hidden), Then::default(), film);
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
        if block + 1 == net.up.len() {
            run.last(&net.last, out, &mut self.noise);
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
