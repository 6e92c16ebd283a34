//! A signed bundle that was trained for a minute, to check a package with.
//!
//! What it has learned does not matter: its networks have the layers of real ones, and its self-test says what they must
//! compute. The package's own program signs it.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use fs_err as fs;
use phantoms::hearts::Hearts;

use super::{BUNDLE, IMAGES, PUBLIC_KEY};
use crate::console;
use crate::setup::{self, Component};
use crate::test;
use crate::workspace;

const HEARTS: Hearts = Hearts { n_training: 10, n_test: 2, seed: 1 };
/// Two members of one fold.
const TRAINING: [&str; 12] =
    ["--epochs", "2", "--cycles", "2", "--iterations", "2", "--late", "1", "--seed", "1", "--device", "cpu"];
const PLAN: [&str; 6] = ["--features", "4", "--batch-size", "2", "--patch-size", "64,64"];

/// Trains in `work`, and puts bundle, key and images into `input`; `program` is the package's.
///
/// # Errors
///
/// When the trainer cannot be built, or a step fails.
pub(super) fn make(program: &Path, work: &Path, input: &Path) -> Result<()> {
    setup::ensure(&[Component::Libtorch], &workspace::deps())?;
    run(&mut test::build_programs())?;
    HEARTS.write(&work.join("raw"))?;
    let (preprocessed, results, unsigned) =
        (work.join("preprocessed"), work.join("results"), work.join("unsigned.unb"));

    let mut plan = trainer(&["plan-and-preprocess", "-d", Hearts::NAME, "-c", "2d"]);
    plan.args(PLAN).arg("--raw").arg(work.join("raw")).arg("--preprocessed").arg(&preprocessed);
    run(&mut plan)?;
    let mut train = trainer(&["train", Hearts::NAME, "2d", "0"]);
    run(train.args(TRAINING).arg("--preprocessed").arg(&preprocessed).arg("--results").arg(&results))?;
    let mut export = trainer(&["export", Hearts::NAME, "2d", "--id", "test/package", "--version", "1.0.0"]);
    export.arg("--preprocessed").arg(&preprocessed).arg("--results").arg(&results);
    run(export.arg("--output").arg(&unsigned))?;

    let private_key = work.join("signer.key.pem");
    let mut keygen = Command::new(program);
    keygen.args(["bundle", "keygen", "--no-passphrase", "--private-key"]).arg(&private_key);
    run(keygen.arg("--public-key").arg(input.join(PUBLIC_KEY)))?;
    let mut sign = Command::new(program);
    sign.args(["bundle", "sign"]).arg(&unsigned).arg("--private-key").arg(&private_key);
    run(sign.arg("--output").arg(input.join(BUNDLE)))?;
    fs::rename(work.join("raw").join(Hearts::NAME).join("imagesTs"), input.join(IMAGES))?;
    Ok(())
}

fn trainer(words: &[&str]) -> Command {
    let mut command = Command::new(workspace::target().join("debug/unnunet-train"));
    command.args(words);
    command
}

/// Prints the command line and runs it; what it writes is shown only if it fails.
fn run(command: &mut Command) -> Result<()> {
    let line = workspace::line_of(command);
    console::say(&format!("$ {line}"));
    let output = command.output().with_context(|| format!("cannot run `{line}`"))?;
    ensure!(
        output.status.success(),
        "`{line}` ended with {}: {}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}
