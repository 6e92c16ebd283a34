//! Tiny 3D phantoms: a bright ball (label 1) and a brighter one (label 2).
//!
//! Small enough to train on in seconds, with any spacing, so that isotropic
//! and anisotropic plans both come up in tests.

use std::path::{Path, PathBuf};

use imaging::{Dimensionality, Geometry, Spacing, Volume};
use ndarray::Array3;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::dataset::{Part, RawDataset, WriteError};
use crate::noise::rician;

/// A set of balls to be written as a raw data set.
#[derive(Debug, Clone, Copy)]
pub struct Balls {
    /// Folder name, as `Dataset901_Balls`.
    pub name: &'static str,
    /// Cases in `imagesTr`.
    pub n_training: usize,
    /// Cases in `imagesTs`, numbered on from the training cases.
    pub n_test: usize,
    /// Voxels along `[z, y, x]`.
    pub shape: [usize; 3],
    /// Positive millimeters along `[z, y, x]`.
    pub spacing_mm: [f64; 3],
    /// The same seed draws the same cases.
    pub seed: u64,
}

impl Balls {
    /// Ten training cases and two test cases of 1 mm voxels.
    pub const ISOTROPIC: Self = Self {
        name: "Dataset901_Balls",
        n_training: 10,
        n_test: 2,
        shape: [24, 28, 32],
        spacing_mm: [1.0, 1.0, 1.0],
        seed: 1,
    };

    /// As [`Balls::ISOTROPIC`], in slices of 4 mm.
    pub const ANISOTROPIC: Self = Self {
        name: "Dataset902_ThickBalls",
        shape: [8, 32, 36],
        spacing_mm: [4.0, 1.0, 1.0],
        seed: 2,
        ..Self::ISOTROPIC
    };

    /// Writes the data set into the folder `raw`; returns its own folder.
    ///
    /// # Errors
    ///
    /// [`WriteError`] if a file cannot be written.
    pub fn write(&self, raw: &Path) -> Result<PathBuf, WriteError> {
        let dataset = RawDataset::create(raw, self.name, &["background", "large", "small"])?;
        for index in 0..self.n_training + self.n_test {
            let part = if index < self.n_training { Part::Training } else { Part::Test };
            let (image, reference) = self.draw(index);
            dataset.add(part, &format!("balls_{index:03}"), &image, &reference)?;
        }
        dataset.finish(self.n_training)
    }

    /// Draws case `index`: image and reference.
    ///
    /// # Panics
    ///
    /// When a spacing is not positive.
    pub fn draw(&self, index: usize) -> (Volume<f32>, Volume<u8>) {
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        rng.set_stream(index as u64);
        let size_mm: [f64; 3] = std::array::from_fn(|axis| self.shape[axis] as f64 * self.spacing_mm[axis]);
        let shortest = size_mm.into_iter().fold(f64::INFINITY, f64::min);
        let large = Ball::random(size_mm, [0.35, 0.65], 0.28 * shortest, &mut rng);
        let small = Ball::random(size_mm, [0.15, 0.85], 0.14 * shortest, &mut rng);

        let mut image = Array3::<f32>::zeros(self.shape);
        let mut reference = Array3::<u8>::zeros(self.shape);
        for ((z, y, x), label) in reference.indexed_iter_mut() {
            let point: [f64; 3] = std::array::from_fn(|axis| ([z, y, x][axis] as f64 + 0.5) * self.spacing_mm[axis]);
            *label = match (small.contains(point), large.contains(point)) {
                (true, _) => 2,
                (false, true) => 1,
                (false, false) => 0,
            };
            let signal = [100.0, 300.0, 500.0][usize::from(*label)];
            #[expect(clippy::cast_possible_truncation, reason = "f32 is what is stored")]
            {
                image[[z, y, x]] = rician(signal, 25.0, &mut rng) as f32;
            }
        }
        let spacing = Spacing::new(self.spacing_mm).expect("the caller gives positive spacings");
        let geometry = Geometry::axis_aligned(self.shape, spacing, Dimensionality::Three);
        let reference = Volume { voxels: reference, geometry: geometry.clone() };
        let image = Volume { voxels: image, geometry };
        (image, reference)
    }
}

/// A ball, in millimeters.
#[derive(Debug, Clone, Copy)]
struct Ball {
    center: [f64; 3],
    radius: f64,
}

impl Ball {
    /// A ball with its center between the `range` parts of `size_mm`.
    fn random(size_mm: [f64; 3], range: [f64; 2], radius: f64, rng: &mut ChaCha8Rng) -> Self {
        Self {
            center: size_mm.map(|size| size * rng.random_range(range[0]..range[1])),
            radius: radius * rng.random_range(0.85..1.15),
        }
    }

    fn contains(&self, point: [f64; 3]) -> bool {
        let squared: f64 = (0..3).map(|axis| (point[axis] - self.center[axis]).powi(2)).sum();
        squared < self.radius.powi(2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_labels_occur_in_every_case_of_both_spacings() {
        for balls in [Balls::ISOTROPIC, Balls::ANISOTROPIC] {
            for index in 0..balls.n_training + balls.n_test {
                let (_, reference) = balls.draw(index);
                for label in [1, 2] {
                    let n = reference.voxels.iter().filter(|&&v| v == label).count();
                    assert!(n >= 8, "{} case {index} label {label}: {n}", balls.name);
                }
            }
        }
    }
}
