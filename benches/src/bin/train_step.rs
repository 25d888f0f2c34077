//! Samples per second of one training step (forward and backward) on the CPU.
//!
//! `cargo run --release -p vocoder-benches --bin train_step -- [PRESET] [BATCH] [FRAMES] [THREADS]`

use candle_core::{DType, Device, Tensor, Var};
use std::time::Instant;
use vocoder::config::ModelConfig;
use vocoder::network::{Network, Weights, initial_weights};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |i: usize, default: usize| -> Result<usize, std::num::ParseIntError> {
        arguments.get(i).map_or(Ok(default), |text| text.parse())
    };
    let preset = arguments.first().map_or("quarter", String::as_str);
    let (batch, frames, threads) = (number(1, 8)?, number(2, 24)?, number(3, 1)?);
    rayon::ThreadPoolBuilder::new().num_threads(threads).build_global()?;

    let config = ModelConfig::preset(preset, 128)?;
    let hop = config.hop();
    let mut weights = Weights::new();
    let mut vars = Vec::new();
    for (name, tensor) in initial_weights(&config, 1)? {
        let var = Var::from_tensor(&tensor)?;
        weights.insert(name, var.as_tensor().clone());
        vars.push(var);
    }
    let network = Network::new(&config, &weights)?;
    let device = Device::Cpu;
    let signal = Tensor::zeros((batch, frames * hop), DType::F32, &device)?.affine(0.0, 0.3)?;
    let mel =
        Tensor::zeros((batch, frames, config.n_mels), DType::F32, &device)?.affine(0.0, -0.5)?;
    let target = signal.affine(0.0, 1.0)?;
    let levels = vec![0.5; batch];
    let macs = config.macs_per_frame() as f64 * (batch * frames) as f64;

    let (mut best, mut best_forward) = (f64::MAX, f64::MAX);
    for _ in 0..5 {
        let start = Instant::now();
        let loss = (network.forward(&signal, &mel, &levels)? - &target)?.abs()?.mean_all()?;
        let forward = start.elapsed().as_secs_f64();
        let gradients = loss.backward()?;
        std::hint::black_box(gradients.get(&vars[0]));
        let seconds = start.elapsed().as_secs_f64();
        best = best.min(seconds);
        best_forward = best_forward.min(forward);
    }
    let samples = (batch * frames * hop) as f64;
    println!(
        "{preset}, batch {batch} x {frames} frames, {threads} threads: {best:.3} s a step ({best_forward:.3} forward), \
         {:.0} samples/s, {:.1} GFLOP/s",
        samples / best,
        6.0 * macs / best / 1e9
    );
    Ok(())
}
