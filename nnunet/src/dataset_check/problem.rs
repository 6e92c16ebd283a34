//! One thing that is wrong with a raw data set.

use serde::Serialize;

use crate::dataset::{CaseId, LabelRule};
use crate::listed_cases::ListedError;

/// How bad a [`Problem`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The data set can be used; whether it should is the user's to say.
    Warning,
    /// Training would fail, or go on with less or other data than is meant.
    Error,
}

/// A finding. Files are named relative to the data set's folder, by their absolute path where `dataset.json` gives
/// one; shapes and spacings are in array order `[z, y, x]`, or `[y, x]` for 2D files.
#[derive(Debug, Clone, PartialEq, Serialize, thiserror::Error)]
#[serde(tag = "kind", rename_all = "kebab-case")]
#[non_exhaustive]
#[expect(missing_docs, reason = "the message of each variant says what its facts are")]
pub enum Problem {
    #[error("`{file}`: not found; expected a file")]
    MissingFile { file: String },
    #[error("`{folder}`: not found; expected a folder")]
    MissingFolder { folder: String },
    #[error("`dataset.json`: found no JSON object; {reason}")]
    Json { reason: String },
    #[error(
        "`dataset.json`: found no `{key}`, which is required{}",
        instead.map_or(String::new(), |instead| format!("; `{instead}` is its older name"))
    )]
    MissingKey { key: &'static str, instead: Option<&'static str> },
    #[error("`dataset.json`: `{field}` is {found}, expected {expected}")]
    Value { field: String, found: String, expected: &'static str },
    #[error("`dataset.json`: label `{label}` is {found}; {rule}")]
    Label { label: String, found: String, rule: LabelRule },
    #[error("`dataset.json`: `numTraining` is {expected}, found {found} cases")]
    CaseCount { found: usize, expected: u64 },
    #[error("`dataset.json`: `dataset` cannot be used: {reason}")]
    Listed { reason: ListedError },
    #[error("`dataset.json`: `dataset` lists {found} images of case `{case}`, expected {expected}, one per channel")]
    ChannelCount { case: CaseId, found: usize, expected: usize },
    #[error("case `{case}`: found {found} channels in its files, expected {expected}, as many as `channel_names`")]
    ChannelsInFiles { case: CaseId, found: usize, expected: usize },
    #[error("`splits_final.json`: found splits that do not fit; {reason}")]
    Splits { reason: String },
    #[error("`{folder}`: found no training case; expected files that end in `{ending}`")]
    NoCases { folder: String, ending: String },
    #[error("`{file}`: found no channel number in the name, expected `<case>_<four digits>{ending}`")]
    ChannelNumber { file: String, ending: String },
    #[error("`{file}`: found a name that cannot be a case's, expected at most 200 bytes without a leading dot")]
    CaseName { file: String },
    #[error("`{file}`: found channel {channel:04}, expected none beyond the {expected} that `channel_names` names")]
    ExtraChannel { file: String, channel: usize, expected: usize },
    #[error("`{file}`: channel {channel:04} of case `{case}` not found; `channel_names` names {expected}")]
    MissingChannel { file: String, case: CaseId, channel: usize, expected: usize },
    #[error("`{file}`: labels of case `{case}` not found; expected a file")]
    MissingLabels { file: String, case: CaseId },
    #[error("`{file}`: found labels without an image, expected channels of case `{case}` in `imagesTr`")]
    LabelsWithoutImage { file: String, case: CaseId },
    #[error("`{file}`: found what is passed over, expected only files that end in `{ending}`")]
    Stray { file: String, ending: String },
    #[error("`{file}`: found 0 bytes, expected an image")]
    EmptyFile { file: String },
    #[error("`{file}`: found a link out of the data set to `{target}`, expected a file inside")]
    LinkOut { file: String, target: String },
    #[error("`{file}`: found a link to nowhere, expected a file")]
    BrokenLink { file: String },
    #[error("`{file}`: found what cannot be read: {reason}")]
    Unreadable { file: String, reason: String },
    #[error("`{file}`: shape is {found:?}, expected {expected:?} as in `{of}`")]
    Shape { file: String, found: Vec<usize>, expected: Vec<usize>, of: String },
    #[error("`{file}`: spacing is {found:?} mm, expected {expected:?} mm as in `{of}`{}", tolerated(*severity))]
    Spacing { file: String, found: Vec<f64>, expected: Vec<f64>, of: String, severity: Severity },
    #[error(
        "`{file}`: affine puts a corner {found_mm:.4} mm away from that of `{of}`, expected at most {expected_mm:.4} mm"
    )]
    Affine { file: String, found_mm: f64, expected_mm: f64, of: String, severity: Severity },
    #[error(
        "`{file}`: voxels: found {n_nan} NaN and {n_infinite} infinite, the first at [z, y, x] {first:?}; expected all finite"
    )]
    NotFinite { file: String, n_nan: u64, n_infinite: u64, first: [usize; 3] },
    #[error("`{file}`: labels: found {} in {n_voxels} voxels, expected one of {expected:?}", shortened(found))]
    UnknownLabels { file: String, found: Vec<f64>, n_voxels: u64, expected: Vec<u8> },
    #[error("`{file}`: labels: found only background, expected some foreground")]
    OnlyBackground { file: String },
    #[error("`{file}`: voxels: found the same as in `{of}`, expected another image")]
    DuplicateImage { file: String, of: String },
    #[error("`{file}`: case `{case}`: found the same images as of case `{of}`, expected each case once")]
    DuplicateCase { file: String, case: CaseId, of: CaseId },
}

impl Problem {
    /// Whether the data set can be used all the same.
    pub fn severity(&self) -> Severity {
        match self {
            Self::Stray { .. } | Self::LinkOut { .. } | Self::OnlyBackground { .. } | Self::DuplicateImage { .. } => {
                Severity::Warning
            }
            Self::Spacing { severity, .. } | Self::Affine { severity, .. } => *severity,
            _ => Severity::Error,
        }
    }
}

fn tolerated(severity: Severity) -> &'static str {
    match severity {
        Severity::Warning => ", a difference that is tolerated",
        Severity::Error => "",
    }
}

/// The first values; files with real-valued labels have thousands.
fn shortened(values: &[f64]) -> String {
    const SHOWN: usize = 8;
    let shown: Vec<_> = values.iter().take(SHOWN).map(f64::to_string).collect();
    let more = if values.len() > SHOWN { ", …" } else { "" };
    format!("{}{more}", shown.join(", "))
}
