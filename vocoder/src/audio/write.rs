//! Writing wav files, which appear whole or not at all.

use std::fs::File;
use std::io::BufWriter;
use std::path::Path;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use serde::{Deserialize, Serialize};

use crate::output_file::OutputFile;
use crate::{Error, Result};

/// How a sample is stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WavFormat {
    /// 16-bit integers, with triangular dither of one step either way.
    #[default]
    Pcm16,
    /// 24-bit integers, rounded: their steps lie below any audible noise.
    Pcm24,
    /// 32-bit floats, as they are: nothing is clipped.
    F32,
}

impl WavFormat {
    /// The format called `pcm16`, `pcm24` or `f32`.
    ///
    /// # Errors
    /// Another name.
    pub fn parse(name: &str) -> Result<Self> {
        match name {
            "pcm16" => Ok(WavFormat::Pcm16),
            "pcm24" => Ok(WavFormat::Pcm24),
            "f32" => Ok(WavFormat::F32),
            _ => Err(Error::mismatch("wav format", "one of pcm16, pcm24, f32", name)),
        }
    }

    fn bits(self) -> u16 {
        match self {
            WavFormat::Pcm16 => 16,
            WavFormat::Pcm24 => 24,
            WavFormat::F32 => 32,
        }
    }
}

/// What became of a written file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WavSummary {
    /// Samples written.
    pub samples: u64,
    /// Samples beyond full scale that were clipped to it. Always 0 for [`WavFormat::F32`].
    pub clipped: u64,
}

/// Most bytes of samples that the format's 32-bit lengths leave room for.
const MAX_DATA_BYTES: u64 = u32::MAX as u64 - 1024;

/// Writes one channel, piece by piece. Only [`WavWriter::finish`] makes the file appear; dropped
/// before that, it leaves nothing.
pub struct WavWriter {
    /// Before `file`: it has to be dropped while the temporary file is still there.
    wav: hound::WavWriter<BufWriter<File>>,
    file: OutputFile,
    format: WavFormat,
    dither: ChaCha8Rng,
    summary: WavSummary,
}

impl WavWriter {
    /// Begins `path`. The same samples and `dither_seed` give the same file, whatever the pieces.
    ///
    /// # Errors
    /// A rate of 0, or a path that can't be written.
    pub fn create(
        path: &Path,
        sample_rate: u32,
        format: WavFormat,
        dither_seed: u64,
    ) -> Result<Self> {
        if sample_rate == 0 {
            return Err(Error::mismatch("sample rate", "above 0", 0));
        }
        let spec = hound::WavSpec {
            channels: 1,
            sample_rate,
            bits_per_sample: format.bits(),
            sample_format: match format {
                WavFormat::F32 => hound::SampleFormat::Float,
                _ => hound::SampleFormat::Int,
            },
        };
        let file = OutputFile::create(path)?;
        let wav =
            hound::WavWriter::new(file.writer()?, spec).map_err(|error| failed(path, error))?;
        Ok(WavWriter {
            wav,
            file,
            format,
            dither: ChaCha8Rng::seed_from_u64(dither_seed),
            summary: WavSummary { samples: 0, clipped: 0 },
        })
    }

    /// Appends `samples`; full scale is [-1, 1].
    ///
    /// # Errors
    /// A sample that is not a finite number, more than wav can hold (4 GiB), or a full disk.
    pub fn push(&mut self, samples: &[f32]) -> Result<()> {
        let total = self.summary.samples + samples.len() as u64;
        if total * u64::from(self.format.bits() / 8) > MAX_DATA_BYTES {
            return Err(Error::file(self.file.path(), "a wav file cannot hold more than 4 GiB"));
        }
        for (index, &sample) in samples.iter().enumerate() {
            if !sample.is_finite() {
                let what = format!("output sample {}", self.summary.samples + index as u64);
                return Err(Error::mismatch(what, "a finite number", sample));
            }
            let written = match self.format {
                WavFormat::Pcm16 => {
                    let dither = triangular(&mut self.dither);
                    self.wav.write_sample(quantise(sample, 16, dither))
                }
                WavFormat::Pcm24 => self.wav.write_sample(quantise(sample, 24, 0.0)),
                WavFormat::F32 => self.wav.write_sample(sample),
            };
            written.map_err(|error| failed(self.file.path(), error))?;
            if self.format != WavFormat::F32 && sample.abs() > 1.0 {
                self.summary.clipped += 1;
            }
        }
        self.summary.samples = total;
        Ok(())
    }

    /// Completes the header, brings the file to disk and gives it its name.
    ///
    /// # Errors
    /// A full disk, or a name that can't be given.
    pub fn finish(self) -> Result<WavSummary> {
        self.wav.finalize().map_err(|error| failed(self.file.path(), error))?;
        self.file.finish()?;
        Ok(self.summary)
    }
}

