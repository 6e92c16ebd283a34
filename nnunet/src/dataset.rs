//! nnU-Net's raw data set: `dataset.json`, its labels, and how channel files form cases.
//!
//! Follows nnU-Net v2's `dataset_format.md`. Departs from it by refusing duplicate or unsafe case names instead of
//! letting the last file win.

use std::collections::BTreeMap;
use std::fmt;

use imaging::file::{ChannelsPerFile, Format};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

/// Name of a case: a file name without channel number and ending.
///
/// Never empty, at most 200 bytes, without path separators, control characters or a leading dot, so that it can be
/// joined to a folder safely.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct CaseId(String);

impl CaseId {
    /// Checks a name.
    ///
    /// # Errors
    ///
    /// [`DatasetError::CaseName`] if the name could not be a plain file name.
    pub fn new(name: impl Into<String>) -> Result<Self, DatasetError> {
        let name = name.into();
        let unsafe_char = |c: char| c == '/' || c == '\\' || c.is_control();
        if name.is_empty() || name.len() > 200 || name.starts_with('.') || name.contains(unsafe_char) {
            return Err(DatasetError::CaseName { found: name });
        }
        Ok(Self(name))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for CaseId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for CaseId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

/// What one name of `labels` in `dataset.json` stands for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum LabelValue {
    /// One class value.
    Label(u8),
    /// A region: the union of several class values.
    Region(Vec<u8>),
}

/// `dataset.json` of a raw data set. Unknown fields are kept and written back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DatasetJson {
    /// Channel number (as text) to channel name; the name chooses the normalization. Early data sets say `modality`.
    #[serde(alias = "modality")]
    pub channel_names: Map<String, Value>,
    /// Structure name to label value or region, in the order of the file.
    pub labels: Map<String, Value>,
    /// Ending of image and label files, such as `.nii.gz`.
    pub file_ending: String,
    /// Order in which regions are written into the segmentation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub regions_class_order: Option<Vec<u8>>,
    /// Everything else in the file.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

impl DatasetJson {
    /// Parses `dataset.json` and checks channels and labels.
    ///
    /// # Errors
    ///
    /// [`DatasetError::Json`] if the text has not this shape, [`DatasetError::Labels`] or [`DatasetError::Channels`]
    /// if its values contradict nnU-Net's rules.
    pub fn parse(text: &str) -> Result<Self, DatasetError> {
        let dataset: Self = serde_json::from_str(text).map_err(|source| DatasetError::Json { source })?;
        dataset.channels()?;
        dataset.structures()?;
        Ok(dataset)
    }

    /// Names of the channels in order of their numbers.
    ///
    /// # Errors
    ///
    /// [`DatasetError::Channels`] if the numbers are not 0, 1, … without gap.
    pub fn channels(&self) -> Result<Vec<String>, DatasetError> {
        let refuse = |found: &str| DatasetError::Channels { found: found.to_owned() };
        let mut by_number = BTreeMap::new();
        for (number, name) in &self.channel_names {
            let name = name.as_str().ok_or_else(|| refuse(number))?;
            by_number.insert(number.parse::<usize>().map_err(|_| refuse(number))?, name.to_owned());
        }
        if by_number.is_empty() || by_number.keys().enumerate().any(|(i, &number)| i != number) {
            return Err(refuse(&format!("{:?}", by_number.keys().collect::<Vec<_>>())));
        }
        Ok(by_number.into_values().collect())
    }

    /// What the network tells apart: classes or regions.
    ///
    /// # Errors
    ///
    /// [`DatasetError::Labels`] naming the label at fault.
    pub fn structures(&self) -> Result<LabelSet, DatasetError> {
        LabelSet::of(self)
    }
}

/// One foreground structure: its name and the label values it consists of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Structure {
    /// Name in `dataset.json`.
    pub name: String,
    /// Label values; one for a class, several for a region.
    pub values: Vec<u8>,
}

/// The labels of a data set, checked: background is 0, classes are 0, 1, … without gap.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LabelSet {
    /// Foreground structures in network order (by value for classes, by file order for regions).
    pub structures: Vec<Structure>,
    /// Value of voxels without annotation, if the data set has one.
    pub ignore: Option<u8>,
    /// For regions, the label written by each, in order; `None` for classes.
    pub regions_class_order: Option<Vec<u8>>,
}

