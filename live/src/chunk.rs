//! What travels between the audio thread and the worker.

use crate::Controls;

/// Notes that a chunk has room for; more in so short a time are dropped.
pub(crate) const MOST_NOTES: usize = 256;

/// A key that goes down or up.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum NoteEvent {
    /// Goes down.
    On {
        /// MIDI key, 60 is the middle C.
        key: u8,
        /// 0 to 1.
        velocity: f32,
    },
    /// Goes up.
    Off {
        /// MIDI key.
        key: u8,
    },
    /// All notes end at once.
    Panic,
}

/// What a chunk holds on its way back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Content {
    /// The wet sound of the chunk of this sequence number.
    Wet,
    /// None, and none is due: nobody hears it, or the voice is on its way.
    None,
    /// None, though one is due.
    Failed,
}

/// A piece of sound of fixed length, with all that the worker needs to know about it. Boxes of it
/// circulate; none is made after the start.
#[derive(Debug)]
pub(crate) struct Chunk {
    /// Counts resets: what is of an older one is stale.
    pub generation: u32,
    /// Which piece of the stream, counted from the last reset.
    pub sequence: u64,
    /// The controls at its first sample.
    pub controls: Controls,
    /// The audio thread waits for it, so lateness doesn't matter.
    pub waited_for: bool,
    pub content: Content,
    /// Where in it the wet sound begins: not at 0 in the first chunk after a restart.
    pub from: usize,
    pub channels: Vec<Vec<f32>>,
    /// Sample in the chunk, and what happens there.
    pub notes: Vec<(u32, NoteEvent)>,
}

/// What circulates: a pointer, so that queues move no sound.
pub(crate) type Boxed = Box<Chunk>;

impl Chunk {
    pub fn new(channels: usize, length: usize) -> Boxed {
        Box::new(Self {
            generation: 0,
            sequence: 0,
            controls: Controls::default(),
            waited_for: false,
            content: Content::None,
            from: 0,
            channels: vec![vec![0.0; length]; channels],
            notes: Vec::with_capacity(MOST_NOTES),
        })
    }
}
