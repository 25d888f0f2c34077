//! What to compute on: `--device`.

use std::fmt;
use std::str::FromStr;

use anyhow::{Context, Result, anyhow, bail};
use candle_core::Device;

/// A device as the user names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Choice {
    /// The first GPU that this program was built for and that answers, else the CPU.
    Auto,
    /// The processor.
    Cpu,
    /// An NVIDIA GPU, by number.
    Cuda(usize),
    /// The Apple GPU.
    Metal,
}

impl FromStr for Choice {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        match name {
            "auto" => Ok(Self::Auto),
            "cpu" => Ok(Self::Cpu),
            "cuda" => Ok(Self::Cuda(0)),
            "metal" => Ok(Self::Metal),
            _ => name
                .strip_prefix("cuda:")
                .and_then(|number| number.parse().ok())
                .map(Self::Cuda)
                .ok_or_else(|| format!("expected auto, cpu, cuda, cuda:N or metal, got '{name}'")),
        }
    }
}

impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Cpu => f.write_str("cpu"),
            Self::Cuda(number) => write!(f, "cuda:{number}"),
            Self::Metal => f.write_str("metal"),
        }
    }
}

impl Choice {
    /// The device, and what it turned out to be.
    ///
    /// # Errors
    /// A GPU for which this program was not built, or which does not answer.
    pub fn open(self) -> Result<(Device, Self)> {
        let device = match self {
            Self::Auto => return Ok(Self::first_that_answers()),
            Self::Cpu => Device::Cpu,
            Self::Cuda(_) if !cfg!(feature = "cuda") => {
                bail!("--device {self}: {}", not_built("cuda"))
            }
            Self::Cuda(number) => self.answer("an NVIDIA GPU", Device::new_cuda(number))?,
            Self::Metal if !cfg!(feature = "metal") => {
                bail!("--device {self}: {}", not_built("metal"))
            }
            Self::Metal => self.answer("an Apple GPU", Device::new_metal(0))?,
        };
        Ok((device, self))
    }

    /// Of several processes that a launcher started on a machine, each takes the GPU of its number there
    /// where the first is asked for.
    pub fn on_this_machine(self) -> Self {
        let local = ["OMPI_COMM_WORLD_LOCAL_RANK", "MPI_LOCALRANKID", "SLURM_LOCALID"];
        let number = local.iter().find_map(|name| std::env::var(name).ok()?.parse().ok());
        match (self, number) {
            (Self::Cuda(0), Some(number)) => Self::Cuda(number),
            _ => self,
        }
    }

    /// The device, or what was expected in its place.
    fn answer(self, what: &str, device: candle_core::Result<Device>) -> Result<Device> {
        device.map_err(|error| {
            // The lines below the first are a backtrace.
            let reason = error.to_string().lines().next().unwrap_or_default().to_string();
            anyhow!("--device {self}: expected {what} that answers, got none ({reason}); --device cpu needs none")
        })
    }

    fn first_that_answers() -> (Device, Self) {
        let gpus =
            [(Self::Cuda(0), cfg!(feature = "cuda")), (Self::Metal, cfg!(feature = "metal"))];
        let answering =
            gpus.into_iter().filter(|(_, built)| *built).find_map(|(gpu, _)| gpu.open().ok());
        answering.unwrap_or((Device::Cpu, Self::Cpu))
    }
}

/// How to get a program that has `feature`.
pub fn not_built(feature: &str) -> String {
    format!(
        "this program was built without it (make build CARGO_FLAGS=--features=vocoder-cli/{feature})"
    )
}

/// Sets how many threads compute; without a number, one a core.
///
/// # Errors
/// The threads cannot be started.
pub fn use_threads(threads: Option<usize>) -> Result<()> {
    let Some(threads) = threads else { return Ok(()) };
    rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .build_global()
        .with_context(|| format!("--threads {threads}"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn names_are_read_back_as_they_are_written() {
        for name in ["auto", "cpu", "cuda:3", "metal"] {
            assert_eq!(name.parse::<Choice>().unwrap().to_string(), name);
        }
        assert_eq!("cuda".parse(), Ok(Choice::Cuda(0)));
        for wrong in ["gpu", "cuda:", "cuda:x", "cuda3", ""] {
            assert!(wrong.parse::<Choice>().is_err(), "{wrong}");
        }
    }

    #[test]
    #[cfg(not(feature = "cuda"))]
    fn a_gpu_that_was_not_built_in_says_how_to_get_it() {
        let message = Choice::Cuda(0).open().unwrap_err().to_string();
        assert!(message.contains("vocoder-cli/cuda"), "{message}");
    }
}
