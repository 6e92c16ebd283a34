//! `unnunet-train train`: trains one fold of a configuration.

mod cascade;
mod reporter;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use bundle_format::Digest;
use nnunet::dataset::{CaseId, DatasetJson, LabelSet};
use nnunet::fold::{Fold, Split};
use nnunet::plans::{Configuration, ConfigurationName, Plans};
use nnunet::topology::UNet;

use crate::annotation::Annotation;
use crate::augment::Recipe;
use crate::cases::Cases;
use crate::checkpoint::CheckpointFolder;
use crate::cli::devices::WantedDevices;
use crate::cli::limit_args::LimitArgs;
use crate::cli::schedule_args::ScheduleArgs;
use crate::cli::{Outcome, devices, folders, openmp, output};
use crate::limits::{EarlyEnd, Ending};
use crate::loss::{DiceOver, Loss, deep_supervision_weights};
use crate::memory::Need;
use crate::patch_geometry::PatchGeometry;
use crate::previous_stage::PreviousStage;
use crate::random::Purpose;
use crate::raw_dataset::{read_dataset_json, read_text};
use crate::run_record::{Origin, RunRecord};
use crate::sample::Sampler;
use crate::store::Store;
use crate::training::{Start, Training};
use crate::{cross_validation, targets};
use imaging::atomic_file;
use reporter::Reporter;

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
    #[command(flatten)]
    limits: LimitArgs,
    /// Training iterations of an epoch.
    #[arg(long, default_value_t = 250, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    iterations: u32,
    /// Validation iterations of an epoch [default: a fifth of the training iterations, rounded up, at most 50].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    validation_iterations: Option<u32>,
    /// Seed of every random number.
    #[arg(long, default_value_t = 0, value_name = "N")]
    seed: u64,
    /// Where to train: `auto`, `cpu`, `cuda`, `cuda:N`, or a list such as `cuda:0,1` that shares every batch.
    ///
    /// `auto` is the first CUDA device that can be used, else the CPU. Each device of a list has a copy of the network and
    /// a part of the batch; the result is that of one device but for rounding, and a training may be continued on
    /// others. `cpu,cpu` does the same on the processors, for trial.
    #[arg(long, default_value = "auto", value_name = "DEVICES")]
    device: WantedDevices,
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
    /// Every split of the file that it stands in.
    all_splits: Vec<Split>,
    /// Digest of that file.
    splits: Digest,
}

/// Trains, or goes on training.
///
/// # Errors
///
/// If something is missing or does not fit, as the segmentations of a cascade's previous stage, a training lies already
/// where a new one should begin, or the one to go on with was begun with other settings.
pub fn run(args: &Args) -> anyhow::Result<Outcome> {
    openmp::wait_asleep();
    let inputs = Inputs::read(args)?;
    let devices = args.device.open()?;
    let n_processors = std::thread::available_parallelism().map_or(1, usize::from);
    let n_threads = args.threads.map_or(n_processors, usize::from);
    tch::set_num_threads(i32::try_from(n_threads).context("so many threads cannot be started")?);

    let cases = [&inputs.split.train, &inputs.split.val].map(|cases| inputs.cases(cases, u64::from(args.cache) << 20));
    let [training, validation] = cases;
    let (cases, previous) = cascade::with_previous_stage(&inputs, &args.results, [training?, validation?])?;
    let mut record = record(args, &inputs, previous, n_threads)?;
    record.origin.devices = devices.all().map(devices::name).collect();
    let (schedule, rule) = (record.schedule, record.checkpoints);
    let limits = args.limits.limits(&schedule)?;
    let configuration = &inputs.configuration;
    let n_channels = configuration.n_input_channels(inputs.dataset.channels()?.len(), &inputs.labels);
    let topology = UNet::new(configuration, n_channels, inputs.labels.n_outputs())?;
    let [training, validation] = cases;
    let sampler = inputs.sampler(&record, &topology, Purpose::Training, training);
    let validation = inputs.sampler(&record, &topology, Purpose::Validation, validation);
    let cases = sampler.cases.most_bytes() + validation.cases.most_bytes();
    let need = Need::estimate(&topology, &configuration.patch_size, configuration.batch_size, cases);
    args.limits.check_memory_of(&need, &devices, configuration.batch_size)?;

    let (dataset, plans) = (&inputs.plans.dataset_name, &inputs.plans.plans_name);
    let training_folder = folders::run(&args.results, dataset, plans, &inputs.name);
    let folder = training_folder.join(record.fold.to_string());
    let training = Training {
        structures: inputs.labels.structures.iter().map(|structure| structure.name.clone()).collect(),
        loss: Loss {
            annotation: Annotation::of(&inputs.labels),
            dice_over: DiceOver::of_plans(configuration.batch_dice),
        },
        kept_epochs: rule.epochs(&schedule)?,
        schedule,
        limits,
        n_iterations: record.iterations,
        n_validation: record.validation_iterations,
        seed: record.seed,
        fold: record.fold,
        devices,
        n_workers: args.workers.map_or((n_processors / 4).max(1), usize::from),
        sampler,
        validation,
        topology,
        folder,
    };
    training.check_shares()?;
    let start = begin(args, &training.folder, &record)?;
    write_settings(&training_folder, &inputs)?;
    let mut reporter = Reporter::new(&training);
    let result = training.run(start, &mut reporter);
    reporter.bar.finish_and_clear();
    report(result?);
    Ok(Outcome::Done)
}

