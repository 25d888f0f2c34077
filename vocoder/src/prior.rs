//! What the reverse chain starts from: unit noise, or noise shaped by the mel's energy.
//!
//! # The shaped prior, whitened
//!
//! PriorGrad (Lee et al. 2022) draws the noise with a standard deviation S per sample, taken from
//! the mel, so that the chain starts from something that has the loudness of the clip:
//! x_t = alpha_t x0 + sigma_t S e, e unit. Here the chain runs on u = x / S instead. Dividing by S,
//!
//! ```text
//! u_t = alpha_t u0 + sigma_t e        u0 = x0 / S
//! ```
//!
//! which is the standard process on u, with unit noise. A sampler's step is linear in x, the noise
//! prediction and fresh noise (see [`sampler`](crate::sampler)): dividing PriorGrad's step, with its
//! prediction S e and its fresh noise S z, by S gives the same step on u with e and z. So both run
//! the same chain, and PriorGrad's loss |S e - prediction|^2 / S^2 is the plain loss on e. A network
//! is given u and tells e; the sound is S u at the end.
//!
//! S of a sample depends on the two mel frames around it alone, so pieces of a clip get the values
//! of the whole, and streaming costs no more than [`Prior::NEIGHBOURS`] frame of look-ahead.
//!
//! # The spectral prior
//!
//! SpecGrad (Koizumi et al. 2022) shapes the noise by the mel's whole spectral envelope, not only by
//! its loudness, so that every band has the same ratio of signal to noise at every step and what is
//! left of the noise hides under the signal. Whitened as above, x = H u, where H is a filter that
//! moves with the mel. SpecGrad filters in the time-frequency domain, where H has no exact inverse;
//! here H is S times an all-pole filter of unit gain, a normalised lattice, whose inverse is exact
//! sample by sample, so that training whitens what rendering colours without loss.

mod spectral;

use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::mel::{Mel, MelConfig, MelPadding, Power, filter_bank, hann};
use crate::{Error, Result};
use spectral::{Envelope, Sections};

/// What the chain starts from, as a voice file says it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum PriorConfig {
    /// Unit noise at every sample (WaveGrad).
    Standard,
    /// Noise as loud as the mel says that the signal is (PriorGrad).
    Energy {
        /// The least deviation; 1e-3 is -60 dB of full scale.
        floor: f32,
    },
    /// Noise with the loudness and the spectral envelope that the mel says (after SpecGrad).
    Spectral {
        /// The least deviation of the whole signal; 1e-3 is -60 dB of full scale.
        floor: f32,
        /// Poles of the envelope: 1 to 256. 24 follow the formants; 100 and more also the harmonics
        /// that the mel resolves.
        order: usize,
        /// Width in Hz by which the envelope is smeared: 50 blurs single harmonics, 10 keeps them.
        #[serde(default = "default_smear_hz")]
        smear_hz: f32,
    },
}

impl PriorConfig {
    /// Checks the range.
    ///
    /// # Errors
    /// A floor outside (0, 1].
    pub fn validate(&self) -> Result<()> {
        match self {
            Self::Energy { floor } if !(*floor > 0.0 && *floor <= 1.0) => Err(Error::config(
                "prior floor",
                format!("expected above 0 and at most 1, got {floor}"),
            )),
            Self::Spectral { floor, order, smear_hz }
                if !(*floor > 0.0
                    && *floor <= 1.0
                    && (1..=MAX_ORDER).contains(order)
                    && (1.0..=1000.0).contains(smear_hz)) =>
            {
                Err(Error::config(
                    "spectral prior",
                    format!(
                        "expected a floor above 0 and at most 1, an order of 1 to {MAX_ORDER} and a \
                         smear of 1 to 1000 Hz, got {floor}, {order} and {smear_hz}"
                    ),
                ))
            }
            _ => Ok(()),
        }
    }
}

