//! Voices from PyTorch checkpoints, and as ONNX models.
//!
//! The checkpoints are `tests/reference/wavegrad/*.pt`, made by `make_checkpoint.py` beside them. ONNX
//! models are run where Python has onnxruntime (`VOCODER_PYTHON` says which Python); elsewhere that test
//! says that it was skipped.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use candle_core::{Device, Tensor};
use npyz::WriterBuilder;
use std::fs::{self, File};
use std::io::BufWriter;
use std::path::{Path, PathBuf};
use std::process::Command;
use vocoder::config::{LevelEncoding, ModelConfig, Padding, Prediction, Resampling};
use vocoder::engine::Engine;
use vocoder::mel::{Mel, MelConfig};
use vocoder::network::initial_weights;
use vocoder::render::Settings;
use vocoder::voice::{Precision, Voice, onnx, torch};
use vocoder_tests::arrays::{Arrays, assert_close, reference_path, uniform};
use vocoder_tests::{arguments, program};

/// Of the largest value of an output: what a promise of 1e-4 leaves, halved. The largest difference seen
/// is 2e-6.
const ONNX_TOLERANCE: f64 = 5e-5;

fn narrow_mel() -> MelConfig {
    MelConfig { n_mels: 16, ..MelConfig::preset("lmnt-22k").unwrap() }
}

#[test]
fn a_checkpoint_of_lmnt_becomes_the_network_that_pytorch_ran() {
    let path = reference_path("wavegrad/checkpoint.pt");
    let voice = torch::import(&path, Some(narrow_mel())).unwrap();
    assert_eq!(voice.provenance.steps, 123_456);
    let reference = Arrays::read(&reference_path("wavegrad/reference.safetensors"));
    let levels: Vec<f64> =
        reference.get("input.level").to_vec1::<f32>().unwrap().into_iter().map(f64::from).collect();
    let mel = reference.get("input.mel").transpose(1, 2).unwrap().contiguous().unwrap();
    let network = voice.network(&Device::Cpu).unwrap();
    let output = network.forward(reference.get("input.audio"), &mel, &levels).unwrap();
    let expected = reference.get("output.last_conv").squeeze(1).unwrap();
    // As in wavegrad_parity.rs.
    assert_close("output", &output, &expected, 2e-5);
}

#[test]
fn a_checkpoint_of_ivanvovk_becomes_the_network_that_pytorch_ran() {
    let path = reference_path("ivanvovk/checkpoint.pt");
    let mel = MelConfig { n_mels: 16, ..MelConfig::preset("ivanvovk-22k").unwrap() };
    let voice = torch::import(&path, Some(mel)).unwrap();
    assert_eq!(voice.provenance.steps, 98_765);
    assert_eq!(voice.model.resampling, Resampling::Linear);
    let reference = Arrays::read(&reference_path("ivanvovk/reference.safetensors"));
    let levels = reference.get("input.level").to_vec1::<f32>().unwrap();
    let levels: Vec<f64> = levels.into_iter().map(f64::from).collect();
    let mel = reference.get("input.mel").transpose(1, 2).unwrap().contiguous().unwrap();
    let network = voice.network(&Device::Cpu).unwrap();
    let output = network.forward(reference.get("input.audio"), &mel, &levels).unwrap();
    // As in wavegrad_parity.rs, and their angles of thousands of radians are single precision, to within
    // 2.4e-4.
    assert_close("output", &output, reference.get("output"), 2e-4);

    // What the engine can't do is rendered by the definition, in pieces as well as whole.
    assert!(!Engine::knows(&voice.model));
    let frames = vocoder_tests::voices::noise(40 * 16).iter().map(|v| v - 3.0).collect();
    let mel = Mel::new(voice.mel.clone(), frames).unwrap();
    let settings = vocoder_tests::rendering::settings("ddim");
    let whole = vocoder_tests::rendering::engine(&voice, settings.clone(), &mel);
    let pieces = Settings { chunk_frames: 7, ..settings };
    let pieces = vocoder_tests::rendering::engine(&voice, pieces, &mel);
    assert!(vocoder_tests::rendering::worst(&whole, &pieces) < 1e-4);
    assert!(vocoder_tests::voices::rms(&whole) > 1e-3);
}

#[test]
fn an_imported_voice_says_what_its_checkpoint_says_and_renders() {
    let folder = tempfile::tempdir().unwrap();
    // A whole checkpoint of the package has 128 bands; this one says 22.05 kHz and has 16.
    let narrow = reference_path("wavegrad/checkpoint.pt");
    let out = folder.path().join("voice.safetensors");
    let run = program::run(arguments!["voice", "import", &narrow, "-o", &out]);
    run.expect_error(1, &["checkpoint.pt", "n_mels", "128", "16"]);

    let voice = torch::import(&narrow, Some(narrow_mel())).unwrap();
    voice.save(&out, Precision::Single).unwrap();
    let wavs = folder.path().join("wavs");
    program::output(arguments![
        "render",
        program::speech(),
        "-o",
        &wavs,
        "--voice",
        &out,
        "--steps",
        "2",
        "--quiet"
    ]);
    assert_eq!(fs::read_dir(wavs).unwrap().count(), 1);
}

