//! Ids are stable, values survive being written and read, defaults are neutral.

use super::*;

fn ids(params: &dyn Params) -> Vec<String> {
    params.param_map().into_iter().map(|(id, _, _)| id).collect()
}

const SHARED: [&str; 15] = [
    "pitch", "formnt", "tilt", "smear", "freeze", "steps", "temp", "seed", "seedmd", "qualty",
    "wait", "device", "mix", "gain", "bypass",
];

#[test]
fn ids_are_what_projects_refer_to() {
    let effect: Vec<&str> = SHARED.into_iter().chain(["follow"]).collect();
    assert_eq!(ids(&EffectParams::default()), effect);
    let instrument: Vec<&str> =
        SHARED.into_iter().chain(["attack", "releas", "speed", "begin", "loop"]).collect();
    assert_eq!(ids(&InstrumentParams::default()), instrument);
}

#[test]
fn saved_fields_are_what_projects_refer_to() {
    let keys =
        |params: &dyn Params| -> Vec<String> { params.serialize_fields().into_keys().collect() };
    assert_eq!(keys(&EffectParams::default()), ["state", "voice", "window"]);
    assert_eq!(keys(&InstrumentParams::default()), ["clip", "state", "voice", "window"]);
}

#[test]
fn every_value_is_read_as_it_is_written() {
    let (effect, instrument) = (EffectParams::default(), InstrumentParams::default());
    for (id, param, _) in effect.param_map().into_iter().chain(instrument.param_map()) {
        for tenth in 0..=10 {
            let position = tenth as f32 / 10.0;
            // Snapped first, as hosts do.
            let text = unsafe { param.normalized_value_to_string(position, true) };
            let back = unsafe { param.string_to_normalized_value(&text) };
            let again = back.map(|value| unsafe { param.normalized_value_to_string(value, true) });
            assert_eq!(again, Some(text), "{id} at {position}");
        }
    }
}

#[test]
fn what_people_type_is_understood() {
    let params = EffectParams::default();
    let plain = |param: &FloatParam, text: &str| {
        param.string_to_normalized_value(text).map(|value| param.preview_plain(value))
    };
    let near = |got: Option<f32>, want: f32| {
        assert!(
            got.is_some_and(|got| (got - want).abs() < 1e-3 * want.abs().max(1.0)),
            "{got:?} {want}"
        );
    };
    let knobs = &params.knobs;
    near(plain(&knobs.shape.smear, "1.5 s"), 1500.0);
    near(plain(&knobs.shape.smear, "20ms"), 20.0);
    near(plain(&knobs.shape.smear, "off"), 0.0);
    near(plain(&knobs.shape.pitch, "-12"), -12.0);
    near(plain(&knobs.shape.pitch, "+7 st"), 7.0);
    near(plain(&knobs.output.mix, "35 %"), 0.35);
    near(plain(&knobs.output.gain, "-6 dB"), 0.501_187);
    assert_eq!(plain(&knobs.shape.pitch, "loud"), None);
    assert_eq!(plain(&knobs.shape.pitch, "nan"), None);
}

#[test]
fn defaults_are_neutral() {
    assert_eq!(EffectParams::default().controls(), Controls::default());
    assert_eq!(InstrumentParams::default().controls(), Controls::default());
}

#[test]
fn what_the_audio_thread_cannot_follow_alone_is_counted() {
    let params = InstrumentParams::default();
    let changes = || params.knobs.changes.load(Relaxed);
    let before = changes();
    unsafe { params.knobs.chain.quality.as_ptr()._internal_set_normalized_value(1.0) };
    assert_eq!(changes(), before + 1);
    params.knobs.voice.put(VoiceRef::built_in("other"));
    params.clip.put(Clip::default());
    assert_eq!(changes(), before + 3);
    unsafe { params.knobs.shape.pitch.as_ptr()._internal_set_normalized_value(1.0) };
    assert_eq!(changes(), before + 3);
}
