//! Training trains, resumes exactly, and reports what it leaves out.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use candle_core::Device;
use std::cell::Cell;
use std::fs;
use std::path::{Path, PathBuf};
use training::config::LevelDraw;
use training::{About, Event, Run, TrainConfig, train};
use vocoder::network::Weights;
use vocoder::voice::Voice;

fn samples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../samples")
}

/// A run so small that a step takes a few milliseconds.
fn run(out: &Path, steps: u64) -> Run {
    let mut config = TrainConfig::preset("overfit-one").unwrap();
    config.model.first = 16;
    config.model.down = vec![8, 8, 8, 16];
    config.model.up = vec![16, 16, 16, 8, 8];
    config.batch = 2;
    config.steps = steps;
    config.saving.every = 3;
    Run {
        config,
        data: vec![samples()],
        cache: None,
        out: out.to_path_buf(),
        init: None,
        distill: None,
        resume: true,
        about: About { description: "a test".into(), ..About::default() },
    }
}

fn same(a: &Weights, b: &Weights) -> bool {
    a.iter().all(|(name, tensor)| {
        let values = |t: &candle_core::Tensor| t.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        values(tensor).iter().zip(values(&b[name])).all(|(x, y)| x.to_bits() == y.to_bits())
    })
}

fn losses(run: &Run, stop_after: usize) -> Vec<f64> {
    let mut losses = Vec::new();
    let taken = Cell::new(0);
    train(
        run,
        &Device::Cpu,
        || taken.get() >= stop_after,
        |event| {
            if let Event::Step { loss, .. } = event {
                taken.set(taken.get() + 1);
                losses.push(*loss);
            }
        },
    )
    .unwrap();
    losses
}

#[test]
fn a_resumed_run_equals_an_uninterrupted_one_bit_for_bit() {
    let folder = tempfile::tempdir().unwrap();
    let whole = run(&folder.path().join("whole"), 8);
    let expected = losses(&whole, 100);
    let pieces = run(&folder.path().join("pieces"), 8);
    let mut found = losses(&pieces, 2);
    found.extend(losses(&pieces, 3));
    found.extend(losses(&pieces, 100));
    assert_eq!(found, expected);
    let voice = |run: &Run| Voice::load(&run.out.join("voice.safetensors")).unwrap();
    assert!(same(&voice(&whole).weights, &voice(&pieces).weights));
    assert_eq!(voice(&pieces).provenance.steps, 8);
    for part in ["weights", "mean", "first", "second"] {
        let file = |run: &Run| {
            fs::read(run.out.join(format!("checkpoints/step-000000008/{part}.safetensors")))
                .unwrap()
        };
        assert!(file(&whole) == file(&pieces), "{part}");
    }
}

#[test]
fn the_loss_falls_on_a_single_clip() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    fs::create_dir(&data).unwrap();
    fs::copy(samples().join("kokoro_af_heart.flac"), data.join("a.flac")).unwrap();
    let mut run = run(&folder.path().join("run"), 60);
    run.data = vec![data];
    run.config.saving.every = 1000;
    run.config.levels = LevelDraw::LogSnr { min: -3.0, max: 4.5 };
    let losses = losses(&run, 1000);
    let mean = |part: &[f64]| part.iter().sum::<f64>() / part.len() as f64;
    let (first, last) = (mean(&losses[..5]), mean(&losses[50..]));
    // Predicting no noise at all costs E|e| = 0.80; the least that a network learns first is the
    // strong noise.
    assert!(first > 0.7 && last < 0.68, "{first} to {last}");
}

