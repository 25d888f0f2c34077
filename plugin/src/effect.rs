//! The effect: sound in, the same sound out of the network.

use std::num::NonZeroU32;
use std::sync::Arc;

use nice_plug::prelude::*;

use crate::chassis::{Chassis, TOO_LATE};
use crate::editor::{self, Face, Window};
use crate::pane::Pane;
use crate::params::EffectParams;
use crate::state;
use crate::updater::Updater;
use crate::workshop::Workshop;

/// The effect.
pub struct Effect {
    params: Arc<EffectParams>,
    workshop: Arc<Workshop>,
    chassis: Chassis,
    updater: Updater,
    #[cfg(feature = "standalone")]
    audition: crate::standalone::Audition,
}

impl Default for Effect {
    fn default() -> Self {
        let params = Arc::new(EffectParams::default());
        let (workshop, hatch) = Workshop::new(Arc::clone(&params.knobs), None);
        let updater = Updater::new(Arc::clone(&workshop));
        let mut chassis = Chassis::new(Arc::clone(&workshop), hatch);
        chassis.rings(updater.thread());
        Self {
            params,
            chassis,
            updater,
            workshop,
            #[cfg(feature = "standalone")]
            audition: Default::default(),
        }
    }
}

impl Effect {
    /// How long sound goes on after the input ended: what is on its way, and the smear until it is down
    /// by 60 dB (6.9 time constants).
    fn tail(&self, rate: f32) -> ProcessStatus {
        let shape = &self.params.knobs.shape;
        if shape.freeze.value() {
            return ProcessStatus::KeepAlive;
        }
        let smear = shape.smear.value() / 1000.0 * 6.9 * rate;
        ProcessStatus::Tail(self.chassis.latency().saturating_add(smear as u32))
    }
}

impl Plugin for Effect {
    const NAME: &'static str = "Vocoder";
    const VENDOR: &'static str = crate::presets::VENDOR;
    const URL: &'static str = "";
    const EMAIL: &'static str = "";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    const AUDIO_IO_LAYOUTS: &'static [AudioIOLayout] = &[layout(2), layout(1)];
    const SAMPLE_ACCURATE_AUTOMATION: bool = true;
    type Editor = Pane<Window>;
    type SysExMessage = ();
    type BackgroundTask = ();

    fn params(&self) -> Arc<dyn Params> {
        Arc::clone(&self.params) as Arc<dyn Params>
    }

    fn editor(&mut self, _executor: AsyncExecutor<Self>) -> Option<Self::Editor> {
        let update = self.updater.bell();
        editor::create(Face::Effect(Arc::clone(&self.params)), Arc::clone(&self.workshop), update)
    }

    fn filter_state(state: &mut PluginState) {
        state::migrate(state, &EffectParams::default());
    }

    fn activate(
        &mut self,
        layout: &AudioIOLayout,
        config: &BufferConfig,
        context: &mut impl ActivateContext<Self>,
    ) -> bool {
        let ready = self.chassis.get_ready(layout, config);
        if let Some(latency) = ready {
            context.set_latency_samples(latency);
        }
        #[cfg(feature = "standalone")]
        self.audition.prepare(config.sample_rate);
        ready.is_some()
    }

    fn reset(&mut self) {
        self.chassis.reset();
    }

    fn process(
        &mut self,
        buffer: &mut Buffer,
        _aux: &mut AuxiliaryBuffers,
        context: &mut impl ProcessContext<Self>,
    ) -> ProcessStatus {
        #[cfg(feature = "standalone")]
        self.audition.fill(buffer.as_slice());
        let played = self.chassis.play(buffer.as_slice(), &self.params.controls());
        if let Some(latency) = played.new_latency {
            context.set_latency_samples(latency);
        }
        if !played.in_time {
            return TOO_LATE;
        }
        self.tail(context.transport().sample_rate)
    }
}

const fn layout(channels: u32) -> AudioIOLayout {
    AudioIOLayout {
        main_input_channels: NonZeroU32::new(channels),
        main_output_channels: NonZeroU32::new(channels),
        ..AudioIOLayout::const_default()
    }
}

impl ClapPlugin for Effect {
    const CLAP_ID: &'static str = "vocoder.effect";
    const CLAP_DESCRIPTION: Option<&'static str> =
        Some("Takes sound to a mel spectrogram and back through a diffusion network, live");
    const CLAP_MANUAL_URL: Option<&'static str> = None;
    const CLAP_SUPPORT_URL: Option<&'static str> = None;
    const CLAP_FEATURES: &'static [ClapFeature] = &[
        ClapFeature::AudioEffect,
        ClapFeature::PitchShifter,
        ClapFeature::Stereo,
        ClapFeature::Mono,
        ClapFeature::Custom("vocoder"),
    ];

    fn remote_controls(&self, context: &mut impl RemoteControlsContext) {
        self.params.knobs.remote_controls(context);
    }
}

impl Vst3Plugin for Effect {
    const VST3_CLASS_ID: [u8; 16] = *b"VocoderEffect001";
    const VST3_SUBCATEGORIES: &'static [Vst3SubCategory] =
        &[Vst3SubCategory::Fx, Vst3SubCategory::PitchShift, Vst3SubCategory::Modulation];
}