/// Most poles of a spectral prior: no more than the samples of the shortest hop in use, so that one
/// frame of lead-in fills the filter's memory.
const MAX_ORDER: usize = 256;

/// The smear of voices that don't name one.
fn default_smear_hz() -> f32 {
    50.0
}

/// What a spectral prior's filter remembers between pieces of a clip. New for each clip.
#[derive(Clone, Debug, Default)]
pub struct Memory(Vec<f32>);

/// The deviation S of one voice, worked out from its mel settings.
#[derive(Clone, Debug)]
pub struct Prior {
    config: PriorConfig,
    mel: MelConfig,
    /// Per band: what the square of its linear value (or the value, for [`Power::Energy`]) adds to
    /// the mean square of the signal.
    power_per_band: Vec<f32>,
    /// The envelope's filter, for spectral priors.
    envelope: Option<Envelope>,
}

impl Prior {
    /// Mel frames beside a sample's own, on either side, that its deviation may depend on.
    pub const NEIGHBOURS: usize = 1;

    /// Plans for mels of `mel`.
    ///
    /// # Errors
    /// Either config is out of range.
    pub fn new(config: PriorConfig, mel: &MelConfig) -> Result<Self> {
        config.validate()?;
        mel.validate()?;
        let envelope = match config {
            PriorConfig::Spectral { floor, order, smear_hz } => {
                Some(Envelope::new(mel, order, smear_hz, floor))
            }
            _ => None,
        };
        Ok(Self { config, power_per_band: power_per_band(mel), mel: mel.clone(), envelope })
    }

    /// Whether S alone makes x from u, sample by sample: so for all but spectral priors.
    pub fn is_pointwise(&self) -> bool {
        self.envelope.is_none()
    }

    /// Turns the signal x of `frames` into u, in place: `frames.len() * hop` samples.
    ///
    /// Pieces that follow each other share `memory`. A spectral prior's u depends on as many samples
    /// before it as the prior has poles, so a piece that starts elsewhere is right after these.
    ///
    /// # Errors
    /// As [`Prior::deviation`]; a signal of another length.
    pub fn whiten(
        &self,
        mel: &Mel,
        frames: Range<usize>,
        memory: &mut Memory,
        signal: &mut [f32],
    ) -> Result<()> {
        self.shape(mel, frames, memory, signal, |x, s, sections, memory| {
            spectral::analyse(x / s, sections, memory)
        })
    }

    /// Turns u of `frames` into the signal x, in place: the exact inverse of [`Prior::whiten`].
    ///
    /// # Errors
    /// As [`Prior::whiten`].
    pub fn colour(
        &self,
        mel: &Mel,
        frames: Range<usize>,
        memory: &mut Memory,
        signal: &mut [f32],
    ) -> Result<()> {
        self.shape(mel, frames, memory, signal, |u, s, sections, memory| {
            spectral::synthesise(u, sections, memory) * s
        })
    }

    fn shape(
        &self,
        mel: &Mel,
        frames: Range<usize>,
        memory: &mut Memory,
        signal: &mut [f32],
        one: impl Fn(f32, f32, &Sections, &mut [f32]) -> f32,
    ) -> Result<()> {
        let deviation = self.deviation(mel, frames.clone())?;
        if signal.len() != deviation.len() {
            let expected = format!("{} samples", deviation.len());
            return Err(Error::mismatch("prior: signal", expected, signal.len()));
        }
        let order = match self.config {
            PriorConfig::Spectral { order, .. } => order,
            _ => 0,
        };
        memory.0.resize(order, 0.0);
        let first = frames.start.saturating_sub(Self::NEIGHBOURS);
        let end = (frames.end + Self::NEIGHBOURS).min(mel.frames);
        let at_centres: Vec<Vec<f32>> =
            (first..end).map(|f| self.frame_shape(mel.frame(f)).1).collect();
        let mut sections = Sections::new(order);
        let hop = self.mel.hop;
        for (index, (value, s)) in signal.iter_mut().zip(&deviation).enumerate() {
            let (left, right, part) = self.between(frames.start + index / hop, index % hop);
            let centre = |frame: usize| &at_centres[frame.clamp(first, end - 1) - first];
            sections.set_between(centre(left), centre(right), part);
            *value = one(*value, *s, &sections, &mut memory.0);
        }
        Ok(())
    }

