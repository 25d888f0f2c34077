//! The features of known systems, by name.

use super::{MelConfig, MelLog, MelNorm, MelPadding, MelScale, Power};
use crate::{Error, Result};

impl MelConfig {
    /// The names that [`MelConfig::preset`] knows.
    pub const PRESETS: &[&str] = &[
        "wavegrad-24k",
        "hifigan-22k",
        "tacotron2-22k",
        "fastspeech2-22k",
        "vocos-24k",
        "lmnt-22k",
        "lmnt-24k",
        "ivanvovk-22k",
        "parallel-wavegan-24k",
    ];

    /// The features of a known system, by name.
    ///
    /// | name | who emits it |
    /// | --- | --- |
    /// | `wavegrad-24k` | this project's voices: WaveGrad's paper, Slaney bands of magnitude, ln |
    /// | `hifigan-22k` | HiFi-GAN's `mel_spectrogram` and whatever is trained for its weights |
    /// | `tacotron2-22k`, `fastspeech2-22k` | NVIDIA's `TacotronSTFT` (also FastPitch): as HiFi-GAN, but centred frames and no guard |
    /// | `vocos-24k` | Vocos' `MelSpectrogramFeatures` (`charactr/vocos-mel-24khz`) |
    /// | `lmnt-22k`, `lmnt-24k` | lmnt-com/wavegrad 0.1.5 at its default rate and at its published weights' |
    /// | `ivanvovk-22k` | ivanvovk/WaveGrad's `MelSpectrogramFixed` by `configs/default.json`; it drops the last frame |
    /// | `parallel-wavegan-24k` | kan-bayashi/ParallelWaveGAN's `logmelfilterbank` at 24 kHz, and with it ESPnet and TensorFlowTTS; their front ends emit it normalised by the corpus' means and deviations, to be undone first |
    ///
    /// # Errors
    /// An unknown name; the message lists the known ones.
    pub fn preset(name: &str) -> Result<MelConfig> {
        let paper = MelConfig::default();
        let tacotron2 = MelConfig {
            sample_rate: 22_050,
            n_mels: 80,
            n_fft: 1024,
            window: 1024,
            hop: 256,
            f_min_hz: 0.0,
            f_max_hz: 8_000.0,
            ..paper.clone()
        };
        let lmnt = MelConfig {
            scale: MelScale::Htk,
            norm: MelNorm::None,
            unit_window: true,
            log: MelLog::UnitDb,
            // The package's floor is 1e-5, but its clip at -80 dB hides all below 1e-4.
            floor: 1e-4,
            ..paper.clone()
        };
        Ok(match name {
            "wavegrad-24k" => paper,
            "hifigan-22k" => {
                MelConfig { energy_guard: 1e-9, padding: MelPadding::HifiGan, ..tacotron2 }
            }
            "tacotron2-22k" | "fastspeech2-22k" => tacotron2,
            "vocos-24k" => MelConfig {
                n_mels: 100,
                n_fft: 1024,
                window: 1024,
                hop: 256,
                f_min_hz: 0.0,
                scale: MelScale::Htk,
                norm: MelNorm::None,
                floor: 1e-7,
                ..paper
            },
            "lmnt-22k" => MelConfig { sample_rate: 22_050, f_max_hz: 11_025.0, ..lmnt },
            "lmnt-24k" => lmnt,
            // Note: there digital silence is 0, as loud as anything; here it is the floor.
            "ivanvovk-22k" => MelConfig {
                hop: 300,
                f_min_hz: 80.0,
                scale: MelScale::Htk,
                norm: MelNorm::None,
                power: Power::Energy,
                log: MelLog::Log10,
                floor: 1e-10,
                ..tacotron2
            },
            "parallel-wavegan-24k" => MelConfig {
                n_mels: 80,
                f_min_hz: 80.0,
                f_max_hz: 7_600.0,
                log: MelLog::Log10,
                floor: 1e-10,
                ..paper
            },
            _ => {
                let known = MelConfig::PRESETS.join(", ");
                return Err(Error::mismatch("mel preset", format!("one of {known}"), name));
            }
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn every_preset_is_valid_and_survives_json() {
        for name in MelConfig::PRESETS {
            let config = MelConfig::preset(name).unwrap();
            config.validate().unwrap();
            let json = serde_json::to_string(&config).unwrap();
            assert_eq!(serde_json::from_str::<MelConfig>(&json).unwrap(), config, "{name}");
            assert!(config.min_value() < config.max_value(), "{name}");
        }
        assert_eq!(MelConfig::preset("wavegrad-24k").unwrap(), MelConfig::default());
    }

    #[test]
    fn an_unknown_preset_lists_the_known_ones() {
        let message = MelConfig::preset("melgan").unwrap_err().to_string();
        assert!(message.contains("melgan") && message.contains("vocos-24k"), "{message}");
    }
}
