//! The program `unnunet-train`: parses, runs, prints the error chain, sets the exit status.
//!
//! Volumes come and go by the hundred megabytes, and a fresh page costs as much as a good part of the work on it. So
//! memory is jemalloc's, libtorch's tensors on the CPU included, set in `.cargo/config.toml` to keep what was freed.

use std::process::ExitCode;

use clap::Parser;
use tikv_jemallocator::Jemalloc;
use trainer::cli::{Cli, output};

#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

fn main() -> ExitCode {
    match Cli::parse().run() {
        Ok(outcome) => outcome.exit_code(),
        Err(error) => {
            output::report(&error);
            ExitCode::from(2)
        }
    }
}
