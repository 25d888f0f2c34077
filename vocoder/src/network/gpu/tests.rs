//! The kernels on a CPU against the tape in f32.

#![allow(clippy::unwrap_used)]
use super::forward::Tape;
use super::layer::{MOST_SHARED, Packed, fits};
use super::memory::Memory;
use super::{Args, Kernel, Machine, Pass};
use crate::config::{ModelConfig, Padding};
use crate::network::tape::plan::Plan;
use crate::network::{Network, Weights, encode_level, initial_weights};
use crate::noise::Noise;
use candle_core::{Device, Result, Tensor, Var};
use std::ffi::{CString, c_char, c_int, c_void};
use std::sync::Mutex;

unsafe extern "C" {
    fn emulated_launch(name: *const c_char, x: u32, y: u32, args: *const c_void) -> c_int;
}

/// One at a time: the emulation's state is the program's.
static TURN: Mutex<()> = Mutex::new(());

#[derive(Debug, Default)]
struct Emulated(Mutex<Vec<Vec<u128>>>);

impl Machine for Emulated {
    fn allocate(&self, bytes: usize) -> Result<u64> {
        // NaN in every precision until it is written.
        let array = vec![u128::MAX; bytes.div_ceil(16)];
        let address = array.as_ptr() as u64;
        self.0.lock().unwrap().push(array);
        Ok(address)
    }

    fn launch(&self, kernel: Kernel, grid: [u32; 2], shared: usize, args: Args) -> Result<()> {
        assert!(shared <= MOST_SHARED, "{kernel:?} wants {shared} bytes of shared memory");
        let name = CString::new(kernel.name()).unwrap();
        let _turn = TURN.lock().unwrap();
        let args = (&raw const args).cast();
        // SAFETY: `args` is what the kernels take, its addresses those of arrays that live.
        assert_eq!(unsafe { emulated_launch(name.as_ptr(), grid[0], grid[1], args) }, 0);
        Ok(())
    }
}

fn random(seed: u64, shape: &[usize]) -> Tensor {
    let mut values = vec![0.0; shape.iter().product()];
    Noise::new(seed).fill(0, 0, &mut values);
    Tensor::from_vec(values, shape, &Device::Cpu).unwrap()
}

fn values(tensor: &Tensor) -> Vec<f32> {
    tensor.flatten_all().unwrap().to_vec1().unwrap()
}

fn config() -> ModelConfig {
    ModelConfig {
        first: 32,
        stem: 16,
        down: vec![16, 32],
        up: vec![32, 32, 16],
        factors: vec![3, 2, 2],
        up_dilations: vec![[1, 2, 1, 2], [1, 2, 4, 8], [1, 2, 4, 8]],
        ..ModelConfig::preset("eighth", 16).unwrap()
    }
}

/// |a - b| / |b|.
fn apart(a: &[f32], b: &[f32]) -> f64 {
    let norm = |x: &mut dyn Iterator<Item = f32>| x.map(|v| f64::from(v).powi(2)).sum::<f64>();
    let difference = norm(&mut a.iter().zip(b).map(|(a, b)| a - b));
    (difference / norm(&mut b.iter().copied())).sqrt()
}

fn equals_the_tape(config: &ModelConfig, frames: usize) {
    assert!(fits(config));
    let plan = Plan::new(config);
    let (mut variables, mut weights) = (Vec::new(), Weights::new());
    for (index, (name, tensor)) in initial_weights(config, 3).unwrap().into_iter().enumerate() {
        // Biases away from zero; weights as they are, which keep signals in half precision's range.
        let by = if tensor.dims().len() == 1 { 0.1 } else { 0.0 };
        let tensor = (&tensor + (random(index as u64, tensor.dims()) * by).unwrap()).unwrap();
        let variable = Var::from_tensor(&tensor).unwrap();
        weights.insert(name.clone(), variable.as_tensor().clone());
        variables.push((name, variable));
    }
    let network = Network::new(config, &weights).unwrap();
    let batch = 3;
    let signal = random(1000, &[batch, frames * config.hop()]);
    let mel = random(1001, &[batch, frames, config.n_mels]);
    let levels = [0.95, 0.5, 0.05];
    let expected = network.forward(&signal, &mel, &levels).unwrap();
    // Small, as the gradients of means over many values are.
    let dy = (random(1002, expected.dims()) * 1e-7).unwrap();
    let gradients = (&expected * &dy).unwrap().sum_all().unwrap().backward().unwrap();

    let flat: Vec<f32> =
        config.parameters().iter().flat_map(|p| values(&weights[&p.name])).collect();
    let memory = Memory::new(Emulated::default());
    let encoded: Vec<Vec<f32>> = config
        .down_channels()
        .into_iter()
        .map(|channels| encode_level(&config.level, &levels, channels))
        .collect();
    let addresses: Vec<u64> = encoded.iter().map(|v| v.as_ptr() as u64).collect();
    let packed = Packed::new(&memory, &plan, flat.as_ptr() as u64).unwrap();
    let pass =
        Pass { plan: &plan, memory: &memory, batch, frames, levels: &addresses, packed: &packed };
    let (signal, mel, dy) = (values(&signal), values(&mel), values(&dy));
    for _ in 0..2 {
        let mut y = vec![f32::NAN; signal.len()];
        let (x, bands) = (signal.as_ptr() as u64, mel.as_ptr() as u64);
        let tape: Tape = pass.forward(x, bands, y.as_mut_ptr() as u64).unwrap();
        let off = apart(&y, &values(&expected));
        assert!(off < 5e-3, "prediction off by {off:e}");
        let mut found = vec![f32::NAN; flat.len()];
        pass.backward(tape, dy.as_ptr() as u64, found.as_mut_ptr() as u64).unwrap();
        let mut at = 0;
        for parameter in config.parameters() {
            let (_, variable) = variables.iter().find(|(n, _)| *n == parameter.name).unwrap();
            let expected = values(gradients.get(variable).unwrap());
            let off = apart(&found[at..at + expected.len()], &expected);
            // Rounding, which slopes of leaky ReLUs that flip make the most of; a mistake is off by 1.
            assert!(off < 0.1, "{} off by {off:e}", parameter.name);
            at += expected.len();
        }
        assert_eq!(at, found.len());
    }
}

#[test]
fn the_kernels_equal_the_tape() {
    equals_the_tape(&config(), 30);
    let causal = ModelConfig { padding: Padding::Causal { look_ahead: 0 }, ..config() };
    equals_the_tape(&causal, 30);
}

#[test]
fn many_channels_and_rows_take_other_kernels() {
    let wide = ModelConfig {
        first: 144,
        down: vec![80],
        up: vec![96, 48],
        factors: vec![2, 3],
        up_dilations: vec![[1, 2, 4, 8]; 2],
        ..config()
    };
    equals_the_tape(&wide, 200);
}

#[test]
fn channels_that_are_no_blocks_do_not_fit() {
    assert!(!fits(&ModelConfig { stem: 8, ..config() }));
    for name in ["base", "large", "half", "small", "quarter", "stream-quarter"] {
        assert!(fits(&ModelConfig::preset(name, 128).unwrap()), "{name}");
    }
}
