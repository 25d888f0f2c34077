//! Mels of one system turned into another's: what lets a voice render what a TTS front end was trained to
//! emit, without another training.
//!
//! Each frame's bands are spread over bins (as for Griffin-Lim), the spectrum is read at the other
//! system's frequencies, and frames are read between frames at the other system's times. Bands above the
//! source's highest frequency stay empty: a mel that ends at 8 kHz becomes sound that ends there.

use crate::griffin_lim::MelInverse;
use crate::mel::{Mel, MelConfig, filter_bank, hann_energy};
use crate::{Error, Result};

/// `mel` in the convention `to`: as many frames as its sound lasts there.
///
/// # Errors
/// A config that contradicts itself; a mel of no frame.
pub fn adapt(mel: &Mel, to: &MelConfig) -> Result<Mel> {
    mel.config.validate()?;
    to.validate()?;
    if mel.frames == 0 {
        return Err(Error::mismatch("mel", "at least one frame", "none"));
    }
    let from = &mel.config;
    let seconds = (mel.frames * from.hop) as f64 / f64::from(from.sample_rate);
    let frames = (seconds * f64::from(to.sample_rate) / to.hop as f64).round().max(1.0) as usize;
    let mut reader = Reader::new(mel, to);
    let bank = filter_bank(to);
    let bins = to.n_fft / 2 + 1;
    let gain = gain(from, to);
    let mut spectrum = vec![0f32; bins];
    let mut data = Vec::with_capacity(frames * to.n_mels);
    for frame in 0..frames {
        let s = centre_s(to, frame) - centre_s(from, 0);
        reader.read(s * f64::from(from.sample_rate) / from.hop as f64, &mut spectrum);
        for x in &mut spectrum {
            *x = (*x * gain).powi(to.power.exponent() as i32);
        }
        data.extend(bank.chunks(bins).map(|row| {
            let band: f32 = row.iter().zip(&spectrum).map(|(w, x)| w * x).sum();
            to.compress(band).clamp(to.min_value(), to.max_value())
        }));
    }
    Mel::new(to.clone(), data)
}

/// Reads spectra between the frames of a mel, at other frequencies than its own.
struct Reader<'a> {
    mel: &'a Mel,
    inverse: MelInverse,
    magnitudes: Vec<f32>,
    /// For each bin to read, where it lies among the mel's.
    places: Vec<f64>,
    /// The last two frames that were spread, each with its number.
    known: [(usize, Vec<f32>); 2],
}

impl<'a> Reader<'a> {
    fn new(mel: &'a Mel, to: &MelConfig) -> Self {
        let bin_hz = |config: &MelConfig| f64::from(config.sample_rate) / config.n_fft as f64;
        let ratio = bin_hz(to) / bin_hz(&mel.config);
        Self {
            inverse: MelInverse::new(&mel.config),
            magnitudes: vec![0.0; mel.config.n_fft / 2 + 1],
            places: (0..=to.n_fft / 2).map(|k| k as f64 * ratio).collect(),
            known: [(usize::MAX, Vec::new()), (usize::MAX, Vec::new())],
            mel,
        }
    }

    /// The spectrum at `place`, in frames.
    fn read(&mut self, place: f64, spectrum: &mut [f32]) {
        let last = self.mel.frames - 1;
        let place = place.clamp(0.0, last as f64);
        let (index, share) = (place.floor() as usize, place.fract() as f32);
        if self.known[1].0 == index {
            self.known.swap(0, 1);
        }
        self.spread(0, index);
        self.spread(1, (index + 1).min(last));
        let [(_, before), (_, after)] = &self.known;
        for ((out, a), b) in spectrum.iter_mut().zip(before).zip(after) {
            *out = a + share * (b - a);
        }
    }

    /// Sees that frame `frame` is in `known[at]`.
    fn spread(&mut self, at: usize, frame: usize) {
        if self.known[at].0 != frame {
            self.inverse.spread(self.mel.frame(frame), &mut self.magnitudes);
            let spread = self.places.iter().map(|&place| between(&self.magnitudes, place));
            self.known[at] = (frame, spread.collect());
        }
    }
}

/// `values` at a place between two of them; nothing lies beyond the last.
fn between(values: &[f32], place: f64) -> f32 {
    let (index, share) = (place.floor() as usize, place.fract() as f32);
    match (values.get(index), values.get(index + 1)) {
        (Some(a), Some(b)) => a + share * (b - a),
        (Some(a), None) if share == 0.0 => *a,
        _ => 0.0,
    }
}

/// The second at which a frame's window is centred.
fn centre_s(config: &MelConfig, frame: usize) -> f64 {
    let centre = (frame * config.hop + config.n_fft / 2) as f64 - config.pad() as f64;
    centre / f64::from(config.sample_rate)
}

/// What the magnitudes of a sound in one convention are multiplied with for another. Noise goes with the
/// root of rate times window energy; a tone, over all the bins that it fills, with the rate. The middle of
/// both errs by 2 % between 22.05 kHz with 1024 samples and 24 kHz with 1200.
fn gain(from: &MelConfig, to: &MelConfig) -> f32 {
    let rates = to.sample_rate as f32 / from.sample_rate as f32;
    let noise = (rates * hann_energy(to.window) / hann_energy(from.window)).sqrt();
    let gain = (noise * rates).sqrt();
    if to.unit_window { gain / hann_energy(to.window).sqrt() } else { gain }
}

#[cfg(test)]
mod tests;
