//! `unnunet-train export`: the checkpoints of a training as one unsigned bundle.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use bundle_format::{BundleId, Channel, SemanticVersion, Text, Timestamp};
use indicatif::{ProgressBar, ProgressStyle};
use nnunet::fold::Fold;
use nnunet::plans::ConfigurationName;

use crate::cli::{Outcome, folders, output};
use crate::export::{Identity, Measurement, Progress, Request, Summary, export};
use crate::weights::WeightFormat;

/// Makes reproducible builds: seconds since 1970 to be written instead of now, and nothing that is measured.
const SOURCE_DATE_EPOCH: &str = "SOURCE_DATE_EPOCH";
/// Terms where none are given.
const NO_LICENSE: &str = "No terms of use were given when this bundle was made; ask its maker before you use it.\n";

/// Writes all checkpoints of a training as ONNX into one unsigned bundle, with a probe case.
#[derive(Debug, clap::Args)]
#[command(disable_version_flag = true)]
pub struct Args {
    /// Data set, by number or folder name.
    dataset: String,
    /// Configuration, such as `2d` or `3d_fullres`.
    configuration: String,
    /// Folder of the preprocessed data sets, from which the probe case is taken; an imported run can do without.
    #[arg(long, env = "nnUNet_preprocessed", value_name = "DIR")]
    preprocessed: Option<PathBuf>,
    /// Folder of the trainings.
    #[arg(long, env = "nnUNet_results", value_name = "DIR")]
    results: PathBuf,
    /// Name of the plans.
    #[arg(long, default_value = "nnUNetPlans", value_name = "NAME")]
    plans: String,
    /// The bundle to write.
    #[arg(long, short, value_name = "FILE")]
    output: PathBuf,
    /// Which model this is: `vendor/model` or `vendor/family/model`.
    #[arg(long)]
    id: BundleId,
    /// Version of the model, such as `1.0.0`.
    #[arg(long = "version", value_name = "VERSION")]
    model_version: SemanticVersion,
    /// Version that devices compare with the oldest they accept.
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    security_version: u32,
    /// One line about the model; data set and configuration if not given.
    #[arg(long)]
    title: Option<Text>,
    /// Who the bundle is meant for.
    #[arg(long, value_enum, default_value = "research")]
    channel: ChannelName,
    /// Terms of use, as a text file.
    #[arg(long, value_name = "FILE")]
    license_file: Option<PathBuf>,
    /// Folds to export; all that were trained if not given.
    #[arg(long, value_delimiter = ',', value_name = "FOLD,…")]
    folds: Vec<u16>,
    /// How kernels are stored: `f16` makes bundles of half the size; all providers compute as with `f32`.
    #[arg(long, value_enum, default_value = "f32")]
    weights: WeightsName,
    /// Most members of each fold, spread evenly over its checkpoints.
    #[arg(long, value_name = "N")]
    members: Option<NonZeroUsize>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum WeightsName {
    /// Single precision, as trained.
    F32,
    /// Half precision, for kernels.
    F16,
}

impl From<WeightsName> for WeightFormat {
    fn from(name: WeightsName) -> Self {
        match name {
            WeightsName::F32 => Self::F32,
            WeightsName::F16 => Self::F16,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum ChannelName {
    /// Patients.
    Clinical,
    /// The makers themselves.
    Dev,
    /// Studies.
    Research,
}

impl From<ChannelName> for Channel {
    fn from(name: ChannelName) -> Self {
        match name {
            ChannelName::Clinical => Self::Clinical,
            ChannelName::Dev => Self::Dev,
            ChannelName::Research => Self::Research,
        }
    }
}

/// Exports and prints where the bundle lies and what identifies it.
///
/// # Errors
///
/// If the training is not complete, or the bundle cannot be written; there is no bundle then.
pub fn run(args: &Args) -> anyhow::Result<Outcome> {
    let request = request(args)?;
    let bar = ProgressBar::no_length().with_style(style());
    let summary = export(&request, &mut |progress| show(&bar, progress))?;
    bar.finish_and_clear();
    print(&request, &summary)?;
    Ok(Outcome::Done)
}

fn print(request: &Request, summary: &Summary) -> anyhow::Result<()> {
    let n_bytes = fs_err::metadata(&request.output)?.len();
    output::line(format_args!("bundle\t{}", request.output.display()));
    output::line(format_args!("id\t{} {}", request.identity.id, request.identity.version));
    output::line(format_args!("created\t{}", request.identity.created));
    output::line(format_args!("manifest_sha256\t{}", summary.manifest_sha256));
    output::line(format_args!("members\t{}", summary.members.len()));
    output::line(format_args!("bytes\t{n_bytes}"));
    match &summary.uncalibrated {
        None => output::line("calibrated\tyes"),
        Some(reason) => output::note(format_args!("the bundle gives scores, but no expected Dice: {reason}")),
    }
    output::note("the bundle is unsigned; `unnunet bundle sign` runs its self-test and signs it");
    Ok(())
}

fn style() -> ProgressStyle {
    ProgressStyle::with_template("{msg} {bar:30} {pos}/{len} members, {eta} left")
        .unwrap_or_else(|_| ProgressStyle::default_bar())
}

fn show(bar: &ProgressBar, progress: Progress<'_>) {
    match progress {
        Progress::Start { n_members, probe } => {
            bar.suspend(|| output::note(format_args!("the probe case is {probe}")));
            bar.set_length(n_members as u64);
            bar.set_message("exporting");
        }
        Progress::Member { .. } => bar.inc(1),
        Progress::Packing => bar.set_message("packing"),
    }
}

fn request(args: &Args) -> anyhow::Result<Request> {
    let configuration = ConfigurationName(args.configuration.clone());
    let results_folder = folders::dataset(&args.results, &args.dataset)?;
    let name = results_folder.file_name().unwrap_or_default().to_string_lossy();
    let dataset_folder = args.preprocessed.as_ref().map(|root| root.join(&*name));
    let run_folder = folders::run(&args.results, &name, &args.plans, &configuration);
    let title = match &args.title {
        Some(title) => title.clone(),
        None => Text::new(format!("{name} {configuration}"))?,
    };
    let reproducible = std::env::var_os(SOURCE_DATE_EPOCH).is_some();
    Ok(Request {
        dataset_folder,
        run_folder,
        configuration,
        folds: args.folds.iter().copied().map(Fold).collect(),
        max_members: args.members,
        weights: args.weights.into(),
        measurement: if reproducible { Measurement::Leave } else { Measurement::Take },
        identity: Identity {
            id: args.id.clone(),
            version: args.model_version.clone(),
            security_version: args.security_version,
            title,
            channel: args.channel.into(),
            created: created()?,
            source_revision: Text::new(option_env!("UNNUNET_REVISION").unwrap_or("unknown"))?,
            license: license(args)?,
        },
        output: args.output.clone(),
    })
}

fn license(args: &Args) -> anyhow::Result<String> {
    if let Some(path) = &args.license_file {
        return Ok(fs_err::read_to_string(path)?);
    }
    output::note("no `--license-file`: the bundle says that no terms of use were given");
    Ok(NO_LICENSE.into())
}

/// `SOURCE_DATE_EPOCH` if it is set, else the clock.
fn created() -> anyhow::Result<Timestamp> {
    let seconds = if let Some(text) = std::env::var_os(SOURCE_DATE_EPOCH) {
        let parsed = text.to_str().and_then(|text| text.parse().ok());
        parsed.with_context(|| format!("{SOURCE_DATE_EPOCH} is `{}`, expected seconds", text.display()))?
    } else {
        output::note(format_args!("{SOURCE_DATE_EPOCH} is not set: the bundle is dated now and not reproducible"));
        SystemTime::now().duration_since(UNIX_EPOCH).context("the clock stands before 1970")?.as_secs()
    };
    Ok(Timestamp::from_unix(seconds)?)
}
