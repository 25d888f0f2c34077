//! A polish of whole clips, segment by segment, so that however many rounds it has, memory is bounded, and
//! so is the wait for what a stream of mels gives.

use crate::Result;
use crate::griffin_lim::{GriffinLim, Hold};
use crate::mel::{Mel, MelConfig};

/// Frames of a segment: 6.4 s of the paper's. The first begins with the clip, each goes on where the one
/// before ends.
pub(super) const SEGMENT: usize = 512;

/// Frames that are searched with a segment, for its end's sake, and again with the next. What is searched
/// in so many frames and given up costs an eighth more; each end of a search is heard as far as its rounds
/// carry it in theory, two windows a round, in practice in few frames.
pub(super) const AHEAD: usize = 64;

/// Polishes sound that arrives in pieces. Its output equals the whole clip's, bit for bit: segments lie where
/// they lie, whatever the pieces.
pub(in crate::render) struct Segments {
    config: MelConfig,
    rounds: usize,
    trials: usize,
    /// Frames before a segment whose windows reach into it.
    context: usize,
    /// Of the frames from those before the next segment on: their mel, and their sound, polished where it is
    /// settled.
    mel: Vec<f32>,
    sound: Vec<f32>,
    /// How many of them are settled.
    settled: usize,
}

impl Segments {
    /// A polish of `rounds` rounds after so many sweeps of `trials`.
    pub fn new(config: &MelConfig, rounds: usize, trials: usize) -> Self {
        Self {
            config: config.clone(),
            rounds,
            trials,
            context: config.window.div_ceil(config.hop),
            mel: Vec::new(),
            sound: Vec::new(),
            settled: 0,
        }
    }

    /// Takes frames `mel` `[frames][n_mels]` and their `sound`, and returns what is polished by now.
    /// `ended`: none will follow.
    ///
    /// # Errors
    /// As [`GriffinLim::render`].
    pub fn push(&mut self, mel: &[f32], sound: Vec<f32>, ended: bool) -> Result<Vec<f32>> {
        self.mel.extend_from_slice(mel);
        self.sound.extend(sound);
        let mut out = Vec::new();
        loop {
            let new = self.mel.len() / self.config.n_mels - self.settled;
            if new >= SEGMENT + AHEAD {
                self.settle(SEGMENT, AHEAD, &mut out)?;
            } else if ended && new > 0 {
                self.settle(new, 0, &mut out)?;
            } else {
                return Ok(out);
            }
        }
    }

    /// Settles the next `frames`, searched with `ahead` frames after them, and appends their sound to `out`.
    fn settle(&mut self, frames: usize, ahead: usize, out: &mut Vec<f32>) -> Result<()> {
        let (hop, bands) = (self.config.hop, self.config.n_mels);
        let (to, end) = (self.settled + frames, self.settled + frames + ahead);
        let (config, data) = (self.config.clone(), self.mel[..end * bands].to_vec());
        let part = Mel { config, frames: end, data };
        let search = GriffinLim {
            iterations: self.rounds,
            trials: self.trials,
            hold: Hold::Mel,
            ..GriffinLim::default()
        };
        let found = search.refine_after(&part, &self.sound[..end * hop], self.settled * hop)?;
        let settled = self.settled * hop..to * hop;
        self.sound[settled.clone()].copy_from_slice(&found[settled.clone()]);
        out.extend_from_slice(&self.sound[settled]);

        self.settled = to.min(self.context);
        self.mel.drain(..(to - self.settled) * bands);
        self.sound.drain(..(to - self.settled) * hop);
        Ok(())
    }

