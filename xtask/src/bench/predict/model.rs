//! A model folder of nnU-Net as a signed bundle, made with the released programs.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use fs_err as fs;

use super::Args;
use crate::bench::steps::Steps;
use crate::workspace;

/// A bundle and the key that it is signed with.
#[derive(Debug, Clone)]
pub(super) struct Bundle {
    pub(super) file: PathBuf,
    pub(super) public_key: PathBuf,
}

/// What is imported, and where everything lies.
#[derive(Debug)]
pub(super) struct Model<'a> {
    pub(super) args: &'a Args,
    pub(super) work: PathBuf,
    pub(super) steps: &'a Steps,
    /// nnU-Net's model folder.
    pub(super) source: PathBuf,
}

impl Model<'_> {
    /// Imports, exports and signs: the final checkpoint of every fold asked for, or all checkpoints of `folder`.
    ///
    /// # Errors
    ///
    /// When a program fails, or the folder is not named as nnU-Net's are.
    pub(super) fn bundle(&self, name: &str, folder: Option<PathBuf>) -> Result<Bundle> {
        let plans: serde_json::Value = serde_json::from_str(&fs::read_to_string(self.source.join("plans.json"))?)?;
        let dataset =
            plans.get("dataset_name").and_then(serde_json::Value::as_str).context("plans name no data set")?;
        let configuration = self.source.file_name().and_then(|name| name.to_str()?.split("__").nth(2));
        let configuration = configuration.context("--model is not named `<trainer>__<plans>__<configuration>`")?;
        let file = |suffix: &str| self.work.join(format!("{name}{suffix}"));
        let (results, unsigned, signed) = (file(".results"), file(".unsigned.unb"), file(".unb"));
        let [private_key, public_key] = [self.work.join("key.pem"), self.work.join("key.pub.pem")];

        let only_final = folder.is_none();
        let source = folder.unwrap_or_else(|| self.source.clone());
        self.steps.once(&format!("import-{name}"), || {
            let mut command = trainer("import");
            command.arg(&source).arg("--results").arg(&results).args(["--name", "imported"]);
            command.args(["--probe", &self.probe()?]);
            if only_final {
                command.args(["--checkpoints", "final", "--folds", &self.folds()]);
            }
            Ok(command)
        })?;
        self.steps.once(&format!("export-{name}"), || {
            let mut command = trainer("export");
            command.args([dataset, configuration, "--plans", "imported"]).arg("--results").arg(&results);
            command.args(["--id", "bench/predict", "--version", "1.0.0"]).arg("--output").arg(&unsigned);
            Ok(command)
        })?;
        self.steps.once("keygen", || {
            let mut command = runtime("keygen");
            command.arg("--no-passphrase").arg("--private-key").arg(&private_key);
            command.arg("--public-key").arg(&public_key);
            Ok(command)
        })?;
        self.steps.once(&format!("sign-{name}"), || {
            let mut command = runtime("sign");
            command.arg(&unsigned).arg("--private-key").arg(&private_key).arg("--output").arg(&signed);
            Ok(command)
        })?;
        Ok(Bundle { file: signed, public_key })
    }

    /// The channel files of the first case, as `--probe` takes them.
    fn probe(&self) -> Result<String> {
        let mut files = fs::read_dir(&self.args.images)?.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
        files.sort();
        let case = |path: &PathBuf| Some(path.file_name()?.to_str()?.rsplit_once('_')?.0.to_owned());
        let first = files.first().and_then(case);
        ensure!(first.is_some(), "`{}` has no image", self.args.images.display());
        let of_first = files.iter().filter(|path| case(path) == first);
        Ok(of_first.map(|path| path.display().to_string()).collect::<Vec<_>>().join(","))
    }

    fn folds(&self) -> String {
        self.args.folds.iter().map(u16::to_string).collect::<Vec<_>>().join(",")
    }
}

fn trainer(subcommand: &str) -> Command {
    let mut command = workspace::program("unnunet-train");
    command.arg(subcommand);
    command
}

fn runtime(subcommand: &str) -> Command {
    let mut command = workspace::program("unnunet");
    command.args(["bundle", subcommand]);
    command
}
