//! The search over a whole clip: all frames at once, round after round.
//!
//! A round is one pass over blocks of frames, each of which takes its part of the sound of the round before
//! from what its neighbours made of it, and makes its own share of the next. Blocks are few enough frames
//! that their spectra stay in the second-level cache, and go side by side on the threads of the rayon pool
//! that it is called in; the sound is the same on any number of them, bit for bit.

use std::sync::{Mutex, PoisonError};

use rayon::prelude::*;
use realfft::num_complex::Complex32;

use super::aim::{self, Aim, with_magnitude};
use super::{GriffinLim, padded};
use crate::mel::{Mel, MelConfig};
use crate::noise::Noise;
use crate::stft::Stft;

/// Frames of a block. Blocks lie on a grid from the clip's first frame on, so that sums are the same in a piece
/// of it.
const BLOCK: usize = 16;

/// Most blocks that a thread takes at a time: one that is held up leaves the others to the rest.
const TASK: usize = 4;

/// The search for the phases of one clip. Samples are those of the padded clip: frame `f` begins at `f hop`.
pub(super) struct Search {
    momentum: f32,
    pad: usize,
    blocks: Vec<Block>,
    /// What each block's frames add to the sound, before `gains`; and room for what they will.
    shares: Vec<Share>,
    next: Vec<Share>,
    /// Of the sound, for [`Stft::add`].
    gains: Vec<f32>,
    /// The first samples, which no round changes.
    held: Vec<f32>,
    /// One a thread, which alone locks it.
    workers: Vec<Mutex<Worker>>,
}

/// Up to [`BLOCK`] frames under search.
struct Block {
    first: usize,
    frames: usize,
    /// `[frames][n_mels]`: see [`MelInverse::target`](super::MelInverse::target).
    targets: Vec<f32>,
    /// `[frames][bins]`: see [`aim::Frame`].
    magnitudes: Vec<f32>,
    spectra: Vec<Complex32>,
    before: Vec<Complex32>,
    /// `[frames]`: see [`Aim::begin`].
    weights: Vec<f32>,
}

/// What a block's frames add to the sound, from the sample `from` on.
#[derive(Clone)]
struct Share {
    from: usize,
    samples: Vec<f32>,
}

/// Plans and scratch memory of one thread.
struct Worker {
    stft: Stft,
    aim: Aim,
    samples: Vec<f32>,
}

