//! Where to train, as said on the command line.
//!
//! libtorch's CUDA part is a library of its own, which nothing in the program refers to and the linker therefore drops.
//! It is loaded here before libtorch is first asked, so that one program serves machines with and without a GPU. Its
//! libraries (cuBLAS, cuDNN and others) must lie where the system or the program looks for them.

use std::ffi::{CStr, c_int};
use std::path::Path;
use std::str::FromStr;

use anyhow::{bail, ensure};
use tch::Device;

use crate::cli::output;

/// Registers CUDA with libtorch when it is loaded.
const LIBRARY: &CStr = c"libtorch_cuda.so";
/// Exists where the system drives an NVIDIA device.
const DRIVER: &str = "/proc/driver/nvidia/version";

/// What `--device` asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// The first CUDA device where there is one that can be used, else the CPU.
    Auto,
    /// The CPU.
    Cpu,
    /// A CUDA device by its number.
    Cuda(usize),
}

impl FromStr for Wanted {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(Self::Auto),
            "cpu" => Ok(Self::Cpu),
            "cuda" => Ok(Self::Cuda(0)),
            _ => match text.strip_prefix("cuda:").map(str::parse) {
                Some(Ok(number)) => Ok(Self::Cuda(number)),
                _ => Err("expected `auto`, `cpu`, `cuda` or `cuda:<number>`".to_owned()),
            },
        }
    }
}

impl Wanted {
    /// The device of libtorch.
    ///
    /// # Errors
    ///
    /// If it is a CUDA device that is not there or cannot be used.
    pub fn open(self) -> anyhow::Result<Device> {
        match self {
            Self::Cpu => Ok(Device::Cpu),
            Self::Cuda(number) => cuda(number),
            Self::Auto if !Path::new(DRIVER).exists() => Ok(Device::Cpu),
            Self::Auto => cuda(0).or_else(|error| {
                output::note(format_args!("warning: training on the CPU: {error}"));
                Ok(Device::Cpu)
            }),
        }
    }
}

fn cuda(number: usize) -> anyhow::Result<Device> {
    ensure!(Path::new(DRIVER).exists(), "`--device cuda:{number}`: this machine has no NVIDIA driver (`{DRIVER}`)");
    if let Err(message) = load(LIBRARY) {
        bail!("`--device cuda:{number}`: libtorch's CUDA part cannot be loaded: {message}");
    }
    let n_devices = if tch::Cuda::is_available() { tch::Cuda::device_count() } else { 0 };
    among(number, n_devices)
}

/// The device of this number, if there are as many.
fn among(number: usize, n_devices: i64) -> anyhow::Result<Device> {
    let n_devices = usize::try_from(n_devices).unwrap_or(0);
    ensure!(number < n_devices, "`--device cuda:{number}`: libtorch finds {n_devices} CUDA devices, counted from 0");
    Ok(Device::Cuda(number))
}

/// Loads a library for the whole program, with everything that it needs.
#[expect(unsafe_code, reason = "the system's loader has no safe interface")]
fn load(name: &CStr) -> Result<(), String> {
    const FLAGS: c_int = libc::RTLD_NOW | libc::RTLD_GLOBAL;
    // SAFETY: the name ends with a zero; the library is libtorch's own, whose initializers expect to be run like this.
    let handle = unsafe { libc::dlopen(name.as_ptr(), FLAGS) };
    if !handle.is_null() {
        return Ok(());
    }
    // SAFETY: after a failure the message is a text that ends with a zero, or null.
    let message = unsafe { libc::dlerror() };
    if message.is_null() {
        return Err("the loader does not say why".to_owned());
    }
    // SAFETY: checked above; it is copied before the loader is asked again.
    Err(unsafe { CStr::from_ptr(message) }.to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_is_named_as_in_nnunet() {
        assert_eq!("auto".parse(), Ok(Wanted::Auto));
        assert_eq!("cuda:1".parse(), Ok(Wanted::Cuda(1)));
        assert!("gpu".parse::<Wanted>().is_err() && "cuda:x".parse::<Wanted>().is_err());
        assert!(Wanted::Cuda(usize::MAX).open().is_err());
        assert_eq!(Wanted::Cpu.open().unwrap(), Device::Cpu);
    }

    #[test]
    fn a_device_must_be_among_those_found() {
        assert_eq!(among(1, 2).unwrap(), Device::Cuda(1));
        let error = among(2, 2).unwrap_err().to_string();
        assert_eq!(error, "`--device cuda:2`: libtorch finds 2 CUDA devices, counted from 0");
        assert!(among(0, 0).is_err() && among(0, -1).is_err());
    }

    #[test]
    fn a_library_that_is_not_there_is_named() {
        let error = load(c"libof_nobody.so").unwrap_err();
        assert!(error.contains("libof_nobody.so"), "{error}");
        load(c"libc.so.6").unwrap();
    }
}
