//! Wrong usage: exit status 2 and one line; help: exit status 0.
#![allow(clippy::unwrap_used)]

use vocoder_tests::arguments;
use vocoder_tests::program::{run, samples, speech};

#[test]
fn help_and_version_succeed_on_stdout() {
    for arguments in [vec!["--help"], vec!["--version"], vec!["mel", "--help"]] {
        let run = run(&arguments);
        assert_eq!(run.status, 0, "{arguments:?}");
        assert!(!run.stdout.is_empty() && run.stderr.is_empty(), "{arguments:?}");
    }
}

#[test]
fn wrong_arguments_are_told_on_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path();
    run(["sing"]).expect_error(2, &["sing"]);
    run(["mel", "--loud"]).expect_error(2, &["--loud"]);
    run(arguments!["mel", speech()]).expect_error(2, &["--out"]);
    run(arguments!["mel", speech(), "-o", out, "--config", "mp3"])
        .expect_error(2, &["mp3", "wavegrad-24k", "vocos-24k"]);
    for shard in ["0/2", "3/2", "1", "a/b"] {
        run(arguments!["mel", speech(), "-o", out, "--shard", shard])
            .expect_error(2, &["--shard", "I/N"]);
    }
    assert_eq!(std::fs::read_dir(out).unwrap().count(), 0);
}

#[test]
fn contradictions_are_found_before_any_work() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    for name in ["a.wav", "a.flac"] {
        std::fs::copy(speech(), folder.path().join(name)).unwrap();
    }
    run(arguments!["mel", folder.path(), "-o", &out])
        .expect_error(2, &["a.flac", "a.wav", "a.npy"]);
    let file = folder.path().join("one.npy");
    run(arguments!["mel", samples(), "-o", &file]).expect_error(2, &["one.npy", "folder"]);
    assert!(!out.exists() && !file.exists());
}
