//! The options of `unnunet predict`.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::ValueEnum;
use nnunet::fold::Fold;
use nnunet::uncertainty::UncertaintyMethod;

use crate::cli::engine_args::{Device, EngineArgs};
use crate::cli::source::SourceArgs;
use crate::engine::Precision;
use crate::member_choice::MemberChoice;
use crate::memory::limit::MemoryLimit;
use crate::predict::rules::{Average, Rules, Segmentation, Select};

/// Segment a folder of images and say how far to trust each result
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  unnunet predict -b hearts.unb --public-key vendor.pub -i images -o predictions
  unnunet predict -b hearts.unb --public-key vendor.pub -i images -o predictions --folds 0,1 --save-folds
  unnunet predict -b hearts.unb --public-key vendor.pub -i images -o predictions --json > cases.jsonl
  unnunet predict -b hearts.unb --public-key vendor.pub -i images -o predictions --memory 8GiB --jobs 4 --resume
  unnunet predict -b hearts.unb --public-key vendor.pub -i images -o predictions --members 3 --select mean
  unnunet predict -b lowres.unb --public-key vendor.pub -i images -o lowres
  unnunet predict -b cascade.unb --public-key vendor.pub -i images -o predictions --previous-stage lowres
  unnunet predict --store /var/lib/unnunet --public-key vendor.pub -i images -o predictions

INPUT holds one file per channel, `<case>_0000.nii.gz`, `<case>_0001.nii.gz`, … OUTPUT receives
  <case>.nii.gz              segmentation of the fold that is least uncertain, after the bundle's postprocessing
  <case>_uncertainty.nii.gz  its uncertainty map, in bits or p-values; pairwise-dice has none
  <case>.json                what ran: bundle, members, provider, times, scores of every fold; expected Dice, decision
  scores.csv                 a line per case and method: selected fold, its score, every fold's, that of their mean
  report.json                the whole run
  folds/                     with --save-folds: every fold's segmentation, and that of their mean

--json prints a line per case: `case`, `status` (`done` or `failed`); of a done case `selected_fold` (null if the mean \
over the folds was taken), `score` (null if undefined), `disagreement`, `expectation`, `seconds`, `warnings`; of a failed \
one `error`. Lines come in the order of the cases' names; with --resume, first those that were finished before.

--resume takes a case as finished if its <case>.json is of the same images, bundle, options and programs, and every other \
file is there as it was written. It also removes what a run that was killed left unfinished; no other run may write to \
OUTPUT meanwhile. Reports cover all cases.

--memory is kept, or the run is refused before the first case with exit status 14 and what it would need. Fewer jobs run \
at a time, and fewer networks stay loaded, where that keeps it. Also without it, many networks are loaded one at a time, each \
for a chunk of cases whose results appear together, where that takes less memory and loses no more than 2 % of the time. \
Results are the same whatever --memory and --jobs.

--select mean --average logits is nnU-Net's ensemble of folds, with --members 1 of final checkpoints.

