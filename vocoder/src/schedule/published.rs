//! Lists of few steps that implementations ship or that their users pass on.
//!
//! All of them start from unit noise while telling the network that there is signal in it: see
//! [`Schedule::prior_mismatch`]. [`Schedule::tie_to_prior`] mends that.

use super::Schedule;
use crate::Result;

/// A published list.
pub struct Published {
    /// Who published it.
    pub name: &'static str,
    /// Its betas, the cleanest step first.
    pub betas: &'static [f64],
}

impl Published {
    /// As a schedule, as it is.
    ///
    /// # Errors
    /// None for the lists here.
    pub fn schedule(&self) -> Result<Schedule> {
        Schedule::from_betas(self.betas)
    }
}

/// The lists, by number of steps.
pub const PUBLISHED: &[Published] = &[
    Published { name: "FastDiff 4", betas: &[3.2176e-4, 2.5743e-3, 2.5376e-2, 0.70414] },
    Published {
        name: "ivanvovk/WaveGrad 6",
        betas: &[1e-6, 1.8929e-5, 1.1943e-4, 1.0048e-3, 1.1094e-2, 6e-2],
    },
    Published {
        name: "mozilla/TTS #518",
        betas: &[4.477e-6, 4.477e-5, 9.495e-4, 9.495e-3, 9.495e-2, 0.4477],
    },
    Published { name: "DiffWave 6", betas: &[1e-4, 1e-3, 0.01, 0.05, 0.2, 0.5] },
    Published {
        name: "FastDiff 6",
        betas: &[1.7838e-6, 2.798e-5, 4.323e-4, 6.634e-3, 9.357e-2, 0.6],
    },
    Published {
        name: "ivanvovk/WaveGrad 7",
        betas: &[1e-6, 5e-6, 1.8929e-5, 1e-4, 1e-3, 1.11e-2, 6e-2],
    },
    Published {
        name: "BDDM 7",
        betas: &[1.3559e-4, 1.0096e-3, 8.7784e-3, 0.13596, 0.27756, 0.28931, 0.3],
    },
    Published {
        name: "ivanvovk/WaveGrad 12",
        betas: &[
            1e-6, 6.93e-6, 5.34e-6, 3.70e-5, 1.709e-4, 3.948e-4, 1.368e-3, 2.809e-3, 3.2445e-3,
            1.4991e-2, 8.6575e-3, 6e-2,
        ],
    },
];
