//! The instrument's source: notes play the frames of a clip, each at its own pitch and place, and sound
//! together in one mel.

use std::path::Path;

use vocoder::audio::{AudioReader, resample};
use vocoder::mel::{MelConfig, MelExtractor, Power, file};
use vocoder::metrics::{SAMPLE_RATE, pitch};
use vocoder::{Error, Result};

use crate::shape::Shaper;
use crate::{Controls, NoteEvent};

/// Notes that sound at once; the oldest gives way.
const MOST_NOTES: usize = 8;

/// The longest clip, in seconds.
const LONGEST_S: f64 = 60.0;

/// A clip's frames, and the pitch that it was played at.
#[derive(Debug)]
pub(crate) struct ClipMel {
    /// `[frames][n_mels]`.
    pub data: Vec<f32>,
    /// MIDI key, with its fraction.
    pub root: f32,
}

impl ClipMel {
    /// Reads audio of any kind, or a mel file.
    ///
    /// # Errors
    /// A file that is neither, or longer than a minute.
    pub fn read(path: &Path, config: &MelConfig) -> Result<Self> {
        let is_mel = path.extension().is_some_and(|end| {
            end.eq_ignore_ascii_case("npy") || end.eq_ignore_ascii_case("safetensors")
        });
        if is_mel {
            let mel = file::read(path, config)?.mel;
            return Ok(Self { data: mel.data, root: 60.0 });
        }
        let mut reader = AudioReader::open(path)?;
        let rate = reader.info().sample_rate;
        let mut samples = Vec::new();
        while reader.next_block(&mut samples)? {
            if samples.len() as f64 > LONGEST_S * f64::from(rate) {
                let reason = format!("expected a clip of at most {LONGEST_S} seconds");
                return Err(Error::file(path, reason));
            }
        }
        let at_config = resample(&samples, rate, config.sample_rate)?;
        let mel = MelExtractor::new(config)?.extract(&at_config)?;
        let root = root(&resample(&samples, rate, SAMPLE_RATE)?)?;
        Ok(Self { data: mel.data, root })
    }
}

/// The median pitch as a MIDI key; the middle C where there is none.
///
/// # Errors
/// Samples that are not finite.
fn root(samples: &[f32]) -> Result<f32> {
    let mut keys: Vec<f64> = pitch::track(samples)?
        .iter()
        .filter(|frame| frame.f0_hz > 0.0)
        .map(|frame| 69.0 + 12.0 * (frame.f0_hz / 440.0).log2())
        .collect();
    if keys.is_empty() {
        return Ok(60.0);
    }
    keys.sort_by(f64::total_cmp);
    Ok(keys[keys.len() / 2] as f32)
}

struct Note {
    key: u8,
    velocity: f32,
    /// In frames of the clip.
    place: f64,
    /// Gain of the envelope.
    gain: f32,
    held: bool,
    shaper: Shaper,
}

/// Plays notes on a clip.
pub(crate) struct Notes {
    config: MelConfig,
    clip: Option<ClipMel>,
    notes: Vec<Note>,
    /// Shapers that are not in use.
    idle: Vec<Shaper>,
    silence: f32,
}

impl Notes {
    pub fn new(config: &MelConfig, clip: Option<ClipMel>) -> Self {
        Self {
            idle: (0..MOST_NOTES).map(|_| Shaper::new(config)).collect(),
            silence: config.min_value(),
            notes: Vec::new(),
            config: config.clone(),
            clip,
        }
    }

    pub fn reset(&mut self) {
        self.idle.extend(self.notes.drain(..).map(|note| note.shaper));
    }

    pub fn take(&mut self, event: NoteEvent, controls: &Controls) {
        match event {
            NoteEvent::On { key, velocity } => {
                if self.notes.len() == MOST_NOTES {
                    self.idle.push(self.notes.remove(0).shaper);
                }
                let (Some(mut shaper), Some(clip)) = (self.idle.pop(), &self.clip) else { return };
                shaper.reset();
                let frames = clip.data.len() / self.config.n_mels;
                let place = f64::from(controls.begin.clamp(0.0, 1.0)) * (frames - 1) as f64;
                self.notes.push(Note { key, velocity, place, gain: 0.0, held: true, shaper });
            }
            NoteEvent::Off { key } => {
                self.notes.iter_mut().filter(|note| note.key == key).for_each(|n| n.held = false);
            }
            NoteEvent::Panic => self.reset(),
        }
    }

    /// The next frame: what all notes sound together.
    pub fn frame(&mut self, controls: &Controls, out: &mut Vec<f32>) {
        let (bands, from) = (self.config.n_mels, out.len());
        let Some(clip) = &self.clip else {
            out.resize(from + bands, self.silence);
            return;
        };
        let hop_ms = 1000.0 * self.config.hop as f32 / self.config.sample_rate as f32;
        let energy = self.config.power == Power::Energy;
        let mut energies = vec![0f32; bands];
        let mut index = 0;
        while index < self.notes.len() {
            let note = &mut self.notes[index];
            let pitch = controls.pitch + f32::from(note.key) - clip.root;
            let own = Controls { pitch: pitch.clamp(-48.0, 48.0), ..*controls };
            let mut frame = between(&clip.data, bands, note.place);
            note.shaper.apply(&own, &mut frame);
            note.step(controls, hop_ms);
            let gain = note.gain * note.velocity;
            for (sum, value) in energies.iter_mut().zip(&frame) {
                let linear = self.config.expand(*value);
                let magnitude = if energy { linear.sqrt() } else { linear } * gain;
                *sum += magnitude * magnitude;
            }
            if note.is_over(controls, clip.data.len() / bands) {
                self.idle.push(self.notes.remove(index).shaper);
            } else {
                index += 1;
            }
        }
        out.extend(
            energies.iter().map(|sum| self.config.compress(if energy { *sum } else { sum.sqrt() })),
        );
    }
}

