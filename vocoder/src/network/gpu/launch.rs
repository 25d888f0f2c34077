//! The GPU that the kernels run on, and the network on it as an operation with gradients.

use super::forward::Tape;
use super::layer::{MOST_SHARED, Packed};
use super::memory::Memory;
use super::{Args, Kernel, Machine, Pass, THREADS};
use crate::config::ModelConfig;
use crate::network::encode_level;
use crate::network::tape::plan::Plan;
use candle_core::backend::BackendStorage;
use candle_core::cuda_backend::cudarc::driver::sys::CUfunction_attribute_enum;
use candle_core::cuda_backend::cudarc::driver::{
    CudaFunction, CudaSlice, DevicePtr, DeviceRepr, LaunchConfig, PushKernelArg,
};
use candle_core::cuda_backend::{CudaDevice, WrapErr};
use candle_core::{CpuStorage, CudaStorage, CustomOp3, Layout, Result, Shape, Storage, Tensor};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

const PTX: &str = include_str!(concat!(env!("OUT_DIR"), "/kernels.ptx"));

// SAFETY: addresses and numbers alone, laid out as C has them.
unsafe impl DeviceRepr for Args {}

/// A GPU, its kernels, and all memory that was allocated on it here.
#[derive(Debug)]
struct Gpu {
    device: CudaDevice,
    kernels: Mutex<BTreeMap<Kernel, CudaFunction>>,
    owned: Mutex<Vec<CudaSlice<u8>>>,
}

impl Gpu {
    fn new(device: &CudaDevice) -> Self {
        Gpu { device: device.clone(), kernels: Mutex::default(), owned: Mutex::default() }
    }

    fn kernel(&self, kernel: Kernel) -> Result<CudaFunction> {
        let mut kernels = self.kernels.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(function) = kernels.get(&kernel) {
            return Ok(function.clone());
        }
        let loaded = self.device.get_or_load_custom_func(kernel.name(), "vocoder_training", PTX)?;
        let function = loaded.into_cuda_function();
        let most = CUfunction_attribute_enum::CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES;
        function.set_attribute(most, MOST_SHARED as i32).w()?;
        kernels.insert(kernel, function.clone());
        Ok(function)
    }
}

impl Machine for Gpu {
    fn allocate(&self, bytes: usize) -> Result<u64> {
        let slice = self.device.alloc_zeros::<u8>(bytes.max(256))?;
        let address = address(&self.device, &slice, 0);
        self.owned.lock().unwrap_or_else(PoisonError::into_inner).push(slice);
        Ok(address)
    }

    fn launch(&self, kernel: Kernel, grid: [u32; 2], shared: usize, args: Args) -> Result<()> {
        let function = self.kernel(kernel)?;
        let stream = self.device.cuda_stream();
        let config = LaunchConfig {
            grid_dim: (grid[0], grid[1], 1),
            block_dim: (THREADS, 1, 1),
            shared_mem_bytes: shared as u32,
        };
        let mut launch = stream.launch_builder(&function);
        launch.arg(&args);
        // SAFETY: the kernels take an `Args` and stay within the arrays that it tells of, whose sizes
        // `layer.rs`, `forward.rs` and `backward.rs` have from one plan; checked by running the same
        // source on a CPU (`tests.rs`).
        unsafe { launch.launch(config) }.w()?;
        Ok(())
    }
}

fn address<T>(device: &CudaDevice, slice: &CudaSlice<T>, offset: usize) -> u64 {
    let stream = device.cuda_stream();
    let (address, _reads) = slice.device_ptr(&stream);
    address + (offset * size_of::<T>()) as u64
}

/// The address of a contiguous f32 array.
fn values(storage: &CudaStorage, layout: &Layout) -> Result<u64> {
    let Some((from, _)) = layout.contiguous_offsets() else {
        candle_core::bail!("expected a contiguous array for the network on a GPU")
    };
    Ok(address(storage.device(), storage.as_cuda_slice::<f32>()?, from))
}

/// A network's convolutions on a GPU, and the memory of its steps.
#[derive(Debug)]
pub(in crate::network) struct Halved {
    config: ModelConfig,
    plan: Plan,
    /// From the first step on: the GPU's memory, and the batch and frames of the arrays in it.
    home: Mutex<Option<(Arc<Memory<Gpu>>, [usize; 2])>>,
}

impl Halved {
    /// For networks of `config`, which must [fit](super::fits).
    pub fn new(config: &ModelConfig) -> Self {
        Halved { config: config.clone(), plan: Plan::new(config), home: Mutex::default() }
    }

