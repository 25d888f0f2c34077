//! Students come near their teachers, and their runs keep what training promises.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use candle_core::{Device, Tensor};
use std::cell::Cell;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use training::config::{Distillation, LevelDraw};
use training::corpus::Corpus;
use training::distill::Distiller;
use training::validation::{Judgement, Validator};
use training::{About, Event, Run, TrainConfig, train};
use vocoder::config::{Padding, Prediction};
use vocoder::guidance::Guidance;
use vocoder::ops::Products;
use vocoder::voice::Voice;
use vocoder_tests::arguments;
use vocoder_tests::program::{output, run as program, samples, speech};

/// Copies of a clip by two names of which one is held out (its hash says so).
fn data(folder: &Path) -> PathBuf {
    let data = folder.join("data");
    fs::create_dir_all(&data).unwrap();
    let held_out = |id: &String| training::corpus::is_held_out(id);
    let validation = (0..).map(|i| format!("clip{i}")).find(held_out).unwrap();
    for id in [validation.as_str(), "a"] {
        fs::copy(speech(), data.join(format!("{id}.flac"))).unwrap();
    }
    data
}

fn run(folder: &Path, name: &str, config: TrainConfig, teacher: Option<&Path>) -> Run {
    Run {
        config,
        data: vec![data(folder)],
        cache: None,
        out: folder.join(name),
        init: None,
        distill: teacher.map(Path::to_path_buf),
        resume: true,
        about: About::default(),
    }
}

/// A tiny network after `steps` steps: with some, its chain leads somewhere.
fn teacher(folder: &Path, steps: u64) -> PathBuf {
    teacher_that(folder, steps, |_| {})
}

/// As [`teacher`], by a config that `change` has changed.
fn teacher_that(folder: &Path, steps: u64, change: fn(&mut TrainConfig)) -> PathBuf {
    let mut config = TrainConfig::preset("overfit-one").unwrap();
    change(&mut config);
    config.model.first = 16;
    config.model.down = vec![8, 8, 8, 16];
    config.model.up = vec![16, 16, 16, 8, 8];
    (config.batch, config.crop_frames) = (2, 8);
    config.steps = steps;
    config.levels = LevelDraw::LogSnr { min: -2.5, max: 5.0 };
    config.saving.every = 1000;
    config.saving.validate_crops = 0;
    config.saving.preview_every = 0;
    let run = run(folder, "teacher", config, None);
    train(&run, &Device::Cpu, || false, |_| {}).unwrap();
    run.out.join("voice.safetensors")
}

fn student(teacher: &Path, distill: Distillation, steps: u64) -> TrainConfig {
    let voice = Voice::load(teacher).unwrap();
    let name = match distill {
        Distillation::Progressive { .. } => "distill-progressive",
        Distillation::Consistency { .. } => "distill-consistency",
        Distillation::Guidance { .. } => "distill-guidance",
    };
    let mut config = TrainConfig::preset(name).unwrap();
    (config.model, config.mel, config.distill) = (voice.model, voice.mel, Some(distill));
    (config.batch, config.steps, config.gain_db) = (2, steps, [0.0, 0.0]);
    config.crop_frames = 8;
    config.optimiser.learning_rate = 1e-3;
    config.optimiser.warm_up = 10;
    config.optimiser.ema = 0.9;
    config.saving.every = 3;
    config.saving.validate_every = 4;
    config.saving.validate_crops = 4;
    config.saving.preview_every = 0;
    config
}

/// The losses of up to `stop_after` more steps.
fn losses(run: &Run, stop_after: usize) -> Vec<f64> {
    let mut losses = Vec::new();
    let taken = Cell::new(0);
    let observe = |event: &Event| {
        if let Event::Step { loss, .. } = event {
            taken.set(taken.get() + 1);
            losses.push(*loss);
        }
    };
    train(run, &Device::Cpu, || taken.get() >= stop_after, observe).unwrap();
    losses
}

#[test]
fn students_come_near_where_their_teacher_goes() {
    let folder = tempfile::tempdir().unwrap();
    let teacher = teacher(folder.path(), 100);
    come_near(
        folder.path(),
        &teacher,
        [
            (Distillation::Progressive { steps: 2 }, 120, 0.8),
            (Distillation::Consistency { levels: 6 }, 150, 0.9),
        ],
    );
}

