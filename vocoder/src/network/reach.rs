//! How far one step of the network sees.

use crate::config::{ModelConfig, Padding, STEM_TAPS, TAPS};

/// What one sample of a step's output can depend on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reach {
    /// Samples of the signal before it.
    pub past: usize,
    /// Samples of the signal after it.
    pub ahead: usize,
    /// Whole frames before the one that holds it, of signal and mel.
    pub frames_past: usize,
    /// Whole frames after the one that holds it, of signal and mel.
    pub frames_ahead: usize,
}

/// Reach of one step, from the config alone.
///
/// Walks from the output to the input and adds up, in samples, what each convolution sees on either
/// side. Keeping the first of each group of rows moves nothing; repeating a row `f` times lets a
/// sample see a row that began up to `f - 1` rows earlier.
pub fn reach(config: &ModelConfig) -> Reach {
    let causal = config.padding != Padding::Symmetric;
    // Both sides of a convolution over rows of `rate` samples.
    let sides = |taps: usize, dilation: usize, rate: usize| {
        let span = dilation * (taps - 1);
        let left = if causal { span } else { span / 2 };
        (left * rate, (span - left) * rate)
    };
    let add = |(a, b): (usize, usize), (c, d): (usize, usize)| (a + c, b + d);

    // The waveform's path, from the stem to what each FiLM module reads.
    let mut wave = sides(STEM_TAPS, 1, 1);
    let mut waves = vec![wave];
    let mut rate = 1;
    for factor in config.down_factors() {
        rate *= factor;
        for dilation in config.down_dilations {
            wave = add(wave, sides(TAPS, dilation, rate));
        }
        waves.push(wave);
    }

    // The mel's path backwards, from the output to the mel.
    let mut here = sides(TAPS, 1, 1);
    let mut signal = (0, 0);
    let mut rate = 1;
    let blocks = config.factors.iter().zip(&config.up_dilations).rev();
    for ((factor, dilations), wave) in blocks.zip(waves) {
        for &dilation in &dilations[1..] {
            here = add(here, sides(TAPS, dilation, rate));
        }
        let film = add(sides(TAPS, 1, rate), sides(TAPS, 1, rate));
        let through = add(add(here, film), wave);
        signal = (signal.0.max(through.0), signal.1.max(through.1));
        here = add(here, sides(TAPS, dilations[0], rate));
        here.0 += (factor - 1) * rate;
        rate *= factor;
    }
    let mut mel = add(here, sides(TAPS, 1, rate));
    if let Padding::Causal { look_ahead } = config.padding {
        mel.1 += look_ahead * rate;
    }
    let hop = config.hop();
    Reach {
        past: signal.0,
        ahead: signal.1,
        frames_past: signal.0.max(mel.0).div_ceil(hop),
        frames_ahead: signal.1.max(mel.1).div_ceil(hop),
    }
}
