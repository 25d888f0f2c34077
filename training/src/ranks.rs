//! The processes that train together, started by an MPI launcher (`mpirun -n 4 vocoder train …`).
//!
//! Each takes its share of a step's batches, the [accumulated](crate::config::OptimiserConfig::accumulate)
//! ones; gradients and losses are summed over all, and every process takes the same step. A run has the
//! same loss curve on any number of processes, but for the order of sums. The first process begins or
//! resumes the run, tells the others where it is, and alone writes.
//!
//! Gradients go through the host's memory. NCCL would spare GPUs that way: candle 0.11.1's feature `nccl`
//! turns cudarc's bindings to it on, but offers no collective operation on tensors; what is missing is one
//! (on the device pointers of a tensor's storage), its `Id` told to all by MPI, and several GPUs to test it
//! on. Without the feature `mpi` there is one process.

use crate::checkpoint::Progress;
use crate::crc32c::crc32c;
use crate::optimiser::State;
use candle_core::Tensor;
use vocoder::network::Weights;
use vocoder::{Error, Result};

#[cfg(feature = "mpi")]
use mpi::{
    collective::SystemOperation,
    environment::Universe,
    topology::SimpleCommunicator,
    traits::{Communicator, CommunicatorCollectives, Root},
};

/// Where launchers say how many processes they started: Open MPI, and PMI (MPICH, Slurm).
const SIZES: [&str; 2] = ["OMPI_COMM_WORLD_SIZE", "PMI_SIZE"];

/// This process among those that train together.
pub struct Ranks {
    rank: usize,
    size: usize,
    // In this order: the communicator goes before MPI ends.
    #[cfg(feature = "mpi")]
    world: Option<SimpleCommunicator>,
    #[cfg(feature = "mpi")]
    _universe: Option<Universe>,
}

impl Ranks {
    /// One process.
    pub fn alone() -> Self {
        Ranks {
            rank: 0,
            size: 1,
            #[cfg(feature = "mpi")]
            world: None,
            #[cfg(feature = "mpi")]
            _universe: None,
        }
    }

    /// What the launcher says that this process is. To be called once, from the main thread, from which
    /// alone MPI is then called.
    ///
    /// # Errors
    /// Several processes and a build without MPI; MPI that can't start.
    pub fn of_launcher() -> Result<Self> {
        let size = SIZES.iter().find_map(|name| std::env::var(name).ok()?.parse::<usize>().ok());
        match size {
            None | Some(1) => Ok(Self::alone()),
            Some(size) => Self::start(size),
        }
    }

    #[cfg(not(feature = "mpi"))]
    fn start(size: usize) -> Result<Self> {
        Err(Error::mismatch(
            format!("training by {size} processes"),
            "a program built with MPI (--features=vocoder-cli/mpi)",
            "one without",
        ))
    }

    #[cfg(feature = "mpi")]
    fn start(_size: usize) -> Result<Self> {
        let started = mpi::initialize_with_threading(mpi::Threading::Funneled);
        let Some((universe, _)) = started else {
            return Err(Error::mismatch("MPI", "one start in a process", "another"));
        };
        let world = universe.world();
        Ok(Ranks {
            rank: world.rank().max(0) as usize,
            size: world.size().max(1) as usize,
            world: Some(world),
            _universe: Some(universe),
        })
    }

    /// This process's number, from 0.
    pub fn rank(&self) -> usize {
        self.rank
    }

    /// The number of processes.
    pub fn size(&self) -> usize {
        self.size
    }

    /// Whether this is the process that writes.
    pub fn is_first(&self) -> bool {
        self.rank == 0
    }

    /// How many of a step's `batches` each process takes.
    ///
    /// # Errors
    /// A number that can't be shared out evenly.
    pub fn share(&self, batches: usize) -> Result<usize> {
        if !batches.is_multiple_of(self.size) {
            let reason =
                format!("expected a multiple of the {} processes, got {batches}", self.size);
            return Err(Error::config("optimiser.accumulate", reason));
        }
        Ok(batches / self.size)
    }

