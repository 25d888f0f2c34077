//! Files, played while they are rendered.

use std::time::Duration;

use anyhow::Result;
use vocoder::audio::Resampler;

use super::PlayArgs;
use super::card::Card;
use super::queue::queue;
use crate::inputs::is_mel;
use crate::interrupt;
use crate::progress::Progress;
use crate::render::{How, Machine};
use crate::source::Source;

/// Seconds that may be rendered ahead, and that must be before the sound begins.
const AHEAD_S: f64 = 4.0;
const BEGIN_S: f64 = 0.3;

/// Plays all inputs, one after the other.
pub fn run(args: &PlayArgs, quiet: bool) -> Result<()> {
    // Short pieces: the sound begins soon.
    let how = How { chunk: args.how.chunk.min(1.0), ..args.how.clone() };
    let mut machine = Machine::new(&how)?;
    let card = Card::output(args.output.as_deref())?;
    let (rate, from) = (card.rate(), machine.mel().sample_rate);
    let samples = |seconds: f64| (seconds * f64::from(rate)) as usize;
    let mut progress = Progress::new(args.inputs.len(), quiet);
    if !quiet {
        progress.note(format!("playing on {} at {rate} Hz", card.name));
    }
    let (mut feed, mut drain, shared) = queue(samples(AHEAD_S), samples(BEGIN_S));
    let stream = card.play(move |block| block.iter_mut().for_each(|v| *v = drain.next()))?;
    for input in &args.inputs {
        interrupt::check()?;
        let source = Source::open(input, machine.mel(), how.mel_config.as_ref())?;
        let name = input.display().to_string();
        let mut resampler = Resampler::new(from, rate)?;
        let mut block = Vec::new();
        let go_on = || !interrupt::requested();
        machine.sound(source, &name, &progress, &mut |samples| {
            block.clear();
            resampler.push(samples, &mut block)?;
            feed.push(&block, &go_on);
            interrupt::check()
        })?;
        block.clear();
        resampler.finish(&mut block)?;
        feed.push(&block, &go_on);
        let kind = if is_mel(input) { "mel" } else { "audio" };
        progress.finished(format!("{name}: {kind}, rendered"));
    }
    feed.end();
    while !feed.is_drained() {
        interrupt::check()?;
        std::thread::sleep(Duration::from_millis(20));
    }
    // What the card holds is still to be heard.
    std::thread::sleep(Duration::from_millis(200));
    drop(stream);
    let missing = shared.missing();
    if missing > 0 {
        let seconds = missing as f64 / f64::from(rate);
        progress.note(format!("{seconds:.2} s came too late: try fewer steps"));
    }
    Ok(())
}
