#![allow(clippy::unwrap_used)]
use super::*;

#[test]
fn parameter_counts_are_the_published_ones() {
    // 15,810,401 is the count in the README of ivanvovk/WaveGrad (80 bands).
    assert_eq!(ModelConfig::preset("base", 80).unwrap().parameter_count(), 15_810_401);
    let count = |name| ModelConfig::preset(name, 128).unwrap().parameter_count();
    assert_eq!(count("base"), 15_920_993);
    assert_eq!(count("half"), 4_058_289);
    assert_eq!(count("small"), 2_083_953);
    assert_eq!(count("quarter"), 1_056_785);
}

#[test]
fn base_costs_35_gmac_per_second() {
    let base = ModelConfig::preset("base", 128).unwrap();
    let per_second = base.macs_per_frame() as f64 * 24000.0 / 300.0;
    assert!((per_second / 1e9 - 35.12).abs() < 0.01, "{per_second}");
}

#[test]
fn the_product_of_the_factors_must_be_the_hop() {
    let base = ModelConfig::preset("base", 128).unwrap();
    assert!(base.validate(300).is_ok());
    let message = base.validate(256).unwrap_err().to_string();
    assert!(message.contains("256") && message.contains("[5, 5, 3, 2, 2]"), "{message}");
}

#[test]
fn every_preset_is_valid_and_others_are_refused() {
    for name in ModelConfig::PRESETS {
        ModelConfig::preset(name, 128).unwrap().validate(300).unwrap();
    }
    assert!(ModelConfig::preset("huge", 128).unwrap_err().to_string().contains("quarter"));
}

#[test]
fn nonsense_is_refused() {
    let base = ModelConfig::preset("base", 128).unwrap();
    let broken: [fn(&mut ModelConfig); 8] = [
        |c| c.up.clear(),
        |c| c.down.push(4),
        |c| c.stem = 0,
        |c| c.stem = 33,
        |c| c.taps = 4,
        |c| c.stem_taps = 33,
        |c| c.mel_scale = f32::NAN,
        |c| c.level = LevelEncoding::Level { scale: 0.0 },
    ];
    for (i, change) in broken.iter().enumerate() {
        let mut config = base.clone();
        change(&mut config);
        assert!(config.validate(300).is_err(), "change {i}");
    }
}

#[test]
fn a_config_of_before_the_taps_could_be_chosen_has_the_papers() {
    let base = ModelConfig::preset("base", 128).unwrap();
    let mut json = serde_json::to_value(&base).unwrap();
    let keys = json.as_object_mut().unwrap();
    assert_eq!((keys.remove("taps"), keys.remove("stem_taps")), (Some(3.into()), Some(5.into())));
    assert_eq!(serde_json::from_value::<ModelConfig>(json).unwrap(), base);
}

#[test]
fn wider_kernels_have_more_parameters() {
    // The stem has 32 channels, and two taps more of each; `mel` and `last` are the other ends.
    let count = |stem_taps| {
        ModelConfig { stem_taps, ..ModelConfig::preset("base", 128).unwrap() }.parameter_count()
    };
    assert_eq!(count(7) - count(5), 2 * 32);
    let taps = |name: &str| {
        let wide = ModelConfig { taps: 5, ..ModelConfig::preset("base", 128).unwrap() };
        wide.parameters().into_iter().find(|p| p.name == name).unwrap().shape
    };
    assert_eq!(taps("mel.weight"), [5, 128, 768]);
    assert_eq!(taps("last.weight"), [5, 128, 1]);
    assert_eq!(taps("up.0.residual.weight"), [1, 768, 512]);
}
