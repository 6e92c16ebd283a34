//! Training samples beside nnU-Net's: the same phantom in memory, one core each.

use std::path::PathBuf;
use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result, ensure};

use super::measure;
use super::{Peer, on_one_core};
use crate::console;
use crate::setup::{self, Component};
use crate::workspace;

/// Patches, what samples of them are, and how many are timed: ours, and the peer's.
const PATCHES: [(&str, &str, &str, &str); 5] = [
    ("40,56,40", "plain", "2000", "400"),
    ("64,128,128", "plain", "200", "60"),
    ("192,192", "plain", "4000", "1000"),
    ("64,128,128", "cascade", "200", "60"),
    ("64,128,128", "one-hot", "2000", "100"),
];

/// Options of `cargo xtask bench augment`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Python environment with nnunetv2, in which `bin/python` lies
    #[arg(long, value_name = "DIR")]
    peer: PathBuf,
}

/// Runs the benchmark and prints its table.
///
/// # Errors
///
/// When a program fails.
pub(super) fn run(args: &Args) -> Result<ExitCode> {
    setup::ensure(&Component::ALL, &workspace::deps())?;
    let mut build = workspace::cargo();
    build.args(["build", "--release", "--package", "trainer", "--example", "augment"]);
    ensure!(build.status()?.success(), "the example `augment` does not build");
    let peer = Peer::new(&args.peer)?;
    let mut rows = Vec::new();
    for (patch, kind, n_ours, n_theirs) in PATCHES {
        let mut example = Command::new(workspace::target().join("release/examples/augment"));
        example.args([patch, n_ours, kind]);
        let ours = rate(&measure::run(on_one_core(&example))?.stdout, n_ours)?;
        let mut script = peer.script("peer_augment.py");
        script.args([patch, n_theirs, kind]);
        let theirs = rate(&measure::run(on_one_core(&script))?.stdout, n_theirs)?;
        rows.push(format!("| {patch} | {kind} | {theirs:.1} | {ours:.1} | {:.1} |", ours / theirs));
    }
    console::say("\naugmentation, samples per second on one core, the case in memory");
    console::say("| patch | samples | nnU-Net | ours | times as fast |\n|---|---|---|---|---|");
    for row in &rows {
        console::say(row);
    }
    Ok(ExitCode::SUCCESS)
}

/// Samples per second.
fn rate(stdout: &str, n_samples: &str) -> Result<f64> {
    let seconds: f64 = stdout.trim().parse().with_context(|| format!("`{stdout}` is no time"))?;
    Ok(n_samples.parse::<f64>()? / seconds)
}
