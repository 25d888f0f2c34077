//! TOML files of changes to a preset, and configs written out.

use super::{TrainConfig, comments};
use std::path::Path;
use vocoder::config::{Prediction, Resampling};
use vocoder::{Error, Result};

/// What messages call the config.
const WHAT: &str = "training config";

impl TrainConfig {
    /// Reads a TOML file: `preset = NAME` (`speech-quarter` if absent) and the keys that differ.
    ///
    /// # Errors
    /// A file that can't be read or parsed, unknown keys, values out of range.
    pub fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).map_err(|e| Error::io(path, e))?;
        Self::from_toml(&text).map_err(|e| Error::file(path, e.to_string()))
    }

    /// As [`TrainConfig::read`], from the text of the file.
    ///
    /// # Errors
    /// As [`TrainConfig::read`].
    pub fn from_toml(text: &str) -> Result<Self> {
        let bad = |e: &dyn std::fmt::Display| {
            let message = e.to_string();
            let line: Vec<&str> =
                message.lines().map(str::trim).filter(|l| !l.is_empty()).collect();
            Error::config(WHAT, line.join(" "))
        };
        let mut changes: toml::Table = text.parse().map_err(|e: toml::de::Error| bad(&e))?;
        let preset = match changes.remove("preset") {
            None => "speech-quarter".to_string(),
            Some(toml::Value::String(name)) => name,
            Some(other) => return Err(Error::mismatch("preset", "a name", other)),
        };
        check_keys(&changes, "")?;
        let base = toml::Table::try_from(Self::preset(&preset)?).map_err(|e| bad(&e))?;
        let merged = toml::Value::Table(merge(base, changes));
        let config: TrainConfig = merged.try_into().map_err(|e: toml::de::Error| bad(&e))?;
        config.validate()?;
        Ok(config)
    }

    /// The config as TOML, every key written out.
    ///
    /// # Errors
    /// Values that TOML can't hold.
    pub fn to_toml(&self) -> Result<String> {
        let text = toml::to_string(self).map_err(|e| Error::config(WHAT, e.to_string()))?;
        // What voice files leave out.
        let mut left_out = String::new();
        if self.model.prediction == Prediction::default() {
            left_out += "prediction = \"noise\"\n";
        }
        if self.model.resampling == Resampling::default() {
            left_out += "resampling = \"nearest\"\n";
        }
        Ok(text.replacen("\n[model]\n", &format!("\n[model]\n{left_out}"), 1))
    }

    /// As [`TrainConfig::to_toml`], with a comment above each key: meaning, unit, the paper's value.
    ///
    /// # Errors
    /// As [`TrainConfig::to_toml`].
    pub fn to_commented_toml(&self) -> Result<String> {
        let mut out = String::new();
        let mut table = String::new();
        for line in self.to_toml()?.lines() {
            let header = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
            let path = match (header, line.split_once(" = ")) {
                (Some(name), _) => {
                    table = name.to_string();
                    name.to_string()
                }
                (None, Some((key, _))) if table.is_empty() => key.to_string(),
                (None, Some((key, _))) => format!("{table}.{key}"),
                (None, None) => String::new(),
            };
            if let Some(comment) = comments::of(&path) {
                out.push_str(&format!("# {comment}\n"));
            }
            out.push_str(line);
            out.push('\n');
        }
        Ok(out)
    }
}

/// Refuses keys that no config has, with the nearest one that some config has.
fn check_keys(table: &toml::Table, within: &str) -> Result<()> {
    for (key, value) in table {
        let path = if within.is_empty() { key.clone() } else { format!("{within}.{key}") };
        if !comments::is_known(&path) {
            let reason =
                format!("expected a known key, got `{path}`; the nearest is `{}`", nearest(&path));
            return Err(Error::config(WHAT, reason));
        }
        if let toml::Value::Table(inner) = value {
            check_keys(inner, &path)?;
        }
    }
    Ok(())
}

/// The known key of least edit distance from `path`; a key of that name in another table is as near
/// as a slip of two letters.
fn nearest(path: &str) -> &'static str {
    let last = |path: &str| path.rsplit('.').next().unwrap_or_default().to_string();
    let distance =
        |known: &str| edit_distance(path, known).min(edit_distance(&last(path), &last(known)) + 2);
    comments::keys().min_by_key(|known| distance(known)).unwrap_or_default()
}

