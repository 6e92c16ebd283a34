//! `unnunet-train find-best-configuration`: trained configurations and their pairs by cross-validation.

mod commands;

use std::path::Path;

use anyhow::ensure;
use imaging::atomic_file;
use nnunet::evaluation::summary::key;
use nnunet::fold::Fold;
use serde_json::{Map, Value, json};

use crate::best_configuration::{Candidate, Comparison, Postprocessed, best, best_of};
use crate::cli::determine_postprocessing::summary;
use crate::cli::training_args::RootArgs;
use crate::cli::{Outcome, folders, output, progress};
use crate::trained::Trained;
use commands::Commands;

/// Says which configuration, or which two together, segments the validation cases best.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  unnunet-train find-best-configuration 4
  unnunet-train find-best-configuration 4 -c 2d 3d_fullres --disable-ensembling

Every configuration must have been validated on the same folds, and with `--npz` for ensembles: their mean probabilities \
become segmentations in RESULTS/<data set>/ensembles. The postprocessing of the best is determined, as by \
`determine-postprocessing`, and written beside its folds or segmentations. Writes inference_information.json and the \
commands that come next, inference_instructions.txt, into RESULTS/<data set>.")]
pub struct Args {
    /// Data set, by number or folder name.
    dataset: String,
    /// Configurations to compare [default: all that were trained].
    #[arg(short, long = "configuration", num_args = 1.., value_name = "CONFIGURATION")]
    configuration: Vec<String>,
    /// Folds whose validation counts [default: those of the first configuration].
    #[arg(long, value_delimiter = ',', value_name = "FOLD,…")]
    folds: Vec<u16>,
    /// Compare single configurations only.
    #[arg(long)]
    disable_ensembling: bool,
    #[command(flatten)]
    roots: RootArgs,
    /// Print what is written as JSON instead of a table.
    #[arg(long)]
    json: bool,
}

/// Compares, writes and prints.
///
/// # Errors
///
/// If there is nothing to compare, or a configuration was not validated as the others were.
pub fn run(args: &Args) -> anyhow::Result<Outcome> {
    let (name, raw) = args.roots.raw(&args.dataset)?;
    let folder = args.roots.results.join(&name);
    let mut configurations = args.configuration.clone();
    if configurations.is_empty() {
        configurations = folders::trained(&folder, &args.roots.plans)?;
    }
    ensure!(
        !configurations.is_empty(),
        "`{}` holds no training with the plans `{}`",
        folder.display(),
        args.roots.plans
    );
    let trained: Vec<Trained> = configurations
        .iter()
        .map(|configuration| args.roots.trained(&name, configuration, &raw))
        .collect::<Result<_, _>>()?;
    let mut folds: Vec<Fold> = args.folds.iter().copied().map(Fold).collect();
    if folds.is_empty() {
        folds = trained[0].runs.keys().copied().collect();
    }
    let comparison = Comparison { raw: &raw, folds: &folds };
    let candidates = candidates(args, &comparison, &trained, &folder)?;
    let best = best(&candidates);
    let postprocessed = best.map(|best| comparison.postprocess(best, &folder.join("ensembles"))).transpose()?;
    let best = best.zip(postprocessed.as_ref());
    let found = findings(args, (&name, &folds), &candidates, best);
    atomic_file::write(&folder.join("inference_information.json"), &serde_json::to_vec_pretty(&found)?)?;
    if args.json {
        output::line(&found);
    } else {
        print(&candidates, best);
    }
    if let Some((best, postprocessed)) = best {
        let single = candidates.iter().filter(|candidate| candidate.models.len() == 1);
        let commands = Commands { roots: &args.roots, dataset: &name, folds: &folds };
        let text = commands.after(best, best_of(single));
        atomic_file::write(&folder.join("inference_instructions.txt"), text.as_bytes())?;
        summary(&postprocessed.file, &best.models[0].labels).into_iter().for_each(output::note);
        output::note(text.trim_end());
    }
    Ok(Outcome::Done)
}

fn candidates<'t>(
    args: &Args,
    comparison: &Comparison<'_>,
    trained: &'t [Trained],
    folder: &Path,
) -> anyhow::Result<Vec<Candidate<'t>>> {
    let n_pairs = if args.disable_ensembling { 0 } else { trained.len() * (trained.len() - 1) / 2 };
    let bar = progress::candidates("comparing", trained.len() + n_pairs);
    let mut candidates = Vec::new();
    for one in trained {
        candidates.push(comparison.single(one)?);
        bar.inc(1);
    }
    if !args.disable_ensembling {
        for (i, one) in trained.iter().enumerate() {
            for other in &trained[i + 1..] {
                candidates.push(comparison.pair((one, other), &folder.join("ensembles"))?);
                bar.inc(1);
            }
        }
    }
    bar.finish_and_clear();
    Ok(candidates)
}

/// What is found, under nnU-Net's names.
fn findings(
    args: &Args,
    (dataset, folds): (&str, &[Fold]),
    candidates: &[Candidate<'_>],
    best: Option<(&Candidate<'_>, &Postprocessed)>,
) -> Value {
    let results: Map<_, _> =
        candidates.iter().map(|candidate| (candidate.name.clone(), json!(candidate.dice()))).collect();
    let model = |trained: &&Trained| {
        let trainer = folders::TRAINER;
        json!({"configuration": trained.name, "trainer": trainer, "plans_identifier": trained.plans.plans_name})
    };
    let best = best.map(|(best, postprocessed)| {
        let models: Vec<_> = best.models.iter().map(model).collect();
        json!({
            "name": best.name,
            "result_on_crossval_pre_pp": best.dice(),
            "result_on_crossval_post_pp": postprocessed.file.postprocessed.foreground_mean.dice,
            "postprocessing_file": postprocessed.path,
            "selected_model_or_models": models,
        })
    });
    json!({
        "dataset_name_or_id": dataset,
        "folds": folds,
        "ensembling_allowed": !args.disable_ensembling,
        "all_results": results,
        "best_model_or_ensemble": best,
    })
}

fn print(candidates: &[Candidate<'_>], best: Option<(&Candidate<'_>, &Postprocessed)>) {
    let Some(first) = candidates.first() else { return };
    let cell = |value: Option<f64>| value.map_or_else(|| format!("{:>10}", "-"), |value| format!("{value:>10.4}"));
    let structures = &first.models[0].labels.structures;
    let names = structures.iter().map(|structure| format!("{:>10.10}", structure.name)).collect::<Vec<_>>().concat();
    output::line(format_args!("{:>10}{names}  Dice of", "mean"));
    for candidate in candidates {
        let mean = &candidate.summary.mean;
        let cells: String =
            structures.iter().map(|structure| cell(mean.get(&key(structure)).and_then(|mean| mean.dice))).collect();
        output::line(format_args!("{}{cells}  {}", cell(candidate.dice()), candidate.name));
    }
    match best {
        Some((best, _)) => output::line(format_args!("best: {}", best.name)),
        None => output::line("none is best: no Dice is defined"),
    }
}
