//! The model card: what the networks are, what they were trained on, and what they must not be used for.
//!
//! Filled from the plans and the records of the training; nothing is claimed that they do not say.

use std::fmt::{self, Display, Formatter};

use nnunet::calibration::{Calibration, Promise};
use nnunet::fold::Fold;

use super::envelope::Envelope;
use super::findings::Findings;
use super::measurement::Measured;
use super::source::Source;
use super::{Exported, Request, TRAINER};
use crate::checkpoint_rule::CheckpointRule;
use crate::import::ImportRecord;
use crate::limits::EarlyEnd;
use crate::probe::Origin;
use crate::run_folder::Run;
use crate::run_record::RunRecord;
use crate::schedule::Decay;
use crate::weights::WeightFormat;

/// The content of `docs/model_card.md`.
pub(super) fn model_card(
    request: &Request,
    source: &Source,
    (members, findings): (&[Exported], &Findings),
    (probe, (envelope, measured)): (&Origin, (Envelope, Option<Measured>)),
) -> String {
    ModelCard { request, source, members, findings, probe, envelope, measured }.to_string()
}

struct ModelCard<'a> {
    request: &'a Request,
    source: &'a Source,
    members: &'a [Exported],
    findings: &'a Findings,
    probe: &'a Origin,
    envelope: Envelope,
    measured: Option<Measured>,
}

impl Display for ModelCard<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let identity = &self.request.identity;
        writeln!(f, "# {}\n", identity.title)?;
        write!(f, "`{}` version {}, channel `{}`, ", identity.id, identity.version, identity.channel)?;
        writeln!(f, "made {} by {TRAINER}.\n", identity.created)?;
        self.data(f)?;
        self.network(f)?;
        self.training(f)?;
        self.expectation(f)?;
        self.needs(f)?;
        limits(self.probe, f)
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
            match run {
                Run::Trained(run, _) => {
                    writeln!(f, "| {} | {} | {} |", fold.0, run.split.train.len(), run.split.val.len())?;
                }
                Run::Imported(_) => writeln!(f, "| {} | not recorded | not recorded |", fold.0)?,
            }
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
        let stored = match self.request.weights {
            WeightFormat::F32 => "single precision",
            WeightFormat::F16 => "half precision, computed with in single precision",
        };
        let class = source.network.class_name();
        writeln!(f, "- `{class}`, features {:?}, {n_parameters} parameters", arguments.features_per_stage)?;
        writeln!(f, "- Kernels stored in {stored}\n")
    }

    fn training(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "## Training\n")?;
        for (fold, run) in &self.source.runs {
            match run {
                Run::Trained(run, early_end) => trained(*fold, run, early_end.as_ref(), f)?,
                Run::Imported(import) => imported(*fold, import, f)?,
            }
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

    fn expectation(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "## Expected quality\n")?;
        match &self.findings.calibration {
            Ok(calibration) => expected(f, calibration)?,
            Err(reason) => writeln!(f, "- No score of this bundle is calibrated to an expected Dice: {reason}.")?,
        }
        if (self.findings.temperature - 1.0).abs() > 0.0 {
            writeln!(f, "- Logits are divided by a temperature of {} before softmax", self.findings.temperature)?;
        }
        let steps: Vec<_> = self.findings.steps.steps().iter().map(|step| format!("{:?}", step.labels())).collect();
        if !steps.is_empty() {
            writeln!(f, "- Of these labels the largest component is kept, one after the other: {}", steps.join(", "))?;
        }
        writeln!(f)
    }
}

