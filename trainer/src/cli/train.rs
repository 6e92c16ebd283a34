//! `unnunet-train train`: trains one fold of a configuration.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, bail};
use indicatif::{HumanDuration, ProgressBar};
use nnunet::dataset::{CaseId, DatasetJson, LabelSet};
use nnunet::fold::{Fold, Split};
use nnunet::plans::{Configuration, ConfigurationName, Plans};
use nnunet::topology::UNet;

use crate::annotation::Annotation;
use crate::augment::Recipe;
use crate::cases::Cases;
use crate::checkpoint::CheckpointFolder;
use crate::cli::schedule_args::ScheduleArgs;
use crate::cli::{Outcome, device, folders, openmp, output, progress};
use crate::journal::EpochRecord;
use crate::loss::{DiceOver, Loss, deep_supervision_weights};
use crate::patch_geometry::PatchGeometry;
use crate::random::Purpose;
use crate::raw_dataset::{read_dataset_json, read_text};
use crate::run_record::RunRecord;
use crate::sample::Sampler;
use crate::store::Store;
use crate::training::{Observer, Start, Training};
use crate::{cross_validation, targets};
use imaging::atomic_file;

/// Training iterations per validation iteration, as in nnU-Net: 250 and 50.
const ITERATIONS_PER_VALIDATION: u32 = 5;
/// Most validation iterations unless asked otherwise.
const MAX_VALIDATION: u32 = 50;

/// Trains one fold, leaving checkpoints of every cycle.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Number or folder name of the data set.
    dataset: String,
    /// Configuration, such as `2d` or `3d_fullres`.
    configuration: String,
    /// Fold, counted from 0.
    fold: u16,
    #[command(flatten)]
    schedule: ScheduleArgs,
    /// Training iterations of an epoch.
    #[arg(long, default_value_t = 250, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    iterations: u32,
    /// Validation iterations of an epoch [default: a fifth of the training iterations, rounded up, at most 50].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    validation_iterations: Option<u32>,
    /// Seed of every random number.
    #[arg(long, default_value_t = 0, value_name = "N")]
    seed: u64,
    /// Where to train: `auto`, `cpu`.
    #[arg(long, default_value = "auto", value_name = "DEVICE")]
    device: device::Wanted,
    /// Threads of libtorch; a resumed training must have as many to be equal bit by bit [default: all processors].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,
    /// Threads that make batches; they do not change the result [default: a quarter of the processors].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    workers: Option<u16>,
    /// Memory for whole cases, MiB; others are read patch by patch.
    #[arg(long, default_value_t = 2048, value_name = "MIB")]
    cache: u32,
    /// Go on after the last epoch that was saved.
    #[arg(long = "continue", conflicts_with = "overwrite")]
    resume: bool,
    /// Begin afresh where a training lies already.
    #[arg(long)]
    overwrite: bool,
    /// Name of the plans.
    #[arg(short, long, default_value = "nnUNetPlans", value_name = "NAME")]
    plans: String,
    /// Folder of preprocessed data sets.
    #[arg(long, env = "nnUNet_preprocessed", value_name = "DIR")]
    preprocessed: PathBuf,
    /// Folder of trainings.
    #[arg(long, env = "nnUNet_results", value_name = "DIR")]
    results: PathBuf,
}

/// What the preprocessed folder says.
struct Inputs {
    folder: PathBuf,
    dataset: DatasetJson,
    labels: LabelSet,
    plans: Plans,
    name: ConfigurationName,
    configuration: Configuration,
    split: Split,
}

