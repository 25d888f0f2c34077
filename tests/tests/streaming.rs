//! Rendering as the sound arrives: latency as stated, pieces equal the whole, reset equals fresh.
#![allow(clippy::unwrap_used)]

use candle_core::Device;
use vocoder::config::{ModelConfig, Padding};
use vocoder::engine::Precision;
use vocoder::mel::{Mel, MelConfig, MelExtractor, MelStream};
use vocoder::prior::PriorConfig;
use vocoder::render::{Polish, Renderer, Settings, latency};
use vocoder::sampler::Clip;
use vocoder::schedule::Schedule;
use vocoder::start::Start;
use vocoder_tests::voices::{mel, noise, steady_voice};

const STEPS: usize = 6;

fn settings(start: Start) -> Settings {
    Settings {
        schedule: Schedule::log_snr(STEPS, 0.4, 0.999).unwrap(),
        sampler: "ancestral".parse().unwrap(),
        guidance: 1.0,
        clip: Clip::Signal(1.0),
        start,
        seed: 7,
        chunk_frames: 1,
        polish: Polish::NONE,
        precision: Precision::F32,
    }
}

const PRIOR: PriorConfig = PriorConfig::Energy { floor: 1e-3 };

fn presets() -> Vec<&'static str> {
    ModelConfig::PRESETS.into_iter().filter(|name| name.starts_with("stream-")).collect()
}

#[test]
fn stream_presets_lag_at_most_60_ms_in_all() {
    assert!(presets().len() >= 3);
    for preset in presets() {
        let (mel, start) = (MelConfig::default(), Start::Noise);
        let model = ModelConfig::preset(preset, mel.n_mels).unwrap();
        let lag = latency(&model, &mel, &start, STEPS, Polish::NONE);
        // Half a window of 1200, and a frame of 300 ahead.
        assert_eq!((lag.mel, lag.frames, lag.samples), (600, 1, 900));
        assert!(lag.ms(&mel) <= 60.0);
        assert_eq!(
            lag,
            latency(&model, &mel, &start, 50, Polish::NONE),
            "{preset}: the same in any number of steps"
        );
    }
}

