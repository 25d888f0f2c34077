//! What the real-time engine costs and how long it takes: a player at a host's pace, in a plain table.
//!
//! `cargo run --release --bin live_load [-- SECONDS [QUALITY STEPS]...]` plays a sample at 48 kHz in blocks
//! of 512, one channel, three times 10 seconds a row. It prints the reported latency; the worker's load
//! (seconds of computing per second of sound, on its one thread) as the mean of the median run, of all
//! three, and at that run's highest; and that run's chunks that came too late.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use live::{Controls, Player, Quality, Setup, Telemetry};
use vocoder::Error;
use vocoder::audio::{AudioReader, resample};
use vocoder::engine::Isa;

const RATE: u32 = 48_000;
const BLOCK: usize = 512;
/// A shared machine is not equally fast at all times.
const RUNS: usize = 3;
const ROWS: [(Quality, usize); 5] = [
    (Quality::Low, 6),
    (Quality::Balanced, 1),
    (Quality::Balanced, 6),
    (Quality::Balanced, 12),
    (Quality::Studio, 6),
];

fn main() -> vocoder::Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let wrong = || Error::mismatch("arguments", "[SECONDS [QUALITY STEPS]...]", args.join(" "));
    let seconds = args.first().map_or(Ok(10.0), |text| text.parse()).map_err(|_| wrong())?;
    let mut rows = Vec::new();
    for pair in args.get(1..).unwrap_or_default().chunks(2) {
        let [quality, steps] = pair else { return Err(wrong()) };
        rows.push((quality.parse()?, steps.parse().map_err(|_| wrong())?));
    }
    if rows.is_empty() {
        rows = ROWS.to_vec();
    }
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../samples/kokoro_af_heart.flac");
    let mut reader = AudioReader::open(&path)?;
    let mut samples = Vec::new();
    while reader.next_block(&mut samples)? {}
    let input = resample(&samples, reader.info().sample_rate, RATE)?;
    println!(
        "{}, {RATE} Hz, blocks of {BLOCK}, one channel, {RUNS} x {seconds} s a row",
        Isa::detect()?
    );
    println!("quality   steps  latency ms  mean load  of runs       highest load  late chunks");
    for (quality, steps) in rows {
        let setup = Setup { quality, ..Setup::of_input(RATE, BLOCK) };
        let mut runs = Vec::new();
        for _ in 0..RUNS {
            runs.push(play(&setup, steps, &input, seconds)?);
        }
        runs.sort_by(|a, b| a.mean.total_cmp(&b.mean));
        let row = &runs[RUNS / 2];
        let means: Vec<String> =
            runs.iter().map(|run| format!("{:.0}", 100.0 * run.mean)).collect();
        println!(
            "{:<9} {steps:>5}  {:>10.1}  {:>8.0} %  {:<12}  {:>10.0} %  {:>4} of {}",
            quality.to_string(),
            1000.0 * f64::from(row.latency) / f64::from(RATE),
            100.0 * row.mean,
            means.join(", "),
            100.0 * row.highest,
            row.late,
            row.chunks,
        );
    }
    Ok(())
}

struct Row {
    latency: u32,
    mean: f32,
    highest: f32,
    late: u64,
    chunks: u64,
}

/// Plays at the pace of a sound card; what happens in the first second, while renderers are made, is left out.
fn play(setup: &Setup, steps: usize, input: &[f32], seconds: f64) -> vocoder::Result<Row> {
    let telemetry = Arc::new(Telemetry::default());
    let (mut player, _) = Player::new(setup, telemetry.clone())?;
    let controls = Controls { steps, ..Controls::default() };
    let ones = [1.0; BLOCK];
    let mut sound = input.iter().copied().cycle();
    let (began, mut blocks) = (Instant::now(), 0u32);
    let (mut loads, mut first) = (Vec::new(), None);
    loop {
        let due = f64::from(blocks) * BLOCK as f64 / f64::from(RATE);
        if due > seconds + 1.0 {
            break;
        }
        std::thread::sleep(Duration::from_secs_f64(due).saturating_sub(began.elapsed()));
        let mut block: Vec<f32> = sound.by_ref().take(BLOCK).collect();
        player.process(&mut [&mut block], &controls, &ones, &ones, &[]);
        blocks += 1;
        if due > 1.0 {
            first.get_or_insert((telemetry.late(), telemetry.chunks()));
            loads.push(telemetry.load());
        }
    }
    let (late, chunks) = first.unwrap_or_default();
    Ok(Row {
        latency: player.latency(),
        mean: loads.iter().sum::<f32>() / loads.len().max(1) as f32,
        highest: loads.iter().fold(0.0, |most, load| most.max(*load)),
        late: telemetry.late() - late,
        chunks: telemetry.chunks() - chunks,
    })
}
