//! What a worker runs.

use vocoder::Result;

use crate::chunk::Chunk;

/// Turns chunks of input into wet sound of the same length, one after the other.
pub(crate) trait Model: Send {
    /// Whether it can render `chunk` by now. If the chunk is waited for, it waits until it can or never
    /// will. If not, it tells the telemetry why.
    fn is_ready(&mut self, chunk: &Chunk) -> bool;

    /// The next chunk is the first of a stream.
    fn restart(&mut self);

    /// Takes a chunk, and appends to `out`, a list a channel, what it completes. Sample 0 of what it
    /// gives in all belongs to sample 0 of the first chunk after a restart.
    fn push(&mut self, chunk: &Chunk, out: &mut [Vec<f32>]) -> Result<()>;
}