    /// Sums gradients and loss over all processes, into each.
    ///
    /// # Errors
    /// A device that fails.
    pub fn sum(&self, gradients: &mut Weights, loss: &mut Tensor) -> Result<()> {
        if self.size == 1 {
            return Ok(());
        }
        let mut values = loss.flatten_all()?.to_vec1::<f32>()?;
        for gradient in gradients.values() {
            values.extend(gradient.flatten_all()?.to_vec1::<f32>()?);
        }
        let values = self.summed(values);
        let mut rest = &values[..];
        let mut take = |like: &Tensor| -> Result<Tensor> {
            let (own, others) = rest.split_at(like.elem_count());
            rest = others;
            Ok(Tensor::from_slice(own, like.shape(), like.device())?)
        };
        *loss = take(loss)?;
        for gradient in gradients.values_mut() {
            *gradient = take(gradient)?;
        }
        Ok(())
    }

    /// Tells all where the first is.
    ///
    /// # Errors
    /// A config, whose text is `config`, that is not the first's; a device that fails.
    pub fn follow(&self, config: &str, state: &mut State, progress: &mut Progress) -> Result<()> {
        if self.size == 1 {
            return Ok(());
        }
        let own = u64::from(crc32c(config.as_bytes()));
        let mut words =
            [own, state.step, progress.step, progress.skipped, progress.skipped_in_a_row];
        self.hear(&mut words);
        if words[0] != own {
            return Err(Error::config("config", "expected the first process's, got another"));
        }
        [_, state.step, progress.step, progress.skipped, progress.skipped_in_a_row] = words;
        let State { weights, mean, first, second, .. } = state;
        for tensor in [weights, mean, first, second].into_iter().flat_map(|part| part.values_mut())
        {
            let mut values = tensor.flatten_all()?.to_vec1::<f32>()?;
            self.hear(&mut values);
            *tensor = Tensor::from_vec(values, tensor.shape(), tensor.device())?;
        }
        Ok(())
    }

    /// Whether any process says so.
    pub fn any(&self, so: bool) -> bool {
        self.size > 1 && self.summed(vec![f32::from(u8::from(so))])[0] > 0.0 || so
    }

    #[cfg(not(feature = "mpi"))]
    fn summed(&self, values: Vec<f32>) -> Vec<f32> {
        values
    }

    #[cfg(feature = "mpi")]
    fn summed(&self, values: Vec<f32>) -> Vec<f32> {
        let Some(world) = &self.world else { return values };
        let mut sums = vec![0f32; values.len()];
        world.all_reduce_into(&values[..], &mut sums[..], SystemOperation::sum());
        sums
    }

    /// The first's values in the place of one's own.
    #[cfg(not(feature = "mpi"))]
    fn hear<T>(&self, _values: &mut [T]) {}

    #[cfg(feature = "mpi")]
    fn hear<T: mpi::traits::Equivalence>(&self, values: &mut [T]) {
        if let Some(world) = &self.world {
            world.process_at_rank(0).broadcast_into(values);
        }
    }

    /// Ends all processes, for the others would wait for one that fails. Does nothing to one alone.
    pub fn abandon(&self) {
        #[cfg(feature = "mpi")]
        if let Some(world) = &self.world {
            world.abort(1);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn batches_are_shared_out_evenly_or_not_at_all() {
        let mut three = Ranks::alone();
        (three.rank, three.size) = (1, 3);
        assert_eq!(three.share(6).unwrap(), 2);
        let message = three.share(4).unwrap_err().to_string();
        assert!(message.contains("multiple of the 3") && message.contains('4'), "{message}");
        assert!(
            Ranks::alone().is_first() && Ranks::alone().any(true) && !Ranks::alone().any(false)
        );
    }
}
