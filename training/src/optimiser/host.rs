//! The optimiser's arithmetic on CPUs, in one pass over memory on all threads. In tensors it takes some
//! twenty, which for Base are a tenth of a step.

use super::{EPSILON, Factors, Slot};
use candle_core::Tensor;
use rayon::prelude::*;
use vocoder::Result;
use vocoder::network::Weights;
use vocoder::ops::with_f32_values;

/// Values that a thread takes at once. Sums are added up in chunks of this: they don't depend on the
/// number of threads.
const CHUNK: usize = 1 << 14;

/// Global norm of the gradients.
///
/// # Errors
/// Those of the tensor library.
pub(super) fn norm(gradients: &Weights) -> Result<f64> {
    let mut total = 0.0;
    for gradient in gradients.values() {
        with_f32_values([gradient], |[values]| {
            let square = |chunk: &[f32]| chunk.iter().map(|v| f64::from(v * v)).sum::<f64>();
            total += values.par_chunks(CHUNK).map(square).collect::<Vec<f64>>().iter().sum::<f64>();
            Ok(())
        })?;
    }
    Ok(total.sqrt())
}

/// As [`Slot::step`].
///
/// # Errors
/// Those of the tensor library.
pub(super) fn step(slot: &mut Slot, gradient: &Tensor, factors: &Factors) -> Result<()> {
    let Factors { scale, beta1, beta2, correct1, correct2, kept, rate, mean } = *factors;
    let [scale, beta1, beta2] = [scale, beta1, beta2].map(|v| v as f32);
    let [rest1, rest2] = [1.0 - factors.beta1, 1.0 - factors.beta2].map(|v| v as f32);
    let [over1, over2] = [1.0 / correct1, 1.0 / correct2].map(|v| v as f32);
    let [kept, rate, mean, rest] = [kept, rate, mean, 1.0 - mean].map(|v| v as f32);
    let inputs = [slot.var.as_tensor(), &slot.first, &slot.second, &slot.mean, gradient];
    // New arrays: a checkpoint may still hold the old ones.
    let new = with_f32_values(inputs, |[w, first, second, average, g]| {
        let mut new = [0; 4].map(|_| vec![0f32; g.len()]);
        let [to_w, to_first, to_second, to_average] = &mut new;
        let to = to_w
            .par_chunks_mut(CHUNK)
            .zip(to_first.par_chunks_mut(CHUNK))
            .zip(to_second.par_chunks_mut(CHUNK).zip(to_average.par_chunks_mut(CHUNK)));
        to.enumerate().for_each(|(chunk, ((to_w, to_first), (to_second, to_average)))| {
            let range = chunk * CHUNK..chunk * CHUNK + to_w.len();
            let (w, first, second) =
                (&w[range.clone()], &first[range.clone()], &second[range.clone()]);
            let (average, g) = (&average[range.clone()], &g[range]);
            for i in 0..to_w.len() {
                let g = g[i] * scale;
                let m = first[i] * beta1 + g * rest1;
                let v = second[i] * beta2 + g * g * rest2;
                let moved = w[i] * kept - m * over1 / ((v * over2).sqrt() + EPSILON as f32) * rate;
                (to_w[i], to_first[i], to_second[i]) = (moved, m, v);
                to_average[i] = average[i] * mean + moved * rest;
            }
        });
        Ok(new)
    })?;
    let [w, first, second, average] =
        new.map(|v| Tensor::from_vec(v, gradient.shape(), gradient.device()));
    slot.var.set(&w?)?;
    (slot.first, slot.second, slot.mean) = (first?, second?, average?);
    Ok(())
}
