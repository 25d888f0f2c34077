//! Schedules learned by the program: stored as they are found, and found again.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

use serde_json::Value;
use vocoder::schedule::{FIRST_LEVEL, Schedule};
use vocoder::start::Start;
use vocoder::voice::Voice;
use vocoder_tests::arguments;
use vocoder_tests::program::{Run, command, output, run, samples};
use vocoder_tests::voices::tiny_voice;

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

#[test]
fn a_start_from_griffin_lim_learns_its_first_level_and_goes_on_where_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let voice = tiny_voice(folder.path());
    let out = folder.path().join("learned.safetensors");
    let learn = |steps: &[&str], more: &[&str]| {
        let mut command = command();
        command.args(arguments!["schedule", "learn", "--voice", &voice, "--out", &out]);
        command.args(arguments!["--data", samples(), "--clips", "1", "--json", "--steps"]);
        Run::of(command.args(steps).args(more).output().unwrap())
    };
    let first = learn(&["1"], &["--start", "griffin-lim:0.7"]);
    assert_eq!(first.status, 0, "{}", first.stderr);
    let rows = json(&first.stdout);
    assert_eq!(rows.as_array().unwrap().len(), 3);
    assert_eq!(rows[0]["by"], "Griffin-Lim alone");
    let distance = |row: &Value| row["distance"]["total"].as_f64().unwrap();
    // The network is untrained: the less it does, the better.
    assert!(distance(&rows[0]) <= distance(&rows[2]) && distance(&rows[2]) < distance(&rows[1]));
    let learned: Schedule = serde_json::from_value(rows[2]["schedule"].clone()).unwrap();
    let level = learned.levels()[0];
    assert!(level > 0.95, "{learned:?}");

    // The level is the voice's own now; what is known stays, bit for bit.
    let again = learn(&["2", "1"], &[]);
    assert_eq!(again.status, 0, "{}", again.stderr);
    assert!(again.stderr.contains("1 steps: known already"), "{}", again.stderr);
    let voice_now = Voice::load(&out).unwrap();
    assert_eq!(voice_now.schedules[&1], learned);
    let Start::GriffinLim { iterations: 32, level: fallback } = voice_now.start else {
        panic!("{:?}", voice_now.start)
    };
    assert_eq!(fallback, voice_now.schedules[&2].levels()[0]);

    // Another start: what was learned for the one before is of no use.
    let other = learn(&["1"], &["--start", "griffin-lim:0.7:8", "--hold-first"]);
    assert_eq!(other.status, 0, "{}", other.stderr);
    assert!(other.stderr.contains("dropping the schedules"), "{}", other.stderr);
    let voice_now = Voice::load(&out).unwrap();
    assert_eq!(voice_now.schedules.len(), 1);
    assert!((voice_now.schedules[&1].levels()[0] - 0.7).abs() < 1e-9, "{:?}", voice_now.schedules);

    // From noise, the first level is learned as well, or held where unit noise is what is expected; so are
    // scales.
    let held = learn(&["1"], &["--start", "noise", "--hold-first"]);
    assert_eq!(held.status, 0, "{}", held.stderr);
    let scaled = Voice::load(&out).unwrap().schedules[&1].clone();
    assert!((scaled.levels()[0] - FIRST_LEVEL).abs() < 1e-9 && scaled.has_scales(), "{scaled:?}");
    let plain = learn(&["1"], &["--start", "noise", "--hold-first", "--levels-only", "--force"]);
    assert!(!Voice::load(&out).unwrap().schedules[&1].has_scales());
    assert!(distance(&json(&held.stdout)[2]) < distance(&json(&plain.stdout)[2]));
    let free = learn(&["1"], &["--start", "noise", "--force"]);
    let rows = json(&free.stdout);
    assert!(distance(&rows[2]) < distance(&rows[1]), "{rows}");
    assert!(Voice::load(&out).unwrap().schedules[&1].levels()[0] > 2.0 * FIRST_LEVEL);
    // Learned again from there, it is no worse.
    let forced = learn(&["1"], &["--start", "noise", "--force"]);
    assert!(!forced.stderr.contains("known already"), "{}", forced.stderr);
    assert!(distance(&json(&forced.stdout)[2]) <= distance(&rows[2]));

    // Another sampler wants other levels, and is what the voice is then rendered by.
    let other = learn(&["1"], &["--sampler", "dpm++2m"]);
    assert!(other.stderr.contains("dropping the schedules for the sampler"), "{}", other.stderr);
    assert_eq!(Voice::load(&out).unwrap().sampler.to_string(), "dpm++2m");
    let again = learn(&["1"], &[]);
    assert!(again.stderr.contains("1 steps: known already"), "{}", again.stderr);

    let shown =
        json(&output(arguments!["schedule", "show", "--voice", &out, "--steps", "1", "--json"]));
    assert_eq!(shown["learned"], true);
    run(arguments!["schedule", "learn", "--voice", &out, "--data", samples(), "--start", "gl"])
        .expect_error(2, &["--start", "expected noise"]);
}

