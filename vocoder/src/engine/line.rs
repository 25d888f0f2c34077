//! A signal on its way through the network: the rows that somebody still needs.

/// Rows of `channels` values from row `first` of the clip on. Ops append rows at the end; what no op
/// will read again is dropped from the front.
#[derive(Debug, Default)]
pub(super) struct Line {
    channels: usize,
    first: usize,
    data: Vec<f32>,
    /// The first row that an op will still read; `usize::MAX` while none has said so.
    needed: usize,
}

impl Line {
    pub fn new(channels: usize) -> Self {
        Self { channels, first: 0, data: Vec::new(), needed: usize::MAX }
    }

    /// Forgets all rows: the next one appended is row 0.
    pub fn reset(&mut self) {
        self.data.clear();
        self.first = 0;
    }

    pub fn channels(&self) -> usize {
        self.channels
    }

    /// The row after the last.
    pub fn end(&self) -> usize {
        self.first + self.data.len() / self.channels
    }

    /// The rows from `from` on, flat. All of them are still there: ops never go back.
    pub fn rows_from(&self, from: usize) -> &[f32] {
        &self.data[from.saturating_sub(self.first) * self.channels..]
    }

    /// The first row that is still there.
    pub fn first(&self) -> usize {
        self.first
    }

    /// All rows that are still there, flat.
    pub fn data(&self) -> &[f32] {
        &self.data
    }

    /// Appends rows.
    pub fn push(&mut self, rows: &[f32]) {
        self.data.extend_from_slice(rows);
    }

    /// Appends rows of zeros up to row `end`, and returns all rows from `from` on to be filled.
    pub fn grow(&mut self, from: usize, end: usize) -> &mut [f32] {
        self.data.resize((end - self.first) * self.channels, 0.0);
        &mut self.data[(from - self.first) * self.channels..]
    }

    /// Says that some op will still read rows from `row` on.
    pub fn keep_from(&mut self, row: usize) {
        self.needed = self.needed.min(row);
    }

    /// Drops the rows that no op will read again.
    pub fn trim(&mut self) {
        let keep = self.needed.clamp(self.first, self.end());
        self.needed = usize::MAX;
        let drop = (keep - self.first) * self.channels;
        if drop > 0 {
            self.data.copy_within(drop.., 0);
            self.data.truncate(self.data.len() - drop);
            self.first = keep;
        }
    }

    /// Bytes that it holds.
    pub fn bytes(&self) -> usize {
        self.data.capacity() * size_of::<f32>()
    }
}
