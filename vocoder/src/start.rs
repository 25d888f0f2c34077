//! Where the chain starts: in noise, or part-way down from a signal that is already near.
//!
//! WaveGrad starts from pure noise. A sound that has the right spectrum but poor phases, such as
//! Griffin-Lim's, can replace the first part of the chain: noised to a level at which its faults
//! drown but its merits don't, it is a fair sample of that level, and the network takes it from
//! there (SDEdit, Meng et al. 2022, arXiv 2108.01073, section 3.2). At level l the start is
//! l g + sigma e, g the whitened guide (see [`prior`](crate::prior)): its variance is that of the
//! level, so the network is told the truth about it.

use std::fmt;
use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::griffin_lim::{GriffinLim, Hold};
use crate::mel::{Mel, MelConfig};
use crate::prior::{Memory, Prior};
use crate::schedule::sigma;
use crate::{Error, Result};

/// The limit of the whitened guide: as far as the pulses of a voice go. At the abrupt beginning of a
/// clip, where the prior's filter remembers nothing yet, it would reach 50 and more, which no network
/// has seen: one was seen to answer with 1600, a burst 20 dB above the clip.
const GUIDE_PEAK: f32 = 10.0;

/// Where the chain starts, as a voice file says it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Start {
    /// Unit noise of the prior (WaveGrad, Algorithm 2).
    #[default]
    Noise,
    /// Fast Griffin-Lim's sound of the same mel, noised to the schedule's first level.
    GriffinLim {
        /// Rounds of Griffin-Lim.
        iterations: usize,
        /// The first level of schedules that were not learned for this start, in (0, 1).
        level: f64,
    },
    /// A sound that the caller has, whitened, noised to the schedule's first level: see
    /// [`Renderer::push_given`](crate::render::Renderer::push_given). No voice file asks for it.
    #[serde(skip)]
    Given,
}

impl fmt::Display for Start {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Noise => f.write_str("noise"),
            Self::Given => f.write_str("given"),
            Self::GriffinLim { iterations, level } => write!(f, "griffin-lim:{level}:{iterations}"),
        }
    }
}

impl Start {
    /// Checks the range.
    ///
    /// # Errors
    /// More than 1000 iterations, a level outside (0, 1).
    pub fn validate(&self) -> Result<()> {
        match self {
            Self::GriffinLim { iterations, level }
                if *iterations > 1000 || !(*level > 0.0 && *level < 1.0) =>
            {
                Err(Error::config(
                    "start",
                    format!(
                        "expected at most 1000 iterations and a level between 0 and 1, got \
                         {iterations} and {level}"
                    ),
                ))
            }
            _ => Ok(()),
        }
    }

    /// Whether schedules that were learned for `other` serve this start: they differ in level at
    /// most, which a schedule has of its own.
    pub fn shares_schedules(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Noise, Self::Noise) => true,
            (Self::GriffinLim { iterations: a, .. }, Self::GriffinLim { iterations: b, .. }) => {
                a == b
            }
            _ => false,
        }
    }

    /// Frames beside a sample's own, on either side, that its start depends on.
    pub fn reach(&self, mel: &MelConfig) -> usize {
        match self {
            Self::Noise | Self::Given => 0,
            // One more frame before fills the memory of the prior's filter.
            Self::GriffinLim { iterations, .. } => GriffinLim::reach(*iterations, mel) + 1,
        }
    }

    /// Turns noise `signal` into the start of the chain at `level`, in place, for `frames` of `mel`, whose frame 0 is frame `first` of the clip. `seed` fixes the guide's phases.
    ///
    /// Equal, bit for bit, for any mel that holds the same [`Start::reach`] around `frames`.
    ///
    /// # Errors
    /// As [`Prior::whiten`] and [`GriffinLim::render`].
    pub fn apply(
        &self,
        prior: &Prior,
        mel: &Mel,
        first: usize,
        frames: Range<usize>,
        (level, seed): (f64, u64),
        signal: &mut [f32],
    ) -> Result<()> {
        let Self::GriffinLim { iterations, .. } = *self else { return Ok(()) };
        let reach = self.reach(&mel.config);
        let known = frames.start.saturating_sub(reach)..(frames.end + reach).min(mel.frames);
        let (hop, bands) = (mel.config.hop, mel.config.n_mels);
        let part = Mel {
            config: mel.config.clone(),
            frames: known.len(),
            data: mel.data[known.start * bands..known.end * bands].to_vec(),
        };
        let search = GriffinLim { iterations, seed, hold: Hold::Mel, ..GriffinLim::default() };
        let sound = search.render_from(&part, first + known.start)?;

        let lead = (frames.start - known.start).min(1);
        let shaped = frames.start - lead..frames.end;
        let from = (shaped.start - known.start) * hop;
        let mut guide = sound[from..from + shaped.len() * hop].to_vec();
        prior.whiten(mel, shaped, &mut Memory::default(), &mut guide)?;
        mix(&guide[lead * hop..], level, signal);
        Ok(())
    }
}

/// Noises the whitened `guide` to `level`: the noise is in `signal`, which becomes the chain's start.
pub(crate) fn mix(guide: &[f32], level: f64, signal: &mut [f32]) {
    let (alpha, noise) = (level as f32, sigma(level) as f32);
    for (value, guide) in signal.iter_mut().zip(guide) {
        *value = alpha * guide.clamp(-GUIDE_PEAK, GUIDE_PEAK) + noise * *value;
    }
}
