//! `unnunet-train determine-postprocessing`: whether keeping the largest component helps, by the validation.

use nnunet::dataset::LabelSet;
use nnunet::postprocessing::{PostprocessingFile, Step};
use serde_json::json;

use crate::cli::training_args::TrainingArgs;
use crate::cli::validate::print_calibration;
use crate::cli::{Outcome, output};
use crate::validation::postprocessing::{Determined, determine};

/// Finds out by the validation of which structures only the largest component should be kept.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  unnunet-train determine-postprocessing 4 3d_fullres

Wants a finished `validate`. All foreground together is tried first and kept if the mean Dice rises and that of no \
structure falls; then every structure, kept if its own mean Dice rises. Writes `postprocessing.json` as nnU-Net does \
beside the folds, from where `export` takes it, and calibrates anew where there was a calibration, because its Dice is \
that of results after postprocessing.")]
pub struct Args {
    #[command(flatten)]
    training: TrainingArgs,
    /// Print what was found as JSON.
    #[arg(long)]
    json: bool,
}

/// Determines, writes, and calibrates anew.
///
/// # Errors
///
/// If the training was not validated, or a case of it cannot be compared: a decision rests on all of them.
pub fn run(args: &Args) -> anyhow::Result<Outcome> {
    let (raw, trained) = args.training.open()?;
    let Determined { file, calibration } = determine(&trained, &raw, &[])?;
    if args.json {
        output::line(json!(file));
        return Ok(Outcome::Done);
    }
    for line in summary(&file, &trained.labels) {
        output::line(line);
    }
    if let Some(calibration) = calibration {
        print_calibration(&calibration);
    }
    Ok(Outcome::Done)
}

/// What was found out, for people.
pub(super) fn summary(file: &PostprocessingFile, labels: &LabelSet) -> Vec<String> {
    let dice = |dice: Option<f64>| dice.map_or("undefined".to_owned(), |dice| format!("{dice:.4}"));
    let (before, after) = (file.input_folder.foreground_mean.dice, file.postprocessed.foreground_mean.dice);
    let postprocessing = file.postprocessing();
    if postprocessing.is_empty() {
        return vec![format!("keeping the largest component helps nowhere: mean Dice {}", dice(before))];
    }
    let line = |step: &Step| {
        let of_step = step.labels();
        let structure = labels.structures.iter().find(|structure| structure.values == of_step);
        let name = structure.map_or("all foreground", |structure| structure.name.as_str());
        format!("keep the largest component of {name}")
    };
    let mut lines: Vec<_> = postprocessing.steps().iter().map(line).collect();
    lines.push(format!("mean Dice {} before, {} after", dice(before), dice(after)));
    lines
}
