//! Classifier-free guidance (Ho & Salimans 2022, arXiv 2207.12598, eq. 6): away from what the network
//! would predict without a mel, by more than the mel asks for.
//!
//! eps = eps_uncond + w (eps_cond - eps_uncond): w of 1 is the network as it is, more leans on the mel,
//! 0 ignores it. The unconditional prediction is that for a mel of silence, which a voice knows only if
//! a share of its training saw such mels. The prior follows the true mel in both, as in training.
//!
//! Note: the paper writes (1 + w) eps_cond - w eps_uncond, so that its w is ours less 1.

use crate::voice::Voice;
use crate::{Error, Result};

/// Weights above this may over-saturate: predictions of the clean signal leave the range that training
/// has shown, and every later step is asked about signals that it has not seen (Saharia et al. 2022,
/// arXiv 2205.11487, section 2.3, for images; 3 for a vocoder is a caution, not a measurement).
pub const SATURATES: f32 = 3.0;

/// The largest weight that is accepted.
pub const MAX_WEIGHT: f32 = 100.0;

/// A guidance that does something.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Guidance {
    /// w, not 1.
    pub weight: f32,
    /// The value of every band of a mel of silence.
    pub silence: f32,
}

impl Guidance {
    /// What `weight` means for `voice`; none for 1.
    ///
    /// # Errors
    /// A weight below 0 or above [`MAX_WEIGHT`]; a weight other than 1 for a voice that was not trained
    /// with mel dropout.
    pub fn new(voice: &Voice, weight: f32) -> Result<Option<Self>> {
        if !(0.0..=MAX_WEIGHT).contains(&weight) {
            return Err(Error::mismatch("guidance", format!("0 to {MAX_WEIGHT}"), weight));
        }
        if weight == 1.0 {
            return Ok(None);
        }
        if voice.provenance.mel_dropout() <= 0.0 {
            return Err(Error::mismatch(
                format!("guidance of {weight}"),
                "a voice that was trained with `mel_dropout`, and says so",
                "one without, for which only 1 (off) has a meaning",
            ));
        }
        Ok(Some(Self { weight, silence: voice.mel.min_value() }))
    }

    /// Turns the prediction `with` the mel into the guided one, given that `without`.
    pub fn lead(&self, with: &mut [f32], without: &[f32]) {
        for (with, without) in with.iter_mut().zip(without) {
            *with = without + self.weight * (*with - without);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_hand() {
        let lead = |weight| {
            let mut with = [1.0, -2.0, 0.5];
            Guidance { weight, silence: 0.0 }.lead(&mut with, &[0.0, -1.0, 0.5]);
            with
        };
        assert_eq!(lead(0.0), [0.0, -1.0, 0.5]);
        assert_eq!(lead(1.0), [1.0, -2.0, 0.5]);
        // 0 + 3 (1 - 0); -1 + 3 (-2 + 1); 0.5 + 3 * 0.
        assert_eq!(lead(3.0), [3.0, -4.0, 0.5]);
    }
}
