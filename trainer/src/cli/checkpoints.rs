//! `unnunet-train checkpoints`: what a training would keep, before it runs.

use std::path::PathBuf;

use anyhow::Context as _;
use nnunet::plans::{ConfigurationName, Plans};
use nnunet::topology::UNet;

use crate::cli::schedule_args::ScheduleArgs;
use crate::cli::{Outcome, folders, output};
use crate::raw_dataset::{read_dataset_json, read_text};
use crate::weights::{Tensor, Weights};

/// Prints the epochs that would leave a checkpoint, with cycle, learning rate and, for a planned data set, bytes.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Only print; there is nothing else this command does.
    #[arg(long, required = true)]
    dry_run: bool,
    /// Number or folder name of a planned data set, to know the bytes.
    #[arg(requires = "configuration")]
    dataset: Option<String>,
    /// Configuration, such as `2d` or `3d_fullres`.
    configuration: Option<String>,
    #[command(flatten)]
    schedule: ScheduleArgs,
    /// Name of the plans.
    #[arg(short, long, default_value = "nnUNetPlans", value_name = "NAME")]
    plans: String,
    /// Folder of preprocessed data sets.
    #[arg(long, env = "nnUNet_preprocessed", value_name = "DIR")]
    preprocessed: Option<PathBuf>,
}

/// Prints one line per checkpoint: epoch, cycle, learning rate, bytes of its weights; `-` where they are not known.
///
/// # Errors
///
/// If schedule and rule do not fit each other, or there are no plans of the data set.
pub fn run(args: &Args) -> anyhow::Result<Outcome> {
    let (schedule, rule) = args.schedule.parse()?;
    let epochs = rule.epochs(&schedule)?;
    let n_bytes = n_bytes(args)?;
    let bytes = n_bytes.map_or("-".to_owned(), |n| n.to_string());
    output::line("epoch\tcycle\tlearning_rate\tbytes");
    for &epoch in &epochs {
        output::line(format_args!("{epoch}\t{}\t{:.6}\t{bytes}", schedule.cycle(epoch), schedule.rate(epoch)));
    }
    let total = n_bytes.map_or("-".to_owned(), |n| (n * epochs.len()).to_string());
    output::line(format_args!("{} checkpoints\t\t\t{total}", epochs.len()));
    Ok(Outcome::Done)
}

/// Size of one weights file of the configuration, if a data set is given.
fn n_bytes(args: &Args) -> anyhow::Result<Option<usize>> {
    let (Some(dataset), Some(configuration)) = (&args.dataset, &args.configuration) else { return Ok(None) };
    let root = args.preprocessed.as_ref().context("`--preprocessed` says where the data set's plans lie")?;
    let folder = folders::dataset(root, dataset)?;
    let dataset = read_dataset_json(&folder.join("dataset.json"))?;
    let plans = Plans::parse(&read_text(&folder.join(format!("{}.json", args.plans)))?)?;
    let configuration = plans.configuration(&ConfigurationName(configuration.clone()))?;
    let labels = dataset.structures()?;
    let n_channels = configuration.n_input_channels(dataset.channels()?.len(), &labels);
    let topology = UNet::new(&configuration, n_channels, labels.n_outputs())?;
    let mut weights = Weights::default();
    for parameter in topology.parameters() {
        let values = vec![0.0; parameter.shape.iter().product()];
        weights.insert(parameter.name, Tensor { shape: parameter.shape, values })?;
    }
    Ok(Some(weights.to_bytes().len()))
}
