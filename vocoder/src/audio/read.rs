//! Reading: wav, AIFF, FLAC, Ogg Vorbis and MP3, mixed down to one channel.

use std::fs::File;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use symphonia::core::audio::GenericAudioBufferRef;
use symphonia::core::codecs::audio::well_known::{CODEC_ID_MP3, CODEC_ID_VORBIS};
use symphonia::core::codecs::audio::{AudioDecoder, AudioDecoderOptions};
use symphonia::core::errors::Error as DecodingError;
use symphonia::core::formats::probe::Hint;
use symphonia::core::formats::{FormatOptions, FormatReader, TrackType};
use symphonia::core::io::MediaSourceStream;
use symphonia::core::meta::MetadataOptions;

use super::{Audio, Resampler, wav_header};
use crate::{Error, Result};

/// What a file says about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AudioInfo {
    /// Samples per second.
    pub sample_rate: u32,
    /// Channels in the file.
    pub channels: u16,
    /// Samples of each channel, where the header says.
    pub frames: Option<u64>,
}

/// A whole file, mixed down.
#[derive(Clone, Debug, PartialEq)]
pub struct AudioFile {
    /// The sound.
    pub audio: Audio,
    /// Channels that the file had.
    pub channels: u16,
    /// What the user should know: a mix-down, a change of rate, damage that was passed over. One
    /// line each.
    pub notices: Vec<String>,
}

/// Highest rate that a header may claim: that of the fastest converters. A header with more is damaged.
const MAX_RATE: u32 = 384_000;

/// Most channels of a wav: those to which its format gives a place.
const MAX_WAV_CHANNELS: u16 = 18;

/// Reads a file block by block, so that memory does not grow with its length.
pub struct AudioReader {
    path: PathBuf,
    format: Box<dyn FormatReader>,
    decoder: Box<dyn AudioDecoder>,
    track: u32,
    info: AudioInfo,
    /// Lossy formats resume after a damaged packet, as every player does; elsewhere it is an error.
    lossy: bool,
    damaged_packets: usize,
    decoded: u64,
    interleaved: Vec<f32>,
}

impl AudioReader {
    /// Opens `path` and reads as far as its header.
    ///
    /// # Errors
    /// A file that can't be opened, is of no known kind, has no audio, claims a rate outside 1 Hz to
    /// 384 kHz, or is a wav of more than 18 channels.
    pub fn open(path: &Path) -> Result<Self> {
        let mut file = File::open(path).map_err(|error| Error::io(path, error))?;
        if file.metadata().map_err(|error| Error::io(path, error))?.is_dir() {
            return Err(Error::file(path, "expected an audio file, got a folder"));
        }
        if let Some(channels) = wav_header::channels(&mut file)
            && !(1..=MAX_WAV_CHANNELS).contains(&channels)
        {
            let reason = format!("expected 1 to {MAX_WAV_CHANNELS} channels, got {channels}");
            return Err(Error::file(path, reason));
        }
        let mut hint = Hint::new();
        if let Some(extension) = path.extension().and_then(|name| name.to_str()) {
            hint.with_extension(extension);
        }
        let stream = MediaSourceStream::new(Box::new(file), Default::default());
        let registry = symphonia::default::get_probe();
        let format = registry
            .probe(&hint, stream, FormatOptions::default(), MetadataOptions::default())
            .map_err(|error| unreadable(path, &error))?;
        let track = format
            .default_track(TrackType::Audio)
            .ok_or_else(|| Error::file(path, "expected an audio track, got none"))?;
        let parameters = track
            .codec_params
            .as_ref()
            .and_then(|parameters| parameters.audio())
            .ok_or_else(|| Error::file(path, "expected a known audio codec"))?;
        let sample_rate = parameters.sample_rate.unwrap_or(0);
        if !(1..=MAX_RATE).contains(&sample_rate) {
            let reason = format!("expected a rate of 1 to {MAX_RATE} Hz, got {sample_rate}");
            return Err(Error::file(path, reason));
        }
        let decoder = symphonia::default::get_codecs()
            .make_audio_decoder(parameters, &AudioDecoderOptions::default())
            .map_err(|error| unreadable(path, &error))?;
        let channels = parameters.channels.as_ref().map_or(0, |channels| channels.count());
        Ok(AudioReader {
            path: path.to_path_buf(),
            info: AudioInfo { sample_rate, channels: channels as u16, frames: track.num_frames },
            track: track.id,
            lossy: [CODEC_ID_MP3, CODEC_ID_VORBIS].contains(&parameters.codec),
            decoder,
            format,
            damaged_packets: 0,
            decoded: 0,
            interleaved: Vec::new(),
        })
    }

    /// What the header says.
    pub fn info(&self) -> &AudioInfo {
        &self.info
    }