/// A streaming network sees one frame ahead; its students, trained by the CPU's own tape as it was, do,
/// too. That it predicts velocities is nothing to its teacher's steps, which are told in noise. At a high
/// level such a teacher errs by little to begin with: what its students learn shows at the lowest.
#[test]
fn students_of_a_causal_teacher_of_velocities_come_near_too() {
    let folder = tempfile::tempdir().unwrap();
    let teacher = teacher_that(folder.path(), 100, |config| {
        config.model.padding = Padding::Causal { look_ahead: 1 };
        config.model.prediction = Prediction::Velocity;
    });
    let students = come_near(
        folder.path(),
        &teacher,
        [
            (Distillation::Progressive { steps: 2 }, 60, 0.8),
            (Distillation::Consistency { levels: 6 }, 60, 0.95),
        ],
    );
    for student in students {
        let voice = Voice::load(&student).unwrap();
        assert_eq!(voice.model.padding, Padding::Causal { look_ahead: 1 });
        assert_eq!(voice.model.prediction, Prediction::Velocity);
    }
}

/// One evaluation of the student is two of its teacher, which has learned what to say without a mel.
#[test]
fn a_student_of_guidance_comes_near_its_guided_teacher() {
    let folder = tempfile::tempdir().unwrap();
    let teacher = teacher_that(folder.path(), 100, |config| config.mel_dropout = 0.3);
    let kinds = [(Distillation::Guidance { weight: 2.0 }, 100, 0.8)];
    let [student] = come_near(folder.path(), &teacher, kinds);
    let (student, teacher) = (Voice::load(&student).unwrap(), Voice::load(&teacher).unwrap());
    assert_eq!(student.sampler, teacher.sampler);
    // It has not seen what guidance would need.
    assert!(Guidance::new(&teacher, 2.0).is_ok() && Guidance::new(&student, 2.0).is_err());
}

/// Trains students of `teacher`, each by a kind for a number of steps, and sees that their distance from
/// where it goes falls to a share. Their files.
fn come_near<const N: usize>(
    folder: &Path,
    teacher: &Path,
    kinds: [(Distillation, u64, f64); N],
) -> [PathBuf; N] {
    kinds.map(|(distill, steps, falls)| {
        let config = student(teacher, distill, steps);
        let name = format!("{distill:?}").split(' ').next().unwrap().to_string();
        let run = run(folder, &name, config, Some(teacher));
        losses(&run, 1000);
        // How far a step of the student leads from where the teacher goes; it began as its teacher.
        let voice = Voice::load(teacher).unwrap();
        let distiller =
            Arc::new(Distiller::new(distill, &voice, Products::F32, &Device::Cpu).unwrap());
        let clips = Corpus::load(&run.data, run.config.mel.sample_rate, 24_000).unwrap().validation;
        let validator = Validator::new(&run.config, Arc::new(clips)).unwrap();
        let mut validator = validator.taught_by(Some(distiller));
        let mut far = |path: &Path| {
            let weights = Voice::load(path).unwrap().weights;
            validator.judge(&weights).unwrap().unwrap()
        };
        let student = run.out.join("voice.safetensors");
        let (before, after) = (far(teacher), far(&student));
        println!("{distill:?}: {before:?} to {after:?}");
        let lowest = |judgement: &Judgement| judgement.by_level[0].1;
        let share = lowest(&after) / lowest(&before);
        assert!(share < falls, "{distill:?}: {before:?} to {after:?}");
        student
    })
}

#[test]
fn a_resumed_student_equals_an_uninterrupted_one_bit_for_bit() {
    let folder = tempfile::tempdir().unwrap();
    let teacher = teacher(folder.path(), 2);
    for distill in [Distillation::Progressive { steps: 2 }, Distillation::Consistency { levels: 6 }]
    {
        let name = format!("{distill:?}").split(' ').next().unwrap().to_string();
        let config = || student(&teacher, distill, 8);
        let whole = run(folder.path(), &format!("{name}-whole"), config(), Some(&teacher));
        let expected = losses(&whole, 100);
        let mut pieces = run(folder.path(), &format!("{name}-pieces"), config(), Some(&teacher));
        let mut found = losses(&pieces, 2);
        // The run has a copy of its teacher.
        pieces.distill = None;
        found.extend(losses(&pieces, 3));
        found.extend(losses(&pieces, 100));
        assert_eq!(found, expected, "{name}");
        for part in ["weights", "mean", "first", "second"] {
            let file = |run: &Run| {
                let path = format!("checkpoints/step-000000008/{part}.safetensors");
                fs::read(run.out.join(path)).unwrap()
            };
            assert!(file(&whole) == file(&pieces), "{name} {part}");
        }

        let other = folder.path().join("other.safetensors");
        let mut voice = Voice::load(&teacher).unwrap();
        let moved = (&voice.weights["last.bias"] + 0.5).unwrap();
        voice.weights.insert("last.bias".into(), moved);
        voice.save(&other, vocoder::voice::Precision::Half).unwrap();
        pieces.distill = Some(other);
        pieces.config.steps = 9;
        let error = train(&pieces, &Device::Cpu, || false, |_| {}).unwrap_err().to_string();
        assert!(error.contains("teacher that the run began with"), "{error}");
    }
}

