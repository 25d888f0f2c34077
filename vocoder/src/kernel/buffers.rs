//! Large arrays that are used again and again.
//!
//! A training step needs the same arrays as the one before. Asked of the system anew each time, their
//! pages took a third of the step (cleared by the kernel, on one Zen 4 core).

use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, PoisonError};

/// Arrays that wait for their next use. Clones share them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Buffers(Arc<Mutex<Vec<Vec<f32>>>>);

impl Buffers {
    /// An array of `len` values, whatever they were before.
    pub fn take(&self, len: usize) -> Buffer {
        let mut free = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let fitting = free.iter().enumerate().filter(|(_, values)| values.len() >= len);
        let values = match fitting.min_by_key(|(_, values)| values.len()) {
            // Much larger ones stay for those that need them.
            Some((i, values)) if values.len() / 4 <= len => free.swap_remove(i),
            _ => vec![0.0; len],
        };
        drop(free);
        Buffer { values, len, home: self.clone() }
    }

    /// Gives the memory of all that is not in use back.
    pub fn clear(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

/// An array on loan from [`Buffers`].
#[derive(Debug)]
pub(crate) struct Buffer {
    values: Vec<f32>,
    len: usize,
    home: Buffers,
}

impl Deref for Buffer {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        &self.values[..self.len]
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut [f32] {
        &mut self.values[..self.len]
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let values = std::mem::take(&mut self.values);
        self.home.0.lock().unwrap_or_else(PoisonError::into_inner).push(values);
    }
}
