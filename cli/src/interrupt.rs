//! Ctrl-C (and SIGTERM, which schedulers send): work stops at the next safe point, so that nothing
//! is left half-written. A second one ends the program at once.

use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result};

use crate::failure::Interrupted;

static REQUESTED: AtomicBool = AtomicBool::new(false);

/// Starts listening.
pub fn listen() -> Result<()> {
    ctrlc::set_handler(|| {
        if REQUESTED.swap(true, Ordering::SeqCst) {
            std::process::exit(130);
        }
    })
    .context("cannot listen for Ctrl-C")
}

/// Whether the user asked to stop.
pub fn requested() -> bool {
    REQUESTED.load(Ordering::SeqCst)
}

/// # Errors
/// [`Interrupted`] if the user asked to stop.
pub fn check() -> Result<()> {
    match requested() {
        true => Err(Interrupted { done: "nothing left half-done".into() }.into()),
        false => Ok(()),
    }
}
