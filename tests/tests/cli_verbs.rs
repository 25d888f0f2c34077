//! The verbs that are not runs over many inputs: voice, devices, eval, demo.
#![allow(clippy::unwrap_used)]

use serde_json::Value;
use vocoder_tests::arguments;
use vocoder_tests::program::{Run, command, output, run, samples, speech};
use vocoder_tests::voices::tiny_voice;

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

#[test]
fn voices_are_listed_and_shown() {
    let folder = tempfile::tempdir().unwrap();
    let file = tiny_voice(folder.path());
    std::fs::write(folder.path().join("other.safetensors"), b"no voice").unwrap();
    let mut command = command();
    command.args(["voice", "list", "--json"]).env("VOCODER_VOICES", folder.path());
    let run = Run::of(command.output().unwrap());
    assert_eq!(run.status, 0, "{}", run.stderr);
    assert!(run.stderr.contains("other.safetensors"), "what is no voice is told");
    let list = json(&run.stdout);
    let tiny = list.as_array().unwrap().iter().find(|voice| voice["name"] == "tiny").unwrap();
    assert_eq!(tiny["parameters"], 283_721);

    let shown = json(&output(arguments!["voice", "show", &file, "--json"]));
    assert_eq!(shown["mel"]["n_mels"], 128);
    assert_eq!(shown["model"]["factors"], serde_json::json!([5, 5, 3, 2, 2]));
    let told = output(arguments!["voice", "show", &file]);
    assert!(told.contains("0.28 M parameters"), "{told}");
}

#[test]
fn the_cpu_is_always_there() {
    let devices = json(&output(["devices", "--json"]));
    assert_eq!(devices[0]["device"], "cpu");
    assert_eq!(devices[0]["usable"], true);
}

#[test]
fn a_recording_is_at_no_distance_from_itself() {
    let figures = json(&output(arguments!["eval", speech(), speech(), "--json", "-q"]));
    let distances = [
        "ls_mae",
        "ls_mse",
        "mr_stft",
        "mcd13_db",
        "f0_rmse_cents",
        "voicing_error",
        "ffe",
        "periodicity_rmse",
    ];
    for figure in distances {
        assert_eq!(figures["files"][0]["generated"][figure], 0.0);
        assert!(figures["files"][0]["griffin_lim"][figure].as_f64().unwrap() > 0.0, "{figure}");
        assert_eq!(figures["mean"]["generated"][figure]["mean"], 0.0);
    }
    assert_eq!(figures["files"][0]["generated"]["vuv_f1"], 1.0);
    let folder = tempfile::tempdir().unwrap();
    run(arguments!["eval", samples(), speech()]).expect_error(1, &["one of each"]);
    run(arguments!["eval", samples(), folder.path()]).expect_error(1, &["no audio file"]);
}

#[test]
fn a_report_is_a_page_and_a_picture_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let report = folder.path().join("report");
    let told = output(arguments!["eval", speech(), speech(), "--report", &report, "-q"]);
    assert!(told.contains("FFE %") && told.contains("report.html"), "{told}");
    let page = std::fs::read_to_string(report.join("report.html")).unwrap();
    for part in ["<table>", "data:image/png;base64,", "data:audio/wav;base64,", "Griffin-Lim"] {
        assert!(page.contains(part), "{part}");
    }
    assert!(!page.contains("://"), "the page needs nothing beside itself");
    let files: Vec<_> = std::fs::read_dir(&report).unwrap().collect();
    assert_eq!(files.len(), 2, "{files:?}");
}

#[test]
fn the_demo_fills_its_folder_and_may_run_again() {
    let folder = tempfile::tempdir().unwrap();
    let voice = tiny_voice(folder.path());
    let clips = folder.path().join("clips");
    std::fs::create_dir(&clips).unwrap();
    std::fs::copy(speech(), clips.join("speech.flac")).unwrap();
    let out = folder.path().join("out");
    let arguments = arguments![
        "demo",
        "--out",
        &out,
        "--samples",
        &clips,
        "--voice",
        &voice,
        "--steps",
        "1",
        "--json",
        "-q"
    ];
    for _ in 0..2 {
        let takes = json(&output(arguments.clone()));
        assert_eq!(takes.as_array().unwrap().len(), 2);
        // The network is untrained; Griffin-Lim is what it should be (0.137 ± 0.010 over 16 clips).
        let baseline = takes[1]["ls_mae"].as_f64().unwrap();
        assert!((0.05..0.25).contains(&baseline), "{baseline}");
        let mut files: Vec<String> = std::fs::read_dir(&out)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        files.sort();
        assert_eq!(files, ["spectrograms.png", "speech.griffin-lim.wav", "speech.vocoder.wav"]);
    }
}
