//! The program `unnunet`: parses, runs, prints the error chain, sets the exit status.

mod cli;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    match cli::Cli::parse().run() {
        Ok(outcome) => outcome.exit_code(),
        Err(error) => {
            cli::output::report(&error);
            cli::exit_code(&error)
        }
    }
}
