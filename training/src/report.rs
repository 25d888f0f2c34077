//! `report.html`: one page, by itself, that shows how a run goes: curves, pictures and sounds.

mod chart;

use crate::config::TrainConfig;
use crate::corpus::Report;
use crate::log::{Event, Rendering};
use crate::preview;
use chart::{Curve, chart};
use std::fmt::Write;
use std::path::Path;
use vocoder::{Result, output_file};

/// What happened so far, from the log.
#[derive(Debug, Default)]
pub struct History {
    data: Option<Report>,
    steps: Vec<StepPoint>,
    validations: Vec<ValidationPoint>,
    previews: Vec<(u64, Vec<Rendering>)>,
    skipped: u64,
}

#[derive(Debug)]
struct StepPoint {
    step: f64,
    loss: f64,
    gradient_norm: f64,
    rate: f64,
    samples_per_second: f64,
    idle: f64,
}

#[derive(Debug)]
struct ValidationPoint {
    step: f64,
    loss: f64,
    /// Levels, and the loss at each.
    by_level: Vec<(f64, f64)>,
}

impl History {
    /// Takes an event in.
    pub fn add(&mut self, event: &Event) {
        match event {
            Event::Data(report) => self.data = Some(report.clone()),
            Event::Step { step, loss, gradient_norm, rate, samples_per_second, idle } => {
                self.steps.push(StepPoint {
                    step: *step as f64,
                    loss: *loss,
                    gradient_norm: *gradient_norm,
                    rate: *rate,
                    samples_per_second: *samples_per_second,
                    idle: *idle,
                });
            }
            Event::Skipped { .. } => self.skipped += 1,
            Event::Validation { step, loss, by_level, .. } => {
                let (step, by_level) = (*step as f64, by_level.clone());
                self.validations.push(ValidationPoint { step, loss: *loss, by_level });
            }
            Event::Preview { step, renderings } => self.previews.push((*step, renderings.clone())),
            Event::Saved { .. } => {}
        }
    }

    fn curve(&self, name: &str, value: impl Fn(&StepPoint) -> f64) -> Curve {
        let points = self.steps.iter().map(|point| (point.step, value(point))).collect();
        Curve { name: name.into(), points }
    }

    /// The mean over the steps, then one curve a level.
    fn validation_curves(&self) -> Vec<Curve> {
        let of = |name: String, value: &dyn Fn(&ValidationPoint) -> Option<f64>| {
            let points = self.validations.iter().filter_map(|v| Some((v.step, value(v)?)));
            Curve { name, points: points.collect() }
        };
        let levels = self.validations.last().map_or(&[][..], |last| &last.by_level);
        let mean = of("validation".into(), &|v| Some(v.loss));
        let by_level = levels.iter().enumerate().map(|(i, (level, _))| {
            of(format!("at level {level}"), &|v| v.by_level.get(i).map(|(_, loss)| *loss))
        });
        std::iter::once(mean).chain(by_level).collect()
    }
}

/// Writes the page of the run in `out`, with its latest preview.
///
/// # Errors
/// A file that can't be written.
pub fn write(out: &Path, config: &TrainConfig, history: &History) -> Result<()> {
    let mut page = String::from(HEAD);
    let name = out.file_name().unwrap_or_default().to_string_lossy();
    _ = write!(page, "<h1>{}</h1><p>{}</p>", escape(&name), escape(&summary(config, history)));
    if let Some(data) = &history.data {
        _ = write!(page, "<p>{}</p>", escape(&data.to_string()));
    }
    for (title, curves, logarithmic) in [
        ("Loss of the batches", vec![history.curve("loss", |p| p.loss)], true),
        ("Held-out clips: distance of predicted and true noise", history.validation_curves(), true),
        ("Gradient norm, before clipping", vec![history.curve("norm", |p| p.gradient_norm)], true),
        ("Learning rate", vec![history.curve("rate", |p| p.rate)], false),
        (
            "Samples of audio a second of wall time",
            vec![history.curve("samples/s", |p| p.samples_per_second)],
            false,
        ),
        ("Share of the time without a batch", vec![history.curve("idle", |p| p.idle)], false),
    ] {
        _ = write!(page, "<h2>{title}</h2>{}", chart(&curves, logarithmic));
    }
    if let Some((step, renderings)) = history.previews.last() {
        _ = write!(page, "<h2>Preview of step {step}</h2>");
        previews(&mut page, &preview::folder(out, *step), renderings);
    }
    _ = writeln!(page, "<h2>Config</h2><pre>{}</pre></body></html>", escape(&config.to_toml()?));
    output_file::write_whole(&out.join("report.html"), page.as_bytes())
}

