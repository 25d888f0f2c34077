//! Configuration of the network.
