//! How the program fails: exit statuses, and errors told on one line.

use std::fmt;
use std::io::ErrorKind;
use std::process::ExitCode;

/// Wrong usage that the argument parser cannot see by itself (exit status 2).
#[derive(Debug)]
pub struct Usage(pub String);

/// The user asked to stop (exit status 130, as shells report a program ended by Ctrl-C).
#[derive(Debug)]
pub struct Interrupted {
    /// What was finished before.
    pub done: String,
}

/// Some inputs failed; each was reported when it did (exit status 1).
#[derive(Debug)]
pub struct SomeFailed {
    /// How many inputs failed.
    pub failed: usize,
    /// Of how many.
    pub of: usize,
}

impl fmt::Display for Usage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for Interrupted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "interrupted: {}", self.done)
    }
}

impl fmt::Display for SomeFailed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {} inputs failed", self.failed, self.of)
    }
}

impl std::error::Error for Usage {}
impl std::error::Error for Interrupted {}
impl std::error::Error for SomeFailed {}

/// A [`Usage`] error.
pub fn usage(message: impl Into<String>) -> anyhow::Error {
    anyhow::Error::new(Usage(message.into()))
}

/// Prints `error` on one line of stderr and says which status to exit with. A reader of our stdout
/// that has gone away (`vocoder voice list | head -1`) is no failure.
pub fn report(error: &anyhow::Error) -> ExitCode {
    let gone = |cause: &(dyn std::error::Error + 'static)| {
        cause.downcast_ref::<std::io::Error>().is_some_and(|e| e.kind() == ErrorKind::BrokenPipe)
    };
    if error.chain().any(gone) {
        return ExitCode::SUCCESS;
    }
    complain(error);
    match error {
        e if e.is::<Usage>() => ExitCode::from(2),
        e if e.is::<Interrupted>() => ExitCode::from(130),
        _ => ExitCode::from(1),
    }
}

/// Prints `error` on one line of stderr.
pub fn complain(error: &anyhow::Error) {
    eprintln!("vocoder: error: {}", one_line(error));
}

/// The error and its causes joined by ": ". A cause whose text its parent already ends with is not
/// said twice, and line breaks inside a message become spaces.
pub fn one_line(error: &anyhow::Error) -> String {
    let mut line = String::new();
    for cause in error.chain() {
        let text = cause.to_string().split_whitespace().collect::<Vec<_>>().join(" ");
        if line.is_empty() {
            line = text;
        } else if !line.ends_with(&text) {
            line = format!("{line}: {text}");
        }
    }
    line
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use anyhow::{Context, anyhow};

    #[test]
    fn causes_are_joined_once_and_on_one_line() {
        let error = anyhow!("disk\nfull").context("out.wav: disk full").context("cannot render");
        assert_eq!(one_line(&error), "cannot render: out.wav: disk full");
    }

    #[test]
    fn statuses_tell_usage_from_failure() {
        assert_eq!(report(&usage("no")), ExitCode::from(2));
        assert_eq!(report(&anyhow!("no")), ExitCode::from(1));
        let stopped = Interrupted { done: "1 of 2 rendered".into() };
        assert_eq!(report(&anyhow::Error::new(stopped)), ExitCode::from(130));
    }

    #[test]
    fn a_closed_pipe_is_no_failure() {
        let closed = std::io::Error::from(ErrorKind::BrokenPipe);
        let error = Err::<(), _>(closed).context("stdout").unwrap_err();
        assert_eq!(report(&error), ExitCode::SUCCESS);
    }
}
