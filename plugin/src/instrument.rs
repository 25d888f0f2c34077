//! The instrument: notes play a clip, through its mel.

use std::num::NonZeroU32;
use std::sync::Arc;

use nice_plug::prelude::*;

use crate::chassis::{Chassis, TOO_LATE};
use crate::editor::{self, Face, Window};
use crate::pane::Pane;
use crate::params::InstrumentParams;
use crate::state;
use crate::updater::Updater;
use crate::workshop::Workshop;

/// The instrument.
pub struct Instrument {
    params: Arc<InstrumentParams>,
    workshop: Arc<Workshop>,
    chassis: Chassis,
    updater: Updater,
}

impl Default for Instrument {
    fn default() -> Self {
        let params = Arc::new(InstrumentParams::default());
        let (workshop, hatch) = Workshop::new(Arc::clone(&params.knobs), Some(Arc::clone(&params)));
        let updater = Updater::new(Arc::clone(&workshop));
        let mut chassis = Chassis::new(Arc::clone(&workshop), hatch);
        chassis.rings(updater.thread());
        Self { params, chassis, updater, workshop }
    }
}

impl Plugin for Instrument {
    const NAME: &'static str = "Vocoder Instrument";
    const VENDOR: &'static str = crate::presets::VENDOR;
    const URL: &'static str = "";
    const EMAIL: &'static str = "";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    const AUDIO_IO_LAYOUTS: &'static [AudioIOLayout] = &[layout(2), layout(1)];
    const MIDI_INPUT: MidiConfig = MidiConfig::Basic;
    const SAMPLE_ACCURATE_AUTOMATION: bool = true;
    type Editor = Pane<Window>;
    type SysExMessage = ();
    type BackgroundTask = ();

    fn params(&self) -> Arc<dyn Params> {
        Arc::clone(&self.params) as Arc<dyn Params>
    }

    fn editor(&mut self, _executor: AsyncExecutor<Self>) -> Option<Self::Editor> {
        let update = self.updater.bell();
        editor::create(
            Face::Instrument(Arc::clone(&self.params)),
            Arc::clone(&self.workshop),
            update,
        )
    }

    fn filter_state(state: &mut PluginState) {
        state::migrate(state, &InstrumentParams::default());
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
        self.chassis.take_keyboard();
        while let Some(event) = context.next_event() {
            if let Some(note) = note(&event) {
                self.chassis.note(event.timing(), note);
            }
        }
        // What a host may have left in the buffers of an instrument is not sound.
        for channel in buffer.as_slice() {
            channel.fill(0.0);
        }
        let played = self.chassis.play(buffer.as_slice(), &self.params.controls());
        if let Some(latency) = played.new_latency {
            context.set_latency_samples(latency);
        }
        if !played.in_time {
            return TOO_LATE;
        }
        ProcessStatus::KeepAlive
    }
}

/// What the player makes of an event of the host; most it ignores.
fn note<S>(event: &NoteEvent<S>) -> Option<live::NoteEvent> {
    match *event {
        NoteEvent::NoteOn { key, velocity, .. } if velocity > 0.0 => {
            key.number().map(|key| live::NoteEvent::On { key, velocity })
        }
        NoteEvent::NoteOn { key, .. }
        | NoteEvent::NoteOff { key, .. }
        | NoteEvent::Choke { key, .. } => {
            // A wildcard means every note.
            Some(key.number().map_or(live::NoteEvent::Panic, |key| live::NoteEvent::Off { key }))
        }
        _ => None,
    }
}

const fn layout(channels: u32) -> AudioIOLayout {
    AudioIOLayout {
        main_input_channels: None,
        main_output_channels: NonZeroU32::new(channels),
        ..AudioIOLayout::const_default()
    }
}

impl ClapPlugin for Instrument {
    const CLAP_ID: &'static str = "vocoder.instrument";
    const CLAP_DESCRIPTION: Option<&'static str> =
        Some("Plays a clip by notes, through its mel spectrogram and a diffusion network");
    const CLAP_MANUAL_URL: Option<&'static str> = None;
    const CLAP_SUPPORT_URL: Option<&'static str> = None;
    const CLAP_FEATURES: &'static [ClapFeature] = &[
        ClapFeature::Instrument,
        ClapFeature::Sampler,
        ClapFeature::Synthesizer,
        ClapFeature::Stereo,
        ClapFeature::Mono,
        ClapFeature::Custom("vocoder"),
    ];

    fn remote_controls(&self, context: &mut impl RemoteControlsContext) {
        self.params.knobs.remote_controls(context);
    }
}

impl Vst3Plugin for Instrument {
    const VST3_CLASS_ID: [u8; 16] = *b"VocoderInstrum01";
    const VST3_SUBCATEGORIES: &'static [Vst3SubCategory] =
        &[Vst3SubCategory::Instrument, Vst3SubCategory::Synth, Vst3SubCategory::Sampler];
}

#[cfg(test)]
mod tests {
    use super::*;
    use nice_plug::midi::{Channel, Key, VoiceID};

    fn on(key: Key, velocity: f32) -> NoteEvent<()> {
        NoteEvent::NoteOn {
            timing: 0,
            voice_id: VoiceID::Wildcard,
            channel: Channel::Number(0),
            key,
            velocity,
        }
    }

    #[test]
    fn events_become_notes() {
        assert_eq!(
            note(&on(Key::Number(60), 0.5)),
            Some(live::NoteEvent::On { key: 60, velocity: 0.5 })
        );
        // Running status in MIDI: a note with velocity 0 ends.
        assert_eq!(note(&on(Key::Number(60), 0.0)), Some(live::NoteEvent::Off { key: 60 }));
        let off = NoteEvent::<()>::NoteOff {
            timing: 3,
            voice_id: VoiceID::Wildcard,
            channel: Channel::Wildcard,
            key: Key::Wildcard,
            velocity: 0.0,
        };
        assert_eq!(note(&off), Some(live::NoteEvent::Panic));
    }
}
