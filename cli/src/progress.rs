//! Progress on stderr: a bar on a terminal, plain lines otherwise, nothing with `--quiet`.

use std::fmt::Display;
use std::io::IsTerminal;

use indicatif::{ProgressBar, ProgressStyle};

/// Steps of the bar per input, so that it moves within one.
const TICKS_PER_INPUT: u64 = 1000;

/// The progress of a command over its inputs.
pub struct Progress {
    bar: Option<ProgressBar>,
    quiet: bool,
    done: u64,
}

/// Moves the bar within one input.
pub struct Ticker {
    bar: Option<ProgressBar>,
    done: u64,
}

impl Progress {
    /// Progress over `inputs` inputs.
    pub fn new(inputs: usize, quiet: bool) -> Self {
        let bar = (!quiet && std::io::stderr().is_terminal()).then(|| {
            let bar = ProgressBar::new(inputs as u64 * TICKS_PER_INPUT);
            if let Ok(style) = ProgressStyle::with_template("{bar:24} {percent:>3}% {wide_msg}") {
                bar.set_style(style);
            }
            bar
        });
        Self { bar, quiet, done: 0 }
    }

    /// A handle that moves the bar within the current input.
    pub fn ticker(&self) -> Ticker {
        Ticker { bar: self.bar.clone(), done: self.done }
    }

    /// One input is finished; `text` says how it went.
    pub fn finished(&mut self, text: impl Display) {
        self.done += 1;
        self.ticker().at(0.0, "");
        self.note(text);
    }

    /// A line of log.
    pub fn note(&self, text: impl Display) {
        if !self.quiet {
            self.above(|| eprintln!("{text}"));
        }
    }

    /// Calls `print` with the bar out of the way; for lines that must come out even when quiet.
    pub fn above(&self, print: impl FnOnce()) {
        match &self.bar {
            Some(bar) => bar.suspend(print),
            None => print(),
        }
    }
}

impl Ticker {
    /// Where the work stands within the input: `part` from 0 to 1, and what is being done.
    pub fn at(&self, part: f64, doing: impl Display) {
        if let Some(bar) = &self.bar {
            let ticks = (part.clamp(0.0, 1.0) * TICKS_PER_INPUT as f64) as u64;
            bar.set_position(self.done * TICKS_PER_INPUT + ticks);
            bar.set_message(doing.to_string());
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
