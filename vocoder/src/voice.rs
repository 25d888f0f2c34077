//! Voice files.
