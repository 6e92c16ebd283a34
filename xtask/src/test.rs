//! `cargo xtask test`: every test of every crate, and the doctests.
//!
//! The cross-crate tests start the two programs as a user would, so both are built first and their folder is handed over in
//! `UNNUNET_PROGRAMS`. They are built together with the tests: alone, crates would have other features, and be built twice.

use std::process::{Command, ExitCode, Stdio};
use std::time::Instant;

use anyhow::{Result, bail};

use crate::console;
use crate::setup::{self, Component};
use crate::workspace;

/// What is built and tested; beside it there are the doctests.
const TARGETS: &[&str] = &["--lib", "--bins", "--tests"];

/// Options of `cargo xtask test`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Leave out `trainer` and every test that trains: needs no libtorch
    #[arg(long)]
    without_trainer: bool,
}

/// Runs `cargo xtask test`.
pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let start = Instant::now();
    let scope = Scope::of(args);
    setup::ensure(scope.components(), &workspace::deps())?;

    let mut steps = vec![
        scope.cargo(&["build"], TARGETS),
        scope.cargo(&["test", "--doc"], &[]),
        // Last, so that its count closes the output.
        scope.cargo(runner(), TARGETS),
    ];
    for step in &mut steps {
        console::say(&format!("$ {}", workspace::line_of(step)));
        if !step.status()?.success() {
            bail!("`{}` failed", workspace::line_of(step));
        }
    }
    if !can_trace() {
        console::say("test: `runtime/tests/killed` killed nothing: it needs `strace`, and leave to trace");
    }
    console::say(&format!("test: all passed in {:.0} s{}", start.elapsed().as_secs_f64(), scope.remark()));
    Ok(ExitCode::SUCCESS)
}

/// `cargo build` of both programs, ready to be run.
pub(crate) fn build_programs() -> Command {
    Scope::Everything.cargo(&["build"], &["--bins"])
}

/// Whether `strace` is here and may trace; without it some tests pass without having tested anything.
fn can_trace() -> bool {
    Command::new("strace").args(["-o", "/dev/null", "true"]).output().is_ok_and(|output| output.status.success())
}

/// Which part of the workspace is tested.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scope {
    Everything,
    WithoutTrainer,
}

impl Scope {
    fn of(args: &Args) -> Self {
        if args.without_trainer { Self::WithoutTrainer } else { Self::Everything }
    }

    fn components(self) -> &'static [Component] {
        match self {
            Self::Everything => &Component::ALL,
            Self::WithoutTrainer => &[Component::Onnxruntime],
        }
    }

    fn remark(self) -> &'static str {
        match self {
            Self::Everything => "",
            Self::WithoutTrainer => " (without the trainer's)",
        }
    }

    /// `cargo` with `verb`, this scope's packages and `rest`.
    fn cargo(self, verb: &[&str], rest: &[&str]) -> Command {
        let mut command = workspace::cargo();
        command.args(verb).arg("--workspace");
        match self {
            Self::Everything => command.args(["--features", "tests/with-trainer"]),
            Self::WithoutTrainer => command.args(["--exclude", "trainer"]),
        };
        command.args(rest).env("UNNUNET_PROGRAMS", workspace::target().join("debug"));
        command
    }
}

/// `cargo nextest run` where it is installed, else `cargo test`.
fn runner() -> &'static [&'static str] {
    let nextest =
        Command::new("cargo").args(["nextest", "--version"]).stdout(Stdio::null()).stderr(Stdio::null()).status();
    if nextest.is_ok_and(|status| status.success()) { &["nextest", "run"] } else { &["test"] }
}
