//! What turns mels into sound: `--sampler`.

use std::str::FromStr;

use vocoder::griffin_lim::{GriffinLim, Hold};
use vocoder::render::Polish;
use vocoder::sampler::SamplerKind;

/// What turns mels into sound.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Rule {
    /// A voice's network, by this sampler.
    Network(SamplerKind),
    /// No network, but so many rounds; with a look-ahead in frames, as streams do it.
    GriffinLim { hold: Hold, rounds: usize, ahead: Option<usize> },
}

impl FromStr for Rule {
    type Err = vocoder::Error;

    fn from_str(name: &str) -> Result<Self, vocoder::Error> {
        let (hold, short) = match name.strip_prefix("mel-") {
            Some(short) => (Hold::Mel, short),
            None => (Hold::Magnitudes, name),
        };
        let rounds = GriffinLim::default().iterations;
        match short.strip_prefix("griffin-lim") {
            None => name.parse().map(Self::Network),
            Some("") => Ok(Self::GriffinLim { hold, rounds, ahead: None }),
            Some(numbers) => numbers.strip_prefix(':').and_then(counts).map_or_else(
                || {
                    Err(vocoder::Error::mismatch(
                        "sampler",
                        "griffin-lim:0 to griffin-lim:1000, or griffin-lim:ROUNDS:AHEAD to 100 and 16",
                        name,
                    ))
                },
                |(rounds, ahead)| Ok(Self::GriffinLim { hold, rounds, ahead }),
            ),
        }
    }
}

/// Of `ROUNDS` or `ROUNDS:AHEAD`.
fn counts(numbers: &str) -> Option<(usize, Option<usize>)> {
    if !numbers.contains(':') {
        let rounds = numbers.parse().ok().filter(|rounds| *rounds <= 1000)?;
        return Some((rounds, None));
    }
    match numbers.parse().ok()? {
        Polish::Frames { rounds, ahead } => Some((rounds, Some(ahead))),
        Polish::Clip { .. } => None,
    }
}
