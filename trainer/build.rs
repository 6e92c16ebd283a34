//! Writes the run-time search path of libtorch into the programs of this crate.
//!
//! `LIBTORCH` comes from `.cargo/config.toml`. With the path inside, neither the program nor its tests need
//! `LD_LIBRARY_PATH`; an installed program looks into `lib/` beside itself first.

use std::path::PathBuf;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=LIBTORCH");
    println!("cargo::rustc-link-arg=-Wl,-rpath,$ORIGIN/lib");
    let Some(libtorch) = std::env::var_os("LIBTORCH").map(PathBuf::from) else { return };
    let libraries = libtorch.join("lib");
    let libraries = libraries.canonicalize().unwrap_or(libraries);
    println!("cargo::rustc-link-arg=-Wl,-rpath,{}", libraries.display());
}
