//! From trained folds to the Dice of every unseen case: bundles of single and of all checkpoints, predicted and
//! evaluated as a user would.

use std::path::{Path, PathBuf};

use anyhow::Result;
use fs_err as fs;

use super::{Subject, announce, program};
use crate::demo::material::Unseen;
use crate::demo::results::{Results, Row};

/// How folds are trained.
#[derive(Debug, Clone)]
pub(super) struct Recipe {
    pub(super) name: String,
    pub(super) cycles: u32,
    /// Checkpoints at the end of each cycle.
    pub(super) late: u32,
}

/// Dice of every unseen case, in the order of the cases; a case's is the mean over its structures.
#[derive(Debug, Clone)]
pub(super) struct Outcome {
    pub(super) cycles: u32,
    /// Checkpoints of each fold that vote in `all`.
    pub(super) n_members: u32,
    /// With the last checkpoint of each fold.
    pub(super) single: Vec<Row>,
    /// With all checkpoints of each fold.
    pub(super) all: Vec<Row>,
}

impl Subject<'_> {
    /// Exports, signs, predicts and evaluates.
    ///
    /// # Errors
    ///
    /// When a program fails, or what it wrote cannot be read.
    pub(super) fn predict(&self, recipe: &Recipe, unseen: &Unseen) -> Result<Outcome> {
        let n_members = recipe.cycles * recipe.late;
        let rows = |members: u32| -> Result<Vec<Row>> {
            announce(&format!("{}, {members} checkpoints of each fold", recipe.name));
            let model = Model { subject: self, recipe, members, name: format!("{}-members-{members}", recipe.name) };
            let prediction = model.predict(unseen)?;
            Ok(Results::read(&prediction, &self.args.folds)?.rows)
        };
        let (single, all) = (rows(1)?, rows(n_members)?);
        Ok(Outcome { cycles: recipe.cycles, n_members, single, all })
    }

    /// The key pair of this benchmark, made once.
    fn keys(&self) -> Result<[PathBuf; 2]> {
        let keys = ["bench.key.pem", "bench.pub.pem"].map(|name| self.work.join(name));
        self.steps.once("keygen", || {
            for key in keys.iter().filter(|key| key.exists()) {
                fs::remove_file(key)?;
            }
            let mut command = program("unnunet", &["bundle", "keygen", "--no-passphrase"]);
            command.arg("--private-key").arg(&keys[0]).arg("--public-key").arg(&keys[1]);
            Ok(command)
        })?;
        Ok(keys)
    }
}

/// One bundle.
struct Model<'a> {
    subject: &'a Subject<'a>,
    recipe: &'a Recipe,
    /// Of each fold.
    members: u32,
    name: String,
}

impl Model<'_> {
    /// Returns the folder of the predictions.
    fn predict(&self, unseen: &Unseen) -> Result<PathBuf> {
        let Subject { work, steps, .. } = self.subject;
        let file = |suffix: &str| work.join("bundles").join(format!("{}.{suffix}", self.name));
        let (unsigned, bundle) = (file("unsigned.unb"), file("unb"));
        let [private_key, public_key] = self.subject.keys()?;
        fs::create_dir_all(work.join("bundles"))?;
        self.export(&unsigned)?;
        steps.once(&format!("sign-{}", self.name), || {
            let mut command = program("unnunet", &["bundle", "sign"]);
            command.arg(&unsigned).arg("--private-key").arg(&private_key).arg("--output").arg(&bundle);
            Ok(command)
        })?;
        let prediction = work.join("predictions").join(&self.name);
        steps.once(&format!("predict-{}", self.name), || {
            let mut command = program("unnunet", &["predict", "--save-folds", "--precision", "f32"]);
            command.arg("--bundle").arg(&bundle).arg("--public-key").arg(&public_key);
            command.arg("--input").arg(&unseen.images).arg("--output").arg(&prediction);
            Ok(command)
        })?;
        let folds = self.subject.args.folds.iter().map(|fold| format!("folds/fold_{fold}"));
        for part in folds.chain(["folds/mean".to_owned(), ".".to_owned()]) {
            self.evaluate(&part, &prediction.join(&part), unseen)?;
        }
        Ok(prediction)
    }

    fn export(&self, unsigned: &Path) -> Result<()> {
        let subject = self.subject;
        subject.steps.once(&format!("export-{}", self.name), || {
            let name = &subject.material.name;
            let mut command = program("unnunet-train", &["export", name, &subject.args.training.configuration]);
            command.arg("--preprocessed").arg(subject.preprocessed());
            command.arg("--results").arg(subject.results(self.recipe));
            command.args(["--folds", &subject.folds(), "--members", &self.members.to_string()]);
            let id = format!("bench/{}", name.to_lowercase().replace('_', "-"));
            command.args(["--id", &id, "--version", "1.0.0"]).arg("--output").arg(unsigned);
            Ok(command)
        })
    }

    fn evaluate(&self, part: &str, prediction: &Path, unseen: &Unseen) -> Result<()> {
        let step = format!("evaluate-{}-{}", self.name, part.replace(['/', '.'], "-"));
        self.subject.steps.once(&step, || {
            let dataset = self.subject.material.raw(&self.subject.work)?.join(&self.subject.material.name);
            let mut command = program("unnunet", &["evaluate"]);
            command.arg("--reference").arg(&unseen.references).arg("--prediction").arg(prediction);
            command.arg("--dataset-json").arg(dataset.join("dataset.json"));
            Ok(command)
        })
    }
}