/// Trains, or goes on training.
///
/// # Errors
///
/// If something is missing or does not fit, a training lies already where a new one should begin, or the one to go on
/// with was begun with other settings.
pub fn run(args: &Args) -> anyhow::Result<Outcome> {
    openmp::wait_asleep();
    let inputs = Inputs::read(args)?;
    let device = args.device.open()?;
    let n_processors = std::thread::available_parallelism().map_or(1, usize::from);
    let n_threads = args.threads.map_or(n_processors, usize::from);
    tch::set_num_threads(i32::try_from(n_threads).context("so many threads cannot be started")?);

    let fold = Fold(args.fold);
    let (dataset, plans) = (&inputs.plans.dataset_name, &inputs.plans.plans_name);
    let training_folder = folders::run(&args.results, dataset, plans, &inputs.name);
    let folder = training_folder.join(fold.to_string());
    let (schedule, rule) = args.schedule.parse()?;
    let default_validation = args.iterations.div_ceil(ITERATIONS_PER_VALIDATION).min(MAX_VALIDATION);
    let n_validation = args.validation_iterations.unwrap_or(default_validation);
    let record = RunRecord {
        program: concat!("unnunet-train ", env!("CARGO_PKG_VERSION")).to_owned(),
        dataset: inputs.plans.dataset_name.clone(),
        configuration: inputs.name.clone(),
        plans: RunRecord::digest(&inputs.plans)?,
        fold,
        split: inputs.split.clone(),
        schedule,
        checkpoints: rule,
        iterations: args.iterations,
        validation_iterations: n_validation,
        seed: args.seed,
        threads: n_threads,
    };
    let start = begin(args, &folder, &record)?;
    write_settings(&training_folder, &inputs)?;

    let topology = UNet::new(&inputs.configuration, inputs.dataset.channels()?.len(), inputs.labels.n_outputs())?;
    let room = u64::from(args.cache) << 20;
    let sampler = |purpose| inputs.sampler(&record, &topology, purpose, room);
    let training = Training {
        structures: inputs.labels.structures.iter().map(|structure| structure.name.clone()).collect(),
        loss: Loss {
            annotation: Annotation::of(&inputs.labels),
            dice_over: DiceOver::of_plans(inputs.configuration.batch_dice),
        },
        kept_epochs: rule.epochs(&schedule)?,
        schedule,
        n_iterations: args.iterations,
        n_validation,
        seed: args.seed,
        fold,
        device,
        n_workers: args.workers.map_or((n_processors / 4).max(1), usize::from),
        sampler: sampler(Purpose::Training)?,
        validation: sampler(Purpose::Validation)?,
        topology,
        folder,
    };
    let mut reporter = Reporter::new(&training);
    let result = training.run(start, &mut reporter);
    reporter.bar.finish_and_clear();
    result?;
    Ok(Outcome::Done)
}

/// Prepares the fold's folder and its `run.json`.
fn begin(args: &Args, folder: &Path, record: &RunRecord) -> anyhow::Result<Start> {
    let path = folder.join("run.json");
    let latest = CheckpointFolder::new(folder).latest_path();
    if args.resume {
        if !latest.is_file() {
            bail!("there is no training to continue: `{}` is missing", latest.display());
        }
        record.check_same(&path)?;
        return Ok(Start::Resume);
    }
    if latest.exists() {
        if !args.overwrite {
            let folder = folder.display();
            bail!("`{folder}` holds a training already; go on with `--continue` or begin afresh with `--overwrite`");
        }
        fs_err::remove_dir_all(folder)?;
    }
    fs_err::create_dir_all(folder)?;
    record.write(&path)?;
    Ok(Start::Afresh)
}

fn write_settings(folder: &Path, inputs: &Inputs) -> anyhow::Result<()> {
    atomic_file::write(&folder.join("plans.json"), &serde_json::to_vec_pretty(&inputs.plans)?)?;
    atomic_file::write(&folder.join("dataset.json"), &serde_json::to_vec_pretty(&inputs.dataset)?)?;
    Ok(())
}

impl Inputs {
    fn read(args: &Args) -> anyhow::Result<Self> {
        let folder = folders::dataset(&args.preprocessed, &args.dataset)?;
        let dataset = read_dataset_json(&folder.join("dataset.json"))?;
        let labels = dataset.structures()?;
        let path = folder.join(format!("{}.json", args.plans));
        let text = read_text(&path).context("there are no plans; run `plan-and-preprocess` first")?;
        let plans = Plans::parse(&text).with_context(|| format!("`{}` cannot be used", path.display()))?;
        let name = ConfigurationName(args.configuration.clone());
        let configuration = plans.configuration(&name)?;
        let splits_file = folder.join(cross_validation::FILE_NAME);
        let text = read_text(&splits_file).context("there are no splits; run `plan-and-preprocess` first")?;
        let listed: Vec<Split> =
            serde_json::from_str(&text).with_context(|| format!("`{}` cannot be used", splits_file.display()))?;
        // The store knows which cases there are; here only the splits themselves are checked.
        let cases: BTreeSet<CaseId> =
            listed.iter().flat_map(|split| split.train.iter().chain(&split.val).cloned()).collect();
        let splits = cross_validation::read(&splits_file, &cases)?;
        let split = cross_validation::of_fold(&splits, Fold(args.fold))?.clone();
        Ok(Self { folder, dataset, labels, plans, name, configuration, split })
    }

