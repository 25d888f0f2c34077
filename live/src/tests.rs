//! Audio thread and worker under a virtual clock: no sound card, no waiting, the same every time.

#![allow(clippy::unwrap_used, clippy::panic)]

mod bench;

use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use vocoder::Result;

use crate::chunk::Chunk;
use crate::model::Model;
use crate::player::{Player, Setup};
use crate::timing::Timing;
use crate::{Controls, Quality, Status, Telemetry};
use bench::{Bench, Negation, RATE, sample, setup};

/// Samples of a fade at 48 kHz.
const FADE: usize = 192;

fn cut(max_block: usize, cuts: &[usize]) -> Vec<usize> {
    let mut blocks = Vec::new();
    let mut left = max_block;
    for cut in cuts {
        let block = 1 + cut % left;
        blocks.push(block);
        left -= block;
        if left == 0 {
            return blocks;
        }
    }
    blocks.push(left);
    blocks
}

fn qualities() -> impl Strategy<Value = Quality> {
    prop::sample::select(vec![Quality::Low, Quality::Balanced, Quality::Studio])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn a_worker_within_its_budget_is_never_late(
        max_block in 1usize..3000,
        quality in qualities(),
        delay in 0usize..3000,
        share in 0.0f64..=1.0,
        cuts in prop::collection::vec(prop::collection::vec(0usize..5000, 0..4), 60),
    ) {
        let mut bench = Bench::new(max_block, quality, delay, "");
        let cost = (share * 0.8 * bench.timing.chunk as f64) as u64;
        for cuts in &cuts {
            bench.cycle(&cut(max_block, cuts), cost, &Controls::default());
        }
        prop_assert_eq!(bench.telemetry.late(), 0);
        prop_assert_eq!(bench.telemetry.dropped(), 0);
        if bench.heard.len() > bench.timing.latency + FADE {
            let [wet, dry, between] = bench.kinds();
            prop_assert_eq!(dry, 0);
            prop_assert!(between <= FADE, "{} wet, {} between", wet, between);
        }
    }

    #[test]
    fn whatever_the_worker_does_sound_stays_in_place_and_queues_stay_bounded(
        max_block in 16usize..2000,
        quality in qualities(),
        delay in 0usize..2000,
        // Cost in percent of a chunk, and whether a reset comes before the cycle.
        cycles in prop::collection::vec((0u64..400, 0usize..2000, prop::bool::weighted(0.02)), 120),
    ) {
        let mut bench = Bench::new(max_block, quality, delay, "");
        for (percent, cut_at, reset) in &cycles {
            if *reset {
                bench.bridge.reset();
                bench.played.clear();
                bench.heard.clear();
            }
            let cost = bench.timing.chunk as u64 * percent / 100;
            bench.cycle(&cut(max_block, &[*cut_at]), cost, &Controls::default());
        }
        // Then the worker comes to its senses, and all is wet again.
        let length = bench.timing.latency + 60 * bench.timing.chunk;
        let calm = length.div_ceil(max_block);
        for _ in 0..calm {
            bench.cycle(&[max_block], 0, &Controls::default());
        }
        let late = bench.telemetry.late();
        if bench.heard.len() > bench.timing.latency {
            let [wet, dry, between] = bench.kinds();
            // Each chunk that fell to the dry sound was counted, and costs two fades at most.
            let most = bench.timing.chunk * late as usize;
            prop_assert!(dry <= most, "{} dry, {} late", dry, late);
            prop_assert!(between <= FADE * (2 * late as usize + 1), "{} between", between);
            prop_assert!(wet > 0);
        }
        let tail = bench.heard.len() - 10 * bench.timing.chunk;
        let at = |i: usize| -bench.played[i - bench.timing.latency];
        prop_assert!((tail..bench.heard.len()).all(|i| bench.heard[i] == at(i)));
    }
}

