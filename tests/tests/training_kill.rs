//! A run that is killed at any moment, many times, ends as if it had never been.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};
use vocoder::voice::Voice;
use vocoder_tests::program;

/// Kills of one run.
const KILLS: usize = 25;

/// Steps of the run; each is saved, so that many kills hit the saving itself.
const STEPS: usize = 60;

const CONFIG: &str = "
preset = 'overfit-one'
batch = 1
crop_frames = 8
steps = 60
[optimiser]
accumulate = 2
[saving]
every = 1
validate_every = 5
validate_crops = 1
preview_every = 0
[model]
first = 8
down = [4, 4, 4, 8]
up = [8, 8, 8, 4, 4]
";

fn start(data: &Path, config: &Path, out: &Path) -> Child {
    let mut command = program::command();
    command.arg("train").arg("--data").arg(data).arg("--config").arg(config);
    command.arg("--out").arg(out).args(["--resume", "--device", "cpu", "--quiet"]);
    command.stdout(Stdio::null()).stderr(Stdio::inherit()).spawn().unwrap()
}

/// The log without what depends on the clock.
fn log(out: &Path) -> Vec<Value> {
    let text = fs::read_to_string(out.join("log.jsonl")).unwrap();
    let mut events: Vec<Value> =
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    for event in &mut events {
        let fields = event.as_object_mut().unwrap();
        fields.remove("samples_per_second");
        fields.remove("idle");
    }
    events
}

fn progress(out: &Path) -> Value {
    let path = last_checkpoint(out).join("progress.json");
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

/// Of the checkpoints that are there; 0 if none is.
fn newest_step(out: &Path) -> usize {
    let Ok(folder) = fs::read_dir(out.join("checkpoints")) else { return 0 };
    let names = folder.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned());
    let steps = names.filter_map(|name| name.strip_prefix("step-")?.parse().ok());
    steps.max().unwrap_or(0)
}

fn last_checkpoint(out: &Path) -> PathBuf {
    out.join(format!("checkpoints/step-{STEPS:09}"))
}

#[test]
fn killed_many_times_a_run_ends_as_if_it_had_never_been() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let (data, config) = (folder.join("data"), folder.join("config.toml"));
    fs::create_dir(&data).unwrap();
    fs::write(&config, CONFIG).unwrap();
    // One name of each side of the split.
    let held_out: String =
        (0..).map(|i| format!("clip{i}")).find(|id| training::corpus::is_held_out(id)).unwrap();
    for id in [held_out.as_str(), "a"] {
        fs::copy(program::speech(), data.join(format!("{id}.flac"))).unwrap();
    }

    let whole = folder.join("whole");
    let started = Instant::now();
    assert!(start(&data, &config, &whole).wait().unwrap().success());
    let length = started.elapsed();

    // Delays from a fixed generator (Knuth's MMIX); what they hit depends on the machine.
    let mut random = 1u64;
    let mut part_of = |longest: Duration| {
        random =
            random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        longest.mul_f64((random >> 40) as f64 / (1u64 << 24) as f64)
    };
    let pieces = folder.join("pieces");
    let mut kills = 0;
    while kills < KILLS {
        let saved = newest_step(&pieces);
        let end = Instant::now() + part_of(length / 10);
        let mut child = start(&data, &config, &pieces);
        // A machine that was busier when the length was taken would be through after a few.
        while Instant::now() < end && newest_step(&pieces) < saved + 2 {
            sleep(Duration::from_millis(1));
        }
        sleep(part_of(length / STEPS as u32));
        if let Some(status) = child.try_wait().unwrap() {
            assert!(status.success());
            break;
        }
        child.kill().unwrap();
        child.wait().unwrap();
        kills += 1;
    }
    assert!(start(&data, &config, &pieces).wait().unwrap().success());
    println!("{kills} kills; {length:?} without any");
    assert!(kills >= 15, "only {kills} kills came before the end");

    for part in ["weights", "mean", "first", "second"] {
        let bytes =
            |out| fs::read(last_checkpoint(out).join(format!("{part}.safetensors"))).unwrap();
        assert!(bytes(&whole) == bytes(&pieces), "{part}");
    }
    for name in ["voice.safetensors", "voice-best.safetensors"] {
        let voice = |out: &Path| Voice::load(&out.join(name)).unwrap();
        let (expected, found) = (voice(&whole), voice(&pieces));
        assert_eq!(found.content_hash().unwrap(), expected.content_hash().unwrap(), "{name}");
        assert_eq!(found.provenance, expected.provenance, "{name}");
    }
    let (expected, found) = (log(&whole), log(&pieces));
    assert_eq!(found.len(), expected.len());
    assert_eq!(found, expected);
    let (expected, found) = (progress(&whole), progress(&pieces));
    for key in ["step", "skipped", "best", "event_bytes"] {
        assert_eq!(found[key], expected[key], "{key}");
    }
    let length = |name: &str| fs::metadata(pieces.join(name)).unwrap().len();
    assert_eq!(found["log_bytes"], length("log.jsonl"));
    let events = "tensorboard/events.out.tfevents.0.vocoder";
    assert_eq!(found["event_bytes"], length(events));
    let litter = fs::read_dir(&pieces).unwrap().flatten().filter(|entry| {
        let name = entry.file_name().to_string_lossy().into_owned();
        name.starts_with('.') && name != ".lock"
    });
    assert_eq!(litter.count(), 0);
}