    /// Appends the next block, mixed down to one channel (the mean), to `out`. False at the end.
    ///
    /// # Errors
    /// A file that ends before its header's length, a damaged packet of a lossless format, a
    /// change of rate or channels, or samples that are not finite numbers.
    pub fn next_block(&mut self, out: &mut Vec<f32>) -> Result<bool> {
        loop {
            let packet = match self.format.next_packet() {
                Ok(Some(packet)) if packet.track_id == self.track => packet,
                Ok(Some(_)) => continue,
                Ok(None) => return self.end(),
                Err(DecodingError::IoError(error)) if error.kind() == ErrorKind::UnexpectedEof => {
                    return self.end();
                }
                Err(error) => return Err(unreadable(&self.path, &error)),
            };
            match self.decoder.decode(&packet) {
                Ok(buffer) => {
                    mix_down(&self.path, &mut self.info, buffer, &mut self.interleaved, out)?;
                    self.decoded +=
                        (self.interleaved.len() / self.info.channels.max(1) as usize) as u64;
                    return Ok(true);
                }
                Err(DecodingError::DecodeError(_)) if self.lossy => self.damaged_packets += 1,
                Err(error) => return Err(unreadable(&self.path, &error)),
            }
        }
    }

    /// What the user should know about the blocks read so far, one line each.
    pub fn notices(&self) -> Vec<String> {
        let mut notices = Vec::new();
        if self.info.channels > 1 {
            notices.push(format!("{} channels mixed down to one", self.info.channels));
        }
        if self.damaged_packets > 0 {
            notices.push(format!("{} damaged packets left out", self.damaged_packets));
        }
        notices
    }

    /// The end of the data: right only where the header's length has been reached.
    fn end(&self) -> Result<bool> {
        match self.info.frames {
            Some(promised) if self.decoded < promised && !self.lossy => {
                let reason = format!(
                    "truncated: the header promises {promised} samples a channel, {} are there",
                    self.decoded
                );
                Err(Error::file(&self.path, reason))
            }
            _ if self.decoded == 0 => Err(Error::file(&self.path, "holds no audio")),
            _ => Ok(false),
        }
    }
}

/// Appends the mean of `buffer`'s channels to `out`.
fn mix_down(
    path: &Path,
    info: &mut AudioInfo,
    buffer: GenericAudioBufferRef<'_>,
    interleaved: &mut Vec<f32>,
    out: &mut Vec<f32>,
) -> Result<()> {
    let (rate, channels) = (buffer.spec().rate(), buffer.spec().channels().count() as u16);
    if info.channels == 0 {
        info.channels = channels;
    }
    if channels == 0 || (rate, channels) != (info.sample_rate, info.channels) {
        let reason = format!(
            "expected {} channels at {} Hz throughout, got {channels} at {rate}",
            info.channels, info.sample_rate
        );
        return Err(Error::file(path, reason));
    }
    buffer.copy_to_vec_interleaved(interleaved);
    if interleaved.iter().any(|sample| !sample.is_finite()) {
        return Err(Error::file(path, "holds samples that are not finite numbers"));
    }
    let share = 1.0 / f32::from(channels);
    out.extend(
        interleaved.chunks_exact(channels.into()).map(|frame| frame.iter().sum::<f32>() * share),
    );
    Ok(())
}

/// What a file's header says, without decoding it.
///
/// # Errors
/// As [`AudioReader::open`].
pub fn probe(path: &Path) -> Result<AudioInfo> {
    Ok(AudioReader::open(path)?.info)
}

/// Reads a whole file at its own rate.
///
/// # Errors
/// As [`AudioReader::open`] and [`AudioReader::next_block`]; a file without any sample.
pub fn read(path: &Path) -> Result<AudioFile> {
    let mut reader = AudioReader::open(path)?;
    let mut samples = Vec::new();
    while reader.next_block(&mut samples)? {}
    Ok(AudioFile {
        audio: Audio { samples, sample_rate: reader.info.sample_rate },
        channels: reader.info.channels,
        notices: reader.notices(),
    })
}

/// Reads a whole file and resamples it to `sample_rate`.
///
/// # Errors
/// As [`read`] and [`Resampler::new`].
pub fn read_at(path: &Path, sample_rate: u32) -> Result<AudioFile> {
    let mut reader = AudioReader::open(path)?;
    let from = reader.info.sample_rate;
    let mut resampler =
        Resampler::new(from, sample_rate).map_err(|error| Error::file(path, error.to_string()))?;
    let (mut block, mut samples) = (Vec::new(), Vec::new());
    while reader.next_block(&mut block)? {
        resampler.push(&block, &mut samples)?;
        block.clear();
    }
    resampler.finish(&mut samples)?;
    let mut notices = reader.notices();
    if from != sample_rate {
        notices.push(format!("resampled from {from} to {sample_rate} Hz"));
    }
    Ok(AudioFile { audio: Audio { samples, sample_rate }, channels: reader.info.channels, notices })
}

fn unreadable(path: &Path, error: &DecodingError) -> Error {
    Error::file(path, format!("not readable as wav, AIFF, FLAC, Ogg Vorbis or MP3: {error}"))
}