/// Where a round takes the sound from.
enum Sound<'a> {
    Given(&'a [f32]),
    Shares { shares: &'a [Share], gains: &'a [f32], held: &'a [f32] },
}

impl Search {
    /// A search for the phases of `mel`, a piece of a clip that begins at the clip's frame `first`. They are
    /// random.
    pub fn new(settings: &GriffinLim, mel: &Mel, first: usize) -> Self {
        let config = &mel.config;
        // Over whole clips magnitudes may go all the way to the sound's: they don't stray.
        let worker = || Worker {
            stft: Stft::new(config.n_fft, config.hop, config.window),
            aim: Aim::new(config, settings.hold, 1.0),
            samples: Vec::new(),
        };
        let workers: Vec<Mutex<Worker>> =
            (0..rayon::current_num_threads()).map(|_| Mutex::new(worker())).collect();
        let stft = Stft::new(config.n_fft, config.hop, config.window);
        let bins = stft.bins();
        let mut blocks = Vec::new();
        let mut frame = 0;
        while frame < mel.frames {
            let frames = (BLOCK - (first + frame) % BLOCK).min(mel.frames - frame);
            blocks.push(Block {
                first: frame,
                frames,
                targets: vec![0.0; frames * config.n_mels],
                magnitudes: vec![0.0; frames * bins],
                spectra: vec![Complex32::ZERO; frames * bins],
                before: vec![Complex32::ZERO; frames * bins],
                weights: vec![0.0; frames],
            });
            frame += frames;
        }
        let share = |block: &Block| Share {
            from: block.first * config.hop,
            samples: vec![0.0; stft.length(block.frames)],
        };
        let shares: Vec<Share> = blocks.iter().map(share).collect();
        let noise = Noise::new(settings.seed);
        blocks
            .par_iter_mut()
            .for_each(|block| own(&workers, |w| w.begin(block, mel, &noise, first)));
        let weights: Vec<f32> = blocks.iter().flat_map(|block| &block.weights).copied().collect();
        let gains = stft.gains(&weights);
        Self {
            momentum: settings.momentum,
            pad: config.pad(),
            blocks,
            next: shares.clone(),
            shares,
            gains,
            held: Vec::new(),
            workers,
        }
    }

    /// The sound after `rounds` rounds from random phases.
    pub fn of_noise(mut self, rounds: usize, config: &MelConfig) -> Vec<f32> {
        self.pass(|_, worker, block, share| worker.synthesise(block, share));
        self.run(rounds, config)
    }

    /// The sound after `rounds` rounds, at least one, from `sound`, of which the first `held` samples stay as
    /// they are.
    pub fn of_sound(
        mut self,
        rounds: usize,
        config: &MelConfig,
        sound: &[f32],
        held: usize,
    ) -> Vec<f32> {
        let padded = padded(config, sound);
        if held > 0 {
            self.held = padded[..self.pad + held].to_vec();
        }
        let momentum = self.momentum;
        self.pass(|_, worker, block, share| {
            worker.improve(block, &Sound::Given(&padded), momentum);
            worker.synthesise(block, share);
        });
        self.run(rounds - 1, config)
    }

    fn run(mut self, rounds: usize, config: &MelConfig) -> Vec<f32> {
        let momentum = self.momentum;
        for _ in 0..rounds {
            self.pass(|sound, worker, block, share| {
                worker.improve(block, sound, momentum);
                worker.synthesise(block, share);
            });
        }
        let frames: usize = self.blocks.iter().map(|block| block.frames).sum();
        let length = frames * config.hop;
        // Where frames are centred, the last hop is half covered, and what no window reaches is silent.
        let mut sound = Vec::new();
        let end = (self.pad + length).min(self.gains.len());
        self.sound().read(self.pad, end, &mut sound);
        sound.resize(length, 0.0);
        sound
    }

    /// Has `each` make every block's share of the next sound.
    fn pass(&mut self, each: impl Fn(&Sound, &mut Worker, &mut Block, &mut Share) + Sync) {
        let Self { blocks, shares, next, gains, held, workers, .. } = self;
        let sound = Sound::Shares { shares, gains, held };
        let parts = blocks.par_iter_mut().zip(next).with_max_len(TASK);
        parts.for_each(|(block, share)| own(workers, |worker| each(&sound, worker, block, share)));
        std::mem::swap(&mut self.shares, &mut self.next);
    }

    fn sound(&self) -> Sound<'_> {
        let Self { shares, gains, held, .. } = self;
        Sound::Shares { shares, gains, held }
    }
}

/// What `work` gives, done by the thread's own of `workers`.
pub(super) fn own<W, T>(workers: &[Mutex<W>], work: impl FnOnce(&mut W) -> T) -> T {
    let index = rayon::current_thread_index().unwrap_or(0) % workers.len();
    work(&mut workers[index].lock().unwrap_or_else(PoisonError::into_inner))
}

impl Sound<'_> {
    /// Replaces `out` by samples `from..to`.
    fn read(&self, from: usize, to: usize, out: &mut Vec<f32>) {
        out.clear();
        let (shares, gains, held) = match *self {
            Self::Given(sound) => return out.extend_from_slice(&sound[from..to]),
            Self::Shares { shares, gains, held } => (shares, gains, held),
        };
        out.resize(to - from, 0.0);
        let beside = shares.partition_point(|share| share.from + share.samples.len() <= from);
        for share in shares[beside..].iter().take_while(|share| share.from < to) {
            let (begin, end) = (share.from.max(from), (share.from + share.samples.len()).min(to));
            let added = &share.samples[begin - share.from..end - share.from];
            out[begin - from..end - from].iter_mut().zip(added).for_each(|(x, v)| *x += v);
        }
        out.iter_mut().zip(&gains[from..to]).for_each(|(x, gain)| *x *= gain);
        let held = held.get(from..).unwrap_or_default();
        out.iter_mut().zip(held).for_each(|(x, held)| *x = *held);
    }
}

