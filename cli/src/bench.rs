//! `vocoder bench`: how fast voices render on this machine.

use std::time::Instant;

use anyhow::{Context, Result};
use candle_core::Device;
use clap::Args;
use serde_json::json;
use vocoder::config::ModelConfig;
use vocoder::engine::{Isa, Precision, peak_gflops};
use vocoder::mel::{Mel, MelConfig};
use vocoder::network::initial_weights;
use vocoder::noise::Noise;
use vocoder::render::{Polish, Renderer, Settings};
use vocoder::sampler::{Clip, SamplerKind};
use vocoder::voice::Voice;

use crate::{interrupt, output, voices};

/// How fast voices render on this machine's processor
///
/// Each row is the best of several runs. GFLOP/s counts two operations for each multiplication of the
/// network as published, so that the rewrites that save some show as speed; the peak is what the
/// kernels' innermost loop reaches on data in the first-level cache, times the threads.
#[derive(Debug, Args)]
pub struct BenchArgs {
    /// Voices, by name or file, and presets with random weights (base, large, half, small, quarter,
    /// eighth)
    #[arg(long, value_name = "NAME|FILE", num_args = 1.., default_values_t = [voices::DEFAULT.to_string()])]
    voice: Vec<String>,
    /// Precisions of products
    #[arg(long, value_name = "NAME", num_args = 1.., default_values_t = [Precision::F32, Precision::Bf16])]
    precision: Vec<Precision>,
    /// Numbers of threads [default: 1 and one a core]
    #[arg(long, value_name = "N", num_args = 1.., value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Vec<u16>,
    /// Numbers of steps
    #[arg(long, value_name = "N", num_args = 1.., default_values_t = [6], value_parser = clap::value_parser!(u64).range(1..=1000))]
    steps: Vec<u64>,
    /// Seconds of audio that are rendered
    #[arg(long, default_value_t = 4.0)]
    seconds: f64,
    /// Frames of a block, for rows of streaming in blocks of this size; 0 leaves them out
    #[arg(long, value_name = "FRAMES", num_args = 0.., default_values_t = [4])]
    stream: Vec<usize>,
    /// Runs of which the best counts
    #[arg(long, value_name = "N", default_value_t = 3)]
    runs: usize,
    /// As JSON, a line a row
    #[arg(long)]
    json: bool,
}

/// Runs the verb.
///
/// # Errors
/// A voice that can't be loaded.
pub fn run(args: &BenchArgs, quiet: bool) -> Result<()> {
    let isa = Isa::detect()?;
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let mut threads: Vec<usize> = args.threads.iter().map(|n| usize::from(*n)).collect();
    if threads.is_empty() {
        threads = if cores > 1 { vec![1, cores] } else { vec![1] };
    }
    let mut rows = Vec::new();
    for name in &args.voice {
        let voice = find(name)?;
        for &precision in &args.precision {
            let peak = peak_gflops(precision, isa);
            for &threads in &threads {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build()?;
                for &steps in &args.steps {
                    let blocks = args.stream.iter().copied().filter(|&block| block > 0);
                    for block in std::iter::once(0).chain(blocks) {
                        interrupt::check()?;
                        let case = Case { voice: &voice, precision, steps: steps as usize, block };
                        let run = pool.install(|| case.measure(args.seconds, args.runs))?;
                        let gflops = 2.0 * run.macs / run.seconds / 1e9;
                        let share = gflops / (peak * threads as f64);
                        let mode =
                            if block == 0 { "whole".into() } else { format!("stream {block}") };
                        if args.json {
                            output::json(&json!({
                                "voice": name, "mode": mode, "precision": run.precision.to_string(),
                                "threads": threads, "steps": steps, "isa": isa.to_string(),
                                "rtf": run.rtf(), "gflops": gflops, "peak_gflops": peak,
                                "share_of_peak": share, "engine_bytes": run.bytes,
                            }))?;
                        }
                        rows.push(vec![
                            name.clone(),
                            mode,
                            run.precision.to_string(),
                            threads.to_string(),
                            steps.to_string(),
                            format!("{:.3}", run.rtf()),
                            format!("{gflops:.0}"),
                            format!("{:.0} %", 100.0 * share),
                            format!("{:.0}", run.bytes as f64 / 1e6),
                        ]);
                        if !quiet {
                            eprintln!(
                                "{}",
                                rows.last().map_or(String::new(), |row| row.join("  "))
                            );
                        }
                    }
                }
            }
        }
    }
    if args.json {
        return Ok(());
    }
    let heads =
        ["voice", "mode", "precision", "threads", "steps", "RTF", "GFLOP/s", "of peak", "MB"];
    output::table(&heads, &rows)?;
    output::line(format!(
        "{isa}, {cores} cores, {} s of audio, best of {}",
        args.seconds, args.runs
    ))?;
    match peak_memory() {
        Some(bytes) => output::line(format!("peak memory {:.0} MB", bytes as f64 / 1e6)),
        None => Ok(()),
    }
}

