//! `cargo xtask setup | test | demo | gpu-check | bench | dist`: the project's own chores.
//!
//! A fresh machine has Rust and Python with pip; two commands must do the
//! rest. `demo` runs the main job, `test` the tests, and both call `setup`
//! themselves when the native libraries are missing.

mod bench;
mod console;
mod demo;
mod dist;
mod setup;
mod test;
mod workspace;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Fetches native libraries, runs the tests, runs the main job, makes the package.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Brings libtorch and ONNX Runtime into `.deps/`; does nothing when they are there
    Setup(setup::Args),
    /// Builds both programs and runs every test
    Test(test::Args),
    /// Runs the main job: plan, train, export, sign, verify, predict, evaluate
    Demo(Box<demo::Args>),
    /// Trains, exports and compares on a GPU; says so where there is none
    GpuCheck(demo::gpu_check::Args),
    /// Measures our programs beside their peers, on the same files in one run
    Bench(bench::Args),
    /// Makes one archive of `unnunet` and its libraries; with --check, runs it in an empty root
    Dist(dist::Args),
}

fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Setup(args) => setup::run(&args),
        Command::Test(args) => test::run(&args),
        Command::Demo(args) => demo::run(&args),
        Command::GpuCheck(args) => demo::gpu_check::run(&args),
        Command::Bench(args) => bench::run(&args),
        Command::Dist(args) => dist::run(&args),
    };
    match done {
        Ok(code) => code,
        Err(error) => {
            console::warn(&format!("error: {error:#}"));
            ExitCode::from(2)
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::Cli;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }
}
