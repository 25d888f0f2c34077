//! Where the chain starts: `--start`.

use std::str::FromStr;

use vocoder::griffin_lim::GriffinLim;
use vocoder::start::Start;
use vocoder::voice::Voice;

/// Level to which Griffin-Lim's sound is noised where neither --start nor the voice says.
const DEFAULT_LEVEL: f64 = 0.9;

/// A start as the user names it: what is left out is the voice's own.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Choice {
    /// Pure noise.
    Noise,
    /// Griffin-Lim's sound of the same mel.
    GriffinLim {
        /// The first noise level.
        level: Option<f64>,
        /// Rounds of Griffin-Lim.
        rounds: Option<usize>,
    },
}

/// The start that `choice` means for `voice`: its own where none is named.
pub fn of_voice(choice: Option<Choice>, voice: &Voice) -> Start {
    choice.map_or(voice.start, |choice| choice.of_own(voice.start))
}

impl Choice {
    /// The start that this means for a voice whose own start is `own`.
    fn of_own(self, own: Start) -> Start {
        let Self::GriffinLim { level, rounds } = self else { return Start::Noise };
        let (own_level, own_rounds) = match own {
            Start::GriffinLim { level, iterations } => (level, iterations),
            Start::Noise | Start::Given => (DEFAULT_LEVEL, GriffinLim::default().iterations),
        };
        Start::GriffinLim {
            level: level.unwrap_or(own_level),
            iterations: rounds.unwrap_or(own_rounds),
        }
    }
}

impl FromStr for Choice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "expected noise, griffin-lim, griffin-lim:LEVEL or griffin-lim:LEVEL:ROUNDS with a \
                 level between 0 and 1 and at most 1000 rounds, got '{text}'"
            )
        };
        let mut parts = text.split(':');
        let name = parts.next();
        let level: Option<f64> = parts.next().map(str::parse).transpose().map_err(|_| wrong())?;
        let rounds: Option<usize> =
            parts.next().map(str::parse).transpose().map_err(|_| wrong())?;
        let choice = match name {
            Some("noise") if level.is_none() => Self::Noise,
            Some("griffin-lim") if parts.next().is_none() => Self::GriffinLim { level, rounds },
            _ => return Err(wrong()),
        };
        choice.of_own(Start::Noise).validate().map_err(|_| wrong())?;
        Ok(choice)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn what_is_left_out_is_the_voices_own() {
        let own = Start::GriffinLim { level: 0.7, iterations: 64 };
        let start = |text: &str, own| text.parse::<Choice>().unwrap().of_own(own);
        let expected = |level, iterations| Start::GriffinLim { level, iterations };
        assert_eq!(start("noise", own), Start::Noise);
        assert_eq!(start("griffin-lim", own), own);
        assert_eq!(start("griffin-lim:0.5", own), expected(0.5, 64));
        assert_eq!(start("griffin-lim:0.5:100", own), expected(0.5, 100));
        assert_eq!(start("griffin-lim", Start::Noise), expected(0.9, 32));
        assert_eq!(start(&own.to_string(), Start::Noise), own);
    }

    #[test]
    fn wrong_ones_are_refused() {
        for wrong in [
            "",
            "griffin",
            "noise:0.5",
            "griffin-lim:",
            "griffin-lim:1",
            "griffin-lim:0",
            "griffin-lim:x",
            "griffin-lim:0.5:1001",
            "griffin-lim:0.5:-1",
            "griffin-lim:0.5:8:9",
            "griffin-lim:NaN",
        ] {
            assert!(wrong.parse::<Choice>().unwrap_err().contains("expected noise"), "{wrong}");
        }
    }
}