    fn sampler(&self, run: &RunRecord, topology: &UNet, purpose: Purpose, room: u64) -> anyhow::Result<Sampler> {
        let store = Store::new(self.folder.join(&self.configuration.data_identifier));
        let (cases, geometry) = match purpose {
            Purpose::Training => (&self.split.train, PatchGeometry::training(&self.configuration)),
            _ => (&self.split.val, PatchGeometry::validation(&self.configuration)),
        };
        let cases = Cases::open(&store, cases, room).context("the data set is not preprocessed for these plans")?;
        for index in 0..cases.len() {
            let (case, record) = (cases.get(index).case(), &cases.get(index).record);
            if record.n_channels != topology.n_channels {
                let (found, expected) = (record.n_channels, topology.n_channels);
                bail!("preprocessed case `{case}` has {found} channels, `dataset.json` names {expected}");
            }
        }
        let n_heads = deep_supervision_weights(topology.decoder.len()).len();
        let recipe = match purpose {
            Purpose::Training => Some(Recipe::new(&geometry, &self.configuration.use_mask_for_norm)),
            _ => None,
        };
        Ok(Sampler {
            recipe,
            target_shapes: targets::shapes(topology, geometry.patch, n_heads),
            cases,
            geometry,
            annotation: Annotation::of(&self.labels),
            batch_size: self.configuration.batch_size,
            seed: run.seed,
            fold: run.fold,
            purpose,
        })
    }
}

/// A bar on a terminal, and a line per epoch.
struct Reporter {
    bar: ProgressBar,
    structures: Vec<String>,
    n_epochs: u32,
    n_iterations: u32,
    rate: String,
    dice: String,
}

impl Reporter {
    fn new(training: &Training) -> Self {
        let (n_epochs, n_iterations) = (training.schedule.n_epochs(), training.n_iterations);
        Self {
            bar: progress::iterations(u64::from(n_epochs) * u64::from(n_iterations), 0),
            structures: training.structures.clone(),
            n_epochs,
            n_iterations,
            rate: String::new(),
            dice: "–".into(),
        }
    }
}

impl Observer for Reporter {
    fn iteration(&mut self, epoch: u32, iteration: u32, loss: f64) {
        let position = u64::from(epoch) * u64::from(self.n_iterations) + u64::from(iteration) + 1;
        if self.rate.is_empty() {
            // Epochs that were done before do not count toward the time left.
            self.bar.set_position(position - 1);
            self.bar.reset_eta();
            self.rate.push('·');
        }
        self.bar.set_position(position);
        let (n_epochs, dice) = (self.n_epochs, &self.dice);
        self.bar.set_message(format!("epoch {epoch}/{n_epochs}, loss {loss:.3}, pseudo-Dice {dice}"));
    }

    fn epoch(&mut self, record: &EpochRecord) {
        let written = |value: Option<f64>| value.map_or("–".to_owned(), |value| format!("{value:.4}"));
        self.dice = written(record.ema_pseudo_dice);
        let named = self.structures.iter().zip(&record.pseudo_dice);
        let dice = named.map(|(name, &value)| format!("{name} {}", written(value))).collect::<Vec<_>>().join(", ");
        let line = format!(
            "epoch {}/{} (cycle {}, rate {:.5}): loss {:.4}, validation {:.4}, pseudo-Dice {dice}, average {}, {}",
            record.epoch,
            self.n_epochs,
            record.cycle,
            record.learning_rate,
            record.training_loss,
            record.validation_loss,
            self.dice,
            HumanDuration(Duration::from_secs_f64(record.seconds)),
        );
        self.bar.suspend(|| output::line(line));
    }
}