/// Writes a whole file: see [`WavWriter`].
///
/// # Errors
/// As [`WavWriter::create`], [`WavWriter::push`] and [`WavWriter::finish`].
pub fn write_wav(
    path: &Path,
    samples: &[f32],
    sample_rate: u32,
    format: WavFormat,
    dither_seed: u64,
) -> Result<WavSummary> {
    let mut writer = WavWriter::create(path, sample_rate, format, dither_seed)?;
    writer.push(samples)?;
    writer.finish()
}

/// The integer of `bits` bits nearest to `sample` plus `dither` steps, clipped.
fn quantise(sample: f32, bits: u32, dither: f64) -> i32 {
    let full_scale = f64::from(1u32 << (bits - 1));
    (f64::from(sample) * full_scale + dither).round().clamp(-full_scale, full_scale - 1.0) as i32
}

/// The difference of two uniform numbers: triangular over (-1, 1). It makes the rounding error's
/// mean and power independent of the signal (Lipshitz, Wannamaker, Vanderkooy 1992).
fn triangular(source: &mut ChaCha8Rng) -> f64 {
    let [first, second] = [source.next_u32(), source.next_u32()].map(f64::from);
    (first - second) / f64::from(u32::MAX)
}

fn failed(path: &Path, error: hound::Error) -> Error {
    match error {
        hound::Error::IoError(source) => Error::io(path, source),
        other => Error::file(path, other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::audio;

    fn ramp() -> Vec<f32> {
        (0..4_001).map(|i| i as f32 / 2_000.0 - 1.0).collect()
    }

    #[test]
    fn each_format_comes_back_within_its_step() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ramp.wav");
        // Dither adds up to one step to rounding's half.
        let steps = [
            (WavFormat::Pcm16, 1.5 / 32_768.0),
            (WavFormat::Pcm24, 0.5 / 8_388_608.0 + 1e-7),
            (WavFormat::F32, 0.0),
        ];
        for (format, tolerance) in steps {
            let summary = write_wav(&path, &ramp(), 24_000, format, 1).unwrap();
            assert_eq!(summary, WavSummary { samples: 4_001, clipped: 0 });
            let file = audio::read(&path).unwrap();
            assert_eq!((file.audio.sample_rate, file.channels), (24_000, 1));
            let worst = file.audio.samples.iter().zip(ramp());
            let worst = worst.map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(worst <= tolerance, "{format:?}: {worst}");
        }
    }

    #[test]
    fn clipping_is_counted_and_floats_are_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("loud.wav");
        let loud = [0.5, 1.5, -2.0, 1.0];
        assert_eq!(write_wav(&path, &loud, 8_000, WavFormat::Pcm24, 0).unwrap().clipped, 2);
        let clipped = audio::read(&path).unwrap().audio.samples;
        assert!((clipped[1] - 1.0).abs() < 1e-6 && clipped[2] == -1.0);
        assert_eq!(write_wav(&path, &loud, 8_000, WavFormat::F32, 0).unwrap().clipped, 0);
        assert_eq!(audio::read(&path).unwrap().audio.samples, loud);
    }

    #[test]
    fn dither_is_unbiased_seeded_and_independent_of_the_pieces() {
        let folder = tempfile::tempdir().unwrap();
        let bytes = |seed: u64, piece: usize| {
            let path = folder.path().join("faint.wav");
            let mut writer = WavWriter::create(&path, 24_000, WavFormat::Pcm16, seed).unwrap();
            // A third of a step: plain rounding would give silence.
            vec![0.3 / 32_768.0; 30_000].chunks(piece).for_each(|p| writer.push(p).unwrap());
            writer.finish().unwrap();
            std::fs::read(&path).unwrap()
        };
        assert_eq!(bytes(7, 30_000), bytes(7, 11));
        assert_ne!(bytes(7, 30_000), bytes(8, 30_000));
        let mean = audio::read(&folder.path().join("faint.wav")).unwrap().audio.samples;
        let mean = mean.iter().map(|&s| f64::from(s) * 32_768.0).sum::<f64>() / 30_000.0;
        // The error's deviation is half a step; 30 000 samples bring the mean's to 0.003.
        assert!((mean - 0.3).abs() < 0.015, "{mean}");
    }

    #[test]
    fn an_unfinished_or_failed_file_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out.wav");
        let mut writer = WavWriter::create(&path, 24_000, WavFormat::Pcm16, 0).unwrap();
        writer.push(&[0.1; 10_000]).unwrap();
        drop(writer);
        assert!(write_wav(&path, &[0.0, f32::NAN], 24_000, WavFormat::F32, 0).is_err());
        assert!(write_wav(&path, &[0.0], 0, WavFormat::F32, 0).is_err());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
