//! Mel to sound without a network: the baseline that a voice has to beat.
//!
//! The mel's bands are spread over the bins again (non-negative least squares), and phases are
//! sought for those magnitudes by fast Griffin-Lim (Perraudin, Balazs & Søndergaard 2013), which
//! with momentum 0 is the original (Griffin & Lim 1984).
//!
//! Or the search is held to the mel alone ([`Hold::Mel`]): magnitudes and phases are sought together, as
//! Masuyama, Ueno & Ono (2025, arXiv 2501.05557) do by another algorithm. A mel does not say how a band is
//! spread over its bins; that a sound has these spectra does. A search descends into the valley that it begins
//! in; [trials](GriffinLim::trials) find deeper ones.

mod aim;
mod columns;
mod low_band;
mod magnitudes;
mod online;
mod search;
mod trials;

use crate::mel::{Mel, MelConfig};
use crate::noise::Noise;
use crate::{Error, Result};
pub(crate) use magnitudes::MelInverse;
pub(crate) use online::Online;
use search::Search;
use trials::Trials;

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
    /// Sweeps of trials in the low band that come before the rounds: other phases for parts of it, kept where
    /// they fit the mel better. 0 by default. Mels whose low bands are too few for it have none, nor have
    /// streams.
    pub trials: usize,
}

/// What a round of the search gives the spectra back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Hold {
    /// The magnitudes of all bins, as the filter bank's inverse has them: Griffin-Lim as it is known.
    #[default]
    Magnitudes,
    /// The values of the mel's bands; within a band each bin keeps its share. Where frames overlap, each
    /// weighs one over its amplitude.
    Mel,
}

impl Default for GriffinLim {
    fn default() -> Self {
        Self { iterations: 32, momentum: 0.99, seed: 0, hold: Hold::Magnitudes, trials: 0 }
    }
}

impl GriffinLim {
    /// The sound of `mel`: `frames * hop` samples at its rate, the same for the same settings.
    ///
    /// Holds all spectra at once: about 20 bytes a bin, 1.6 MB for a second at the default settings. Threads are
    /// those of the rayon pool that it is called in; the sound is the same on any number of them.
    ///
    /// # Errors
    /// The momentum is out of range, or the mel has no frame or an invalid config.
    pub fn render(&self, mel: &Mel) -> Result<Vec<f32>> {
        if self.trials == 0 {
            return self.render_from(mel, 0);
        }
        let random = Self { iterations: 0, ..*self }.render_from(mel, 0)?;
        self.refine(mel, &random)
    }

    /// As [`GriffinLim::render`], but without trials, of a piece of a clip that begins at the clip's frame
    /// `first`.
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
        Ok(Search::new(self, mel, first).of_noise(self.iterations, &mel.config))
    }
}

impl GriffinLim {
    /// Rounds that begin with the phases of `sound`, which is near `mel`'s already (`frames * hop`
    /// samples): keeps what phases say, and gives each frame the mel's magnitudes.
    ///
    /// # Errors
    /// As [`GriffinLim::render`]; a sound of another length.
    pub fn refine(&self, mel: &Mel, sound: &[f32]) -> Result<Vec<f32>> {
        self.refine_after(mel, sound, 0)
    }

    /// As [`GriffinLim::refine`], of a sound whose first `held` samples are settled: they come back as they
    /// are, and the rest is sought to fit them.
    ///
    /// # Errors
    /// As [`GriffinLim::refine`]; a sound of less than `held` samples.
    pub fn refine_after(&self, mel: &Mel, sound: &[f32], held: usize) -> Result<Vec<f32>> {
        let length = mel.frames * mel.config.hop;
        if mel.frames == 0 || sound.len() != length || held > length {
            return Err(Error::mismatch(
                "sound to refine",
                format!("{length} samples, {held} of them settled"),
                sound.len(),
            ));
        }
        mel.config.validate()?;
        let search = Search::new(self, mel, 0);
        let tried = self.try_phases(mel, sound, held);
        let sound = tried.as_deref().unwrap_or(sound);
        Ok(search.of_sound(self.iterations.max(1), &mel.config, sound, held))
    }

    /// `sound` after the trials; none where there are none.
    fn try_phases(&self, mel: &Mel, sound: &[f32], held: usize) -> Option<Vec<f32>> {
        if self.trials == 0 {
            return None;
        }
        let pad = mel.config.pad();
        let mut padded = padded(&mel.config, sound);
        let mut trials = Trials::new(self, mel, &padded)?;
        trials.run(self.trials, if held > 0 { pad + held } else { 0 });
        trials.put(&mut padded);
        let mut sound: Vec<f32> = padded.into_iter().skip(pad).take(sound.len()).collect();
        sound.resize(mel.frames * mel.config.hop, 0.0);
        Some(sound)
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

/// `sound`, a hop a frame, as searches have it: frame 0 begins `pad` samples before the clip does, and as much of
/// the end as no frame reaches is left out.
fn padded(config: &MelConfig, sound: &[f32]) -> Vec<f32> {
    let mut padded = vec![0.0; (sound.len() / config.hop - 1) * config.hop + config.n_fft];
    padded.iter_mut().skip(config.pad()).zip(sound).for_each(|(to, from)| *to = *from);
    padded
}

#[cfg(test)]
pub(crate) mod tests;