#[test]
fn contradictions_are_told() {
    let folder = tempfile::tempdir().unwrap();
    let teacher = teacher(folder.path(), 2);
    let distill = Distillation::Progressive { steps: 2 };
    let error = |change: &dyn Fn(&mut Run)| {
        let mut run = run(folder.path(), "wrong", student(&teacher, distill, 2), Some(&teacher));
        change(&mut run);
        let error = train(&run, &Device::Cpu, || false, |_| {}).unwrap_err().to_string();
        let _ = fs::remove_dir_all(&run.out);
        error
    };
    let none = error(&|run| run.config.distill = None);
    assert!(none.contains("[distill.progressive]"), "{none}");
    let nobody = error(&|run| run.distill = None);
    assert!(nobody.contains("teacher"), "{nobody}");
    let silence = error(&|run| run.config.mel_dropout = 0.1);
    assert!(silence.contains("mel_dropout"), "{silence}");
    let shape = error(&|run| run.config.model.first = 24);
    assert!(shape.contains("model"), "{shape}");
    let many = error(&|run| run.config.distill = Some(Distillation::Progressive { steps: 51 }));
    assert!(many.contains("distill.progressive.steps"), "{many}");
    let guided = |weight| Some(Distillation::Guidance { weight });
    let off = error(&|run| run.config.distill = guided(1.0));
    assert!(off.contains("distill.guidance.weight"), "{off}");
    let unable = error(&|run| run.config.distill = guided(1.5));
    assert!(unable.contains("mel_dropout"), "{unable}");
}

#[test]
fn the_program_distils_and_renders_by_the_students_own_way() {
    let folder = tempfile::tempdir().unwrap();
    let teacher = teacher(folder.path(), 2);
    let mut polished = Voice::load(&teacher).unwrap();
    (polished.polish, polished.trials) = (3, 2);
    polished.save(&teacher, vocoder::voice::Precision::Half).unwrap();
    for (kind, steps, sampler, seen) in
        [("progressive", 2, "ddim", 2), ("consistency", 6, "consistency", 4)]
    {
        let config = folder.path().join(format!("{kind}.toml"));
        let key = if kind == "progressive" { "steps" } else { "levels" };
        let text = format!(
            "preset = 'distill-{kind}'\nbatch = 2\nsteps = 2\n[saving]\npreview_every = 0\n\
             validate_every = 1000\n[distill.{kind}]\n{key} = {steps}\n"
        );
        fs::write(&config, text).unwrap();
        let out = folder.path().join(kind);
        output(arguments![
            "train",
            "--data",
            samples(),
            "--out",
            &out,
            "--config",
            &config,
            "--distill",
            &teacher,
            "-q"
        ]);
        // Its mel and its network are the teacher's, and it says how it wants to be rendered.
        let voice = out.join("voice.safetensors");
        let (student, teacher) = (Voice::load(&voice).unwrap(), Voice::load(&teacher).unwrap());
        assert_eq!((&student.model, &student.mel), (&teacher.model, &teacher.mel));
        assert_eq!((student.sampler.to_string().as_str(), student.polish), (sampler, 3));
        assert_eq!(student.trials, 2);
        assert_eq!(student.provenance.steps, 4);
        let wav = folder.path().join(format!("{kind}.wav"));
        let told = output(arguments!["render", speech(), "-o", wav, "--voice", &voice, "--json"]);
        assert!(told.contains(&format!("\"sampler\":\"{sampler}\"")), "{told}");
        assert!(told.contains(&format!("\"steps\":{seen}")), "{told}");
    }
    let out = folder.path().join("x");
    let train = arguments!["train", "--data", samples(), "--out", &out, "--config"];
    let with = |more: &[std::ffi::OsString]| program([&train[..], more].concat());
    with(&arguments!["distill-consistency"]).expect_error(2, &["--distill"]);
    with(&arguments!["overfit-one", "--distill", &teacher])
        .expect_error(2, &["[distill.progressive]"]);
    // What one tensor says is enough here: that the teacher is as it was.
    let kept = Voice::load(&folder.path().join("progressive/teacher.safetensors")).unwrap();
    let values = |t: &Tensor| t.flatten_all().unwrap().to_vec1::<f32>().unwrap();
    let teacher = Voice::load(&teacher).unwrap();
    assert_eq!(values(&kept.weights["mel.weight"]), values(&teacher.weights["mel.weight"]));
}
