//! The decathlon's `dataset.json` turned into nnU-Net's.
//!
//! As nnU-Net's `convert_MSD_dataset.py` does it: `labels` from value → name to name → value, `modality` becomes
//! `channel_names`, `file_ending` is added, the lists of files go, all else stays in its order.

use serde_json::{Map, Value};

/// Converts a description; returns it with its number of channels.
pub(super) fn convert(msd: &Value) -> Result<(Value, usize), DescriptionError> {
    let mut json = msd.as_object().cloned().ok_or(DescriptionError::NotAnObject)?;
    let labels = labels(json.get("labels"))?;
    let channels = match json.shift_remove("modality") {
        Some(Value::Object(channels)) if numbered(&channels) => channels,
        found => return Err(DescriptionError::Modality { found: found.unwrap_or_default() }),
    };
    let n_channels = channels.len();
    json.insert("labels".into(), Value::Object(labels));
    json.insert("file_ending".into(), super::ENDING.into());
    json.insert("channel_names".into(), Value::Object(channels));
    for list in ["training", "test"] {
        json.shift_remove(list);
    }
    Ok((Value::Object(json), n_channels))
}

fn labels(found: Option<&Value>) -> Result<Map<String, Value>, DescriptionError> {
    let refuse = || DescriptionError::Labels { found: found.cloned().unwrap_or_default() };
    let mut labels = Map::new();
    for (value, name) in found.and_then(Value::as_object).ok_or_else(refuse)? {
        let (value, name) = (value.parse::<u8>().map_err(|_| refuse())?, name.as_str().ok_or_else(refuse)?);
        // Two values of one name would lose one of them.
        if labels.insert(name.to_owned(), value.into()).is_some() {
            return Err(refuse());
        }
    }
    Ok(labels)
}

/// Keys "0", "1", … without gap, a text each.
fn numbered(channels: &Map<String, Value>) -> bool {
    let all_named = (0..channels.len()).all(|number| channels.get(&number.to_string()).is_some_and(Value::is_string));
    !channels.is_empty() && all_named
}

/// What is wrong with a description.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DescriptionError {
    /// `labels` is no map from values to names.
    #[error("`labels` is {found}, expected a map from values from 0 to 255 to names, each once")]
    Labels {
        /// What was found.
        found: Value,
    },
    /// `modality` is no list of channels.
    #[error("`modality` is {found}, expected a map from \"0\", \"1\", … to names")]
    Modality {
        /// What was found.
        found: Value,
    },
    /// The text is another value.
    #[error("it is no object")]
    NotAnObject,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn labels_are_turned_round_and_lists_of_files_go() {
        let msd = json!({
            "name": "Prostate", "tensorImageSize": "4D",
            "modality": {"0": "T2", "1": "ADC"},
            "labels": {"0": "background", "1": "PZ", "2": "TZ"},
            "numTraining": 32, "numTest": 16,
            "training": [{"image": "./imagesTr/a.nii.gz", "label": "./labelsTr/a.nii.gz"}],
            "test": ["./imagesTs/b.nii.gz"],
        });
        // The order of keys is that of nnU-Net's script, which deletes and appends.
        let expected = r#"{"name":"Prostate","tensorImageSize":"4D","labels":{"background":0,"PZ":1,"TZ":2},"numTraining":32,"numTest":16,"file_ending":".nii.gz","channel_names":{"0":"T2","1":"ADC"}}"#;
        let (converted, n_channels) = convert(&msd).unwrap();
        assert_eq!((converted.to_string().as_str(), n_channels), (expected, 2));
    }

    #[test]
    fn another_shape_is_refused_by_its_key() {
        let (labels, modality) = (json!({"0": "background", "1": "a"}), json!({"0": "T1"}));
        assert_eq!(convert(&json!([])), Err(DescriptionError::NotAnObject));
        for found in [json!({}), json!({"1": "T1"}), json!(["T1"]), Value::Null] {
            let msd = json!({"labels": labels, "modality": found});
            assert_eq!(convert(&msd), Err(DescriptionError::Modality { found }));
        }
        for found in [json!({"a": 1}), json!({"1": "a", "2": "a"}), json!({"256": "a"}), json!(["a"])] {
            let msd = json!({"labels": found, "modality": modality});
            assert_eq!(convert(&msd), Err(DescriptionError::Labels { found }));
        }
    }
}
