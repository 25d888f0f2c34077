//! Whatever it is given, the program ends in one clear line and exit status 1, and leaves nothing
//! half-written.
#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};

use vocoder_tests::arguments;
use vocoder_tests::program::{Run, command, run, speech};
use vocoder_tests::voices::tiny_voice;

/// A canonical wav header of 16 bit samples that promises `data_bytes`, and `data`.
fn wav(channels: u16, sample_rate: u32, data_bytes: u32, data: &[u8]) -> Vec<u8> {
    let frame = channels * 2;
    let mut file = b"RIFF".to_vec();
    file.extend((36 + data_bytes).to_le_bytes());
    file.extend(b"WAVEfmt \x10\0\0\0\x01\0");
    file.extend(channels.to_le_bytes());
    file.extend(sample_rate.to_le_bytes());
    file.extend((sample_rate.wrapping_mul(frame.into())).to_le_bytes());
    file.extend(frame.to_le_bytes());
    file.extend(b"\x10\0data");
    file.extend(data_bytes.to_le_bytes());
    file.extend(data);
    file
}

/// An .npy file of `values`, `[rows, columns]`.
fn npy(rows: usize, columns: usize, values: &[f32]) -> Vec<u8> {
    let header =
        format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({rows}, {columns}), }}");
    let padded = format!("{header:<117}\n");
    let mut file = b"\x93NUMPY\x01\0\x76\0".to_vec();
    file.extend(padded.as_bytes());
    file.extend(values.iter().flat_map(|value| value.to_le_bytes()));
    file
}

struct Bench {
    folder: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn file(&self, name: &str, content: &[u8]) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        path
    }

    /// Renders `input` without a network, which must not leave an output.
    fn render(&self, input: &Path) -> Run {
        let out = self.folder.path().join("out.wav");
        let run = run(arguments!["render", input, "-o", &out, "--sampler", "griffin-lim", "-q"]);
        assert!(run.status == 0 || !out.exists(), "{run:?}");
        run
    }
}

#[test]
fn damaged_audio() {
    let bench = Bench::new();
    let second = [0u8; 48_000];
    let truncated = bench.file("truncated.wav", &wav(1, 24_000, 96_000, &second));
    bench.render(&truncated).expect_error(1, &["truncated.wav", "48000", "24000"]);
    let empty = bench.file("empty.wav", &wav(1, 24_000, 0, &[]));
    bench.render(&empty).expect_error(1, &["empty.wav", "no audio"]);
    let nothing = bench.file("nothing.flac", &[]);
    bench.render(&nothing).expect_error(1, &["nothing.flac"]);
    let slow = bench.file("slow.wav", &wav(1, 1, 8, &[0; 8]));
    bench.render(&slow).expect_error(1, &["slow.wav", "1"]);
    let rateless = bench.file("rateless.wav", &wav(1, 0, 8, &[0; 8]));
    bench.render(&rateless).expect_error(1, &["rateless.wav"]);
    let text = bench.file("text.mp3", b"this is no audio at all, whatever its name says");
    bench.render(&text).expect_error(1, &["text.mp3"]);
}

/// The highest rate there is renders; more, more channels than audio formats give a place, and less
/// than a frame of sound, are told.
#[test]
fn extreme_audio_is_rendered_or_told() {
    let tone: Vec<u8> =
        (0..64 * 9600).flat_map(|i| ((i % 97) as i16 * 100).to_le_bytes()).collect();
    let bytes = tone.len() as u32;
    let bench = Bench::new();
    let wide = bench.file("wide.wav", &wav(64, 48_000, bytes, &tone));
    bench.render(&wide).expect_error(1, &["wide.wav", "1 to 18 channels", "64"]);
    let one = bench.file("one.wav", &wav(1, 24_000, 2, &[0, 32]));
    bench.render(&one).expect_error(1, &["one.wav", "300 samples", "got 1"]);
    let faster = bench.file("faster.wav", &wav(1, 768_000, bytes, &tone));
    bench.render(&faster).expect_error(1, &["faster.wav", "1 to 384000 Hz", "got 768000"]);
    let slow = bench.file("slow.wav", &wav(1, 1, bytes, &tone));
    bench.render(&slow).expect_error(1, &["slow.wav", "1 Hz to 24000 Hz"]);
    let fast = bench.render(&bench.file("fast.wav", &wav(1, 384_000, bytes, &tone)));
    assert_eq!(fast.status, 0, "{}", fast.stderr);
}

