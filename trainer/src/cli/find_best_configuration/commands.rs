//! The commands that come after a comparison, from the trainings to predictions.
//!
//! As nnU-Net's `inference_instructions.txt`. A bundle holds one configuration, and no runtime averages two bundles: of a
//! pair that is best, what can be deployed is the best single configuration, and that is said.

use nnunet::fold::Fold;

use crate::best_configuration::Candidate;
use crate::cli::training_args::RootArgs;
use crate::trained::Trained;

/// What all commands share.
pub(super) struct Commands<'a> {
    /// Where trainings lie.
    pub(super) roots: &'a RootArgs,
    /// Folder name of the data set.
    pub(super) dataset: &'a str,
    /// The folds that were compared.
    pub(super) folds: &'a [Fold],
}

impl Commands<'_> {
    /// The commands after `best` has won, `single` among the configurations.
    pub(super) fn after(&self, best: &Candidate<'_>, single: Option<&Candidate<'_>>) -> String {
        let single = single.unwrap_or(best);
        let mut lines = Vec::new();
        if best.models.len() > 1 {
            lines.push(format!(
                "The pair {} is best, but a bundle holds one configuration. The best of one configuration is {}; its own \
                 postprocessing comes from `determine-postprocessing`.",
                best.name, single.name
            ));
            let raw = self.roots.raw.display();
            lines.push(format!("{} --raw {raw}", self.training("determine-postprocessing", single.models[0])));
        }
        lines.push("To predict new cases:".into());
        let export = self.training("export", single.models[0]);
        let folds: Vec<_> = self.folds.iter().map(|fold| fold.0.to_string()).collect();
        let folds = folds.join(",");
        lines.push(format!("{export} --folds {folds} --id VENDOR/MODEL --version 1.0.0 --output model.unb"));
        lines.push("unnunet bundle sign model.unb --private-key KEY.pem --output signed.unb".into());
        lines
            .push("unnunet predict --bundle signed.unb --public-key KEY.pub.pem --input IMAGES --output OUTPUT".into());
        lines.join("\n") + "\n"
    }

    fn training(&self, command: &str, trained: &Trained) -> String {
        let results = self.roots.results.display();
        let (dataset, name, plans) = (self.dataset, &trained.name, &self.roots.plans);
        let preprocessed = self.roots.preprocessed.as_ref();
        let preprocessed = preprocessed.map(|root| format!(" --preprocessed {}", root.display())).unwrap_or_default();
        let members = self.roots.members.map(|n| format!(" --members {n}")).unwrap_or_default();
        format!("unnunet-train {command} {dataset} {name} --results {results} --plans {plans}{preprocessed}{members}")
    }
}
