//! Differentiable tensor operations.