    pub fn reset(&mut self) {
        self.mel.clear();
        self.sound.clear();
        self.settled = 0;
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::mel::MelExtractor;
    use crate::noise::Noise;

    /// A glide of 15 s and its mel, and the same glide under noise.
    fn clip() -> (Mel, Vec<f32>, Vec<f32>) {
        let config = MelConfig::default();
        let mut noise = vec![0.0; 15 * config.sample_rate as usize];
        Noise::new(1).fill(0, 0, &mut noise);
        let mut phase = 0.0;
        let glide = |i: usize| {
            let t = i as f64 / f64::from(config.sample_rate);
            phase += std::f64::consts::TAU * (140.0 + 30.0 * (1.3 * t).sin()) / 24e3;
            (1..20).map(|h| 0.2 * (f64::from(h) * phase).sin() / f64::from(h)).sum::<f64>() as f32
        };
        let mut clean: Vec<f32> = (0..noise.len()).map(glide).collect();
        let mel = MelExtractor::new(&config).unwrap().extract(&clean).unwrap();
        clean.resize(mel.frames * config.hop, 0.0);
        noise.resize(clean.len(), 0.0);
        let noisy = clean.iter().zip(&noise).map(|(x, n)| x + 0.02 * n).collect();
        (mel, clean, noisy)
    }

    /// Polishes `sound` in pieces of `frames`.
    fn in_pieces(mel: &Mel, sound: &[f32], frames: usize, trials: usize) -> Vec<f32> {
        let mut segments = Segments::new(&mel.config, 4, trials);
        let (bands, hop) = (mel.config.n_mels, mel.config.hop);
        let mut out = Vec::new();
        for first in (0..mel.frames).step_by(frames) {
            let to = (first + frames).min(mel.frames);
            let values = &mel.data[first * bands..to * bands];
            let piece = sound[first * hop..to * hop].to_vec();
            out.extend(segments.push(values, piece, to == mel.frames).unwrap());
        }
        out
    }

    #[test]
    fn pieces_give_the_same_bits_and_seams_are_not_heard() {
        let (mel, clean, noisy) = clip();
        let hop = mel.config.hop;
        assert!(mel.frames > 2 * SEGMENT);
        let whole = in_pieces(&mel, &noisy, mel.frames, 0);
        let tried = in_pieces(&mel, &noisy, mel.frames, 1);
        assert_eq!((whole.len(), tried.len()), (noisy.len(), noisy.len()));
        assert_ne!(whole, tried);
        for frames in [7, SEGMENT, SEGMENT + AHEAD] {
            assert_eq!(in_pieces(&mel, &noisy, frames, 0), whole, "pieces of {frames} frames");
            assert_eq!(in_pieces(&mel, &noisy, frames, 1), tried, "pieces of {frames} frames");
        }
        // Off by as much around a seam as in the middle between two.
        let error = |frame: usize| -> f32 {
            let range = (frame - 8) * hop..(frame + 8) * hop;
            range.map(|i| (whole[i] - clean[i]).powi(2)).sum()
        };
        let step = |i: usize| ((whole[i] - clean[i]) - (whole[i - 1] - clean[i - 1])).abs();
        for seam in [SEGMENT, 2 * SEGMENT] {
            let usual = error(seam - SEGMENT / 2);
            assert!(error(seam) < 2.0 * usual, "{} and {usual}", error(seam));
            let at = seam * hop;
            let most = (at - 4000..at - 2000).map(step).fold(0.0, f32::max);
            assert!(step(at) <= most, "{} and {most}", step(at));
            // Trials go on from what is settled: no click, either.
            let step = |i: usize| (tried[i] - tried[i - 1]).abs();
            let most = (at - 4000..at - 2000).map(step).fold(0.0, f32::max);
            assert!(step(at) <= most, "{} and {most} after trials", step(at));
        }
    }

    #[test]
    fn segments_come_as_soon_as_they_can_and_memory_is_bounded() {
        let (mel, _, noisy) = clip();
        let (bands, hop) = (mel.config.n_mels, mel.config.hop);
        let mut segments = Segments::new(&mel.config, 1, 0);
        let mut given = 0;
        for frame in 0..mel.frames {
            let values = &mel.data[frame * bands..(frame + 1) * bands];
            let piece = noisy[frame * hop..(frame + 1) * hop].to_vec();
            given += segments.push(values, piece, false).unwrap().len() / hop;
            assert_eq!(given, (frame + 1).saturating_sub(AHEAD) / SEGMENT * SEGMENT);
            assert!(segments.mel.len() / bands <= SEGMENT + AHEAD + segments.context);
            assert!(segments.sound.len() / hop <= SEGMENT + AHEAD + segments.context);
        }
        segments.reset();
        assert!(segments.push(&[], Vec::new(), true).unwrap().is_empty());
    }
}
