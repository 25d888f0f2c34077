//! Audio files of every kind that is read, and of many that are broken.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::f64::consts::TAU;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use tempfile::TempDir;
use vocoder::audio::{self, WavFormat};

const RATE: u32 = 24_000;
const LEN: usize = 12_000;

/// `reference/audio/make_audio.py` makes these: the tone on the left, silence on the right.
const ENCODED: [&str; 4] = ["tone.ogg", "tone.mp3", "tone.flac", "tone.aiff"];

fn encoded(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("reference/audio").join(name)
}

fn tone(index: usize) -> f64 {
    0.5 * (TAU * 440.0 * index as f64 / f64::from(RATE)).sin()
}

/// Root mean square of the distance from `gain` times the tone.
fn distance(samples: &[f32], gain: f64) -> f64 {
    let squares = samples.iter().enumerate().map(|(i, &s)| (f64::from(s) - gain * tone(i)).powi(2));
    (squares.sum::<f64>() / samples.len() as f64).sqrt()
}

/// A wav file with the tone on every one of `channels`.
fn wav(path: &Path, channels: u16, rate: u32, bits: u16, float: bool) {
    let sample_format = if float { hound::SampleFormat::Float } else { hound::SampleFormat::Int };
    let spec = hound::WavSpec { channels, sample_rate: rate, bits_per_sample: bits, sample_format };
    let mut writer = hound::WavWriter::create(path, spec).unwrap();
    for index in 0..LEN {
        for _ in 0..channels {
            if float {
                writer.write_sample(tone(index) as f32).unwrap();
            } else {
                let full_scale = 2f64.powi(i32::from(bits) - 1);
                writer.write_sample((tone(index) * full_scale).round() as i32).unwrap();
            }
        }
    }
    writer.finalize().unwrap();
}

fn in_folder(name: &str) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    (folder, path)
}

/// The one line that `audio::read` ends in.
fn refusal(path: &Path) -> String {
    let message = match audio::read(path) {
        Ok(file) => panic!("{} was read: {} samples", path.display(), file.audio.samples.len()),
        Err(error) => error.to_string(),
    };
    assert!(!message.contains('\n') && message.contains(path.to_str().unwrap()), "{message}");
    message
}

#[test]
fn encoded_formats_keep_level_place_and_length() {
    // Lossy coders are off by their noise; the mean of tone and silence is half the tone.
    for (name, tolerance) in ENCODED.into_iter().zip([5e-3, 5e-3, 1e-6, 2e-5]) {
        let file = audio::read(&encoded(name)).unwrap();
        assert_eq!((file.audio.sample_rate, file.channels), (RATE, 2), "{name}");
        assert_eq!(file.notices, ["2 channels mixed down to one"], "{name}");
        assert_eq!(file.audio.samples.len(), LEN, "{name}");
        let distance = distance(&file.audio.samples, 0.5);
        assert!(distance < tolerance, "{name}: {distance}");
    }
}

#[test]
fn every_depth_of_wav_is_read() {
    let (_folder, path) = in_folder("tone.wav");
    for (bits, float) in [(8, false), (16, false), (24, false), (32, false), (32, true)] {
        wav(&path, 1, RATE, bits, float);
        let file = audio::read(&path).unwrap();
        assert!(file.notices.is_empty(), "{:?}", file.notices);
        assert_eq!(file.audio.samples.len(), LEN);
        let step = if float { 1e-7 } else { 2f64.powi(1 - i32::from(bits)).max(1e-7) };
        let distance = distance(&file.audio.samples, 1.0);
        assert!(distance < step, "{bits} bits: {distance}");
    }
}

#[test]
fn any_number_of_channels_is_mixed_down() {
    let (_folder, path) = in_folder("tone.wav");
    for channels in [2, 3, 6, 8, 18] {
        wav(&path, channels, RATE, 16, false);
        let file = audio::read(&path).unwrap();
        assert_eq!(file.channels, channels);
        assert!(distance(&file.audio.samples, 1.0) < 2e-5, "{channels} channels");
    }
}

#[test]
fn channels_without_a_place_are_refused() {
    let (_folder, path) = in_folder("tone.wav");
    wav(&path, 1, RATE, 16, false);
    let mut bytes = std::fs::read(&path).unwrap();
    for channels in [0u16, 19, 64] {
        bytes[22..24].copy_from_slice(&channels.to_le_bytes());
        std::fs::write(&path, &bytes).unwrap();
        let message = refusal(&path);
        assert!(message.ends_with(&format!("expected 1 to 18 channels, got {channels}")));
    }
}

