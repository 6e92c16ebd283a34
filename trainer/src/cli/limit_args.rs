//! Flags that end a training early, or keep it from starting where memory will not do.

use std::str::FromStr;
use std::time::Duration;

use anyhow::{bail, ensure};
use tch::Device;

use crate::cli::{device, devices};
use crate::limits::Limits;
use crate::memory::{self, Need};
use crate::replicas::Devices;
use crate::schedule::Schedule;

/// Flags of time, patience and memory.
#[derive(Debug, Clone, clap::Args)]
pub struct LimitArgs {
    /// Stop after the epoch in which this time runs out, such as `90s`, `45m`, `8h` or `2d`; `--continue` goes on.
    #[arg(long, value_name = "TIME")]
    time_budget: Option<Budget>,
    /// End with the cycle in which the moving average of the pseudo-Dice has not risen for this many epochs.
    #[arg(long, value_name = "EPOCHS", value_parser = clap::value_parser!(u32).range(1..))]
    patience: Option<u32>,
    /// Memory that the training may take, MiB, in place of what the system says is available; GPUs are not asked then.
    #[arg(long, value_name = "MIB")]
    memory: Option<u64>,
}

/// A time on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Budget(Duration);

impl FromStr for Budget {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const EXPECTED: &str = "expected a whole number and its unit: `90s`, `45m`, `8h` or `2d`";
        let units = [('s', 1), ('m', 60), ('h', 3600), ('d', 86_400)];
        let find = |(unit, seconds): (char, u64)| Some((text.strip_suffix(unit)?, seconds));
        let (number, seconds) = units.into_iter().find_map(find).ok_or(EXPECTED)?;
        let number: u64 = number.parse().map_err(|_| EXPECTED)?;
        let seconds = number.checked_mul(seconds).filter(|&seconds| seconds > 0).ok_or(EXPECTED)?;
        Ok(Self(Duration::from_secs(seconds)))
    }
}

impl LimitArgs {
    /// The limits of a training of this schedule.
    ///
    /// # Errors
    ///
    /// If patience is asked for where it could never end the training.
    pub fn limits(&self, schedule: &Schedule) -> anyhow::Result<Limits> {
        ensure!(
            self.patience.is_none() || schedule.n_cycles() > 1,
            "`--patience` ends a training with a cycle, and this schedule has only one; give it more `--cycles`"
        );
        Ok(Limits { time_budget: self.time_budget.map(|Budget(time)| time), patience: self.patience })
    }

    /// Checks that there is memory for a training on these devices, in the machine and on every GPU.
    ///
    /// # Errors
    ///
    /// If there is less than the estimate, naming both.
    pub fn check_memory_of(&self, need: &Need, devices: &Devices, batch_size: usize) -> anyhow::Result<()> {
        let n_replicas = devices.n_replicas();
        if !devices.first.is_cuda() {
            return self.check_memory(&need.with_replicas(n_replicas));
        }
        self.check_memory(&need.beside_gpus())?;
        let needed = need.on_gpu(batch_size.div_ceil(n_replicas), batch_size);
        devices
            .all()
            .filter(|_| self.memory.is_none())
            .try_for_each(|gpu| check_gpu(gpu, needed, device::free_memory(gpu)))
    }

    /// Checks that there is memory in the machine.
    ///
    /// # Errors
    ///
    /// If there is less than the estimate, naming both.
    pub fn check_memory(&self, need: &Need) -> anyhow::Result<()> {
        let asked = self.memory.map(|mib| mib << 20);
        let Some(available) = asked.or_else(memory::available) else { return Ok(()) };
        if need.total() > available {
            let mib = |bytes: u64| bytes.div_ceil(1 << 20);
            bail!(
                "the training needs about {} MiB of memory ({} for feature maps, {} for parameters, {} for batches, \
                 {} for whole cases), found {} MiB; take a smaller patch or batch or `--cache`, or say with `--memory` \
                 how much it may take",
                mib(need.total()),
                mib(need.activations),
                mib(need.parameters),
                mib(need.batches),
                mib(need.cases),
                available >> 20,
            );
        }
        Ok(())
    }
}

fn check_gpu(gpu: Device, needed: u64, free: Option<u64>) -> anyhow::Result<()> {
    if let Some(free) = free.filter(|&free| free < needed) {
        bail!(
            "`{}` has {} MiB free, the training needs at least {} MiB there; take a smaller patch or batch or more \
             GPUs, or say with `--memory` how much of the machine's own it may take and try",
            devices::name(gpu),
            free >> 20,
            needed.div_ceil(1 << 20),
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_has_a_unit() {
        let check = |text: &str, seconds: u64| assert_eq!(text.parse(), Ok(Budget(Duration::from_secs(seconds))));
        check("90s", 90);
        check("45m", 2700);
        check("8h", 28_800);
        check("2d", 172_800);
        for text in ["", "8", "h", "-1h", "0h", "1.5h", "1w", "99999999999999999999s", "18446744073709551615d"] {
            assert!(text.parse::<Budget>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_need_above_what_is_allowed_is_refused_with_both_numbers() {
        let need = Need { parameters: 1 << 20, activations: 2 << 20, batches: 3 << 20, cases: 4 << 20 };
        let check = |mib| LimitArgs { time_budget: None, patience: None, memory: Some(mib) }.check_memory(&need);
        let error = check(100).unwrap_err().to_string();
        assert!(error.contains("needs about 266 MiB") && error.contains("found 100 MiB"), "{error}");
        check(266).unwrap();
    }
    #[test]
    fn a_gpu_without_room_is_named_and_one_that_does_not_say_is_tried() {
        let error = check_gpu(Device::Cuda(1), 3 << 20, Some(2 << 20)).unwrap_err().to_string();
        assert!(error.contains("`cuda:1` has 2 MiB free") && error.contains("at least 3 MiB"), "{error}");
        check_gpu(Device::Cuda(1), 3 << 20, Some(3 << 20)).unwrap();
        check_gpu(Device::Cuda(1), 3 << 20, None).unwrap();
    }
}
