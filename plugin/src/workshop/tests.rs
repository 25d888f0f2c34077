//! Players are built when they must be, handed over, and come back.

#![allow(clippy::unwrap_used)]

use super::*;
use crate::chassis::Chassis;
use crate::params::{EffectParams, Quality};

const FORMAT: Format = Format { rate: 48_000, max_block: 512, channels: 2, offline: false };

fn effect() -> (EffectParams, Arc<Workshop>, Chassis) {
    let params = EffectParams::default();
    let (workshop, hatch) = Workshop::new(Arc::clone(&params.knobs), None);
    let chassis = Chassis::new(Arc::clone(&workshop), hatch);
    (params, workshop, chassis)
}

fn set_quality(params: &EffectParams, quality: Quality) {
    let param = &params.knobs.chain.quality;
    let ptr = nice_plug::prelude::Param::as_ptr(param);
    let position = nice_plug::prelude::Param::preview_normalized(param, quality);
    unsafe { ptr._internal_set_normalized_value(position) };
}

/// A block of silence, and what came of it.
fn block(chassis: &mut Chassis, params: &EffectParams) -> crate::chassis::Played {
    let (mut left, mut right) = ([0.0; 512], [0.0; 512]);
    chassis.play(&mut [&mut left, &mut right], &params.controls())
}

#[test]
fn activating_again_keeps_the_player() {
    let (_params, workshop, mut chassis) = effect();
    let latency = chassis.activate(FORMAT).unwrap();
    assert!(latency > 0);
    assert!(workshop.activate(FORMAT).unwrap().is_none());
    assert_eq!(chassis.activate(FORMAT).unwrap(), latency);
    let other = Format { rate: 96_000, ..FORMAT };
    assert!(chassis.activate(other).unwrap() > latency);
}

#[test]
fn another_quality_comes_through_the_hatch_with_its_latency() {
    let (params, workshop, mut chassis) = effect();
    let balanced = chassis.activate(FORMAT).unwrap();
    // The hash of the voice was noted meanwhile, which is a change like any other.
    assert!(block(&mut chassis, &params).wants_update);
    workshop.update();
    assert_eq!(block(&mut chassis, &params).new_latency, None);

    set_quality(&params, Quality::Studio);
    let played = block(&mut chassis, &params);
    assert!(played.wants_update && played.new_latency.is_none());
    assert!(!block(&mut chassis, &params).wants_update);
    workshop.update();
    let studio = block(&mut chassis, &params).new_latency.unwrap();
    assert!(studio > balanced, "{studio} {balanced}");
    assert_eq!(chassis.latency(), studio);
    assert_eq!(workshop.telemetry.latency(), studio);

    // The old player lies in the hatch until the workshop looks again: so long no other is taken.
    set_quality(&params, Quality::Low);
    workshop.update();
    assert!(block(&mut chassis, &params).new_latency.is_some_and(|low| low < balanced));
}

#[test]
fn a_player_that_waited_while_the_host_rested_is_taken_by_activate() {
    let (params, workshop, mut chassis) = effect();
    let balanced = chassis.activate(FORMAT).unwrap();
    set_quality(&params, Quality::Studio);
    workshop.update();
    assert!(chassis.activate(FORMAT).unwrap() > balanced);
    assert_eq!(block(&mut chassis, &params).new_latency, None);
}

#[test]
fn a_voice_that_is_gone_is_no_error() {
    let (params, workshop, mut chassis) = effect();
    params.knobs.voice.put(VoiceRef::of_file(std::path::Path::new("no/such.safetensors")));
    assert!(chassis.activate(FORMAT).unwrap() > 0);
    assert!(block(&mut chassis, &params).in_time);
    assert!(workshop.message().contains("such.safetensors"), "{}", workshop.message());
    assert!(workshop.remote().is_none());
}

#[test]
fn bypass_is_the_input_later() {
    let (params, _workshop, mut chassis) = effect();
    let bypass = nice_plug::prelude::Param::as_ptr(&params.knobs.output.bypass);
    unsafe { bypass._internal_set_normalized_value(1.0) };
    let latency = chassis.activate(FORMAT).unwrap() as usize;
    let input: Vec<f32> = (0..8192).map(|i| ((i * 7919) % 1000) as f32 / 1000.0 - 0.5).collect();
    let mut output = Vec::new();
    // Longer than what was announced, and shorter.
    for piece in input.chunks(700) {
        let (mut left, mut right) = (piece.to_vec(), piece.to_vec());
        assert!(chassis.play(&mut [&mut left, &mut right], &params.controls()).in_time);
        assert_eq!(left, right);
        output.extend(left);
    }
    assert!(output[..latency].iter().all(|sample| *sample == 0.0));
    assert_eq!(output[latency..], input[..input.len() - latency]);
}

/// The fade is over after 10 ms, however short the blocks are; then it is the input to the bit.
#[test]
fn bypass_that_comes_on_becomes_exact() {
    let (params, _workshop, mut chassis) = effect();
    let latency = chassis.activate(FORMAT).unwrap() as usize;
    let input: Vec<f32> = (0..9600).map(|i| ((i * 7919) % 1000) as f32 / 1000.0 - 0.5).collect();
    let bypass = nice_plug::prelude::Param::as_ptr(&params.knobs.output.bypass);
    let mut output = Vec::new();
    for (i, piece) in input.chunks(32).enumerate() {
        if i == 100 {
            unsafe { bypass._internal_set_normalized_value(1.0) };
        }
        let (mut left, mut right) = (piece.to_vec(), piece.to_vec());
        chassis.play(&mut [&mut left, &mut right], &params.controls());
        output.extend(left);
    }
    let from = (3200 + 480).max(latency);
    assert_eq!(output[from..], input[from - latency..input.len() - latency]);
}
