//! Compiles the kernels of training on NVIDIA GPUs, by NVIDIA's compiler (feature `cuda`) or, for tests,
//! for the CPU (feature `cuda-emulated`).

use std::env;
use std::path::Path;
use std::process::Command;

const KERNELS: &str = "src/network/gpu/kernels.cu";

fn main() -> Result<(), String> {
    println!("cargo:rerun-if-changed=src/network/gpu");
    if env::var_os("CARGO_FEATURE_CUDA").is_some() {
        compile()?;
    }
    #[cfg(feature = "cuda-emulated")]
    cc::Build::new()
        .cpp(true)
        .std("c++17")
        .opt_level(2)
        .flag("-fno-strict-aliasing")
        .file("src/network/gpu/emulated.cpp")
        .warnings(false)
        .compile("emulated_kernels");
    Ok(())
}

/// To PTX, which the driver compiles for its own GPU, that of CUDA_COMPUTE_CAP (80: Ampere) or a later one.
fn compile() -> Result<(), String> {
    for name in ["NVCC", "CUDA_COMPUTE_CAP"] {
        println!("cargo:rerun-if-env-changed={name}");
    }
    let nvcc = env::var("NVCC").unwrap_or_else(|_| "nvcc".into());
    let capability = env::var("CUDA_COMPUTE_CAP").unwrap_or_else(|_| "80".into());
    let out = env::var("OUT_DIR").map_err(|e| format!("OUT_DIR: {e}"))?;
    let status = Command::new(&nvcc)
        .args(["--ptx", "-O3", "--use_fast_math", "-std=c++17"])
        .arg(format!("-arch=compute_{capability}"))
        .arg("-o")
        .arg(Path::new(&out).join("kernels.ptx"))
        .arg(KERNELS)
        .status()
        .map_err(|e| format!("{nvcc}: {e}; the feature `cuda` needs NVIDIA's CUDA toolkit"))?;
    if status.success() { Ok(()) } else { Err(format!("{nvcc} {KERNELS}: {status}")) }
}