    /// As [`Network::forward`](crate::network::Network::forward), whose checks have passed, on a prepared
    /// mel, with all weights side by side in the order of [`ModelConfig::parameters`].
    ///
    /// # Errors
    /// Those of the GPU.
    pub fn forward(
        self: &Arc<Self>,
        signal: &Tensor,
        mel: &Tensor,
        weights: &Tensor,
        levels: &[f64],
    ) -> Result<Tensor> {
        let encode = |channels: usize| encode_level(&self.config.level, levels, channels);
        let channels = self.config.down_channels();
        let encoded: Vec<f32> = channels.iter().flat_map(|channels| encode(*channels)).collect();
        let count = encoded.len();
        let levels = Tensor::from_vec(encoded, count, signal.device())?;
        let device = signal.device().as_cuda_device()?;
        let sizes = [mel.dim(0)?, mel.dim(1)?];
        let mut home = self.home.lock().unwrap_or_else(PoisonError::into_inner);
        let memory = match &*home {
            Some((memory, of)) if *of == sizes => memory.clone(),
            _ => Arc::new(Memory::new(Gpu::new(device))),
        };
        *home = Some((memory.clone(), sizes));
        drop(home);
        let step = Step { halved: self.clone(), memory, levels, kept: Mutex::default() };
        signal.contiguous()?.apply_op3(&mel.contiguous()?, &weights.contiguous()?, step)
    }
}

/// One step as an operation on the signal, the mel and all weights.
struct Step {
    halved: Arc<Halved>,
    memory: Arc<Memory<Gpu>>,
    /// The encoded levels of all FiLM modules, `[module][batch][channels]`.
    levels: Tensor,
    /// What the forward pass has left for the way back.
    kept: Mutex<Option<(Packed, Tape)>>,
}

impl Step {
    /// Runs `work` on a pass over `[batch, frames]`.
    fn with_pass<R>(
        &self,
        [batch, frames]: [usize; 2],
        packed: &Packed,
        work: impl FnOnce(&Pass<Gpu>) -> Result<R>,
    ) -> Result<R> {
        let (storage, layout) = self.levels.storage_and_layout();
        let Storage::Cuda(storage) = &*storage else {
            candle_core::bail!("expected the levels on the GPU")
        };
        let mut at = values(storage, layout)?;
        let mut levels = Vec::new();
        for channels in self.halved.config.down_channels() {
            levels.push(at);
            at += 4 * (batch * channels) as u64;
        }
        let (plan, memory) = (&self.halved.plan, &*self.memory);
        work(&Pass { plan, memory, batch, frames, levels: &levels, packed })
    }
}

impl CustomOp3 for Step {
    fn name(&self) -> &'static str {
        "network"
    }

    fn cpu_fwd(
        &self,
        _: &CpuStorage,
        _: &Layout,
        _: &CpuStorage,
        _: &Layout,
        _: &CpuStorage,
        _: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        candle_core::bail!("expected a signal on the GPU")
    }

    fn cuda_fwd(
        &self,
        signal: &CudaStorage,
        signal_layout: &Layout,
        mel: &CudaStorage,
        mel_layout: &Layout,
        weights: &CudaStorage,
        weights_layout: &Layout,
    ) -> Result<(CudaStorage, Shape)> {
        let (batch, frames, _) = mel_layout.shape().dims3()?;
        if weights_layout.shape().elem_count() != self.halved.plan.len {
            candle_core::bail!("expected {} weights", self.halved.plan.len);
        }
        let device = signal.device();
        let out = device.alloc_zeros::<f32>(signal_layout.shape().elem_count())?;
        let weights = values(weights, weights_layout)?;
        let packed = Packed::new(&self.memory, &self.halved.plan, weights)?;
        let tape = self.with_pass([batch, frames], &packed, |pass| {
            let (x, bands) = (values(signal, signal_layout)?, values(mel, mel_layout)?);
            pass.forward(x, bands, address(device, &out, 0))
        })?;
        *self.kept.lock().unwrap_or_else(PoisonError::into_inner) = Some((packed, tape));
        let out = CudaStorage::wrap_cuda_slice(out, device.clone());
        Ok((out, signal_layout.shape().clone()))
    }

    fn bwd(
        &self,
        signal: &Tensor,
        mel: &Tensor,
        weights: &Tensor,
        _: &Tensor,
        dy: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        if signal.track_op() || mel.track_op() {
            candle_core::bail!("gradients of the signal and the mel are not computed on GPUs");
        }
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some((packed, tape)) = kept else {
            candle_core::bail!("expected one way back for each way forward")
        };
        let (batch, frames, _) = mel.dims3()?;
        let dy = dy.contiguous()?;
        let gradient = weights.zeros_like()?;
        {
            let (dy, dy_layout) = dy.storage_and_layout();
            let (out, out_layout) = gradient.storage_and_layout();
            let (Storage::Cuda(dy), Storage::Cuda(out)) = (&*dy, &*out) else {
                candle_core::bail!("expected gradients on the GPU")
            };
            self.with_pass([batch, frames], &packed, |pass| {
                pass.backward(tape, values(dy, dy_layout)?, values(out, out_layout)?)
            })?;
        }
        Ok((None, None, Some(gradient)))
    }
}
