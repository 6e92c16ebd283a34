//! What a benchmark trains, and on how much: the options that all of them have.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Serialize;

use crate::workspace;

/// Data set, network and budget.
#[derive(Debug, Clone, Serialize, clap::Args)]
pub(super) struct TrainingArgs {
    /// Raw nnU-Net data set; it is only read
    #[arg(long, value_name = "DIR")]
    #[serde(skip)]
    pub(super) dataset: PathBuf,
    /// Configuration to train
    #[arg(long, default_value = "3d_fullres", value_parser = ["2d", "3d_fullres"])]
    pub(super) configuration: String,
    /// Epochs of each training; the first is never timed
    #[arg(long, value_name = "N", default_value_t = 30, value_parser = clap::value_parser!(u32).range(2..))]
    pub(super) epochs: u32,
    /// Iterations of an epoch
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) iterations: u32,
    /// Patches of a batch
    #[arg(long, value_name = "N", default_value_t = 4)]
    pub(super) batch_size: u32,
    /// Features of the network's first stage
    #[arg(long, value_name = "N", default_value_t = 8)]
    pub(super) features: u32,
    /// Voxels of a patch, as `Y,X` or `Z,Y,X` [default: as planned]
    #[arg(long, value_name = "SIZE")]
    patch_size: Option<String>,
    /// Seed of our trainings; nnU-Net's have none
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(super) seed: u64,
}

impl TrainingArgs {
    /// Where everything that a benchmark makes of a data set lies; `more` names what is particular to its budget.
    /// Another budget has another folder.
    pub(super) fn work(&self, benchmark: &str, dataset: &str, more: &str) -> PathBuf {
        let Self { configuration, features, batch_size, epochs, iterations, seed, .. } = self;
        let patch = self.patch_size.as_deref().map_or_else(String::new, |size| format!("-p{}", size.replace(',', "x")));
        let budget = format!("f{features}-b{batch_size}{patch}-e{epochs}-i{iterations}-{more}-s{seed}");
        workspace::target().join("bench").join(benchmark).join(dataset).join(format!("{configuration}-{budget}"))
    }

    /// The command that plans and preprocesses the data set of this name.
    pub(super) fn plan_and_preprocess(&self, name: &str, raw: &Path, preprocessed: &Path) -> Command {
        let mut command = workspace::program("unnunet-train");
        command.args(["plan-and-preprocess", "-d", name, "-c", &self.configuration]);
        command.args(["--features", &self.features.to_string(), "--batch-size", &self.batch_size.to_string()]);
        if let Some(size) = &self.patch_size {
            command.args(["--patch-size", size]);
        }
        command.arg("--raw").arg(raw).arg("--preprocessed").arg(preprocessed);
        command
    }
}
