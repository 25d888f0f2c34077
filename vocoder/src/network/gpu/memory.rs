//! Arrays of a machine that are used again: those of one step by the next, and within a step as soon as
//! they are dropped, for kernels run in their order.

use super::Machine;
use candle_core::Result;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Addresses of arrays that nobody uses, by their bytes.
type Free = Mutex<BTreeMap<usize, Vec<u64>>>;

/// A machine and its arrays.
#[derive(Debug)]
pub(super) struct Memory<M> {
    pub machine: M,
    free: Arc<Free>,
}

/// An array. Dropped, it may be given out again.
#[derive(Debug)]
pub(super) struct Array {
    pub address: u64,
    bytes: usize,
    free: Arc<Free>,
}

impl<M: Machine> Memory<M> {
    /// Without arrays as yet.
    pub fn new(machine: M) -> Self {
        Memory { machine, free: Arc::default() }
    }

    /// An array of so many bytes, of any content.
    ///
    /// # Errors
    /// The machine's memory is used up.
    pub fn take(&self, bytes: usize) -> Result<Array> {
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        let address = match free.get_mut(&bytes).and_then(Vec::pop) {
            Some(address) => address,
            None => self.machine.allocate(bytes)?,
        };
        drop(free);
        Ok(Array { address, bytes, free: self.free.clone() })
    }

    /// An array of so many values of half precision.
    ///
    /// # Errors
    /// As [`Memory::take`].
    pub fn halves(&self, values: usize) -> Result<Array> {
        self.take(2 * values)
    }
}

impl Drop for Array {
    fn drop(&mut self) {
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        free.entry(self.bytes).or_default().push(self.address);
    }
}
