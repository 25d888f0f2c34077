#![allow(clippy::unwrap_used)]

use std::path::Path;

use super::*;
use proptest::prelude::*;

/// The first level that each published list tells the network, computed with NumPy:
/// sqrt(prod(1 - betas)).
const FIRST_LEVELS: [f64; 8] = [
    0.536_206_5,
    0.963_591_3,
    0.703_291_2,
    0.613_014_0,
    0.600_000_2,
    0.963_597_6,
    0.554_489_8,
    0.954_219_6,
];

fn close(value: f64, expected: f64, tolerance: f64) -> bool {
    (value - expected).abs() <= tolerance
}

#[test]
fn published_lists_are_flagged_and_tying_mends_them() {
    assert_eq!(PUBLISHED.len(), FIRST_LEVELS.len());
    for (published, first_level) in PUBLISHED.iter().zip(FIRST_LEVELS) {
        let schedule = published.schedule().unwrap();
        let last = schedule.steps() - 1;
        assert!(close(schedule.levels()[0], first_level, 1e-6), "{:?}", schedule.levels());
        assert!(close(schedule.prior_mismatch(), first_level * first_level, 1e-5));
        assert!(!schedule.matches_prior());

        let tied = schedule.tie_to_prior(FIRST_LEVEL).unwrap();
        assert!(tied.matches_prior());
        assert_eq!(tied.levels()[0], FIRST_LEVEL);
        assert!(close(tied.levels()[last], schedule.levels()[last], 1e-12));
        let proportion = |s: &Schedule, n: usize| {
            let l = |n: usize| lambda(s.levels()[n]);
            (l(n) - l(0)) / (l(last) - l(0))
        };
        for n in 0..=last {
            assert!(close(proportion(&tied, n), proportion(&schedule, n), 1e-6));
        }
    }
}

#[test]
fn constructors_give_the_published_levels() {
    let linear = Schedule::linear(1e-6, 0.01, 1000).unwrap();
    assert!(close(linear.levels()[0], FIRST_LEVEL, 1e-8));
    assert!(close(linear.levels()[500], 0.534_937_38, 1e-8));
    assert!(close(linear.levels()[999], LAST_LEVEL, 1e-9));
    assert!(close(Schedule::linear(1e-4, 0.05, 50).unwrap().levels()[0], 0.528_840_71, 1e-8));
    assert!(close(Schedule::linear(1e-4, 0.005, 1000).unwrap().levels()[0], 0.278_835_81, 1e-8));

    let fibonacci = Schedule::fibonacci(25).unwrap();
    assert!(close(fibonacci.levels()[0], 0.847_647_24, 1e-8));
    for (beta, expected) in fibonacci.to_betas().iter().zip([1e-6, 2e-6, 3e-6, 5e-6, 8e-6]) {
        assert!(close(*beta, expected, 1e-12));
    }

    // At t = 3/4, 1/2, 1/4; at t = 1 beta stops at 0.999.
    let check = |schedule: Schedule, expected: [f64; 3]| {
        let levels = schedule.levels();
        assert!(close(levels[0], expected[0] * 0.001f64.sqrt(), 1e-7));
        assert!(levels[1..].iter().zip(expected).all(|(l, e)| close(*l, e, 1e-7)), "{levels:?}");
    };
    check(Schedule::cosine(4).unwrap(), [0.379_831_68, 0.702_740_06, 0.920_332_64]);
    check(Schedule::sigmoid(4).unwrap(), [0.386_194_84, 0.5f64.sqrt(), 0.922_417_23]);

    let uniform = Schedule::log_snr(5, 0.1, 0.999).unwrap();
    let lambdas: Vec<f64> = uniform.levels().iter().map(|&l| lambda(l)).collect();
    assert!(lambdas.windows(3).all(|w| close(w[2] - w[1], w[1] - w[0], 1e-9)), "{lambdas:?}");
    assert!(close(uniform.levels()[0], 0.1, 1e-12) && close(uniform.levels()[4], 0.999, 1e-12));
}

#[test]
fn named_schedules_match_the_prior_at_any_number_of_steps() {
    for name in NAMES {
        for steps in [1, 2, 3, 6, 12, 25] {
            let schedule = Schedule::named(name, steps).unwrap();
            assert_eq!(schedule.steps(), steps);
            assert!(schedule.matches_prior(), "{name} {steps}: {:?}", schedule.levels());
        }
        assert!(Schedule::named(name, 0).is_err());
        assert!(Schedule::named(name, 1001).is_err());
    }
    for name in ["linear", "cosine", "sigmoid", "log-snr"] {
        assert_eq!(Schedule::named(name, 1000).unwrap().steps(), 1000);
    }
    let trained = Schedule::linear(1e-6, 0.01, 1000).unwrap();
    let named = Schedule::named("linear", 1000).unwrap();
    assert!(named.levels().iter().zip(trained.levels()).all(|(a, b)| close(*a, *b, 1e-12)));
    let message = Schedule::named("quadratic", 6).unwrap_err().to_string();
    assert!(
        message.contains("one of linear, cosine") && message.contains("quadratic"),
        "{message}"
    );
}

#[test]
fn targets_end_at_the_clean_signal() {
    let schedule = Schedule::explicit([0.1, 0.5, 0.9]).unwrap();
    assert_eq!([0, 1, 2].map(|step| schedule.target(step)), [0.5, 0.9, 1.0]);
}

