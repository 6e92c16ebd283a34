//! Judging `dataset.json`: every rule that its text breaks, and what can be used of it nevertheless.
//!
//! [`crate::dataset::DatasetJson`] accepts exactly the descriptions in which nothing is found here, but for the rules
//! about other files: it does not ask for `numTraining` and does not read `dataset`.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::Problem;
use crate::dataset::{CaseId, LabelRule, LabelValue, may_hold_several_channels, parse_label};
use crate::listed_cases::{self, CaseFiles};

/// What a `dataset.json` says, as far as it can be understood.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Description {
    /// Number of channels.
    pub n_channels: Option<usize>,
    /// Ending of all files.
    pub ending: Option<String>,
    /// Every value that a label may have, background and ignore included; sorted.
    pub labels: Option<Vec<u8>>,
    /// Number of cases that there should be.
    pub n_training: Option<u64>,
    /// Cases listed by `dataset`; `None` if they lie in `imagesTr` and `labelsTr`.
    pub listed: Option<BTreeMap<CaseId, CaseFiles>>,
}

impl Description {
    /// Number of channels of a case whose files may hold several each, so that they must be counted.
    pub fn n_channels_to_count(&self) -> Option<usize> {
        let several = self.ending.as_deref().is_some_and(may_hold_several_channels);
        self.n_channels.filter(|_| several)
    }

    /// Judges the text; `variable` looks up a variable of the environment for paths under `dataset`.
    pub fn read(text: &str, variable: &dyn Fn(&str) -> Option<String>) -> (Self, Vec<Problem>) {
        let json = match serde_json::from_str(text) {
            Ok(Value::Object(json)) => json,
            Ok(_) => return (Self::default(), vec![Problem::Json { reason: "it is another value".into() }]),
            Err(error) => return (Self::default(), vec![Problem::Json { reason: error.to_string() }]),
        };
        let mut reader = Reader { json: &json, problems: Vec::new() };
        let description = Self {
            n_channels: reader.channels(),
            labels: reader.labels(),
            n_training: reader.n_training(),
            ending: reader.ending(),
            listed: json.get("dataset").map(|dataset| {
                let (cases, errors) = listed_cases::read(dataset, variable);
                reader.problems.extend(errors.into_iter().map(|reason| Problem::Listed { reason }));
                cases
            }),
        };
        (description, reader.problems)
    }
}

struct Reader<'a> {
    json: &'a Map<String, Value>,
    problems: Vec<Problem>,
}

