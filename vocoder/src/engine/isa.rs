//! Which instructions the kernels use: found at run time, or forced for tests.

use std::fmt;
use std::str::FromStr;

use pulp::{Arch, Simd, WithSimd};

use crate::{Error, Result};

/// The environment variable that forces an instruction set, by the names of [`Isa`].
pub const ISA_VARIABLE: &str = "VOCODER_ISA";

/// An instruction set that this machine has.
#[derive(Clone, Copy, Debug)]
pub struct Isa {
    arch: Arch,
    /// Whether there are dot products of pairs of bf16 (AVX512_BF16).
    bf16: bool,
    /// Whether there are dot products of bytes (AVX512_VNNI).
    vnni: bool,
}

impl Isa {
    /// The best of this machine, or what [`ISA_VARIABLE`] names.
    ///
    /// # Errors
    /// The variable names no instruction set, or one that this machine lacks.
    pub fn detect() -> Result<Self> {
        match std::env::var(ISA_VARIABLE) {
            Ok(name) => name.parse(),
            Err(_) => Ok(Self { arch: Arch::new(), bf16: has_bf16(), vnni: has_vnni() }),
        }
    }

    /// All that this machine has, the best first.
    pub fn all() -> Vec<Self> {
        NAMES.iter().filter_map(|name| name.parse().ok()).collect()
    }

    pub(crate) fn arch(self) -> Arch {
        self.arch
    }

    /// Values of f32 that a register holds.
    pub(crate) fn lanes(self) -> usize {
        struct Lanes;
        impl WithSimd for Lanes {
            type Output = usize;
            fn with_simd<S: Simd>(self, _: S) -> usize {
                S::F32_LANES
            }
        }
        self.arch.dispatch(Lanes)
    }

    /// Whether there are dot products of pairs of bf16.
    pub fn has_bf16(self) -> bool {
        self.bf16
    }

    /// Whether there are dot products of bytes, in registers of 512 bits.
    pub fn has_vnni(self) -> bool {
        self.vnni
    }

    /// Whether there is AVX2, alone or within AVX-512.
    pub(crate) fn has_avx2(self) -> bool {
        #[cfg(target_arch = "x86_64")]
        return matches!(self.arch, Arch::V3(_) | Arch::V4(_));
        #[cfg(not(target_arch = "x86_64"))]
        false
    }

    /// Whether products of bytes are faster than others here: on AMD's Zen 4 a wide network takes two thirds of
    /// bf16's time, 0.4 of f32's. Intel's are left out: bytes were not measured there, and bf16, which has
    /// twice f32's peak on paper, too, takes 1.5 times f32's time on Sapphire Rapids (`scripts/compare-speed`,
    /// in the README). Every AMD processor that has bf16 has VNNI.
    pub fn prefers_int8(self) -> bool {
        self.vnni && is_amd()
    }

    /// Whether products of whole numbers of 16 bits are faster than f32's here: with AVX2 alone. AVX-512
    /// multiplies as many of f32 in an instruction as AVX2 of these.
    pub fn prefers_int16(self) -> bool {
        self.has_avx2() && self.lanes() == 8
    }
}

const NAMES: [&str; 6] = ["avx512-bf16", "avx512-vnni", "avx512", "avx2", "neon", "portable"];

impl fmt::Display for Isa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.arch {
            Arch::Scalar => "portable",
            #[cfg(target_arch = "x86_64")]
            Arch::V4(_) if self.bf16 => "avx512-bf16",
            #[cfg(target_arch = "x86_64")]
            Arch::V4(_) if self.vnni => "avx512-vnni",
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
            "avx512" | "avx512-vnni" | "avx512-bf16" => pulp::x86::V4::try_new().map(Arch::V4),
            #[cfg(target_arch = "x86_64")]
            "avx2" => pulp::x86::V3::try_new().map(Arch::V3),
            #[cfg(target_arch = "aarch64")]
            "neon" => pulp::aarch64::Neon::try_new().map(Arch::Neon),
            known if NAMES.contains(&known) => None,
            other => return Err(Error::mismatch(ISA_VARIABLE, NAMES.join(", "), other)),
        };
        let bf16 = name == "avx512-bf16";
        // Every processor that has bf16 has VNNI.
        let vnni = bf16 || name == "avx512-vnni";
        match arch {
            Some(arch) if (!bf16 || has_bf16()) && (!vnni || has_vnni()) => {
                Ok(Self { arch, bf16, vnni })
            }
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

/// Whether the processor multiplies fours of bytes, in the wide registers that our kernel needs.
fn has_vnni() -> bool {
    #[cfg(target_arch = "x86_64")]
    return pulp::x86::V4::try_new().is_some() && is_x86_feature_detected!("avx512vnni");
    #[cfg(not(target_arch = "x86_64"))]
    false
}

fn is_amd() -> bool {
    #[cfg(target_arch = "x86_64")]
    return raw_cpuid::CpuId::new().get_vendor_info().is_some_and(|v| v.as_str() == "AuthenticAMD");
    #[cfg(not(target_arch = "x86_64"))]
    false
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn every_name_reads_back() {
        let all = Isa::all();
        assert_eq!(all.last().unwrap().to_string(), "portable");
        for isa in all {
            assert_eq!(isa.to_string().parse::<Isa>().unwrap().to_string(), isa.to_string());
        }
        assert!("sse9".parse::<Isa>().is_err());
    }

    #[test]
    fn bytes_are_preferred_only_where_they_are() {
        for isa in Isa::all() {
            assert!(isa.has_vnni() || !isa.prefers_int8(), "{isa}");
        }
    }

    #[test]
    fn every_arm_has_neon() {
        let found = Isa::all().iter().any(|isa| isa.to_string() == "neon");
        assert_eq!(found, cfg!(target_arch = "aarch64"));
    }
}
