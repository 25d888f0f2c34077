//! From sums of products, part by part, to the gradient of the taps.

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use super::Layout;
use crate::engine::Isa;
use crate::kernel::ConvShape;
use crate::kernel::winograd::{self, POINTS};

/// Adds the parts up, and goes back from products to taps. `taps`: the gradient, tap by tap, from some
/// channel in on.
pub(super) fn reduce(
    isa: Isa,
    shape: &ConvShape,
    layout: &Layout,
    sums: &[f32],
    taps: Vec<&mut [f32]>,
) {
    /// Channels in that a task takes.
    const CHANNELS: usize = 16;
    let mut tasks: Vec<Vec<&mut [f32]>> = Vec::new();
    for tap in taps {
        for (i, rows) in tap.chunks_mut(CHANNELS * shape.co).enumerate() {
            match tasks.get_mut(i) {
                Some(task) => task.push(rows),
                None => tasks.push(vec![rows]),
            }
        }
    }
    tasks.into_par_iter().enumerate().for_each(|(i, taps)| {
        let channel = i * CHANNELS;
        isa.arch().dispatch(Reduce { co: shape.co, layout, sums, channel, taps });
    });
}

struct Reduce<'a> {
    co: usize,
    layout: &'a Layout,
    sums: &'a [f32],
    channel: usize,
    taps: Vec<&'a mut [f32]>,
}

impl WithSimd for Reduce<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Reduce { co, layout, sums, channel, mut taps } = self;
        let Layout { tiled, points, depth, width, panels, .. } = *layout;
        let part = panels * layout.panel();
        for c in 0..taps[0].len() / co {
            for panel in 0..panels {
                let column = panel * width;
                let live = width.min(co - column);
                let total = |point: usize| {
                    let mut total = [0f32; 64];
                    for sums in sums.chunks_exact(part) {
                        let at = panel * layout.panel() + (point * depth + channel + c) * width;
                        total.iter_mut().zip(&sums[at..at + width]).for_each(|(t, v)| *t += v);
                    }
                    total
                };
                let place = c * co + column..c * co + column + live;
                if !tiled {
                    for (point, tap) in taps.iter_mut().enumerate().take(points) {
                        tap[place.clone()].copy_from_slice(&total(point)[..live]);
                    }
                    continue;
                }
                let products: [[f32; 64]; POINTS] = std::array::from_fn(total);
                let mut out = [[0f32; 64]; 3];
                for n in 0..width {
                    let g = winograd::weights_transposed(std::array::from_fn(|p| products[p][n]));
                    (out[0][n], out[1][n], out[2][n]) = (g[0], g[1], g[2]);
                }
                for (tap, out) in taps.iter_mut().zip(&out) {
                    tap[place.clone()].copy_from_slice(&out[..live]);
                }
            }
        }
    }
}
