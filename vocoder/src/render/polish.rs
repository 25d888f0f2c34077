//! The last touch: the network's phases, magnitudes that give the mel.
//!
//! A chain of few steps ends a little off the mel that it was given: too soft, and with noise left
//! between the harmonics. Its phases are what a network is for. Rounds of Griffin-Lim that begin with
//! the rendered sound keep these and [move](Hold::Mel) its magnitudes until they give the mel. For whole clips
//! trials may come first, which look for other phases in the low band.

mod segments;

use std::fmt;
use std::str::FromStr;

use crate::griffin_lim::{Hold, Online};
use crate::mel::{Mel, MelConfig};
use crate::voice::{MAX_POLISH, Voice};
use crate::{Error, Result};
use segments::{AHEAD, SEGMENT, Segments};

/// Most rounds a frame, and frames that it looks ahead, of a polish of frames.
const MAX_FRAME_ROUNDS: usize = 100;
const MAX_AHEAD: usize = 16;

/// What follows the chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Polish {
    /// Over the whole clip, segments of 512 frames at a time, as `ROUNDS` or `ROUNDS+TRIALS` says it; 0 leaves
    /// the bare chain. For files: streams wait for a segment.
    Clip {
        /// Rounds of Griffin-Lim.
        rounds: usize,
        /// Sweeps of trials in the low band before them ([`GriffinLim::trials`]).
        ///
        /// [`GriffinLim::trials`]: crate::griffin_lim::GriffinLim::trials
        trials: usize,
    },
    /// Frame by frame, as `ROUNDS:AHEAD` says it: for streams.
    Frames {
        /// Rounds of Griffin-Lim a frame.
        rounds: usize,
        /// Frames after it that are searched with it.
        ahead: usize,
    },
}

impl Polish {
    /// The bare chain.
    pub const NONE: Self = Self::Clip { rounds: 0, trials: 0 };

    /// What follows the chain of `voice` by default.
    pub fn of_voice(voice: &Voice) -> Self {
        Self::Clip { rounds: voice.polish, trials: voice.trials }
    }

    /// Frames after a sample's own whose mel the polish waits for, where the chain waits for `chain`;
    /// `lag` is [`Polisher::new`]'s.
    pub(super) fn waits(self, mel: &MelConfig, chain: usize, lag: usize) -> usize {
        match self {
            Self::Clip { rounds: 0, .. } => chain,
            // A segment's first frame waits for all of it.
            Self::Clip { .. } => chain + SEGMENT + AHEAD - 1,
            // The chain's sound is looked for as late as the mel, less the lag that it has anyway.
            Self::Frames { ahead, .. } => Online::reach(mel, ahead) + chain - lag,
        }
    }
}

impl fmt::Display for Polish {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Clip { rounds, trials: 0 } => write!(f, "{rounds}"),
            Self::Clip { rounds, trials } => write!(f, "{rounds}+{trials}"),
            Self::Frames { rounds, ahead } => write!(f, "{rounds}:{ahead}"),
        }
    }
}

impl FromStr for Polish {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let number = |text: &str, most| text.parse().ok().filter(|n| *n <= most);
        let polish = if let Some((rounds, ahead)) = text.split_once(':') {
            let rounds = number(rounds, MAX_FRAME_ROUNDS).zip(number(ahead, MAX_AHEAD));
            rounds.map(|(rounds, ahead)| Self::Frames { rounds, ahead })
        } else {
            let (rounds, trials) = text.split_once('+').unwrap_or((text, "0"));
            let rounds = number(rounds, MAX_POLISH).zip(number(trials, MAX_POLISH));
            // What trials leave is for rounds to smooth.
            let rounds = rounds.filter(|(rounds, trials)| *rounds > 0 || *trials == 0);
            rounds.map(|(rounds, trials)| Self::Clip { rounds, trials })
        };
        polish.ok_or_else(|| {
            let expected = format!(
                "ROUNDS or ROUNDS+TRIALS to {MAX_POLISH}, trials before at least one round, or \
                 ROUNDS:AHEAD to {MAX_FRAME_ROUNDS} and {MAX_AHEAD}"
            );
            Error::mismatch("polish", expected, format!("`{text}`"))
        })
    }
}

/// Polishes sound that arrives in pieces. Its output does not depend on the pieces, bit for bit.
pub(super) enum Polisher {
    Nothing,
    Clip(Segments),
    Frames(Box<Online>),
}

impl Polisher {
    /// A polisher of sound that comes `lag` frames after its mel at least.
    pub fn new(config: &MelConfig, polish: Polish, lag: usize) -> Self {
        match polish {
            Polish::Clip { rounds: 0, .. } => Self::Nothing,
            Polish::Clip { rounds, trials } => Self::Clip(Segments::new(config, rounds, trials)),
            Polish::Frames { rounds, ahead } => {
                Self::Frames(Box::new(Online::new(config, rounds, ahead, lag, Hold::Mel)))
            }
        }
    }

    /// Takes the `sound` of the next frames, the first of which is frame `first` of `mel`, and returns what
    /// is polished by now. `mel` may know more frames after them. `ended`: no sound will follow.
    ///
    /// # Errors
    /// As [`GriffinLim::render`](crate::griffin_lim::GriffinLim::render).
    pub fn push(
        &mut self,
        mel: &Mel,
        first: usize,
        sound: Vec<f32>,
        ended: bool,
    ) -> Result<Vec<f32>> {
        let (hop, bands) = (mel.config.hop, mel.config.n_mels);
        let frames = sound.len() / hop;
        match self {
            Self::Nothing => Ok(sound),
            Self::Clip(segments) => {
                let mel = &mel.data[first * bands..(first + frames) * bands];
                segments.push(mel, sound, ended)
            }
            Self::Frames(online) => {
                // What is known beyond the lag depends on the pieces.
                let from = first + online.surplus();
                let to = (first + frames + online.lag()).min(mel.frames).max(from);
                let mut out = Vec::with_capacity(sound.len());
                online.push(&mel.data[from * bands..to * bands], &sound, ended, &mut out);
                Ok(out)
            }
        }
    }

    pub fn reset(&mut self) {
        match self {
            Self::Nothing => {}
            Self::Clip(segments) => segments.reset(),
            Self::Frames(online) => online.reset(),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_polish_reads_back_and_nonsense_is_refused() {
        for text in ["0", "16", "10000", "24:1", "100:16", "300+60", "1+10000"] {
            assert_eq!(text.parse::<Polish>().unwrap().to_string(), text);
        }
        for text in [
            "", "-1", "10001", "101:1", "8:17", "8:", ":1", "1:2:3", "many", "0+5", "5+", "+5",
            "5+10001", "5+2:1", "5+-1",
        ] {
            assert!(text.parse::<Polish>().is_err(), "{text}");
        }
    }

    #[test]
    fn how_long_a_frame_waits_by_hand() {
        let mel = MelConfig::default();
        let frames = |ahead| Polish::Frames { rounds: 8, ahead };
        // Half a window is two hops; synthesis begins one of them late. A network that waits for one
        // frame has told the sound by then.
        assert_eq!(frames(0).waits(&mel, 1, 1), 1);
        assert_eq!(frames(2).waits(&mel, 1, 1), 3);
        // One that sees 5 frames of the signal ahead has no lag to give.
        assert_eq!(frames(0).waits(&mel, 5, 0), 6);
        assert_eq!(Polish::Clip { rounds: 2, trials: 1 }.waits(&mel, 1, 1), 1 + 575);
        assert_eq!(Polish::NONE.waits(&mel, 3, 0), 3);
    }
}
