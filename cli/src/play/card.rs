//! Sound cards by cpal.

use anyhow::{Context, Result, anyhow, bail};
use cpal::traits::{DeviceTrait, HostTrait, StreamTrait};
use cpal::{Device, FromSample, Sample, SampleFormat, SizedSample, Stream, StreamConfig};

/// A card that is ready to be opened.
pub struct Card {
    device: Device,
    config: StreamConfig,
    format: SampleFormat,
    /// As the system calls it.
    pub name: String,
}

impl Card {
    /// The card to play on: the default one, or the first whose name holds `part`.
    ///
    /// # Errors
    /// None answers, or none of that name.
    pub fn output(part: Option<&str>) -> Result<Self> {
        let host = cpal::default_host();
        let device = match part {
            None => host.default_output_device().context("no sound card to play on was found")?,
            Some(part) => named(host.output_devices()?, part, "--output")?,
        };
        let supported = device.default_output_config().context("the sound card")?;
        Ok(Self::new(device, supported.config(), supported.sample_format()))
    }

    /// The card to listen to at `rate` samples a second.
    ///
    /// # Errors
    /// None answers, none of that name, or none at that rate.
    pub fn input(part: Option<&str>, rate: u32) -> Result<Self> {
        let host = cpal::default_host();
        let device = match part {
            None => host.default_input_device().context("no microphone was found")?,
            Some(part) => named(host.input_devices()?, part, "--input")?,
        };
        let supported = device
            .supported_input_configs()
            .context("the microphone")?
            .filter(|range| range.min_sample_rate() <= rate && rate <= range.max_sample_rate())
            .max_by_key(|range| range.sample_format() == SampleFormat::F32)
            .with_context(|| format!("the microphone has no mode of {rate} samples a second"))?
            .with_sample_rate(rate);
        Ok(Self::new(device, supported.config(), supported.sample_format()))
    }

    fn new(device: Device, config: StreamConfig, format: SampleFormat) -> Self {
        let name = device.description().map_or("unnamed".into(), |about| about.name().to_string());
        Self { device, config, format, name }
    }

    /// Samples a second.
    pub fn rate(&self) -> u32 {
        self.config.sample_rate
    }

    /// Plays what `fill` writes, one channel that all hear, until the stream is dropped.
    ///
    /// # Errors
    /// The card can't be opened.
    pub fn play(self, fill: impl FnMut(&mut [f32]) + Send + 'static) -> Result<Stream> {
        match self.format {
            SampleFormat::F32 => self.play_as::<f32>(fill),
            SampleFormat::I32 => self.play_as::<i32>(fill),
            SampleFormat::I16 => self.play_as::<i16>(fill),
            SampleFormat::U16 => self.play_as::<u16>(fill),
            other => bail!("{}: expected samples of f32, i32, i16 or u16, got {other}", self.name),
        }
    }

    fn play_as<S: SizedSample + FromSample<f32>>(
        self,
        mut fill: impl FnMut(&mut [f32]) + Send + 'static,
    ) -> Result<Stream> {
        let channels = usize::from(self.config.channels).max(1);
        // Large enough for the callbacks that are seen; a longer one is filled in parts.
        let mut block = vec![0f32; 4096];
        let write = move |out: &mut [S], _: &cpal::OutputCallbackInfo| {
            for part in out.chunks_mut(block.len() * channels) {
                let mono = &mut block[..part.len() / channels];
                fill(mono);
                for (frame, sample) in part.chunks_mut(channels).zip(mono) {
                    frame.fill(S::from_sample(*sample));
                }
            }
        };
        let name = self.name.clone();
        let stream = self
            .device
            .build_output_stream(&self.config, write, complain(&name), None)
            .map_err(|error| anyhow!("{name}: {error}"))?;
        stream.play().map_err(|error| anyhow!("{name}: {error}"))?;
        Ok(stream)
    }

    /// Gives each sample of the first channel to `take`, until the stream is dropped.
    ///
    /// # Errors
    /// The card can't be opened.
    pub fn listen(self, take: impl FnMut(f32) + Send + 'static) -> Result<Stream> {
        match self.format {
            SampleFormat::F32 => self.listen_as::<f32>(take),
            SampleFormat::I32 => self.listen_as::<i32>(take),
            SampleFormat::I16 => self.listen_as::<i16>(take),
            SampleFormat::U16 => self.listen_as::<u16>(take),
            other => bail!("{}: expected samples of f32, i32, i16 or u16, got {other}", self.name),
        }
    }

    fn listen_as<S: SizedSample>(self, mut take: impl FnMut(f32) + Send + 'static) -> Result<Stream>
    where
        f32: FromSample<S>,
    {
        let channels = usize::from(self.config.channels).max(1);
        let read = move |samples: &[S], _: &cpal::InputCallbackInfo| {
            samples.iter().step_by(channels).for_each(|sample| take(f32::from_sample(*sample)));
        };
        let name = self.name.clone();
        let stream = self
            .device
            .build_input_stream(&self.config, read, complain(&name), None)
            .map_err(|error| anyhow!("{name}: {error}"))?;
        stream.play().map_err(|error| anyhow!("{name}: {error}"))?;
        Ok(stream)
    }
}

/// The first of `devices` whose name holds `part`.
fn named(devices: impl Iterator<Item = Device>, part: &str, flag: &str) -> Result<Device> {
    let mut known = Vec::new();
    for device in devices {
        let name = device.description().map_or("unnamed".into(), |about| about.name().to_string());
        if name.to_lowercase().contains(&part.to_lowercase()) {
            return Ok(device);
        }
        known.push(name);
    }
    bail!("{flag} {part}: expected a part of the name of a sound card ({})", known.join(", "))
}

/// Says what went wrong while a stream runs.
fn complain(name: &str) -> impl FnMut(cpal::StreamError) + Send + 'static {
    let name = name.to_string();
    move |error| eprintln!("{name}: {error}")
}
