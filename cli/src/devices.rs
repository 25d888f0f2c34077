//! `vocoder devices`: what this machine can compute on.

use anyhow::Result;
use clap::Args;
use serde::Serialize;

use crate::device::{Choice, not_built};
use crate::output;

/// What this machine can compute on
#[derive(Debug, Args)]
pub struct DevicesArgs {
    /// As JSON
    #[arg(long)]
    json: bool,
}

/// One line of the list.
#[derive(Serialize)]
struct Entry {
    /// As `--device` takes it.
    device: String,
    /// Whether `--device` would work.
    usable: bool,
    about: String,
}

/// Runs the verb.
pub fn run(args: &DevicesArgs) -> Result<()> {
    let mut entries = vec![cpu()];
    entries.extend(gpus("cuda", cfg!(feature = "cuda"), Choice::Cuda));
    entries.extend(gpus("metal", cfg!(feature = "metal"), |_| Choice::Metal));
    #[cfg(feature = "sound")]
    entries.extend(sound_cards()?);
    if args.json {
        return output::json(&entries);
    }
    let row = |entry: &Entry| {
        let usable = if entry.usable { "yes" } else { "no" };
        format!("{:<10} {usable:<4} {}", entry.device, entry.about)
    };
    entries.iter().try_for_each(|entry| output::line(row(entry)))
}

fn cpu() -> Entry {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let extensions = extensions();
    let extensions =
        if extensions.is_empty() { "no known extensions".into() } else { extensions.join(", ") };
    let about = format!("{threads} threads, {}, {extensions}", std::env::consts::ARCH);
    Entry { device: "cpu".into(), usable: true, about }
}

/// The instruction sets that matter for the kernels.
fn extensions() -> Vec<&'static str> {
    #[cfg(target_arch = "x86_64")]
    let known = [
        ("AVX2", is_x86_feature_detected!("avx2")),
        ("FMA", is_x86_feature_detected!("fma")),
        ("AVX-512", is_x86_feature_detected!("avx512f")),
        ("AVX-512 BF16", is_x86_feature_detected!("avx512bf16")),
        ("AVX-512 VNNI", is_x86_feature_detected!("avx512vnni")),
    ];
    #[cfg(target_arch = "aarch64")]
    let known = [("NEON", true)];
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    let known: [(&str, bool); 0] = [];
    known.into_iter().filter(|(_, has)| *has).map(|(name, _)| name).collect()
}

/// The GPUs of one kind: all that answer, or one line that says why there is none.
fn gpus(kind: &str, built: bool, numbered: impl Fn(usize) -> Choice) -> Vec<Entry> {
    const MOST: usize = 16;
    let missing = |about: String| vec![Entry { device: kind.into(), usable: false, about }];
    if !built {
        return missing(not_built(kind));
    }
    let most = if kind == "metal" { 1 } else { MOST };
    let answering: Vec<Entry> = (0..most)
        .map(&numbered)
        .take_while(|gpu| gpu.open().is_ok())
        .map(|gpu| Entry { device: gpu.to_string(), usable: true, about: "answers".into() })
        .collect();
    match answering.is_empty() {
        true => missing("built in, but none answers".into()),
        false => answering,
    }
}

/// The sound cards' inputs and outputs.
#[cfg(feature = "sound")]
fn sound_cards() -> Result<Vec<Entry>> {
    use cpal::traits::{DeviceTrait, HostTrait};
    let entry = |device: cpal::Device, direction: &str| Entry {
        device: direction.into(),
        usable: true,
        about: device.description().map_or("unnamed".into(), |about| about.name().to_string()),
    };
    let host = cpal::default_host();
    let inputs = host.input_devices()?.map(|device| entry(device, "sound in"));
    let outputs = host.output_devices()?.map(|device| entry(device, "sound out"));
    Ok(inputs.chain(outputs).collect())
}
