//! The presets, and the two ways to get at them: the editor's menu sets parameters, so that the host
//! records it; and as `.vstpreset` files they appear in the browsers of hosts. VST3 hosts read them on their
//! own, CLAP hosts through `entry`.
//!
//! Note: nice-plug 0.4 has no VST3 program lists. Files in the folder that the VST3 standard names for them
//! are the host's own mechanism that is left.

use std::collections::BTreeMap;

use nice_plug::plugin::ParamValue;
use nice_plug::prelude::*;

use crate::params::{Knobs, SeedMode};
use crate::state::PRESET;

mod file;
mod table;

pub use file::{folder, from_file, to_file, write_all};
pub use table::{EFFECT, INSTRUMENT};

/// The maker's name: hosts group plugins and presets by it.
pub const VENDOR: &str = "Vocoder";

/// How it sounds. Voice, quality, device, waiting and bypass are not a preset's business.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Preset {
    /// Shown in menus.
    pub name: &'static str,
    /// Semitones.
    pub pitch: f32,
    /// Semitones.
    pub formant: f32,
    /// Decibels per octave.
    pub tilt: f32,
    /// Milliseconds.
    pub smear_ms: f32,
    /// Whether the mel is held.
    pub freeze: bool,
    /// Reverse steps.
    pub steps: i32,
    /// Deviation of the noise.
    pub temperature: f32,
    /// 0 to 1; the effect's.
    pub follow: f32,
    /// Whether each pass draws other noise.
    pub running: bool,
    /// 0 dry to 1 wet.
    pub mix: f32,
    /// Decibels.
    pub gain_db: f32,
}

/// The defaults of all parameters.
pub const NEUTRAL: Preset = Preset {
    name: "Plain",
    pitch: 0.0,
    formant: 0.0,
    tilt: 0.0,
    smear_ms: 0.0,
    freeze: false,
    steps: 6,
    temperature: 1.0,
    follow: 0.0,
    running: false,
    mix: 1.0,
    gain_db: 0.0,
};

impl Preset {
    /// Sets the parameters as a person would, one gesture each; `follow` where there is one.
    pub fn apply(&self, setter: &ParamSetter, knobs: &Knobs, follow: Option<&FloatParam>) {
        let Knobs { shape, chain, output, .. } = knobs;
        set(setter, &shape.pitch, self.pitch);
        set(setter, &shape.formant, self.formant);
        set(setter, &shape.tilt, self.tilt);
        set(setter, &shape.smear, self.smear_ms);
        set(setter, &shape.freeze, self.freeze);
        set(setter, &chain.steps, self.steps);
        set(setter, &chain.temperature, self.temperature);
        set(setter, &chain.seed_mode, self.seed_mode());
        if let Some(follow) = follow {
            set(setter, follow, self.follow);
        }
        set(setter, &output.mix, self.mix);
        set(setter, &output.gain, util::db_to_gain(self.gain_db));
    }

    /// As a state that leaves everything else as it is.
    pub fn state(&self, has_follow: bool) -> PluginState {
        let mut params = BTreeMap::from([
            ("pitch", ParamValue::F32(self.pitch)),
            ("formnt", ParamValue::F32(self.formant)),
            ("tilt", ParamValue::F32(self.tilt)),
            ("smear", ParamValue::F32(self.smear_ms)),
            ("freeze", ParamValue::Bool(self.freeze)),
            ("steps", ParamValue::I32(self.steps)),
            ("temp", ParamValue::F32(self.temperature)),
            ("seedmd", ParamValue::String(if self.running { "running" } else { "fixed" }.into())),
            ("mix", ParamValue::F32(self.mix)),
            ("gain", ParamValue::F32(util::db_to_gain(self.gain_db))),
        ]);
        if has_follow {
            params.insert("follow", ParamValue::F32(self.follow));
        }
        let fields = BTreeMap::from([
            (PRESET.into(), format!("\"{}\"", self.name)),
            ("state".into(), crate::state::VERSION.to_string()),
        ]);
        PluginState {
            version: env!("CARGO_PKG_VERSION").into(),
            params: params.into_iter().map(|(id, value)| (id.into(), value)).collect(),
            fields,
        }
    }

