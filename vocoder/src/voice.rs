//! Voice files.

pub mod lmnt;