A calibrated bundle says what to expect of every case: `dice`, `interval`, and whether to `accept` or `review` it, as long \
as scores are made as they were calibrated: by the same method, temperature and members, with mirroring and a step of 0.5, \
and segmentations by the defaults. Else `expectation` is null, and the reason is said.")]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
pub(in crate::cli) struct Args {
    #[command(flatten)]
    pub(super) source: SourceArgs,
    /// Folder of images
    #[arg(short, long, value_name = "DIR")]
    pub(super) input: PathBuf,
    /// Folder for the results; it is made if it is not there
    #[arg(short, long, value_name = "DIR")]
    pub(super) output: PathBuf,
    /// Folder of the previous stage's segmentations of the same cases, `<case>.nii.gz`; for a cascade's later stage only
    #[arg(long, value_name = "DIR")]
    pub(super) previous_stage: Option<PathBuf>,
    /// Folds that predict; all of the bundle by default
    #[arg(long, value_name = "FOLD,…", value_delimiter = ',')]
    folds: Vec<u16>,
    /// Members of each fold that predict: `all`, at most so many, spread evenly over the epochs, or `checkpoint_<epoch>,…`
    #[arg(long, value_name = "N|NAME,…", default_value = "all")]
    pub(super) members: MemberChoice,
    /// Whose vote a fold's segmentation is
    #[arg(long, value_enum, default_value_t)]
    segmentation: Segmentation,
    /// Which segmentation is the result
    #[arg(long, value_enum, default_value_t)]
    select: Select,
    /// What is averaged for a segmentation; uncertainty is always that of probabilities
    #[arg(long, value_enum, default_value_t)]
    average: Average,
    /// How uncertainty is measured, the first selects the fold: class-entropy, total-entropy, mutual-information, t-test,
    /// pairwise-dice
    #[arg(long, value_name = "METHOD,…", value_delimiter = ',', default_value = "class-entropy")]
    uncertainty: Vec<UncertaintyMethod>,
    /// Whether predictions are averaged over mirrored patches, along the axes that training mirrored
    #[arg(long, value_enum, default_value = "on")]
    mirroring: Switch,
    /// How far the patch moves, as a fraction of it: above 0, at most 1
    #[arg(long, value_name = "FRACTION", default_value_t = 0.5, value_parser = step)]
    pub(super) step: f64,
    /// Softmax temperature; the bundle's by default
    #[arg(long, value_name = "T", value_parser = temperature)]
    pub(super) temperature: Option<f32>,
    /// Where networks run; `auto` measures a patch on every provider and takes the fastest
    #[arg(long, value_enum, default_value = "auto")]
    pub(super) device: Device,
    /// What networks compute with
    #[arg(long, value_enum, default_value = "f32")]
    precision: PrecisionArg,
    #[command(flatten)]
    pub(super) engine: EngineArgs,
    /// Cases that are read at a time, and cases that are scored and written at a time, while the networks run
    #[arg(long, value_name = "N", default_value = "2")]
    pub(super) jobs: NonZeroUsize,
    /// Most memory of the run, such as 8GiB; no limit by default
    #[arg(long, value_name = "SIZE")]
    pub(super) memory: Option<MemoryLimit>,
    /// Skip cases that an earlier run into the same folder has finished
    #[arg(long)]
    pub(super) resume: bool,
    /// Also write every fold's segmentation, and that of the mean over the folds
    #[arg(long)]
    pub(super) save_folds: bool,
    /// Also write `<case>.npz` with the result's probabilities, as nnU-Net does
    #[arg(long)]
    pub(super) save_probabilities: bool,
    /// Print a JSON object per case
    #[arg(long)]
    pub(super) json: bool,
}

/// What networks compute with, as asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum PrecisionArg {
    /// What is fastest here; below 32 bits only if the bundle's calibration was checked there and the self-test passes
    Auto,
    /// 32-bit floats, as in training
    F32,
    /// 16-bit brain floats (OpenVINO only): several times faster on some processors, slightly different labels
    Bf16,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Switch {
    On,
    Off,
}

impl Args {
    /// The folds asked for; empty for all.
    pub(super) fn folds(&self) -> Vec<Fold> {
        self.folds.iter().copied().map(Fold).collect()
    }

    /// The methods asked for, each once.
    pub(super) fn methods(&self) -> Vec<UncertaintyMethod> {
        let mut methods = Vec::new();
        for &method in &self.uncertainty {
            if !methods.contains(&method) {
                methods.push(method);
            }
        }
        methods
    }

    /// How predictions become a segmentation.
    pub(super) fn rules(&self) -> Rules {
        Rules { segmentation: self.segmentation, select: self.select, average: self.average }
    }

    /// The precision asked for; `None` for the fastest that is permitted.
    pub(super) fn precision(&self) -> Option<Precision> {
        match self.precision {
            PrecisionArg::Auto => None,
            PrecisionArg::F32 => Some(Precision::F32),
            PrecisionArg::Bf16 => Some(Precision::Bf16),
        }
    }

    /// Whether patches are mirrored.
    pub(super) fn mirrors(&self) -> bool {
        self.mirroring == Switch::On
    }
}

fn step(text: &str) -> Result<f64, String> {
    let step = text.parse().ok().filter(|&step: &f64| step > 0.0 && step <= 1.0);
    step.ok_or_else(|| "expected a number above 0 and at most 1".to_owned())
}

fn temperature(text: &str) -> Result<f32, String> {
    let temperature = text.parse().ok().filter(|temperature| (0.01..=100.0).contains(temperature));
    temperature.ok_or_else(|| "expected a number from 0.01 to 100".to_owned())
}