#[test]
fn a_late_chunk_is_heard_dry_without_a_click() {
    let mut bench = Bench::new(512, Quality::Studio, 500, "");
    let chunk = bench.timing.chunk as u64;
    for _ in 0..20 {
        bench.cycle(&[512], 0, &Controls::default());
    }
    // One chunk takes four times as long as it lasts.
    for _ in 0..20 {
        bench.cycle(
            &[512],
            if bench.arrivals.is_empty() { 0 } else { 4 * chunk },
            &Controls::default(),
        );
        if bench.telemetry.late() > 0 {
            break;
        }
    }
    let late = bench.telemetry.late();
    assert!(late > 0);
    for _ in 0..40 {
        bench.cycle(&[512], 0, &Controls::default());
    }
    let [wet, dry, between] = bench.kinds();
    assert!(wet > 10 * 512 && dry > 0 && between > 0, "{wet} {dry} {between}");
    // A fade moves by no more than its share of the difference, beside the signal's own steps.
    let latency = bench.timing.latency;
    for i in latency + 1..bench.heard.len() {
        let gain = |i: usize| bench.heard[i].abs() / bench.played[i - latency];
        assert!(gain(i) < 12.0, "sample {i}");
    }
    // In constant sound (wet -1, dry 1) the steps are the fade's alone.
    let mut constant = Bench::new(512, Quality::Balanced, 500, "");
    let mut out = Vec::new();
    for cycle in 0..60 {
        constant.now += 512;
        if !(20..30).contains(&cycle) {
            while constant.worker.run_one() {}
        }
        let mut block = vec![0.5f32; 512];
        let ones = vec![1.0; 512];
        constant.bridge.process(
            &mut [&mut block],
            &Controls::default(),
            (&ones, &ones),
            &[],
            false,
        );
        out.extend(block);
    }
    assert!(constant.telemetry.late() > 0);
    let steepest =
        out[latency + 1..].windows(2).map(|pair| (pair[1] - pair[0]).abs()).fold(0.0, f32::max);
    assert!(steepest <= 1.0 / FADE as f32 + 1e-6, "a step of {steepest}");
}

#[test]
fn faults_pass_the_dry_sound_and_say_why() {
    for (fault, word) in [("....n", "finite"), ("....e", "an error"), ("....p", "fault of its own")]
    {
        let mut bench = Bench::new(512, Quality::Low, 100, fault);
        for _ in 0..40 {
            bench.cycle(&[512], 0, &Controls::default());
        }
        assert!(bench.telemetry.late() > 0, "{fault}");
        assert!(bench.telemetry.message().contains(word), "{}", bench.telemetry.message());
        assert_eq!(bench.telemetry.status(), Status::Running, "one fault is forgiven");
        let [wet, dry, _] = bench.kinds();
        assert!(wet > 0 && dry > 0);
    }
    let mut bench = Bench::new(512, Quality::Low, 100, "..ppp");
    for _ in 0..60 {
        bench.cycle(&[512], 0, &Controls::default());
    }
    assert_eq!(bench.telemetry.status(), Status::Failed);
    let last = bench.heard.len() - 1;
    assert_eq!(bench.heard[last], bench.played[last - bench.timing.latency]);
}

#[test]
fn three_times_over_budget_the_steps_fall_and_sound_stays_in_place() {
    let mut bench = Bench::new(512, Quality::Balanced, 500, "");
    let cost = bench.timing.chunk as u64 * 3;
    for _ in 0..400 {
        bench.cycle(&[512], cost, &Controls::default());
    }
    assert!(bench.telemetry.late() > 0);
    assert!(
        bench.telemetry.message().contains("overload: 1 of 6 steps"),
        "{}",
        bench.telemetry.message()
    );
    assert!(bench.telemetry.load() > 2.5);
    let [_, dry, _] = bench.kinds();
    assert!(dry > 0);
}

#[test]
fn while_nobody_listens_nothing_is_computed_and_nothing_is_late() {
    let mut bench = Bench::new(512, Quality::Low, 100, "");
    let deaf = Controls { heard: false, ..Controls::default() };
    for _ in 0..20 {
        bench.cycle(&[512], 0, &Controls::default());
    }
    for _ in 0..20 {
        bench.cycle(&[512], 0, &deaf);
    }
    assert_eq!(bench.telemetry.status(), Status::Resting);
    for _ in 0..20 {
        bench.cycle(&[512], 0, &Controls::default());
    }
    assert_eq!(bench.telemetry.late(), 0);
    let last = bench.heard.len() - 1;
    assert_eq!(bench.heard[last], -bench.played[last - bench.timing.latency]);
}

