//! The program `unnunet`: parses, runs, prints the error chain, sets the exit status.

mod allocator;
mod batch;
mod choice;
mod cli;
mod engine;
mod expectation;
mod host;
mod member_choice;
mod members;
mod memory;
mod model;
mod network;
mod ort_library;
mod predict;
mod probe;
mod progress;
mod report;
mod resume;
mod score;
mod self_test;
mod warm_up;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    allocator::return_large_blocks();
    match cli::Cli::parse().run() {
        Ok(outcome) => outcome.exit_code(),
        Err(error) => {
            cli::output::report(&error);
            cli::exit_code(&error)
        }
    }
}
