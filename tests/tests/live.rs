//! Players with the built-in voice, waited for: in place, the same for any block, and what a render of the
//! whole clip gives.
#![allow(clippy::unwrap_used)]

use std::path::PathBuf;
use std::sync::Arc;

use live::{
    Controls, NoteEvent, Player, Quality, Setup, Source, Status, Telemetry, VoiceChoice,
    load_voice, render_offline,
};
use vocoder::audio::{AudioReader, resample};
use vocoder::engine::Precision;

fn setup(rate: u32, max_block: usize) -> Setup {
    Setup { precision: Precision::F32, wait: true, ..Setup::of_input(rate, max_block) }
}

fn sample(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../samples").join(name)
}

/// 1.8 seconds of speech at `rate`.
fn speech(rate: u32) -> Vec<f32> {
    let mut reader = AudioReader::open(&sample("kokoro_af_heart.flac")).unwrap();
    let mut samples = Vec::new();
    while reader.next_block(&mut samples).unwrap() {}
    let from = reader.info().sample_rate;
    let whole = resample(&samples, from, rate).unwrap();
    whole[..rate as usize * 9 / 5].to_vec()
}

/// Plays `input` in blocks of `block`, and gives back as much, with the latency taken off.
fn play(
    setup: &Setup,
    block: usize,
    input: &[f32],
    controls: &Controls,
) -> (Vec<f32>, Arc<Telemetry>) {
    let telemetry = Arc::new(Telemetry::default());
    let (mut player, _) = Player::new(setup, telemetry.clone()).unwrap();
    let mut sound = input.to_vec();
    sound.resize(input.len() + player.latency() as usize, 0.0);
    let ones = vec![1.0; block];
    for part in sound.chunks_mut(block) {
        let length = part.len();
        let (mix, gain) = (&ones[..length], &ones[..length]);
        let mut other = part.to_vec();
        let mut channels: Vec<&mut [f32]> = vec![part];
        if setup.channels == 2 {
            channels.push(&mut other);
        }
        assert!(player.process(&mut channels, controls, mix, gain, &[]));
        if setup.channels == 2 {
            assert_eq!(*channels[0], *channels[1]);
        }
    }
    sound.drain(..player.latency() as usize);
    (sound, telemetry)
}