#[test]
fn another_player_goes_on_with_the_dry_sound_of_the_last() {
    let mut bench = Bench::new(512, Quality::Low, 100, "");
    for _ in 0..13 {
        bench.cycle(&[512], 0, &Controls::default());
    }
    let mut next = Bench::new(512, Quality::Low, 100, "");
    next.bridge.continue_from(&bench.bridge);
    std::mem::swap(&mut bench.bridge, &mut next.bridge);
    std::mem::swap(&mut bench.worker, &mut next.worker);
    bench.arrivals.clear();
    for _ in 0..13 {
        bench.cycle(&[512], 0, &Controls::default());
    }
    let [wet, dry, between] = bench.kinds();
    assert!(wet > 4000 && dry > 0 && between <= 2 * FADE, "{wet} {dry} {between}");
    let last = bench.heard.len() - 1;
    assert_eq!(bench.heard[last], -bench.played[last - bench.timing.latency]);
}

#[test]
fn a_real_thread_waited_for_gives_every_chunk_and_a_hung_one_ends_in_an_error() {
    struct Hung;
    impl Model for Hung {
        fn is_ready(&mut self, _chunk: &Chunk) -> bool {
            std::thread::sleep(Duration::from_millis(400));
            false
        }
        fn restart(&mut self) {}
        fn push(&mut self, _chunk: &Chunk, _out: &mut [Vec<f32>]) -> Result<()> {
            Ok(())
        }
    }
    let run = |model: Box<dyn Model>, patience: Option<Duration>| {
        let setup = Setup { wait: true, ..setup(512, Quality::Low) };
        let timing = Timing::new(RATE, 512, Quality::Low, 0.0125, 100);
        let telemetry = Arc::new(Telemetry::default());
        let mut player = Player::over(model, &setup, timing, telemetry.clone()).unwrap();
        if let Some(patience) = patience {
            player.set_patience(patience);
        }
        let ones = vec![1.0; 512];
        let mut heard = Vec::new();
        let mut good = true;
        for cycle in 0..40 {
            let mut block: Vec<f32> = (cycle * 512..(cycle + 1) * 512).map(sample).collect();
            good &= player.process(&mut [&mut block], &Controls::default(), &ones, &ones, &[]);
            heard.extend(block);
        }
        (heard, good, telemetry, timing)
    };
    let (heard, good, telemetry, timing) = run(Negation::new(100, ""), None);
    assert!(good);
    assert_eq!(telemetry.late(), 0);
    for i in timing.latency + FADE..heard.len() {
        assert_eq!(heard[i], -sample(i - timing.latency));
    }
    let (_, good, telemetry, _) = run(Box::new(Hung), Some(Duration::from_millis(50)));
    assert!(!good);
    assert_eq!(telemetry.status(), Status::TimedOut);
}

#[test]
fn what_was_never_sent_is_not_waited_for() {
    // The boxes run out while the worker stands still; then the host renders offline.
    let mut bench = Bench::new(512, Quality::Low, 100, "");
    for _ in 0..60 {
        bench.cycle(&[512], 1 << 40, &Controls::default());
    }
    while bench.worker.run_one() {}
    bench.bridge.set_patience(Duration::from_millis(20));
    let (mut block, ones) = ([0.5; 512], [1.0; 512]);
    let controls = Controls::default();
    assert!(bench.bridge.process(&mut [&mut block], &controls, (&ones, &ones), &[], true));
}

#[test]
fn a_player_that_takes_over_offline_does_not_wait_for_what_the_last_one_sent() {
    let setup = Setup { wait: true, ..setup(512, Quality::Low) };
    let timing = Timing::new(RATE, 512, Quality::Low, 0.0125, 100);
    let player = || {
        let model = Negation::new(100, "");
        let mut player = Player::over(model, &setup, timing, Arc::default()).unwrap();
        player.set_patience(Duration::from_millis(500));
        player
    };
    let ones = vec![1.0; 512];
    let (mut playing, mut old) = (player(), None);
    let mut heard = Vec::new();
    for cycle in 0..40 {
        if cycle == 13 {
            let mut next = player();
            next.continue_from(&playing);
            old = Some(std::mem::replace(&mut playing, next));
        }
        let mut block: Vec<f32> = (cycle * 512..(cycle + 1) * 512).map(sample).collect();
        assert!(playing.process(&mut [&mut block], &Controls::default(), &ones, &ones, &[]));
        heard.extend(block);
    }
    assert!(old.is_some());
    // Dry for the latency and a chunk, then wet again, in place.
    for i in 13 * 512 + timing.latency + timing.chunk + FADE..heard.len() {
        assert_eq!(heard[i], -sample(i - timing.latency));
    }
}
