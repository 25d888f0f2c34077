//! `vocoder render` with a network: the same in gives the same out, whatever the pieces.
#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};

use serde_json::Value;
use vocoder_tests::arguments;
use vocoder_tests::program::{self, output, run, speech};
use vocoder_tests::voices::tiny_voice;

struct Studio {
    folder: tempfile::TempDir,
    voice: PathBuf,
}

impl Studio {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let voice = tiny_voice(folder.path());
        Self { folder, voice }
    }

    /// Renders `input` into the file `name`, with further arguments, and gives its content.
    fn render(&self, input: &Path, name: &str, further: &[&str]) -> Vec<u8> {
        let out = self.folder.path().join(name);
        let mut arguments =
            arguments!["render", input, "-o", &out, "--voice", &self.voice, "-q"].to_vec();
        arguments.extend(further.iter().map(std::ffi::OsString::from));
        output(arguments);
        std::fs::read(out).unwrap()
    }
}

#[test]
fn a_seed_fixes_the_output_and_another_changes_it() {
    let studio = Studio::new();
    let render = |name, seed| studio.render(&speech(), name, &["--steps", "2", "--seed", seed]);
    let first = render("a.wav", "7");
    assert_eq!(first, render("b.wav", "7"));
    assert_ne!(first, render("c.wav", "8"));
}

#[test]
fn chunks_give_the_whole() {
    let studio = Studio::new();
    let further = ["--steps", "3", "--format", "f32", "--chunk"];
    let render =
        |name, seconds| studio.render(&speech(), name, &[&further[..], &[seconds]].concat());
    let rendered = |name, seconds| {
        render(name, seconds);
        samples(&studio.folder.path().join(name))
    };
    let whole = rendered("whole.wav", "60");
    let pieces = rendered("pieces.wav", "0.31");
    assert_eq!(whole.len(), pieces.len());
    let apart = whole.iter().zip(&pieces).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(apart <= 1e-4, "pieces are {apart} of full scale off the whole");
}

fn samples(path: &Path) -> Vec<f32> {
    let wav = hound::WavReader::open(path).unwrap();
    wav.into_samples::<f32>().map(Result::unwrap).collect()
}

#[test]
fn clips_together_are_as_clips_alone_and_a_bad_one_spoils_none() {
    let studio = Studio::new();
    let folder = |name: &str| studio.folder.path().join(name);
    let (clips, alone, together) = (folder("clips"), folder("alone"), folder("together"));
    std::fs::create_dir(&clips).unwrap();
    // Of two lengths, in two batches, with one that can't be read among them.
    let longer = program::samples().join("festvox_ru_nsh_bsd.flac");
    for (name, from) in [("a", speech()), ("c", longer), ("d", speech())] {
        std::fs::copy(from, clips.join(name).with_extension("flac")).unwrap();
    }
    std::fs::write(clips.join("b.flac"), b"no audio").unwrap();
    let render = |out: &Path, further: &[&str]| {
        let mut arguments =
            arguments!["render", &clips, "-o", out, "--voice", &studio.voice, "--json", "-q"]
                .to_vec();
        let fixed = ["--steps", "2", "--format", "f32", "--device", "cpu"];
        arguments.extend(fixed.iter().chain(further).map(std::ffi::OsString::from));
        run(arguments)
    };
    render(&alone, &["--precision", "f32"]);
    let done = render(&together, &["--batch", "3"]);
    assert!(done.status == 1 && done.stderr.contains("b.flac"), "{done:?}");
    let told: Vec<Value> =
        done.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let status = |i: usize| told[i]["status"].as_str().unwrap();
    assert_eq!([0, 1, 2, 3].map(status), ["done", "failed", "done", "done"]);
    assert_eq!((told[0]["batch"].as_u64(), told.len()), (Some(3), 5));
    for name in ["a.wav", "c.wav", "d.wav"] {
        let (one, all) = (samples(&alone.join(name)), samples(&together.join(name)));
        assert_eq!(one.len(), all.len());
        let apart = one.iter().zip(&all).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(apart <= 1e-3, "{name}: {apart} of full scale");
    }
    // What is there is not done again.
    std::fs::remove_file(together.join("c.wav")).unwrap();
    let again = render(&together, &["--batch", "3"]);
    assert_eq!(again.stdout.matches("skipped\"").count(), 3, "{}", again.stdout);
    assert!(together.join("c.wav").exists());
    run(arguments!["render", speech(), "-o", &alone, "--batch", "2", "--chunk", "3"])
        .expect_error(2, &["--batch", "--chunk"]);
    run(arguments!["render", speech(), "-o", &alone, "--batch", "2", "--sampler", "griffin-lim"])
        .expect_error(2, &["--batch", "network"]);
}

