//! Arrays to test with: reproducible pseudo-random ones, stored ones, and how far two are apart.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use candle_core::{DType, Device, Tensor};

/// A file in `tests/reference/`, by its path below that folder.
pub fn reference_path(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("reference").join(path)
}

/// Values uniform in [-1, 1) that depend on `seed` and the shape alone (the output function of
/// SplitMix64, Steele et al. 2014), in f64 on the CPU.
pub fn uniform(seed: u64, shape: &[usize]) -> Tensor {
    let values = (0..shape.iter().product::<usize>() as u64)
        .map(|i| {
            let mut z = (seed << 32).wrapping_add(i + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
            z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            z ^= z >> 31;
            (z >> 11) as f64 / (1u64 << 52) as f64 - 1.0
        })
        .collect::<Vec<_>>();
    Tensor::from_vec(values, shape, &Device::Cpu).unwrap()
}

/// The largest absolute value.
pub fn largest(x: &Tensor) -> f64 {
    let x = x.flatten_all().unwrap().to_dtype(DType::F64).unwrap();
    x.to_vec1::<f64>().unwrap().into_iter().fold(0.0, |worst, v| {
        assert!(v.is_finite(), "a value is {v}");
        v.abs().max(worst)
    })
}

/// The largest absolute difference of two arrays, which must agree in shape.
#[track_caller]
pub fn difference(got: &Tensor, expected: &Tensor) -> f64 {
    assert_eq!(got.dims(), expected.dims(), "shapes differ");
    let expected = expected.to_dtype(got.dtype()).unwrap();
    largest(&got.sub(&expected).unwrap())
}

/// Asserts that no value of `got` is further from `expected` than `tolerance` times the largest
/// magnitude of `expected` (or times 1, where that is smaller than 1).
#[track_caller]
pub fn assert_close(what: &str, got: &Tensor, expected: &Tensor, tolerance: f64) {
    let (difference, scale) = (difference(got, expected), largest(expected).max(1.0));
    assert!(
        difference <= tolerance * scale,
        "{what}: off by {difference:e} where values reach {scale:.3}; {tolerance:e} of that is allowed"
    );
}

/// Asserts that no value of `got` is further from `expected` than `tolerance` times the largest
/// magnitude of `expected`, however small that is: for gradients.
#[track_caller]
pub fn assert_close_relative(what: &str, got: &Tensor, expected: &Tensor, tolerance: f64) {
    let (difference, scale) = (difference(got, expected), largest(expected));
    assert!(scale > 0.0, "{what}: the expected values are all zero, which tests nothing");
    assert!(
        difference <= tolerance * scale,
        "{what}: off by {difference:e} where values reach {scale:e}; {tolerance:e} of that is allowed"
    );
}

/// Arrays of a safetensors file by name.
pub struct Arrays(HashMap<String, Tensor>);

impl Arrays {
    /// Reads a whole file onto the CPU.
    pub fn read(path: &Path) -> Self {
        Self(candle_core::safetensors::load(path, &Device::Cpu).unwrap())
    }

    /// The array of that name.
    #[track_caller]
    pub fn get(&self, name: &str) -> &Tensor {
        self.0.get(name).unwrap_or_else(|| panic!("the file has no array {name}"))
    }

    /// The arrays whose names begin with `prefix`, by what follows it.
    #[track_caller]
    pub fn under(&self, prefix: &str) -> HashMap<String, Tensor> {
        let found = self.0.iter().filter_map(|(name, array)| {
            Some((name.strip_prefix(prefix)?.to_owned(), array.clone()))
        });
        let found = found.collect::<HashMap<_, _>>();
        assert!(!found.is_empty(), "the file has no array under {prefix}");
        found
    }
}