    /// Whether the parameters stand as this preset sets them.
    pub fn is_set(&self, knobs: &Knobs, follow: Option<&FloatParam>) -> bool {
        let Knobs { shape, chain, output, .. } = knobs;
        near(&shape.pitch, self.pitch)
            && near(&shape.formant, self.formant)
            && near(&shape.tilt, self.tilt)
            && near(&shape.smear, self.smear_ms)
            && shape.freeze.unmodulated_plain_value() == self.freeze
            && chain.steps.unmodulated_plain_value() == self.steps
            && near(&chain.temperature, self.temperature)
            && chain.seed_mode.unmodulated_plain_value() == self.seed_mode()
            && follow.is_none_or(|follow| near(follow, self.follow))
            && near(&output.mix, self.mix)
            && near(&output.gain, util::db_to_gain(self.gain_db))
    }

    fn seed_mode(&self) -> SeedMode {
        if self.running { SeedMode::Running } else { SeedMode::Fixed }
    }
}

/// Hosts keep positions in a range, not values: so they are compared.
fn near(param: &FloatParam, value: f32) -> bool {
    (param.unmodulated_normalized_value() - param.preview_normalized(value)).abs() < 1e-4
}

fn set<P: Param>(setter: &ParamSetter, param: &P, value: P::Plain) {
    setter.begin_set_parameter(param);
    setter.set_parameter(param, value);
    setter.end_set_parameter(param);
}

/// The presets that stand as the parameters do.
pub fn current<'a>(
    presets: &'a [Preset],
    knobs: &Knobs,
    follow: Option<&FloatParam>,
) -> Option<&'a Preset> {
    presets.iter().find(|preset| preset.is_set(knobs, follow))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::panic)]

    use super::*;
    use crate::params::EffectParams;

    #[test]
    fn there_are_enough_and_their_names_differ() {
        for presets in [EFFECT, INSTRUMENT] {
            assert!(presets.len() >= 12, "{}", presets.len());
            for (i, preset) in presets.iter().enumerate() {
                assert!(
                    presets[..i].iter().all(|other| other.name != preset.name),
                    "{}",
                    preset.name
                );
                assert!(
                    presets[..i].iter().all(
                        |other| Preset { name: "", ..*other } != Preset { name: "", ..*preset }
                    )
                );
            }
        }
    }

    #[test]
    fn the_first_is_what_a_new_plugin_plays() {
        let params = EffectParams::default();
        for presets in [EFFECT, INSTRUMENT] {
            assert_eq!(
                current(presets, &params.knobs, Some(&params.start.follow)),
                presets.first()
            );
        }
    }

    /// What lies in a parameter's range comes back from a position in it.
    #[test]
    fn every_value_is_in_range() {
        let params = EffectParams::default();
        let map: BTreeMap<String, ParamPtr> =
            params.param_map().into_iter().map(|(id, ptr, _)| (id, ptr)).collect();
        for preset in EFFECT.iter().chain(INSTRUMENT) {
            for (id, value) in preset.state(true).params {
                let ParamValue::F32(value) = value else { continue };
                let back = unsafe {
                    let ParamPtr::FloatParam(param) = map[&id] else { panic!("{id} is no number") };
                    (*param).preview_plain((*param).preview_normalized(value))
                };
                assert!(
                    (back - value).abs() <= 1e-3 * value.abs().max(1.0),
                    "{}: {id} {value}",
                    preset.name
                );
            }
            assert!((1..=50).contains(&preset.steps), "{}", preset.name);
        }
    }

    #[test]
    fn an_instrument_has_no_dry_sound() {
        assert!(INSTRUMENT.iter().all(|preset| preset.mix == 1.0 && preset.follow == 0.0));
    }

    #[test]
    fn a_preset_leaves_voice_and_quality_alone() {
        let mut state = EFFECT[1].state(true);
        crate::state::migrate(&mut state, &EffectParams::default());
        assert!(!state.fields.contains_key("voice") && !state.params.contains_key("qualty"));
    }
}
