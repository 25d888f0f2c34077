//! Ctrl-C (and SIGTERM, which schedulers send): work stops at the next safe point, so that nothing
//! is left half-written. A second one, not at once, ends the program there and then.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::failure::Interrupted;

/// When the user first asked to stop.
static REQUESTED: OnceLock<Instant> = OnceLock::new();

/// A signal that follows the first so soon is the same one: `timeout` and schedulers signal the process
/// and then its group.
const SAME: Duration = Duration::from_millis(500);

/// Starts listening.
pub fn listen() -> Result<()> {
    ctrlc::set_handler(|| {
        if REQUESTED.get_or_init(Instant::now).elapsed() > SAME {
            std::process::exit(130);
        }
    })
    .context("cannot listen for Ctrl-C")
}

/// Whether the user asked to stop.
pub fn requested() -> bool {
    REQUESTED.get().is_some()
}

/// # Errors
/// [`Interrupted`] if the user asked to stop.
pub fn check() -> Result<()> {
    match requested() {
        true => Err(Interrupted { done: "nothing left half-done".into() }.into()),
        false => Ok(()),
    }
}
