//! `vocoder render --explain`: the chain from noise to sound on a page, to look at and to listen to.

use std::path::Path;

use anyhow::{Context, Result};
use vocoder::audio;
use vocoder::mel::{Mel, MelConfig, MelExtractor};
use vocoder::picture::chart::{self, Chart, Line};
use vocoder::picture::{self, Panel};
use vocoder::render::Settings;
use vocoder::schedule::{lambda, sigma};
use vocoder::trace::{Trace, forward, trace};
use vocoder::voice::Voice;

use crate::inputs::{AUDIO, has_extension};
use crate::page::{self, Page};
use crate::source::Source;

/// Seconds of the input that are explained: a page holds everything twice and more.
const SECONDS: f64 = 4.0;

/// Evaluations that are shown one by one; of more, evenly chosen ones.
const MOST_STAGES: usize = 12;

/// Writes the page for the beginning of `input`, a mel file of the convention `of` if that is given, to
/// `out`.
///
/// # Errors
/// An input that can't be read, a device that fails, a file that can't be written.
pub fn write(
    input: &Path,
    out: &Path,
    voice: &Voice,
    device: &candle_core::Device,
    settings: &Settings,
    of: Option<&MelConfig>,
) -> Result<()> {
    let mel = beginning(input, voice, of)?;
    let recording = match has_extension(input, AUDIO) {
        true => {
            let samples = audio::read_at(input, voice.mel.sample_rate)?.audio.samples;
            Some(samples[..samples.len().min(mel.frames * voice.mel.hop)].to_vec())
        }
        false => None,
    };
    let told = || input.display().to_string();
    let trace = trace(voice, device, settings, &mel).with_context(told)?;
    let levels: Vec<f64> = trace.stages.iter().map(|stage| stage.level).collect();
    let noised = match &recording {
        Some(recording) => Some(forward(voice, recording, &mel, &levels, settings.seed)?),
        None => None,
    };

    let title = format!("From noise to sound: {}", told());
    let lead = format!(
        "{} levels by the {} sampler from {}, {} runs of the network. At each level the network is \
         shown the noisy sound and the mel, and says what the noise in it is; the sampler takes some \
         of it away and goes on at the next level.",
        settings.schedule.steps(),
        settings.sampler,
        settings.start,
        trace.stages.len()
    );
    let mut page = Page::new(&title, &lead);
    let drawing = Drawing { voice, extractor: MelExtractor::new(&voice.mel)? };
    drawing.add(&mut page, &trace, recording.as_deref(), noised.as_deref())?;
    page.save(out)
}

/// The first seconds of an input's mel.
fn beginning(input: &Path, voice: &Voice, of: Option<&MelConfig>) -> Result<Mel> {
    let source = Source::open(input, &voice.mel, of)?;
    let mel = source.whole()?.with_context(|| format!("{}: an empty mel", input.display()))?;
    let frames = SECONDS * f64::from(voice.mel.sample_rate) / voice.mel.hop as f64;
    let frames = (frames as usize).clamp(1, mel.frames.max(1));
    Ok(Mel::new(
        mel.config.clone(),
        mel.data[..frames.min(mel.frames) * mel.config.n_mels].to_vec(),
    )?)
}

/// What draws the parts of the page.
struct Drawing<'a> {
    voice: &'a Voice,
    extractor: MelExtractor,
}

impl Drawing<'_> {
    fn add(
        mut self,
        page: &mut Page,
        trace: &Trace,
        recording: Option<&[f32]>,
        noised: Option<&[Vec<f32>]>,
    ) -> Result<()> {
        let mut ends: Vec<(&str, &[f32])> =
            recording.map(|sound| ("the recording", sound)).into_iter().collect();
        ends.push(("what came out", &trace.sound));
        let overview = vec![self.panels(&ends)?, self.players(&ends), curves(trace)?];
        page.section("The result", &overview);

        let count = trace.stages.len();
        let shown = count.min(MOST_STAGES);
        for i in (0..shown).map(|i| if shown > 1 { i * (count - 1) / (shown - 1) } else { 0 }) {
            let stage = &trace.stages[i];
            let mut sounds: Vec<(&str, &[f32])> = vec![
                ("the chain at this level", &stage.before),
                ("the network's guess of the clean sound", &stage.guess),
            ];
            if let Some(noised) = noised {
                sounds.push(("the recording, noised to this level", &noised[i]));
            }
            let snr = 20.0 * lambda(stage.level) / std::f64::consts::LN_10;
            let text = format!(
                "Noise level {:.4}: {:.1} % of the variance is noise, signal-to-noise ratio {snr:.1} dB. \
                 The update after it changed {:.1} % of the energy.",
                stage.level,
                100.0 * sigma(stage.level).powi(2),
                100.0 * stage.changed
            );
            let loudest = stage.before.iter().fold(0.0, |peak: f32, x| peak.max(x.abs()));
            let parts = [
                page::paragraph(text),
                page::waveform(&stage.before, loudest),
                self.panels(&sounds)?,
                self.players(&sounds),
            ];
            page.section(&format!("Run {} of {count}", i + 1), &parts);
        }
        Ok(())
    }

    /// Spectrograms side by side.
    fn panels(&mut self, sounds: &[(&str, &[f32])]) -> Result<String> {
        let mels = sounds
            .iter()
            .map(|(_, sound)| Ok(self.extractor.extract(sound)?))
            .collect::<Result<Vec<Mel>>>()?;
        let row = sounds.iter().zip(&mels).map(|((title, _), mel)| Panel { title, mel }).collect();
        Ok(page::picture(&picture::encode(&[row])?, ""))
    }

    /// Players, no louder than full scale.
    fn players(&self, sounds: &[(&str, &[f32])]) -> String {
        let peak = |sound: &[f32]| sound.iter().fold(1.0, |peak: f32, x| peak.max(x.abs()));
        let scaled: Vec<(&str, Vec<f32>)> = sounds
            .iter()
            .map(|(name, sound)| {
                let peak = peak(sound);
                (*name, sound.iter().map(|x| x / peak).collect())
            })
            .collect();
        let sounds: Vec<(&str, &[f32])> =
            scaled.iter().map(|(name, sound)| (*name, &sound[..])).collect();
        page::players(&sounds, self.voice.mel.sample_rate)
    }
}

/// How noise goes and signal comes over the runs.
fn curves(trace: &Trace) -> Result<String> {
    let line = |name: &str, of: &dyn Fn(usize) -> f64| Line {
        name: name.into(),
        points: (0..trace.stages.len()).map(|i| (i as f64 + 1.0, of(i))).collect(),
    };
    let charts = [Chart {
        title: "Noise at each run of the network, and what the update after it changed",
        x_title: "run",
        lines: vec![
            line("share of noise", &|i| sigma(trace.stages[i].level).powi(2)),
            line("share changed", &|i| trace.stages[i].changed),
        ],
    }];
    Ok(page::picture(&chart::encode(&charts)?, ""))
}
