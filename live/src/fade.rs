//! From the wet sound to the dry one and back without a click.

/// A channel's way out of the wet sound when it ends without notice: its last samples, mirrored, go on
/// while they fade.
pub(crate) struct Tail {
    /// The newest wet samples, a ring.
    ring: Vec<f32>,
    /// Where the next one goes.
    at: usize,
    /// How many samples the mirror has gone back.
    back: usize,
}

impl Tail {
    /// A tail of `length` samples.
    pub fn new(length: usize) -> Self {
        Self { ring: vec![0.0; length.max(1)], at: 0, back: 0 }
    }

    /// A wet sample was there.
    #[inline]
    pub fn take(&mut self, sample: f32) {
        self.ring[self.at] = sample;
        self.at = (self.at + 1) % self.ring.len();
        self.back = 0;
    }

    /// No wet sample is there: what to play in its place.
    #[inline]
    pub fn mirror(&mut self) -> f32 {
        let length = self.ring.len();
        if self.back >= length {
            return 0.0;
        }
        self.back += 1;
        self.ring[(self.at + length - self.back) % length]
    }

    pub fn reset(&mut self) {
        self.ring.fill(0.0);
        (self.at, self.back) = (0, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tail_goes_back_the_way_that_the_sound_came() {
        let mut tail = Tail::new(3);
        (1..=5).for_each(|v| tail.take(v as f32));
        assert_eq!([0; 5].map(|_| tail.mirror()), [5.0, 4.0, 3.0, 0.0, 0.0]);
        tail.take(9.0);
        assert_eq!(tail.mirror(), 9.0);
    }
}
