//! What is asked for, made ready: voice, device and settings.

use anyhow::Result;
use candle_core::Device;
use serde_json::{Map, Value, json};
use vocoder::guidance::SATURATES;
use vocoder::render::{Polish, Settings};
use vocoder::start::Start;
use vocoder::voice::Voice;

use super::{How, Rule, levels};
use crate::{start, voices};

/// A voice with what it is asked for.
pub(super) struct Setup {
    pub voice: Voice,
    pub device: Device,
    pub settings: Settings,
    /// What the user should know before it starts.
    pub warnings: Vec<String>,
    /// For `--json`.
    pub figures: Map<String, Value>,
}

impl Setup {
    /// Loads the voice and opens the device.
    ///
    /// # Errors
    /// Wrong usage; a voice that cannot be loaded; a device that does not answer.
    pub fn new(how: &How) -> Result<Self> {
        let voice = voices::load(&how.voice)?;
        let settings = settings(how, &voice)?;
        let (start, sampler, schedule) = (settings.start, settings.sampler, &settings.schedule);
        let (device, chosen) = how.device.open()?;
        let mut warnings = Vec::new();
        if start == Start::Noise && !schedule.matches_prior() {
            let missing = 100.0 * schedule.prior_mismatch();
            warnings.push(format!(
                "warning: the schedule starts at a noise level of {:.3}, where the network expects \
                 {missing:.0} % of signal that is not there",
                schedule.levels()[0]
            ));
        }
        if settings.guidance > SATURATES {
            warnings.push(format!(
                "warning: guidance of {} over-saturates: above {SATURATES}, predictions may leave the \
                 range that the network was trained on (Saharia et al. 2022, section 2.3)",
                settings.guidance
            ));
        }
        let steps = schedule.steps();
        let figures = json!({
            "voice": how.voice, "steps": steps, "evaluations": sampler.evaluations(steps),
            "sampler": sampler.to_string(), "start": start.to_string(),
            "guidance": settings.guidance, "polish": settings.polish.to_string(), "seed": how.seed,
            "device": chosen.to_string(),
        });
        let figures = figures.as_object().cloned().unwrap_or_default();
        Ok(Self { voice, device, settings, warnings, figures })
    }
}

/// How `how` asks `voice` to render.
fn settings(how: &How, voice: &Voice) -> Result<Settings> {
    let start = start::of_voice(how.start, voice);
    let sampler = match how.sampler {
        Some(Rule::Network(sampler)) => sampler,
        _ => voice.sampler_from(start),
    };
    let frames_per_s = f64::from(voice.mel.sample_rate) / voice.mel.hop as f64;
    Ok(Settings {
        schedule: levels::schedule(how, start, sampler, voice)?,
        sampler,
        guidance: how.guidance,
        clip: how.clip,
        start,
        seed: how.seed,
        chunk_frames: ((how.chunk * frames_per_s).round() as usize).max(1),
        polish: how.polish.unwrap_or_else(|| Polish::of_voice(voice)),
        precision: how.precision,
    })
}
