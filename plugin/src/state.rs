//! What is saved with a project, and how what older versions saved is read.
//!
//! A state names every parameter by its id, with its plain value, and every field of [`Saved`]. A
//! parameter or field that a state lacks takes its default, never what happened to be set before: so a
//! state means the same wherever it is loaded. A preset is a state that says so in a field of its own
//! ([`PRESET`]): what it lacks stays as it is.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, RwLock};

use nice_plug::params::persist::PersistentField;
use nice_plug::plugin::ParamValue;
use nice_plug::prelude::*;
use serde::{Deserialize, Serialize};

/// The layout of the states that this version writes. It goes up when an id or a unit changes, and
/// [`migrate`] learns the way from the one before.
///
/// 0 had no number, and named the voice by a bare string.
pub const VERSION: u32 = 1;

/// The field that marks a state as a preset; its value is the preset's name.
pub const PRESET: &str = "preset";

/// A value that is saved with a project. Not for the audio thread.
pub struct Saved<T> {
    value: RwLock<T>,
    /// Goes up when the value is set, if somebody watches.
    changes: Option<Arc<AtomicU32>>,
}

impl<T: Clone> Saved<T> {
    /// A value that nobody watches.
    pub fn new(value: T) -> Self {
        Self { value: RwLock::new(value), changes: None }
    }

    /// A value whose changes are counted in `changes`.
    pub fn watched(value: T, changes: &Arc<AtomicU32>) -> Self {
        Self { value: RwLock::new(value), changes: Some(Arc::clone(changes)) }
    }

    /// The value.
    pub fn get(&self) -> T {
        match self.value.read() {
            Ok(value) => value.clone(),
            Err(poisoned) => poisoned.into_inner().clone(),
        }
    }

    /// Sets the value.
    pub fn put(&self, value: T) {
        match self.value.write() {
            Ok(mut old) => *old = value,
            Err(poisoned) => *poisoned.into_inner() = value,
        }
        if let Some(changes) = &self.changes {
            changes.fetch_add(1, Relaxed);
        }
    }
}

impl<'a, T> PersistentField<'a, T> for Saved<T>
where
    T: Serialize + Deserialize<'a> + Clone + Send + Sync,
{
    fn set(&self, value: T) {
        self.put(value);
    }

    fn map<F: Fn(&T) -> R, R>(&self, f: F) -> R {
        f(&self.get())
    }
}

/// The state of `params` as they stand.
pub fn snapshot(params: &dyn Params) -> PluginState {
    let value = |param: ParamPtr| {
        // SAFETY: the pointers point into `params`, which outlives them here.
        unsafe {
            match param {
                ParamPtr::FloatParam(p) => ParamValue::F32((*p).unmodulated_plain_value()),
                ParamPtr::IntParam(p) => ParamValue::I32((*p).unmodulated_plain_value()),
                ParamPtr::BoolParam(p) => ParamValue::Bool((*p).unmodulated_plain_value()),
                ParamPtr::EnumParam(p) => (*p).unmodulated_plain_id().map_or_else(
                    || ParamValue::I32((*p).unmodulated_plain_value()),
                    |id| ParamValue::String(id.into()),
                ),
            }
        }
    };
    PluginState {
        version: env!("CARGO_PKG_VERSION").into(),
        params: params.param_map().into_iter().map(|(id, p, _)| (id, value(p))).collect(),
        fields: params.serialize_fields(),
    }
}

/// Brings `state` to [`VERSION`], and fills in what it lacks from `defaults`.
pub fn migrate(state: &mut PluginState, defaults: &dyn Params) {
    if saved_version(&state.fields) == 0 {
        name_voice_by_record(&mut state.fields);
    }
    state.fields.insert("state".into(), VERSION.to_string());
    if state.fields.contains_key(PRESET) {
        return;
    }
    let defaults = snapshot(defaults);
    for (id, value) in defaults.params {
        state.params.entry(id).or_insert(value);
    }
    for (key, value) in defaults.fields {
        state.fields.entry(key).or_insert(value);
    }
}

fn saved_version(fields: &BTreeMap<String, String>) -> u32 {
    fields.get("state").and_then(|text| text.parse().ok()).unwrap_or(0)
}

/// Version 0: `"voice": "\"NAME\""`. Version 1: a record with name, file and hash.
fn name_voice_by_record(fields: &mut BTreeMap<String, String>) {
    let Some(text) = fields.get("voice") else { return };
    if let Ok(name) = serde_json::from_str::<String>(text)
        && let Ok(record) = serde_json::to_string(&crate::voices::VoiceRef::built_in(&name))
    {
        fields.insert("voice".into(), record);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::params::EffectParams;
    use crate::voices::VoiceRef;

    fn state(json: &str) -> PluginState {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn a_state_of_version_0_loads_with_defaults_for_what_it_lacks() {
        let mut old = state(
            r#"{"version":"0.0.9","params":{"pitch":{"f32":7.0},"steps":{"i32":12}},
                "fields":{"voice":"\"speech-stream\""}}"#,
        );
        let defaults = EffectParams::default();
        migrate(&mut old, &defaults);
        assert!(matches!(old.params["pitch"], ParamValue::F32(7.0)));
        assert!(matches!(old.params["steps"], ParamValue::I32(12)));
        assert!(matches!(old.params["mix"], ParamValue::F32(1.0)));
        assert!(matches!(&old.params["qualty"], ParamValue::String(id) if id == "balanced"));

        let loaded = EffectParams::default();
        loaded.knobs.voice.put(VoiceRef::built_in("something else"));
        loaded.deserialize_fields(&old.fields);
        assert_eq!(loaded.knobs.voice.get(), VoiceRef::built_in("speech-stream"));
        assert_eq!(loaded.knobs.version.get(), VERSION);
    }

    #[test]
    fn a_state_of_this_version_is_left_as_it_is() {
        let params = EffectParams::default();
        params.knobs.voice.put(VoiceRef { hash: "ab".into(), ..VoiceRef::built_in("v") });
        let before = snapshot(&params);
        let mut after = before.clone();
        migrate(&mut after, &EffectParams::default());
        assert_eq!(serde_json::to_string(&before).unwrap(), serde_json::to_string(&after).unwrap());
    }

    #[test]
    fn an_empty_state_and_one_of_a_later_version_load() {
        for json in [
            r#"{"params":{},"fields":{}}"#,
            r#"{"version":"9.0.0","params":{"new":{"bool":true}},"fields":{"state":"9","voice":"{}"}}"#,
        ] {
            let mut state = state(json);
            migrate(&mut state, &EffectParams::default());
            EffectParams::default().deserialize_fields(&state.fields);
            assert!(state.params.contains_key("mix"));
        }
    }
}