    /// Whether S is 1 everywhere, so that u = x.
    pub fn is_standard(&self) -> bool {
        self.config == PriorConfig::Standard
    }

    /// S for the samples of `frames`, `frames.len() * hop` of them, from sample `frames.start * hop`
    /// on. Linear between the centres of the frames, and constant beyond the first and the last.
    ///
    /// Equal, bit for bit, for any mel that holds the same [`Prior::NEIGHBOURS`] around `frames`.
    ///
    /// # Errors
    /// `mel` was made with other settings, or has not all of `frames`.
    pub fn deviation(&self, mel: &Mel, frames: Range<usize>) -> Result<Vec<f32>> {
        self.mel.expect(&mel.config)?;
        if frames.start > frames.end || frames.end > mel.frames {
            let expected = format!("frames within 0..{}", mel.frames);
            return Err(Error::mismatch("prior", expected, format!("{frames:?}")));
        }
        let hop = self.mel.hop;
        if self.is_standard() || frames.is_empty() {
            return Ok(vec![1.0; frames.len() * hop]);
        }
        let first = frames.start.saturating_sub(Self::NEIGHBOURS);
        let end = (frames.end + Self::NEIGHBOURS).min(mel.frames);
        let at_centres: Vec<f32> = (first..end).map(|f| self.of_frame(mel.frame(f))).collect();
        let value = |frame: usize| at_centres[frame.clamp(first, end - 1) - first];

        let mut out = Vec::with_capacity(frames.len() * hop);
        for frame in frames {
            for offset in 0..hop {
                let (left, right, part) = self.between(frame, offset);
                out.push(value(left) + (value(right) - value(left)) * part);
            }
        }
        Ok(out)
    }

    /// S at the centre of a frame with these `n_mels` values: the signal's root mean square as far
    /// as the mel shows it, not below the floor. Of white noise and of harmonic tones it is within
    /// 2 dB.
    pub fn of_frame(&self, frame: &[f32]) -> f32 {
        self.frame_shape(frame).0
    }

    /// S at the centre of a frame, and the reflection coefficients there (none but for spectral
    /// priors).
    fn frame_shape(&self, frame: &[f32]) -> (f32, Vec<f32>) {
        let shares = frame.iter().zip(&self.power_per_band).map(|(&value, &weight)| {
            let linear = self.mel.expand(value);
            weight * if self.mel.power == Power::Energy { linear } else { linear * linear }
        });
        match (self.config, &self.envelope) {
            (PriorConfig::Energy { floor }, _) => (shares.sum::<f32>().sqrt().max(floor), vec![]),
            (_, Some(envelope)) => envelope.of_bands(&shares.collect::<Vec<f32>>()),
            _ => (1.0, vec![]),
        }
    }

    /// The two frames whose centres lie around sample `offset` of hop `frame`, and how far it is on
    /// the way from the one to the other.
    fn between(&self, frame: usize, offset: usize) -> (usize, usize, f32) {
        let hop = self.mel.hop as f32;
        // In hops, from the centre of `frame`.
        let distance = match self.mel.padding {
            MelPadding::Centre => offset as f32 / hop,
            MelPadding::HifiGan => offset as f32 / hop - 0.5,
        };
        if distance < 0.0 {
            (frame.saturating_sub(1), frame, 1.0 + distance)
        } else {
            (frame, frame + 1, distance)
        }
    }
}

