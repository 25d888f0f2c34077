//! Griffin-Lim: the baseline without a network.
