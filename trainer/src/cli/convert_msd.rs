//! `unnunet-train convert-msd`: a task of the Medical Segmentation Decathlon as a raw data set.

use std::path::{Path, PathBuf};

use anyhow::bail;

use crate::cli::planning_args::JobsArgs;
use crate::cli::{Outcome, output, progress};
use crate::msd::{Conversion, Converted};

const EXAMPLES: &str = "\
Examples:
  unnunet-train convert-msd -i Task04_Hippocampus --raw /data/nnUNet_raw
  unnunet-train convert-msd -i Task05_Prostate --dataset-id 105

Run the same again after an interruption: what is complete is skipped.";

/// Converts a task of the Medical Segmentation Decathlon to a raw data set.
///
/// Channels along the fourth axis become one file each, as they are stored; `dataset.json` is written last.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Folder of the task, named like `Task04_Hippocampus`.
    #[arg(short, long, value_name = "DIR")]
    input: PathBuf,
    /// Number of the data set [default: that of the task].
    #[arg(long, visible_alias = "overwrite-id", value_name = "ID", value_parser = clap::value_parser!(u16).range(0..=999))]
    dataset_id: Option<u16>,
    #[command(flatten)]
    jobs: JobsArgs,
    /// Folder of raw data sets.
    #[arg(long, env = "nnUNet_raw", value_name = "DIR")]
    raw: PathBuf,
}

/// Converts the task, or what is left of it.
///
/// # Errors
///
/// If the folder is no task, or the number belongs to another data set; an image that cannot be converted is
/// reported and leaves [`Outcome::SomeFailed`].
pub fn run(args: &Args) -> anyhow::Result<Outcome> {
    args.jobs.start()?;
    let (number, name) = task(&args.input)?;
    let number = args.dataset_id.unwrap_or(number);
    let dataset = format!("Dataset{number:03}_{name}");
    refuse_number_of_another(&args.raw, number, &dataset)?;
    let conversion = Conversion::new(&args.input, &args.raw.join(&dataset))?;
    let bar = progress::files("converting", conversion.n_files());
    let results = conversion.run(&|| bar.inc(1))?;
    bar.finish_and_clear();
    let count = |wanted| results.iter().filter(|result| result.as_ref().is_ok_and(|&found| found == wanted)).count();
    let (anew, already) = (count(Converted::Anew), count(Converted::Already));
    let n_failed = results.len() - anew - already;
    for error in results.into_iter().filter_map(Result::err) {
        output::report(&error.into());
    }
    output::line(format_args!("{dataset}: {anew} files converted, {already} already there, {n_failed} failed"));
    if n_failed == 0 {
        return Ok(Outcome::Done);
    }
    output::note("`dataset.json` is written when every file could be converted");
    Ok(Outcome::SomeFailed)
}

/// Number and name of `Task04_Hippocampus`.
fn task(folder: &Path) -> anyhow::Result<(u16, String)> {
    let absolute = fs_err::canonicalize(folder)?;
    let name = absolute.file_name().unwrap_or_default().to_string_lossy();
    let parts = name.strip_prefix("Task").and_then(|rest| rest.split_once('_'));
    let parsed = parts.and_then(|(number, name)| Some((number.parse().ok()?, name.to_owned())));
    match parsed {
        Some((number, name)) if number <= 999 && !name.is_empty() => Ok((number, name)),
        _ => bail!("`{name}` is no task of the decathlon, expected a folder named like `Task04_Hippocampus`"),
    }
}

/// nnU-Net finds data sets by number, so a number must have one.
fn refuse_number_of_another(raw: &Path, number: u16, dataset: &str) -> anyhow::Result<()> {
    if !raw.exists() {
        return Ok(());
    }
    let prefix = format!("Dataset{number:03}_");
    for entry in fs_err::read_dir(raw)? {
        let name = entry?.file_name();
        let name = name.to_string_lossy();
        if name.starts_with(&prefix) && name != dataset {
            bail!("number {number} belongs to `{name}`; choose another with `--dataset-id`");
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_is_known_by_its_folder() {
        let root = tempfile::tempdir().unwrap();
        let of = |name: &str| {
            fs_err::create_dir_all(root.path().join(name)).unwrap();
            task(&root.path().join(name)).ok()
        };
        assert_eq!(of("Task04_Hippocampus"), Some((4, "Hippocampus".into())));
        assert_eq!(of("Task10_Colon_Cancer/"), Some((10, "Colon_Cancer".into())));
        for name in ["Dataset004_Hippocampus", "Task_Heart", "Task02_", "Task1000_A", "TaskX_A"] {
            assert_eq!(of(name), None, "{name}");
        }
    }
}