#[test]
fn rates_that_make_no_sense_are_refused() {
    let (_folder, path) = in_folder("tone.wav");
    wav(&path, 1, 384_000, 16, false);
    let resampled = audio::read_at(&path, RATE).unwrap().audio.samples;
    assert_eq!(resampled.len(), LEN / 16);

    wav(&path, 1, 1, 16, false);
    assert_eq!(audio::read(&path).unwrap().audio.sample_rate, 1);
    let message = audio::read_at(&path, RATE).unwrap_err().to_string();
    assert!(message.contains("1 Hz to 24000 Hz") && !message.contains('\n'), "{message}");

    let mut bytes = std::fs::read(&path).unwrap();
    for rate in [0, 384_001, 768_000, u32::MAX] {
        bytes[24..28].copy_from_slice(&rate.to_le_bytes());
        std::fs::write(&path, &bytes).unwrap();
        assert!(refusal(&path).contains(&format!("got {rate}")));
    }
}

#[test]
fn a_single_sample_is_audio_and_none_is_not() {
    let (_folder, path) = in_folder("short.wav");
    audio::write_wav(&path, &[0.25], 48_000, WavFormat::F32, 0).unwrap();
    assert_eq!(audio::read(&path).unwrap().audio.samples, [0.25]);
    assert_eq!(audio::read_at(&path, RATE).unwrap().audio.samples.len(), 1);
    audio::write_wav(&path, &[], 48_000, WavFormat::F32, 0).unwrap();
    assert!(refusal(&path).contains("no audio"));
}

#[test]
fn a_truncated_file_says_so() {
    let (_folder, path) = in_folder("cut.wav");
    wav(&path, 2, RATE, 16, false);
    let whole = std::fs::read(&path).unwrap();
    for length in [whole.len() - 1, whole.len() / 2, 100] {
        std::fs::write(&path, &whole[..length]).unwrap();
        let message = refusal(&path);
        assert!(message.contains("truncated: the header promises 12000 samples"), "{message}");
    }
    for length in [0, 3, 20, 43] {
        std::fs::write(&path, &whole[..length]).unwrap();
        refusal(&path);
    }
    for name in ["tone.flac", "tone.aiff"] {
        let whole = std::fs::read(encoded(name)).unwrap();
        let path = path.with_file_name(name);
        std::fs::write(&path, &whole[..whole.len() / 2]).unwrap();
        refusal(&path);
    }
}

#[test]
fn a_wav_of_unknown_length_is_read_to_its_end() {
    let (_folder, path) = in_folder("streamed.wav");
    wav(&path, 1, RATE, 16, false);
    let mut bytes = std::fs::read(&path).unwrap();
    // As `ffmpeg -f wav -` writes it: both lengths are 2^32 - 1.
    bytes[4..8].fill(0xff);
    bytes[40..44].fill(0xff);
    std::fs::write(&path, bytes).unwrap();
    let samples = audio::read(&path).unwrap().audio.samples;
    assert_eq!(samples.len(), LEN);
    assert!(distance(&samples, 1.0) < 2e-5);
}

#[test]
fn samples_that_are_no_numbers_are_refused() {
    let (_folder, path) = in_folder("nan.wav");
    wav(&path, 1, RATE, 32, true);
    let mut bytes = std::fs::read(&path).unwrap();
    let at = bytes.len() - 400;
    bytes[at..at + 4].copy_from_slice(&f32::NAN.to_le_bytes());
    std::fs::write(&path, bytes).unwrap();
    assert!(refusal(&path).contains("not finite"));
}

#[test]
fn what_is_no_audio_file_is_refused() {
    let (folder, path) = in_folder("missing.wav");
    refusal(&path);
    refusal(folder.path());
    for name in ["text.wav", "text.flac", "text.mp3", "text.ogg", "text"] {
        let path = folder.path().join(name);
        std::fs::write(&path, "This is no audio.\n".repeat(100)).unwrap();
        refusal(&path);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn damage_never_panics(
        which in 0usize..5,
        damage in prop::collection::vec((0usize..4_000, any::<u8>()), 0..20),
        cut in 0usize..60_000,
    ) {
        let (_folder, path) = in_folder("damaged");
        let mut bytes = match ENCODED.get(which) {
            Some(name) => std::fs::read(encoded(name)).unwrap(),
            None => {
                wav(&path, 2, RATE, 16, false);
                std::fs::read(&path).unwrap()
            }
        };
        let length = bytes.len();
        // Headers are short: half of the damage goes to the first bytes.
        for (index, (at, byte)) in damage.into_iter().enumerate() {
            bytes[if index % 2 == 0 { at % 100 } else { at } % length] = byte;
        }
        bytes.truncate(length - cut % length / 2);
        std::fs::write(&path, bytes).unwrap();
        let _ = audio::read(&path);
    }

    #[test]
    fn noise_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..5_000)) {
        let (_folder, path) = in_folder("noise");
        std::fs::write(&path, bytes).unwrap();
        let _ = audio::read(&path);
    }
}