#[test]
fn a_mel_file_gives_what_its_audio_gives() {
    let studio = Studio::new();
    let mel = studio.folder.path().join("speech.npy");
    output(arguments!["mel", speech(), "-o", &mel, "-q"]);
    let further = ["--steps", "2", "--format", "f32"];
    let from_audio = studio.render(&speech(), "audio.wav", &further);
    let from_mel = studio.render(&mel, "mel.wav", &further);
    // A mel's frames reach beyond the audio that it was taken from; only audio says how far.
    const HEADER: usize = 100;
    let same = from_audio.len() - HEADER;
    assert!(from_mel.len() >= from_audio.len());
    assert_eq!(from_mel[HEADER..][..same], from_audio[HEADER..]);
}

#[test]
fn mels_of_other_systems_are_told_apart_and_adapted() {
    let studio = Studio::new();
    let mel = studio.folder.path().join("theirs.npy");
    output(arguments!["mel", speech(), "-o", &mel, "--config", "hifigan-22k", "-q"]);
    let out = studio.folder.path().join("out.wav");
    run(arguments!["render", &mel, "-o", &out, "--voice", &studio.voice, "-q"])
        .expect_error(1, &["--mel-config", "hifigan-22k"]);
    assert!(!out.exists());
    let further = ["--mel-config", "hifigan-22k", "--sampler", "griffin-lim", "--format", "f32"];
    let sound = studio.render(&mel, "adapted.wav", &further);
    let ours = studio.render(&speech(), "ours.wav", &further[2..]);
    let read = |wav: &[u8]| {
        let reader = hound::WavReader::new(wav).unwrap();
        assert_eq!(reader.spec().sample_rate, 24_000);
        reader.into_samples::<f32>().map(|v| v.unwrap()).collect::<Vec<f32>>()
    };
    let (sound, ours) = (read(&sound), read(&ours));
    assert!(sound.len().abs_diff(ours.len()) <= 600, "{} {}", sound.len(), ours.len());
    // The loudness over time is that of the recording.
    let loudness = |x: &[f32]| -> Vec<f32> {
        x.chunks_exact(2400).map(|c| c.iter().map(|v| v * v).sum::<f32>().sqrt()).collect()
    };
    let (a, b) = (loudness(&sound), loudness(&ours));
    let error: f32 = a.iter().zip(&b).map(|(a, b)| (a - b).abs()).sum();
    assert!(error < 0.15 * b.iter().sum::<f32>(), "{error} of {}", b.iter().sum::<f32>());
}

#[test]
fn the_output_is_as_long_as_the_audio() {
    let studio = Studio::new();
    let wav = studio.render(&speech(), "out.wav", &["--steps", "1", "--format", "pcm24"]);
    let wav = hound::WavReader::new(&wav[..]).unwrap();
    assert_eq!(wav.spec().bits_per_sample, 24);
    assert_eq!(wav.duration(), 46_146, "as many samples as the clip has");
}

