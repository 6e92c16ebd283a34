//! What this machine offers, for the bundle's requirements (BUNDLE format, verification step 8).

use bundle_format::{Arch, BundleContents, BundleError, ExecutionProvider, Host, Token};
use semver::Version;

use crate::engine::{Engine, Provider};
use crate::memory;

/// The name of every device that is nothing special.
const GENERIC: &str = "generic";
/// One part in so many of the memory that is left is left to others.
const RESERVE: u64 = 5;
/// The bundle changes segmentations after prediction, which a runtime must not pass over.
const POSTPROCESSING: &str = "postprocessing";

/// Checks that this machine can run the bundle.
///
/// # Errors
///
/// [`BundleError::Requirement`] naming the first requirement that is not met.
pub(crate) fn check(bundle: &dyn BundleContents, engine: &Engine) -> Result<(), BundleError> {
    Ok(bundle.manifest().requires.check(&host(engine))?)
}

fn host(engine: &Engine) -> Host {
    let provider = |provider| match provider {
        Provider::Cpu => ExecutionProvider::Cpu,
        Provider::Openvino => ExecutionProvider::Openvino,
        Provider::Cuda => ExecutionProvider::Cuda,
        Provider::Tensorrt => ExecutionProvider::Tensorrt,
    };
    Host {
        runtime: Version::parse(env!("CARGO_PKG_VERSION")).expect("the package has a semantic version"),
        onnxruntime: engine.version().clone(),
        features: Token::new(POSTPROCESSING).into_iter().collect(),
        compatible: Token::new(GENERIC).into_iter().collect(),
        arch: arch(),
        execution_providers: engine.providers().iter().copied().map(provider).collect(),
        memory_mib: memory_mib().unwrap_or(0),
        device_memory_mib: 0,
    }
}

fn arch() -> Option<Arch> {
    match std::env::consts::ARCH {
        "aarch64" => Some(Arch::Aarch64),
        "x86_64" => Some(Arch::X86_64),
        _ => None,
    }
}

/// The kernel's `MemTotal`.
fn memory_mib() -> Option<u64> {
    of_system("MemTotal").map(|bytes| bytes >> 20)
}

/// Memory that a run without `--memory` may plan with, bytes: most of what this machine, and the control group that this
/// process sees as the root, have left. 0 if neither is known.
pub(crate) fn memory_left() -> u64 {
    let number = |name: &str| -> Option<u64> {
        fs_err::read_to_string(format!("/sys/fs/cgroup/memory.{name}")).ok()?.trim().parse().ok()
    };
    let of_group = number("max").zip(number("current")).map(|(limit, current)| limit.saturating_sub(current));
    let left = [of_system("MemAvailable"), of_group].into_iter().flatten().min().unwrap_or(0);
    left - left / RESERVE
}

fn of_system(field: &str) -> Option<u64> {
    memory::field(&fs_err::read_to_string("/proc/meminfo").ok()?, field)
}