/// Everything that decides the result.
fn record(
    args: &Args,
    inputs: &Inputs,
    previous_stage: Option<PreviousStage>,
    n_threads: usize,
) -> anyhow::Result<RunRecord> {
    let (schedule, checkpoints) = args.schedule.parse()?;
    let default_validation = args.iterations.div_ceil(ITERATIONS_PER_VALIDATION).min(MAX_VALIDATION);
    Ok(RunRecord {
        program: concat!("unnunet-train ", env!("CARGO_PKG_VERSION")).to_owned(),
        dataset: inputs.plans.dataset_name.clone(),
        configuration: inputs.name.clone(),
        plans: RunRecord::digest(&inputs.plans)?,
        fold: Fold(args.fold),
        split: inputs.split.clone(),
        schedule,
        checkpoints,
        iterations: args.iterations,
        validation_iterations: args.validation_iterations.unwrap_or(default_validation),
        seed: args.seed,
        threads: n_threads,
        previous_stage,
        origin: Origin::of_this_program(inputs.splits),
    })
}

/// Says why a training ended that did not run to the end of its schedule.
fn report(ending: Ending) {
    match ending {
        Ending::Schedule => {}
        Ending::TimeBudget { epoch } => {
            output::note(format_args!("the time budget is spent after epoch {epoch}; `--continue` goes on"));
        }
        Ending::Patience(EarlyEnd { epoch, best_epoch, patience }) => output::note(format_args!(
            "ended early with the cycle of epoch {epoch}: the average has not risen for {patience} epochs, the best \
             was epoch {best_epoch}; `--continue` without `--patience` goes on"
        )),
    }
}

/// Prepares the fold's folder and its `run.json`.
fn begin(args: &Args, folder: &Path, record: &RunRecord) -> anyhow::Result<Start> {
    let path = folder.join("run.json");
    let latest = CheckpointFolder::new(folder).latest_path();
    if args.resume {
        if !latest.is_file() && !path.is_file() {
            bail!("there is no training to continue: `{}` is missing", latest.display());
        }
        record.check_same(&path)?;
        if latest.is_file() {
            return Ok(Start::Resume);
        }
        output::note("the training was interrupted before its first epoch was saved; it begins afresh");
        return Ok(Start::Afresh);
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
        let all_splits = cross_validation::read(&splits_file, &cases)?;
        let split = cross_validation::of_fold(&all_splits, Fold(args.fold))?.clone();
        let splits = Digest::of(text.as_bytes());
        Ok(Self { folder, dataset, labels, plans, name, configuration, split, all_splits, splits })
    }

    /// The preprocessed cases of one side of the split.
    fn cases(&self, cases: &[CaseId], room: u64) -> anyhow::Result<Cases> {
        let store = Store::new(self.folder.join(&self.configuration.data_identifier));
        let cases = Cases::open(&store, cases, room).context("the data set is not preprocessed for these plans")?;
        let expected = self.dataset.channels()?.len();
        if let Some(other) = cases.iter().find(|stored| stored.record.n_channels != expected) {
            let (case, found) = (other.case(), other.record.n_channels);
            bail!("preprocessed case `{case}` has {found} channels, `dataset.json` names {expected}");
        }
        Ok(cases)
    }

    fn sampler(&self, run: &RunRecord, topology: &UNet, purpose: Purpose, cases: Cases) -> Sampler {
        let geometry = match purpose {
            Purpose::Training => PatchGeometry::training(&self.configuration),
            _ => PatchGeometry::validation(&self.configuration),
        };
        let n_heads = deep_supervision_weights(topology.decoder.len()).len();
        let recipe = match purpose {
            Purpose::Training => Some(Recipe::new(&geometry, &self.configuration.use_mask_for_norm)),
            _ => None,
        };
        Sampler {
            recipe,
            target_shapes: targets::shapes(topology, geometry.patch, n_heads),
            cases,
            geometry,
            annotation: Annotation::of(&self.labels),
            batch_size: self.configuration.batch_size,
            seed: run.seed,
            fold: run.fold,
            purpose,
        }
    }
}