impl LabelSet {
    fn of(dataset: &DatasetJson) -> Result<Self, DatasetError> {
        let refuse = |label: &str, rule| DatasetError::Labels { label: label.to_owned(), rule };
        let mut structures = Vec::new();
        let mut ignore = None;
        let mut background = false;
        for (name, value) in &dataset.labels {
            let value = parse_label(value).ok_or_else(|| refuse(name, LabelRule::Value))?;
            match (name.as_str(), value) {
                ("background", LabelValue::Label(0)) => background = true,
                ("ignore", LabelValue::Label(value)) => ignore = Some(value),
                ("ignore", LabelValue::Region(_)) => return Err(refuse(name, LabelRule::Ignore)),
                ("background", _) | (_, LabelValue::Label(0)) => return Err(refuse(name, LabelRule::Background)),
                (_, LabelValue::Label(value)) => structures.push(Structure { name: name.clone(), values: vec![value] }),
                (_, LabelValue::Region(values)) if values.is_empty() => return Err(refuse(name, LabelRule::Value)),
                (_, LabelValue::Region(values)) => structures.push(Structure { name: name.clone(), values }),
            }
        }
        if !background {
            return Err(refuse("background", LabelRule::Background));
        }
        let has_regions = structures.iter().any(|s| s.values.len() > 1);
        let set = Self {
            structures,
            ignore,
            regions_class_order: has_regions.then(|| dataset.regions_class_order.clone()).flatten(),
        };
        set.checked(has_regions)
    }

    fn checked(mut self, has_regions: bool) -> Result<Self, DatasetError> {
        let refuse = |label: &str, rule| Err(DatasetError::Labels { label: label.to_owned(), rule });
        let mut values: Vec<u8> =
            self.structures.iter().flat_map(|s| s.values.iter().copied()).filter(|&v| v != 0).collect();
        values.sort_unstable();
        values.dedup();
        if values.is_empty() {
            return refuse("labels", LabelRule::NoForeground);
        }
        if let Some(i) = values.iter().enumerate().position(|(i, &v)| i + 1 != usize::from(v)) {
            return refuse(&values[i].to_string(), LabelRule::Gap);
        }
        if self.ignore.is_some_and(|ignore| usize::from(ignore) != values.len() + 1) {
            return refuse("ignore", LabelRule::Ignore);
        }
        if has_regions {
            let n_order = self.regions_class_order.as_ref().map_or(0, Vec::len);
            if n_order != self.structures.len() {
                return refuse("regions_class_order", LabelRule::RegionOrder);
            }
        } else {
            self.structures.sort_by_key(|s| s.values[0]);
            if let Some(pair) = self.structures.windows(2).find(|pair| pair[0].values == pair[1].values) {
                return refuse(&pair[1].name, LabelRule::Duplicate);
            }
        }
        Ok(self)
    }

    /// Whether outputs are regions (a sigmoid each) and not exclusive classes (one softmax).
    pub fn has_regions(&self) -> bool {
        self.regions_class_order.is_some()
    }

    /// Labels of foreground, ascending: all that a structure lists, but not that of voxels without annotation.
    pub fn foreground(&self) -> Vec<u8> {
        let mut labels: Vec<u8> = self.structures.iter().flat_map(|structure| &structure.values).copied().collect();
        labels.retain(|&label| label != 0);
        labels.sort_unstable();
        labels.dedup();
        labels
    }

    /// Output channels of the network: one per region, or background plus one per class.
    pub fn n_outputs(&self) -> usize {
        self.structures.len() + usize::from(!self.has_regions())
    }
}

pub(crate) fn parse_label(value: &Value) -> Option<LabelValue> {
    let label = |value: &Value| value.as_u64().and_then(|v| u8::try_from(v).ok());
    match value {
        Value::Array(values) => {
            let values = values.iter().map(label).collect::<Option<Vec<_>>>()?;
            Some(if let [one] = values[..] { LabelValue::Label(one) } else { LabelValue::Region(values) })
        }
        one => label(one).map(LabelValue::Label),
    }
}

