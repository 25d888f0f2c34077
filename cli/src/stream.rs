//! `render --stream`: files through the real-time engine.

use anyhow::{Result, bail};
use live::{Controls, MAX_STEPS, Quality, VoiceChoice, load_voice, render_offline};
use serde_json::json;
use vocoder::audio::{AudioReader, WavFormat, WavWriter};

use crate::batch::{self, Done, Files, Verb};
use crate::failure::usage;
use crate::inputs::AUDIO;
use crate::interrupt;
use crate::render::{DEFAULT_STEPS, How};
use crate::voices;

/// The voice that `how` names; the built-in one for live playing where it names none.
///
/// # Errors
/// No such voice.
pub fn choice(how: &How) -> Result<VoiceChoice> {
    if how.voice == voices::DEFAULT || live::built_in_voices().contains(&how.voice.as_str()) {
        return Ok(match how.voice.as_str() {
            voices::DEFAULT => VoiceChoice::default(),
            named => VoiceChoice::BuiltIn(named.to_string()),
        });
    }
    Ok(VoiceChoice::File(voices::find(&how.voice)?))
}

/// The controls that `how` asks for.
///
/// # Errors
/// Too many steps; a seed that is too large.
pub fn controls(how: &How) -> Result<Controls> {
    let steps = how.steps.unwrap_or(DEFAULT_STEPS);
    if !(1..=MAX_STEPS).contains(&steps) {
        return Err(usage(format!("--steps: expected 1 to {MAX_STEPS} live, got {steps}")));
    }
    let Ok(seed) = u32::try_from(how.seed) else {
        return Err(usage(format!("--seed: expected at most {} live, got {}", u32::MAX, how.seed)));
    };
    Ok(Controls { steps, seed, ..Controls::default() })
}

/// Renders `files` as a player would.
///
/// # Errors
/// Wrong usage, a voice that is not causal, files that can't be read or written.
pub fn run(files: &Files, how: &How, quality: Quality, quiet: bool) -> Result<()> {
    let voice = load_voice(&choice(how)?)?.voice;
    let controls = controls(how)?;
    let verb = Verb { taken: AUDIO, written: &["wav"], participle: "rendered" };
    batch::run(files, verb, quiet, |job, progress| {
        interrupt::check()?;
        let mut reader = AudioReader::open(&job.input)?;
        let mut samples = Vec::new();
        while reader.next_block(&mut samples)? {
            interrupt::check()?;
        }
        for notice in reader.notices() {
            progress.note(format!("{}: {notice}", job.input.display()));
        }
        let rate = reader.info().sample_rate;
        if !live::RATES.contains(&rate) {
            let (least, most) = (live::RATES.start(), live::RATES.end());
            let name = job.input.display();
            bail!("{name}: expected {least} to {most} samples a second to stream, got {rate}");
        }
        let format = how.format.unwrap_or(WavFormat::Pcm16);
        let mut wav = WavWriter::create(&job.output, rate, format, how.seed)?;
        let how = (quality, how.precision);
        let sound = render_offline(&voice, &samples, rate, how, &controls)?;
        wav.push(&sound)?;
        interrupt::check()?;
        let summary = wav.finish()?;
        let figures = json!({
            "steps": controls.steps, "seed": controls.seed, "quality": quality.to_string(),
            "sample_rate": rate, "clipped_samples": summary.clipped,
        });
        let figures = figures.as_object().cloned().unwrap_or_default();
        Ok(Done { seconds: summary.samples as f64 / f64::from(rate), figures })
    })
}
