//! Seconds that candle's own `conv1d` takes for the convolutions of one step, without anything between
//! them: a bound from below on the same network in candle as it is.
//!
//! `CANDLE_NUM_THREADS=1 cargo run --release -p vocoder-benches --bin candle_forward -- [PRESET] [SECONDS] [THREADS]`

use candle_core::{Device, Tensor};
use std::time::Instant;
use vocoder::config::ModelConfig;

/// Taps, dilation, channels in and out, and output rows a frame of mel.
type Shape = (usize, usize, usize, usize, usize);

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let preset = arguments.first().map_or("quarter", String::as_str);
    let seconds: f64 = arguments.get(1).map_or(Ok(1.0), |text| text.parse())?;
    let threads: usize = arguments.get(2).map_or(Ok(1), |text| text.parse())?;
    rayon::ThreadPoolBuilder::new().num_threads(threads).build_global()?;

    let config = ModelConfig::preset(preset, 128)?;
    let frames = (seconds * 24000.0 / config.hop() as f64).round() as usize;
    let mut best = f64::MAX;
    for _ in 0..2 {
        let mut total = 0.0;
        for (taps, dilation, ci, co, rate) in shapes(&config) {
            let x = Tensor::randn(0f32, 1.0, (1, ci, rate * frames), &Device::Cpu)?;
            let w = Tensor::randn(0f32, 1.0, (co, ci, taps), &Device::Cpu)?;
            let start = Instant::now();
            std::hint::black_box(x.conv1d(&w, dilation * (taps - 1) / 2, 1, dilation, 1)?);
            total += start.elapsed().as_secs_f64();
        }
        best = best.min(total);
    }
    println!("{best}");
    Ok(())
}

/// The convolutions of `config`, as the open implementations run them.
fn shapes(config: &ModelConfig) -> Vec<Shape> {
    let (hop, taps) = (config.hop(), config.taps);
    let mut list =
        vec![(taps, 1, config.n_mels, config.first, 1), (config.stem_taps, 1, 1, config.stem, hop)];
    let down = config.down_channels();
    let mut rate = hop;
    for (i, (&c, &target)) in down.iter().zip(config.up.iter().rev()).enumerate() {
        list.extend([(taps, 1, c, c, rate), (taps, 1, c, 2 * target, rate)]);
        if let (Some(&next), Some(factor)) = (down.get(i + 1), config.down_factors().get(i)) {
            list.push((1, 1, c, next, rate));
            rate /= factor;
            for (j, &dilation) in config.down_dilations.iter().enumerate() {
                list.push((taps, dilation, if j == 0 { c } else { next }, next, rate));
            }
        }
    }
    let (mut ci, mut rate) = (config.first, 1);
    for ((&co, factor), dilations) in
        config.up.iter().zip(&config.factors).zip(&config.up_dilations)
    {
        rate *= factor;
        list.push((1, 1, ci, co, rate));
        for (j, &dilation) in dilations.iter().enumerate() {
            list.push((taps, dilation, if j == 0 { ci } else { co }, co, rate));
        }
        ci = co;
    }
    list.push((taps, 1, ci, 1, rate));
    list
}
