//! `cargo xtask dist`: `unnunet` and the libraries it needs as one archive, and the proof that it needs nothing else.
//!
//! The archive is unpacked anywhere and runs: no installer, no package of the system beyond the C and C++ runtime that
//! every Debian and Ubuntu has. The same program and libraries give the same bytes.

mod archive;
mod build;
mod check;
mod content;
mod glibc;
mod licenses;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use fs_err as fs;
use sha2::{Digest as _, Sha256};

use self::check::CheckArgs;
use self::content::Package;
use crate::console;
use crate::setup::{self, Component};
use crate::workspace;

/// An edge device's link and flash are small; OpenVINO is most of it.
const MAX_BYTES: usize = 200_000_000;

/// Options of `cargo xtask dist`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Writes target/dist/unnunet-VERSION-x86_64-linux.tar.gz and prints its size and SHA-256.

With --check, also unpacks it into a root that holds nothing but the C and C++ runtime, read-only, without network and \
home, and runs it there: version, devices, self-test and predictions with a signed bundle. The bundle is trained for it in a \
minute, which needs libtorch, unless one is named, such as the demo's: --bundle demo/NAME/model.unb --public-key \
demo/NAME/demo.pub.pem --images DIR.")]
pub(crate) struct Args {
    #[command(flatten)]
    check: CheckArgs,
}

/// Runs `cargo xtask dist`.
///
/// # Errors
///
/// When the program cannot be built, the archive is too large, or the check fails or cannot be made.
pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    setup::ensure(&[Component::Onnxruntime], &workspace::deps())?;
    let program = build::program()?;
    let package = content::collect(&program, &workspace::deps().join("onnxruntime"))?;
    let archive = folder().join(format!("{}.tar.gz", package.name));
    console::step(&format!("dist: {} files", package.files.len()), "packed", || pack(&package, &archive))?;
    describe(&package, &archive)?;
    if args.check.is_asked() {
        check::run(&args.check, &archive, &package.name)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Where archives are written, and what their making and checking needs.
fn folder() -> PathBuf {
    workspace::target().join("dist")
}

fn pack(package: &Package, archive: &Path) -> Result<()> {
    let bytes = archive::tar_gz(package)?;
    ensure!(bytes.len() <= MAX_BYTES, "the archive has {} bytes, more than {MAX_BYTES}", bytes.len());
    fs::create_dir_all(folder())?;
    imaging::atomic_file::write(archive, &bytes).with_context(|| format!("cannot write `{}`", archive.display()))
}

fn describe(package: &Package, archive: &Path) -> Result<()> {
    let bytes = fs::read(archive)?;
    console::say(&format!("  {}", archive.display()));
    console::say(&format!("  archive   {} of at most {}", megabytes(bytes.len()), megabytes(MAX_BYTES)));
    console::say(&format!("  unpacked  {}", megabytes(package.n_bytes())));
    console::say(&format!("  needs     Linux on x86-64 with glibc {} or later", package.glibc));
    console::say(&format!("  sha256    {}", sha256(&bytes)));
    Ok(())
}

fn megabytes(n_bytes: usize) -> String {
    format!("{:.1} MB", n_bytes as f64 / 1e6)
}

fn sha256(bytes: &[u8]) -> String {
    let pairs: Vec<_> = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    pairs.concat()
}