#[test]
fn json_says_how_it_was_rendered() {
    let studio = Studio::new();
    let out = studio.folder.path().join("out");
    let text = output(arguments![
        "render",
        speech(),
        "-o",
        &out,
        "--voice",
        &studio.voice,
        "--steps",
        "2",
        "--json",
        "--sampler",
        "ddim",
        "--device",
        "cpu",
        "--threads",
        "1",
        "--schedule",
        "cosine"
    ]);
    let line: Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
    assert_eq!(line["steps"], 2);
    assert_eq!(line["sampler"], "ddim");
    assert_eq!(line["device"], "cpu");
    assert!(line["rtf"].as_f64().unwrap() > 0.0);
    assert_eq!(line["frames"], 46_146 / 300 + 1);
}

#[test]
fn schedules_from_files_say_their_steps_and_warn_of_a_wrong_start() {
    let studio = Studio::new();
    let file = studio.folder.path().join("levels.json");
    std::fs::write(&file, "[0.5, 0.9, 0.99]").unwrap();
    let out = studio.folder.path().join("out.wav");
    let arguments =
        arguments!["render", speech(), "-o", &out, "--voice", &studio.voice, "--schedule", &file];
    let with_steps = [&arguments[..], &arguments!["--steps", "4"]].concat();
    run(with_steps).expect_error(2, &["--steps 4", "3 steps"]);
    let run = run(arguments);
    assert_eq!(run.status, 0, "{}", run.stderr);
    assert!(run.stderr.contains("25 % of signal"), "{}", run.stderr);
}

/// Ctrl-C in the middle of a long clip, told twice, as `timeout` tells a process and its group: exit status
/// 130, one line, and no file.
#[test]
#[cfg(unix)]
fn an_interrupted_render_leaves_nothing() {
    use std::process::{Command, Stdio};
    use std::time::{Duration, Instant};
    use vocoder_tests::program::{Run, command};

    let studio = Studio::new();
    let input = studio.folder.path().join("minute.wav");
    let spec = hound::WavSpec {
        channels: 1,
        sample_rate: 24_000,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let mut wav = hound::WavWriter::create(&input, spec).unwrap();
    (0..60 * 24_000).for_each(|i| wav.write_sample((i % 240) as i16 * 100).unwrap());
    wav.finalize().unwrap();

    let out = studio.folder.path().join("out");
    let mut command = command();
    command.args(arguments!["render", &input, "-o", &out, "--voice", &studio.voice]);
    command.args(["--steps", "200", "-q"]).stdout(Stdio::piped()).stderr(Stdio::piped());
    let program = command.spawn().unwrap();
    let files = || std::fs::read_dir(&out).map_or(0, |entries| entries.count());
    let start = Instant::now();
    while files() == 0 && start.elapsed() < Duration::from_secs(60) {
        std::thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(files(), 1, "the unfinished file");
    let twice = "kill -INT $0 && { sleep 0.02; kill -INT $0 2>/dev/null || true; }";
    let interrupt = Command::new("sh").args(["-c", twice, &program.id().to_string()]).status();
    assert!(interrupt.unwrap().success());
    let run = Run::of(program.wait_with_output().unwrap());
    run.expect_error(130, &["interrupted", "0 of 1 inputs rendered"]);
    assert_eq!(files(), 0);
}

/// A clip of speech, by each shipped voice as it is rendered by default.
#[test]
fn shipped_voices_are_nearer_to_the_original_than_griffin_lim() {
    let folder = tempfile::tempdir().unwrap();
    for voice in ["speech", "speech-stream", "speech-fast"] {
        let out = folder.path().join(format!("{voice}.wav"));
        output(arguments!["render", &speech(), "-o", &out, "--voice", voice, "-q"]);
        let judged: Value =
            serde_json::from_str(&output(arguments!["eval", &speech(), &out, "--json", "-q"]))
                .unwrap();
        let of = |what: &str| judged["mean"][what]["ls_mae"]["mean"].as_f64().unwrap();
        let (ours, baseline) = (of("generated"), of("griffin_lim"));
        assert!(ours < 0.6 * baseline, "{voice}: {ours} and {baseline} nat");
    }
}
