//! A raw data set of five slices with a bright square each, small enough to be trained on in a second.

use std::path::Path;

use imaging::{Dimensionality, Geometry, Spacing, Volume, nifti};
use ndarray::Array3;

/// Its `dataset.json`.
pub(crate) const JSON: &str =
    r#"{"channel_names":{"0":"MRI"},"labels":{"background":0,"square":1},"numTraining":5,"file_ending":".nii.gz"}"#;

/// Writes `raw/Dataset001_Squares`.
pub(crate) fn write(root: &Path) {
    let folder = root.join("raw/Dataset001_Squares");
    for sub in ["imagesTr", "labelsTr"] {
        fs_err::create_dir_all(folder.join(sub)).unwrap();
    }
    fs_err::write(folder.join("dataset.json"), JSON).unwrap();
    let geometry = || Geometry::axis_aligned([1, 32, 32], Spacing::new([1.0; 3]).unwrap(), Dimensionality::Two);
    for case in 0..5_usize {
        let inside = |i: usize, j: usize| (8 + case..20 + case).contains(&i) && (8..20).contains(&j);
        let labels = Array3::from_shape_fn((1, 32, 32), |(_, i, j)| u8::from(inside(i, j)));
        let image = Array3::from_shape_fn((1, 32, 32), |(_, i, j)| {
            ((7 * i + 13 * j + case) % 11) as f32 + if inside(i, j) { 30.0 } else { 1.0 }
        });
        let (image, labels) =
            (Volume { voxels: image, geometry: geometry() }, Volume { voxels: labels, geometry: geometry() });
        nifti::write_map(&folder.join(format!("imagesTr/c{case}_0000.nii.gz")), &image).unwrap();
        nifti::write_labels(&folder.join(format!("labelsTr/c{case}.nii.gz")), &labels).unwrap();
    }
}