/// The weights of [`Prior::of_frame`].
///
/// A band's linear value over the sum of its weights is the mean magnitude (or energy) of the bins
/// that it covers. It stands for `bins` of them, half the base of its triangle, and all bands
/// together for those between `f_min_hz` and `f_max_hz`, once. Parseval, one-sided: the mean square
/// of a signal of energy E = sum |X_k|^2 is 2 E / (n_fft sum w^2), w being the window.
fn power_per_band(config: &MelConfig) -> Vec<f32> {
    let bins = config.n_fft / 2 + 1;
    let bank = filter_bank(config);
    let sum = |band: &[f32]| band.iter().map(|&w| f64::from(w)).sum::<f64>();
    let stands_for = |band: &[f32]| {
        let peak = band.iter().fold(0.0, |peak: f32, &w| peak.max(w));
        if peak > 0.0 { sum(band) / f64::from(peak) } else { 0.0 }
    };
    let claimed: f64 = bank.chunks(bins).map(stands_for).sum();
    let hz = f64::from(config.f_max_hz) - f64::from(config.f_min_hz);
    let covered = hz * config.n_fft as f64 / f64::from(config.sample_rate);

    let window_energy: f64 = if config.unit_window {
        1.0
    } else {
        hann(config.window).iter().map(|&w| f64::from(w).powi(2)).sum()
    };
    let parseval = 2.0 / (config.n_fft as f64 * window_energy);
    let per_band = |band: &[f32]| {
        let sum = sum(band);
        if sum == 0.0 {
            return 0.0;
        }
        let to_energy = sum.powi(if config.power == Power::Energy { 1 } else { 2 });
        (parseval * stands_for(band) * covered / claimed / to_energy) as f32
    };
    bank.chunks(bins).map(per_band).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::mel::MelExtractor;
    use crate::noise::Noise;
    use crate::sampler::{Clip, Sampler, SamplerKind};
    use crate::schedule::{Schedule, sigma};
    use proptest::prelude::*;

    const ENERGY: PriorConfig = PriorConfig::Energy { floor: 1e-3 };

    fn noise(seed: u64, length: usize) -> Vec<f32> {
        let mut out = vec![0.0; length];
        Noise::new(seed).fill(0, 0, &mut out);
        out
    }

    fn rms(x: &[f32]) -> f32 {
        (x.iter().map(|x| x * x).sum::<f32>() / x.len() as f32).sqrt()
    }

    /// Harmonics of 200 Hz falling by 6 dB an octave, up to 5 kHz.
    fn tone(config: &MelConfig, length: usize) -> Vec<f32> {
        let step = std::f32::consts::TAU * 200.0 / config.sample_rate as f32;
        let harmonic = |i: usize, h: usize| ((step * (h * i) as f32) + h as f32).sin() / h as f32;
        (0..length).map(|i| (1..=25).map(|h| harmonic(i, h)).sum()).collect()
    }

    #[test]
    fn deviation_is_the_level_of_noise_and_tones() {
        for name in MelConfig::PRESETS {
            let config = MelConfig::preset(name).unwrap();
            let prior = Prior::new(ENERGY, &config).unwrap();
            let length = 40 * config.hop;
            for (what, mut signal) in [("noise", noise(3, length)), ("tone", tone(&config, length))]
            {
                let level = rms(&signal);
                // Of the noise the mel hears what its bands cover.
                let width = (config.f_max_hz - config.f_min_hz) / (config.sample_rate as f32 / 2.0);
                let heard = if what == "noise" { width.sqrt() } else { 1.0 };
                for target in [0.3, 0.01] {
                    signal.iter_mut().for_each(|x| *x *= target / level);
                    let mel = MelExtractor::new(&config).unwrap().extract(&signal).unwrap();
                    let deviation = prior.deviation(&mel, 8..32).unwrap();
                    let error_db = 20.0 * (rms(&deviation) / (heard * rms(&signal))).log10();
                    assert!(error_db.abs() < 2.0, "{name} {what} {target}: {error_db:.2} dB");
                    signal.iter_mut().for_each(|x| *x *= level / target);
                }
            }
        }
    }

    fn some_mel(config: &MelConfig, frames: usize) -> Mel {
        let (low, high) = (config.min_value(), config.max_value());
        let value = |x: f32| (low + (high - low) * (0.5 + 0.2 * x)).clamp(low, high);
        let data = noise(4, frames * config.n_mels).into_iter().map(value).collect();
        Mel::new(config.clone(), data).unwrap()
    }

    fn configs() -> [MelConfig; 2] {
        ["wavegrad-24k", "hifigan-22k"].map(|name| MelConfig::preset(name).unwrap())
    }

    #[test]
    fn deviation_is_linear_between_the_centres_and_constant_beyond() {
        for config in configs() {
            let prior = Prior::new(ENERGY, &config).unwrap();
            let mel = some_mel(&config, 3);
            let s: Vec<f32> = (0..3).map(|f| prior.of_frame(mel.frame(f))).collect();
            let deviation = prior.deviation(&mel, 0..3).unwrap();
            let hop = config.hop;
            assert_eq!(deviation.len(), 3 * hop);
            let centre = if config.padding == MelPadding::Centre { 0 } else { hop / 2 };
            for f in 0..3 {
                assert_eq!(deviation[f * hop + centre], s[f]);
            }
            let half = deviation[centre + hop / 2];
            assert!((half / (0.5 * (s[0] + s[1])) - 1.0).abs() < 1e-6);
            assert!(deviation[..=centre].iter().all(|&d| d == s[0]));
            assert!(deviation[2 * hop + centre..].iter().all(|&d| d == s[2]));
        }
    }

    proptest! {
        #[test]
        fn pieces_equal_the_whole(start in 0usize..20, length in 0usize..20) {
            for config in configs() {
                let prior = Prior::new(ENERGY, &config).unwrap();
                let mel = some_mel(&config, 20);
                let whole = prior.deviation(&mel, 0..20).unwrap();
                let end = (start + length).min(20);
                let samples = start * config.hop..end * config.hop;
                prop_assert_eq!(&prior.deviation(&mel, start..end).unwrap(), &whole[samples.clone()]);

                // The same from a mel that holds no more than the neighbours.
                let (first, last) = (start.saturating_sub(1), (end + 1).min(20));
                let bands = first * config.n_mels..last * config.n_mels;
                let part = Mel::new(config.clone(), mel.data[bands].to_vec()).unwrap();
                let piece = prior.deviation(&part, start - first..end - first).unwrap();
                prop_assert_eq!(&piece, &whole[samples]);
            }
        }
    }

    /// One step of PriorGrad's chain, x with noise S e, in f64, against one of ours on u = x / S.
    #[test]
    fn whitened_chain_is_priorgrads() {
        let (t, s) = (0.3f64, 0.7f64);
        let deviation: Vec<f32> = noise(1, 64).iter().map(|x| 0.02 + 0.2 * x.abs()).collect();
        let [x, e_hat, z] = [11, 12, 13].map(|seed| noise(seed, 64));
        let mut u: Vec<f32> = x.iter().zip(&deviation).map(|(x, d)| x / d).collect();
        Sampler::new(SamplerKind::Ancestral, &Schedule::explicit([t, s]).unwrap(), Clip::None)
            .advance(0, &mut u, &e_hat, &z)
            .unwrap();
        for i in 0..64 {
            let [d, x, e_hat, z] = [deviation[i], x[i], e_hat[i], z[i]].map(f64::from);
            let a = (t / s).powi(2);
            let mean = (x - (1.0 - a) / sigma(t) * (d * e_hat)) / a.sqrt();
            let priorgrad = mean + (sigma(s).powi(2) / sigma(t).powi(2) * (1.0 - a)).sqrt() * d * z;
            assert!((d * f64::from(u[i]) - priorgrad).abs() < 1e-5);
        }
    }

    /// The whole way of a spectral prior: from a signal to u and back, in pieces, and u is white.
    #[test]
    fn a_spectral_prior_whitens_and_colours_without_loss() {
        for (config, (order, smear_hz)) in
            configs().into_iter().flat_map(|c| [(c.clone(), (24, 50.0)), (c, (128, 12.0))])
        {
            let prior = PriorConfig::Spectral { floor: 1e-3, order, smear_hz };
            let prior = Prior::new(prior, &config).unwrap();
            let frames = 40;
            let mut signal: Vec<f32> = tone(&config, frames * config.hop);
            let breath = noise(9, signal.len());
            // Sound, then softer sound, with a little noise low-passed at half the band.
            for (i, value) in signal.iter_mut().enumerate() {
                let fade = if i > 6000 { 0.02 } else { 0.2 };
                *value = fade * (*value + 0.1 * (breath[i] + breath[i.saturating_sub(1)]));
            }
            let mel = MelExtractor::new(&config).unwrap().extract(&signal).unwrap();
            let mut white = signal.clone();
            prior.whiten(&mel, 0..frames, &mut Memory::default(), &mut white).unwrap();

            let inner = &white[2 * config.hop..38 * config.hop];
            assert!((0.4..2.5).contains(&rms(inner)), "{}", rms(inner));
            let ratio = |x: &[f32]| {
                let rough: Vec<f32> = x.windows(2).map(|pair| pair[1] - pair[0]).collect();
                rms(&rough) / rms(x)
            };
            // White noise has sqrt(2); the signal is far smoother.
            assert!(
                ratio(inner) > 1.0 && ratio(&signal) < 0.5,
                "{} {}",
                ratio(inner),
                ratio(&signal)
            );

            let mut memory = Memory::default();
            let mut back = white.clone();
            let cut = 13 * config.hop;
            prior.colour(&mel, 0..13, &mut memory, &mut back[..cut]).unwrap();
            prior.colour(&mel, 13..frames, &mut memory, &mut back[cut..]).unwrap();
            let worst = back.iter().zip(&signal).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(worst < 1e-4, "{worst}");

            // A piece that starts elsewhere is right once the filter is filled.
            let mut piece = signal[cut..].to_vec();
            prior.whiten(&mel, 13..frames, &mut Memory::default(), &mut piece).unwrap();
            let whole = &white[cut + order..];
            assert!(piece[order..].iter().zip(whole).all(|(a, b)| (a - b).abs() < 1e-3));
        }
    }

    #[test]
    fn floor_and_standard_prior() {
        let [config, _] = configs();
        let silence =
            Mel::new(config.clone(), vec![config.min_value(); 2 * config.n_mels]).unwrap();
        let deviation =
            |prior| Prior::new(prior, &config).unwrap().deviation(&silence, 0..2).unwrap();
        assert_eq!(deviation(PriorConfig::Energy { floor: 0.25 }), [0.25; 600]);
        assert_eq!(deviation(PriorConfig::Standard), [1.0; 600]);
    }

    #[test]
    fn wrong_settings_are_refused() {
        let [config, other] = configs();
        for floor in [0.0, -1.0, 1.5, f32::NAN] {
            assert!(Prior::new(PriorConfig::Energy { floor }, &config).is_err());
        }
        for (floor, order, smear_hz) in
            [(0.0, 24, 50.0), (1e-3, 0, 50.0), (1e-3, 257, 50.0), (1e-3, 24, f32::NAN)]
        {
            assert!(Prior::new(PriorConfig::Spectral { floor, order, smear_hz }, &config).is_err());
        }
        let prior = Prior::new(ENERGY, &config).unwrap();
        assert!(prior.deviation(&some_mel(&other, 2), 0..1).is_err());
        let message = prior.deviation(&some_mel(&config, 2), 1..3).unwrap_err().to_string();
        assert_eq!(message, "prior: expected frames within 0..2, got 1..3");
    }
}
