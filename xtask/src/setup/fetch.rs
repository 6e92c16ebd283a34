//! Fetching one wheel through pip, and believing it only by its digest.

use std::fmt::Write;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use fs_err as fs;
use sha2::{Digest, Sha256};

use super::lock::Wheel;

/// Brings `wheel` into `downloads` unless it already lies there whole.
///
/// pip is told the platform and Python version of the pinned file, so that
/// any Python 3 fetches the same one.
///
/// # Errors
///
/// When pip cannot run or finds nothing, or the file has another digest; such
/// a file is removed.
pub(super) fn fetch(wheel: &Wheel, downloads: &Path) -> Result<PathBuf> {
    let path = downloads.join(&wheel.file);
    if path.is_file() && sha256_of(&path)? == wheel.sha256 {
        return Ok(path);
    }
    let mut pip = Command::new("python3");
    pip.args(["-m", "pip", "download", "--quiet", "--no-deps"])
        .args(["--no-cache-dir", "--disable-pip-version-check"])
        .args(["--only-binary=:all:", "--python-version", "3.11"])
        .args(["--implementation", "cp", "--abi", "cp311"])
        .args(["--platform", &wheel.tag, "--dest"])
        .arg(downloads)
        .arg(format!("{}=={}", wheel.name, wheel.version));
    let output = pip.output().context("cannot run `python3 -m pip`; install Python 3 with pip")?;
    if !output.status.success() {
        bail!(
            "pip could not fetch {} {}: {}",
            wheel.name,
            wheel.version,
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    check(&path, &wheel.sha256)?;
    Ok(path)
}

fn check(path: &Path, expected: &str) -> Result<()> {
    let found = sha256_of(path)?;
    if found != expected {
        fs::remove_file(path)?;
        bail!("`{}` has SHA-256 {found}, the lock file expects {expected}; it was removed", path.display());
    }
    Ok(())
}

fn sha256_of(path: &Path) -> io::Result<String> {
    let mut file = fs::File::open(path)?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        let n_read = file.read(&mut buffer)?;
        if n_read == 0 {
            break;
        }
        hasher.update(&buffer[..n_read]);
    }
    let mut digits = String::with_capacity(64);
    for byte in hasher.finalize() {
        let _ = write!(digits, "{byte:02x}");
    }
    Ok(digits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_with_another_digest_is_refused_and_removed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.whl");
        fs::write(&path, "abc").unwrap();
        // FIPS 180-2, appendix B.1.
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        check(&path, abc).unwrap();
        let error = check(&path, &"0".repeat(64)).unwrap_err().to_string();
        assert!(error.contains(abc), "{error}");
        assert!(!path.exists());
    }
}
