//! The options of `unnunet predict`.

use std::path::PathBuf;

use clap::ValueEnum;
use nnunet::fold::Fold;
use nnunet::uncertainty::UncertaintyMethod;

use crate::cli::engine_args::{Device, EngineArgs, PrecisionArg};
use crate::cli::source::SourceArgs;

/// Segment a folder of images and say how far to trust each result
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  unnunet predict -b hearts.unb --public-key vendor.pub -i images -o predictions
  unnunet predict -b hearts.unb --public-key vendor.pub -i images -o predictions --folds 0,1 --save-folds
  unnunet predict -b hearts.unb --public-key vendor.pub -i images -o predictions --json > cases.jsonl
  unnunet predict --store /var/lib/unnunet --public-key vendor.pub -i images -o predictions

INPUT holds one file per channel, `<case>_0000.nii.gz`, `<case>_0001.nii.gz`, … OUTPUT receives
  <case>.nii.gz              segmentation of the fold that is least uncertain, after the bundle's postprocessing
  <case>_uncertainty.nii.gz  its uncertainty map, in bits or p-values; pairwise-dice has none
  <case>.json                what ran: bundle, members, provider, times, scores of every fold; expected Dice, decision
  scores.csv                 a line per case and method: selected fold, its score, every fold's, that of their mean
  report.json                the whole run
  folds/                     with --save-folds: every fold's segmentation, and that of their mean

--json prints a line per case: `case`, `status` (`done` or `failed`); of a done case `selected_fold` (null if the mean
over the folds was taken), `score` (null if undefined), `disagreement`, `expectation`, `seconds`, `warnings`; of a failed
one `error`.

A calibrated bundle says what to expect of every case: `dice`, `interval`, and whether to `accept` or `review` it, as long
as scores are made as they were calibrated: by the same method and temperature, with mirroring and a step of 0.5. Else
`expectation` is null, and the reason is said.")]
pub(in crate::cli) struct Args {
    #[command(flatten)]
    pub(super) source: SourceArgs,
    /// Folder of images
    #[arg(short, long, value_name = "DIR")]
    pub(super) input: PathBuf,
    /// Folder for the results; it is made if it is not there
    #[arg(short, long, value_name = "DIR")]
    pub(super) output: PathBuf,
    /// Folds that predict; all of the bundle by default
    #[arg(long, value_name = "FOLD,…", value_delimiter = ',')]
    folds: Vec<u16>,
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
    pub(super) precision: PrecisionArg,
    #[command(flatten)]
    pub(super) engine: EngineArgs,
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
