//! What this machine offers, for the bundle's requirements (BUNDLE format, verification step 8).

use bundle_format::{Arch, BundleContents, BundleError, ExecutionProvider, Host, Token};
use semver::Version;

use crate::engine::{Engine, Provider};

/// The name of every device that is nothing special.
const GENERIC: &str = "generic";
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
    total_mib(&fs_err::read_to_string("/proc/meminfo").ok()?)
}

fn total_mib(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib >> 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_read_from_the_kernels_table() {
        assert_eq!(total_mib("MemTotal:       24689764 kB\nMemFree: 1 kB\n"), Some(24_111));
        assert_eq!(total_mib("MemFree: 1 kB\n"), None);
    }
}
