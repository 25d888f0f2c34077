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
    /// No network, but so many rounds of a search held to this: over whole clips, or frame by frame as
    /// streams do it.
    GriffinLim { hold: Hold, search: Polish },
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
            Some("") => {
                Ok(Self::GriffinLim { hold, search: Polish::Clip { rounds, trials: 0 } })
            }
            Some(numbers) => numbers.strip_prefix(':').and_then(|n| counts(n, hold)).map_or_else(
                || {
                    Err(vocoder::Error::mismatch(
                        "sampler",
                        "griffin-lim:0 to griffin-lim:1000, griffin-lim:ROUNDS:AHEAD to 100 and 16, or \
                         mel-griffin-lim:ROUNDS+TRIALS",
                        name,
                    ))
                },
                |search| Ok(Self::GriffinLim { hold, search }),
            ),
        }
    }
}

/// Of `ROUNDS`, `ROUNDS:AHEAD` or, held to the mel, `ROUNDS+TRIALS`.
fn counts(numbers: &str, hold: Hold) -> Option<Polish> {
    numbers.parse().ok().filter(|search| match search {
        Polish::Clip { rounds, trials } => *rounds <= 1000 && (*trials == 0 || hold == Hold::Mel),
        Polish::Frames { .. } => true,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn searches_are_told_from_samplers_and_nonsense_is_refused() {
        let of = |name: &str| name.parse::<Rule>();
        let search =
            |hold, polish: &str| Rule::GriffinLim { hold, search: polish.parse().unwrap() };
        assert_eq!(of("ddim").unwrap(), Rule::Network("ddim".parse().unwrap()));
        assert_eq!(of("griffin-lim").unwrap(), search(Hold::Magnitudes, "32"));
        assert_eq!(of("griffin-lim:0").unwrap(), search(Hold::Magnitudes, "0"));
        assert_eq!(of("mel-griffin-lim:24:1").unwrap(), search(Hold::Mel, "24:1"));
        assert_eq!(of("mel-griffin-lim:300+80").unwrap(), search(Hold::Mel, "300+80"));
        for bad in [
            "griffin-lim:5+1",
            "griffin-lim:1001",
            "mel-griffin-lim:0+1",
            "mel-griffin-lim:",
            "griffin-lim:1:17",
            "mel-ddim",
            "griffin",
        ] {
            assert!(of(bad).is_err(), "{bad}");
        }
    }
}
