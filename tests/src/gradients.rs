//! Gradients against finite differences, in f64.

use candle_core::{Result, Tensor, Var};

use crate::arrays::{largest, uniform};

/// Half the distance of the two points of a central difference. The functions are piecewise
/// polynomial, so a short step costs no accuracy and seldom straddles the kink of a leaky ReLU.
/// Rounding adds about 1e-15 / 1e-6 = 1e-9.
const STEP: f64 = 1e-6;

/// How far a gradient may be from the finite difference, of the largest gradient or of 1.
const TOLERANCE: f64 = 1e-8;

/// A variable of [`uniform`] values.
pub fn variable(seed: u64, shape: &[usize]) -> Var {
    Var::from_tensor(&uniform(seed, shape)).unwrap()
}

/// Asserts that back-propagation through `function` gives, for every entry of every variable, the
/// central difference of sum(output * fixed pseudo-random weights).
#[track_caller]
pub fn assert_gradients(what: &str, variables: &[&Var], function: impl Fn() -> Result<Tensor>) {
    let weights = uniform(4242, function().unwrap().dims());
    let objective = || (function()? * &weights)?.sum_all();
    let gradients = objective().unwrap().backward().unwrap();
    let value = || objective().unwrap().to_scalar::<f64>().unwrap();
    for (index, variable) in variables.iter().enumerate() {
        let gradient = gradients.get(variable);
        let gradient =
            gradient.unwrap_or_else(|| panic!("{what}: variable {index} has no gradient"));
        assert_eq!(gradient.dims(), variable.dims(), "{what}: variable {index}");
        let numeric = numeric_gradient(variable, value);
        let difference = largest(&(gradient - &numeric).unwrap());
        let scale = largest(&numeric);
        assert!(scale > 0.0, "{what}: variable {index} has no effect, which tests nothing");
        assert!(
            difference <= TOLERANCE * scale.max(1.0),
            "{what}: gradient of variable {index} is off by {difference:e} of {scale:e}"
        );
    }
}

/// The central differences of `value` in every entry of `variable`, which is left as it was.
fn numeric_gradient(variable: &Var, value: impl Fn() -> f64) -> Tensor {
    // A copy: the variable's own memory is written below.
    let start = variable.as_tensor().copy().unwrap();
    let entries = start.flatten_all().unwrap().to_vec1::<f64>().unwrap();
    let value_at = |index: usize, step: f64| {
        let mut moved = entries.clone();
        moved[index] += step;
        variable.set(&Tensor::from_vec(moved, start.shape(), start.device()).unwrap()).unwrap();
        value()
    };
    let gradient = (0..entries.len())
        .map(|index| (value_at(index, STEP) - value_at(index, -STEP)) / (2.0 * STEP))
        .collect::<Vec<_>>();
    variable.set(&start).unwrap();
    Tensor::from_vec(gradient, start.shape(), start.device()).unwrap()
}