/// Insertions, deletions and replacements that turn `a` into `b` (Levenshtein 1966).
fn edit_distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

/// `base` with the values of `changes`, table by table. A choice between kinds (a table of one key,
/// such as `levels`) is replaced as a whole.
fn merge(mut base: toml::Table, changes: toml::Table) -> toml::Table {
    for (key, value) in changes {
        match (base.remove(&key), value) {
            (Some(toml::Value::Table(old)), toml::Value::Table(new))
                if old.len() > 1 || old.keys().eq(new.keys()) =>
            {
                base.insert(key, toml::Value::Table(merge(old, new)));
            }
            (_, value) => {
                base.insert(key, value);
            }
        }
    }
    base
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::{LevelDraw, Weighting};
    use super::*;

    #[test]
    fn every_preset_is_valid_and_survives_toml() {
        for name in TrainConfig::PRESETS {
            let config = TrainConfig::preset(name).unwrap();
            config.validate().unwrap();
            assert_eq!(TrainConfig::from_toml(&config.to_toml().unwrap()).unwrap(), config);
        }
    }

    #[test]
    fn a_file_changes_only_what_it_names() {
        let config = TrainConfig::from_toml(
            "preset = 'lj-quarter'\nbatch = 3\n[optimiser]\nclip = 2.5\n[levels.hierarchical]\nfirst_beta = 1e-6\nlast_beta = 0.01\nsteps = 1000",
        )
        .unwrap();
        let mut expected = TrainConfig::preset("lj-quarter").unwrap();
        expected.batch = 3;
        expected.optimiser.clip = 2.5;
        expected.levels =
            LevelDraw::Hierarchical { first_beta: 1e-6, last_beta: 0.01, steps: 1000 };
        assert_eq!(config, expected);
    }

    #[test]
    fn the_printed_config_explains_every_key_and_reads_back() {
        let mut configs: Vec<TrainConfig> =
            TrainConfig::PRESETS.map(|name| TrainConfig::preset(name).unwrap()).into();
        configs[1].levels =
            LevelDraw::LogSnrLaplace { centre: 0.5, scale: 1.0, min: -3.0, max: 4.5 };
        configs[1].weighting = Weighting::MinSnr { gamma: 5.0 };
        for config in configs {
            let text = config.to_commented_toml().unwrap();
            assert_eq!(TrainConfig::from_toml(&text).unwrap(), config);
            let lines: Vec<&str> = text.lines().filter(|line| !line.is_empty()).collect();
            for pair in lines.windows(2).filter(|pair| !pair[1].starts_with('#')) {
                assert!(pair[0].starts_with("# "), "no comment above `{}`", pair[1]);
            }
        }
    }

    #[test]
    fn unknown_keys_name_the_nearest() {
        for (text, nearest) in [
            ("bacth = 3", "`batch`"),
            ("[optimiser]\nlerning_rate = 1.0", "`optimiser.learning_rate`"),
            ("learning_rate = 1.0", "`optimiser.learning_rate`"),
            ("[saving]\nevry = 1", "`saving.every`"),
            ("[levels.log-snr]\nminimum = 1.0", "`levels.log-snr.min`"),
            ("[mel]\nn_mel = 80", "`mel.n_mels`"),
        ] {
            let message = TrainConfig::from_toml(text).unwrap_err().to_string();
            assert!(message.contains(nearest), "{text}: {message}");
        }
        assert_eq!(edit_distance("kitten", "sitting"), 3);
    }

    #[test]
    fn mistakes_are_named_on_one_line() {
        for (text, word) in [
            ("bacth = 3", "bacth"),
            ("batch = 'many'", "batch"),
            ("preset = 'huge'", "speech-quarter"),
            ("batch = 0", "65536"),
            ("[mel]\nhop = 256", "hop"),
            ("[", "training config"),
        ] {
            let message = TrainConfig::from_toml(text).unwrap_err().to_string();
            assert!(message.contains(word) && !message.contains('\n'), "{text}: {message}");
        }
    }
}
