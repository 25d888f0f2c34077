//! `vocoder render`: mels or audio to wav.

mod levels;
mod output;
mod rule;
mod setup;
mod together;
mod values;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use anyhow::{Context, Result, bail};
use clap::Args;
use live::Quality;
use serde_json::{Map, Value, json};
use vocoder::audio::WavFormat;
use vocoder::engine::Precision;
use vocoder::griffin_lim::{GriffinLim, Hold};
use vocoder::mel::MelConfig;
use vocoder::render::{Polish, Renderer};
use vocoder::sampler::Clip;

use crate::batch::{self, Done, Files, Verb};
use crate::device::{self, Choice};
use crate::explain;
use crate::failure::usage;
use crate::inputs::{AUDIO, Job, MEL, plan};
use crate::interrupt;
use crate::progress::Progress;
use crate::source::Source;
use crate::start;
use crate::stream;
use crate::voices;

use output::Output;
use setup::Setup;
use values::{parse_clip, parse_threads};

pub use rule::Rule;
pub use values::parse_seconds;

/// Steps where neither --steps nor a schedule's file says how many.
pub const DEFAULT_STEPS: usize = 6;

/// Mels (.npy, .safetensors) or audio, whose mel is taken first, to wav
#[derive(Debug, Args)]
pub struct RenderArgs {
    #[command(flatten)]
    files: Files,
    #[command(flatten)]
    how: How,
    /// Also writes a page that shows the chain of the first input's first 4 seconds from noise to
    /// sound, step by step, to look at and to listen to
    #[arg(long, value_name = "HTML")]
    explain: Option<PathBuf>,
    /// Renders audio through the real-time engine, as the plugin does (low, balanced or studio), at the
    /// input's sample rate; with a causal voice [default voice: speech-stream]
    #[arg(long, value_name = "QUALITY", num_args = 0..=1, default_missing_value = "balanced",
          conflicts_with_all = ["explain", "sampler", "start", "schedule", "clip", "polish", "chunk", "device", "mel_config"])]
    stream: Option<Quality>,
    /// Clips that are rendered together, on devices that one clip leaves idle, in f32; each is as if
    /// rendered alone
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..),
          conflicts_with_all = ["explain", "stream", "chunk", "precision"])]
    batch: u16,
}

/// How to render.
#[derive(Debug, Clone, Args)]
pub struct How {
    /// A voice's name (see `vocoder voice list`) or file
    #[arg(long, value_name = "NAME|FILE", default_value = voices::DEFAULT)]
    pub voice: String,
    /// Runs of the network: more is better and slower [default: 6, or as many as a distilled voice is
    /// made for]
    #[arg(long, value_name = "N")]
    pub steps: Option<usize>,
    /// What system the mel files were made for, if not the voice's: hifigan-22k, tacotron2-22k,
    /// fastspeech2-22k, vocos-24k, lmnt-22k, lmnt-24k, ivanvovk-22k or wavegrad-24k. They are adapted
    #[arg(long, value_name = "NAME", value_parser = MelConfig::preset)]
    pub mel_config: Option<MelConfig>,
    /// ancestral, ddim, ddim:ETA, dpm++2m, sde-dpm++2m, sde-dpm++2m:ETA, ddpm, ddpm:V, euler; heun, pc,
    /// pc:R, which run the network twice a step but the last; consistency, for voices distilled so; or
    /// griffin-lim[:ROUNDS[:AHEAD]], which needs no voice, over the whole mel or as a stream with so many
    /// frames of look-ahead; mel-griffin-lim, the same held to the mel's bands instead of a guess of all
    /// magnitudes, or mel-griffin-lim:ROUNDS+TRIALS, as in --polish [default: the voice's own, ancestral
    /// for most]
    #[arg(long, value_name = "NAME")]
    pub sampler: Option<Rule>,
    /// Where the chain starts: noise; or griffin-lim, whose sound from the same mel it refines,
    /// griffin-lim:LEVEL, noised to this level first, or griffin-lim:LEVEL:ROUNDS [default: the
    /// voice's own]
    #[arg(long, value_name = "START")]
    pub start: Option<start::Choice>,
    /// Noise levels: a JSON file, or linear, cosine, sigmoid, fibonacci, log-snr [default: the
    /// voice's own]
    #[arg(long, value_name = "FILE|NAME")]
    pub schedule: Option<String>,
    /// Selects the noise; the same seed gives the same output
    #[arg(long, value_name = "S", default_value_t = 0)]
    pub seed: u64,
    /// How far predictions lean on the mel (classifier-free guidance), for voices trained with mel
    /// dropout: 1 is off, more leans further; the network then runs twice a step
    #[arg(long, value_name = "W", default_value_t = 1.0)]
    pub guidance: f32,
    /// Limit to which predictions of the signal are clipped on the way, or none
    #[arg(long, value_name = "LIMIT|none", default_value = "1", value_parser = parse_clip)]
    pub clip: Clip,
    /// auto, cpu, cuda, cuda:N or metal
    #[arg(long, default_value = "auto")]
    pub device: Choice,
    /// Rounds of Griffin-Lim after the chain that keep its phases and give it the mel's magnitudes; 0
    /// for the bare chain; ROUNDS+TRIALS tries other phases in the low band so many times before them,
    /// and keeps what fits the mel better; ROUNDS:AHEAD searches frame by frame with so many frames of
    /// look-ahead, as streams do [default: the voice's own]
    #[arg(long, value_name = "ROUNDS[+TRIALS|:AHEAD]")]
    pub polish: Option<Polish>,
    /// Precision of products on the CPU: f32; bf16, int16 or int8, which are faster on some processors;
    /// auto takes what is faster here
    #[arg(long, value_name = "NAME", default_value = "auto")]
    pub precision: Precision,
    /// Threads that compute [default: one a core]
    #[arg(long, value_name = "N", value_parser = parse_threads)]
    pub threads: Option<usize>,
    /// Samples of the output: pcm16 (dithered), pcm24 or f32 [default: pcm16; in the demo f32, for
    /// its figures]
    #[arg(long, value_parser = WavFormat::parse)]
    pub format: Option<WavFormat>,
    /// Rendered at a time; bounds memory, does not change the sound (in f32 below 0.2, but for rounding)
    #[arg(long, value_name = "SECONDS", default_value_t = 10.0, value_parser = parse_seconds)]
    pub chunk: f64,
}

