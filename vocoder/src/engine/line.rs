//! A signal on its way through the network: the rows that somebody still needs.

/// Rows of `channels` values from row `first` of the clip on. Ops append rows at the end; what no op
/// will read again is dropped from the front.
#[derive(Debug, Default)]
pub(super) struct Line {
    channels: usize,
    first: usize,
    /// Rows that are there.
    rows: usize,
    /// The rows, and behind them room that is not cleared before it is used again.
    data: Vec<f32>,
    /// What is kept while the buffer of `data` is lent to other lines: see [`Line::unpack`].
    packed: Vec<f32>,
    /// The first row that an op will still read; `usize::MAX` while none has said so.
    needed: usize,
}

impl Line {
    pub fn new(channels: usize) -> Self {
        Self { channels, needed: usize::MAX, ..Self::default() }
    }

    /// Forgets all rows: the next one appended is row 0.
    pub fn reset(&mut self) {
        self.packed.clear();
        (self.first, self.rows) = (0, 0);
    }

    pub fn channels(&self) -> usize {
        self.channels
    }

    /// The first row that is still there.
    pub fn first(&self) -> usize {
        self.first
    }

    /// The row after the last.
    pub fn end(&self) -> usize {
        self.first + self.rows
    }

    /// All rows that are still there, flat.
    pub fn data(&self) -> &[f32] {
        &self.data[..self.rows * self.channels]
    }

    /// The rows from `from` on, flat. All of them are still there: ops never go back.
    pub fn rows_from(&self, from: usize) -> &[f32] {
        &self.data()[from.saturating_sub(self.first) * self.channels..]
    }

    /// Appends rows.
    pub fn push(&mut self, rows: &[f32]) {
        let end = self.end();
        self.grow(end, end + rows.len() / self.channels).copy_from_slice(rows);
    }

    /// Appends rows up to row `end`, whatever their values, and returns all from `from` on to be filled.
    pub fn grow(&mut self, from: usize, end: usize) -> &mut [f32] {
        self.rows = end - self.first;
        let len = self.rows * self.channels;
        if self.data.len() < len {
            self.data.resize(len, 0.0);
        }
        &mut self.data[(from - self.first) * self.channels..len]
    }

    /// Says that some op will still read rows from `row` on.
    pub fn keep_from(&mut self, row: usize) {
        self.needed = self.needed.min(row);
    }

    /// The first row that some op will still read, as far as ops have said so.
    pub fn needed(&self) -> usize {
        self.needed
    }

    /// Goes back to what ops had [said](Line::needed) before.
    pub fn need(&mut self, row: usize) {
        self.needed = row;
    }

    /// Drops the rows that no op will read again.
    pub fn trim(&mut self) {
        let kept = self.forget();
        self.data.copy_within(kept, 0);
    }

    /// Takes the line's rows into `buffer`, which it then works in. A pass over a block needs room for
    /// the block's rows; between passes only the few rows that are kept matter, so lines that are not in
    /// use at the same time share one large buffer, and it stays in the cache.
    pub fn unpack(&mut self, buffer: &mut Vec<f32>) {
        std::mem::swap(&mut self.data, buffer);
        if self.data.len() < self.packed.len() {
            self.data.resize(self.packed.len(), 0.0);
        }
        self.data[..self.packed.len()].copy_from_slice(&self.packed);
    }

    /// Drops what no op will read again, keeps the rest in a small buffer, and gives the large one back.
    pub fn pack(&mut self, buffer: &mut Vec<f32>) {
        let kept = self.forget();
        self.packed.clear();
        self.packed.extend_from_slice(&self.data[kept]);
        std::mem::swap(&mut self.data, buffer);
    }

    /// Bytes that it holds.
    pub fn bytes(&self) -> usize {
        (self.data.capacity() + self.packed.capacity()) * size_of::<f32>()
    }

    /// Moves `first` to the first row that is needed, and returns where the kept rows lie in `data`.
    fn forget(&mut self) -> std::ops::Range<usize> {
        let keep = self.needed.clamp(self.first, self.end());
        self.needed = usize::MAX;
        let kept = (keep - self.first) * self.channels..self.rows * self.channels;
        self.rows -= keep - self.first;
        self.first = keep;
        kept
    }
}
