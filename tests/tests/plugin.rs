//! The plugin in a CLAP host: placed to the sample, the same every time, without an allocation in
//! `process`, whatever is turned.
#![allow(clippy::unwrap_used)]

use std::path::PathBuf;
use std::time::Duration;

use vocoder::audio::{AudioReader, resample};
use vocoder_tests::allocations::{Watched, count};
use vocoder_tests::host::{EFFECT, Happening, INSTRUMENT, Run, run};

#[global_allocator]
static ALLOCATOR: Watched = Watched;

/// Numbers of a fixed sequence, in -1 to 1.
fn random(length: usize, seed: u32) -> Vec<f32> {
    let mut state = seed;
    (0..length)
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / 8_388_608.0 - 1.0
        })
        .collect()
}

/// A second of speech at `rate`.
fn speech(rate: u32) -> Vec<f32> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../samples/kokoro_af_heart.flac");
    let mut reader = AudioReader::open(&path).unwrap();
    let mut samples = Vec::new();
    while reader.next_block(&mut samples).unwrap() {}
    resample(&samples, reader.info().sample_rate, rate).unwrap()[..rate as usize].to_vec()
}

#[test]
fn the_watch_catches_a_planted_allocation() {
    let (allocations, _) = count(|| drop(std::hint::black_box(vec![1u8; 100])));
    assert_eq!(allocations, 2, "one to allocate, one to free");
    let (allocations, _) = count(|| Box::new(std::hint::black_box(1)));
    assert!(allocations > 0);
    assert_eq!(count(|| std::hint::black_box(1 + 1)).0, 0);
}

#[test]
fn dry_and_bypass_are_the_input_to_the_bit_at_any_rate_and_block() {
    for (rate, max_block, blocks) in [
        (44_100.0, 512, vec![512]),
        (48_000.0, 1, vec![1]),
        (48_000.0, 512, vec![512, 1, 100, 37]),
        (96_000.0, 8192, vec![8192, 5]),
        (192_000.0, 64, vec![64]),
    ] {
        let (left, right) = (random(24_000, 1), random(24_000, 2));
        for (name, value) in [("Mix", "0"), ("Bypass", "On")] {
            let how = Run { rate, max_block, blocks: blocks.clone(), ..Run::new(EFFECT) };
            let outcome = run(&how.with(name, value), &left, &right);
            assert!(outcome.latency > 0 && !outcome.failed);
            assert!(outcome.left[..outcome.latency].iter().all(|v| *v == 0.0));
            assert_eq!(outcome.left[outcome.latency..], left[..], "{rate} Hz, {name}");
            assert_eq!(outcome.right[outcome.latency..], right[..], "{rate} Hz, {name}");
        }
    }
}

#[test]
fn the_wet_sound_is_the_same_every_time_and_for_every_block() {
    let input = speech(48_000);
    let base = Run::new(EFFECT).with("Steps", 2);
    let outcome = run(&base, &input, &input);
    let expected = &outcome.left[outcome.latency..];
    let energy: f32 = expected.iter().map(|v| v * v).sum();
    assert!(energy > 10.0, "silence");
    assert_ne!(*expected, input[..]);
    assert_eq!(outcome.left, outcome.right);
    assert_eq!(outcome.allocations, 0);
    for (max_block, blocks) in [(512, vec![512]), (100, vec![100]), (4096, vec![4096, 3])] {
        let how = Run { max_block, blocks, ..base.clone() };
        let again = run(&how, &input, &input);
        assert_eq!(&again.left[again.latency..], expected, "blocks of {max_block}");
    }
}

#[test]
fn process_never_allocates_whatever_is_turned_and_when() {
    let input = speech(48_000);
    let set = |name, value: &str| Happening::Set(name, value.to_string());
    let happenings = vec![
        (1_000, set("Pitch", "5")),
        (1_100, set("Formant", "-3")),
        (5_000, set("Steps", "3")),
        (9_003, set("Follow", "50")),
        (12_000, set("Freeze", "On")),
        (13_000, set("Mix", "30")),
        (15_000, set("Quality", "Low latency")),
        (20_000, Happening::Reset),
        (22_000, set("Bypass", "On")),
        (25_000, set("Bypass", "Off")),
        (30_000, set("Quality", "Studio")),
        (35_000, set("Seed", "9")),
    ];
    for offline in [true, false] {
        let pause_s = if offline { 0.0 } else { 0.004 };
        let happenings = happenings.clone();
        let how = Run { offline, pause_s, happenings, ..Run::new(EFFECT) };
        let outcome = run(&how, &input, &input);
        assert_eq!(outcome.allocations, 0, "offline: {offline}");
        assert!(!outcome.failed);
        assert!(outcome.left.iter().all(|v| v.is_finite()));
    }
    let keys = (0..40).map(|i| (i * 1000, Happening::Key(50 + i as u16 % 20, i % 3 > 0))).collect();
    let outcome = run(&Run { happenings: keys, ..Run::new(INSTRUMENT) }, &input, &input);
    assert_eq!(outcome.allocations, 0);
}