/// Groups channel files into cases.
///
/// `file_names` are plain names such as `heart_001_0000.nii.gz`; files with another ending are passed over. Returns
/// each case with its file names in order of channel number, sorted by case.
///
/// # Errors
///
/// [`DatasetError::ChannelNumber`] for a name without `_NNNN` before the ending, [`DatasetError::MissingChannel`] if a
/// case has not every channel from 0 to `n_channels - 1`, [`DatasetError::ExtraChannel`] if it has more. Where a file
/// may hold several channels, the files must be numbered without gap, and their channels are counted when they are read.
pub fn group_cases(
    file_names: &[String],
    ending: &str,
    n_channels: usize,
) -> Result<BTreeMap<CaseId, Vec<String>>, DatasetError> {
    let mut cases: BTreeMap<CaseId, BTreeMap<usize, String>> = BTreeMap::new();
    for file in file_names {
        let Some(stem) = file.strip_suffix(ending) else { continue };
        let (case, channel) = split_channel(stem).ok_or_else(|| DatasetError::ChannelNumber { file: file.clone() })?;
        cases.entry(CaseId::new(case)?).or_default().insert(channel, file.clone());
    }
    for (case, channels) in &cases {
        let n_files = n_files(ending, channels, n_channels);
        if let Some(channel) = (0..n_files).find(|channel| !channels.contains_key(channel)) {
            return Err(DatasetError::MissingChannel { case: case.clone(), channel, expected: n_channels });
        }
        if channels.len() > n_channels {
            return Err(DatasetError::ExtraChannel {
                case: case.clone(),
                actual: channels.len(),
                expected: n_channels,
            });
        }
    }
    Ok(cases.into_iter().map(|(case, channels)| (case, channels.into_values().collect())).collect())
}

/// Whether a file with this ending may hold several channels: a picture in color.
pub(crate) fn may_hold_several_channels(ending: &str) -> bool {
    Format::of(ending).is_some_and(|format| format.channels_per_file() == ChannelsPerFile::OneOrColor)
}

/// How many files a case must have of which these channel numbers are there: one per channel, but where a file may
/// hold several channels, as many as are numbered; their channels are counted when they are read.
pub(crate) fn n_files<T>(ending: &str, numbered: &BTreeMap<usize, T>, n_channels: usize) -> usize {
    let last = numbered.last_key_value().map_or(0, |(&last, _)| last);
    if may_hold_several_channels(ending) { n_channels.min(last + 1) } else { n_channels }
}

pub(crate) fn split_channel(stem: &str) -> Option<(&str, usize)> {
    let (case, digits) = stem.rsplit_once('_')?;
    let is_number = digits.len() == 4 && digits.bytes().all(|b| b.is_ascii_digit());
    is_number.then(|| digits.parse().ok().map(|channel| (case, channel))).flatten()
}

/// Which of nnU-Net's rules for `labels` is broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, thiserror::Error)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum LabelRule {
    /// Background is missing or not 0, or another label is 0.
    #[error("`background`, and nothing else, must be 0")]
    Background,
    /// Two names share one value.
    #[error("every label needs a value of its own")]
    Duplicate,
    /// Values are not consecutive.
    #[error("label values must be 0, 1, 2, … without gap")]
    Gap,
    /// The ignore label is a region or not the highest value.
    #[error("`ignore` must be one value, the highest")]
    Ignore,
    /// There is nothing to segment.
    #[error("at least one foreground label is needed")]
    NoForeground,
    /// Regions need an order of their own.
    #[error("`regions_class_order` must name one label per region")]
    RegionOrder,
    /// Not a whole number from 0 to 255, or a list of them.
    #[error("a label is a whole number from 0 to 255 or a list of them")]
    Value,
}

