//! The library's one error type: what, where, expected, got, on one line.

use std::path::{Path, PathBuf};

/// Shorthand for results of this library.
pub type Result<T> = std::result::Result<T, Error>;

/// Whatever can go wrong in this library. Each message is one line that says what was expected and
/// what came.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file could not be opened, read, created or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file is not what its name or its place promised (damaged, truncated, of an unknown kind).
    #[error("{}: {reason}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What was expected and what came.
        reason: String,
    },
    /// A configuration that contradicts itself or is out of range.
    #[error("{what}: {reason}")]
    Config {
        /// Which configuration or key.
        what: String,
        /// What was expected and what came.
        reason: String,
    },
    /// Data handed to a function does not fit (length, shape, range, not a number).
    #[error("{what}: expected {expected}, got {got}")]
    Mismatch {
        /// Which value.
        what: String,
        /// What would have been right.
        expected: String,
        /// What came.
        got: String,
    },
    /// The caller asked to stop (see [`Renderer::observe`](crate::render::Renderer::observe)).
    #[error("stopped")]
    Stopped,
    /// The tensor library failed (out of memory, a device that is not there …).
    #[error("tensor: {0}")]
    Tensor(#[from] candle_core::Error),
}

impl Error {
    /// An [`Error::Io`] for `path`.
    pub fn io(path: &Path, source: std::io::Error) -> Self {
        Error::Io { path: path.to_path_buf(), source }
    }

    /// An [`Error::File`] for `path`.
    pub fn file(path: &Path, reason: impl Into<String>) -> Self {
        Error::File { path: path.to_path_buf(), reason: reason.into() }
    }

    /// An [`Error::Config`] about `what`.
    pub fn config(what: impl Into<String>, reason: impl Into<String>) -> Self {
        Error::Config { what: what.into(), reason: reason.into() }
    }

    /// An [`Error::Mismatch`] about `what`.
    pub fn mismatch(what: impl Into<String>, expected: impl ToString, got: impl ToString) -> Self {
        Error::Mismatch { what: what.into(), expected: expected.to_string(), got: got.to_string() }
    }
}
