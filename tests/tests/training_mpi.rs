//! Two processes train as one does: the same losses and weights to the bit, also when they go on from a
//! checkpoint, and one of them alone writes. Runs where `VOCODER_MPI_PROGRAM` names a program that was
//! built with MPI (`make test-mpi`); elsewhere it says that it was skipped.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use serde_json::Value;
use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};
use vocoder::voice::Voice;
use vocoder_tests::program;

/// A rate that does not depend on the last step, so that a run of three steps can go on to six. With two
/// processes and two batches a step there is one sum of two numbers, whose order does not matter.
const CONFIG: &str = "
preset = 'overfit-one'
batch = 2
crop_frames = 8
steps = 6
workers = 1
[optimiser]
accumulate = 2
warm_up = 2
final_rate = 1.0
[saving]
every = 2
validate_every = 3
validate_crops = 1
preview_every = 0
[model]
first = 8
down = [4, 4, 4, 8]
up = [8, 8, 8, 4, 4]
";

struct Bench<'a> {
    program: OsString,
    folder: &'a Path,
}

impl Bench<'_> {
    /// Trains in the folder `out`, by so many processes.
    fn train(&self, processes: usize, out: &str, more: &[&str]) -> Output {
        let mut command = match processes {
            1 => Command::new(&self.program),
            _ => {
                let mut launcher = Command::new("mpirun");
                launcher.args([
                    "-n",
                    &processes.to_string(),
                    "--oversubscribe",
                    "--bind-to",
                    "none",
                ]);
                // Open MPI asks twice whether root means it.
                launcher.env("OMPI_ALLOW_RUN_AS_ROOT", "1");
                launcher.env("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1");
                launcher.arg(&self.program);
                launcher
            }
        };
        command.args(["train", "--device", "cpu", "--threads", "1", "--quiet", "--data"]);
        command.arg(self.folder.join("data")).arg("--out").arg(self.folder.join(out));
        command.arg("--config").arg(self.folder.join("config.toml")).args(more);
        command.output().unwrap()
    }

    fn trained(&self, processes: usize, out: &str, more: &[&str]) {
        let output = self.train(processes, out, more);
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{text}");
        // One process prints where the voice is.
        assert_eq!(String::from_utf8_lossy(&output.stdout).trim().lines().count(), 1);
    }

    /// The losses of steps and validations.
    fn losses(&self, out: &str) -> Vec<(String, u64, f64)> {
        let text = fs::read_to_string(self.folder.join(out).join("log.jsonl")).unwrap();
        let events = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let loss = |event: Value| {
            let kind = event["event"].as_str()?.to_string();
            Some((kind, event["step"].as_u64()?, event["loss"].as_f64()?))
        };
        events.filter_map(loss).collect()
    }

    fn weights(&self, out: &str) -> Vec<f32> {
        let voice = Voice::load(&self.folder.join(out).join("voice.safetensors")).unwrap();
        let values = |w: &candle_core::Tensor| w.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        voice.weights.values().flat_map(values).collect()
    }
}

#[test]
fn two_processes_train_as_one_does() {
    let Some(program) = std::env::var_os("VOCODER_MPI_PROGRAM") else {
        println!("skipped: VOCODER_MPI_PROGRAM names no program (make test-mpi)");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let bench = Bench { program, folder: folder.path() };
    let data = folder.path().join("data");
    fs::create_dir(&data).unwrap();
    fs::write(folder.path().join("config.toml"), CONFIG).unwrap();
    let held_out: String =
        (0..).map(|i| format!("clip{i}")).find(|id| training::corpus::is_held_out(id)).unwrap();
    for id in [held_out.as_str(), "a"] {
        fs::copy(program::speech(), data.join(format!("{id}.flac"))).unwrap();
    }

    bench.trained(1, "one", &[]);
    let expected = bench.losses("one");
    assert_eq!(expected.len(), 6 + 2, "{expected:?}");
    bench.trained(2, "two", &[]);
    assert_eq!(bench.losses("two"), expected);
    assert_eq!(bench.weights("two"), bench.weights("one"));

    // Half the way by two, then on: by two, and by one.
    for (out, processes) in [("resumed-by-two", 2), ("resumed-by-one", 1)] {
        bench.trained(2, out, &["--steps", "3"]);
        bench.trained(processes, out, &["--resume"]);
        let losses = bench.losses(out);
        let steps = |of: &[(String, u64, f64)]| -> Vec<(u64, f64)> {
            of.iter().filter(|l| l.0 == "step").map(|l| (l.1, l.2)).collect()
        };
        assert_eq!(steps(&losses), steps(&expected), "{out}");
        assert_eq!(bench.weights(out), bench.weights("one"), "{out}");
    }

    // Two batches can't be shared out to three; nobody waits for the others for ever.
    let output = bench.train(3, "three", &[]);
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && text.contains("multiple of the 3 processes"), "{text}");
    // A folder that holds a run already is found by the first process alone.
    let output = bench.train(2, "two", &[]);
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && text.contains("holds a run already"), "{text}");
}