impl Note {
    /// Moves envelope and place on by a frame.
    fn step(&mut self, controls: &Controls, hop_ms: f32) {
        if self.held {
            self.gain = (self.gain + hop_ms / controls.attack_ms.max(hop_ms)).min(1.0);
        } else {
            // 60 dB in the time of the release.
            self.gain *= 10f32.powf(-3.0 * hop_ms / controls.release_ms.max(hop_ms));
        }
        self.place += f64::from(controls.speed.clamp(0.0, 4.0));
    }

    /// Whether it has died away or left the clip; a looped one is put back to its beginning.
    fn is_over(&mut self, controls: &Controls, frames: usize) -> bool {
        if self.place > (frames - 1) as f64 {
            if !controls.looped {
                return true;
            }
            self.place = f64::from(controls.begin.clamp(0.0, 1.0)) * (frames - 1) as f64;
        }
        !self.held && self.gain < 1e-4
    }
}

/// The frame at `place`, linear between two.
fn between(data: &[f32], bands: usize, place: f64) -> Vec<f32> {
    let last = data.len() / bands - 1;
    let left = (place as usize).min(last);
    let right = (left + 1).min(last);
    let part = (place - left as f64).clamp(0.0, 1.0) as f32;
    let (a, b) = (&data[left * bands..][..bands], &data[right * bands..][..bands]);
    a.iter().zip(b).map(|(a, b)| a + (b - a) * part).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn notes(frames: usize) -> Notes {
        let config = MelConfig::default();
        // Each frame as loud as its number says.
        let data = (0..frames).flat_map(|f| vec![-5.0 + 0.1 * f as f32; config.n_mels]).collect();
        Notes::new(&config, Some(ClipMel { data, root: 60.0 }))
    }

    fn run(notes: &mut Notes, controls: &Controls, count: usize) -> Vec<f32> {
        let mut out = Vec::new();
        (0..count).for_each(|_| notes.frame(controls, &mut out));
        out.chunks(128).map(|frame| frame[40]).collect()
    }

    const ON: NoteEvent = NoteEvent::On { key: 60, velocity: 1.0 };
    fn quick() -> Controls {
        Controls { attack_ms: 0.0, release_ms: 0.0, looped: false, ..Controls::default() }
    }

    #[test]
    fn a_note_at_the_root_plays_the_clip_as_it_is_and_ends_with_it() {
        let mut notes = notes(4);
        notes.take(ON, &quick());
        let got = run(&mut notes, &quick(), 6);
        let silence = MelConfig::default().min_value();
        for (value, expected) in got.iter().zip([-5.0, -4.9, -4.8, -4.7, silence, silence]) {
            assert!((value - expected).abs() < 1e-4, "{got:?}");
        }
    }

    #[test]
    fn speed_re_times_and_loops_repeat() {
        let mut notes = notes(4);
        let controls = Controls { speed: 2.0, looped: true, ..quick() };
        notes.take(ON, &controls);
        let got = run(&mut notes, &controls, 4);
        for (value, expected) in got.iter().zip([-5.0, -4.8, -5.0, -4.8]) {
            assert!((value - expected).abs() < 1e-4, "{got:?}");
        }
    }

    #[test]
    fn two_equal_notes_are_3_db_louder_and_panic_silences() {
        let mut notes = notes(4);
        let controls = Controls { speed: 0.0, ..quick() };
        notes.take(ON, &controls);
        notes.take(ON, &controls);
        let got = run(&mut notes, &controls, 1)[0];
        assert!((got - (-5.0 + 0.5 * 2f32.ln())).abs() < 1e-4);
        notes.take(NoteEvent::Panic, &controls);
        assert_eq!(run(&mut notes, &controls, 1)[0], MelConfig::default().min_value());
    }

    #[test]
    fn a_release_falls_by_60_db_in_its_time_and_more_notes_than_there_are_replace_the_oldest() {
        let mut notes = notes(4);
        let controls = Controls { speed: 0.0, release_ms: 125.0, ..quick() };
        notes.take(ON, &controls);
        let loud = run(&mut notes, &controls, 1)[0];
        notes.take(NoteEvent::Off { key: 60 }, &controls);
        let fallen = run(&mut notes, &controls, 5)[4];
        let db = 20.0 * (loud - fallen) / std::f32::consts::LN_10;
        assert!((db - 30.0).abs() < 0.1, "{db} dB");
        for key in 0..50 {
            notes.take(NoteEvent::On { key, velocity: 0.5 }, &controls);
        }
        assert_eq!(notes.notes.len(), MOST_NOTES);
    }

    #[test]
    fn the_root_is_the_median_pitch() {
        let samples: Vec<f32> = (0..SAMPLE_RATE)
            .map(|i| {
                let t = i as f32 / SAMPLE_RATE as f32;
                (1..8).map(|k| (std::f32::consts::TAU * 220.0 * k as f32 * t).sin() * 0.1).sum()
            })
            .collect();
        assert!((root(&samples).unwrap() - 57.0).abs() < 0.2);
        assert_eq!(root(&vec![0.0; 24_000]).unwrap(), 60.0);
    }
}
