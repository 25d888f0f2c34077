//! Networks that predict velocities: the noise that they mean, by hand; the engine, the definition and the
//! chain laid open, which turn velocities into clean signals each in its own way, give the same sound; a
//! network learns them.
#![allow(clippy::unwrap_used, missing_docs)]

use std::sync::Arc;

use candle_core::{Device, Tensor};
use training::TrainConfig;
use training::batch::BatchMaker;
use training::checkpoint::Progress;
use training::config::Loss;
use training::corpus::Clip;
use training::objective::Objective;
use training::optimiser::State;
use training::trainer::{Outcome, Trainer};
use vocoder::audio;
use vocoder::config::{ModelConfig, Padding, Prediction};
use vocoder::network::{Network, initial_weights};
use vocoder::prior::PriorConfig;
use vocoder::render::{Renderer, Settings};
use vocoder::sampler::SamplerKind;
use vocoder::trace::trace;
use vocoder::voice::{Precision, Voice};
use vocoder_tests::program::speech;
use vocoder_tests::rendering::{definition, engine, part, settings, worst};
use vocoder_tests::voices::{mel, noise, rms, steady_voice};

/// The promise for the engine, of full scale.
const TOLERANCE: f32 = 1e-4;

fn voice(padding: Padding, prior: PriorConfig) -> Voice {
    let mut voice = steady_voice("eighth", padding, prior);
    voice.model.prediction = Prediction::Velocity;
    voice
}

#[test]
fn the_network_returns_the_noise_that_its_velocity_means() {
    let plain = steady_voice("eighth", Padding::Symmetric, PriorConfig::Standard);
    let velocity = voice(Padding::Symmetric, PriorConfig::Standard);
    let signal = Tensor::from_vec([noise(1200), noise(1200)].concat(), (2, 1200), &Device::Cpu);
    let bands = Tensor::zeros((2, 4, 128), candle_core::DType::F32, &Device::Cpu).unwrap();
    let (signal, levels) = (signal.unwrap(), [0.6, 0.96]);
    let run = |voice: &Voice| {
        let noise = voice.network(&Device::Cpu).unwrap().forward(&signal, &bands, &levels);
        noise.unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap()
    };
    // e = sigma x + l v: sigma is 0.8 and 0.28.
    let x = signal.flatten_all().unwrap().to_vec1::<f32>().unwrap();
    for (i, (e, v)) in run(&velocity).into_iter().zip(run(&plain)).enumerate() {
        let (sigma, level) = if i < 1200 { (0.8, 0.6) } else { (0.28, 0.96) };
        assert!((e - (sigma * x[i] + level * v)).abs() < 1e-5, "{i}");
    }
}

#[test]
fn engine_definition_and_trace_agree_on_every_sampler_in_pieces() {
    let spectral = PriorConfig::Spectral { floor: 1e-3, order: 16, smear_hz: 50.0, share: 1.0 };
    for (padding, prior) in [
        (Padding::Symmetric, PriorConfig::Energy { floor: 1e-2 }),
        (Padding::Causal { look_ahead: 2 }, spectral),
    ] {
        let (voice, mel) = (voice(padding, prior), mel(7));
        for sampler in ["ancestral", "ddim", "dpm++2m", "ddpm:0.5", "euler", "heun", "pc"] {
            let settings = Settings { chunk_frames: 3, ..settings(sampler) };
            let expected = definition(&voice, settings.clone(), &mel);
            assert!((1e-3..0.8).contains(&rms(&expected)), "{sampler}: {}", rms(&expected));
            let traced = trace(&voice, &Device::Cpu, &settings, &mel).unwrap().sound;
            assert!(worst(&traced, &expected) < TOLERANCE, "{sampler}");
            let mut renderer = Renderer::new(&voice, &Device::Cpu, settings).unwrap();
            let mut pushed = renderer.push(&part(&mel, 0..2)).unwrap();
            pushed.extend(renderer.push(&part(&mel, 2..7)).unwrap());
            pushed.extend(renderer.finish().unwrap());
            let error = worst(&pushed, &expected);
            assert!(error < TOLERANCE, "{sampler} {padding:?}: {error}");
        }
    }
}

