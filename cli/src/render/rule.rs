//! What turns mels into sound: `--sampler`.

use std::str::FromStr;

use vocoder::griffin_lim::GriffinLim;
use vocoder::render::Polish;
use vocoder::sampler::SamplerKind;

/// What turns mels into sound.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Rule {
    /// A voice's network, by this sampler.
    Network(SamplerKind),
    /// No network, but so many rounds; with a look-ahead in frames, as streams do it.
    GriffinLim { rounds: usize, ahead: Option<usize> },
}

impl FromStr for Rule {
    type Err = vocoder::Error;

    fn from_str(name: &str) -> Result<Self, vocoder::Error> {
        match name {
            "griffin-lim" => {
                Ok(Self::GriffinLim { rounds: GriffinLim::default().iterations, ahead: None })
            }
            _ => match name.strip_prefix("griffin-lim:") {
                Some(numbers) => griffin_lim(numbers).ok_or_else(|| {
                    vocoder::Error::mismatch(
                        "sampler",
                        "griffin-lim:0 to griffin-lim:1000, or griffin-lim:ROUNDS:AHEAD to 100 and 16",
                        name,
                    )
                }),
                None => name.parse().map(Self::Network),
            },
        }
    }
}

fn griffin_lim(numbers: &str) -> Option<Rule> {
    if !numbers.contains(':') {
        let rounds = numbers.parse().ok().filter(|rounds| *rounds <= 1000)?;
        return Some(Rule::GriffinLim { rounds, ahead: None });
    }
    match numbers.parse().ok()? {
        Polish::Frames { rounds, ahead } => Some(Rule::GriffinLim { rounds, ahead: Some(ahead) }),
        Polish::Clip { .. } => None,
    }
}