impl Worker {
    /// The block's frames as `mel` has them, with random phases.
    fn begin(&mut self, block: &mut Block, mel: &Mel, noise: &Noise, first: usize) {
        let bins = self.stft.bins();
        let mut parts = vec![0.0; 2 * bins];
        let rows = block.targets.chunks_exact_mut(mel.config.n_mels);
        let rows = rows.zip(block.magnitudes.chunks_exact_mut(bins));
        let rows = rows.zip(block.spectra.chunks_exact_mut(bins)).zip(&mut block.weights);
        for (index, (((target, magnitudes), spectrum), weight)) in rows.enumerate() {
            let frame = block.first + index;
            *weight = self.aim.begin(mel.frame(frame), magnitudes, target);
            noise.fill((first + frame) as u64, 0, &mut parts);
            let values = spectrum.iter_mut().zip(magnitudes).zip(parts.as_chunks::<2>().0);
            for ((value, magnitude), [re, im]) in values {
                *value = with_magnitude(Complex32::new(*re, *im), *magnitude);
            }
        }
    }

    /// A round's spectra from those of `sound`.
    fn improve(&mut self, block: &mut Block, sound: &Sound, momentum: f32) {
        let Self { stft, aim, samples } = self;
        let from = block.first * stft.hop();
        sound.read(from, from + stft.length(block.frames), samples);
        let (bins, bands) = (stft.bins(), block.targets.len() / block.frames);
        for index in 0..block.frames {
            let range = index * bins..(index + 1) * bins;
            let now = stft.analyse(samples, index);
            let mut frame = aim::Frame {
                target: &block.targets[index * bands..(index + 1) * bands],
                magnitudes: &mut block.magnitudes[range.clone()],
                before: &mut block.before[range.clone()],
                spectrum: &mut block.spectra[range],
            };
            aim.advance(now, momentum, &mut frame);
        }
    }

