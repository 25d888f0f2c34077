//! Which instructions the kernels use: found at run time, or forced for tests.

use std::fmt;
use std::str::FromStr;

use pulp::Arch;

use crate::{Error, Result};

/// The environment variable that forces an instruction set, by the names of [`Isa`].
pub const ISA_VARIABLE: &str = "VOCODER_ISA";

/// An instruction set that this machine has.
#[derive(Clone, Copy, Debug)]
pub struct Isa {
    arch: Arch,
    /// Whether there are dot products of pairs of bf16 (AVX512_BF16).
    bf16: bool,
}

impl Isa {
    /// The best of this machine, or what [`ISA_VARIABLE`] names.
    ///
    /// # Errors
    /// The variable names no instruction set, or one that this machine lacks.
    pub fn detect() -> Result<Self> {
        match std::env::var(ISA_VARIABLE) {
            Ok(name) => name.parse(),
            Err(_) => Ok(Self { arch: Arch::new(), bf16: has_bf16() }),
        }
    }

    /// All that this machine has, the best first.
    pub fn all() -> Vec<Self> {
        NAMES.iter().filter_map(|name| name.parse().ok()).collect()
    }

    pub(crate) fn arch(self) -> Arch {
        self.arch
    }

    /// Whether bf16 is faster than f32 here.
    pub fn has_bf16(self) -> bool {
        self.bf16
    }
}

const NAMES: [&str; 5] = ["avx512-bf16", "avx512", "avx2", "neon", "portable"];

impl fmt::Display for Isa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.arch {
            Arch::Scalar => "portable",
            #[cfg(target_arch = "x86_64")]
            Arch::V4(_) if self.bf16 => "avx512-bf16",
            #[cfg(target_arch = "x86_64")]
            Arch::V4(_) => "avx512",
            #[cfg(target_arch = "x86_64")]
            Arch::V3(_) => "avx2",
            #[cfg(target_arch = "aarch64")]
            Arch::Neon(_) => "neon",
            #[allow(unreachable_patterns)]
            _ => "other",
        })
    }
}

impl FromStr for Isa {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        let arch = match name {
            "portable" => Some(Arch::Scalar),
            #[cfg(target_arch = "x86_64")]
            "avx512" | "avx512-bf16" => pulp::x86::V4::try_new().map(Arch::V4),
            #[cfg(target_arch = "x86_64")]
            "avx2" => pulp::x86::V3::try_new().map(Arch::V3),
            #[cfg(target_arch = "aarch64")]
            "neon" => pulp::aarch64::Neon::try_new().map(Arch::Neon),
            known if NAMES.contains(&known) => None,
            other => return Err(Error::mismatch(ISA_VARIABLE, NAMES.join(", "), other)),
        };
        let bf16 = name == "avx512-bf16";
        match arch {
            Some(arch) if !bf16 || has_bf16() => Ok(Self { arch, bf16 }),
            _ => Err(Error::mismatch(ISA_VARIABLE, "instructions that this machine has", name)),
        }
    }
}

/// Whether the processor multiplies pairs of bf16, and the wide registers that our kernel needs.
fn has_bf16() -> bool {
    #[cfg(target_arch = "x86_64")]
    return pulp::x86::V4::try_new().is_some() && is_x86_feature_detected!("avx512bf16");
    #[cfg(not(target_arch = "x86_64"))]
    false
}