#[test]
fn levels_for_noise_are_learned_beside_the_voices_own() {
    let folder = tempfile::tempdir().unwrap();
    let mut voice = Voice::load(&tiny_voice(folder.path())).unwrap();
    voice.start = Start::GriffinLim { iterations: 32, level: 0.9 };
    voice.schedules = [(2, Schedule::explicit([0.9, 0.95]).unwrap())].into();
    let path = folder.path().join("voice.safetensors");
    voice.save(&path, vocoder::voice::Precision::Half).unwrap();
    let learn = |more: &[&str]| {
        let mut command = command();
        command.args(arguments!["schedule", "learn", "--voice", &path, "--data", samples()]);
        command.args(["--clips", "1", "--steps", "1", "--json", "--sampler", "dpm++2m"]);
        Run::of(command.args(more).output().unwrap())
    };
    let first = learn(&["--start", "noise", "--beside"]);
    assert_eq!(first.status, 0, "{}", first.stderr);
    let now = Voice::load(&path).unwrap();
    assert_eq!(
        (now.start, now.sampler, &now.schedules),
        (voice.start, voice.sampler, &voice.schedules)
    );
    let learned = now.from_noise.unwrap().schedules[&1].clone();
    let level = learned.levels()[0];
    let again = learn(&["--start", "noise", "--beside"]);
    assert!(again.stderr.contains("1 steps: known already"), "{}", again.stderr);

    // It is what is rendered by, shown and compared.
    let show = arguments!["schedule", "show", "--voice", &path, "--steps", "1", "--json"];
    let of = |start: &str| json(&output([&show[..], &arguments!["--start", start]].concat()));
    assert_eq!(
        (&of("noise")["learned"], of("noise")["levels"][0].as_f64()),
        (&true.into(), Some(level))
    );
    assert_eq!(of("griffin-lim")["learned"], false);
    let render = |more: &[&str]| {
        let out = folder.path().join("out");
        let speech = samples().join("kokoro_af_heart.flac");
        let mut command = command();
        command
            .args(arguments!["render", &speech, "-o", &out, "--voice", &path, "--force", "--json"]);
        command.args(["--steps", "1", "--polish", "0"]).args(more);
        let run = Run::of(command.output().unwrap());
        assert_eq!(run.status, 0, "{}", run.stderr);
        let sound = vocoder::audio::read(&out.join("kokoro_af_heart.wav")).unwrap().audio.samples;
        (json(run.stdout.lines().next().unwrap())["sampler"].clone(), sound)
    };
    let (sampler, sound) = render(&["--start", "noise"]);
    assert_eq!(sampler, "dpm++2m");
    let levels = folder.path().join("levels.json");
    std::fs::write(&levels, serde_json::to_string(&learned).unwrap()).unwrap();
    let named = ["--start", "noise", "--sampler", "dpm++2m", "--schedule"];
    let (_, same) = render(&[&named[..], &[levels.to_str().unwrap()]].concat());
    assert!(sound == same);
    // By another sampler the levels are not those that were learned for this one.
    let (_, other) = render(&["--start", "noise", "--sampler", "ddim"]);
    let (_, even) = render(
        &[&named[..2], &["--sampler", "ddim", "--schedule"], &[levels.to_str().unwrap()]].concat(),
    );
    assert!(other != even);
    assert_eq!(render(&[]).0, voice.sampler.to_string().as_str());

    // Only beside another start than noise, and only for noise.
    for (start, told) in [("griffin-lim", "expected --start noise"), ("noise", "own start")] {
        if start == "noise" {
            let voice = Voice { start: Start::Noise, ..voice.clone() };
            voice.save(&path, vocoder::voice::Precision::Half).unwrap();
        }
        learn(&["--start", start, "--beside"]).expect_error(2, &["--beside", told]);
    }
}

