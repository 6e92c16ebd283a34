//! `cargo xtask demo`: the main job, from raw images to a selected fold.
use std::process::ExitCode;
/// Options of `cargo xtask demo`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

/// Runs `cargo xtask demo`.
pub(crate) fn run(_args: &Args) -> anyhow::Result<ExitCode> {
    anyhow::bail!("not built yet")
}