/// After each frame exactly the samples that the latency promises are there, and they are the whole's.
#[test]
fn each_frame_gives_its_samples_at_the_stated_time() {
    let mel = mel(30);
    let (hop, bands) = (mel.config.hop, mel.config.n_mels);
    for look_ahead in [0, 1, 3] {
        let voice = steady_voice("stream-eighth", Padding::Causal { look_ahead }, PRIOR);
        let settings = settings(Start::Noise);
        let lag = latency(&voice.model, &voice.mel, &settings.start, STEPS, Polish::NONE).frames;
        let whole = Settings { chunk_frames: 1000, ..settings.clone() };
        let expected =
            Renderer::by_definition(&voice, &Device::Cpu, whole).unwrap().render(&mel).unwrap();
        let mut renderer = Renderer::new(&voice, &Device::Cpu, settings).unwrap();
        for round in ["fresh", "reset"] {
            let mut sound = Vec::new();
            for (n, frame) in mel.data.chunks(bands).enumerate() {
                let frame = Mel::new(mel.config.clone(), frame.to_vec()).unwrap();
                sound.extend(renderer.push(&frame).unwrap());
                assert_eq!(sound.len(), (n + 1).saturating_sub(lag) * hop, "{look_ahead} {round}");
            }
            sound.extend(renderer.finish().unwrap());
            assert_eq!(sound.len(), expected.len());
            let worst = sound.iter().zip(&expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(worst < 1e-4, "look-ahead {look_ahead}, {round}: {worst}");
        }
    }
}

/// In any precision, of a network wide enough for tiles, frame by frame and in uneven blocks.
#[test]
fn streams_equal_the_whole_in_every_precision() {
    let mel = mel(40);
    let bands = mel.config.n_mels;
    let voice = steady_voice("stream-quarter", Padding::Causal { look_ahead: 1 }, PRIOR);
    for precision in [Precision::F32, Precision::Bf16, Precision::Int16, Precision::Int8] {
        for polish in ["0", "2:1"] {
            let polish = polish.parse().unwrap();
            let settings = Settings { polish, precision, ..settings(Start::Noise) };
            let whole = Settings { chunk_frames: 1000, ..settings.clone() };
            let expected =
                Renderer::new(&voice, &Device::Cpu, whole).unwrap().render(&mel).unwrap();
            let lag = latency(&voice.model, &voice.mel, &Start::Noise, STEPS, polish).frames;
            let mut renderer = Renderer::new(&voice, &Device::Cpu, settings).unwrap();
            for blocks in [&[1][..], &[4], &[3, 1, 7, 2]] {
                let mut sound = Vec::new();
                let (mut at, mut blocks) = (0, blocks.iter().cycle());
                while at < mel.frames {
                    let end = mel.frames.min(at + blocks.next().unwrap());
                    let block = mel.data[at * bands..end * bands].to_vec();
                    let block = Mel::new(mel.config.clone(), block).unwrap();
                    sound.extend(renderer.push(&block).unwrap());
                    at = end;
                    let due = at.saturating_sub(lag) * mel.config.hop;
                    assert_eq!(sound.len(), due, "{precision}, polish {polish}, {at} frames");
                }
                sound.extend(renderer.finish().unwrap());
                let off = sound.iter().zip(&expected).map(|(a, b)| (a - b).abs());
                let worst = off.fold(0.0, f32::max);
                assert!(worst < 1e-4, "{precision}, polish {polish}: {worst}");
                assert!(precision == Precision::F32 || worst == 0.0, "{precision}: {worst}");
            }
        }
    }
}

/// The same with a polish, which waits for as many frames as it looks ahead.
#[test]
fn a_polish_of_frames_keeps_the_stated_time() {
    let mel = mel(30);
    let (hop, bands) = (mel.config.hop, mel.config.n_mels);
    let voice = steady_voice("stream-eighth", Padding::Causal { look_ahead: 1 }, PRIOR);
    for (polish, frames) in [("4:0", 1), ("4:1", 2), ("2:3", 4)] {
        let settings = Settings { polish: polish.parse().unwrap(), ..settings(Start::Noise) };
        let lag = latency(&voice.model, &voice.mel, &Start::Noise, STEPS, settings.polish).frames;
        assert_eq!(lag, frames, "{polish}");
        let mut renderer = Renderer::new(&voice, &Device::Cpu, settings.clone()).unwrap();
        let expected = renderer.render(&mel).unwrap();
        let mut sound = Vec::new();
        for (n, frame) in mel.data.chunks(bands).enumerate() {
            let frame = Mel::new(mel.config.clone(), frame.to_vec()).unwrap();
            sound.extend(renderer.push(&frame).unwrap());
            assert_eq!(sound.len(), (n + 1).saturating_sub(lag) * hop, "{polish}");
        }
        sound.extend(renderer.finish().unwrap());
        let worst = sound.iter().zip(&expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(sound.len() == expected.len() && worst < 1e-4, "{polish}: {worst}");
    }
}

/// From audio to audio: a sample comes out just when the latency says.
#[test]
fn audio_comes_out_within_the_latency() {
    let config = MelConfig::default();
    let voice = steady_voice("stream-eighth", Padding::Causal { look_ahead: 1 }, PRIOR);
    let settings = settings(Start::Noise);
    let lag = latency(&voice.model, &voice.mel, &settings.start, STEPS, Polish::NONE).samples;
    let audio: Vec<f32> = noise(9000).into_iter().map(|x| 0.1 * x).collect();
    let mut stream = MelStream::new(&config).unwrap();
    let mut renderer = Renderer::new(&voice, &Device::Cpu, settings).unwrap();
    let (mut taken, mut given, mut worst) = (0, 0, 0);
    for block in audio.chunks(1) {
        let data = stream.push(block).unwrap();
        taken += block.len();
        if !data.is_empty() {
            given += renderer.push(&Mel::new(config.clone(), data).unwrap()).unwrap().len();
        }
        worst = worst.max(taken - given.min(taken));
    }
    // The next sample to come out lags by what was taken and not given, and by one that is not yet in.
    assert_eq!(worst + 1, lag);
}

/// A symmetric network with a start from Griffin-Lim looks far ahead: its bound holds too.
#[test]
fn the_bound_of_symmetric_networks_holds() {
    let config = MelConfig::default();
    let voice = steady_voice("eighth", Padding::Symmetric, PRIOR);
    let start = Start::GriffinLim { iterations: 2, level: 0.9 };
    let sound = noise(60 * config.hop);
    let mel = MelExtractor::new(&config).unwrap().extract(&sound).unwrap();
    let settings = settings(start);
    let lag = latency(&voice.model, &voice.mel, &start, STEPS, Polish::NONE).frames;
    let whole = Settings { chunk_frames: 1000, ..settings.clone() };
    let expected =
        Renderer::by_definition(&voice, &Device::Cpu, whole).unwrap().render(&mel).unwrap();
    let mut renderer = Renderer::new(&voice, &Device::Cpu, settings).unwrap();
    let mut sound = Vec::new();
    for (n, frame) in mel.data.chunks(config.n_mels).enumerate() {
        sound.extend(renderer.push(&Mel::new(config.clone(), frame.to_vec()).unwrap()).unwrap());
        assert!(sound.len() >= (n + 1).saturating_sub(lag) * config.hop);
    }
    sound.extend(renderer.finish().unwrap());
    let worst = sound.iter().zip(&expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(sound.len() == expected.len() && worst < 1e-4, "{worst}");
}
