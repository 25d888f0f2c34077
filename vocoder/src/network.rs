//! The WaveGrad network.