fn summary(config: &TrainConfig, history: &History) -> String {
    let last = history.steps.last().map_or(0.0, |point| point.step);
    let best = history.validations.iter().min_by(|a, b| a.loss.total_cmp(&b.loss));
    let best = best.map_or(String::new(), |best| {
        format!("; best validation {:.4} at step {}", best.loss, best.step)
    });
    format!(
        "Step {last} of {}, {:.2} M parameters, {} steps left out for want of a finite gradient{best}.",
        config.steps,
        config.model.parameter_count() as f64 / 1e6,
        history.skipped
    )
}

/// Pictures and players of one preview. Files that are gone are left out.
fn previews(page: &mut String, folder: &Path, renderings: &[Rendering]) {
    let mut clips: Vec<&str> = renderings.iter().map(|r| r.clip.as_str()).collect();
    clips.dedup();
    for clip in clips {
        _ = write!(page, "<h3>{}</h3>", escape(clip));
        if let Ok(png) = std::fs::read(preview::file(folder, clip, "png")) {
            _ = write!(
                page,
                "<img alt=\"spectrograms\" src=\"data:image/png;base64,{}\">",
                base64(&png)
            );
        }
        let player = |page: &mut String, title: &str, what: &str| {
            if let Ok(wav) = std::fs::read(preview::file(folder, clip, &format!("{what}.wav"))) {
                let data = base64(&wav);
                _ = write!(
                    page,
                    "<p>{}<br><audio controls src=\"data:audio/wav;base64,{data}\"></audio></p>",
                    escape(title)
                );
            }
        };
        player(page, "target", "target");
        for rendering in renderings.iter().filter(|r| r.clip == clip) {
            let title = match (&rendering.mel_difference, &rendering.failure) {
                (Some(d), _) => format!("{} steps: mean mel difference {d:.3}", rendering.steps),
                (None, Some(why)) => format!("{} steps failed: {why}", rendering.steps),
                (None, None) => format!("{} steps", rendering.steps),
            };
            if rendering.failure.is_some() {
                _ = write!(page, "<p>{}</p>", escape(&title));
            } else {
                player(page, &title, &rendering.steps.to_string());
            }
        }
    }
}

/// The page up to its first heading. No script, nothing from elsewhere.
const HEAD: &str = "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>Training report</title><style>\
body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#222;background:#fff}\
svg,img{width:100%;height:auto}svg text{font-size:12px;fill:#555}svg .grid{stroke:#ddd;fill:none}\
polyline{fill:none;stroke-width:1.6}audio{width:100%;max-width:30rem}.legend{font-size:.9rem}\
pre{background:#f4f4f4;padding:1rem;overflow:auto}</style></head><body>";

/// Text as HTML.
fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// RFC 4648, section 4.
fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let word = group.iter().fold(0u32, |word, byte| word << 8 | u32::from(*byte))
            << (8 * (3 - group.len()));
        for i in 0..4 {
            let letter = ALPHABET[(word >> (18 - 6 * i) & 63) as usize];
            text.push(if i <= group.len() { char::from(letter) } else { '=' });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn base64_of_the_rfc() {
        for (bytes, text) in
            [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")]
        {
            assert_eq!(base64(bytes.as_bytes()), text);
        }
    }

    #[test]
    fn the_page_needs_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("a <run>");
        let clips = preview::folder(&out, 2);
        std::fs::create_dir_all(&clips).unwrap();
        std::fs::write(preview::file(&clips, "x", "png"), b"png").unwrap();
        std::fs::write(preview::file(&clips, "x", "6.wav"), b"wav").unwrap();
        let mut history = History::default();
        for step in 1..=3 {
            history.add(&Event::Step {
                step,
                loss: 1.0 / step as f64,
                gradient_norm: 1.0,
                rate: 0.1,
                samples_per_second: 1000.0,
                idle: 0.0,
            });
        }
        history.add(&Event::Validation {
            step: 2,
            loss: 0.25,
            by_level: vec![(0.2, 0.25)],
            best: true,
        });
        let rendering =
            Rendering { clip: "x".into(), steps: 6, mel_difference: Some(0.5), failure: None };
        let failed = Rendering {
            steps: 50,
            mel_difference: None,
            failure: Some("<NaN>".into()),
            ..rendering.clone()
        };
        history.add(&Event::Preview { step: 2, renderings: vec![rendering, failed] });
        write(&out, &TrainConfig::preset("overfit-one").unwrap(), &history).unwrap();
        let page = std::fs::read_to_string(out.join("report.html")).unwrap();
        for part in [
            "a &lt;run&gt;",
            "Step 3 of 600",
            "best validation 0.2500 at step 2",
            "data:image/png;base64,cG5n",
            "data:audio/wav;base64,d2F2",
            "50 steps failed: &lt;NaN&gt;",
            "at level 0.2",
        ] {
            assert!(page.contains(part), "{part}");
        }
        assert!(!page.contains("http") && !page.contains("<script"));
    }
}
