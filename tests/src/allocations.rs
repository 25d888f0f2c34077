//! An allocator that counts what a thread does while it is watched.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

/// To be made the `#[global_allocator]` of a test program.
pub struct Watched;

thread_local! {
    static WATCHING: Cell<bool> = const { Cell::new(false) };
    static COUNT: Cell<usize> = const { Cell::new(0) };
}

/// Runs `work`, and returns how often this thread allocated or freed meanwhile, and what `work` gives.
pub fn count<T>(work: impl FnOnce() -> T) -> (usize, T) {
    COUNT.with(|count| count.set(0));
    WATCHING.with(|watching| watching.set(true));
    let value = work();
    WATCHING.with(|watching| watching.set(false));
    (COUNT.with(Cell::get), value)
}

fn note() {
    // At the end of a thread there is nothing to count any more.
    let watching = WATCHING.try_with(Cell::get).unwrap_or(false);
    if watching {
        let _ = COUNT.try_with(|count| count.set(count.get() + 1));
    }
}

// SAFETY: all work is the system allocator's.
unsafe impl GlobalAlloc for Watched {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        note();
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        note();
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        note();
        unsafe { System.realloc(pointer, layout, size) }
    }
}
