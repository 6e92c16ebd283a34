//! The program `unnunet-train`: parses, runs, prints the error chain, sets the exit status.

use std::process::ExitCode;

use clap::Parser;
use trainer::cli::{Cli, output};

fn main() -> ExitCode {
    match Cli::parse().run() {
        Ok(outcome) => outcome.exit_code(),
        Err(error) => {
            output::report(&error);
            ExitCode::from(2)
        }
    }
}
