//! Changing the number of rows by a whole factor, linearly between rows: PyTorch's `interpolate` with
//! mode linear and no aligned corners. Row `i` of the output lies at `(i + 1/2) step - 1/2` of the
//! input's rows, step being the rows in over the rows out; before the first row lies that row, after the
//! last that one.
//!
//! Composed of the tensor library's own operations, on every device: no voice of ours is made of them,
//! they are for networks of ivanvovk/WaveGrad.

use candle_core::{Result, Tensor};

/// `[batch, rows, c]` -> `[batch, rows * factor, c]`.
///
/// # Errors
/// Those of the tensor library.
pub fn widen(x: &Tensor, factor: usize) -> Result<Tensor> {
    let (batch, rows, channels) = x.dims3()?;
    if factor == 1 || rows == 0 {
        return Ok(x.clone());
    }
    let before = Tensor::cat(&[&x.narrow(1, 0, 1)?, &x.narrow(1, 0, rows - 1)?], 1)?;
    let after = Tensor::cat(&[&x.narrow(1, 1, rows - 1)?, &x.narrow(1, rows - 1, 1)?], 1)?;
    // The `factor` rows around row r lie at r + (j + 1/2) / factor - 1/2.
    let places = (0..factor).map(|j| (j as f64 + 0.5) / factor as f64 - 0.5);
    let parts = places.map(|place| {
        let (other, share) = if place < 0.0 { (&before, -place) } else { (&after, place) };
        (x * (1.0 - share))? + (other * share)?
    });
    let parts = parts.collect::<Result<Vec<_>>>()?;
    Tensor::stack(&parts, 2)?.reshape((batch, rows * factor, channels))
}

/// `[batch, rows, c]` -> `[batch, rows / factor, c]`: the middle row of each `factor`, or the mean of the
/// two in the middle.
///
/// # Errors
/// A number of rows that the factor does not divide.
pub fn narrow(x: &Tensor, factor: usize) -> Result<Tensor> {
    let (batch, rows, channels) = x.dims3()?;
    if factor == 0 || !rows.is_multiple_of(factor) {
        candle_core::bail!("{rows} rows are not a multiple of the factor {factor}");
    }
    if factor == 1 {
        return Ok(x.clone());
    }
    let groups = x.contiguous()?.reshape((batch, rows / factor, factor, channels))?;
    let row = |j| groups.narrow(2, j, 1)?.squeeze(2);
    match factor % 2 {
        1 => row(factor / 2),
        _ => (row(factor / 2 - 1)? + row(factor / 2)?)? * 0.5,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use candle_core::Device;

    fn column(values: &[f32]) -> Tensor {
        Tensor::from_slice(values, (1, values.len(), 1), &Device::Cpu).unwrap()
    }

    fn values(x: Tensor) -> Vec<f32> {
        x.flatten_all().unwrap().to_vec1().unwrap()
    }

    #[test]
    fn by_hand() {
        // At -1/4, 1/4, 3/4 and 5/4 of rows 0 and 8.
        assert_eq!(values(widen(&column(&[0.0, 8.0]), 2).unwrap()), [0.0, 2.0, 6.0, 8.0]);
        // At -1/3, 0, 1/3, 2/3, 1 and 4/3.
        let found = values(widen(&column(&[0.0, 9.0]), 3).unwrap());
        for (found, expected) in found.iter().zip([0.0, 0.0, 3.0, 6.0, 9.0, 9.0]) {
            assert!((found - expected).abs() < 1e-6, "{found} {expected}");
        }
        assert_eq!(values(widen(&column(&[5.0]), 2).unwrap()), [5.0, 5.0]);
        let six = column(&[1.0, 2.0, 4.0, 8.0, 16.0, 32.0]);
        assert_eq!(values(narrow(&six, 3).unwrap()), [2.0, 16.0]);
        assert_eq!(values(narrow(&six, 2).unwrap()), [1.5, 6.0, 24.0]);
        assert!(narrow(&six, 4).is_err());
    }
}
