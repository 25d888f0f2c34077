//! Parameters that are one of a few.

use live::{Compute, Wait};
use nice_plug::prelude::*;

/// What latency is spent on; as [`live::Quality`].
#[derive(Enum, Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quality {
    /// The least latency.
    #[id = "low"]
    #[name = "Low latency"]
    Low,
    /// Under 100 ms with the streaming voice.
    #[id = "balanced"]
    Balanced,
    /// The best sound.
    #[id = "studio"]
    Studio,
}

/// Whether the noise is the same in each pass.
#[derive(Enum, Debug, Clone, Copy, PartialEq, Eq)]
pub enum SeedMode {
    /// The same input gives the same output.
    #[id = "fixed"]
    Fixed,
    /// Each pass draws other noise.
    #[id = "running"]
    Running,
}

/// Whether the host's audio thread may wait for inference.
#[derive(Enum, Debug, Clone, Copy, PartialEq, Eq)]
pub enum Waiting {
    /// When the host says that it renders offline.
    #[id = "auto"]
    Auto,
    /// Always, for hosts that render offline without saying so.
    #[id = "always"]
    Always,
}

/// Where the network is computed.
#[derive(Enum, Debug, Clone, Copy, PartialEq, Eq)]
pub enum Device {
    /// The engine for CPUs.
    #[id = "cpu"]
    #[name = "CPU"]
    Cpu,
    /// The first GPU, in builds that have one.
    #[id = "gpu"]
    #[name = "GPU"]
    Gpu,
}

impl Device {
    /// Whether this build can compute on a GPU.
    pub const GPU_BUILT: bool = cfg!(any(feature = "cuda", feature = "metal"));
}

impl From<Quality> for live::Quality {
    fn from(quality: Quality) -> Self {
        match quality {
            Quality::Low => Self::Low,
            Quality::Balanced => Self::Balanced,
            Quality::Studio => Self::Studio,
        }
    }
}

impl From<Waiting> for Wait {
    fn from(waiting: Waiting) -> Self {
        match waiting {
            Waiting::Auto => Self::Auto,
            Waiting::Always => Self::Always,
        }
    }
}

impl From<Device> for Compute {
    fn from(device: Device) -> Self {
        match device {
            Device::Cpu => Self::Cpu,
            Device::Gpu => Self::Gpu,
        }
    }
}