fn difference(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

/// Away from the fade at the beginning, and the clip's end.
fn middle(sound: &[f32], rate: u32) -> &[f32] {
    &sound[rate as usize / 100..sound.len() - rate as usize / 5]
}

#[test]
fn a_player_gives_what_a_render_of_the_whole_gives_at_any_rate() {
    let voice = load_voice(&VoiceChoice::default()).unwrap().voice;
    let controls = Controls::default();
    // Fewer bits round tiles that begin elsewhere to other values.
    let cases = [24_000, 44_100, 48_000, 96_000].map(|rate| (rate, Precision::F32, 1e-3));
    for (rate, precision, most) in cases.into_iter().chain([(48_000, Precision::Auto, 1e-2)]) {
        let input = speech(rate);
        let setup = Setup { precision, ..setup(rate, 512) };
        let (sound, telemetry) = play(&setup, 512, &input, &controls);
        assert_eq!((telemetry.late(), telemetry.dropped()), (0, 0));
        let how = (Quality::Balanced, precision);
        let whole = render_offline(&voice, &input, rate, how, &controls).unwrap();
        let worst = difference(middle(&sound, rate), middle(&whole, rate));
        assert!(worst < most, "{rate} Hz, {precision}: {worst}");
        let loud = middle(&sound, rate).iter().fold(0.0f32, |m, v| m.max(v.abs()));
        assert!(loud > 0.05, "{rate} Hz: silence");
    }
}

#[test]
fn blocks_of_any_size_give_the_same_bits() {
    let input = &speech(48_000)[..24_000];
    let controls = Controls { steps: 2, ..Controls::default() };
    let (expected, _) = play(&setup(48_000, 512), 512, input, &controls);
    for block in [1, 7, 100, 8192] {
        let (sound, telemetry) = play(&setup(48_000, block), block, input, &controls);
        assert_eq!(telemetry.late(), 0);
        assert_eq!(sound, expected, "blocks of {block}");
    }
}

#[test]
fn studio_is_in_place_as_well_and_nearer_to_the_input() {
    let voice = load_voice(&VoiceChoice::default()).unwrap().voice;
    let (input, controls) = (speech(48_000), Controls::default());
    let setup = Setup { quality: Quality::Studio, ..setup(48_000, 512) };
    let (sound, _) = play(&setup, 512, &input, &controls);
    let whole =
        render_offline(&voice, &input, 48_000, (Quality::Studio, Precision::F32), &controls)
            .unwrap();
    let worst = difference(middle(&sound, 48_000), middle(&whole, 48_000));
    assert!(worst < 1e-3, "{worst}");
}

#[test]
fn following_the_input_ends_near_it() {
    let input = speech(48_000);
    let distance = |follow| {
        let controls = Controls { follow, ..Controls::default() };
        let (sound, _) = play(&setup(48_000, 512), 512, &input, &controls);
        let (sound, input) = (middle(&sound, 48_000), middle(&input, 48_000));
        let error: f32 = sound.iter().zip(input).map(|(a, b)| (a - b).powi(2)).sum();
        let energy: f32 = input.iter().map(|v| v * v).sum();
        error / energy
    };
    let (free, near) = (distance(0.0), distance(1.0));
    assert!(free > 0.7, "from noise the phases are the network's own: {free}");
    assert!(near < 0.1, "at a follow of 1 it is nearly the input: {near}");
}

#[test]
fn a_change_of_steps_and_seed_on_the_way_is_smooth_and_in_place() {
    let rate = 48_000;
    let input = speech(rate);
    let telemetry = Arc::new(Telemetry::default());
    let (mut player, remote) = Player::new(&setup(rate, 480), telemetry.clone()).unwrap();
    let mut sound = input.clone();
    let ones = vec![1.0; 480];
    for (index, block) in sound.chunks_exact_mut(480).enumerate() {
        let (steps, seed) = if index < 80 { (6, 1) } else { (3, 2) };
        let controls = Controls { steps, seed, ..Controls::default() };
        assert!(player.process(&mut [block], &controls, &ones, &ones, &[]));
    }
    assert_eq!((telemetry.late(), telemetry.status()), (0, Status::Running));
    assert_eq!((telemetry.steps(), telemetry.levels().len()), (3, 3));
    assert!(telemetry.message().is_empty());
    // The change came at 0.8 s: there the sound goes on.
    let at = (0.8 * f64::from(rate)) as usize + player.latency() as usize;
    let energy = |from: usize| sound[from..from + 960].iter().map(|v| v * v).sum::<f32>();
    let before = energy(at - 4800);
    assert!((0..10).all(|i| energy(at - 4800 + 960 * i) > 1e-3 * before));
    let frames = remote.unwrap().take_mels();
    assert!(frames.len() > 100);
    // What goes in and what comes out at the same moment look alike.
    let likeness: f32 = frames
        .iter()
        .map(|f| f.input.iter().zip(&f.output).map(|(a, b)| (a - b).abs()).sum::<f32>() / 128.0)
        .sum::<f32>()
        / frames.len() as f32;
    assert!(likeness < 2.0, "{likeness}");
}

#[test]
fn two_channels_of_the_same_sound_are_the_same() {
    let setup = Setup { channels: 2, ..setup(48_000, 512) };
    let controls = Controls { steps: 1, ..Controls::default() };
    play(&setup, 512, &speech(48_000)[..24_000], &controls);
}

#[test]
fn without_a_voice_the_dry_sound_passes_and_the_message_says_why() {
    let input = speech(48_000);
    for (voice, word) in [
        (VoiceChoice::File("no-such-voice.safetensors".into()), "no-such-voice"),
        (VoiceChoice::BuiltIn("tenor".into()), "tenor"),
        (VoiceChoice::File(sample("../models/speech.safetensors")), "causal"),
        (VoiceChoice::File(sample("LICENCES.md")), "LICENCES.md"),
    ] {
        let setup = Setup { voice, ..setup(48_000, 512) };
        let (sound, telemetry) = play(&setup, 512, &input, &Controls::default());
        assert_eq!(sound, input);
        assert_eq!((telemetry.status(), telemetry.late()), (Status::Failed, 0));
        assert!(telemetry.message().contains(word), "{}", telemetry.message());
    }
}

#[test]
fn notes_play_a_clip_and_without_notes_there_is_silence() {
    let source = Source::Clip(Some(sample("kokoro_af_heart.flac")));
    let setup = Setup { source, channels: 2, ..setup(48_000, 512) };
    let telemetry = Arc::new(Telemetry::default());
    let (mut player, _) = Player::new(&setup, telemetry.clone()).unwrap();
    let ones = vec![1.0; 512];
    let mut energies = Vec::new();
    for index in 0..200 {
        let (mut left, mut right) = (vec![0.0; 512], vec![0.0; 512]);
        let notes: &[(u32, NoteEvent)] = match index {
            20 => &[
                (5, NoteEvent::On { key: 57, velocity: 0.8 }),
                (99, NoteEvent::On { key: 64, velocity: 0.8 }),
            ],
            80 => &[(0, NoteEvent::Off { key: 57 }), (0, NoteEvent::Off { key: 64 })],
            _ => &[],
        };
        let controls = Controls { release_ms: 100.0, ..Controls::default() };
        assert!(player.process(&mut [&mut left, &mut right], &controls, &ones, &ones, notes));
        assert_eq!(left, right);
        energies.push(left.iter().map(|v| v * v).sum::<f32>() / 512.0);
    }
    let sum = |range: std::ops::Range<usize>| energies[range].iter().sum::<f32>();
    assert!(sum(0..20) < 1e-5, "before: {}", sum(0..20));
    assert!(sum(30..80) > 1e-2, "during: {}", sum(30..80));
    assert!(sum(140..200) < 1e-4, "after: {}", sum(140..200));
    assert_eq!(telemetry.late(), 0);
}

#[test]
fn settings_out_of_range_are_errors() {
    let telemetry = || Arc::new(Telemetry::default());
    for (setup, word) in [
        (setup(0, 512), "sample rate"),
        (setup(48_000, 0), "block"),
        (Setup { channels: 3, ..setup(48_000, 512) }, "channels"),
    ] {
        let error = Player::new(&setup, telemetry()).err().unwrap().to_string();
        assert!(error.contains(word), "{error}");
    }
}
