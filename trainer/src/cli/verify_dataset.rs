//! `unnunet-train verify-dataset`: lists everything that is wrong with raw data sets.

use std::path::{Path, PathBuf};

use anyhow::bail;
use nnunet::dataset_check::{Problem, Severity};
use serde::Serialize;

use crate::cli::planning_args::JobsArgs;
use crate::cli::{Outcome, folders, output, progress};
use crate::dataset_check::Survey;

const EXAMPLES: &str = "\
Examples:
  unnunet-train verify-dataset -d 4 --raw /data/nnUNet_raw
  unnunet-train verify-dataset -d Dataset004_Hippocampus 500 --json > problems.jsonl

Exit status: 0 if there is no error (there may be warnings), 1 if there are errors, 2 if a data set could not be checked.";

/// Lists everything that is wrong with raw data sets, and writes nothing.
///
/// Looks at `dataset.json`, at the names of all training files, and once at every voxel: missing and extra files,
/// channels or labels on other grids, labels that `dataset.json` does not name, values that are not finite, files
/// that cannot be read, images that are there twice.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Number or folder name of a data set; several may follow.
    #[arg(short, long = "dataset", required = true, num_args = 1.., value_name = "DATASET")]
    dataset: Vec<String>,
    /// One JSON object per problem, and one per data set at the end, instead of text.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    jobs: JobsArgs,
    /// Folder of raw data sets.
    #[arg(long, env = "nnUNet_raw", value_name = "DIR")]
    raw: PathBuf,
}

/// How problems are written.
#[derive(Debug, Clone, Copy)]
enum Form {
    Text,
    Json,
}

/// Checks every data set asked for.
///
/// # Errors
///
/// If a data set is not there or the system refuses to read it; errors in a data set leave
/// [`Outcome::SomeFailed`].
pub fn run(args: &Args) -> anyhow::Result<Outcome> {
    args.jobs.start()?;
    let form = if args.json { Form::Json } else { Form::Text };
    let folders = args.dataset.iter().map(|dataset| folders::dataset(&args.raw, dataset));
    let folders: Vec<_> = folders.collect::<Result<_, _>>()?;
    let mut n_errors = 0;
    for folder in &folders {
        n_errors += check(folder, form)?;
    }
    Ok(if n_errors == 0 { Outcome::Done } else { Outcome::SomeFailed })
}

/// The same check before a data set is planned; its problems are listed as text.
///
/// # Errors
///
/// If there is any error in the data set, or it could not be checked.
pub fn before_planning(folder: &Path) -> anyhow::Result<()> {
    let n_errors = check(folder, Form::Text)?;
    if n_errors > 0 {
        bail!("`{}` has {n_errors} errors; nothing was computed", folder.display());
    }
    Ok(())
}

/// Writes all problems of a data set and a summary; returns the number of errors.
fn check(folder: &Path, form: Form) -> anyhow::Result<usize> {
    let dataset = folder.file_name().unwrap_or_default().to_string_lossy();
    let survey = Survey::of(folder)?;
    let n_cases = survey.n_cases();
    let bar = progress::cases("checking", n_cases);
    let problems = survey.finish(&|| bar.inc(1));
    bar.finish_and_clear();
    for problem in &problems {
        let severity = problem.severity();
        match form {
            Form::Text => output::line(one_line(&format!("{dataset}: {}: {problem}", word(severity)))),
            Form::Json => {
                let message = problem.to_string();
                let line = ProblemLine { dataset: &dataset, severity, message, problem };
                output::line(serde_json::to_string(&line)?);
            }
        }
    }
    let n_errors = problems.iter().filter(|problem| problem.severity() == Severity::Error).count();
    let n_warnings = problems.len() - n_errors;
    match form {
        Form::Text => {
            output::line(format_args!("{dataset}: {n_cases} cases, {n_errors} errors, {n_warnings} warnings"));
        }
        Form::Json => {
            let summary = Summary { dataset: &dataset, kind: "summary", n_cases, n_errors, n_warnings };
            output::line(serde_json::to_string(&summary)?);
        }
    }
    Ok(n_errors)
}

#[derive(Serialize)]
struct ProblemLine<'a> {
    dataset: &'a str,
    severity: Severity,
    message: String,
    #[serde(flatten)]
    problem: &'a Problem,
}

#[derive(Serialize)]
struct Summary<'a> {
    dataset: &'a str,
    kind: &'static str,
    n_cases: usize,
    n_errors: usize,
    n_warnings: usize,
}

fn word(severity: Severity) -> &'static str {
    match severity {
        Severity::Warning => "warning",
        Severity::Error => "error",
    }
}

/// A file's name may hold a line break; the line must not.
fn one_line(text: &str) -> String {
    let escape = |c: char| if c.is_control() { c.escape_default().to_string() } else { c.to_string() };
    text.chars().map(escape).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_line_breaks_stays_on_its_line() {
        assert_eq!(one_line("a\nb\u{1b}[0m …"), "a\\nb\\u{1b}[0m …");
    }
}