impl<'a> Reader<'a> {
    fn key(&mut self, key: &'static str) -> Option<&'a Value> {
        let value = self.json.get(key);
        if value.is_none() {
            let older = (key == "channel_names" && self.json.contains_key("modality")).then_some("modality");
            self.problems.push(Problem::MissingKey { key, instead: older });
        }
        value
    }

    fn wrong(&mut self, field: &str, found: &Value, expected: &'static str) {
        self.problems.push(Problem::Value { field: field.to_owned(), found: found.to_string(), expected });
    }

    fn channels(&mut self) -> Option<usize> {
        let value = self.key("channel_names")?;
        let names = match value.as_object() {
            Some(names) if !names.is_empty() => names,
            _ => {
                self.wrong("channel_names", value, "an object of at least one channel");
                return None;
            }
        };
        let mut numbers = BTreeSet::new();
        for (number, name) in names {
            if !name.is_string() {
                self.wrong(&format!("channel_names.{number}"), name, "a text");
            }
            numbers.extend(number.parse::<usize>());
        }
        if !numbers.iter().copied().eq(0..names.len()) {
            let found = Value::from(names.keys().cloned().collect::<Vec<_>>());
            self.wrong("channel_names", &found, "keys \"0\", \"1\", … without gap");
        }
        Some(names.len())
    }

    fn n_training(&mut self) -> Option<u64> {
        let value = self.key("numTraining")?;
        let count = value.as_u64();
        if count.is_none() {
            self.wrong("numTraining", value, "a whole number");
        }
        count
    }

    fn ending(&mut self) -> Option<String> {
        let value = self.key("file_ending")?;
        match value.as_str() {
            Some(ending) if !ending.is_empty() => Some(ending.to_owned()),
            _ => {
                self.wrong("file_ending", value, "a text such as \".nii.gz\"");
                None
            }
        }
    }

    /// Checks the labels; the values that may occur, if all could be read.
    fn labels(&mut self) -> Option<Vec<u8>> {
        let value = self.key("labels")?;
        let Some(labels) = value.as_object() else {
            self.wrong("labels", value, "an object of names and values");
            return None;
        };
        let mut parsed = Vec::new();
        for (name, value) in labels {
            match parse_label(value) {
                Some(LabelValue::Region(values)) if values.is_empty() => self.label(name, LabelRule::Value),
                Some(label) => parsed.push((name.as_str(), label)),
                None => self.label(name, LabelRule::Value),
            }
        }
        let all_parsed = parsed.len() == labels.len();
        for (name, label) in &parsed {
            match (*name, label) {
                ("background", LabelValue::Label(0)) | ("ignore", LabelValue::Label(_)) => {}
                ("ignore", LabelValue::Region(_)) => self.label(name, LabelRule::Ignore),
                ("background", _) | (_, LabelValue::Label(0)) => self.label(name, LabelRule::Background),
                _ => {}
            }
        }
        if !labels.contains_key("background") {
            self.label("background", LabelRule::Background);
        }
        let values = self.foreground(&parsed, all_parsed);
        let ignore = parsed.iter().find_map(|(name, label)| match label {
            LabelValue::Label(value) if *name == "ignore" => Some(*value),
            _ => None,
        });
        all_parsed.then(|| values.into_iter().chain([0]).chain(ignore).collect::<BTreeSet<_>>().into_iter().collect())
    }

    /// Checks what the foreground labels are together; returns their values.
    fn foreground(&mut self, parsed: &[(&str, LabelValue)], all_parsed: bool) -> BTreeSet<u8> {
        let structures: Vec<_> = parsed.iter().filter(|(name, _)| !matches!(*name, "background" | "ignore")).collect();
        let of = |label: &LabelValue| match label {
            LabelValue::Label(value) => vec![*value],
            LabelValue::Region(values) => values.clone(),
        };
        let values: BTreeSet<u8> = structures.iter().flat_map(|(_, label)| of(label)).filter(|&v| v != 0).collect();
        // A value that could not be read might fill the gap.
        if !all_parsed {
            return values;
        }
        if values.is_empty() {
            self.label("labels", LabelRule::NoForeground);
        } else if let Some((_, gap)) = (1_usize..).zip(&values).find(|&(i, &value)| i != usize::from(value)) {
            let after = structures.iter().find(|(_, label)| of(label).contains(gap)).map_or("labels", |(name, _)| name);
            self.label(after, LabelRule::Gap);
        }
        let highest = values.len() + 1;
        if parsed.iter().any(|(name, label)| {
            *name == "ignore" && matches!(label, LabelValue::Label(value) if usize::from(*value) != highest)
        }) {
            self.label("ignore", LabelRule::Ignore);
        }
        if structures.iter().any(|(_, label)| matches!(label, LabelValue::Region(_))) {
            self.region_order(Some(structures.len()));
        } else {
            self.region_order(None);
            let mut seen = BTreeSet::new();
            for (name, label) in structures {
                if !seen.insert(of(label)) {
                    self.label(name, LabelRule::Duplicate);
                }
            }
        }
        values
    }

    /// The order must be a list of labels, one per region; where there are no regions it may be missing or of any length.
    fn region_order(&mut self, n_regions: Option<usize>) {
        let order = self.json.get("regions_class_order").unwrap_or(&Value::Null);
        let is_label = |value: &Value| value.as_u64().is_some_and(|value| value < 256);
        let holds = match order {
            Value::Array(order) => order.iter().all(is_label) && n_regions.is_none_or(|n| n == order.len()),
            other => other.is_null() && n_regions.is_none(),
        };
        if !holds {
            let (label, found) = ("regions_class_order".to_owned(), order.to_string());
            self.problems.push(Problem::Label { label, found, rule: LabelRule::RegionOrder });
        }
    }

    /// `label` is a name, or `labels` for all of them.
    fn label(&mut self, label: &str, rule: LabelRule) {
        let labels = self.json.get("labels").unwrap_or(&Value::Null);
        let found = match labels.get(label) {
            None if label == "labels" => labels.to_string(),
            found => found.map_or_else(|| "missing".to_owned(), Value::to_string),
        };
        self.problems.push(Problem::Label { label: label.to_owned(), found, rule });
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(json: &Value) -> (Description, Vec<Problem>) {
        Description::read(&json.to_string(), &|_| None)
    }

    fn sound() -> Value {
        json!({
            "channel_names": {"0": "T1", "1": "T2"},
            "labels": {"background": 0, "a": 1, "b": 2, "ignore": 3},
            "numTraining": 4,
            "file_ending": ".nii.gz",
        })
    }

    /// Sets a key (removes it for null) and expects exactly these problems.
    fn check(key: &str, value: &Value, expected: &[Problem]) {
        let mut json = sound();
        let fields = json.as_object_mut().unwrap();
        match value {
            Value::Null => {
                fields.remove(key);
            }
            value => {
                fields.insert(key.into(), value.clone());
            }
        }
        assert_eq!(read(&json).1, expected, "{json}");
    }

    fn wrong(field: &str, found: &str, expected: &'static str) -> Problem {
        Problem::Value { field: field.into(), found: found.into(), expected }
    }

    fn label(label: &str, found: &Value, rule: LabelRule) -> Problem {
        Problem::Label { label: label.into(), found: found.to_string(), rule }
    }

    #[test]
    fn a_sound_description_is_understood() {
        let (description, problems) = read(&sound());
        assert_eq!(problems, []);
        assert_eq!(description.n_channels, Some(2));
        assert_eq!(description.labels, Some(vec![0, 1, 2, 3]));
        assert_eq!(description.n_training, Some(4));
        assert_eq!(description.ending.as_deref(), Some(".nii.gz"));
        assert_eq!(description.listed, None);
    }

    #[test]
    fn every_missing_key_is_named() {
        let missing = |key| Problem::MissingKey { key, instead: None };
        for key in ["channel_names", "labels", "numTraining", "file_ending"] {
            check(key, &Value::Null, &[missing(key)]);
        }
        let old = json!({"modality": {"0": "T1"}});
        let first = Problem::MissingKey { key: "channel_names", instead: Some("modality") };
        assert_eq!(read(&old).1, [first, missing("labels"), missing("numTraining"), missing("file_ending")]);
    }

    #[test]
    fn values_of_another_kind_are_named() {
        check("numTraining", &json!("four"), &[wrong("numTraining", "\"four\"", "a whole number")]);
        check("file_ending", &json!(""), &[wrong("file_ending", "\"\"", "a text such as \".nii.gz\"")]);
        check("labels", &json!([0, 1]), &[wrong("labels", "[0,1]", "an object of names and values")]);
        check("channel_names", &json!({}), &[wrong("channel_names", "{}", "an object of at least one channel")]);
        let gap = wrong("channel_names", "[\"0\",\"2\"]", "keys \"0\", \"1\", … without gap");
        check("channel_names", &json!({"0": "T1", "2": "T2"}), &[gap]);
        check("channel_names", &json!({"0": 1}), &[wrong("channel_names.0", "1", "a text")]);
        assert!(matches!(Description::read("{", &|_| None).1[..], [Problem::Json { .. }]));
        assert!(matches!(Description::read("[]", &|_| None).1[..], [Problem::Json { .. }]));
    }

    #[test]
    fn every_label_at_fault_is_named() {
        let labels = json!({"background": 1, "a": 0, "b": "x", "c": [], "ignore": [1, 2]});
        let expected = [
            label("b", &json!("x"), LabelRule::Value),
            label("c", &json!([]), LabelRule::Value),
            label("background", &json!(1), LabelRule::Background),
            label("a", &json!(0), LabelRule::Background),
            label("ignore", &json!([1, 2]), LabelRule::Ignore),
        ];
        check("labels", &labels, &expected);
        let labels = json!({"a": 2, "b": 2, "ignore": 2});
        let expected = [
            Problem::Label { label: "background".into(), found: "missing".into(), rule: LabelRule::Background },
            label("a", &json!(2), LabelRule::Gap),
            label("b", &json!(2), LabelRule::Duplicate),
        ];
        check("labels", &labels, &expected);
        let labels = json!({"background": 0});
        check("labels", &labels, &[label("labels", &labels, LabelRule::NoForeground)]);
        let labels = json!({"background": 0, "a": 1, "ignore": 1});
        check("labels", &labels, &[label("ignore", &json!(1), LabelRule::Ignore)]);
        let labels = json!({"background": 0, "whole": [1, 2], "core": 2});
        check("labels", &labels, &[label("regions_class_order", &Value::Null, LabelRule::RegionOrder)]);
    }

    #[test]
    fn listed_cases_that_leave_the_folder_are_named() {
        let dataset = json!({"a": {"images": ["../a.nii"], "label": "a.nii"}});
        let reason = listed_cases::ListedError::Outside { case: CaseId::new("a").unwrap(), path: "../a.nii".into() };
        check("dataset", &dataset, &[Problem::Listed { reason }]);
    }
}
