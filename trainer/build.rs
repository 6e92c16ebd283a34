//! Writes the run-time search path of libtorch into the programs of this crate, and what they are made of.
//!
//! `LIBTORCH` comes from `.cargo/config.toml`. With the path inside, neither the program nor its tests need
//! `LD_LIBRARY_PATH`; an installed program looks into `lib/` beside itself first. The version of libtorch is its header's,
//! the revision that of the checkout, unless `UNNUNET_REVISION` says it; where neither can be found they stay unset, and
//! the program says that they are unknown.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Where libtorch says its version, below `include/`.
const VERSION_HEADER: &str = "torch/headeronly/version.h";

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=LIBTORCH");
    println!("cargo::rerun-if-env-changed=UNNUNET_REVISION");
    if let Some(revision) = std::env::var("UNNUNET_REVISION").ok().or_else(revision) {
        println!("cargo::rustc-env=UNNUNET_REVISION={revision}");
    }
    println!("cargo::rustc-link-arg=-Wl,-rpath,$ORIGIN/lib");
    let Some(libtorch) = std::env::var_os("LIBTORCH").map(PathBuf::from) else { return };
    if let Some(version) = version(&libtorch.join("include").join(VERSION_HEADER)) {
        println!("cargo::rustc-env=UNNUNET_LIBTORCH={version}");
    }
    let libraries = libtorch.join("lib");
    let libraries = libraries.canonicalize().unwrap_or(libraries);
    println!("cargo::rustc-link-arg=-Wl,-rpath,{}", libraries.display());
}

/// The commit that is checked out; the script runs again when another is.
fn revision() -> Option<String> {
    let log = PathBuf::from(git(&["rev-parse", "--git-path", "logs/HEAD"])?);
    if log.is_file() {
        println!("cargo::rerun-if-changed={}", log.display());
    }
    git(&["rev-parse", "HEAD"])
}

fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned())
}

/// The parts of a version, each a definition such as `#define TORCH_VERSION_MAJOR 2`.
fn version(header: &Path) -> Option<String> {
    let text = fs_err::read_to_string(header).ok()?;
    let part = |name: &str| {
        let value = text.lines().find_map(|line| line.strip_prefix("#define TORCH_VERSION_")?.strip_prefix(name))?;
        value.trim().parse::<u32>().ok()
    };
    Some(format!("{}.{}.{}", part("MAJOR ")?, part("MINOR ")?, part("PATCH ")?))
}
