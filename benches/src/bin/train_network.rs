//! Trains a network of the PyPI package `wavegrad` on one batch, and prints as JSON the best seconds of
//! a step, the losses, and the most bytes of memory above those of the idle program: our side of
//! `scripts/compare-training`.
//!
//! `train_network FILE THREADS STEPS [PRECISION]`. With a PRECISION (f32, tf32, bf16, f16) it trains on an
//! NVIDIA GPU, in that. FILE is a safetensors file of the package's state dict under
//! `model.`, and the batch: `noisy` and `noise` `[batch, samples]`, `mel` `[batch, n_mels, frames]`,
//! `level` `[batch]`.

use candle_core::{Device, Tensor};
use std::collections::HashMap;
use std::time::Instant;
use training::TrainConfig;
use training::batch::Batch;
use training::checkpoint::Progress;
use training::config::{LevelDraw, Loss};
use training::optimiser::State;
use training::trainer::{Outcome, Trainer};
use vocoder::voice::lmnt;

// As in the program: pages are not given back between steps (the script sets the delay).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

type Failure = Box<dyn std::error::Error>;

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (file, threads, steps, precision) = match &arguments[..] {
        [file, threads, steps] => (file, threads, steps, None),
        [file, threads, steps, precision] => (file, threads, steps, Some(precision)),
        _ => return Err("usage: train_network FILE THREADS STEPS [PRECISION]".into()),
    };
    let device = match precision {
        Some(_) => Device::new_cuda(0)?,
        None => Device::Cpu,
    };
    rayon::ThreadPoolBuilder::new().num_threads(threads.parse()?).build_global()?;
    let arrays = candle_core::safetensors::load(file, &Device::Cpu)?;
    let (mut config, batch) = (config(&arrays)?, batch(&arrays)?);
    if let Some(name) = precision {
        config.precision = serde_json::from_value(name.as_str().into())?;
    }
    let mut weights = lmnt::weights(&config.model, &state(&arrays))?;
    for tensor in weights.values_mut() {
        *tensor = tensor.to_device(&device)?;
    }
    drop(arrays);

    let idle = memory("VmRSS")?;
    let mut trainer = Trainer::new(&config, State::fresh(weights)?, Progress::default())?;
    let (mut best, mut losses) = (f64::MAX, Vec::new());
    for _ in 0..steps.parse::<usize>()? {
        let start = Instant::now();
        let Outcome::Taken { loss, .. } = trainer.step(std::slice::from_ref(&batch))? else {
            return Err("a loss that is not finite".into());
        };
        best = best.min(start.elapsed().as_secs_f64());
        losses.push(loss);
    }
    let bytes = memory("VmHWM")?.saturating_sub(idle);
    println!("{}", serde_json::json!({ "seconds": best, "losses": losses, "bytes": bytes }));
    Ok(())
}

/// The package's state dict.
fn state(arrays: &HashMap<String, Tensor>) -> HashMap<String, Tensor> {
    let named = |(name, tensor): (&String, &Tensor)| {
        name.strip_prefix("model.").map(|name| (name.to_owned(), tensor.clone()))
    };
    arrays.iter().filter_map(named).collect()
}

/// The package's training: L1 between noises, Adam at a constant rate, gradients of norm 1 at most.
fn config(arrays: &HashMap<String, Tensor>) -> Result<TrainConfig, Failure> {
    let mut config = TrainConfig::preset("paper-base")?;
    let (batch, _, frames) = arrays["mel"].dims3()?;
    (config.batch, config.crop_frames) = (batch, frames);
    config.model = lmnt::model_config(&state(arrays))?;
    config.levels = LevelDraw::Hierarchical { first_beta: 1e-6, last_beta: 0.01, steps: 1000 };
    config.loss = Loss::L1;
    config.optimiser.learning_rate = 2e-4;
    (config.optimiser.warm_up, config.optimiser.final_rate) = (0, 1.0);
    (config.optimiser.beta1, config.optimiser.beta2) = (0.9, 0.999);
    (config.optimiser.weight_decay, config.optimiser.clip) = (0.0, 1.0);
    Ok(config)
}

fn batch(arrays: &HashMap<String, Tensor>) -> Result<Batch, Failure> {
    let values = |name: &str| arrays[name].flatten_all()?.to_vec1::<f32>();
    Ok(Batch {
        noisy: values("noisy")?,
        noise: values("noise")?,
        mel: arrays["mel"].transpose(1, 2)?.contiguous()?.flatten_all()?.to_vec1()?,
        levels: values("level")?.into_iter().map(f64::from).collect(),
    })
}

/// Bytes of a line of Linux's account of this process.
fn memory(line: &str) -> Result<u64, Failure> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let value = status.lines().find_map(|text| text.strip_prefix(line)?.split_whitespace().nth(1));
    Ok(value.ok_or("no such line in /proc/self/status")?.parse::<u64>()? << 10)
}