#[test]
fn a_run_goes_on_from_a_voice() {
    let folder = tempfile::tempdir().unwrap();
    let first = run(&folder.path().join("first"), 6);
    losses(&first, 100);
    let voice = first.out.join("voice.safetensors");
    let mut second = run(&folder.path().join("second"), 1);
    second.init = Some(voice.clone());
    second.about = About::default();
    let from_voice = losses(&second, 100)[0];
    let fresh = losses(&run(&folder.path().join("third"), 1), 100)[0];
    assert!(from_voice != fresh);
    let provenance = Voice::load(&second.out.join("voice.safetensors")).unwrap().provenance;
    assert_eq!((provenance.steps, provenance.description.as_str()), (7, "a test"));

    second.out = folder.path().join("other");
    second.config.model.first = 24;
    let grown = losses(&second, 100)[0];
    assert!((grown - from_voice).abs() < 1e-4, "a wider one begins as it: {grown}, {from_voice}");
    let wide = Voice::load(&second.out.join("voice.safetensors")).unwrap();
    assert_eq!(wide.weights["mel.bias"].dims(), [24]);

    second.out = folder.path().join("less");
    second.config.model.first = 8;
    let error = train(&second, &Device::Cpu, || false, |_| {}).unwrap_err().to_string();
    assert!(error.contains("at least [16, 16"), "{error}");
    second.config.model.first = 16;
    second.config.mel.floor = 1e-4;
    let error = train(&second, &Device::Cpu, || false, |_| {}).unwrap_err().to_string();
    assert!(error.contains("mel"), "{error}");
}

#[test]
fn an_old_run_is_not_overwritten() {
    let folder = tempfile::tempdir().unwrap();
    let mut again = run(&folder.path().join("run"), 1);
    losses(&again, 100);
    again.resume = false;
    let error = train(&again, &Device::Cpu, || false, |_| {}).unwrap_err().to_string();
    assert!(error.contains("--resume"), "{error}");
}

#[test]
fn a_folder_takes_one_run_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let first = run(&folder.path().join("run"), 2);
    let second = first.clone();
    let mut message = String::new();
    train(
        &first,
        &Device::Cpu,
        || false,
        |event| {
            if matches!(event, Event::Step { step: 1, .. }) {
                let error = train(&second, &Device::Cpu, || false, |_| {}).unwrap_err();
                message = error.to_string();
            }
        },
    )
    .unwrap();
    assert!(message.contains("another process"), "{message}");
}

#[test]
fn too_many_steps_without_a_finite_gradient_leave_the_last_checkpoint_intact() {
    let folder = tempfile::tempdir().unwrap();
    let first = run(&folder.path().join("run"), 3);
    losses(&first, 100);
    let checkpoint = first.out.join("checkpoints/step-000000003");
    // The last value of the file is the last of its last tensor, a weight: nothing survives it.
    let path = checkpoint.join("weights.safetensors");
    let mut bytes = fs::read(&path).unwrap();
    let end = bytes.len();
    bytes[end - 4..].copy_from_slice(&f32::MAX.to_le_bytes());
    fs::write(&path, &bytes).unwrap();

    let mut again = first.clone();
    again.config.steps = 100;
    let mut skipped = 0;
    let error = train(
        &again,
        &Device::Cpu,
        || false,
        |event| skipped += u64::from(matches!(event, Event::Skipped { .. })),
    );
    let message = error.unwrap_err().to_string();
    assert!(message.contains("21 steps in a row"), "{message}");
    assert_eq!(skipped, 20);
    assert_eq!(fs::read(&path).unwrap(), bytes);
    assert_eq!(fs::read_dir(again.out.join("checkpoints")).unwrap().count(), 1);
}

#[test]
fn a_run_shows_itself() {
    let folder = tempfile::tempdir().unwrap();
    let mut run = run(&folder.path().join("run"), 4);
    run.config.saving.validate_every = 2;
    run.config.saving.preview_every = 4;
    run.config.saving.preview_seconds = 0.5;
    // Two copies by names of which one is held out (its hash says so), one is not.
    let data = folder.path().join("data");
    fs::create_dir(&data).unwrap();
    let held_out: String =
        (0..).map(|i| format!("clip{i}")).find(|id| training::corpus::is_held_out(id)).unwrap();
    for id in [held_out.as_str(), "a"] {
        let path = data.join(format!("{id}.flac"));
        fs::copy(samples().join("kokoro_af_heart.flac"), path).unwrap();
    }
    run.data = vec![data];
    let mut events = Vec::new();
    train(&run, &Device::Cpu, || false, |event| events.push(event.clone())).unwrap();

    let Some(Event::Preview { step: 4, renderings }) =
        events.iter().find(|event| matches!(event, Event::Preview { .. }))
    else {
        panic!("no preview in {events:?}")
    };
    let steps: Vec<usize> = renderings.iter().map(|r| r.steps).collect();
    assert_eq!(steps, [6, 50]);
    assert!(renderings.iter().all(|r| r.clip == held_out && r.mel_difference.unwrap() > 0.0));
    let preview = run.out.join("previews/step-000000004");
    for what in ["target.wav", "6.wav", "50.wav", "png"] {
        assert!(preview.join(format!("{held_out}.{what}")).exists(), "{what}");
    }
    let best: Vec<(u64, bool)> = events
        .iter()
        .filter_map(|event| match event {
            Event::Validation { step, best, .. } => Some((*step, *best)),
            _ => None,
        })
        .collect();
    assert_eq!(best[0], (2, true));
    let last_best = best.iter().rfind(|(_, best)| *best).unwrap().0;
    let voice = Voice::load(&run.out.join("voice-best.safetensors")).unwrap();
    assert_eq!(voice.provenance.steps, last_best);
    let report = fs::read_to_string(run.out.join("report.html")).unwrap();
    assert!(report.contains("data:image/png") && report.matches("data:audio/wav").count() == 3);
    assert!(run.out.join("tensorboard/events.out.tfevents.0.vocoder").exists());
}

