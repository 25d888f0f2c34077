//! Mel to sound without a network: the baseline that a voice has to beat.
//!
//! The mel's bands are spread over the bins again (non-negative least squares), and phases are
//! sought for those magnitudes by fast Griffin-Lim (Perraudin, Balazs & Søndergaard 2013), which
//! with momentum 0 is the original (Griffin & Lim 1984).
//!
//! Or the search is held to the mel alone ([`Hold::Mel`]): magnitudes and phases are sought together, as
//! Masuyama, Ueno & Ono (2025, arXiv 2501.05557) do by another algorithm. A mel does not say how a band is
//! spread over its bins; that a sound has these spectra does.

mod aim;
mod magnitudes;
mod online;

use realfft::num_complex::Complex32;

use crate::mel::{Mel, MelConfig};
use crate::noise::Noise;
use crate::stft::Stft;
use crate::{Error, Result};
use aim::{Aim, with_magnitude};
pub(crate) use magnitudes::MelInverse;
pub(crate) use online::Online;

/// Settings of Griffin-Lim.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GriffinLim {
    /// How often the phases are improved; 0 leaves them random. 32 by default.
    pub iterations: usize,
    /// Perraudin's alpha, 0 to below 1: 0.99 by default, 0 for plain Griffin-Lim.
    pub momentum: f32,
    /// Fixes the phases that it starts from.
    pub seed: u64,
    /// What each round gives the spectra back.
    pub hold: Hold,
}

/// What a round of the search gives the spectra back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Hold {
    /// The magnitudes of all bins, as the filter bank's inverse has them: Griffin-Lim as it is known.
    #[default]
    Magnitudes,
    /// The values of the mel's bands; within a band each bin keeps its share.
    Mel,
}

impl Default for GriffinLim {
    fn default() -> Self {
        Self { iterations: 32, momentum: 0.99, seed: 0, hold: Hold::Magnitudes }
    }
}

impl GriffinLim {
    /// The sound of `mel`: `frames * hop` samples at its rate, the same for the same settings.
    ///
    /// Holds all spectra at once: about 20 bytes a bin, 1.6 MB for a second at the default settings.
    ///
    /// # Errors
    /// The momentum is out of range, or the mel has no frame or an invalid config.
    pub fn render(&self, mel: &Mel) -> Result<Vec<f32>> {
        self.render_from(mel, 0)
    }

    /// As [`GriffinLim::render`], of a piece of a clip that begins at the clip's frame `first`.
    ///
    /// Equal, bit for bit, to the same part of the whole clip's sound from [`GriffinLim::reach`]
    /// frames inside the piece on: phases start from noise indexed by frame, and each round looks
    /// one window further.
    ///
    /// # Errors
    /// As [`GriffinLim::render`].
    pub fn render_from(&self, mel: &Mel, first: usize) -> Result<Vec<f32>> {
        if !(0.0..1.0).contains(&self.momentum) {
            let what = "Griffin-Lim momentum";
            return Err(Error::mismatch(what, "0 to below 1", self.momentum));
        }
        if mel.frames == 0 {
            return Err(Error::mismatch("mel", "at least one frame", "none"));
        }
        mel.config.validate()?;
        Ok(Search::new(self, mel, first).run(
            self.iterations,
            &mel.config,
            mel.frames * mel.config.hop,
        ))
    }
}

impl GriffinLim {
    /// Rounds that begin with the phases of `sound`, which is near `mel`'s already (`frames * hop`
    /// samples): keeps what phases say, and gives each frame the mel's magnitudes.
    ///
    /// # Errors
    /// As [`GriffinLim::render`]; a sound of another length.
    pub fn refine(&self, mel: &Mel, sound: &[f32]) -> Result<Vec<f32>> {
        let length = mel.frames * mel.config.hop;
        if mel.frames == 0 || sound.len() != length {
            return Err(Error::mismatch(
                "sound to refine",
                format!("{length} samples"),
                sound.len(),
            ));
        }
        let mut search = Search::new(self, mel, 0);
        // Frame 0 begins `pad` samples before the clip does.
        let pad = mel.config.pad();
        search.padded.fill(0.0);
        search.padded.iter_mut().skip(pad).zip(sound).for_each(|(to, from)| *to = *from);
        search.improve();
        Ok(search.run(self.iterations.saturating_sub(1), &mel.config, length))
    }

