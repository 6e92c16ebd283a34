//! The model card: what the networks are, what they were trained on, and what they must not be used for.
//!
//! Filled from the plans and the records of the training; nothing is claimed that they do not say.

use std::fmt::{self, Display, Formatter};

use super::source::Source;
use super::{Exported, Identity, TRAINER};
use crate::checkpoint_rule::CheckpointRule;
use crate::schedule::Decay;

/// The content of `docs/model_card.md`.
pub(super) fn model_card(identity: &Identity, source: &Source, members: &[Exported]) -> String {
    ModelCard { identity, source, members }.to_string()
}

struct ModelCard<'a> {
    identity: &'a Identity,
    source: &'a Source,
    members: &'a [Exported],
}

impl Display for ModelCard<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let identity = self.identity;
        writeln!(f, "# {}\n", identity.title)?;
        write!(f, "`{}` version {}, channel `{}`, ", identity.id, identity.version, identity.channel)?;
        writeln!(f, "made {} by {TRAINER}.\n", identity.created)?;
        self.data(f)?;
        self.network(f)?;
        self.training(f)?;
        limits(f)
    }
}

impl ModelCard<'_> {
    fn data(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let source = self.source;
        let structures: Vec<_> = source.labels.structures.iter().map(|structure| structure.name.as_str()).collect();
        writeln!(f, "## Data\n")?;
        writeln!(f, "- Data set: `{}`", source.plans.dataset_name)?;
        writeln!(f, "- Channels: {}", source.channels.join(", "))?;
        writeln!(f, "- Structures: {}\n", structures.join(", "))?;
        writeln!(f, "| fold | training cases | validation cases |\n|---:|---:|---:|")?;
        for (fold, run) in &source.runs {
            writeln!(f, "| {} | {} | {} |", fold.0, run.split.train.len(), run.split.val.len())?;
        }
        writeln!(f)
    }

    fn network(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let source = self.source;
        let (plans, configuration) = (&source.plans, &source.configuration);
        let arguments = &configuration.architecture.arch_kwargs;
        let parameters = source.network.parameters();
        let n_parameters: usize = parameters.iter().map(|p| p.shape.iter().product::<usize>()).sum();
        writeln!(f, "## Network\n")?;
        writeln!(f, "- Plans `{}`, configuration `{}`", plans.plans_name, source.name)?;
        writeln!(f, "- Patch {:?} voxels at {:?} mm", configuration.patch_size, configuration.spacing)?;
        writeln!(f, "- Normalization {:?}", configuration.normalization_schemes)?;
        writeln!(f, "- U-Net, features {:?}, {n_parameters} parameters\n", arguments.features_per_stage)
    }

    fn training(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "## Training\n")?;
        for (fold, run) in &self.source.runs {
            let schedule = &run.schedule;
            let (n_epochs, n_cycles) = (schedule.n_epochs(), schedule.n_cycles());
            write!(f, "- Fold {}: {n_epochs} epochs of {} iterations ", fold.0, run.iterations)?;
            write!(f, "in {n_cycles} cycles, schedule `{}`, ", decay(schedule.decay()))?;
            write!(f, "checkpoints `{}`, seed {}, by {}", rule(run.checkpoints), run.seed, run.program)?;
            if let Some(early) = self.source.early_ends.get(fold) {
                write!(f, "; ended with epoch {}, {} epochs without a better average", early.epoch, early.patience)?;
            }
            writeln!(f)?;
        }
        writeln!(f, "\nMembers of the ensemble. Pseudo-Dice is the moving average over epochs of the mean foreground")?;
        writeln!(f, "Dice of random validation patches, which is not the Dice of whole cases.\n")?;
        writeln!(f, "| member | cycle | pseudo-Dice |\n|---|---:|---:|")?;
        for exported in self.members {
            let dice = exported.record.ema_pseudo_dice.map_or("undefined".to_owned(), |dice| format!("{dice:.4}"));
            writeln!(f, "| `{}` | {} | {dice} |", exported.member, exported.record.cycle)?;
        }
        writeln!(f)
    }
}

fn limits(f: &mut Formatter<'_>) -> fmt::Result {
    writeln!(f, "## Limits of use\n")?;
    writeln!(f, "- The networks know images like those of the data set: other scanners, sequences, populations or")?;
    writeln!(f, "  pathologies may fail without looking wrong. Uncertainty scores rank cases; they are no proof.")?;
    writeln!(f, "- No score of this bundle is calibrated to an expected Dice.")?;
    writeln!(f, "- Not a medical device. Clinical use needs its own validation and approval.")?;
    writeln!(f, "- The self-test holds one preprocessed patch of a validation case; whoever passes the bundle on")?;
    writeln!(f, "  passes on this piece of an image.")
}

fn decay(decay: Decay) -> &'static str {
    match decay {
        Decay::Unnunet => "unnunet",
        Decay::PerCycle => "per-cycle",
    }
}

fn rule(rule: CheckpointRule) -> String {
    match rule {
        CheckpointRule::Late(n) => format!("late {n}"),
        CheckpointRule::Sparse => "sparse".into(),
        CheckpointRule::Both(n) => format!("both, late {n}"),
    }
}
