//! The commands that come after a comparison, from the trainings to predictions.
//!
//! As nnU-Net's `inference_instructions.txt`. A bundle holds one configuration, and no runtime averages two bundles: of a
//! pair that is best, what can be deployed is the best single configuration, and that is said. Of a cascade, the first
//! stage is deployed before.

use nnunet::fold::Fold;
use nnunet::plans::ConfigurationName;

use crate::best_configuration::Candidate;
use crate::cli::training_args::RootArgs;

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
            lines.push(format!("{} --raw {raw}", self.training("determine-postprocessing", &single.models[0].name)));
        }
        lines.push("To predict new cases:".into());
        let trained = single.models[0];
        let previous = trained.configuration.previous_stage();
        if let Some(previous) = &previous {
            let export = self.export(previous);
            lines.extend(deployment(
                &export,
                [&format!("{previous}.unb"), &format!("{previous}.signed.unb"), "PREVIOUS"],
                "",
            ));
        }
        let more = if previous.is_some() { " --previous-stage PREVIOUS" } else { "" };
        lines.extend(deployment(&self.export(&trained.name), ["model.unb", "signed.unb", "OUTPUT"], more));
        lines.join("\n") + "\n"
    }

    fn export(&self, name: &ConfigurationName) -> String {
        let folds: Vec<_> = self.folds.iter().map(|fold| fold.0.to_string()).collect();
        format!("{} --folds {} --id VENDOR/MODEL --version 1.0.0", self.training("export", name), folds.join(","))
    }

    fn training(&self, command: &str, name: &ConfigurationName) -> String {
        let results = self.roots.results.display();
        let (dataset, plans) = (self.dataset, &self.roots.plans);
        let preprocessed = self.roots.preprocessed.as_ref();
        let preprocessed = preprocessed.map(|root| format!(" --preprocessed {}", root.display())).unwrap_or_default();
        let members = self.roots.members.map(|n| format!(" --members {n}")).unwrap_or_default();
        format!("unnunet-train {command} {dataset} {name} --results {results} --plans {plans}{preprocessed}{members}")
    }
}

/// Export, sign and predict with one bundle; `more` is added to the prediction.
fn deployment(export: &str, [unsigned, signed, output]: [&str; 3], more: &str) -> [String; 3] {
    [
        format!("{export} --output {unsigned}"),
        format!("unnunet bundle sign {unsigned} --private-key KEY.pem --output {signed}"),
        format!("unnunet predict --bundle {signed} --public-key KEY.pub.pem --input IMAGES --output {output}{more}"),
    ]
}
