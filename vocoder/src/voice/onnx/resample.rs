//! Changing the number of values in time, as [`ops`](crate::ops) does it.

use super::{Attribute, Graph};
use crate::config::Resampling;

impl Graph<'_> {
    /// `factor` values for each.
    pub(super) fn more(&mut self, x: &str, factor: usize) -> String {
        match self.voice.model.resampling {
            _ if factor == 1 => x.to_string(),
            Resampling::Nearest => self.repeated(x, factor),
            Resampling::Linear => self.widened(x, factor),
        }
    }

    /// One value for each `factor`.
    pub(super) fn fewer(&mut self, x: &str, factor: usize) -> String {
        match self.voice.model.resampling {
            Resampling::Nearest => self.one_in(factor, 0, x),
            Resampling::Linear => self.narrowed(x, factor),
        }
    }

    /// As [`repeat`](crate::ops::repeat).
    fn repeated(&mut self, x: &str, factor: usize) -> String {
        let axis = self.integers(&[3]);
        let (wide, flat) = (self.integers(&[1, 1, 1, factor as i64]), self.integers(&[0, 0, -1]));
        let x = self.node("Unsqueeze", &[x, &axis], &[]);
        let x = self.node("Expand", &[&x, &wide], &[]);
        self.node("Reshape", &[&x, &flat], &[])
    }

    /// As [`widen`](crate::ops::widen). The operation `Resize` computes places in single precision, which
    /// long clips outgrow.
    fn widened(&mut self, x: &str, factor: usize) -> String {
        let along = [Attribute::Integer("axis", 2)];
        let (first, but_last) = (self.slice(x, 0, 1, 1), self.slice(x, 0, -1, 1));
        let before = self.node("Concat", &[&first, &but_last], &along);
        let (but_first, last) = (self.slice(x, 1, i64::MAX, 1), self.slice(x, -1, i64::MAX, 1));
        let after = self.node("Concat", &[&but_first, &last], &along);
        let (axis, flat) = (self.integers(&[3]), self.integers(&[0, 0, -1]));
        let mut parts = Vec::new();
        for j in 0..factor {
            let place = (j as f32 + 0.5) / factor as f32 - 0.5;
            let other = if place < 0.0 { &before } else { &after };
            let shares = [1.0 - place.abs(), place.abs()].map(|share| self.floats(&[share], &[]));
            let own = self.node("Mul", &[x, &shares[0]], &[]);
            let other = self.node("Mul", &[other, &shares[1]], &[]);
            let sum = self.node("Add", &[&own, &other], &[]);
            parts.push(self.node("Unsqueeze", &[&sum, &axis], &[]));
        }
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        let all = self.node("Concat", &parts, &[Attribute::Integer("axis", 3)]);
        self.node("Reshape", &[&all, &flat], &[])
    }

    /// As [`narrow`](crate::ops::narrow).
    fn narrowed(&mut self, x: &str, factor: usize) -> String {
        if factor % 2 == 1 {
            return self.one_in(factor, factor / 2, x);
        }
        let [left, right] = [factor / 2 - 1, factor / 2].map(|first| self.one_in(factor, first, x));
        let (sum, half) = (self.node("Add", &[&left, &right], &[]), self.floats(&[0.5], &[]));
        self.node("Mul", &[&sum, &half], &[])
    }

    /// Of each `factor` values the one at `place`.
    fn one_in(&mut self, factor: usize, place: usize, x: &str) -> String {
        self.slice(x, place as i64, i64::MAX, factor as i64)
    }

    /// Values in time from `from` to before `to`, both from the end where negative.
    pub(super) fn slice(&mut self, x: &str, from: i64, to: i64, step: i64) -> String {
        let [from, to, axis, step] = [from, to, 2, step].map(|value| self.integers(&[value]));
        self.node("Slice", &[x, &from, &to, &axis, &step], &[])
    }
}
