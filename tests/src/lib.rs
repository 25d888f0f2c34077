//! What the tests in `tests/tests/` share. It panics rather than return errors: a panic is how a test
//! says that it failed.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

pub mod allocations;
pub mod arrays;
pub mod gradients;
pub mod host;
pub mod program;
pub mod rendering;
pub mod voices;
