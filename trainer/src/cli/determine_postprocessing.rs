//! `unnunet-train determine-postprocessing`: whether keeping the largest component helps, by the validation.

use nnunet::dataset::LabelSet;
use nnunet::evaluation::surface::Tolerance;
use nnunet::postprocessing::PostprocessingFile;
use serde_json::json;

use crate::cli::training_args::TrainingArgs;
use crate::cli::validate::print_calibration;
use crate::cli::{Outcome, output};
use crate::raw_dataset::RawDataset;
use crate::trained::Trained;
use crate::validation::results::{Results, read_calibration};

/// Finds out by the validation of which structures only the largest component should be kept.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  unnunet-train determine-postprocessing 4 3d_fullres

Wants a finished `validate`. All foreground together is tried first and kept if the mean Dice rises and that of no
structure falls; then every structure, kept if its own mean Dice rises. Writes `postprocessing.json` as nnU-Net does
beside the folds, from where `export` takes it, and calibrates anew where there was a calibration, because its Dice is
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
    let file = read(&trained, &raw)?.determine_postprocessing(&raw)?;
    // With the new file in its place, Dice is what it is after postprocessing.
    let results = read(&trained, &raw)?;
    results.write_scores()?;
    if args.json {
        output::line(json!(file));
    } else {
        print(&file, &trained.labels);
    }
    if let Some(before) = read_calibration(&trained)? {
        let fitted = results.write_calibration(before.promise)?;
        if !args.json {
            print_calibration(&fitted);
        }
    }
    Ok(Outcome::Done)
}

fn read<'a>(trained: &'a Trained, raw: &RawDataset) -> anyhow::Result<Results<'a>> {
    let mut results = Results::read(trained, raw, Tolerance::default())?;
    match results.failures.pop() {
        Some((_, case, error)) => Err(anyhow::Error::new(error).context(format!("case `{case}` cannot be compared"))),
        None => Ok(results),
    }
}

fn print(file: &PostprocessingFile, labels: &LabelSet) {
    let dice = |dice: Option<f64>| dice.map_or("undefined".to_owned(), |dice| format!("{dice:.4}"));
    let (before, after) = (file.input_folder.foreground_mean.dice, file.postprocessed.foreground_mean.dice);
    let postprocessing = file.postprocessing();
    if postprocessing.is_empty() {
        output::line(format_args!("keeping the largest component helps nowhere: mean Dice {}", dice(before)));
        return;
    }
    for step in postprocessing.steps() {
        let of_step = step.labels();
        let structure = labels.structures.iter().find(|structure| structure.values == of_step);
        let name = structure.map_or("all foreground", |structure| structure.name.as_str());
        output::line(format_args!("keep the largest component of {name}"));
    }
    output::line(format_args!("mean Dice {} before, {} after", dice(before), dice(after)));
}
