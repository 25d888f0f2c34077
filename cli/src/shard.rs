//! One share of a job that several processes or machines do together.

use std::fmt;
use std::str::FromStr;

/// Share `index` (from 1) of `count`: of the sorted inputs, every `count`-th from `index` on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shard {
    index: usize,
    count: usize,
}

impl Shard {
    /// Share `index` of `count`; `index` runs from 1 to `count`.
    pub fn new(index: usize, count: usize) -> Result<Self, String> {
        if (1..=count).contains(&index) {
            Ok(Self { index, count })
        } else {
            Err(format!("expected I/N with I from 1 to N, got {index}/{count}"))
        }
    }

    /// Whether the input at `position` (from 0) of the sorted list belongs to this share.
    pub fn contains(&self, position: usize) -> bool {
        position % self.count == self.index - 1
    }

    /// The share that a scheduler gave this process, if it says so in its variables, and the name
    /// of the variable that said it. `variable` looks one up by name.
    ///
    /// A Slurm array task (`SLURM_ARRAY_TASK_ID`, `_COUNT`, `_MIN`, `_STEP`) may itself be run by
    /// `srun` as several ranks, so that both divide. Ranks are read from `srun`, Open MPI and PMI
    /// (MPICH, Intel MPI).
    ///
    /// # Errors
    /// Variables that are no numbers or contradict one another; or a Slurm batch script with
    /// several tasks that runs the program without `srun`, where a rank of 0 means nothing.
    pub fn from_scheduler(
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Option<(Self, String)>, String> {
        let number = |name: &str| -> Result<Option<usize>, String> {
            match variable(name) {
                None => Ok(None),
                Some(text) => match text.trim().parse() {
                    Ok(value) => Ok(Some(value)),
                    Err(_) => Err(format!("{name}: expected a number, got '{text}'")),
                },
            }
        };
        let (array, rank) = (slurm_array(&number)?, rank(&number)?);
        let (position, count, source) = match (array, rank) {
            (None, None) => return Ok(None),
            (Some((task, tasks)), None) => (task, tasks, "SLURM_ARRAY_TASK_ID".to_string()),
            (None, Some((rank, ranks, name))) => (rank, ranks, name.to_string()),
            (Some((task, tasks)), Some((rank, ranks, name))) => {
                (task * ranks + rank, tasks * ranks, format!("SLURM_ARRAY_TASK_ID and {name}"))
            }
        };
        let shard = Self::new(position + 1, count).map_err(|why| format!("{source}: {why}"))?;
        Ok(Some((shard, source)))
    }
}

impl FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts =
            text.split_once('/').and_then(|(i, n)| Some((i.parse().ok()?, n.parse().ok()?)));
        let (index, count) =
            parts.ok_or_else(|| format!("expected I/N such as 2/8, got '{text}'"))?;
        Self::new(index, count)
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.index, self.count)
    }
}

/// Looks up a variable that holds a number.
type Number<'a> = &'a dyn Fn(&str) -> Result<Option<usize>, String>;

/// Position (from 0) and size of the Slurm job array that this process belongs to.
fn slurm_array(number: Number) -> Result<Option<(usize, usize)>, String> {
    let (Some(id), Some(count)) =
        (number("SLURM_ARRAY_TASK_ID")?, number("SLURM_ARRAY_TASK_COUNT")?)
    else {
        return Ok(None);
    };
    let first = number("SLURM_ARRAY_TASK_MIN")?.unwrap_or(0);
    let step = number("SLURM_ARRAY_TASK_STEP")?.unwrap_or(1).max(1);
    let offset = id
        .checked_sub(first)
        .ok_or_else(|| format!("SLURM_ARRAY_TASK_ID: expected at least {first}, got {id}"))?;
    Ok(Some((offset / step, count)))
}

/// Rank (from 0), number of ranks, and the variable that told.
fn rank(number: Number) -> Result<Option<(usize, usize, &'static str)>, String> {
    for (rank, size) in [("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"), ("PMI_RANK", "PMI_SIZE")]
    {
        if let (Some(position), Some(count)) = (number(rank)?, number(size)?) {
            return Ok(Some((position, count, rank)));
        }
    }
    srun_rank(number)
}

