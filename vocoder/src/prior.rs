//! What the reverse chain starts from.
