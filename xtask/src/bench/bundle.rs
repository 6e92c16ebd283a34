//! `cargo xtask bench bundle`: verification beside plain hashing, on the same file in one run.
//!
//! Three programs read one bundle in turn: `unnunet bundle verify`, `sha256sum` on one core, and SHA-256 over all cores
//! here, of as many stretches of the file as there are cores. The last is the most that any verifier could reach,
//! and more than a bundle of few files allows, since one file is a chain that one core computes. Peak memory is that of
//! verifying the large bundle less that of a tiny one.

use std::fs::File;
use std::num::NonZeroUsize;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::thread;
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use sha2::{Digest as _, Sha256};

use super::measure;
use crate::console;
use crate::workspace;

/// Read at once by the plain hash, as by the verifier.
const BUFFER_BYTES: usize = 1 << 17;

/// Options of `cargo xtask bench bundle`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Networks in the bundle
    #[arg(long, default_value_t = 8)]
    members: u32,
    /// Size of each, in MiB
    #[arg(long, default_value_t = 128)]
    mebibytes: u32,
    /// How often each program runs; the fastest run counts
    #[arg(long, default_value_t = 5)]
    rounds: u32,
    /// Where the bundles lie; they stay for the next run
    #[arg(long, default_value = "target/bench-bundle")]
    work: PathBuf,
}

/// Best seconds of each program, and the most memory of the verifier.
#[derive(Debug)]
struct Best {
    verify_s: f64,
    sha256sum_s: f64,
    raw_s: f64,
    resident: u64,
}

/// Runs `cargo xtask bench bundle`.
pub(super) fn run(args: &Args) -> Result<ExitCode> {
    build(&["--package", "runtime"])?;
    build(&["--package", "bundle-format", "--example", "phantom_bundle"])?;
    let name = format!("{}x{}", args.members, args.mebibytes);
    let (large, tiny) = (phantom(&args.work, &name, args.members, args.mebibytes)?, phantom(&args.work, "tiny", 1, 1)?);
    let n_bytes = fs_err::metadata(large.join("model.unb"))?.len();
    let n_cores = thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let base = measure::run(verify(&tiny))?.resident;
    let mut best = Best { verify_s: f64::MAX, sha256sum_s: f64::MAX, raw_s: f64::MAX, resident: 0 };
    for _ in 0..args.rounds.max(1) {
        let bundle = large.join("model.unb");
        best.raw_s = best.raw_s.min(raw(&bundle, n_bytes, n_cores)?);
        let mut sha256sum = Command::new("sha256sum");
        sha256sum.arg(&bundle);
        best.sha256sum_s = best.sha256sum_s.min(measure::run(sha256sum)?.wall_s);
        let cost = measure::run(verify(&large))?;
        best.verify_s = best.verify_s.min(cost.wall_s);
        best.resident = best.resident.max(cost.resident);
    }
    table(&best, n_bytes, n_cores, base);
    Ok(ExitCode::SUCCESS)
}

#[expect(clippy::cast_precision_loss, reason = "sizes are far below 2^52")]
fn table(best: &Best, n_bytes: u64, n_cores: usize, base: u64) {
    let rate = |seconds: f64| n_bytes as f64 / seconds / 1e9;
    let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    console::say(&format!("\n{:.2} GB in one bundle, {n_cores} cores, best of all rounds", n_bytes as f64 / 1e9));
    console::say("| program | GB/s |\n|---|---|");
    console::say(&format!("| `unnunet bundle verify` | {:.2} |", rate(best.verify_s)));
    console::say(&format!("| `sha256sum` (one core) | {:.2} |", rate(best.sha256sum_s)));
    console::say(&format!("| SHA-256 over all cores | {:.2} |", rate(best.raw_s)));
    console::say(&format!("\nverify / SHA-256 over all cores: {:.0} %", 100.0 * best.raw_s / best.verify_s));
    let above = best.resident.saturating_sub(base);
    console::say(&format!("peak memory: {:.1} MiB, {:.1} MiB above a tiny bundle", mib(best.resident), mib(above)));
}

fn build(what: &[&str]) -> Result<()> {
    let mut command = workspace::cargo();
    command.args(["build", "--release"]).args(what);
    let line = workspace::line_of(&command);
    console::say(&format!("$ {line}"));
    let status = command.status().with_context(|| format!("cannot run `{line}`"))?;
    ensure!(status.success(), "`{line}` ended with {status}");
    Ok(())
}

/// The folder of a bundle, which is made unless it is there.
fn phantom(work: &Path, name: &str, members: u32, mebibytes: u32) -> Result<PathBuf> {
    let folder = work.join(name);
    if !folder.join("key.pub").is_file() {
        let mut command = Command::new(workspace::target().join("release/examples/phantom_bundle"));
        command.arg(&folder).args([members.to_string(), mebibytes.to_string()]);
        measure::run(command)?;
    }
    Ok(folder)
}

fn verify(folder: &Path) -> Command {
    let mut command = Command::new(workspace::target().join("release/unnunet"));
    command.args(["bundle", "verify"]).arg(folder.join("model.unb"));
    command.arg("--public-key").arg(folder.join("key.pub"));
    command
}

/// Seconds to hash `n_bytes` of a file, in as many stretches as there are cores.
fn raw(path: &Path, n_bytes: u64, n_cores: usize) -> Result<f64> {
    let file = fs_err::File::open(path)?.into_file();
    let stretch = n_bytes.div_ceil(n_cores as u64).max(1);
    let start = Instant::now();
    thread::scope(|scope| {
        let starts = (0..n_bytes).step_by(usize::try_from(stretch)?);
        let workers: Vec<_> = starts
            .map(|from| {
                let file = &file;
                scope.spawn(move || hash(file, from, (from + stretch).min(n_bytes)))
            })
            .collect();
        for worker in workers {
            worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        }
        Ok(start.elapsed().as_secs_f64())
    })
}

fn hash(file: &File, mut from: u64, to: u64) -> Result<[u8; 32]> {
    let (mut sha256, mut buffer) = (Sha256::new(), vec![0; BUFFER_BYTES]);
    while from < to {
        let n_bytes = usize::try_from(to - from).map_or(BUFFER_BYTES, |left| left.min(BUFFER_BYTES));
        file.read_exact_at(&mut buffer[..n_bytes], from)?;
        sha256.update(&buffer[..n_bytes]);
        from += n_bytes as u64;
    }
    Ok(sha256.finalize().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stretch_is_hashed_from_its_first_to_its_last_byte() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let content: Vec<u8> = (0..300_000_u32).flat_map(u32::to_le_bytes).collect();
        fs_err::write(&path, &content).unwrap();
        let file = fs_err::File::open(&path).unwrap().into_file();
        let (from, to) = (7_u32, 700_001_u32);
        let expected: [u8; 32] = Sha256::digest(&content[from as usize..to as usize]).into();
        assert_eq!(hash(&file, from.into(), to.into()).unwrap(), expected);
        assert!(hash(&file, 0, content.len() as u64 + 1).is_err());
        assert!(raw(&path, content.len() as u64, 3).unwrap() >= 0.0);
    }
}