    /// The block's share of the sound whose spectra are nearest to all blocks'.
    fn synthesise(&mut self, block: &Block, share: &mut Share) {
        share.samples.fill(0.0);
        let spectra = block.spectra.chunks_exact(self.stft.bins());
        for (index, (spectrum, weight)) in spectra.zip(&block.weights).enumerate() {
            self.stft.add(spectrum, *weight, index, &mut share.samples);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::griffin_lim::Hold;
    use crate::griffin_lim::tests::sound;
    use crate::mel::MelExtractor;

    /// The mel of a gliding tone, as many samples as it has frames for, and how it is searched.
    fn clip() -> (Mel, Vec<f32>, GriffinLim) {
        let config = MelConfig::default();
        let mut sound = sound(&config);
        let mel = MelExtractor::new(&config).unwrap().extract(&sound).unwrap();
        sound.resize(mel.frames * config.hop, 0.0);
        (mel, sound, GriffinLim { hold: Hold::Mel, ..GriffinLim::default() })
    }

    /// The definition: all frames of one sound, one after the other.
    fn slowly(
        settings: &GriffinLim,
        mel: &Mel,
        sound: &[f32],
        rounds: usize,
        held: usize,
    ) -> Vec<f32> {
        let config = &mel.config;
        let mut stft = Stft::new(config.n_fft, config.hop, config.window);
        let mut aim = Aim::new(config, settings.hold, 1.0);
        let (bins, bands, pad) = (stft.bins(), config.n_mels, config.pad());
        let mut magnitudes = vec![0.0; mel.frames * bins];
        let mut targets = vec![0.0; mel.frames * bands];
        let mut spectra = vec![Complex32::ZERO; mel.frames * bins];
        let mut before = spectra.clone();
        let rows = magnitudes.chunks_mut(bins).zip(targets.chunks_mut(bands)).enumerate();
        let weights: Vec<f32> = rows
            .map(|(frame, (magnitudes, target))| aim.begin(mel.frame(frame), magnitudes, target))
            .collect();
        let gains = stft.gains(&weights);
        let mut padded = vec![0.0; gains.len()];
        padded[pad..].iter_mut().zip(sound).for_each(|(to, from)| *to = *from);
        let given = padded.clone();
        for _ in 0..rounds {
            for frame in 0..mel.frames {
                let range = frame * bins..(frame + 1) * bins;
                let mut state = aim::Frame {
                    target: &targets[frame * bands..(frame + 1) * bands],
                    magnitudes: &mut magnitudes[range.clone()],
                    before: &mut before[range.clone()],
                    spectrum: &mut spectra[range],
                };
                aim.advance(stft.analyse(&padded, frame), settings.momentum, &mut state);
            }
            padded.fill(0.0);
            for (frame, spectrum) in spectra.chunks_exact(bins).enumerate() {
                stft.add(spectrum, weights[frame], frame, &mut padded);
            }
            padded.iter_mut().zip(&gains).for_each(|(x, gain)| *x *= gain);
            if held > 0 {
                padded[..pad + held].copy_from_slice(&given[..pad + held]);
            }
        }
        padded[pad..pad + sound.len()].to_vec()
    }

    #[test]
    fn it_is_its_definition_on_any_number_of_threads() {
        let (mel, sound, settings) = clip();
        // The last block is not full.
        assert!(mel.frames > 2 * BLOCK && !mel.frames.is_multiple_of(BLOCK));
        for held in [0, 12 * mel.config.hop] {
            let with = |threads| {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                pool.install(|| {
                    Search::new(&settings, &mel, 0).of_sound(3, &mel.config, &sound, held)
                })
            };
            let found = with(1);
            assert!((2..5).all(|threads| with(threads) == found), "{held} samples held");
            let expected = slowly(&settings, &mel, &sound, 3, held);
            let worst = found.iter().zip(&expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(worst < 1e-4, "{held} samples held: {worst}");
            assert_eq!(found[..held], sound[..held]);
        }
    }

    #[test]
    fn a_piece_has_the_bits_of_its_part_of_the_whole() {
        let (mel, _, settings) = clip();
        let (bands, hop) = (mel.config.n_mels, mel.config.hop);
        let settings = GriffinLim { iterations: 2, ..settings };
        let whole = settings.render(&mel).unwrap();
        // No multiple of a block.
        for first in [5, 17] {
            let part = Mel::new(mel.config.clone(), mel.data[first * bands..].to_vec()).unwrap();
            let found = settings.render_from(&part, first).unwrap();
            let settled = GriffinLim::reach(2, &mel.config);
            assert_eq!(found[settled * hop..], whole[(first + settled) * hop..], "from {first}");
        }
    }

    #[test]
    fn windows_wider_than_a_block_come_together() {
        // A window of 24 hops, and a clip of less frames than a block.
        let config = MelConfig { hop: 50, ..MelConfig::default() };
        let (_, sound, settings) = clip();
        for seconds in [0.3, 0.02] {
            let mut sound = sound[2400..][..(24e3 * seconds) as usize].to_vec();
            let mel = MelExtractor::new(&config).unwrap().extract(&sound).unwrap();
            sound.resize(mel.frames * config.hop, 0.0);
            let found = Search::new(&settings, &mel, 0).of_sound(2, &config, &sound, 0);
            let expected = slowly(&settings, &mel, &sound, 2, 0);
            let worst = found.iter().zip(&expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(worst < 1e-4, "{seconds} s: {worst}");
        }
    }
}
