//! How many voxels have the same label in two folders of segmentations.

use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use fs_err as fs;
use imaging::file;
use serde::Serialize;

/// Labels of all cases, compared voxel by voxel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(super) struct Agreement {
    pub(super) n_cases: usize,
    pub(super) n_voxels: usize,
    pub(super) n_different: usize,
    /// Cases in which a voxel differs.
    pub(super) n_different_cases: usize,
}

impl Agreement {
    /// Compares every segmentation of `theirs` with the file of the same name in `ours`.
    ///
    /// # Errors
    ///
    /// When a file is missing or cannot be read, or grids differ.
    pub(super) fn between(theirs: &Path, ours: &Path) -> Result<Self> {
        let mut agreement = Self { n_cases: 0, n_voxels: 0, n_different: 0, n_different_cases: 0 };
        for entry in fs::read_dir(theirs)? {
            let path = entry?.path();
            let name = path.file_name().context("an entry has a name")?;
            if file::Format::of_path(&path).is_none() {
                continue;
            }
            let [first, second] = [&path, &ours.join(name)].map(|path| file::read_labels(path));
            let (first, second) = (first?, second?);
            let same_grid = first.geometry.same_grid(&second.geometry);
            same_grid.with_context(|| format!("the grids of `{}` differ", path.display()))?;
            let n_different = first.voxels.iter().zip(&second.voxels).filter(|(a, b)| a != b).count();
            agreement.n_cases += 1;
            agreement.n_voxels += first.voxels.len();
            agreement.n_different += n_different;
            agreement.n_different_cases += usize::from(n_different > 0);
        }
        ensure!(agreement.n_cases > 0, "`{}` has no segmentation", theirs.display());
        Ok(agreement)
    }

    /// Share of voxels with the same label.
    pub(super) fn share(&self) -> f64 {
        1.0 - self.n_different as f64 / self.n_voxels as f64
    }
}

#[cfg(test)]
mod tests {
    use imaging::{Dimensionality, Geometry, Spacing, Volume};
    use ndarray::Array3;

    use super::*;

    #[test]
    fn voxels_that_differ_are_counted_and_a_missing_case_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let [theirs, ours] = ["theirs", "ours"].map(|name| folder.path().join(name));
        let write = |folder: &Path, labels: [u8; 4]| {
            fs::create_dir_all(folder).unwrap();
            let geometry = Geometry::axis_aligned([1, 2, 2], Spacing::new([1.0; 3]).unwrap(), Dimensionality::Three);
            let voxels = Array3::from_shape_vec((1, 2, 2), labels.to_vec()).unwrap();
            file::write_labels(&folder.join("case.nii.gz"), &Volume { geometry, voxels }).unwrap();
        };
        write(&theirs, [0, 1, 1, 2]);
        assert!(Agreement::between(&theirs, &ours).is_err());
        write(&ours, [0, 1, 2, 2]);
        let expected = Agreement { n_cases: 1, n_voxels: 4, n_different: 1, n_different_cases: 1 };
        assert_eq!(Agreement::between(&theirs, &ours).unwrap(), expected);
        assert!((expected.share() - 0.75).abs() < 1e-12);
    }
}