impl How {
    /// "6 steps", for titles.
    pub fn told(&self) -> String {
        match (&self.schedule, self.steps) {
            (Some(schedule), None) => format!("schedule {schedule}"),
            (_, Some(steps)) => format!("{steps} steps"),
            (None, None) => {
                let voice = voices::load(&self.voice);
                let steps = voice.map_or(DEFAULT_STEPS, |voice| voice.default_steps(DEFAULT_STEPS));
                format!("{steps} steps")
            }
        }
    }
}

/// Runs the verb.
pub fn run(args: &RenderArgs, quiet: bool) -> Result<()> {
    device::use_threads(args.how.threads)?;
    if let Some(quality) = args.stream {
        return stream::run(&args.files, &args.how, quality, quiet);
    }
    if args.batch > 1 {
        return together::run(&args.files, &args.how, usize::from(args.batch), quiet);
    }
    let mut machine = Machine::new(&args.how)?;
    if !quiet {
        machine.warnings.iter().for_each(|line| eprintln!("{line}"));
    }
    if let Some(page) = &args.explain {
        explain(args, page)?;
    }
    let taken = taken();
    batch::run(&args.files, verb(&taken), quiet, |job, progress| {
        machine.render(job, &args.how, progress)
    })
}

fn verb<'a>(taken: &'a [&'a str]) -> Verb<'a> {
    Verb { taken, written: &["wav"], participle: "rendered" }
}

/// Extensions of what is rendered.
fn taken() -> Vec<&'static str> {
    AUDIO.iter().chain(MEL).copied().collect()
}

/// Writes the page that `--explain` asks for.
fn explain(args: &RenderArgs, page: &Path) -> Result<()> {
    needs_network(&args.how, "--explain")?;
    let Setup { voice, device, settings, .. } = Setup::new(&args.how)?;
    let jobs = plan(&args.files.inputs, &args.files.out, &taken(), &["wav"])?;
    let Some(job) = jobs.first() else { return Ok(()) };
    let of = args.how.mel_config.as_ref();
    explain::write(&job.input, page, &voice, &device, &settings, of)
}

/// Refuses Griffin-Lim where `flag` asks for a network.
fn needs_network(how: &How, flag: &str) -> Result<()> {
    match how.sampler {
        Some(Rule::GriffinLim { .. }) => {
            Err(usage(format!("{flag}: expected a sampler that has a network, got griffin-lim")))
        }
        _ => Ok(()),
    }
}

/// A renderer that is ready to work.
pub struct Machine {
    mel: MelConfig,
    kind: Kind,
    /// What the user should know before it starts.
    warnings: Vec<String>,
    /// For `--json`.
    figures: Map<String, Value>,
}

enum Kind {
    Network {
        renderer: Box<Renderer>,
        evaluations: usize,
    },
    /// With the look-ahead of a stream, or over the whole mel.
    GriffinLim(GriffinLim, Option<usize>),
}

