//! How far the network sees, as its config says and as the gradient of single outputs shows: what an
//! output does not depend on has a gradient of exactly zero.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use candle_core::{Tensor, Var};
use vocoder::config::{ModelConfig, Padding, Resampling};
use vocoder::network::{Network, Weights, reach};
use vocoder_tests::arrays::uniform;

/// The preset with two channels everywhere: reach depends on factors, dilations and padding alone.
fn narrow(preset: &str, padding: Padding) -> ModelConfig {
    let config = ModelConfig::preset(preset, 2).unwrap();
    let (down, up) = (vec![2; config.down.len()], vec![2; config.up.len()]);
    ModelConfig { first: 2, stem: 2, down, up, padding, ..config }
}

/// Positive weights, so that no two paths cancel.
fn positive_weights(config: &ModelConfig) -> Weights {
    let parameters = config.parameters().into_iter().enumerate();
    let weight =
        |seed: usize, shape: &[usize]| uniform(seed as u64, shape).affine(0.1, 0.3).unwrap();
    parameters.map(|(seed, p)| (p.name, weight(seed, &p.shape))).collect()
}

/// Signal and mel around the outputs under test.
struct Probe {
    network: Network,
    frames: usize,
    signal: Var,
    mel: Var,
}

impl Probe {
    fn new(config: &ModelConfig, frames: usize) -> Self {
        let positive = |seed, shape: &[usize]| {
            Var::from_tensor(&uniform(seed, shape).affine(0.4, 0.5).unwrap()).unwrap()
        };
        let network = Network::new(config, &positive_weights(config)).unwrap();
        let signal = positive(1, &[1, frames * config.hop()]);
        let mel = positive(2, &[1, frames, config.n_mels]);
        Probe { network, frames, signal, mel }
    }

    /// First and last sample of the signal and frame of the mel on which the outputs
    /// `from..from + count` depend.
    fn seen(&self, from: usize, count: usize) -> [(usize, usize); 2] {
        let output = self.network.forward(&self.signal, &self.mel, &[0.5]).unwrap();
        let sum = output.narrow(1, from, count).unwrap().sum_all().unwrap();
        let gradients = sum.backward().unwrap();
        let signal = gradients.get(&self.signal).unwrap().squeeze(0).unwrap();
        let mel = gradients.get(&self.mel).unwrap().squeeze(0).unwrap().sum(1).unwrap();
        [ends(&signal), ends(&mel)]
    }
}

/// The first and the last entry that is not zero.
fn ends(gradient: &Tensor) -> (usize, usize) {
    let values = gradient.to_vec1::<f64>().unwrap();
    let seen = |v: &f64| *v != 0.0;
    (values.iter().position(seen).unwrap(), values.iter().rposition(seen).unwrap())
}

/// Samples before and after the start of a row of the waveform's path at its coarsest rate that the
/// convolutions at finer rates read for it.
fn waveform_path(config: &ModelConfig) -> (usize, usize) {
    let factors = config.down_factors();
    let coarsest = factors.iter().product::<usize>();
    let rates = factors.iter().scan(1, |rate, factor| {
        *rate *= factor;
        Some(*rate)
    });
    let side = |taps: usize| (taps - 1) / 2;
    let dilations = config.down_dilations.iter().sum::<usize>() * side(config.taps);
    let finer =
        rates.filter(|&rate| rate < coarsest).sum::<usize>() * dilations + side(config.stem_taps);
    if config.padding == Padding::Symmetric { (finer, finer) } else { (2 * finer, 0) }
}

#[test]
fn the_config_tells_how_far_one_step_sees() {
    for (preset, taps, stem_taps) in
        [("base", 3, 5), ("large", 3, 5), ("base", 5, 3), ("base", 1, 9)]
    {
        for padding in [
            Padding::Symmetric,
            Padding::Causal { look_ahead: 0 },
            Padding::Causal { look_ahead: 2 },
        ] {
            let what = format!("{preset}, {taps} and {stem_taps} taps, {padding:?}");
            let config = ModelConfig { taps, stem_taps, ..narrow(preset, padding) };
            let hop = config.hop();
            let reach = reach(&config);
            let middle = reach.frames_past + 2;
            let probe = Probe::new(&config, middle + reach.frames_ahead + 3);

            let [(first, last), (first_frame, last_frame)] = probe.seen(middle * hop, hop);
            assert!(first > 0 && last + 1 < probe.frames * hop, "{what}: the probe is too short");
            let past = middle - first_frame.min(first / hop);
            let ahead = last_frame.max(last / hop) - middle;
            assert_eq!((past, ahead), (reach.frames_past, reach.frames_ahead), "{what}: frames");

            // Far samples are seen through the coarsest rows, each the start of a group of samples
            // from which the waveform's path reads on: only some outputs see the furthest.
            let (path_past, path_ahead) = waveform_path(&config);
            let at = middle * hop + (reach.past - path_past) % hop;
            let [(first, _), _] = probe.seen(at, 1);
            assert_eq!(at - first, reach.past, "{what}: past");
            let at = (middle + 1) * hop - (reach.ahead - path_ahead) % hop;
            let [(_, last), _] = probe.seen(at, 1);
            assert_eq!(last.max(at) - at, reach.ahead, "{what}: ahead");
            for phase in (0..hop).step_by(37) {
                let at = middle * hop + phase;
                let [(first, last), _] = probe.seen(at, 1);
                assert!(
                    at - first <= reach.past && last.max(at) - at <= reach.ahead,
                    "{what}: {at}"
                );
            }
        }
    }
}

#[test]
fn narrower_presets_see_as_far_as_base() {
    let base = reach(&ModelConfig::preset("base", 128).unwrap());
    for preset in ["half", "small", "quarter", "eighth"] {
        assert_eq!(reach(&ModelConfig::preset(preset, 128).unwrap()), base, "{preset}");
    }
}

#[test]
fn a_network_that_resamples_linearly_sees_further() {
    let config = narrow("base", Padding::Symmetric);
    let linear = ModelConfig { resampling: Resampling::Linear, ..config.clone() };
    let (linear, hop) = ((reach(&linear), Probe::new(&linear, 16)), config.hop());
    let (far, probe) = linear;
    let [(first, last), (first_frame, last_frame)] = probe.seen(8 * hop, hop);
    let seen = (8 - first_frame.min(first / hop), last_frame.max(last / hop) - 8);
    assert_eq!(seen, (far.frames_past, far.frames_ahead));
    assert!(far.frames_past >= reach(&config).frames_past);
    for phase in (0..hop).step_by(37) {
        let [(first, last), _] = probe.seen(8 * hop + phase, 1);
        assert!(8 * hop + phase - first <= far.past && last - 8 * hop - phase <= far.ahead);
    }
}
