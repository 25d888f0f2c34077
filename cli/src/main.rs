//! The program `vocoder`.
mod failure;
mod inputs;
mod interrupt;
mod output;
mod progress;
mod shard;
fn main() {}
