//! A polish of whole clips, in blocks with as much context as its rounds look around themselves.

use crate::Result;
use crate::griffin_lim::{GriffinLim, Hold};
use crate::mel::{Mel, MelConfig};

/// Most frames that are waited for before the first are polished. Later more are, up to twice the context,
/// so that most of the work is not spent on this.
const MOST_FRAMES: usize = 64;

/// Polishes sound that arrives in pieces. Its output equals the whole clip's, bit for bit.
pub(in crate::render) struct Blocks {
    config: MelConfig,
    rounds: usize,
    /// Fewest frames that are polished first, while more are to come.
    least: usize,
    /// Frames on either side that a frame's sound depends on.
    reach: usize,
    /// Frames and their sound from frame `kept_from` on.
    mel: Vec<f32>,
    sound: Vec<f32>,
    kept_from: usize,
    /// Frames that were given back.
    done: usize,
}

impl Blocks {
    /// A polish of sound that is rendered `chunk_frames` at a time.
    pub fn new(config: &MelConfig, rounds: usize, chunk_frames: usize) -> Self {
        Self {
            config: config.clone(),
            rounds,
            least: chunk_frames.min(MOST_FRAMES),
            reach: Self::reach(config, rounds),
            mel: Vec::new(),
            sound: Vec::new(),
            kept_from: 0,
            done: 0,
        }
    }

    /// Frames on either side that a frame's sound depends on after `rounds` rounds: in each, a window
    /// to analyse and one to synthesise.
    pub fn reach(config: &MelConfig, rounds: usize) -> usize {
        2 * rounds * config.window.div_ceil(config.hop)
    }

    /// Takes frames `mel` `[frames][n_mels]` and their `sound`, and returns what is polished by now.
    /// `ended`: none will follow.
    ///
    /// # Errors
    /// As [`GriffinLim::render`].
    pub fn push(&mut self, mel: &[f32], sound: Vec<f32>, ended: bool) -> Result<Vec<f32>> {
        self.mel.extend_from_slice(mel);
        self.sound.extend(sound);
        let (hop, bands) = (self.config.hop, self.config.n_mels);
        let known = self.kept_from + self.mel.len() / bands;
        let to = if ended { known } else { known.saturating_sub(self.reach).max(self.done) };
        let least = self.least.max(self.done.min(2 * self.reach));
        if to == self.done || (!ended && to - self.done < least) {
            return Ok(Vec::new());
        }
        let end = (to + self.reach).min(known) - self.kept_from;
        let part = Mel {
            config: self.config.clone(),
            frames: end,
            data: self.mel[..end * bands].to_vec(),
        };
        let search =
            GriffinLim { iterations: self.rounds, hold: Hold::Mel, ..GriffinLim::default() };
        let polished = search.refine(&part, &self.sound[..end * hop])?;
        let from = (self.done - self.kept_from) * hop;
        let out = polished[from..from + (to - self.done) * hop].to_vec();

        self.done = to;
        let keep_from = to.saturating_sub(self.reach).max(self.kept_from);
        self.mel.drain(..(keep_from - self.kept_from) * bands);
        self.sound.drain(..(keep_from - self.kept_from) * hop);
        self.kept_from = keep_from;
        Ok(out)
    }

    pub fn reset(&mut self) {
        self.mel.clear();
        self.sound.clear();
        (self.kept_from, self.done) = (0, 0);
    }
}