proptest! {
    #[test]
    fn betas_make_the_round_trip(betas in prop::collection::vec(1e-6f64..0.5, 1..30)) {
        let schedule = Schedule::from_betas(&betas).unwrap();
        for (back, beta) in schedule.to_betas().iter().zip(&betas) {
            prop_assert!(close(*back, *beta, 1e-12));
        }
    }

    #[test]
    fn lambda_makes_the_round_trip(level in 1e-4f64..0.999_999_9) {
        prop_assert!(close(level_of_lambda(lambda(level)), level, 1e-12));
    }

    #[test]
    fn no_text_breaks_the_reader(text in "[\\[\\]{}\"a-z0-9.,: e-]{0,60}") {
        let _ = Schedule::from_json(&text);
    }
}

#[test]
fn json_is_levels_or_betas() {
    let levels = Schedule::explicit([0.1, 0.5, 0.9]).unwrap();
    assert_eq!(Schedule::from_json("[0.1, 0.5, 0.9]").unwrap(), levels);
    assert_eq!(Schedule::from_json(" {\"levels\": [0.1, 0.5, 0.9]}\n").unwrap(), levels);
    let betas = Schedule::from_betas(&[1e-4, 0.5]).unwrap();
    assert_eq!(Schedule::from_json("{\"betas\": [1e-4, 0.5]}").unwrap(), betas);
    // As `vocoder schedule show --json` has it.
    let shown = serde_json::json!({
        "betas": levels.to_betas(), "learned": true, "levels": [0.1, 0.5, 0.9], "steps": 3,
    });
    assert_eq!(Schedule::from_json(&shown.to_string()).unwrap(), levels);
    let message = Schedule::from_json("{\"level\": [0.1]}").unwrap_err().to_string();
    assert!(message.ends_with("got neither"), "{message}");
    let json = serde_json::to_string(&levels).unwrap();
    assert_eq!(json, "[0.1,0.5,0.9]");
    assert_eq!(serde_json::from_str::<Schedule>(&json).unwrap(), levels);
}

#[test]
fn wrong_numbers_are_refused_with_what_was_expected() {
    for (json, expected) in [
        ("[]", "1 to 1000 steps"),
        ("[0.5, 0.4]", "more than 0.5"),
        ("[0.5, 0.5]", "more than 0.5"),
        ("[0.0, 0.5]", "between 0 and 1"),
        ("[0.5, 1.0]", "between 0 and 1"),
        ("[-0.5]", "between 0 and 1"),
        ("[0.5, null]", "JSON list of levels"),
        ("0.5", "JSON list of levels"),
        ("{\"levels\": [0.5], \"betas\": [0.5]}", "JSON list of levels"),
        ("{\"steps\": 6}", "JSON list of levels"),
        ("{\"betas\": [1.0]}", "beta_1"),
        ("{\"betas\": [0.1, 1e-300]}", "more than"),
        ("{\"betas\": [0.1, -0.1]}", "beta_2"),
        ("", "JSON list of levels"),
    ] {
        let message = Schedule::from_json(json).unwrap_err().to_string();
        assert!(message.contains(expected) && !message.contains('\n'), "{json}: {message}");
    }
    assert!(Schedule::explicit(vec![f64::NAN]).is_err());
    assert!(Schedule::fibonacci(30).is_err());
    assert!(Schedule::log_snr(6, 0.9, 0.1).is_err());
    assert!(Schedule::explicit([0.1, 0.9]).unwrap().tie_to_prior(0.95).is_err());
    assert!(Schedule::explicit([0.1, 0.9]).unwrap().tie_to_prior(0.0).is_err());
    assert!(Schedule::read(Path::new("no/such/schedule.json")).is_err());
}

#[test]
fn plain_schedules_begin_where_they_are_told() {
    for first in [FIRST_LEVEL, 0.9, 0.999, 0.999_9] {
        for steps in [1, 2, 50] {
            let schedule = Schedule::plain(steps, first).unwrap();
            assert_eq!(schedule.steps(), steps);
            assert!((schedule.levels()[0] - first).abs() < 1e-9);
            let last = schedule.levels()[steps - 1];
            assert!(steps == 1 || (PLAIN_LAST_LEVEL - 1e-9..1.0).contains(&last));
        }
    }
}

#[test]
fn scales_are_read_stored_and_checked() {
    let plain = Schedule::explicit([0.1, 0.5, 0.9]).unwrap();
    let schedule = plain.clone().scaled([1.0, 1.05, 0.8]).unwrap();
    assert_eq!([0, 1, 2].map(|step| schedule.scale(step)), [1.0, 1.05, 0.8]);
    assert_eq!((plain.scale(2), plain.has_scales()), (1.0, false));
    // Without effect is without.
    assert_eq!(plain.clone().scaled([1.0; 3]).unwrap(), plain);
    let text = r#"{"levels":[0.1,0.5,0.9],"scales":[1.0,1.05,0.8]}"#;
    assert_eq!(serde_json::to_string(&schedule).unwrap(), text);
    assert_eq!(serde_json::from_str::<Schedule>(text).unwrap(), schedule);
    assert_eq!(Schedule::from_json(text).unwrap(), schedule);
    assert_eq!(serde_json::to_string(&plain).unwrap(), "[0.1,0.5,0.9]");
    for (scales, wrong) in [
        (vec![1.0, 0.8], "3 scales"),
        (vec![1.0, 1.0, 1.6], "scale of step 2"),
        (vec![1.0, f64::NAN, 1.0], "scale of step 1"),
    ] {
        let message = plain.clone().scaled(scales).unwrap_err().to_string();
        assert!(message.contains(wrong), "{message}");
    }
    let wrong = text.replace("scales", "scale");
    assert!(serde_json::from_str::<Schedule>(&wrong).is_err());
}
