//! 2D short-axis hearts as in T1 mapping, 128 × 128 pixels.
//!
//! The myocardium (label 1) is a ring around the blood pool. Half of the
//! cases are hard on purpose, each in one way ([`Difficulty`]), because a
//! score of uncertainty can only be judged where certainty varies.

use std::path::{Path, PathBuf};

use imaging::{Dimensionality, Geometry, Spacing, Volume};
use ndarray::Array3;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::dataset::{Part, RawDataset, WriteError};
use crate::noise::{Shading, rician};
use crate::tissue::{Anatomy, Brightness, Difficulty, Tissue};

/// Pixels along each side.
pub const EXTENT: usize = 128;
/// In-plane spacing in millimeters.
const SPACING_MM: f64 = 1.4;
/// A pixel's brightness and label are the mean over this many points squared.
const N_SAMPLES: usize = 3;
/// T1 of what has brightness 1, in milliseconds.
const T1_MS: f64 = 1500.0;

/// A set of hearts to be written as `Dataset900_Hearts`.
#[derive(Debug, Clone, Copy)]
pub struct Hearts {
    /// Cases in `imagesTr`.
    pub n_training: usize,
    /// Cases in `imagesTs`, numbered on from the training cases.
    pub n_test: usize,
    /// The same seed draws the same cases.
    pub seed: u64,
}

impl Hearts {
    /// Folder name of the data set.
    pub const NAME: &'static str = "Dataset900_Hearts";

    /// Writes the data set into the folder `raw`; returns its own folder.
    ///
    /// # Errors
    ///
    /// [`WriteError`] if a file cannot be written.
    pub fn write(&self, raw: &Path) -> Result<PathBuf, WriteError> {
        let dataset = RawDataset::create(raw, Self::NAME, &["background", "myocardium"])?;
        for index in 0..self.n_training + self.n_test {
            let part = if index < self.n_training { Part::Training } else { Part::Test };
            let heart = Heart::draw(index, self.seed);
            dataset.add(part, &case_name(index), &heart.image, &heart.reference)?;
        }
        dataset.finish(self.n_training)
    }
}

/// Name of case `index`, without channel and ending.
pub fn case_name(index: usize) -> String {
    format!("heart_{index:03}")
}

/// One case.
#[derive(Debug, Clone)]
pub struct Heart {
    /// T1 in milliseconds, `[1, y, x]`.
    pub image: Volume<f32>,
    /// 1 where the myocardium fills at least half of the pixel.
    pub reference: Volume<u8>,
}

impl Heart {
    /// Draws case `index` of the set with `seed`.
    ///
    /// # Panics
    ///
    /// Never: the spacing is a positive constant.
    pub fn draw(index: usize, seed: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(index as u64);
        let difficulty = Difficulty::of_case(index);
        let brightness = Brightness::random(difficulty, &mut rng);
        let anatomy = Anatomy::random(difficulty, &mut rng);
        let shading = Shading::random(&mut rng);
        let sigma = match difficulty {
            Difficulty::Noisy => rng.random_range(0.13..0.2),
            _ => rng.random_range(0.02..0.045),
        };

        let shape = [1, EXTENT, EXTENT];
        let mut image = Array3::<f32>::zeros(shape);
        let mut reference = Array3::<u8>::zeros(shape);
        for ((_, y, x), voxel) in image.indexed_iter_mut() {
            let pixel = Pixel::sample(&anatomy, &brightness, x, y);
            let side = |at: usize| 2.0 * at as f64 / (EXTENT - 1) as f64 - 1.0;
            let signal = pixel.brightness * shading.factor(side(x), side(y));
            let value = T1_MS * rician(signal, sigma, &mut rng);
            #[expect(clippy::cast_possible_truncation, reason = "f32 is what is stored")]
            {
                *voxel = value as f32;
            }
            reference[[0, y, x]] = u8::from(pixel.myocardium >= 0.5);
        }
        let spacing = Spacing::new([1.0, SPACING_MM, SPACING_MM]).expect("a positive constant");
        let geometry = Geometry::axis_aligned(shape, spacing, Dimensionality::Two);
        Self {
            image: Volume { voxels: image, geometry: geometry.clone() },
            reference: Volume { voxels: reference, geometry },
        }
    }
}

/// What fills one pixel, averaged over its area.
#[derive(Debug, Clone, Copy)]
struct Pixel {
    brightness: f64,
    /// Part of the area that is myocardium.
    myocardium: f64,
}

impl Pixel {
    fn sample(anatomy: &Anatomy, brightness: &Brightness, x: usize, y: usize) -> Self {
        let mut pixel = Self { brightness: 0.0, myocardium: 0.0 };
        let weight = 1.0 / (N_SAMPLES * N_SAMPLES) as f64;
        let offset = |k: usize| (k as f64 + 0.5) / N_SAMPLES as f64 - 0.5;
        for sub_y in 0..N_SAMPLES {
            for sub_x in 0..N_SAMPLES {
                let tissue = anatomy.tissue(x as f64 + offset(sub_x), y as f64 + offset(sub_y));
                pixel.brightness += weight * brightness.of(tissue);
                if tissue == Tissue::Myocardium {
                    pixel.myocardium += weight;
                }
            }
        }
        pixel
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn area(heart: &Heart) -> usize {
        heart.reference.voxels.iter().filter(|&&v| v == 1).count()
    }

    #[test]
    fn every_case_has_a_myocardium_inside_the_image() {
        for index in 0..40 {
            let heart = Heart::draw(index, 1);
            assert!(area(&heart) > 80, "case {index} has {}", area(&heart));
            let rim = |at: usize| at == 0 || at == EXTENT - 1;
            for ((_, y, x), &label) in heart.reference.voxels.indexed_iter() {
                assert!(label == 0 || !(rim(y) || rim(x)), "case {index}");
            }
        }
    }

    #[test]
    fn a_case_depends_on_seed_and_index_alone() {
        let image = |index, seed| Heart::draw(index, seed).image.voxels;
        assert_eq!(image(3, 7), image(3, 7));
        assert_ne!(image(3, 7), image(4, 7));
        assert_ne!(image(3, 7), image(3, 8));
    }

    #[test]
    fn a_thin_ring_has_a_smaller_area_than_an_easy_one() {
        assert_eq!(Difficulty::of_case(9), Difficulty::ThinRing);
        assert!(2 * area(&Heart::draw(9, 1)) < area(&Heart::draw(0, 1)));
    }
}
