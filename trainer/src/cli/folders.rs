//! Where data sets and trainings lie: nnU-Net's own folders and names.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use nnunet::plans::ConfigurationName;

/// What nnU-Net calls the trainer class; ours is one.
pub const TRAINER: &str = "UnnunetTrainer";

/// The folder of a data set below `root`, by number (`4`) or name (`Dataset004_Hippocampus`).
///
/// # Errors
///
/// If there is none, or more than one has the number.
pub fn dataset(root: &Path, dataset: &str) -> anyhow::Result<PathBuf> {
    let Ok(number) = dataset.parse::<u32>() else {
        let folder = root.join(dataset);
        let is_name = Path::new(dataset).file_name().is_some_and(|name| name == dataset);
        if !is_name || !folder.is_dir() {
            bail!("`{}` holds no data set `{dataset}`", root.display());
        }
        return Ok(folder);
    };
    let prefix = format!("Dataset{number:03}_");
    let mut found = Vec::new();
    for entry in fs_err::read_dir(root).context("cannot look for the data set")? {
        let name = entry?.file_name();
        if name.to_str().is_some_and(|name| name.starts_with(&prefix)) && root.join(&name).is_dir() {
            found.push(name);
        }
    }
    found.sort_unstable();
    match &found[..] {
        [] => bail!("`{}` holds no data set `{prefix}…`", root.display()),
        [one] => Ok(root.join(one)),
        [one, two, ..] => bail!("number {number} is both {} and {}; give the name", one.display(), two.display()),
    }
}

/// The folder of a training: `<results>/<data set>/UnnunetTrainer__<plans>__<configuration>`.
pub fn run(results: &Path, dataset: &str, plans: &str, configuration: &ConfigurationName) -> PathBuf {
    results.join(dataset).join(format!("{TRAINER}__{plans}__{configuration}"))
}

/// The configurations that were trained with these plans, by the folder of a data set's trainings, sorted.
///
/// # Errors
///
/// If the folder cannot be read.
pub fn trained(folder: &Path, plans: &str) -> anyhow::Result<Vec<String>> {
    let prefix = format!("{TRAINER}__{plans}__");
    let mut found = Vec::new();
    for entry in fs_err::read_dir(folder).context("cannot look for trainings")? {
        let name = entry?.file_name();
        found.extend(name.to_str().and_then(|name| name.strip_prefix(&prefix)).map(str::to_owned));
    }
    found.sort_unstable();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_data_set_is_found_by_number_or_name() {
        let root = tempfile::tempdir().unwrap();
        let name = "Dataset004_Hippocampus";
        fs_err::create_dir_all(root.path().join(name)).unwrap();
        fs_err::create_dir_all(root.path().join("Dataset040_Other")).unwrap();
        for text in ["4", "004", name] {
            assert_eq!(dataset(root.path(), text).unwrap(), root.path().join(name), "{text}");
        }
    }

    #[test]
    fn what_is_missing_ambiguous_or_elsewhere_is_refused() {
        let root = tempfile::tempdir().unwrap();
        for name in ["Dataset004_A", "Dataset004_B"] {
            fs_err::create_dir_all(root.path().join(name)).unwrap();
        }
        for (text, message) in [("4", "both Dataset004_A and Dataset004_B"), ("5", "no data set `Dataset005_…`")] {
            let error = dataset(root.path(), text).unwrap_err().to_string();
            assert!(error.contains(message), "{error}");
        }
        for text in ["Dataset004_C", "..", "Dataset004_A/..", "/", ""] {
            assert!(dataset(root.path(), text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_training_lies_in_a_folder_named_as_nnunets() {
        let configuration = ConfigurationName("3d_fullres".into());
        let folder = run(Path::new("r"), "Dataset004_Hippocampus", "nnUNetPlans", &configuration);
        assert_eq!(folder, Path::new("r/Dataset004_Hippocampus/UnnunetTrainer__nnUNetPlans__3d_fullres"));
    }
}
