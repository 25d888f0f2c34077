//! Audio to mel as it arrives.

use super::MelConfig;
use super::extractor::{Clip, MelExtractor, check_finite, check_length};
use crate::Result;

/// Gives the frames of [`MelExtractor::extract`], bit for bit, from audio that arrives in pieces of
/// any size. A frame comes out once the last sample under its window is in, see
/// [`MelConfig::look_ahead`]; memory stays at about one transform's length beyond the largest piece.
pub struct MelStream {
    extractor: MelExtractor,
    /// The newest samples; `kept[0]` is the stream's sample `first`.
    kept: Vec<f32>,
    first: usize,
    next_frame: usize,
}

impl MelStream {
    /// A stream under `config`.
    ///
    /// # Errors
    /// A config that [`MelConfig::validate`] refuses.
    pub fn new(config: &MelConfig) -> Result<Self> {
        let extractor = MelExtractor::new(config)?;
        Ok(MelStream { extractor, kept: Vec::new(), first: 0, next_frame: 0 })
    }

    /// The settings.
    pub fn config(&self) -> &MelConfig {
        self.extractor.config()
    }

    /// Takes `samples` and returns the frames that are complete, `[frames][n_mels]`.
    ///
    /// # Errors
    /// A sample that is not a finite number; nothing of this piece is taken then.
    pub fn push(&mut self, samples: &[f32]) -> Result<Vec<f32>> {
        check_finite(samples, self.total())?;
        self.kept.extend_from_slice(samples);
        let complete = self.complete_frames();
        let frames = self.frames_up_to(complete);
        self.forget();
        Ok(frames)
    }

    /// Forgets the stream: the next sample is the first of another.
    pub fn reset(&mut self) {
        self.kept.clear();
        (self.first, self.next_frame) = (0, 0);
    }

    /// Ends the stream: the remaining frames, whose end lies in the padding.
    ///
    /// # Errors
    /// A stream without any frame: see [`MelExtractor::extract`].
    pub fn finish(mut self) -> Result<Vec<f32>> {
        check_length(self.config(), self.total())?;
        let frames = self.config().frames(self.total());
        Ok(self.frames_up_to(frames))
    }

    /// Samples taken so far.
    fn total(&self) -> usize {
        self.first + self.kept.len()
    }

    /// Frames that no later sample can change. Frame 0's window may reach to the left of sample 0,
    /// so the sample that its first one mirrors has to be in as well.
    fn complete_frames(&self) -> usize {
        let (config, total) = (self.config(), self.total());
        let mirrored = config.pad().saturating_sub(config.margin());
        match total.checked_sub(config.look_ahead()) {
            Some(room) if total > mirrored => room / config.hop + 1,
            _ => 0,
        }
    }

    fn frames_up_to(&mut self, end: usize) -> Vec<f32> {
        let n_mels = self.config().n_mels;
        let count = end.saturating_sub(self.next_frame);
        let mut out = vec![0.0; count * n_mels];
        let clip = Clip { samples: &self.kept, first: self.first, total: self.total() };
        for (offset, frame) in out.chunks_mut(n_mels).enumerate() {
            self.extractor.frame(clip, self.next_frame + offset, frame);
        }
        self.next_frame += count;
        out
    }

    /// Drops what neither the next frame nor the mirror image at the end can need.
    fn forget(&mut self) {
        let config = self.config();
        let next_start = (self.next_frame * config.hop).saturating_sub(config.pad());
        let mirror_start = self.total().saturating_sub(config.n_fft / 2 + 1);
        let keep_from = next_start.min(mirror_start).max(self.first);
        self.kept.drain(..keep_from - self.first);
        self.first = keep_from;
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;
    use crate::mel::{MelNorm, MelPadding};

    fn small(padding: MelPadding, window: usize) -> MelConfig {
        MelConfig {
            sample_rate: 8_000,
            n_mels: 10,
            n_fft: 64,
            window,
            hop: 16,
            f_min_hz: 50.0,
            f_max_hz: 4_000.0,
            norm: MelNorm::None,
            padding,
            ..MelConfig::default()
        }
    }

    fn streamed(config: &MelConfig, clip: &[f32], pieces: &[usize]) -> Result<Vec<f32>> {
        let mut stream = MelStream::new(config)?;
        let (mut out, mut rest) = (Vec::new(), clip);
        for &piece in pieces.iter().cycle() {
            if rest.is_empty() {
                break;
            }
            let (head, tail) = rest.split_at(piece.min(rest.len()));
            out.extend(stream.push(head)?);
            rest = tail;
            assert!(stream.kept.len() <= piece + 2 * config.n_fft, "memory grows");
        }
        out.extend(stream.finish()?);
        Ok(out)
    }

    proptest! {
        #[test]
        fn any_pieces_give_the_whole_clips_frames(
            clip in prop::collection::vec(-1.0f32..1.0, 1..700),
            pieces in prop::collection::vec(1usize..200, 1..6),
            hifi_gan: bool,
            short_window: bool,
        ) {
            let padding = if hifi_gan { MelPadding::HifiGan } else { MelPadding::Centre };
            let config = small(padding, if short_window { 40 } else { 64 });
            let whole = MelExtractor::new(&config).unwrap().extract(&clip);
            match (streamed(&config, &clip, &pieces), whole) {
                (Ok(frames), Ok(mel)) => prop_assert_eq!(frames, mel.data),
                (frames, mel) => prop_assert!(frames.is_err() && mel.is_err()),
            }
        }
    }

    #[test]
    fn an_empty_stream_is_an_error_and_a_bad_piece_is_not_taken() {
        let config = small(MelPadding::Centre, 64);
        assert!(MelStream::new(&config).unwrap().finish().is_err());
        let mut stream = MelStream::new(&config).unwrap();
        stream.push(&[0.5; 10]).unwrap();
        let message = stream.push(&[0.0, f32::INFINITY]).unwrap_err().to_string();
        assert!(message.contains("sample 11"), "{message}");
        assert_eq!(stream.total(), 10);
    }
}
