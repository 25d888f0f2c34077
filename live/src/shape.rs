//! What is done to the mel between the ear and the network: freeze, smear, pitch, formants, tilt.
//!
//! A frame is split into its envelope, smoothed over more than the distance of a voice's harmonics, and
//! what rides on it. Pitch moves what rides, formants move the envelope.

use vocoder::mel::{MelConfig, Power, filter_bank};

use crate::Controls;

/// Deviation of the envelope's Gaussian: harmonics of voices up to about 300 Hz drown in it.
const ENVELOPE_HZ: f32 = 140.0;

/// Share of the way to a control's value that a frame makes.
const SLEW: f32 = 0.5;

/// How many bands a frame's values move, and so on, for one stream of frames.
pub(crate) struct Shaper {
    config: MelConfig,
    /// Centre of each band in Hz.
    centres: Vec<f32>,
    /// `[band][band]`: the envelope's weights, each row's sum 1.
    smoothing: Vec<f32>,
    least: f32,
    most: f32,
    /// Controls as far as they have come; none before the first frame.
    pitch: Option<f32>,
    formant: f32,
    tilt: f32,
    frozen: Option<Vec<f32>>,
    /// Smeared magnitudes.
    smeared: Vec<f32>,
    envelope: Vec<f32>,
}

impl Shaper {
    pub fn new(config: &MelConfig) -> Self {
        let bins = config.n_fft / 2 + 1;
        let hz_a_bin = config.sample_rate as f32 / config.n_fft as f32;
        let centres: Vec<f32> = filter_bank(config)
            .chunks(bins)
            .map(|weights| {
                let sum: f32 = weights.iter().sum();
                let moment: f32 = weights.iter().enumerate().map(|(k, w)| k as f32 * w).sum();
                hz_a_bin * moment / sum.max(1e-12)
            })
            .collect();
        let mut smoothing = Vec::with_capacity(centres.len() * centres.len());
        for &centre in &centres {
            let row: Vec<f32> = centres
                .iter()
                .map(|c| (-0.5 * ((c - centre) / ENVELOPE_HZ).powi(2)).exp())
                .collect();
            let sum: f32 = row.iter().sum();
            smoothing.extend(row.iter().map(|w| w / sum));
        }
        Self {
            least: config.min_value(),
            most: config.max_value(),
            envelope: vec![0.0; centres.len()],
            config: config.clone(),
            centres,
            smoothing,
            pitch: None,
            formant: 0.0,
            tilt: 0.0,
            frozen: None,
            smeared: Vec::new(),
        }
    }

    pub fn reset(&mut self) {
        self.pitch = None;
        self.frozen = None;
        self.smeared.clear();
    }

    /// Shapes a frame in place. Neutral controls leave it as it is, bit for bit.
    pub fn apply(&mut self, controls: &Controls, frame: &mut [f32]) {
        self.slew(controls);
        if controls.freeze {
            match &self.frozen {
                Some(held) => frame.copy_from_slice(held),
                None => self.frozen = Some(frame.to_vec()),
            }
        } else {
            self.frozen = None;
        }
        self.smear(controls.smear_ms, frame);
        let pitch = self.pitch.unwrap_or_default();
        if pitch == 0.0 && self.formant == 0.0 && self.tilt == 0.0 {
            return;
        }
        // In nepers of magnitude.
        let half = if self.config.power == Power::Energy { 0.5 } else { 1.0 };
        for value in frame.iter_mut() {
            *value = self.config.expand(*value).max(1e-30).ln() * half;
        }
        if pitch != 0.0 || self.formant != 0.0 {
            self.shift(pitch, frame);
        }
        // Decibels in nepers.
        let tilt = self.tilt * std::f32::consts::LN_10 / 20.0;
        for (value, centre) in frame.iter_mut().zip(&self.centres) {
            let tilted = *value + tilt * (centre.max(20.0) / 1000.0).log2();
            *value = self.config.compress((tilted / half).exp()).clamp(self.least, self.most);
        }
    }