#[test]
fn a_cached_corpus_is_the_decoded_one() {
    let folder = tempfile::tempdir().unwrap();
    let cache = folder.path().join("cache");
    let load = |cache: Option<&Path>| {
        let corpus = training::corpus::Corpus::load_cached(&[samples()], 16_000, 4800, cache);
        let corpus = corpus.unwrap();
        let clips = corpus.training.into_iter().chain(corpus.validation);
        (clips.map(|clip| (clip.id, clip.samples)).collect::<Vec<_>>(), corpus.report)
    };
    let decoded = load(None);
    assert_eq!(load(Some(&cache)), decoded);
    assert_eq!(fs::read_dir(&cache).unwrap().count(), 4);
    assert_eq!(load(Some(&cache)), decoded);
}

#[test]
fn what_is_left_out_is_counted() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    fs::create_dir_all(data.join("wavs")).unwrap();
    let wav = |name: &str, samples: &[f32]| {
        let spec = hound::WavSpec {
            channels: 1,
            sample_rate: 22_050,
            bits_per_sample: 16,
            sample_format: hound::SampleFormat::Int,
        };
        let path = data.join("wavs").join(format!("{name}.wav"));
        let mut writer = hound::WavWriter::create(path, spec).unwrap();
        samples.iter().for_each(|v| writer.write_sample((v * 32767.0) as i16).unwrap());
        writer.finalize().unwrap();
    };
    let tone = |len: usize, gain: f32| -> Vec<f32> {
        (0..len).map(|i| gain * (i as f32 * 0.05).sin()).collect()
    };
    wav("good", &tone(30_000, 0.5));
    wav("loud", &tone(30_000, 2.0).iter().map(|v| v.clamp(-1.0, 1.0)).collect::<Vec<_>>());
    wav("short", &tone(500, 0.5));
    wav("silent", &vec![0.0; 30_000]);
    wav("unlisted", &tone(30_000, 0.5));
    fs::write(data.join("wavs/broken.wav"), b"RIFF, but no more").unwrap();
    let metadata = "good|Text.|Text.\nloud|x|x\nshort|x|x\nsilent|x|x\nbroken|x|x\ngone|x|x\n";
    fs::write(data.join("metadata.csv"), metadata).unwrap();

    let corpus = training::corpus::Corpus::load(std::slice::from_ref(&data), 24_000, 7200).unwrap();
    let report = corpus.report;
    assert_eq!(report.training + report.validation, 2);
    assert_eq!(report.short, ["short"]);
    assert_eq!(report.silent, ["silent"]);
    assert_eq!(report.clipped, ["loud"]);
    assert_eq!(
        (&report.missing[..], &report.unlisted[..]),
        (&["gone".into()][..], &["unlisted".into()][..])
    );
    assert_eq!(report.unreadable.len(), 1);
    assert_eq!(report.rates, [(22_050, 4)]);
    // Resampled to 24 kHz: 30000 * 24000 / 22050 samples each.
    assert!((report.hours - 2.0 * 30_000.0 / 22_050.0 / 3600.0).abs() < 1e-6);

    let empty = folder.path().join("empty");
    fs::create_dir(&empty).unwrap();
    let error = training::corpus::Corpus::load(&[empty], 24_000, 7200).unwrap_err().to_string();
    assert!(error.contains("at least one clip") && !error.contains('\n'), "{error}");
}