/// A voice, or a preset with random weights.
fn find(name: &str) -> Result<Voice> {
    let mel = MelConfig::default();
    let Ok(model) = ModelConfig::preset(name, mel.n_mels) else { return voices::load(name) };
    let weights = initial_weights(&model, 1)?;
    Ok(Voice::new(model, mel, weights))
}

/// One row of the table.
struct Case<'a> {
    voice: &'a Voice,
    precision: Precision,
    steps: usize,
    /// Frames pushed at a time; 0 for the whole clip.
    block: usize,
}

struct Run {
    seconds: f64,
    audio_s: f64,
    macs: f64,
    precision: Precision,
    bytes: usize,
}

impl Run {
    fn rtf(&self) -> f64 {
        self.seconds / self.audio_s
    }
}

impl Case<'_> {
    fn measure(&self, seconds: f64, runs: usize) -> Result<Run> {
        let config = &self.voice.mel;
        let frames = (seconds * f64::from(config.sample_rate) / config.hop as f64).ceil() as usize;
        let mel = some_mel(config, frames.max(1))?;
        let settings = Settings {
            schedule: self.voice.schedule(self.steps)?,
            sampler: SamplerKind::Ancestral,
            guidance: 1.0,
            clip: Clip::Signal(1.0),
            start: self.voice.start,
            seed: 0,
            chunk_frames: if self.block == 0 { 1000 } else { self.block },
            polish: Polish::Clip { rounds: self.voice.polish },
            precision: self.precision,
        };
        let mut renderer = Renderer::new(self.voice, &Device::Cpu, settings)?;
        let step = if self.block == 0 { mel.frames } else { self.block };
        let mut best = f64::MAX;
        for _ in 0..runs.max(1) {
            let start = Instant::now();
            for data in mel.data.chunks(step * config.n_mels) {
                let frames = data.len() / config.n_mels;
                renderer.push(&Mel { config: config.clone(), frames, data: data.to_vec() })?;
            }
            renderer.finish().context("rendering")?;
            best = best.min(start.elapsed().as_secs_f64());
        }
        Ok(Run {
            seconds: best,
            audio_s: (mel.frames * config.hop) as f64 / f64::from(config.sample_rate),
            macs: (self.voice.model.macs_per_frame() * mel.frames * self.steps) as f64,
            precision: renderer.precision(),
            bytes: renderer.bytes(),
        })
    }
}

/// Frames about as loud as speech.
fn some_mel(config: &MelConfig, frames: usize) -> Result<Mel> {
    let mut data = vec![0f32; frames * config.n_mels];
    Noise::new(1).fill(0, 0, &mut data);
    let (low, high) = (config.min_value(), config.max_value());
    data.iter_mut().for_each(|v| *v = (low + (high - low) * (0.5 + 0.05 * *v)).clamp(low, high));
    Ok(Mel::new(config.clone(), data)?)
}

/// The largest resident size of this process so far, where the system tells it.
fn peak_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse::<u64>().ok().map(|kib| kib * 1024)
}
