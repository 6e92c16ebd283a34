//! Where to train, as said on the command line.
//!
//! libtorch's CUDA part is a library of its own, which nothing in the program refers to and the linker therefore drops.
//! It is loaded here before libtorch is first asked, so that one program serves machines with and without a GPU. Its
//! libraries (cuBLAS, cuDNN and others) must lie where the system or the program looks for them.

use std::ffi::{CStr, c_int, c_void};
use std::path::Path;
use std::str::FromStr;

use anyhow::{bail, ensure};
use tch::Device;

use crate::cli::output;

/// Registers CUDA with libtorch when it is loaded.
const LIBRARY: &CStr = c"libtorch_cuda.so";
/// One of these exists where the system drives an NVIDIA device; the second where Windows lends it to a Linux of its own.
const DRIVERS: [&str; 2] = ["/proc/driver/nvidia/version", "/dev/dxg"];

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
    /// The number of a CUDA device.
    pub fn number(&self) -> Option<usize> {
        match self {
            Self::Cuda(number) => Some(*number),
            Self::Auto | Self::Cpu => None,
        }
    }

    /// The device of libtorch.
    ///
    /// # Errors
    ///
    /// If it is a CUDA device that is not there or cannot be used.
    pub fn open(self) -> anyhow::Result<Device> {
        match self {
            Self::Cpu => Ok(Device::Cpu),
            Self::Cuda(number) => cuda(number),
            Self::Auto if !has_driver() => Ok(Device::Cpu),
            Self::Auto => cuda(0).or_else(|error| {
                output::note(format_args!("warning: training on the CPU: {error}"));
                Ok(Device::Cpu)
            }),
        }
    }
}

fn has_driver() -> bool {
    DRIVERS.iter().any(|path| Path::new(path).exists())
}

fn cuda(number: usize) -> anyhow::Result<Device> {
    ensure!(has_driver(), "`--device cuda:{number}`: this machine has no NVIDIA driver (`{}`)", DRIVERS[0]);
    if let Err(message) = load(LIBRARY) {
        bail!("`--device cuda:{number}`: libtorch's CUDA part cannot be loaded: {message}");
    }
    let n_devices = if tch::Cuda::is_available() { tch::Cuda::device_count() } else { 0 };
    let device = among(number, n_devices)?;
    // Patches are always of one size, so it pays to try which convolution is the quickest, as nnU-Net lets cuDNN do.
    tch::Cuda::cudnn_set_benchmark(true);
    Ok(device)
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

/// Bytes that are free on a CUDA device that was opened; `None` on the CPU, or where the device does not say.
#[expect(unsafe_code, reason = "the binding does not ask for it")]
pub fn free_memory(device: Device) -> Option<u64> {
    type Select = unsafe extern "C" fn(c_int) -> c_int;
    type Current = unsafe extern "C" fn(*mut c_int) -> c_int;
    type Ask = unsafe extern "C" fn(*mut usize, *mut usize) -> c_int;
    let Device::Cuda(number) = device else { return None };
    let number = c_int::try_from(number).ok()?;
    // SAFETY: the names are those of the CUDA runtime that libtorch's CUDA part has brought, the types its functions'.
    let (current, select, ask) = unsafe {
        (
            std::mem::transmute::<*mut c_void, Option<Current>>(symbol(c"cudaGetDevice"))?,
            std::mem::transmute::<*mut c_void, Option<Select>>(symbol(c"cudaSetDevice"))?,
            std::mem::transmute::<*mut c_void, Option<Ask>>(symbol(c"cudaMemGetInfo"))?,
        )
    };
    let (mut before, mut free, mut total) = (0, 0, 0);
    // SAFETY: all pointers lead to values that outlive the calls.
    let succeeded = unsafe {
        let succeeded = current(&raw mut before) == 0 && select(number) == 0;
        let succeeded = succeeded && ask(&raw mut free, &raw mut total) == 0;
        // The device that was current stays current for whoever comes next.
        select(before) == 0 && succeeded
    };
    succeeded.then(|| u64::try_from(free).ok()).flatten()
}

/// Where a function of any loaded library lies; null if there is none of this name.
#[expect(unsafe_code, reason = "the system's loader has no safe interface")]
fn symbol(name: &CStr) -> *mut c_void {
    // SAFETY: the name ends with a zero.
    unsafe { libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr()) }
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

    #[test]
    fn functions_are_found_by_name_and_only_gpus_have_memory_of_their_own() {
        assert!(symbol(c"no_such_function_anywhere").is_null() && !symbol(c"malloc").is_null());
        assert_eq!(free_memory(Device::Cpu), None);
    }
}