#[test]
fn guidance_leads_velocities_as_it_leads_noises() {
    let mut voice = voice(Padding::Symmetric, PriorConfig::Energy { floor: 1e-2 });
    let mut config = TrainConfig::preset("overfit-one").unwrap();
    config.mel_dropout = 0.1;
    voice.provenance.training = config.to_toml().unwrap();
    let settings = Settings { guidance: 1.7, ..settings("ddim") };
    let expected = definition(&voice, settings.clone(), &mel(6));
    let error = worst(&engine(&voice, settings, &mel(6)), &expected);
    assert!(error < TOLERANCE, "{error}");
}

#[test]
fn a_voice_says_what_it_predicts_and_an_ordinary_one_is_as_before() {
    let version = |voice: &Voice| {
        let bytes = voice.to_bytes(Precision::Single).unwrap();
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let found = (2..=4).find(|v| text.contains(&format!("\"version\":\"{v}\"")));
        (found.unwrap(), text.contains("prediction"), Voice::from_bytes(&bytes).unwrap())
    };
    let mut voice = voice(Padding::Symmetric, PriorConfig::Standard);
    let (found, says, read) = version(&voice);
    assert_eq!((found, says, read.model.prediction), (4, true, Prediction::Velocity));
    assert_eq!(read.sampler, SamplerKind::default());
    voice.sampler = "consistency".parse().unwrap();
    assert_eq!(version(&voice).2.sampler, voice.sampler);
    voice.model.prediction = Prediction::Noise;
    let (found, says, read) = version(&voice);
    assert_eq!((found, says, read.model), (3, false, voice.model.clone()));
    // What the config's keys are called, and that they are shown.
    let shown = TrainConfig::preset("speech-quarter").unwrap().to_commented_toml().unwrap();
    assert!(shown.contains("\nprediction = \"noise\"") && shown.contains("Salimans"), "{shown}");
    let text = "preset = 'speech-quarter'\n[model]\nprediction = 'velocity'";
    let config = TrainConfig::from_toml(text).unwrap();
    assert_eq!(config.model.prediction, Prediction::Velocity);
    assert_eq!(TrainConfig::from_toml(&config.to_toml().unwrap()).unwrap(), config);
}

#[test]
fn velocities_are_learned() {
    let mut config = TrainConfig::preset("overfit-one").unwrap();
    config.model = ModelConfig {
        first: 16,
        down: vec![8; 4],
        up: vec![8; 5],
        prediction: Prediction::Velocity,
        prior: PriorConfig::Standard,
        ..config.model
    };
    (config.loss, config.steps, config.optimiser.ema) = (Loss::Mse, 100, 0.9);
    (config.batch, config.crop_frames) = (2, 12);
    let samples = audio::read_at(&speech(), config.mel.sample_rate).unwrap().audio.samples;
    let samples = samples.iter().map(|v| (v * 32767.0) as i16).collect();
    let clips = Arc::new(vec![Clip { id: "a".into(), samples }]);
    let mut maker = BatchMaker::new(&config, clips).unwrap();
    let judge = |trainer: &Trainer, maker: &mut BatchMaker| -> f64 {
        let objective = Objective::new(&config, &Device::Cpu).unwrap();
        let network = Network::new(&config.model, &trainer.mean_weights().unwrap()).unwrap();
        let batch = maker.make_even(8, 0.7).unwrap();
        objective.noise_distance(&network, &batch).unwrap()
    };
    let state = State::fresh(initial_weights(&config.model, 1).unwrap()).unwrap();
    let mut trainer = Trainer::new(&config, state, Progress::default()).unwrap();
    let before = judge(&trainer, &mut maker);
    for step in 0..config.steps {
        let batch = maker.make(step).unwrap();
        assert!(matches!(trainer.step(&[batch]).unwrap(), Outcome::Taken { .. }));
    }
    let after = judge(&trainer, &mut maker);
    println!("mean square of the noise's error at level 0.7: {before:.3}, then {after:.3}");
    // Speech is far below unit noise: a velocity of nothing, e' = sigma x, leaves l^4 = 0.24.
    assert!(after < 0.12 && after < 0.5 * before, "{before} {after}");
}