    /// As [`GriffinLim::render`], frame by frame with `ahead` frames of look-ahead, as a stream would
    /// have it (RTISI-LA, Zhu et al. 2007); with a momentum of 0.95, whatever the settings say.
    ///
    /// # Errors
    /// As [`GriffinLim::render`].
    pub fn render_online(&self, mel: &Mel, ahead: usize) -> Result<Vec<f32>> {
        if mel.frames == 0 {
            return Err(Error::mismatch("mel", "at least one frame", "none"));
        }
        mel.config.validate()?;
        // A whisper: it tells phases where there is nothing before to go on from, and there only.
        let mut noise = vec![0.0; mel.frames * mel.config.hop];
        Noise::new(self.seed).fill(0, 0, &mut noise);
        noise.iter_mut().for_each(|v| *v *= 1e-6);
        let mut out = Vec::with_capacity(noise.len());
        let mut online = Online::new(&mel.config, self.iterations, ahead, 0, self.hold);
        online.push(&mel.data, &noise, true, &mut out);
        Ok(out)
    }

    /// Frames beside a sample's own, on either side, that its value depends on after `iterations`
    /// rounds: in each, and in the last synthesis, those whose windows overlap.
    pub fn reach(iterations: usize, mel: &MelConfig) -> usize {
        (iterations + 1) * mel.window.div_ceil(mel.hop)
    }
}

/// The search for phases. Spectra are `[frames][bins]`.
struct Search {
    stft: Stft,
    frames: usize,
    momentum: f32,
    aim: Aim,
    /// `[frames][n_mels]`: see [`MelInverse::target`].
    targets: Vec<f32>,
    magnitudes: Vec<f32>,
    /// See [`aim::Frame`].
    spectra: Vec<Complex32>,
    before: Vec<Complex32>,
    /// Of the padded sound, for [`Stft::add`].
    gains: Vec<f32>,
    padded: Vec<f32>,
}

impl Search {
    fn new(settings: &GriffinLim, mel: &Mel, first: usize) -> Self {
        let config = &mel.config;
        let stft = Stft::new(config.n_fft, config.hop, config.window);
        let (frames, bins) = (mel.frames, stft.bins());
        // Over whole clips magnitudes may go all the way to the sound's: they don't stray.
        let mut aim = Aim::new(config, settings.hold, 1.0);
        let mut magnitudes = vec![0.0; frames * bins];
        let mut spectra = vec![Complex32::ZERO; frames * bins];
        let mut targets = vec![0.0; frames * config.n_mels];
        let noise = Noise::new(settings.seed);
        let mut parts = vec![0.0; 2 * bins];
        for (frame, target) in targets.chunks_exact_mut(config.n_mels).enumerate() {
            let range = frame * bins..(frame + 1) * bins;
            aim.begin(mel.frame(frame), &mut magnitudes[range.clone()], target);
            noise.fill((first + frame) as u64, 0, &mut parts);
            let spectrum = spectra[range.clone()].iter_mut().zip(&magnitudes[range]);
            for ((value, magnitude), part) in spectrum.zip(parts.chunks_exact(2)) {
                *value = with_magnitude(Complex32::new(part[0], part[1]), *magnitude);
            }
        }
        Self {
            frames,
            momentum: settings.momentum,
            aim,
            targets,
            magnitudes,
            spectra,
            before: vec![Complex32::ZERO; frames * bins],
            gains: stft.gains(frames),
            padded: vec![0.0; stft.length(frames)],
            stft,
        }
    }

    fn run(mut self, iterations: usize, config: &MelConfig, length: usize) -> Vec<f32> {
        for _ in 0..iterations {
            self.synthesise();
            self.improve();
        }
        self.synthesise();
        // Frame 0 begins `pad` samples before the clip does. Where frames are centred, the last
        // hop is half covered, and what no window reaches is silent.
        let pad = config.pad();
        let mut sound: Vec<f32> = self.padded.into_iter().skip(pad).take(length).collect();
        sound.resize(length, 0.0);
        sound
    }

    /// The sound whose spectra are nearest to `spectra`.
    fn synthesise(&mut self) {
        self.padded.fill(0.0);
        for (frame, spectrum) in self.spectra.chunks_exact(self.stft.bins()).enumerate() {
            self.stft.add(spectrum, frame, &mut self.padded);
        }
        self.padded.iter_mut().zip(&self.gains).for_each(|(x, gain)| *x *= gain);
    }

    /// A round's spectra from those of the sound.
    fn improve(&mut self) {
        let bins = self.stft.bins();
        let bands = self.targets.len() / self.frames;
        for frame in 0..self.frames {
            let range = frame * bins..(frame + 1) * bins;
            let now = self.stft.analyse(&self.padded, frame);
            self.aim.advance(
                now,
                self.momentum,
                &mut aim::Frame {
                    target: &self.targets[frame * bands..(frame + 1) * bands],
                    magnitudes: &mut self.magnitudes[range.clone()],
                    before: &mut self.before[range.clone()],
                    spectrum: &mut self.spectra[range],
                },
            );
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
