//! Memory does not grow with the length of what is rendered.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use vocoder_tests::program::command;
use vocoder_tests::voices::tiny_voice;

/// Writes `seconds` of a tone at 24 kHz.
fn tone(path: &Path, seconds: usize) {
    let spec = hound::WavSpec {
        channels: 1,
        sample_rate: 24_000,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let mut writer = hound::WavWriter::create(path, spec).unwrap();
    for i in 0..seconds * 24_000 {
        writer.write_sample((8000.0 * (i as f32 * 0.05).sin()) as i16).unwrap();
    }
    writer.finalize().unwrap();
}

/// Peak resident memory in MB of rendering `seconds` of audio in chunks of two.
fn peak_mb(seconds: usize) -> f64 {
    let folder = tempfile::tempdir().unwrap();
    let (voice, input) = (tiny_voice(folder.path()), folder.path().join("in.wav"));
    tone(&input, seconds);
    let output = folder.path().join("out.wav");
    let mut child = command()
        .arg("render")
        .args([&input, Path::new("-o"), &output, Path::new("--voice"), &voice])
        .args(["--steps", "1", "--chunk", "2", "--threads", "1", "-q"])
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let mut peak_kb = 0.0;
    while child.try_wait().unwrap().is_none() {
        let status = std::fs::read_to_string(format!("/proc/{}/status", child.id()));
        let line = status.unwrap_or_default();
        let line = line.lines().find(|line| line.starts_with("VmHWM:"));
        if let Some(kb) = line.and_then(|line| line.split_whitespace().nth(1)) {
            peak_kb = kb.parse().unwrap();
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    assert!(child.wait().unwrap().success() && output.exists());
    peak_kb / 1024.0
}

#[test]
fn eighteen_times_the_audio_takes_no_more_memory() {
    let (short, long) = (peak_mb(50), peak_mb(900));
    println!("peak: {short:.0} MB for 50 s, {long:.0} MB for 900 s");
    // 850 s more would be 82 MB of samples and 35 MB of mel, were they kept. The allocator's own peak
    // varies by 30 MB from run to run.
    assert!(short > 10.0 && long < short + 60.0, "{short} MB for 50 s, {long} MB for 900 s");
}
