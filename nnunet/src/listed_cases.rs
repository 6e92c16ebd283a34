//! Cases that `dataset.json` lists one by one, instead of `imagesTr` and `labelsTr`.
//!
//! The key `dataset` maps each case to `images`, a path per channel, and `label`. Follows nnU-Net's
//! `get_filenames_of_train_images_and_targets`: relative paths start at the data set's folder and `$NAME` or `${NAME}`
//! stands for a variable of the environment. Departs from it in that a relative path must not climb out of the data
//! set's folder: whoever means a file elsewhere says so with an absolute path.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Map, Value};

use crate::dataset::CaseId;

/// Files of a training case: paths relative to the data set's folder, with `/`, or absolute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CaseFiles {
    /// One file per channel, in order.
    pub channels: Vec<String>,
    /// The reference.
    pub labels: String,
}

/// Reads the value of `dataset`; `variable` looks up a variable of the environment.
///
/// Every entry is either among the cases or among the errors.
pub fn read(
    dataset: &Value,
    variable: &dyn Fn(&str) -> Option<String>,
) -> (BTreeMap<CaseId, CaseFiles>, Vec<ListedError>) {
    let (mut cases, mut errors) = (BTreeMap::new(), Vec::new());
    let Value::Object(entries) = dataset else {
        return (cases, vec![ListedError::NotCases]);
    };
    for (name, entry) in entries {
        let Ok(case) = CaseId::new(name.as_str()) else {
            errors.push(ListedError::CaseName { found: name.clone() });
            continue;
        };
        match files(&case, entry, variable) {
            Ok(files) => {
                cases.insert(case, files);
            }
            Err(error) => errors.push(error),
        }
    }
    (cases, errors)
}

fn files(case: &CaseId, entry: &Value, variable: &dyn Fn(&str) -> Option<String>) -> Result<CaseFiles, ListedError> {
    let shape = || ListedError::Entry { case: case.clone() };
    let entry: &Map<String, Value> = entry.as_object().ok_or_else(shape)?;
    let images = entry.get("images").and_then(Value::as_array).ok_or_else(shape)?;
    let path = |value: &Value| {
        let path = expand(value.as_str().ok_or_else(shape)?, variable);
        inside(&path).ok_or(ListedError::Outside { case: case.clone(), path })
    };
    Ok(CaseFiles {
        channels: images.iter().map(path).collect::<Result<_, _>>()?,
        labels: path(entry.get("label").ok_or_else(shape)?)?,
    })
}

/// The path without `.` and `..`; `None` if it climbs out of where it starts or names nothing.
fn inside(path: &str) -> Option<String> {
    if path.starts_with('/') {
        return Some(path.to_owned());
    }
    let mut parts = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            part => parts.push(part),
        }
    }
    (!parts.is_empty()).then(|| parts.join("/"))
}

/// Replaces `$NAME` and `${NAME}`; what is not set stays as it is.
fn expand(text: &str, variable: &dyn Fn(&str) -> Option<String>) -> String {
    let mut expanded = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('$') {
        expanded.push_str(before);
        let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let braced = after.strip_prefix('{').and_then(|braced| braced.split_once('}'));
        let plain = &after[..after.find(|c| !is_name(c)).unwrap_or(after.len())];
        let (name, length) = braced.map_or((plain, plain.len()), |(name, _)| (name, name.len() + 2));
        if let Some(value) = variable(name).filter(|_| !name.is_empty()) {
            expanded.push_str(&value);
        } else {
            expanded.push('$');
            expanded.push_str(&after[..length]);
        }
        rest = &after[length..];
    }
    expanded.push_str(rest);
    expanded
}

/// What can be wrong with `dataset`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, thiserror::Error)]
#[serde(tag = "rule", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum ListedError {
    /// A case name would not be a plain file name.
    #[error("`{found}` cannot be a case name")]
    CaseName {
        /// The name as found.
        found: String,
    },
    /// An entry has not the right shape.
    #[error("case `{case}` needs `images`, a list of paths, and `label`, a path")]
    Entry {
        /// The case.
        case: CaseId,
    },
    /// It is no object.
    #[error("it does not map cases to their files")]
    NotCases,
    /// A relative path leaves the data set.
    #[error("path `{path}` of case `{case}` leaves the data set's folder; give an absolute path if it should")]
    Outside {
        /// The case.
        case: CaseId,
        /// The path.
        path: String,
    },
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn variable(name: &str) -> Option<String> {
        (name == "DATA").then(|| "/data".to_owned())
    }

    fn check(path: &str, expected: Option<&str>) {
        let dataset = json!({"a": {"images": [path], "label": "labels/a.nii"}});
        let (cases, errors) = read(&dataset, &variable);
        match expected {
            Some(expected) => {
                assert_eq!(errors, []);
                let files = CaseFiles { channels: vec![expected.into()], labels: "labels/a.nii".into() };
                assert_eq!(cases.values().collect::<Vec<_>>(), [&files]);
            }
            None => assert!(matches!(errors[..], [ListedError::Outside { .. }]), "{path}: {cases:?} {errors:?}"),
        }
    }

    #[test]
    fn paths_start_at_the_folder_or_are_absolute() {
        check("images/a.nii", Some("images/a.nii"));
        check("./images//b/../a.nii", Some("images/a.nii"));
        check("/elsewhere/a.nii", Some("/elsewhere/a.nii"));
        check("$DATA/a.nii", Some("/data/a.nii"));
        check("${DATA}/a_$DATAX.nii", Some("/data/a_$DATAX.nii"));
        check("a$.nii", Some("a$.nii"));
        check("a${.nii", Some("a${.nii"));
    }

    #[test]
    fn a_relative_path_does_not_leave_the_folder() {
        for path in ["../a.nii", "images/../../a.nii", "..", "", "."] {
            check(path, None);
        }
    }

    #[test]
    fn every_entry_that_is_no_case_is_named() {
        let dataset = json!({
            "a": {"images": ["a.nii"]},
            "b": {"images": "b.nii", "label": "b.nii"},
            "c/d": {"images": [], "label": "c.nii"},
            "e": {"images": [1], "label": "e.nii"},
        });
        let (cases, errors) = read(&dataset, &variable);
        assert!(cases.is_empty());
        assert_eq!(errors.len(), 4);
        assert_eq!(read(&json!([]), &variable).1, [ListedError::NotCases]);
    }
}