#[test]
fn damaged_mels() {
    let bench = Bench::new();
    let cases = [
        ("empty.npy", npy(128, 0, &[]), "frame"),
        ("nan.npy", npy(128, 2, &[f32::NAN; 256]), "NaN"),
        ("loud.npy", npy(128, 2, &[1e6; 256]), "1000000"),
        ("narrow.npy", npy(80, 2, &[-5.0; 160]), "128"),
        ("short.npy", npy(128, 2, &[-5.0; 100]), "short.npy"),
        ("garbage.npy", b"\x93NUMPY\x01\0\xff\xff".to_vec(), "garbage.npy"),
        ("garbage.safetensors", vec![0xff; 64], "garbage.safetensors"),
    ];
    for (name, content, word) in cases {
        bench.render(&bench.file(name, &content)).expect_error(1, &[name, word]);
    }
}

#[test]
fn damaged_voices() {
    let bench = Bench::new();
    let whole = std::fs::read(tiny_voice(bench.folder.path())).unwrap();
    let half = bench.file("half.safetensors", &whole[..whole.len() / 2]);
    let newer = rewrite(&whole, r#""version":"2""#, r#""version":"9""#);
    let newer = bench.file("newer.safetensors", &newer);
    let text = bench.file("text.safetensors", b"a voice? no");
    for (voice, words) in [
        (half, ["half.safetensors", "damaged"]),
        (newer, ["newer.safetensors", "version 9"]),
        (text, ["text.safetensors", "voice"]),
        (bench.folder.path().join("gone.safetensors"), ["gone.safetensors", "voice"]),
    ] {
        let out = bench.folder.path().join("out.wav");
        run(arguments!["render", speech(), "-o", &out, "--voice", &voice]).expect_error(1, &words);
        assert!(!out.exists());
    }
}

/// `content` with the only `from` in it replaced by `to`, of the same length.
fn rewrite(content: &[u8], from: &str, to: &str) -> Vec<u8> {
    let at = content.windows(from.len()).position(|window| window == from.as_bytes()).unwrap();
    let mut content = content.to_vec();
    content[at..at + to.len()].copy_from_slice(to.as_bytes());
    content
}

#[test]
fn folders_without_audio_and_outputs_that_cannot_be_written() {
    let bench = Bench::new();
    let file = bench.file("notes.txt", b"no audio");
    let out = bench.folder.path().join("out");
    let silent = arguments!["render", bench.folder.path(), "-o", &out, "--sampler", "griffin-lim"];
    run(silent).expect_error(1, &["no file ending in wav"]);
    bench.render(&bench.folder.path().join("gone.wav")).expect_error(1, &["gone.wav"]);
    let below_a_file = file.join("out.wav");
    let run = run(arguments!["mel", speech(), "-o", &below_a_file]);
    run.expect_error(1, &["notes.txt"]);
}

/// A full disk, by a limit on the size of files: the write fails in the middle.
#[test]
#[cfg(unix)]
fn a_full_disk_leaves_nothing() {
    let bench = Bench::new();
    let out = bench.folder.path().join("out");
    let program = vocoder_tests::program::path();
    let mut shell = command_of("sh");
    shell.args(["-c", r#"trap "" XFSZ; ulimit -f 8; exec "$@""#, "sh"]).arg(program);
    shell.args(arguments!["mel", speech(), "-o", &out, "-q"]);
    Run::of(shell.output().unwrap()).expect_error(1, &["kokoro_af_heart.npy"]);
    assert_eq!(std::fs::read_dir(&out).unwrap().count(), 0, "nothing half-written");

    let full = std::fs::File::create("/dev/full");
    if let Ok(full) = full {
        let mut command = command();
        let output = command.arg("devices").stdout(full).output().unwrap();
        Run::of(output).expect_error(1, &["stdout"]);
    }
}

#[cfg(unix)]
fn command_of(program: &str) -> std::process::Command {
    std::process::Command::new(program)
}
