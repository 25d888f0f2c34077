//! Half an hour of sound through a player, with something turned all the time: no chunk that is not accounted
//! for, no growth in memory, nothing that is not finite.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use live::{Controls, Player, Setup, Status, Telemetry, VoiceChoice};
use vocoder::config::Padding;
use vocoder::prior::PriorConfig;
use vocoder::voice::Precision;
use vocoder_tests::voices::steady_voice;

const RATE: u32 = 48_000;
const SECONDS: usize = 30 * 60;

/// Numbers of a fixed sequence, in 0 to 1.
struct Dice(u32);

impl Dice {
    fn roll(&mut self) -> f32 {
        self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (self.0 >> 8) as f32 / 16_777_216.0
    }
}

/// Bytes of this process in memory; none where the system doesn't say.
fn resident() -> Option<usize> {
    let text = std::fs::read_to_string("/proc/self/statm").ok()?;
    Some(text.split_whitespace().nth(1)?.parse::<usize>().ok()? * 4096)
}

#[test]
fn half_an_hour_of_random_automation() {
    // The smallest network, untrained, in one or two steps: this is about all that surrounds it.
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("voice.safetensors");
    let padding = Padding::Causal { look_ahead: 1 };
    steady_voice("stream-eighth", padding, PriorConfig::Energy { floor: 1e-3 })
        .save(&path, Precision::Half)
        .unwrap();
    let voice = VoiceChoice::File(path);
    let setup = Setup { voice, wait: true, ..Setup::of_input(RATE, 1024) };
    let telemetry = Arc::new(Telemetry::default());
    let (mut player, remote) = Player::new(&setup, telemetry.clone()).unwrap();
    let mut dice = Dice(7);
    let mut controls = Controls { steps: 1, ..Controls::default() };
    let (mix, gain) = (vec![0.7; 2048], vec![0.5; 2048]);
    let mut block = vec![0f32; 2048];
    let (mut played, mut phase, mut early) = (0, 0f32, None);
    while played < SECONDS * RATE as usize {
        // About four changes a second, and a block of any length, longer than announced as well.
        if dice.roll() < 0.08 {
            match (dice.roll() * 10.0) as u32 {
                0 => controls.steps = 1 + (dice.roll() * 2.0) as usize,
                1 => controls.pitch = 24.0 * dice.roll() - 12.0,
                2 => controls.formant = 24.0 * dice.roll() - 12.0,
                3 => controls.tilt = 12.0 * dice.roll() - 6.0,
                4 => controls.smear_ms = 800.0 * dice.roll(),
                5 => controls.freeze = dice.roll() < 0.3,
                6 => controls.temperature = 1.5 * dice.roll(),
                7 => controls.follow = dice.roll(),
                8 => controls.seed = (100.0 * dice.roll()) as u32,
                _ => controls.heard = dice.roll() < 0.8,
            }
        }
        if dice.roll() < 1e-3 {
            player.reset();
        }
        let length = 1 + (dice.roll() * 2047.0) as usize;
        for sample in &mut block[..length] {
            phase = (phase + 150.0 / RATE as f32).fract();
            *sample = 0.3 * (phase - 0.5) + 0.02 * (dice.roll() - 0.5);
        }
        let part = &mut block[..length];
        assert!(player.process(&mut [part], &controls, &mix[..length], &gain[..length], &[]));
        assert!(part.iter().all(|v| v.is_finite() && v.abs() < 8.0), "at sample {played}");
        played += length;
        if early.is_none() && played > 300 * RATE as usize {
            early = Some(resident());
        }
    }
    assert_eq!((telemetry.late(), telemetry.dropped()), (0, 0));
    assert!(telemetry.chunks() as usize > SECONDS * 35);
    assert_ne!(telemetry.status(), Status::Failed, "{}", telemetry.message());
    // Nobody read the mels: their queue is full, and that is all.
    assert!(remote.unwrap().take_mels().len() <= 512);
    if let (Some(Some(early)), Some(late)) = (early, resident()) {
        eprintln!(
            "{:.1} MB after 5 minutes, {:.1} MB after 30",
            early as f64 / 1e6,
            late as f64 / 1e6
        );
        assert!(late < early + 16_000_000, "memory grew from {early} to {late}");
    }
}
