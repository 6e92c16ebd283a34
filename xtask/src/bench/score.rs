//! `cargo xtask bench score`: scoring from `.npz`, beside the reference program, on the same files in one run.
//!
//! `scores.py` scores by every method and in both ways at once; `unnunet score` runs once for each way, and it is the sum
//! of both that is compared. Times are of whole processes, their start and the reading of the files included. Files are
//! compressed, as nnU-Net writes them, and in the page cache, since both programs read them in every round.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result, ensure};

use super::measure;
use crate::console;
use crate::workspace;

const DESIGN: &str = "class-entropy,total-entropy,mutual-information,t-test,pairwise-dice";
const UNNUNET: &str = "class-entropy,total-entropy,t-test";

/// Options of `cargo xtask bench score`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Python with numpy and scipy
    #[arg(long, value_name = "PYTHON")]
    oracle: PathBuf,
    /// The reference program
    #[arg(long, value_name = "FILE", default_value = "../shared/oracle/scores.py")]
    reference: PathBuf,
    /// Members of every case in 2D; volumes have half as many
    #[arg(long, default_value_t = 20)]
    members: usize,
    /// Cases in 2D, 256×256 of two classes; beside them two volumes of 48×128×128 of four
    #[arg(long, default_value_t = 40)]
    cases: usize,
    /// How often each program runs; the middle run counts
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Where the probabilities lie; they stay for the next run
    #[arg(long, default_value = "target/bench-score")]
    work: PathBuf,
}

/// Cases of one kind.
#[derive(Debug)]
struct Subject {
    name: String,
    folder: PathBuf,
    /// Whether UnnUNet has numbers for them.
    ways: &'static [Way],
}

/// One run of `unnunet score`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Design,
    Unnunet,
}

/// Case and column → score; `None` if undefined.
type Scores = BTreeMap<(String, String), Option<f64>>;

/// Runs `cargo xtask bench score`.
pub(super) fn run(args: &Args) -> Result<ExitCode> {
    let mut build = workspace::cargo();
    build.args(["build", "--release", "--package", "runtime"]);
    ensure!(build.status().context("cannot run cargo")?.success(), "the program was not built");
    let python = std::path::absolute(&args.oracle)?;
    let (members, half) = (args.members, (args.members / 2).max(2));
    let slices = cases(args, &python, [members, args.cases], "1,256,256", 2)?;
    let volumes = cases(args, &python, [half, 2], "48,128,128", 4)?;
    let subjects = [
        Subject {
            name: format!("{} cases of 256×256, 2 classes, {members} members", args.cases),
            folder: slices,
            ways: &[Way::Design, Way::Unnunet],
        },
        Subject {
            name: format!("2 volumes of 48×128×128, 4 classes, {half} members"),
            folder: volumes,
            ways: &[Way::Design],
        },
    ];
    let lines = subjects.iter().map(|subject| line(args, &python, subject)).collect::<Result<Vec<_>>>()?;
    console::say(
        "\n| data | `scores.py` | ours, design | ours, unnunet | times as fast | peak, `scores.py` | peak, ours | largest relative difference |",
    );
    console::say("|---|---|---|---|---|---|---|---|");
    for line in lines {
        console::say(&line);
    }
    Ok(ExitCode::SUCCESS)
}

/// The folder of some probabilities, which are made unless they are there.
fn cases(args: &Args, python: &Path, n: [usize; 2], shape: &str, n_classes: usize) -> Result<PathBuf> {
    let [n_members, n_cases] = n;
    let folder = args.work.join(format!("{n_members}x{n_cases}x{}x{n_classes}", shape.replace(',', "x")));
    if !folder.is_dir() {
        let unfinished = folder.with_extension("tmp");
        let mut command = Command::new(python);
        command.arg(workspace::root().join("xtask/src/bench/score_cases.py")).arg(&unfinished);
        command.args([n_members.to_string(), n_cases.to_string(), shape.to_owned(), n_classes.to_string()]);
        measure::run(command)?;
        fs_err::rename(&unfinished, &folder)?;
    }
    Ok(folder)
}

