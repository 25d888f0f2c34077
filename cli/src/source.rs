//! The mel of an input file, piece by piece, so that memory does not grow with its length.

use std::path::Path;

use anyhow::{Result, anyhow, bail};
use vocoder::adapter::adapt;
use vocoder::audio::{AudioReader, Resampler};
use vocoder::mel::{self, Mel, MelConfig, MelStream};

use crate::inputs::is_mel;

/// Audio or a mel file, read as a mel.
pub enum Source {
    /// Audio: the mel is taken on the way.
    Audio(Box<AudioSource>),
    /// A mel file: one piece.
    Mel { mel: Option<Mel>, notices: Vec<String> },
}

/// Audio on its way to a mel.
pub struct AudioSource {
    reader: AudioReader,
    /// Taken when the audio has ended.
    rest: Option<(Resampler, MelStream)>,
    notices: Vec<String>,
    samples: u64,
}

impl Source {
    /// Opens `path` to be read as a mel of `config`. Audio is decoded once to its end here, so that
    /// a damaged file is told before any rendering; that costs little beside it. A mel file is of the
    /// convention `of`, if that is given, and adapted to `config`.
    ///
    /// # Errors
    /// A file that cannot be read as audio or as a mel of `config`; audio of less than a hop.
    pub fn open(path: &Path, config: &MelConfig, of: Option<&MelConfig>) -> Result<Self> {
        if is_mel(path) {
            let mut file = match of {
                Some(of) => mel::file::read(path, of)?,
                None => mel::file::read(path, config).map_err(|error| advise(error, path))?,
            };
            if of.is_some_and(|of| of != config) {
                file.mel = adapt(&file.mel, config)?;
            }
            return Ok(Self::Mel {
                notices: file.notice.into_iter().collect(),
                mel: Some(file.mel),
            });
        }
        let mut reader = AudioReader::open(path)?;
        let (mut count, mut block) = (0, Vec::new());
        while reader.next_block(&mut block)? {
            count += block.len() as u64;
            block.clear();
        }
        let mut notices = reader.notices();
        let (from, to) = (reader.info().sample_rate, config.sample_rate);
        if from != to {
            notices.push(format!("resampled from {from} to {to} Hz"));
        }
        let resampler = Resampler::new(from, to).map_err(|e| anyhow!("{}: {e}", path.display()))?;
        let rest = Some((resampler, MelStream::new(config)?));
        let samples = (count as f64 * f64::from(to) / f64::from(from)).round() as u64;
        if samples < config.hop as u64 {
            bail!(
                "{}: expected at least one frame of audio ({} samples at {to} Hz), got {samples}",
                path.display(),
                config.hop
            );
        }
        let reader = AudioReader::open(path)?;
        Ok(Self::Audio(Box::new(AudioSource { reader, rest, notices, samples })))
    }

    /// What the user should know about the file, one line each.
    pub fn notices(&self) -> &[String] {
        match self {
            Self::Audio(audio) => &audio.notices,
            Self::Mel { notices, .. } => notices,
        }
    }

    /// Length of the sound at the mel's rate, in samples, where the file says more than its number
    /// of frames does.
    pub fn samples(&self) -> Option<u64> {
        match self {
            Self::Audio(audio) => Some(audio.samples),
            Self::Mel { .. } => None,
        }
    }

    /// Number of frames in all.
    pub fn frames(&self, config: &MelConfig) -> usize {
        match self {
            Self::Audio(audio) => config.frames(audio.samples as usize),
            Self::Mel { mel, .. } => mel.as_ref().map_or(0, |mel| mel.frames),
        }
    }

    /// The next frames; none at the end.
    ///
    /// # Errors
    /// Audio that cannot be read on.
    pub fn next(&mut self) -> Result<Option<Mel>> {
        match self {
            Self::Audio(audio) => audio.next(),
            Self::Mel { mel, .. } => Ok(mel.take()),
        }
    }

    /// All frames at once.
    ///
    /// # Errors
    /// Audio that cannot be read on.
    pub fn whole(mut self) -> Result<Option<Mel>> {
        let Some(mut whole) = self.next()? else { return Ok(None) };
        while let Some(piece) = self.next()? {
            whole.data.extend(piece.data);
            whole.frames += piece.frames;
        }
        Ok(Some(whole))
    }
}

impl AudioSource {
    fn next(&mut self) -> Result<Option<Mel>> {
        let mut block = Vec::new();
        while let Some((resampler, stream)) = &mut self.rest {
            let mut samples = Vec::new();
            block.clear();
            let (config, data) = if self.reader.next_block(&mut block)? {
                resampler.push(&block, &mut samples)?;
                (stream.config().clone(), stream.push(&samples)?)
            } else {
                let Some((resampler, mut stream)) = self.rest.take() else { break };
                resampler.finish(&mut samples)?;
                let config = stream.config().clone();
                let mut data = stream.push(&samples)?;
                data.extend(stream.finish()?);
                (config, data)
            };
            if !data.is_empty() {
                return Ok(Some(Mel { frames: data.len() / config.n_mels, config, data }));
            }
        }
        Ok(None)
    }
}

/// `error`, with the conventions whose mel the file at `path` could be.
fn advise(error: vocoder::Error, path: &Path) -> anyhow::Error {
    let fits = |name: &&&str| {
        MelConfig::preset(name).is_ok_and(|config| mel::file::read(path, &config).is_ok())
    };
    let names: Vec<&str> = MelConfig::PRESETS.iter().filter(fits).copied().collect();
    if names.is_empty() {
        return error.into();
    }
    anyhow!("{error}; if it is another system's, say whose by --mel-config ({})", names.join(", "))
}
