//! The network on NVIDIA GPUs with gradients, for training in half precision: forward and backward in
//! one piece, by kernels of our own.
//!
//! [`Network`](super::Network) defines what is computed. A WaveGrad of 1 to 5 M parameters has few
//! channels and many rows: a GPU is short of memory traffic long before it is short of arithmetic. So
//!
//! - **signals lie in half precision** (11 significant bits), products run on the tensor cores and add up
//!   in f32; weights, their gradients and the optimiser stay f32. The gradient of the output is scaled to
//!   unit size on its way in, and the weights' gradients back on their way out, so that none is too small
//!   for half precision. The waveform goes in as two halves, which together have 22 bits;
//! - **one pass over memory a convolution**, as on CPUs (`tape.rs`): activations, modulation, decimation
//!   and repetition are done while a tile is loaded, biases, sums and the gradients of activations while
//!   the results lie in registers;
//! - **the same memory** for every step.
//!
//! The kernels are `gpu/kernels.cu`. What is launched on which arrays is told to a [`Machine`]: the GPU,
//! or in tests (feature `cuda-emulated`) a CPU that runs the same source.

mod backward;
mod forward;
#[cfg(feature = "cuda")]
mod launch;
mod layer;
mod memory;
#[cfg(all(test, feature = "cuda-emulated"))]
mod tests;

use super::tape::plan::Plan;
use candle_core::Result;
use layer::Packed;
#[cfg(feature = "cuda")]
pub(super) use layer::fits;
use memory::Memory;

#[cfg(feature = "cuda")]
pub(super) use launch::Halved;

/// What a kernel is told: the twin of the struct in `gpu/kernels.cu`, which says what each is. Addresses
/// are those of the machine's memory, 0 for none.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
struct Args {
    x: u64,
    aux: u64,
    w: u64,
    bias: u64,
    add: u64,
    out: u64,
    first_channel: u64,
    tx: u64,
    tfilm: u64,
    dfilm: u64,
    dy: u64,
    dw: u64,
    dbias: u64,
    scale: u64,
    values: u64,
    batch: u32,
    rows: u32,
    ci: u32,
    co: u32,
    taps: u32,
    dilation: u32,
    left: i32,
    keep: u32,
    repeat: u32,
    activation: u32,
    through: u32,
    first: u32,
    tkeep: u32,
    add_repeat: u32,
    real_ci: u32,
    real_co: u32,
    tile_rows: u32,
    block_ci: u32,
    block_co: u32,
    count: u32,
}

impl Args {
    /// Nothing but rows that are taken as they are.
    fn plain() -> Self {
        Args { keep: 1, repeat: 1, tkeep: 1, add_repeat: 1, ..Args::default() }
    }
}

/// The kernels of `gpu/kernels.cu`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kernel {
    ConvTall32,
    ConvTall64,
    ConvMiddle64,
    ConvFlat64,
    WeightGradient,
    Collect,
    AddKept,
    Widen,
    Measure,
    Unscale,
    Zero,
    Pack,
}

impl Kernel {
    fn name(self) -> &'static str {
        match self {
            Kernel::ConvTall32 => "conv_tall_32",
            Kernel::ConvTall64 => "conv_tall_64",
            Kernel::ConvMiddle64 => "conv_middle_64",
            Kernel::ConvFlat64 => "conv_flat_64",
            Kernel::WeightGradient => "weight_gradient",
            Kernel::Collect => "collect",
            Kernel::AddKept => "add_kept",
            Kernel::Widen => "widen",
            Kernel::Measure => "measure",
            Kernel::Unscale => "unscale",
            Kernel::Zero => "zero",
            Kernel::Pack => "pack",
        }
    }
}

/// Threads of a block, as in `gpu/kernels.cu`.
const THREADS: u32 = 256;

/// What kernels run on.
trait Machine: std::fmt::Debug {
    /// The address of as many bytes, aligned to 256. They live as long as the machine.
    fn allocate(&self, bytes: usize) -> Result<u64>;

    /// Runs a kernel on a grid of blocks with so many bytes of shared memory each, after all that was
    /// launched before.
    fn launch(&self, kernel: Kernel, grid: [u32; 2], shared: usize, args: Args) -> Result<()>;

    /// Runs a kernel of a thread for each of `count` things.
    fn launch_flat(&self, kernel: Kernel, count: usize, args: Args) -> Result<()> {
        let blocks = count.div_ceil(THREADS as usize) as u32;
        self.launch(kernel, [blocks, 1], 0, args)
    }
}

/// One step's sizes and inputs.
struct Pass<'a, M> {
    plan: &'a Plan,
    memory: &'a Memory<M>,
    batch: usize,
    frames: usize,
    /// For each FiLM module the address of the encoded levels, `[batch][channels]` in f32.
    levels: &'a [u64],
    packed: &'a Packed,
}
