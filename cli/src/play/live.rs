//! From the microphone to the speakers, through the real-time engine that the plugin has.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use live::{Controls, Player, Setup, Telemetry};

use super::PlayArgs;
use super::card::Card;
use super::queue::queue;
use crate::{interrupt, stream};

/// Samples that are processed at a time.
const BLOCK: usize = 256;

/// Blocks that may wait between the cards: their clocks drift.
const BLOCKS_BETWEEN: usize = 8;

/// Plays until it is interrupted.
pub fn run(args: &PlayArgs, quiet: bool) -> Result<()> {
    let output = Card::output(args.output.as_deref())?;
    let rate = output.rate();
    let input = Card::input(args.input.as_deref(), rate)?;
    let setup = Setup {
        quality: args.quality,
        precision: args.how.precision,
        voice: stream::choice(&args.how)?,
        ..Setup::of_input(rate, BLOCK)
    };
    // A voice that can't be played is an error here, not the dry sound.
    live::load_voice(&setup.voice)?;
    let controls = Controls {
        pitch: args.pitch,
        formant: args.formant,
        follow: args.follow,
        ..stream::controls(&args.how)?
    };
    let telemetry = Arc::new(Telemetry::default());
    let (mut player, _) = Player::new(&setup, telemetry.clone())?;
    let latency_ms = 1000.0 * f64::from(player.latency()) / f64::from(rate);
    if !quiet {
        let (from, to) = (&input.name, &output.name);
        eprintln!(
            "{from} -> {to} at {rate} Hz, {latency_ms:.0} ms beside the cards' own; Ctrl-C ends"
        );
    }
    let (mut feed, mut drain, shared) = queue(BLOCK * BLOCKS_BETWEEN, BLOCK);
    let listening = input.listen(move |sample| feed.offer(sample))?;
    let (mix, gain) = (vec![args.mix; BLOCK], vec![1.0; BLOCK]);
    let playing = output.play(move |block| {
        drain.keep(BLOCK * BLOCKS_BETWEEN / 2 + block.len().min(BLOCK * BLOCKS_BETWEEN / 2));
        for part in block.chunks_mut(BLOCK) {
            part.iter_mut().for_each(|sample| *sample = drain.next());
            let length = part.len();
            player.process(&mut [part], &controls, &mix[..length], &gain[..length], &[]);
        }
    })?;
    let mut told = String::new();
    while !interrupt::requested() {
        std::thread::sleep(Duration::from_millis(500));
        if quiet {
            continue;
        }
        let message = telemetry.message();
        if message != told {
            eprintln!("{message}");
            told = message;
        }
        eprint!(
            "\rload {:3.0} %, {} of {} chunks late, {} samples missing  ",
            100.0 * telemetry.load(),
            telemetry.late(),
            telemetry.chunks(),
            shared.missing(),
        );
    }
    eprintln!();
    drop((listening, playing));
    Ok(())
}
