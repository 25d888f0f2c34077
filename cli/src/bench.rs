//! `vocoder bench`: how fast voices render on this machine.

use std::fmt;
use std::time::Instant;

use anyhow::{Context, Result};
use candle_core::Device;
use clap::Args;
use serde_json::{Value, json};
use vocoder::config::ModelConfig;
use vocoder::engine::{Isa, Precision, peak_gflops};
use vocoder::mel::{Mel, MelConfig};
use vocoder::network::initial_weights;
use vocoder::noise::Noise;
use vocoder::render::{Polish, Renderer, Settings};
use vocoder::sampler::{Clip, SamplerKind};
use vocoder::voice::Voice;

use crate::render::parse_seconds;
use crate::{interrupt, memory, output, voices};

/// How fast voices render on this machine's processor
///
/// Each row is the best of several runs. GFLOP/s counts two operations for each multiplication of the
/// network as published, so that the rewrites that save some show as speed; the peak is what the
/// kernels' innermost loop reaches on data in the first-level cache, times the threads. The peak of
/// memory is the program's while it measured the row, the voice, mel and sound among it.
#[derive(Debug, Args)]
pub struct BenchArgs {
    /// Voices, by name or file, and presets with random weights (base, large, half, small, quarter,
    /// eighth)
    #[arg(long, value_name = "NAME|FILE", num_args = 1.., default_values_t = [voices::DEFAULT.to_string()])]
    voice: Vec<String>,
    /// Precisions of products [default: f32, and bf16 and int8 where the processor has
    /// them, int16 where it is faster]
    #[arg(long, value_name = "NAME", num_args = 1..)]
    precision: Vec<Precision>,
    /// Numbers of threads [default: 1 and one a core]
    #[arg(long, value_name = "N", num_args = 1.., value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Vec<u16>,
    /// Numbers of steps
    #[arg(long, value_name = "N", num_args = 1.., default_values_t = [6], value_parser = clap::value_parser!(u64).range(1..=1000))]
    steps: Vec<u64>,
    /// Seconds of audio that are rendered
    #[arg(long, default_value_t = 4.0, value_parser = parse_seconds)]
    seconds: f64,
    /// Seconds that are rendered at a time, for rows of files in chunks; 0 leaves them out
    #[arg(long, value_name = "SECONDS", num_args = 0.., default_values_t = [1.0], value_parser = parse_chunk)]
    chunk: Vec<f64>,
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
    let mut precisions = args.precision.clone();
    if precisions.is_empty() {
        precisions.push(Precision::F32);
        if isa.has_bf16() {
            precisions.push(Precision::Bf16);
        }
        if isa.prefers_int16() {
            precisions.push(Precision::Int16);
        }
        if isa.has_vnni() {
            precisions.push(Precision::Int8);
        }
    }
    let mut rows = Vec::new();
    for name in &args.voice {
        let voice = find(name)?;
        for &precision in &precisions {
            let peak = peak_gflops(precision, isa);
            for &threads in &threads {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build()?;
                for &steps in &args.steps {
                    for mode in args.modes() {
                        interrupt::check()?;
                        let case = Case { voice: &voice, precision, steps: steps as usize, mode };
                        let run = pool.install(|| case.measure(args.seconds, args.runs))?;
                        let row = Row { voice: name, mode, threads, steps, peak, run };
                        if args.json {
                            output::json(&row.json(isa))?;
                        }
                        let cells = row.cells();
                        if !quiet {
                            eprintln!("{}", cells.join("  "));
                        }
                        rows.push(cells);
                    }
                }
            }
        }
    }
    if args.json {
        return Ok(());
    }
    let heads = [
        "voice",
        "mode",
        "precision",
        "threads",
        "steps",
        "RTF",
        "GFLOP/s",
        "of peak",
        "engine MB",
        "peak MB",
    ];
    output::table(&heads, &rows)?;
    output::line(format!(
        "{isa}, {cores} cores, {} s of audio, best of {}",
        args.seconds, args.runs
    ))
}

/// How the audio comes.
#[derive(Clone, Copy)]
enum Mode {
    /// All of it at once.
    Whole,
    /// All of it is there, but rendered so many seconds at a time, as `render --chunk` does it.
    Chunked(f64),
    /// As it is spoken, rendered in blocks of so many frames.
    Stream(usize),
}

impl Mode {
    /// Frames that are rendered at a time, of `frames` in all at so many a second.
    fn block(self, frames: usize, frames_per_s: f64) -> usize {
        match self {
            Mode::Whole => frames,
            Mode::Chunked(seconds) => ((seconds * frames_per_s).round() as usize).clamp(1, frames),
            Mode::Stream(block) => block,
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Mode::Whole => f.write_str("whole"),
            Mode::Chunked(seconds) => write!(f, "chunked {seconds} s"),
            Mode::Stream(block) => write!(f, "stream {block}"),
        }
    }
}