#[test]
fn what_is_not_recognised_is_refused_by_name() {
    for (file, word) in [("ivanvovk.pt", "ivanvovk/WaveGrad"), ("unknown.pt", "encoder.weight")] {
        let path = reference_path(&format!("wavegrad/{file}"));
        let message = torch::import(&path, Some(narrow_mel())).unwrap_err().to_string();
        assert!(message.contains(word) && message.contains(file), "{message}");
        assert!(!message.contains('\n'), "{message}");
    }
    let folder = tempfile::tempdir().unwrap();
    let whole = fs::read(reference_path("wavegrad/checkpoint.pt")).unwrap();
    for (name, bytes) in [
        ("text.pt", &b"no checkpoint"[..]),
        ("cut.pt", &whole[..whole.len() / 2]),
        ("empty.pt", &[]),
    ] {
        let path = folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        let message = torch::import(&path, None).unwrap_err().to_string();
        assert!(message.contains(name) && !message.contains('\n'), "{message}");
    }
}

/// The Python that has onnxruntime, if there is one.
fn python() -> Option<PathBuf> {
    let python = std::env::var_os("VOCODER_PYTHON").map_or("python3".into(), PathBuf::from);
    let import = Command::new(&python).args(["-c", "import onnxruntime, numpy"]).output();
    import.is_ok_and(|output| output.status.success()).then_some(python)
}

fn write_npy<T: npyz::AutoSerialize + Copy>(path: &Path, shape: &[u64], values: &[T]) {
    let writer = npyz::WriteOptions::new().default_dtype().shape(shape);
    let mut writer = writer.writer(BufWriter::new(File::create(path).unwrap())).begin_nd().unwrap();
    writer.extend(values.iter().copied()).unwrap();
    writer.finish().unwrap();
}

#[test]
fn onnx_runtime_computes_the_same_noise() {
    let Some(python) = python() else {
        println!("skipped: no Python with onnxruntime and numpy (VOCODER_PYTHON names one)");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let plain = ModelConfig::preset("eighth", 128).unwrap();
    let causal = ModelConfig {
        padding: Padding::Causal { look_ahead: 2 },
        level: LevelEncoding::LogSnr { scale: 32.0 },
        mel_shift: 6.0,
        mel_scale: 0.3,
        ..plain.clone()
    };
    let velocity = ModelConfig { prediction: Prediction::Velocity, ..causal.clone() };
    let linear = ModelConfig { resampling: Resampling::Linear, ..plain.clone() };
    let voice = |model: ModelConfig| {
        let weights = initial_weights(&model, 5).unwrap();
        Voice::new(model, MelConfig::default(), weights)
    };
    let imported =
        torch::import(&reference_path("wavegrad/checkpoint.pt"), Some(narrow_mel())).unwrap();
    let levels = [0.999_999_5, 0.9, 0.081];
    for (name, voice) in [
        ("plain", voice(plain)),
        ("causal", voice(causal)),
        ("velocity", voice(velocity)),
        ("linear", voice(linear)),
        ("imported", imported),
    ] {
        let (batch, frames, bands) = (levels.len(), 5, voice.mel.n_mels);
        let samples = frames * voice.mel.hop;
        let single =
            |seed, shape: &[usize]| uniform(seed, shape).to_dtype(candle_core::DType::F32).unwrap();
        let (signal, mel) = (single(1, &[batch, samples]), single(2, &[batch, frames, bands]));
        let network = voice.network(&Device::Cpu).unwrap();
        let expected = network.forward(&signal, &mel, &levels).unwrap();

        let path = |what: &str| folder.join(format!("{name}.{what}"));
        fs::write(path("onnx"), onnx::export(&voice).unwrap()).unwrap();
        let values = |tensor: &Tensor| tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        let shape = |tensor: &Tensor| tensor.dims().iter().map(|d| *d as u64).collect::<Vec<_>>();
        write_npy(&path("signal.npy"), &shape(&signal), &values(&signal));
        write_npy(&path("mel.npy"), &shape(&mel), &values(&mel));
        write_npy(&path("level.npy"), &[batch as u64], &levels);
        let files = ["onnx", "signal.npy", "mel.npy", "level.npy", "noise.npy"].map(path);
        let run =
            Command::new(&python).arg(reference_path("onnx/run.py")).args(&files).output().unwrap();
        assert!(run.status.success(), "{name}: {}", String::from_utf8_lossy(&run.stderr));
        let noise = fs::read(path("noise.npy")).unwrap();
        let noise = npyz::NpyFile::new(&noise[..]).unwrap();
        let noise = noise.into_vec::<f32>().unwrap();
        let noise = Tensor::from_vec(noise, (batch, samples), &Device::Cpu).unwrap();
        assert_close(name, &noise, &expected, ONNX_TOLERANCE);
    }
}

#[test]
fn the_shipped_voice_exports() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("speech.onnx");
    let stdout = program::output(arguments!["voice", "export", "speech", "-o", &out]);
    assert_eq!(stdout.trim(), out.display().to_string());
    // Four bytes a parameter, and the graph.
    let voice = program::output(arguments!["voice", "show", "speech", "--json"]);
    let voice: serde_json::Value = serde_json::from_str(&voice).unwrap();
    let weights = 4 * voice["parameters"].as_u64().unwrap();
    let size = fs::metadata(&out).unwrap().len();
    assert!((weights..weights + 200_000).contains(&size), "{size}, {weights}");
}
