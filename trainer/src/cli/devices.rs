//! On which devices to train, as said on the command line.
//!
//! A list of devices of one kind: the batch is shared among them. `cuda:0,1` names two GPUs as PyTorch's launchers and
//! `CUDA_VISIBLE_DEVICES` do; `cpu,cpu` is two replicas on the processors, which is not quicker, but shows on any machine
//! what several GPUs would compute.

use std::collections::BTreeSet;
use std::str::FromStr;

use tch::Device;

use crate::cli::device::Wanted;
use crate::replicas::Devices;

/// Most devices in a list.
const MAX_DEVICES: usize = 64;

/// What `--device` asks for where several devices are allowed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WantedDevices {
    first: Wanted,
    others: Vec<Wanted>,
}

impl FromStr for WantedDevices {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let entry = |entry: &str| match entry.parse::<usize>() {
            Ok(number) if text.starts_with("cuda:") => Ok(Wanted::Cuda(number)),
            _ => entry.parse().map_err(|message| format!("{message}, or a list such as `cuda:0,1`")),
        };
        let mut entries = text.split(',').map(entry);
        let first = entries.next().ok_or("no device")??;
        let others: Vec<Wanted> = entries.collect::<Result<_, String>>()?;
        if others.len() >= MAX_DEVICES {
            return Err(format!("{} devices, at most {MAX_DEVICES} are possible", others.len() + 1));
        }
        let all = || std::iter::once(&first).chain(&others);
        if !others.is_empty() && all().any(|device| *device == Wanted::Auto) {
            return Err("`auto` is one device and stands alone".to_owned());
        }
        if all().any(|device| (*device == Wanted::Cpu) != (first == Wanted::Cpu)) {
            return Err("a batch is shared among devices of one kind, `cpu` or `cuda`".to_owned());
        }
        let numbers: Vec<usize> = all().filter_map(Wanted::number).collect();
        if numbers.iter().collect::<BTreeSet<_>>().len() < numbers.len() {
            return Err("a CUDA device is named twice".to_owned());
        }
        Ok(Self { first, others })
    }
}

impl WantedDevices {
    /// The devices of libtorch.
    ///
    /// # Errors
    ///
    /// If one of them is not there or cannot be used.
    pub fn open(&self) -> anyhow::Result<Devices> {
        let others = self.others.iter().map(|device| device.open()).collect::<anyhow::Result<Vec<Device>>>()?;
        Ok(Devices { first: self.first.open()?, others })
    }
}

/// A device of libtorch as the command line calls it.
pub fn name(device: Device) -> String {
    match device {
        Device::Cpu => "cpu".to_owned(),
        Device::Cuda(number) => format!("cuda:{number}"),
        other => format!("{other:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &[Wanted]) {
        let WantedDevices { first, others } = text.parse().unwrap();
        assert_eq!([&[first], &others[..]].concat(), expected, "{text}");
    }

    fn check_refused(text: &str, message: &str) {
        let error = text.parse::<WantedDevices>().unwrap_err();
        assert!(error.contains(message), "{text}: {error}");
    }

    #[test]
    fn a_list_names_each_device_once_and_of_one_kind() {
        check("auto", &[Wanted::Auto]);
        check("cuda", &[Wanted::Cuda(0)]);
        check("cuda:2,0", &[Wanted::Cuda(2), Wanted::Cuda(0)]);
        check("cuda:1,cuda:3", &[Wanted::Cuda(1), Wanted::Cuda(3)]);
        check("cpu,cpu,cpu", &[Wanted::Cpu; 3]);
        check_refused("", "expected `auto`");
        check_refused("cuda:0,", "expected `auto`");
        check_refused("0,1", "a list such as `cuda:0,1`");
        check_refused("cuda,1", "a list such as `cuda:0,1`");
        check_refused("cuda:0,-1", "expected `auto`");
        check_refused("cuda:0,1,0", "named twice");
        check_refused("cuda,cuda:0", "named twice");
        check_refused("auto,cuda:1", "stands alone");
        check_refused("cuda:0,cpu", "of one kind");
        check_refused("cpu,cuda:0", "of one kind");
        check_refused(&vec!["cpu"; 65].join(","), "65 devices");
    }

    #[test]
    fn replicas_on_the_processors_are_opened_and_named() {
        let devices = "cpu,cpu".parse::<WantedDevices>().unwrap().open().unwrap();
        assert_eq!(devices.all().map(name).collect::<Vec<_>>(), ["cpu", "cpu"]);
        assert_eq!(name(Device::Cuda(3)), "cuda:3");
    }
}