/// Runs both programs in turn; a line of the table.
fn line(args: &Args, python: &Path, subject: &Subject) -> Result<String> {
    let reference_csv = subject.folder.with_extension("reference.csv");
    let mut reference_s = Vec::new();
    let mut ours_s: Vec<Vec<f64>> = subject.ways.iter().map(|_| Vec::new()).collect();
    let (mut reference_peak, mut peak, mut largest) = (0, 0, 0.0_f64);
    for _ in 0..args.rounds.max(1) {
        let mut command = Command::new(python);
        command.args(["-W", "ignore"]).arg(&args.reference).arg(&subject.folder).arg("--out").arg(&reference_csv);
        let cost = measure::run(command)?;
        reference_s.push(cost.wall_s);
        reference_peak = reference_peak.max(cost.resident);
        let expected = reference_scores(&fs_err::read(&reference_csv)?)?;
        for (way, seconds) in subject.ways.iter().zip(&mut ours_s) {
            let cost = measure::run(way.command(&subject.folder))?;
            seconds.push(cost.wall_s);
            peak = peak.max(cost.resident);
            largest = largest.max(difference(&way.scores(cost.stdout.as_bytes())?, &expected)?);
        }
    }
    let reference = middle(&mut reference_s);
    let ours: Vec<f64> = ours_s.iter_mut().map(|seconds| middle(seconds)).collect();
    let unnunet = ours.get(1).map_or("–".to_owned(), |seconds| format!("{seconds:.3} s"));
    let (ratio, mib) = (reference / ours.iter().sum::<f64>(), |bytes: u64| bytes >> 20);
    Ok(format!(
        "| {} | {reference:.2} s | {:.3} s | {unnunet} | {ratio:.1} | {} MiB | {} MiB | {largest:.1e} |",
        subject.name,
        ours[0],
        mib(reference_peak),
        mib(peak)
    ))
}

fn middle(seconds: &mut [f64]) -> f64 {
    seconds.sort_by(f64::total_cmp);
    seconds[seconds.len() / 2]
}

impl Way {
    fn command(self, folder: &Path) -> Command {
        let mut command = Command::new(workspace::target().join("release/unnunet"));
        command.arg("score").arg("--probabilities").arg(folder);
        match self {
            Self::Design => command.args(["--uncertainty", DESIGN]),
            Self::Unnunet => command.args(["--scores", "unnunet", "--uncertainty", UNNUNET]),
        };
        command
    }

    /// The scores of our table, under the reference's names.
    fn scores(self, csv: &[u8]) -> Result<Scores> {
        let mut scores = Scores::new();
        for row in rows(csv)? {
            let field = |name: &str| row.get(name).with_context(|| format!("the table has no column `{name}`"));
            let (case, method) = (field("case")?, field("method")?);
            let column = match self {
                Self::Design => method.clone(),
                Self::Unnunet => format!("unnunet_{}", method.replace('-', "_")),
            };
            scores.insert((case.clone(), column), number(field("score")?)?);
        }
        Ok(scores)
    }
}

fn reference_scores(csv: &[u8]) -> Result<Scores> {
    let mut scores = Scores::new();
    for mut row in rows(csv)? {
        let case = row.remove("case").context("the reference names no case")?;
        for (column, value) in row {
            scores.insert((case.clone(), column), number(&value)?);
        }
    }
    Ok(scores)
}

fn rows(csv: &[u8]) -> Result<Vec<BTreeMap<String, String>>> {
    csv::Reader::from_reader(csv).deserialize().map(|row| Ok(row?)).collect()
}

fn number(text: &str) -> Result<Option<f64>> {
    if text.is_empty() { Ok(None) } else { Ok(Some(text.parse().with_context(|| format!("`{text}` is no number"))?)) }
}

/// The largest relative difference; infinite where only one program has a score.
fn difference(found: &Scores, expected: &Scores) -> Result<f64> {
    ensure!(!found.is_empty(), "there are no scores");
    let mut largest = 0.0_f64;
    for (at, found) in found {
        let expected = expected.get(at).with_context(|| format!("the reference has no {at:?}"))?;
        let relative = match (found, expected) {
            // Equal zeros have no relative difference.
            (Some(found), Some(expected)) => (found - expected).abs() / expected.abs().max(f64::MIN_POSITIVE),
            (None, None) => 0.0,
            _ => f64::INFINITY,
        };
        largest = largest.max(relative);
    }
    Ok(largest)
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "values that are exact in binary")]
mod tests {
    use super::*;

    const OURS: &str = "case,method,members,score,score[1],status\na,t-test,2,2.5,1,done\nb,t-test,2,,,done\n";

    #[test]
    fn scores_of_both_programs_are_compared_by_case_and_method() {
        let compare = |way: Way, reference: &str| {
            difference(&way.scores(OURS.as_bytes()).unwrap(), &reference_scores(reference.as_bytes()).unwrap())
        };
        assert_eq!(compare(Way::Design, "case,members,t-test\na,2,2\nb,2,\n").unwrap(), 0.25);
        assert_eq!(compare(Way::Unnunet, "case,members,unnunet_t_test\na,2,2.5\nb,2,\n").unwrap(), 0.0);
        assert_eq!(compare(Way::Design, "case,members,t-test\na,2,2.5\nb,2,1\n").unwrap(), f64::INFINITY);
        assert!(compare(Way::Design, "case,members,t-test\na,2,2.5\n").is_err());
    }

    #[test]
    fn the_middle_of_three_counts() {
        assert_eq!(middle(&mut [3.0, 1.0, 2.0]), 2.0);
    }
}
