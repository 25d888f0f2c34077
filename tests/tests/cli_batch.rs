//! The program over many inputs: folders, what exists already, shards, JSON.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::Value;
use vocoder_tests::arguments;
use vocoder_tests::program::{Run, command, output, run, speech};

/// Files below `folder` by their path there, with their contents.
fn contents(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    fn visit(at: &Path, top: &Path, into: &mut BTreeMap<PathBuf, Vec<u8>>) {
        for entry in std::fs::read_dir(at).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                visit(&path, top, into);
            } else {
                let below = path.strip_prefix(top).unwrap().to_path_buf();
                into.insert(below, std::fs::read(&path).unwrap());
            }
        }
    }
    let mut files = BTreeMap::new();
    visit(folder, folder, &mut files);
    files
}

/// A folder with `names`, each a copy of the speech clip.
fn corpus(names: &[&str]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for name in names {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::copy(speech(), path).unwrap();
    }
    folder
}

fn names(folder: &Path) -> Vec<String> {
    contents(folder).into_keys().map(|path| path.display().to_string()).collect()
}

#[test]
fn folders_are_mirrored_and_notes_left_alone() {
    let data = corpus(&["a.flac", "deep/er/b.FLAC", "notes.txt"]);
    let out = data.path().join("out");
    output(arguments!["mel", data.path(), "-o", &out, "--quiet"]);
    assert_eq!(names(&out), ["a.npy", "deep/er/b.npy"]);
    // The outputs lie below the input folder: a second run must not take them for inputs.
    let summary = output(arguments!["mel", data.path(), "-o", &out]);
    assert!(summary.starts_with("0 written, 2 skipped"), "{summary}");
}

#[test]
fn what_exists_is_skipped_unless_forced() {
    let data = corpus(&["a.flac", "b.flac"]);
    let out = data.path().join("out");
    std::fs::create_dir(&out).unwrap();
    std::fs::write(out.join("a.npy"), b"mine").unwrap();
    output(arguments!["mel", data.path(), "-o", &out]);
    assert_eq!(contents(&out)[Path::new("a.npy")], b"mine");
    output(arguments!["mel", data.path(), "-o", &out, "--force"]);
    let files = contents(&out);
    assert_eq!(files[Path::new("a.npy")], files[Path::new("b.npy")]);
}

#[test]
fn shards_make_each_output_once() {
    let data = corpus(&["a.flac", "b.flac", "c.flac", "d.flac", "e.flac"]);
    let whole = data.path().join("whole");
    output(arguments!["mel", data.path(), "-o", &whole, "-q"]);
    let expected = contents(&whole);
    std::fs::remove_dir_all(&whole).unwrap();

    let by_flag = data.path().join("flag");
    let mut made = 0;
    for shard in ["1/3", "2/3", "3/3"] {
        let arguments = arguments!["mel", data.path(), "-o", &by_flag, "--shard", shard, "--force"];
        let summary = output(arguments);
        made += summary.split(' ').next().unwrap().parse::<usize>().unwrap();
    }
    assert_eq!(made, 5);
    assert_eq!(contents(&by_flag), expected);
    std::fs::remove_dir_all(&by_flag).unwrap();

    let by_slurm = data.path().join("slurm");
    for task in ["4", "5"] {
        let mut command = command();
        command.envs([("SLURM_ARRAY_TASK_ID", task), ("SLURM_ARRAY_TASK_MIN", "4")]);
        command.env("SLURM_ARRAY_TASK_COUNT", "2");
        let arguments = arguments!["mel", data.path(), "-o", &by_slurm];
        assert_eq!(Run::of(command.args(arguments).output().unwrap()).status, 0);
        let so_far = names(&by_slurm);
        assert_eq!(so_far.len(), if task == "4" { 3 } else { 5 }, "{so_far:?}");
    }
    assert_eq!(contents(&by_slurm), expected);
}

#[test]
fn json_has_a_line_for_each_input_and_one_for_all() {
    let data = corpus(&["a.flac", "c.flac"]);
    std::fs::write(data.path().join("b.wav"), b"RIFF").unwrap();
    let out = data.path().join("out");
    let run = run(arguments!["mel", data.path(), "-o", &out, "--json"]);
    assert_eq!(run.status, 1, "b.wav is damaged");
    let lines: Vec<Value> =
        run.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let statuses: Vec<&str> =
        lines[..3].iter().map(|line| line["status"].as_str().unwrap()).collect();
    assert_eq!(statuses, ["done", "failed", "done"]);
    assert_eq!(lines[0]["n_mels"], 128);
    assert!(lines[1]["error"].as_str().unwrap().contains("b.wav"));
    assert_eq!(lines[3]["summary"]["done"], 2);
    assert_eq!(lines[3]["summary"]["failed"], 1);
    assert_eq!(lines.len(), 4);
}
