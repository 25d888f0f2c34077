//! Runs the program `vocoder` that was built beside the test program.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// How a run of the program ended.
#[derive(Debug)]
pub struct Run {
    /// Exit status.
    pub status: i32,
    /// What it wrote to stdout.
    pub stdout: String,
    /// What it wrote to stderr.
    pub stderr: String,
}

/// The program's path: test programs lie in `deps/` below it.
///
/// # Panics
/// It has not been built.
pub fn path() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let folder = test.ancestors().nth(2).unwrap();
    let path = folder.join(format!("vocoder{}", std::env::consts::EXE_SUFFIX));
    assert!(path.exists(), "{} is missing: run `make build` first", path.display());
    path
}

/// The program, without the variables by which a scheduler would give it a share.
pub fn command() -> Command {
    let mut command = Command::new(path());
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy().into_owned();
        if ["SLURM_", "PMI_", "OMPI_"].iter().any(|prefix| name.starts_with(prefix)) {
            command.env_remove(name);
        }
    }
    command
}

/// Runs the program with `arguments`.
pub fn run<I: IntoIterator<Item = S>, S: AsRef<OsStr>>(arguments: I) -> Run {
    Run::of(command().args(arguments).output().unwrap())
}

/// Runs the program, which must succeed, and gives its stdout.
///
/// # Panics
/// It did not.
pub fn output<I: IntoIterator<Item = S>, S: AsRef<OsStr>>(arguments: I) -> String {
    let run = run(arguments);
    assert_eq!(run.status, 0, "{}", run.stderr);
    run.stdout
}

impl Run {
    /// What `output` says. A status of -1 stands for a signal.
    pub fn of(output: Output) -> Self {
        Run {
            status: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// Checks that the run ended with `status` and one line on stderr that has all of `words`.
    ///
    /// # Panics
    /// It did not.
    pub fn expect_error(&self, status: i32, words: &[&str]) {
        assert_eq!(self.status, status, "{self:?}");
        let lines: Vec<&str> = self.stderr.lines().collect();
        assert_eq!(lines.len(), 1, "one line: {}", self.stderr);
        assert!(lines[0].starts_with("vocoder: error: "), "{}", lines[0]);
        for word in words {
            assert!(lines[0].contains(word), "`{word}` in: {}", lines[0]);
        }
    }
}

/// The folder of sample clips.
pub fn samples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../samples")
}

/// The shortest of the sample clips: two seconds of speech at 24 kHz.
pub fn speech() -> PathBuf {
    samples().join("kokoro_af_heart.flac")
}

/// Paths and words as arguments of the program.
#[macro_export]
macro_rules! arguments {
    ($($argument:expr),* $(,)?) => {
        [$(std::ffi::OsString::from($argument)),*]
    };
}