/// The rank that `srun` gave. Slurm sets `SLURM_PROCID` to 0 in a plain batch script too, where it
/// says nothing about shares; only `srun` sets the variables of a step.
fn srun_rank(number: Number) -> Result<Option<(usize, usize, &'static str)>, String> {
    const NAME: &str = "SLURM_PROCID";
    let Some(position) = number(NAME)? else { return Ok(None) };
    if let Some(count) = number("SLURM_STEP_NUM_TASKS")? {
        return Ok(Some((position, count, NAME)));
    }
    let count = number("SLURM_NTASKS")?.unwrap_or(1);
    let by_srun = position > 0 || number("SLURM_STEP_ID")?.is_some();
    match (count, by_srun) {
        (1, _) => Ok(None),
        (_, true) => Ok(Some((position, count, NAME))),
        (_, false) => Err(format!(
            "SLURM_NTASKS is {count}, but this process was not started by srun: start it by srun, \
             or give --shard (1/1 for everything)"
        )),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn under(variables: &[(&str, &str)]) -> Result<Option<String>, String> {
        let look_up = |name: &str| {
            variables.iter().find(|(n, _)| *n == name).map(|(_, value)| value.to_string())
        };
        Shard::from_scheduler(look_up).map(|found| found.map(|(shard, _)| shard.to_string()))
    }

    #[test]
    fn shards_partition_any_list() {
        for count in 1..9 {
            for length in 0..20 {
                let owners = |position| {
                    (1..=count)
                        .filter(|&index| Shard::new(index, count).unwrap().contains(position))
                        .count()
                };
                assert!((0..length).all(|position| owners(position) == 1));
            }
        }
    }

    #[test]
    fn the_flag_counts_from_one() {
        assert_eq!("2/8".parse(), Shard::new(2, 8));
        for wrong in ["0/4", "5/4", "1", "1/0", "a/b", "1/2/3", "-1/2", ""] {
            assert!(wrong.parse::<Shard>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn no_variables_mean_no_shard() {
        assert_eq!(under(&[]), Ok(None));
        assert_eq!(under(&[("SLURM_PROCID", "0"), ("SLURM_NTASKS", "1")]), Ok(None));
    }

    #[test]
    fn slurm_arrays_may_start_anywhere_and_skip() {
        let array = [
            ("SLURM_ARRAY_TASK_ID", "14"),
            ("SLURM_ARRAY_TASK_MIN", "10"),
            ("SLURM_ARRAY_TASK_COUNT", "4"),
            ("SLURM_ARRAY_TASK_STEP", "2"),
        ];
        assert_eq!(under(&array), Ok(Some("3/4".into())));
    }

    #[test]
    fn ranks_of_each_launcher_are_read() {
        let open_mpi = [("OMPI_COMM_WORLD_RANK", "3"), ("OMPI_COMM_WORLD_SIZE", "4")];
        assert_eq!(under(&open_mpi), Ok(Some("4/4".into())));
        assert_eq!(under(&[("PMI_RANK", "0"), ("PMI_SIZE", "2")]), Ok(Some("1/2".into())));
        let srun = [("SLURM_PROCID", "0"), ("SLURM_STEP_NUM_TASKS", "3"), ("SLURM_NTASKS", "8")];
        assert_eq!(under(&srun), Ok(Some("1/3".into())));
        assert_eq!(under(&[("SLURM_PROCID", "1"), ("SLURM_NTASKS", "3")]), Ok(Some("2/3".into())));
    }

    #[test]
    fn arrays_of_ranks_divide_twice() {
        let task = |id: &'static str, rank: &'static str| {
            under(&[
                ("SLURM_ARRAY_TASK_ID", id),
                ("SLURM_ARRAY_TASK_MIN", "1"),
                ("SLURM_ARRAY_TASK_COUNT", "2"),
                ("SLURM_PROCID", rank),
                ("SLURM_STEP_NUM_TASKS", "2"),
            ])
        };
        let shards = [task("1", "0"), task("1", "1"), task("2", "0"), task("2", "1")];
        assert_eq!(shards, ["1/4", "2/4", "3/4", "4/4"].map(|s| Ok(Some(s.to_string()))));
    }

    #[test]
    fn contradictions_are_errors() {
        assert!(under(&[("PMI_RANK", "2"), ("PMI_SIZE", "2")]).is_err());
        assert!(under(&[("PMI_RANK", "x"), ("PMI_SIZE", "2")]).is_err());
        let batch_script = [("SLURM_PROCID", "0"), ("SLURM_NTASKS", "4")];
        assert!(under(&batch_script).unwrap_err().contains("srun"));
    }
}
