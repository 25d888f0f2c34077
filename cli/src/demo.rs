//! `vocoder demo`: the samples through the voice and through Griffin-Lim, to listen to, to look at
//! and in figures. What `make demo` runs.

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result};
use clap::Args;
use serde::Serialize;
use vocoder::audio::{self, WavFormat};
use vocoder::griffin_lim::{GriffinLim, Hold};
use vocoder::mel::{Mel, MelConfig, MelExtractor};
use vocoder::metrics::{Comparison, Level, compare, mean_interval};
use vocoder::picture::{self, Panel};
use vocoder::render::Polish;

use crate::batch::speed;
use crate::device;
use crate::eval::{COLUMNS, cells};
use crate::inputs::{AUDIO, Job, plan};
use crate::output;
use crate::progress::Progress;
use crate::render::{How, Machine, Rule};

/// Renders sample clips with a voice and with Griffin-Lim: wav files, a picture, a table
#[derive(Debug, Args)]
pub struct DemoArgs {
    /// The folder to write to; what it holds from an earlier run is written anew
    #[arg(short, long, default_value = "out/demo")]
    out: PathBuf,
    /// The clips
    #[arg(long, default_value = "samples")]
    samples: PathBuf,
    /// As JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    how: How,
}

/// A clip rendered in one way.
#[derive(Serialize)]
struct Take {
    clip: String,
    by: String,
    rtf: f64,
    #[serde(flatten)]
    quality: Comparison,
    #[serde(skip)]
    mel: Option<Mel>,
}

/// Runs the verb.
pub fn run(args: &DemoArgs, quiet: bool) -> Result<()> {
    device::use_threads(args.how.threads)?;
    let clips = plan(std::slice::from_ref(&args.samples), &args.out, AUDIO, &["wav"])?;
    std::fs::create_dir_all(&args.out)
        .with_context(|| format!("cannot make the folder {}", args.out.display()))?;
    // 16 bits would raise silence well above the floor of the mel, where LS-MAE hears everything.
    let format = args.how.format.or(Some(WavFormat::F32));
    let how = How { format, ..args.how.clone() };
    let baseline = How {
        sampler: Some(Rule::GriffinLim {
            hold: Hold::Magnitudes,
            search: Polish::Clip { rounds: GriffinLim::default().iterations, trials: 0 },
        }),
        ..how.clone()
    };
    let mut ways = [
        Way::new("vocoder", format!("{}, {}", how.voice, how.told()), &how)?,
        Way::new(
            "griffin-lim",
            format!("Griffin-Lim, {} iterations", GriffinLim::default().iterations),
            &baseline,
        )?,
    ];
    let mut extractor = MelExtractor::new(&MelConfig::default())?;
    let mut progress = Progress::new(clips.len() * ways.len(), quiet);
    let (mut originals, mut takes) = (Vec::new(), Vec::new());
    for clip in &clips {
        let name = clip.input.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let reference = audio::read_at(&clip.input, extractor.config().sample_rate)?.audio.samples;
        originals.push((name.clone(), extractor.extract(&reference)?));
        for way in &mut ways {
            let output = args.out.join(format!("{name}.{}.wav", way.suffix));
            let job = Job { input: clip.input.clone(), output };
            takes.push(way.take(&name, &job, &reference, &mut extractor, &mut progress)?);
        }
    }
    drop(progress);
    let picture = args.out.join("spectrograms.png");
    draw(&picture, &originals, &takes)?;
    report(args, &takes, &ways.map(|way| way.name), &picture)
}

/// A way to render.
struct Way<'a> {
    /// Before the extension of the files.
    suffix: &'static str,
    /// In tables and pictures.
    name: String,
    how: &'a How,
    machine: Machine,
}

impl<'a> Way<'a> {
    fn new(suffix: &'static str, name: String, how: &'a How) -> Result<Self> {
        Ok(Self { suffix, name, how, machine: Machine::new(how)? })
    }

    fn take(
        &mut self,
        clip: &str,
        job: &Job,
        reference: &[f32],
        extractor: &mut MelExtractor,
        progress: &mut Progress,
    ) -> Result<Take> {
        let start = Instant::now();
        let done = self.machine.render(job, self.how, progress)?;
        let computing_s = start.elapsed().as_secs_f64();
        progress.finished(format!(
            "{}: {}",
            job.output.display(),
            speed(done.seconds, computing_s)
        ));
        let rendered = audio::read_at(&job.output, extractor.config().sample_rate)?.audio.samples;
        Ok(Take {
            clip: clip.into(),
            by: self.name.clone(),
            rtf: computing_s / done.seconds,
            quality: compare(reference, &rendered, Level::Kept)?,
            mel: Some(extractor.extract(&rendered)?),
        })
    }
}

/// A row a clip: the original and its takes.
fn draw(path: &Path, originals: &[(String, Mel)], takes: &[Take]) -> Result<()> {
    let rows: Vec<Vec<Panel>> = originals
        .iter()
        .map(|(name, mel)| {
            let of_clip = takes.iter().filter(|take| take.clip == *name);
            let panels =
                of_clip.filter_map(|take| Some(Panel { title: &take.by, mel: take.mel.as_ref()? }));
            std::iter::once(Panel { title: name, mel }).chain(panels).collect()
        })
        .collect();
    Ok(picture::draw(path, &rows)?)
}

fn report(args: &DemoArgs, takes: &[Take], ways: &[String], picture: &Path) -> Result<()> {
    if args.json {
        return output::json(&takes);
    }
    let row = |take: &Take| {
        let head = [take.clip.clone(), take.by.clone(), format!("{:.3}", take.rtf)];
        head.into_iter().chain(cells(&take.quality)).collect()
    };
    let mut rows: Vec<Vec<String>> = takes.iter().map(row).collect();
    rows.extend(ways.iter().map(|by| means(by, takes)));
    output::table(&["clip", "rendered by", "RTF", "LS-MAE", "LS-MSE", "MR-STFT"], &rows)?;
    output::line(format!(
        "RTF: seconds of computing per second of audio. The others are distances from the original; \
         smaller is better.\nlisten: {}\nlook:   {}",
        args.out.join("*.wav").display(),
        picture.display()
    ))
}

/// A row with the means of the takes by `by`.
fn means(by: &str, takes: &[Take]) -> Vec<String> {
    let takes: Vec<&Take> = takes.iter().filter(|take| take.by == by).collect();
    let told = |values: Vec<f64>| {
        mean_interval(&values).map_or("none".into(), |interval| format!("{:.3}", interval.mean))
    };
    let figures = COLUMNS.map(|(_, figure)| {
        told(takes.iter().map(|take| figure(&take.quality)).collect::<Vec<f64>>())
    });
    let rtf = told(takes.iter().map(|take| take.rtf).collect());
    ["mean".to_string(), by.to_string(), rtf].into_iter().chain(figures).collect()
}