/// What can be wrong with a raw data set's description.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DatasetError {
    /// A case name would not be a plain file name.
    #[error("`{found}` cannot be a case name")]
    CaseName {
        /// The name as found.
        found: String,
    },
    /// A file has no channel number.
    #[error("`{file}` has no channel number; expected `<case>_<four digits><ending>`, such as `case_0000.nii.gz`")]
    ChannelNumber {
        /// The file name.
        file: String,
    },
    /// `channel_names` is not numbered 0, 1, ….
    #[error("`channel_names` must be numbered \"0\", \"1\", … with a name each, found {found}")]
    Channels {
        /// The numbers or the entry at fault.
        found: String,
    },
    /// A case has more channels than the data set.
    #[error("case `{case}` has {actual} channels, `dataset.json` names {expected}")]
    ExtraChannel {
        /// The case.
        case: CaseId,
        /// Channels found.
        actual: usize,
        /// Channels named by `dataset.json`.
        expected: usize,
    },
    /// The text is not JSON of the right shape.
    #[error("`dataset.json` is malformed")]
    Json {
        /// Where and why.
        source: serde_json::Error,
    },
    /// The labels break a rule.
    #[error("label `{label}`: {rule}")]
    Labels {
        /// The label at fault.
        label: String,
        /// The rule it breaks.
        rule: LabelRule,
    },
    /// A case lacks a channel.
    #[error("case `{case}` lacks channel {channel:04} of {expected}")]
    MissingChannel {
        /// The case.
        case: CaseId,
        /// The first missing channel.
        channel: usize,
        /// Channels named by `dataset.json`.
        expected: usize,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(labels: &str, expected: Result<usize, LabelRule>) {
        let text = format!(
            r#"{{"channel_names":{{"0":"MRI"}},"labels":{labels},"regions_class_order":[1,2],"file_ending":".nii.gz"}}"#
        );
        match (DatasetJson::parse(&text), expected) {
            (Ok(dataset), Ok(n_outputs)) => assert_eq!(dataset.structures().unwrap().n_outputs(), n_outputs),
            (Err(DatasetError::Labels { rule, .. }), Err(expected)) => assert_eq!(rule, expected),
            (found, expected) => panic!("{labels}: found {found:?}, expected {expected:?}"),
        }
    }

    #[test]
    fn labels_follow_the_rules_of_nnunet() {
        check(r#"{"background":0,"a":1,"b":2}"#, Ok(3));
        check(r#"{"background":0,"whole":[1,2],"core":[2]}"#, Ok(2));
        check(r#"{"background":0,"a":1,"ignore":2}"#, Ok(2));
        check(r#"{"background":0,"a":1,"b":3}"#, Err(LabelRule::Gap));
        check(r#"{"background":0,"a":1,"b":1}"#, Err(LabelRule::Duplicate));
        check(r#"{"background":1,"a":2}"#, Err(LabelRule::Background));
        check(r#"{"a":1}"#, Err(LabelRule::Background));
        check(r#"{"background":0}"#, Err(LabelRule::NoForeground));
        check(r#"{"background":0,"a":1,"ignore":1}"#, Err(LabelRule::Ignore));
        check(r#"{"background":0,"a":1.5}"#, Err(LabelRule::Value));
        check(r#"{"background":0,"a":-1}"#, Err(LabelRule::Value));
    }

    #[test]
    fn files_group_into_cases_sorted_with_channels_in_order() {
        let files = ["b_0001.nii.gz", "b_0000.nii.gz", "a_0000.nii.gz", "a_0001.nii.gz", "notes.txt"].map(String::from);
        let cases = group_cases(&files, ".nii.gz", 2).unwrap();
        let listed: Vec<_> = cases.iter().map(|(case, files)| (case.as_str(), files.join(" "))).collect();
        assert_eq!(listed, [("a", "a_0000.nii.gz a_0001.nii.gz".into()), ("b", "b_0000.nii.gz b_0001.nii.gz".into())]);
    }

    #[test]
    fn a_missing_channel_is_named() {
        let error = group_cases(&["a_0000.nii.gz".into()], ".nii.gz", 2).unwrap_err();
        assert_eq!(error.to_string(), "case `a` lacks channel 0001 of 2");
        let error = group_cases(&["a.nii.gz".into()], ".nii.gz", 1).unwrap_err();
        assert!(matches!(error, DatasetError::ChannelNumber { .. }));
    }

    #[test]
    fn a_case_name_cannot_leave_its_folder() {
        for name in ["", "..", ".hidden", "a/b", "a\\b", "a\nb"] {
            assert!(CaseId::new(name).is_err(), "{name:?}");
        }
        assert!(CaseId::new("SC-HF-I-02-IM-0001-0047").is_ok());
    }
}