#[test]
fn schedules_are_shown_and_compared_with_everybody_elses() {
    let folder = tempfile::tempdir().unwrap();
    let voice = tiny_voice(folder.path());
    let picture = folder.path().join("levels.png");
    output(arguments!["schedule", "show", "--voice", &voice, "--picture", &picture]);
    assert_eq!(&std::fs::read(&picture).unwrap()[..4], b"\x89PNG");

    let picture = folder.path().join("compared.png");
    let rows = json(&output(arguments![
        "schedule",
        "compare",
        "--voice",
        &voice,
        "--data",
        samples(),
        "--clips",
        "1",
        "--grid",
        "2",
        "--steps",
        "4",
        "--picture",
        &picture,
        "--json",
        "-q"
    ]));
    let rows = rows.as_array().unwrap();
    let names: Vec<&str> = rows.iter().map(|row| row["by"].as_str().unwrap()).collect();
    for name in [
        "linear",
        "cosine",
        "fibonacci",
        "FastDiff 4",
        "FastDiff 4, tied",
        "grid search of 2",
        "BDDM-style",
    ] {
        assert!(names.contains(&name), "{name}: {names:?}");
    }
    let mismatch = |name: &str| {
        let row = rows.iter().find(|row| row["by"] == name).unwrap();
        row["prior_mismatch"].as_f64().unwrap()
    };
    // 0.5362^2 of the variance is signal that is not there.
    assert!((mismatch("FastDiff 4") - 0.2875).abs() < 1e-3 && mismatch("FastDiff 4, tied") < 0.01);
    let distances: Vec<f64> =
        rows[1..].iter().map(|row| row["distance"]["total"].as_f64().unwrap()).collect();
    assert!(distances.is_sorted(), "{distances:?}");
    assert_eq!(&std::fs::read(&picture).unwrap()[..4], b"\x89PNG");

    // One of them alone is the same, and what it rendered can be judged by others.
    let renderings = folder.path().join("renderings");
    let compare = arguments!["schedule", "compare", "--voice", &voice, "--data", samples()];
    let with = |only: &str| {
        let which = arguments!["--clips", "1", "--steps", "4", "--only", only];
        let how = arguments!["--renderings", &renderings, "--json", "-q"];
        run([&compare[..], &which, &how].concat())
    };
    let alone = with("linear");
    assert_eq!(alone.status, 0, "{}", alone.stderr);
    let alone = json(&alone.stdout);
    let alone = alone.as_array().unwrap();
    let row = rows.iter().find(|row| row["by"] == "linear").unwrap();
    assert_eq!((alone.len(), &alone[1]["distance"]), (2, &row["distance"]));
    for (name, number) in [("recordings", 1), ("1", 1), ("2", 1)] {
        let path = renderings.join(name).join(format!("{number}.wav"));
        assert_eq!(vocoder::audio::read(&path).unwrap().audio.samples.len(), 48_000);
    }
    with("linaer").expect_error(1, &["--only", "linear", "linaer"]);

    // All clips judge, where the others' searches have clips of their own.
    let judged = |more: &[std::ffi::OsString], name: &str| {
        let renderings = folder.path().join(name);
        let how = arguments!["--clips", "9", "--steps", "4", "--grid", "1", "--no-bddm", "-q"];
        let out = arguments!["--renderings", &renderings];
        let found = run([&compare[..], &how, &out, more].concat());
        assert_eq!(found.status, 0, "{}", found.stderr);
        assert!(found.stdout.contains("grid search of 1"), "{}", found.stdout);
        std::fs::read_dir(renderings.join("recordings")).unwrap().count()
    };
    let all = judged(&arguments!["--search", samples()], "all");
    let half = judged(&[], "half");
    assert!(half < all && all <= 2 * half, "{half} of {all}");
    let missing = folder.path().join("missing");
    run([&compare[..], &arguments!["--search", &missing]].concat()).expect_error(1, &["missing"]);
}

#[test]
fn a_rendering_is_explained_on_one_page() {
    let folder = tempfile::tempdir().unwrap();
    let voice = tiny_voice(folder.path());
    let (page, out) = (folder.path().join("page.html"), folder.path().join("out.wav"));
    let speech = samples().join("kokoro_af_heart.flac");
    output(arguments![
        "render",
        &speech,
        "-o",
        &out,
        "--voice",
        &voice,
        "--steps",
        "2",
        "--sampler",
        "heun",
        "--explain",
        &page,
        "-q"
    ]);
    let html = std::fs::read_to_string(&page).unwrap();
    for part in ["Run 1 of 3", "Run 3 of 3", "<svg", "data:audio/wav", "noised to this level"] {
        assert!(html.contains(part), "{part}");
    }
    assert!(!html.contains("Run 4") && !html.contains("://"));
    assert!(out.exists());
    let again = run(arguments![
        "render",
        &speech,
        "-o",
        &out,
        "--sampler",
        "griffin-lim",
        "--explain",
        &page,
        "--force"
    ]);
    again.expect_error(2, &["--explain", "griffin-lim"]);
}
