//! `render --batch`: several clips as one batch, on devices that one clip leaves idle.

use anyhow::{Result, anyhow, bail};
use serde_json::{Map, Value};
use vocoder::mel::{Mel, MelConfig};
use vocoder::render::BatchRenderer;

use super::output::Output;
use super::setup::Setup;
use super::{How, needs_network, taken, verb};
use crate::batch::{self, Done, Files};
use crate::failure::one_line;
use crate::inputs::Job;
use crate::interrupt;
use crate::progress::Progress;
use crate::source::Source;

/// Renders `files`, `size` at a time.
///
/// # Errors
/// Wrong usage; a voice that cannot be loaded; a device that does not answer; those of [`batch::run`].
pub(super) fn run(files: &Files, how: &How, size: usize, quiet: bool) -> Result<()> {
    needs_network(how, "--batch")?;
    let Setup { voice, device, settings, warnings, mut figures } = Setup::new(how)?;
    if !quiet {
        warnings.iter().for_each(|line| eprintln!("{line}"));
    }
    figures.insert("precision".into(), "f32".into());
    figures.insert("batch".into(), size.into());
    let renderer = BatchRenderer::new(&voice, &device, settings)?;
    let machine = Machine { renderer, mel: voice.mel, figures };
    batch::run_together(files, verb(&taken()), quiet, size, |jobs, progress| {
        machine.render(jobs, how, progress)
    })
}

struct Machine {
    renderer: BatchRenderer,
    mel: MelConfig,
    figures: Map<String, Value>,
}

impl Machine {
    /// The outcomes of `jobs`, in their order. An input that can't be read leaves the others be.
    fn render(&self, jobs: &[&Job], how: &How, progress: &Progress) -> Vec<Result<Done>> {
        let (mut mels, mut outputs) = (Vec::new(), Vec::new());
        for job in jobs {
            outputs.push(self.open(job, how, progress).map(|(mel, output)| {
                mels.push(mel);
                output
            }));
        }
        // What a device says, it says of all clips.
        let mut sounds = match self.renderer.render(&mels) {
            Ok(sounds) => Ok(sounds.into_iter()),
            Err(error) => Err(one_line(&error.into())),
        };
        let finish = |output: Result<Output>| {
            let mut output = output?;
            let sound = match &mut sounds {
                Ok(sounds) => sounds.next(),
                Err(error) => bail!("{}: {error}", output.input()),
            };
            output.push(&sound.ok_or_else(|| anyhow!("{}: no sound", output.input()))?)?;
            output.finish(progress, &self.figures)
        };
        outputs.into_iter().map(finish).collect()
    }

    fn open(&self, job: &Job, how: &How, progress: &Progress) -> Result<(Mel, Output)> {
        interrupt::check()?;
        let source = Source::open(&job.input, &self.mel, how.mel_config.as_ref())?;
        let output = Output::create(job, &source, &self.mel, how, progress)?;
        match source.whole()? {
            Some(mel) if mel.frames > 0 => Ok((mel, output)),
            _ => bail!("{}: an empty mel", job.input.display()),
        }
    }
}