impl ModelCard<'_> {
    fn needs(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Envelope { fixed_mib, bytes_per_voxel, n_voxels, n_patches } = self.envelope;
        let n_members = self.members.len();
        writeln!(f, "## Needs\n")?;
        write!(f, "- Memory: {} MiB for a case of median size, {n_voxels:.0} voxels; ", self.envelope.memory_mib())?;
        writeln!(f, "{fixed_mib:.0} MiB for any case, and {bytes_per_voxel:.0} bytes per voxel")?;
        writeln!(f, "- Such a case is {n_patches} patches, mirrored ones among them, for each of {n_members} members")?;
        if let Some(Measured { seconds_per_patch, peak_mib, n_threads }) = self.measured {
            let seconds = seconds_per_patch * (n_patches * n_members) as f64;
            write!(f, "- Measured when exported, libtorch on {n_threads} threads of `{}`: ", std::env::consts::ARCH)?;
            write!(f, "{seconds_per_patch:.3} s per patch and member, {seconds:.0} s for such a case")?;
            if let Some(peak_mib) = peak_mib {
                write!(f, "; a patch took {peak_mib:.0} MiB")?;
            }
            writeln!(f)?;
        }
        writeln!(f)
    }
}

fn expected(f: &mut Formatter<'_>, calibration: &Calibration) -> fmt::Result {
    let Calibration { promise, n_fit, n_conformal, n_without_score, half_width, accept_at_most, .. } = calibration;
    let n_cases = n_fit + n_conformal + n_without_score;
    write!(f, "- Scores by `{}` are calibrated on {n_cases} cases that no member of their fold ", promise.method)?;
    writeln!(f, "trained on; {n_without_score} of them had no score.")?;
    writeln!(
        f,
        "- Expected Dice ± {half_width:.4} holds the Dice of a case like them with probability {}.",
        promise.level
    )?;
    let Promise { risk, minimum_dice, .. } = promise;
    match accept_at_most {
        Some(most) => writeln!(
            f,
            "- Scores up to {most:.4} are accepted; a case below Dice {minimum_dice} is with probability {risk} at most."
        ),
        None => writeln!(
            f,
            "- No score keeps the risk of {risk} to accept a case below Dice {minimum_dice}: all are reviewed."
        ),
    }
}

fn trained(fold: Fold, run: &RunRecord, early_end: Option<&EarlyEnd>, f: &mut Formatter<'_>) -> fmt::Result {
    let schedule = &run.schedule;
    let (n_epochs, n_cycles) = (schedule.n_epochs(), schedule.n_cycles());
    write!(f, "- Fold {}: {n_epochs} epochs of {} iterations ", fold.0, run.iterations)?;
    write!(f, "in {n_cycles} cycles, schedule `{}`, ", decay(schedule.decay()))?;
    write!(f, "checkpoints `{}`, seed {}, by {}", rule(run.checkpoints), run.seed, run.program)?;
    if let Some(early) = early_end {
        write!(f, "; ended with epoch {}, {} epochs without a better average", early.epoch, early.patience)?;
    }
    writeln!(f)
}

fn imported(fold: Fold, import: &ImportRecord, f: &mut Formatter<'_>) -> fmt::Result {
    write!(f, "- Fold {}: not trained by this program. Weights of nnU-Net v2, trainer `{}`, ", fold.0, import.trainer)?;
    writeln!(f, "imported by {}; splits, schedule and pseudo-Dice are not recorded", import.program)?;
    for checkpoint in &import.checkpoints {
        write!(f, "    - `{fold}/checkpoint_{}` from `{fold}/checkpoint_", checkpoint.epoch)?;
        writeln!(f, "{}.pth`, SHA-256 `{}`", checkpoint.name, checkpoint.file)?;
    }
    Ok(())
}

fn limits(probe: &Origin, f: &mut Formatter<'_>) -> fmt::Result {
    writeln!(f, "## Limits of use\n")?;
    writeln!(f, "- The networks know images like those of the data set: other scanners, sequences, populations or")?;
    writeln!(f, "  pathologies may fail without looking wrong. Uncertainty scores rank cases; they are no proof.")?;
    writeln!(f, "- What is expected of a case holds for cases that resemble the validation's, not for others.")?;
    writeln!(f, "- Not a medical device. Clinical use needs its own validation and approval.")?;
    match probe {
        Origin::Noise => writeln!(f, "- The self-test holds {probe}."),
        Origin::Case(_) | Origin::Image(_) => {
            writeln!(f, "- The self-test holds one preprocessed patch, {probe}; whoever passes the bundle on")?;
            writeln!(f, "  passes on this piece of an image.")
        }
    }
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