impl BenchArgs {
    fn modes(&self) -> Vec<Mode> {
        let chunks = self.chunk.iter().filter(|s| **s > 0.0).map(|s| Mode::Chunked(*s));
        let blocks = self.stream.iter().filter(|block| **block > 0).map(|b| Mode::Stream(*b));
        std::iter::once(Mode::Whole).chain(chunks).chain(blocks).collect()
    }
}

/// One row of the table.
struct Row<'a> {
    voice: &'a str,
    mode: Mode,
    threads: usize,
    steps: u64,
    /// GFLOP/s of a thread.
    peak: f64,
    run: Run,
}

impl Row<'_> {
    fn gflops(&self) -> f64 {
        2.0 * self.run.macs / self.run.seconds / 1e9
    }

    fn share(&self) -> f64 {
        self.gflops() / (self.peak * self.threads as f64)
    }

    fn json(&self, isa: Isa) -> Value {
        json!({
            "voice": self.voice, "mode": self.mode.to_string(),
            "precision": self.run.precision.to_string(), "threads": self.threads,
            "steps": self.steps, "isa": isa.to_string(), "rtf": self.run.rtf(),
            "gflops": self.gflops(), "peak_gflops": self.peak, "share_of_peak": self.share(),
            "engine_bytes": self.run.engine_bytes, "peak_memory_bytes": self.run.peak_bytes,
        })
    }

    fn cells(&self) -> Vec<String> {
        let mb = |bytes: u64| format!("{:.0}", bytes as f64 / 1e6);
        vec![
            self.voice.to_string(),
            self.mode.to_string(),
            self.run.precision.to_string(),
            self.threads.to_string(),
            self.steps.to_string(),
            format!("{:.3}", self.run.rtf()),
            format!("{:.0}", self.gflops()),
            format!("{:.0} %", 100.0 * self.share()),
            mb(self.run.engine_bytes),
            self.run.peak_bytes.map_or_else(|| "?".to_string(), mb),
        ]
    }
}

/// A voice, or a preset with random weights.
fn find(name: &str) -> Result<Voice> {
    let mel = MelConfig::default();
    let Ok(model) = ModelConfig::preset(name, mel.n_mels) else { return voices::load(name) };
    let weights = initial_weights(&model, 1)?;
    Ok(Voice::new(model, mel, weights))
}

/// What one row measures.
struct Case<'a> {
    voice: &'a Voice,
    precision: Precision,
    steps: usize,
    mode: Mode,
}

struct Run {
    seconds: f64,
    audio_s: f64,
    macs: f64,
    precision: Precision,
    /// Of weights and kept rows.
    engine_bytes: u64,
    /// The most that the process held while it ran, the voice, mel and sound among it.
    peak_bytes: Option<u64>,
}

impl Run {
    fn rtf(&self) -> f64 {
        self.seconds / self.audio_s
    }
}

impl Case<'_> {
    fn measure(&self, seconds: f64, runs: usize) -> Result<Run> {
        let config = &self.voice.mel;
        let frames_per_s = f64::from(config.sample_rate) / config.hop as f64;
        let mel = some_mel(config, ((seconds * frames_per_s).ceil() as usize).max(1))?;
        let block = self.mode.block(mel.frames, frames_per_s);
        let settings = Settings {
            schedule: self.voice.schedule(self.steps)?,
            sampler: SamplerKind::Ancestral,
            guidance: 1.0,
            clip: Clip::Signal(1.0),
            start: self.voice.start,
            seed: 0,
            chunk_frames: block,
            polish: Polish::of_voice(self.voice),
            precision: self.precision,
        };
        memory::forget_peak();
        let mut renderer = Renderer::new(self.voice, &Device::Cpu, settings)?;
        let mut best = f64::MAX;
        for _ in 0..runs.max(1) {
            let start = Instant::now();
            for data in mel.data.chunks(block * config.n_mels) {
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
            engine_bytes: renderer.bytes() as u64,
            peak_bytes: memory::peak(),
        })
    }
}

fn parse_chunk(text: &str) -> Result<f64, String> {
    if text == "0" { Ok(0.0) } else { parse_seconds(text) }
}

/// Frames about as loud as speech.
fn some_mel(config: &MelConfig, frames: usize) -> Result<Mel> {
    let mut data = vec![0f32; frames * config.n_mels];
    Noise::new(1).fill(0, 0, &mut data);
    let (low, high) = (config.min_value(), config.max_value());
    data.iter_mut().for_each(|v| *v = (low + (high - low) * (0.5 + 0.05 * *v)).clamp(low, high));
    Ok(Mel::new(config.clone(), data)?)
}