    /// Controls glide, or a knob would step at each chunk. The first frame has them as they are.
    fn slew(&mut self, controls: &Controls) {
        let Some(pitch) = self.pitch else {
            (self.pitch, self.formant, self.tilt) =
                (Some(controls.pitch), controls.formant, controls.tilt);
            return;
        };
        let glide = |from: f32, to: f32| {
            if (to - from).abs() < 1e-3 { to } else { from + (to - from) * SLEW }
        };
        self.pitch = Some(glide(pitch, controls.pitch));
        self.formant = glide(self.formant, controls.formant);
        self.tilt = glide(self.tilt, controls.tilt);
    }

    /// A leaky mean of the magnitudes over time: sound rings on as in a room.
    fn smear(&mut self, smear_ms: f32, frame: &mut [f32]) {
        if smear_ms <= 0.0 {
            self.smeared.clear();
            return;
        }
        let fresh = frame.iter().map(|v| self.config.expand(*v));
        if self.smeared.is_empty() {
            self.smeared.extend(fresh);
            return;
        }
        let hop_ms = 1000.0 * self.config.hop as f32 / self.config.sample_rate as f32;
        let share = 1.0 - (-hop_ms / smear_ms).exp();
        for (kept, fresh) in self.smeared.iter_mut().zip(fresh) {
            *kept += (fresh - *kept) * share;
        }
        for (value, kept) in frame.iter_mut().zip(&self.smeared) {
            *value = self.config.compress(*kept);
        }
    }

    /// Moves fine structure and envelope of a frame in nepers.
    fn shift(&mut self, pitch: f32, frame: &mut [f32]) {
        let bands = frame.len();
        let energies: Vec<f32> = frame.iter().map(|v| (2.0 * v).exp()).collect();
        for (envelope, weights) in self.envelope.iter_mut().zip(self.smoothing.chunks(bands)) {
            let mean: f32 = weights.iter().zip(&energies).map(|(w, e)| w * e).sum();
            *envelope = 0.5 * mean.max(1e-30).ln();
        }
        let fine: Vec<f32> = frame.iter().zip(&self.envelope).map(|(v, e)| v - e).collect();
        for (band, value) in frame.iter_mut().enumerate() {
            let hz = self.centres[band];
            // Beyond the ends the envelope stays, and nothing rides on it.
            let envelope = read(&self.centres, &self.envelope, hz * ratio(-self.formant));
            let from = hz * ratio(-pitch);
            let beyond = from > self.centres[bands - 1];
            *value = envelope + if beyond { 0.0 } else { read(&self.centres, &fine, from) };
        }
    }
}

/// The frequency ratio of `semitones`.
fn ratio(semitones: f32) -> f32 {
    (semitones / 12.0).exp2()
}

