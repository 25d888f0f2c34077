//! What turns mels into sound: `--sampler`.

use std::str::FromStr;

use vocoder::griffin_lim::GriffinLim;
use vocoder::sampler::SamplerKind;

/// What turns mels into sound.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Rule {
    /// A voice's network, by this sampler.
    Network(SamplerKind),
    /// No network, but so many rounds.
    GriffinLim(usize),
}

impl FromStr for Rule {
    type Err = vocoder::Error;

    fn from_str(name: &str) -> Result<Self, vocoder::Error> {
        match name {
            "griffin-lim" => Ok(Self::GriffinLim(GriffinLim::default().iterations)),
            _ => match name.strip_prefix("griffin-lim:").map(str::parse) {
                Some(Ok(rounds @ 0..=1000)) => Ok(Self::GriffinLim(rounds)),
                Some(_) => Err(vocoder::Error::mismatch(
                    "sampler",
                    "griffin-lim:0 to griffin-lim:1000",
                    name,
                )),
                None => name.parse().map(Self::Network),
            },
        }
    }
}
