//! Which of nnU-Net's readers the plans name.
//!
//! The one that `dataset.json` asks for if nnU-Net has it, else the first that reads files of this ending. Follows
//! `reader_writer_registry.py`, except that nothing is read to find out: nnU-Net goes on to its next reader where the
//! first one fails on an example.

use serde_json::Value;

use super::PlanError;
use crate::dataset::DatasetJson;
use crate::fingerprint::Fingerprint;

/// Readers of nnU-Net by class name.
const READERS: [&str; 5] = ["NaturalImage2DIO", "SimpleITKIO", "Tiff3DIO", "NibabelIO", "NibabelIOWithReorient"];

/// Spacing that nnU-Net gives to pictures, which have none.
const PICTURE_SPACING: [f64; 3] = [999.0, 1.0, 1.0];

/// The reader for the data set's files.
///
/// # Errors
///
/// [`PlanError::FileEnding`] if nnU-Net reads no such files.
pub(super) fn reader(dataset: &DatasetJson, fingerprint: &Fingerprint) -> Result<String, PlanError> {
    let wanted = dataset.other.get("overwrite_image_reader_writer").and_then(Value::as_str);
    // A reader that nnU-Net does not find is passed over there too.
    if let Some(known) = wanted.filter(|name| READERS.contains(name)) {
        return Ok(known.to_owned());
    }
    // Pictures and volumes share an ending; the reader of pictures comes first and fails on volumes.
    let is_picture = fingerprint.spacings.first() == Some(&PICTURE_SPACING);
    let name = match dataset.file_ending.to_lowercase().as_str() {
        ".png" | ".bmp" => "NaturalImage2DIO",
        ".tif" if is_picture => "NaturalImage2DIO",
        ".nii.gz" | ".nrrd" | ".mha" | ".gipl" => "SimpleITKIO",
        ".tif" | ".tiff" => "Tiff3DIO",
        ".nii" => "NibabelIO",
        _ => return Err(PlanError::FileEnding { found: dataset.file_ending.clone() }),
    };
    Ok(name.to_owned())
}
