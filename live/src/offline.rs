//! The same sound without queues, threads or deadlines: what a player is held against, and what
//! `vocoder render --stream` writes.

use std::sync::Arc;

use candle_core::Device;
use vocoder::Result;
use vocoder::engine::Precision;
use vocoder::mel::MelExtractor;
use vocoder::voice::Voice;

use crate::loader::{SlotKey, SlotMaker};
use crate::resample::Resampler;
use crate::shape::Shaper;
use crate::{Controls, Quality};

/// One channel of a whole clip, re-synthesised as a player at `rate` would under constant controls, as
/// long as the clip and in its place.
///
/// Only the clip's last frames differ: here nothing comes after them, there silence does. `follow` has no
/// meaning without a stream and is taken for 0.
///
/// # Errors
/// A clip of less than a frame, or one with samples that are not finite.
pub fn render_offline(
    voice: &Arc<Voice>,
    samples: &[f32],
    rate: u32,
    (quality, precision): (Quality, Precision),
    controls: &Controls,
) -> Result<Vec<f32>> {
    let low_rate = voice.mel.sample_rate;
    let mut down = Resampler::new(rate, low_rate);
    let mut low = Vec::new();
    down.push(samples, &mut low);
    down.push(&vec![0.0; down.look_ahead() + 1], &mut low);
    let mut mel = MelExtractor::new(&voice.mel)?.extract(&low)?;
    let mut shaper = Shaper::new(&voice.mel);
    mel.data.chunks_mut(voice.mel.n_mels).for_each(|frame| shaper.apply(controls, frame));

    let (device, polish) = (Device::Cpu, quality.polish());
    let maker = SlotMaker { voice: voice.clone(), device, lanes: 1, polish, precision };
    let mut slot = maker.make(SlotKey::new(&Controls { follow: 0.0, ..*controls }, 1))?;
    let renderer = &mut slot.renderers[0];
    renderer.set_temperature(controls.temperature);
    let sound = renderer.render(&mel)?;

    let mut up = Resampler::new(low_rate, rate);
    let mut out = Vec::new();
    up.push(&sound, &mut out);
    up.push(&vec![0.0; up.look_ahead() + 1], &mut out);
    out.resize(samples.len(), 0.0);
    Ok(out)
}
