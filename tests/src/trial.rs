//! A tiny run of the main job in a folder of its own.
//!
//! Each method is one command line of the README, with paths filled in, so
//! that a test reads as the steps it is about.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::programs::{succeed, unnunet, unnunet_train};

/// One data set, planned, trained and exported below one folder.
#[derive(Debug)]
pub struct Trial {
    work: PathBuf,
    dataset: &'static str,
    configuration: &'static str,
}

impl Trial {
    /// A trial on `dataset`, which lies in `<work>/raw`.
    pub fn new(work: &Path, dataset: &'static str, configuration: &'static str) -> Self {
        Self { work: work.to_path_buf(), dataset, configuration }
    }

    /// The file or folder `name` of the trial.
    pub fn path(&self, name: &str) -> PathBuf {
        self.work.join(name)
    }

    /// The raw data set.
    pub fn raw_dataset(&self) -> PathBuf {
        self.path("raw").join(self.dataset)
    }

    /// The outputs of training `fold`.
    pub fn fold_folder(&self, fold: u16) -> PathBuf {
        let run = format!("UnnunetTrainer__nnUNetPlans__{}", self.configuration);
        self.path("results").join(self.dataset).join(run).join(format!("fold_{fold}"))
    }

    /// `unnunet-train plan-and-preprocess`, run.
    ///
    /// # Panics
    ///
    /// When it fails.
    pub fn plan_and_preprocess(&self, flags: &[&str]) {
        let mut command = unnunet_train();
        command.args(["plan-and-preprocess", "-d", self.dataset, "-c", self.configuration]);
        command.arg("--raw").arg(self.path("raw")).arg("--preprocessed").arg(self.path("preprocessed"));
        succeed(command.args(flags));
    }

    /// `unnunet-train train` for `fold`, ready to be run.
    pub fn train(&self, fold: u16, flags: &[&str]) -> Command {
        let mut command = unnunet_train();
        command.args(["train", self.dataset, self.configuration, &fold.to_string()]);
        command.arg("--preprocessed").arg(self.path("preprocessed")).arg("--results").arg(self.path("results"));
        command.args(["--seed", "1", "--device", "cpu"]).args(flags);
        command
    }

    /// `unnunet-train export` and `unnunet bundle keygen`, run; leaves `unsigned.unb`.
    ///
    /// # Panics
    ///
    /// When one fails.
    pub fn export(&self) {
        let mut export = unnunet_train();
        export.args(["export", self.dataset, self.configuration, "--id", "test/trial", "--version", "1.0.0"]);
        export.arg("--preprocessed").arg(self.path("preprocessed")).arg("--results").arg(self.path("results"));
        succeed(export.arg("--output").arg(self.path("unsigned.unb")));
        self.make_key("test");
    }

    /// `unnunet bundle keygen`, run; leaves `<name>.key.pem` and `<name>.pub.pem`.
    ///
    /// # Panics
    ///
    /// When it fails.
    pub fn make_key(&self, name: &str) {
        let mut keygen = unnunet();
        keygen.args(["bundle", "keygen", "--no-passphrase"]);
        keygen.arg("--private-key").arg(self.path(&format!("{name}.key.pem")));
        succeed(keygen.arg("--public-key").arg(self.path(&format!("{name}.pub.pem"))));
    }

    /// `unnunet bundle sign` with the key of [`Trial::export`], run; leaves `model.unb`.
    ///
    /// # Panics
    ///
    /// When it fails.
    pub fn sign(&self) {
        let mut sign = unnunet();
        sign.args(["bundle", "sign"]).arg(self.path("unsigned.unb"));
        sign.arg("--private-key").arg(self.path("test.key.pem"));
        succeed(sign.arg("--output").arg(self.path("model.unb")));
    }

    /// A subcommand of `unnunet` that takes `--bundle`, with `model.unb` and its key, ready to be run.
    pub fn with_bundle(&self, subcommand: &str) -> Command {
        let mut command = unnunet();
        command.arg(subcommand).arg("--bundle").arg(self.path("model.unb"));
        command.arg("--public-key").arg(self.path("test.pub.pem"));
        command
    }

    /// `unnunet predict` of the images in `input` into `output`, ready to be run.
    pub fn predict(&self, input: &Path, output: &Path) -> Command {
        let mut command = self.with_bundle("predict");
        command.arg("--input").arg(input).arg("--output").arg(output).args(["--device", "cpu"]);
        command
    }
}