impl Machine {
    /// Loads and plans what `how` asks for.
    ///
    /// # Errors
    /// Wrong usage; a voice that cannot be loaded; a device that does not answer.
    pub fn new(how: &How) -> Result<Self> {
        if let Some(Rule::GriffinLim { hold, search }) = how.sampler {
            return Self::griffin_lim(how, hold, search);
        }
        let Setup { voice, device, settings, warnings, mut figures } = Setup::new(how)?;
        let evaluations = settings.sampler.evaluations(settings.schedule.steps());
        let renderer = Box::new(Renderer::new(&voice, &device, settings)?);
        figures.insert("precision".into(), renderer.precision().to_string().into());
        let kind = Kind::Network { renderer, evaluations };
        Ok(Self { mel: voice.mel, kind, warnings, figures })
    }

    fn griffin_lim(how: &How, hold: Hold, search: Polish) -> Result<Self> {
        // The voice says only which mel; without one, it is the paper's.
        let mel = match how.voice.as_str() {
            voices::DEFAULT => MelConfig::default(),
            named => voices::load(named)?.mel,
        };
        let (iterations, trials, ahead) = match search {
            Polish::Clip { rounds, trials } => (rounds, trials, None),
            Polish::Frames { rounds, ahead } => (rounds, 0, Some(ahead)),
        };
        let griffin_lim =
            GriffinLim { iterations, seed: how.seed, hold, trials, ..GriffinLim::default() };
        let figures = json!({
            "sampler": if hold == Hold::Mel { "mel-griffin-lim" } else { "griffin-lim" },
            "steps": griffin_lim.iterations, "trials": trials, "ahead": ahead,
            "seed": how.seed,
        });
        let figures = figures.as_object().cloned().unwrap_or_default();
        Ok(Self { mel, kind: Kind::GriffinLim(griffin_lim, ahead), warnings: Vec::new(), figures })
    }

    /// Renders one file.
    ///
    /// # Errors
    /// An input that cannot be read, an output that cannot be written, a device that fails.
    pub fn render(&mut self, job: &Job, how: &How, progress: &Progress) -> Result<Done> {
        interrupt::check()?;
        let source = Source::open(&job.input, &self.mel, how.mel_config.as_ref())?;
        let mut output = Output::create(job, &source, &self.mel, how, progress)?;
        let input = job.input.display().to_string();
        self.sound(source, &input, progress, &mut |samples| output.push(samples))?;
        output.finish(progress, &self.figures)
    }

    /// Renders `source`, called `input`, into `write`, piece by piece.
    ///
    /// # Errors
    /// An input that cannot be read, a device that fails, and those of `write`.
    pub fn sound(
        &mut self,
        mut source: Source,
        input: &str,
        progress: &Progress,
        write: &mut dyn FnMut(&[f32]) -> Result<()>,
    ) -> Result<()> {
        let frames = source.frames(&self.mel);
        match &mut self.kind {
            Kind::Network { renderer, evaluations } => {
                renderer.reset();
                watch(renderer, frames, *evaluations, &self.mel, input, progress);
                while let Some(mel) = source.next()? {
                    interrupt::check()?;
                    write(&renderer.push(&mel).with_context(|| input.to_string())?)?;
                }
                write(&renderer.finish().with_context(|| input.to_string())?)?;
            }
            Kind::GriffinLim(griffin_lim, ahead) => {
                let Some(mel) = source.whole()? else { bail!("{input}: an empty mel") };
                let sound = match ahead {
                    Some(ahead) => griffin_lim.render_online(&mel, *ahead),
                    None => griffin_lim.render(&mel),
                };
                write(&sound.with_context(|| input.to_string())?)?;
            }
        }
        Ok(())
    }

    /// The mel that it takes.
    #[cfg_attr(not(feature = "sound"), allow(dead_code))]
    pub fn mel(&self) -> &MelConfig {
        &self.mel
    }
}

/// Shows steps and RTF while `renderer` works through `frames` frames.
fn watch(
    renderer: &mut Renderer,
    frames: usize,
    steps: usize,
    mel: &MelConfig,
    input: &str,
    progress: &Progress,
) {
    let (start, rounds) = (Instant::now(), Arc::new(AtomicUsize::new(0)));
    let seconds_per_frame = mel.hop as f64 / f64::from(mel.sample_rate);
    let (ticker, input) = (progress.ticker(), input.to_string());
    renderer.observe(move |advanced| {
        let done = rounds.fetch_add(advanced, Ordering::Relaxed) + advanced;
        let part = done as f64 / (frames * steps).max(1) as f64;
        let rtf = start.elapsed().as_secs_f64() / (part * frames as f64 * seconds_per_frame);
        ticker.at(part, format!("{input}  {steps} steps, RTF {rtf:.2}"));
        !interrupt::requested()
    });
}
