//! `cargo xtask setup`: native libraries, pinned by digest, into `.deps/`.
//!
//! libtorch and ONNX Runtime come as Python wheels because these are the only
//! builds that every Linux can fetch with a tool it already has. Nothing of
//! them is imported; only shared objects and headers are unpacked. What is
//! fetched, with which SHA-256, and what of it is kept stands in
//! `native-libraries.json`.

mod fetch;
mod lock;
mod unpack;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::ValueEnum;
use fs_err as fs;

use self::lock::{Lock, Wheel};
use crate::console;
use crate::workspace;

/// Options of `cargo xtask setup`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Bring only this component
    #[arg(long, value_enum)]
    only: Option<Component>,
    /// Put the libraries here instead of `.deps`
    #[arg(long, value_name = "DIR")]
    deps: Option<PathBuf>,
}

/// A set of native libraries that is set up as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum Component {
    /// For `unnunet`
    Onnxruntime,
    /// For `unnunet-train`
    Libtorch,
}

impl Component {
    /// Everything that both programs need.
    pub(crate) const ALL: [Self; 2] = [Self::Onnxruntime, Self::Libtorch];

    fn name(self) -> &'static str {
        match self {
            Self::Onnxruntime => "onnxruntime",
            Self::Libtorch => "libtorch",
        }
    }
}

/// Runs `cargo xtask setup`.
pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let deps = args.deps.clone().unwrap_or_else(workspace::deps);
    let components = args.only.map_or(Component::ALL.to_vec(), |only| vec![only]);
    if ensure(&components, &deps)? == 0 {
        console::say(&format!("setup: `{}` is complete, nothing fetched", deps.display()));
    }
    Ok(ExitCode::SUCCESS)
}

/// Brings those of `components` that are missing in `deps`; returns how many were.
pub(crate) fn ensure(components: &[Component], deps: &Path) -> Result<usize> {
    let lock = Lock::committed()?;
    let mut n_installed = 0;
    for &component in components {
        let wheels = lock.wheels(component)?;
        if is_complete(component, wheels, deps) {
            continue;
        }
        let megabytes = wheels.iter().map(|wheel| wheel.size).sum::<u64>() / 1_000_000;
        let what =
            format!("setup: {} ({} wheels, {megabytes} MB) into `{}`", component.name(), wheels.len(), deps.display());
        console::step(&what, "fetched, checked, unpacked", || install(component, wheels, deps, fetch::fetch))?;
        n_installed += 1;
    }
    Ok(n_installed)
}

/// The stamp says which lock entries were unpacked; it is written last.
fn is_complete(component: Component, wheels: &[Wheel], deps: &Path) -> bool {
    fs::read_to_string(stamp_path(component, deps)).is_ok_and(|stamp| stamp == lock::stamp(wheels))
        && top_folders(wheels).all(|folder| deps.join(folder).is_dir())
}

/// Fetches, checks and unpacks `wheels`, and swaps the result in.
fn install(
    component: Component,
    wheels: &[Wheel],
    deps: &Path,
    fetch: impl Fn(&Wheel, &Path) -> Result<PathBuf>,
) -> Result<()> {
    let downloads = deps.join("wheels");
    let staging = deps.join(format!("{}.staging", component.name()));
    fs::create_dir_all(&downloads)?;
    if staging.exists() {
        fs::remove_dir_all(&staging)?;
    }
    for wheel in wheels {
        let path = fetch(wheel, &downloads)?;
        unpack::unpack(&path, wheel, &staging).with_context(|| format!("cannot unpack `{}`", path.display()))?;
    }
    let stamp = stamp_path(component, deps);
    if stamp.exists() {
        fs::remove_file(&stamp)?;
    }
    for folder in top_folders(wheels) {
        let target = deps.join(folder);
        if target.exists() {
            fs::remove_dir_all(&target)?;
        }
        fs::rename(staging.join(folder), target)?;
    }
    fs::write(&stamp, lock::stamp(wheels))?;
    fs::remove_dir_all(&staging)?;
    for wheel in wheels {
        fs::remove_file(downloads.join(&wheel.file))?;
    }
    // Kept when another component's interrupted download still lies there.
    let _ = fs::remove_dir(&downloads);
    Ok(())
}

fn stamp_path(component: Component, deps: &Path) -> PathBuf {
    deps.join(format!("{}.stamp", component.name()))
}

/// The folders directly under `.deps/` that `wheels` are unpacked into.
fn top_folders(wheels: &[Wheel]) -> impl Iterator<Item = &str> {
    let folders: std::collections::BTreeSet<_> =
        wheels.iter().flat_map(|wheel| &wheel.unpack).filter_map(|rule| rule.to.split('/').next()).collect();
    folders.into_iter()
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;
    use crate::setup::unpack::tests::wheel_with;

    #[test]
    fn an_installed_component_is_not_fetched_again() {
        let deps = tempfile::tempdir().unwrap();
        let entries = [("pkg/lib/libx.so.1", "elf"), ("pkg/other.py", "python")];
        let (bytes, wheel) = wheel_with(&entries);
        let wheels = [wheel];
        let n_fetched = Cell::new(0);
        let fetch = |wheel: &Wheel, downloads: &Path| {
            n_fetched.set(n_fetched.get() + 1);
            let path = downloads.join(&wheel.file);
            fs::write(&path, &bytes)?;
            Ok(path)
        };
        assert!(!is_complete(Component::Onnxruntime, &wheels, deps.path()));
        install(Component::Onnxruntime, &wheels, deps.path(), fetch).unwrap();
        assert!(is_complete(Component::Onnxruntime, &wheels, deps.path()));
        assert_eq!(n_fetched.get(), 1);

        let library = deps.path().join("native/lib/libx.so");
        assert_eq!(fs::read_to_string(library).unwrap(), "elf");
        let left: Vec<_> =
            fs::read_dir(deps.path()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        assert_eq!(left.len(), 2, "wheels and staging are gone: {left:?}");
    }

    #[test]
    fn a_changed_lock_makes_a_component_incomplete() {
        let deps = tempfile::tempdir().unwrap();
        let (_, mut wheel) = wheel_with(&[("pkg/lib/libx.so.1", "elf")]);
        fs::create_dir_all(deps.path().join("native")).unwrap();
        let stamp = stamp_path(Component::Libtorch, deps.path());
        fs::write(stamp, lock::stamp(std::slice::from_ref(&wheel))).unwrap();
        assert!(is_complete(Component::Libtorch, std::slice::from_ref(&wheel), deps.path()));
        wheel.sha256 = "00".repeat(32);
        assert!(!is_complete(Component::Libtorch, &[wheel], deps.path()));
    }
}