#[test]
fn the_state_brings_everything_back() {
    let input = &speech(48_000)[..9_600];
    let how = Run::new(EFFECT)
        .with("Steps", 4)
        .with("Pitch", 7)
        .with("Formant", -2)
        .with("Smear", 120)
        .with("Mix", 60)
        .with("Gain", -6)
        .with("Seed", 77)
        .with("Quality", "Low latency");
    let first = run(&how, input, input);
    let again = run(&Run { state: Some(first.state.clone()), ..Run::new(EFFECT) }, input, input);
    assert_eq!(first.values, again.values);
    assert_eq!(first.left, again.left, "byte for byte");
    assert_eq!(first.state, again.state);
    // The voice travels by name and content.
    let text = String::from_utf8_lossy(&first.state).into_owned();
    assert!(text.contains("speech-stream"), "{text}");
}

#[test]
fn garbage_for_a_state_changes_nothing_and_does_no_harm() {
    // A host hands over whatever the project file holds.
    let input = &speech(48_000)[..4_800];
    let expected = run(&Run::new(EFFECT), input, input);
    for state in [&b""[..], b"\x04\0\0\0\0\0\0\0null", &[0xff; 64]] {
        let outcome = run(&Run { state: Some(state.to_vec()), ..Run::new(EFFECT) }, input, input);
        assert_eq!(outcome.values, expected.values);
        assert_eq!(outcome.left, expected.left);
    }
}

#[test]
fn three_times_over_budget_process_stays_short_and_the_sound_in_place() {
    // A host that calls far faster than real time and never waits: every chunk is late.
    let input = random(96_000, 3);
    let how = Run { offline: false, ..Run::new(EFFECT).with("Steps", 50) };
    let outcome = run(&how, &input, &input);
    assert_eq!(outcome.allocations, 0);
    assert!(!outcome.failed);
    // Wall-clock limits are flaky on shared machines: this one is for hangs.
    assert!(outcome.longest_s < 1.0, "{} s", outcome.longest_s);
    let heard = &outcome.left[outcome.latency..];
    let dry = heard.iter().zip(&input).filter(|(a, b)| a == b).count();
    assert!(dry > 80_000, "{dry} samples of the dry sound in place");
}

#[test]
fn always_waiting_gives_a_host_that_hides_its_offline_render_the_same_sound() {
    let input = &speech(48_000)[..24_000];
    let base = Run::new(EFFECT).with("Steps", 2);
    let told = run(&base, input, input);
    let how = Run { offline: false, ..base.with("Wait for inference", "Always") };
    let hidden = run(&how, input, input);
    assert_eq!(told.left, hidden.left);
}

#[test]
fn an_offline_render_has_another_quality_from_the_block_on_in_which_it_is_asked_for() {
    let input = &speech(48_000)[..24_000];
    let quality = |text: &str| Happening::Set("Quality", text.to_string());
    let render = || {
        let happenings = vec![(0, quality("Low latency"))];
        run(&Run { happenings, ..Run::new(EFFECT).with("Steps", 2) }, input, input)
    };
    // The latency that was reported at the start is balanced's; low's is shorter.
    let (first, second) = (render(), render());
    assert_eq!(first.left, second.left);
    let low = run(&Run::new(EFFECT).with("Steps", 2).with("Quality", "Low latency"), input, input);
    assert!(low.latency < first.latency);
    let length = input.len();
    assert_eq!(first.left[low.latency..length], low.left[low.latency..length]);
}

#[test]
fn the_instrument_plays_notes_of_a_clip() {
    let silence = vec![0.0; 48_000];
    let keys = vec![(4_800, Happening::Key(57, true)), (28_800, Happening::Key(57, false))];
    // Without a clip it must be silent and alive.
    let outcome = run(&Run { happenings: keys, ..Run::new(INSTRUMENT) }, &silence, &silence);
    assert!(outcome.left.iter().all(|v| v.abs() < 0.05));
    assert!(outcome.latency > 0 && !outcome.failed);
}

#[test]
fn half_a_minute_of_random_automation_in_real_time_shape_has_no_nan() {
    let names = [
        ("Pitch", -12, 12),
        ("Formant", -12, 12),
        ("Tilt", -6, 6),
        ("Smear", 0, 900),
        ("Temperature", 0, 150),
        ("Follow", 0, 100),
        ("Steps", 1, 4),
        ("Mix", 0, 100),
    ];
    let dice = random(4000, 5);
    let happenings = (0..300)
        .map(|i| {
            let (name, least, most) = names[i % names.len()];
            let share = (dice[i] + 1.0) / 2.0;
            let value = least + (share * (most - least) as f32) as i32;
            (i * 1600 + i % 700, Happening::Set(name, value.to_string()))
        })
        .collect();
    let input = speech(48_000).repeat(10);
    let how = Run { happenings, ..Run::new(EFFECT) };
    let outcome = run(&how, &input, &input);
    assert_eq!((outcome.allocations, outcome.failed), (0, false));
    assert!(outcome.left.iter().all(|v| v.is_finite() && v.abs() < 8.0));
    std::thread::sleep(Duration::from_millis(1));
}