/// `values` at `hz`, linear between the centres and constant beyond them.
fn read(centres: &[f32], values: &[f32], hz: f32) -> f32 {
    let right = centres.partition_point(|c| *c < hz);
    if right == 0 {
        return values[0];
    }
    if right == centres.len() {
        return values[right - 1];
    }
    let (a, b) = (centres[right - 1], centres[right]);
    let part = (hz - a) / (b - a);
    values[right - 1] + (values[right] - values[right - 1]) * part
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use vocoder::mel::MelExtractor;

    fn config() -> MelConfig {
        MelConfig::default()
    }

    /// A frame of a buzz at `hz` through a resonance at `formant_hz`.
    fn buzz(hz: f32, formant_hz: f32) -> Vec<f32> {
        let config = config();
        let samples: Vec<f32> = (0..4800)
            .map(|i| {
                let t = i as f32 / 24_000.0;
                (1..40)
                    .map(|k| {
                        let f = hz * k as f32;
                        let gain = 1.0 / (1.0 + ((f - formant_hz) / 150.0).powi(2));
                        0.1 * gain * (std::f32::consts::TAU * f * t).sin()
                    })
                    .sum()
            })
            .collect();
        let mel = MelExtractor::new(&config).unwrap().extract(&samples).unwrap();
        mel.frame(8).to_vec()
    }

    fn shaped(controls: Controls, frame: &[f32]) -> Vec<f32> {
        let mut shaper = Shaper::new(&config());
        let mut out = frame.to_vec();
        shaper.apply(&controls, &mut out);
        out
    }

    /// Mean distance between two frames in nepers, over the bands that matter.
    fn distance(a: &[f32], b: &[f32]) -> f32 {
        let heard: Vec<f32> = a
            .iter()
            .zip(b)
            .filter(|(a, b)| a.max(**b) > -6.0)
            .map(|(a, b)| (a - b).abs())
            .collect();
        heard.iter().sum::<f32>() / heard.len() as f32
    }

    #[test]
    fn neutral_controls_change_nothing() {
        let frame = buzz(200.0, 1200.0);
        assert_eq!(shaped(Controls::default(), &frame), frame);
    }

    #[test]
    fn pitch_moves_harmonics_and_formants_stay() {
        let frame = buzz(150.0, 1200.0);
        let up = shaped(Controls { pitch: 7.0, ..Controls::default() }, &frame);
        let (moved, stayed) = (buzz(150.0 * ratio(7.0), 1200.0), frame);
        assert!(distance(&up, &moved) < 0.5 * distance(&stayed, &moved));
    }

    #[test]
    fn formants_move_and_harmonics_stay() {
        let frame = buzz(150.0, 1000.0);
        let up = shaped(Controls { formant: 5.0, ..Controls::default() }, &frame);
        let moved = buzz(150.0, 1000.0 * ratio(5.0));
        assert!(distance(&up, &moved) < 0.8 * distance(&frame, &moved));
    }

    #[test]
    fn a_tilt_of_6_db_is_6_db_an_octave() {
        let frame = vec![-3.0; 128];
        let up = shaped(Controls { tilt: 6.0, ..Controls::default() }, &frame);
        let shaper = Shaper::new(&config());
        for (value, centre) in up.iter().zip(&shaper.centres) {
            let db = 20.0 * (value + 3.0) / std::f32::consts::LN_10;
            let expected = 6.0 * (centre / 1000.0).log2();
            // Not below the floor of 1e-5.
            if -3.0 + expected * 0.1151 > -11.0 {
                assert!((db - expected).abs() < 0.01, "{centre} Hz: {db} dB");
            }
        }
    }

    #[test]
    fn freeze_holds_the_frame_of_its_moment() {
        let mut shaper = Shaper::new(&config());
        let (frozen, free) =
            (Controls { freeze: true, ..Controls::default() }, Controls::default());
        let mut frame = |controls: &Controls, value: f32| {
            let mut frame = vec![value; 128];
            shaper.apply(controls, &mut frame);
            frame[5]
        };
        assert_eq!(frame(&free, -1.0), -1.0);
        assert_eq!(frame(&frozen, -2.0), -2.0);
        assert_eq!(frame(&frozen, -3.0), -2.0);
        assert_eq!(frame(&free, -4.0), -4.0);
        assert_eq!(frame(&frozen, -5.0), -5.0);
    }

    #[test]
    fn a_smear_decays_by_its_time_constant() {
        let mut shaper = Shaper::new(&config());
        let controls = Controls { smear_ms: 100.0, ..Controls::default() };
        let mut frame = vec![0.0; 128];
        shaper.apply(&controls, &mut frame);
        for _ in 0..8 {
            frame = vec![-11.0; 128];
            shaper.apply(&controls, &mut frame);
        }
        // 8 hops of 12.5 ms are one time constant: -1 neper.
        assert!((frame[5] + 1.0).abs() < 1e-3, "{}", frame[5]);
    }
}
