//! One member's probabilities of a case: read from a file that may hold anything, and checked.

use std::path::{Path, PathBuf};

use imaging::npz::{ForeignNpzError, Limits, read_foreign};
use ndarray::Array4;
use nnunet::restore::OutputHead;

/// Values that are checked at a time.
const CHUNK: usize = 1 << 12;
/// How far a voxel's classes may sum up beside one: `f16` of ten classes rounds by half of it.
const SUM_TOLERANCE: f32 = 0.01;
/// The highest value of a softmax, which may round up in a mean of several.
const MAX_OF_SOFTMAX: f32 = 1.0 + 1e-5;

/// Reads a file.
///
/// # Errors
///
/// [`MemberFileError::Read`].
pub(super) fn read(path: &Path) -> Result<Array4<f32>, MemberFileError> {
    Ok(read_foreign(path, Limits::default())?)
}

/// Checks that values are probabilities, and that those of exclusive classes sum to one.
///
/// # Errors
///
/// [`MemberFileError::Value`] or [`MemberFileError::Sum`] for the first voxel at fault.
pub(super) fn check(probabilities: &Array4<f32>, head: OutputHead, path: &Path) -> Result<(), MemberFileError> {
    let values = probabilities.as_slice().unwrap_or_default();
    debug_assert_eq!(values.len(), probabilities.len(), "what was read is in standard layout");
    let highest = match head {
        OutputHead::Softmax => MAX_OF_SOFTMAX,
        OutputHead::Sigmoid => 1.0,
    };
    let is_probability = |p: f32| p >= 0.0 && p <= highest;
    for chunk in values.chunks(CHUNK) {
        // Without a branch per value; whoever is at fault is looked for afterwards.
        if !chunk.iter().fold(true, |all, &p| all & is_probability(p)) {
            let found = chunk.iter().copied().find(|&p| !is_probability(p)).unwrap_or(f32::NAN);
            return Err(MemberFileError::Value { path: path.to_owned(), found });
        }
    }
    match head {
        OutputHead::Softmax => check_sums(values, probabilities.dim().0, path),
        OutputHead::Sigmoid => Ok(()),
    }
}

fn check_sums(values: &[f32], n_classes: usize, path: &Path) -> Result<(), MemberFileError> {
    let n_voxels = values.len() / n_classes.max(1);
    let is_one = |sum: f32| (sum - 1.0).abs() <= SUM_TOLERANCE;
    let mut buffer = [0.0_f32; CHUNK];
    for start in (0..n_voxels).step_by(CHUNK) {
        let n = CHUNK.min(n_voxels - start);
        let sums = &mut buffer[..n];
        sums.fill(0.0);
        for class in values.chunks_exact(n_voxels) {
            sums.iter_mut().zip(&class[start..start + n]).for_each(|(sum, p)| *sum += p);
        }
        if !sums.iter().fold(true, |all, &sum| all & is_one(sum)) {
            let found = sums.iter().copied().find(|&sum| !is_one(sum)).unwrap_or(f32::NAN);
            return Err(MemberFileError::Sum { path: path.to_owned(), found });
        }
    }
    Ok(())
}

/// Why a member's file cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum MemberFileError {
    /// The file holds no array of probabilities.
    #[error("the probabilities cannot be read")]
    Read {
        /// Why.
        #[from]
        source: ForeignNpzError,
    },
    /// Classes of a voxel do not sum to one.
    #[error("the classes of a voxel in `{}` sum to {found}, not 1; regions need `--dataset-json`", path.display())]
    Sum {
        /// The file.
        path: PathBuf,
        /// The first sum at fault.
        found: f32,
    },
    /// Something is no probability.
    #[error("`{}` has the value {found}, which is no probability", path.display())]
    Value {
        /// The file.
        path: PathBuf,
        /// The first value at fault.
        found: f32,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_values(values: &[f32], head: OutputHead) -> Result<(), String> {
        let probabilities = Array4::from_shape_vec((2, 1, 1, values.len() / 2), values.to_vec()).unwrap();
        check(&probabilities, head, Path::new("a.npz")).map_err(|error| error.to_string())
    }

    #[test]
    fn what_is_no_probability_is_refused() {
        for (bad, head) in [
            (f32::NAN, OutputHead::Softmax),
            (f32::INFINITY, OutputHead::Softmax),
            (-1e-6, OutputHead::Softmax),
            (1.1, OutputHead::Softmax),
            (1.0 + f32::EPSILON, OutputHead::Sigmoid),
        ] {
            let refused = check_values(&[0.5, 1.0, 0.5, bad], head).unwrap_err();
            assert!(refused.starts_with("`a.npz` has the value ") && refused.ends_with("no probability"), "{refused}");
        }
    }

    #[test]
    fn exclusive_classes_sum_to_one_and_regions_need_not() {
        let regions = [0.5, 1.0, 0.5, 0.75];
        assert_eq!(check_values(&regions, OutputHead::Sigmoid), Ok(()));
        let refused = check_values(&regions, OutputHead::Softmax).unwrap_err();
        assert!(refused.contains("sum to 1.75"), "{refused}");
        // Half precision of an old nnU-Net.
        assert_eq!(check_values(&[0.333_25, 1.0, 0.666_5, 0.0], OutputHead::Softmax), Ok(()));
    }

    #[test]
    fn the_last_of_many_voxels_is_looked_at() {
        let n = 2 * CHUNK + 1;
        let mut values = vec![0.5; 2 * n];
        assert_eq!(check_values(&values, OutputHead::Softmax), Ok(()));
        values[2 * n - 1] = 0.6;
        assert!(check_values(&values, OutputHead::Softmax).unwrap_err().contains("sum to 1.1"));
        values[n - 1] = f32::NAN;
        assert!(check_values(&values, OutputHead::Sigmoid).unwrap_err().contains("NaN"));
    }
}
