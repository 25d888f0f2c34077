//! What happens to the sums of a convolution before they are stored.

use super::rows::slope;

/// In this order: the bias is added, the sums go back through an activation, a signal is added.
pub(crate) struct Finish<'a> {
    /// `[co]`; empty for none.
    pub bias: &'a [f32],
    /// The activation in front of the layer whose gradient is computed.
    pub through: Through<'a>,
    /// `[batch][rows / repeat][co]`, and the repeat.
    pub add: Option<(&'a [f32], usize)>,
}

/// The gradient of an activation.
pub(crate) enum Through<'a> {
    /// There is none.
    Nothing,
    /// Of a leaky ReLU of `x`, `[batch][rows * keep][co]`, and `keep`.
    Leaky(&'a [f32], usize),
    /// Of leaky(scale * x + shift).
    Film {
        /// `[batch][rows][co]`.
        x: &'a [f32],
        /// `[batch][rows][2 co]`, the shift first.
        film: &'a [f32],
        /// The gradient of `film`; begins at the first row of the task.
        gradient: &'a mut [f32],
        /// Whether `gradient` is written, or added to.
        first: bool,
    },
}

/// Where sums belong.
#[derive(Clone, Copy)]
pub(super) struct Place {
    /// The first row of the task, counted through the batch.
    pub from: usize,
    /// The row within the task.
    pub local: usize,
    /// Channels of a row, the first of the sums' columns among them, and how many there are.
    pub co: usize,
    pub column: usize,
    pub live: usize,
}

impl<'a> Finish<'a> {
    /// Adds the bias.
    pub fn bias(bias: &'a [f32]) -> Self {
        Finish { bias, through: Through::Nothing, add: None }
    }

    /// Nothing but what `through` says.
    pub fn through(through: Through<'a>) -> Self {
        Finish { bias: &[], through, add: None }
    }

    /// Adds a signal, too.
    #[must_use]
    pub fn plus(self, signal: &'a [f32], repeat: usize) -> Self {
        Finish { add: Some((signal, repeat)), ..self }
    }

    /// The first `rows` rows of what is written, and the rest.
    pub(super) fn split(self, rows: usize, co: usize) -> (Self, Self) {
        let Finish { bias, through, add } = self;
        let (first, rest) = match through {
            Through::Nothing => (Through::Nothing, Through::Nothing),
            Through::Leaky(x, keep) => (Through::Leaky(x, keep), Through::Leaky(x, keep)),
            Through::Film { x, film, gradient, first } => {
                let (head, tail) = gradient.split_at_mut(rows * 2 * co);
                (
                    Through::Film { x, film, gradient: head, first },
                    Through::Film { x, film, gradient: tail, first },
                )
            }
        };
        (Finish { bias, through: first, add }, Finish { bias, through: rest, add })
    }

    /// Finishes the sums of some columns of a row, and stores them in `out`, which begins at the task's
    /// first row.
    #[inline(always)]
    pub(super) fn store<const WIDTH: usize>(
        &mut self,
        place: &Place,
        values: &mut [f32; WIDTH],
        out: &mut [f32],
    ) {
        let Place { from, local, co, column, live } = *place;
        let row = from + local;
        if !self.bias.is_empty() {
            let bias = load::<WIDTH>(place, self.bias);
            for i in 0..WIDTH {
                values[i] += bias[i];
            }
        }
        match &mut self.through {
            Through::Nothing => {}
            Through::Leaky(x, keep) => {
                let x = load::<WIDTH>(place, &x[row * *keep * co..]);
                for i in 0..WIDTH {
                    values[i] *= slope(x[i]);
                }
            }
            Through::Film { x, film, gradient, first } => {
                let x = load::<WIDTH>(place, &x[row * co..]);
                let film = &film[row * 2 * co..][..2 * co];
                let (shift, scale) =
                    (load::<WIDTH>(place, film), load::<WIDTH>(place, &film[co..]));
                let (to_shift, to_scale) = gradient[local * 2 * co..][..2 * co].split_at_mut(co);
                // Memory that is used again may hold anything, NaN too.
                let (mut dshift, mut dscale) = match *first {
                    true => ([0f32; WIDTH], [0f32; WIDTH]),
                    false => (load::<WIDTH>(place, to_shift), load::<WIDTH>(place, to_scale)),
                };
                for i in 0..WIDTH {
                    let d = values[i] * slope(scale[i] * x[i] + shift[i]);
                    values[i] = d * scale[i];
                    dshift[i] += d;
                    dscale[i] += d * x[i];
                }
                to_shift[column..][..live].copy_from_slice(&dshift[..live]);
                to_scale[column..][..live].copy_from_slice(&dscale[..live]);
            }
        }
        if let Some((signal, repeat)) = self.add {
            let signal = load::<WIDTH>(place, &signal[row / repeat * co..]);
            for i in 0..WIDTH {
                values[i] += signal[i];
            }
        }
        out[local * co + column..][..live].copy_from_slice(&values[..live]);
    }
}

/// The columns at `place` of the row at which `from` begins, and zeros. Arithmetic on arrays of known size
/// stays in registers, while slices would be checked for overlap.
#[inline(always)]
fn load<const WIDTH: usize>(place: &Place, from: &[f32]) -> [f32; WIDTH] {
    let mut all = [0f32; WIDTH];
    all[..place.live].copy_from_slice(&from[place.column..][..place.live]);
    all
}
