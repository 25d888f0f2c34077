//! What a run writes of its course: the log, TensorBoard's events, the report.

use crate::checkpoint::Progress;
use crate::config::TrainConfig;
use crate::events::{EventFile, Value};
use crate::log::{Event, Log};
use crate::preview;
use crate::report::{self, History};
use std::path::{Path, PathBuf};
use vocoder::Result;

/// Steps that TensorBoard shows each of; later it shows one in [`THINNED`].
const ALL_SHOWN: u64 = 1000;
const THINNED: u64 = 10;

/// The records of one run.
pub struct Records {
    out: PathBuf,
    config: TrainConfig,
    log: Log,
    events: EventFile,
    history: History,
    has_data: bool,
}

impl Records {
    /// Opens the records in `out`, cut off where `progress` left them.
    ///
    /// # Errors
    /// Files that can't be opened.
    pub fn open(out: &Path, config: &TrainConfig, progress: &Progress) -> Result<Self> {
        let (log, past) = Log::open(&out.join("log.jsonl"), progress.log_bytes)?;
        let events = EventFile::open(&out.join("tensorboard"), progress.event_bytes)?;
        let mut history = History::default();
        past.iter().for_each(|event| history.add(event));
        let has_data = past.iter().any(|event| matches!(event, Event::Data(_)));
        Ok(Records {
            out: out.to_path_buf(),
            config: config.clone(),
            log,
            events,
            history,
            has_data,
        })
    }

    /// Writes an event down. A resumed run's data is in the log already, and saving is not written: the
    /// checkpoint must know the log's length before.
    ///
    /// # Errors
    /// Files that can't be written.
    pub fn add(&mut self, event: &Event) -> Result<()> {
        match event {
            Event::Saved { .. } => return Ok(()),
            Event::Data(_) if self.has_data => return Ok(()),
            _ => {}
        }
        self.log.write(event)?;
        self.history.add(event);
        match event {
            Event::Step { step, loss, gradient_norm, rate, samples_per_second, idle }
                if *step <= ALL_SHOWN || step.is_multiple_of(THINNED) =>
            {
                let values = [
                    ("train/loss", Value::Scalar(*loss)),
                    ("train/gradient norm", Value::Scalar(*gradient_norm)),
                    ("train/learning rate", Value::Scalar(*rate)),
                    ("speed/samples per second", Value::Scalar(*samples_per_second)),
                    ("speed/idle share", Value::Scalar(*idle)),
                ];
                self.events.write(*step, &values)
            }
            Event::Validation { step, loss, by_level, .. } => {
                let tags: Vec<String> = by_level
                    .iter()
                    .map(|(level, _)| format!("validation/at level {level}"))
                    .collect();
                let levels = tags.iter().zip(by_level);
                let mut values = vec![("validation/mean", Value::Scalar(*loss))];
                values.extend(levels.map(|(tag, (_, loss))| (tag.as_str(), Value::Scalar(*loss))));
                self.events.write(*step, &values)
            }
            Event::Preview { step, renderings } => {
                let folder = preview::folder(&self.out, *step);
                for rendering in renderings {
                    let (clip, steps) = (&rendering.clip, rendering.steps);
                    let tag = format!("preview/{clip}/{steps} steps");
                    if let Ok(wav) =
                        std::fs::read(preview::file(&folder, clip, &format!("{steps}.wav")))
                    {
                        let wav = Value::Wav(&wav, self.config.mel.sample_rate);
                        self.events.write(*step, &[(&tag, wav)])?;
                    }
                    if let Some(difference) = rendering.mel_difference {
                        let tag = format!("{tag}, mel difference");
                        self.events.write(*step, &[(&tag, Value::Scalar(difference))])?;
                    }
                }
                let mut clips: Vec<&str> = renderings.iter().map(|r| r.clip.as_str()).collect();
                clips.dedup();
                for clip in clips {
                    if let Ok(png) = std::fs::read(preview::file(&folder, clip, "png")) {
                        let tag = format!("preview/{clip}");
                        self.events.write(*step, &[(&tag, Value::Png(&png))])?;
                    }
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Writes `report.html`.
    ///
    /// # Errors
    /// A file that can't be written.
    pub fn report(&self) -> Result<()> {
        report::write(&self.out, &self.config, &self.history)
    }

    /// Brings log and events to disk and says how long they are, in bytes.
    ///
    /// # Errors
    /// A full disk.
    pub fn sync(&mut self) -> Result<(u64, u64)> {
        Ok((self.log.sync()?, self.events.sync()?))
    }
}
