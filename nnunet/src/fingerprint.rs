//! `dataset_fingerprint.json`: what the planner must know about a training set.
//!
//! Each case gives its shape after the crop, its spacing, and a sample of its foreground intensities; all cases
//! together give the fingerprint. Follows nnU-Net's `fingerprint_extractor.py` down to the random sample, which comes
//! from `RandomState(1234)` in every case. A sample is drawn with replacement and is far larger than most
//! foregrounds, so here it is kept as a count per value: memory does not grow with the sample.
//!
//! Every label above 0 is foreground, the ignore label too. A case without foreground gives no intensities; its empty
//! list is of double precision in nnU-Net, and all the others follow it, so that mean and deviation come out unrounded.
//! Departs from nnU-Net by summing in double precision always, and by saying why there is no fingerprint where nnU-Net
//! fails an assertion or an index: voxels that are not numbers, and a set without any foreground.

use imaging::{Dimensionality, Geometry, Image, Volume};
use indexmap::IndexMap;
use ndarray::s;
use serde::{Deserialize, Serialize};

use crate::crop::nonzero_box;
use crate::mt19937::Mt19937;
use crate::percentile::{between, median, rank};
use crate::plans::IntensityProperties;

/// Seed of the intensity sample, the same for every case.
const SEED: u32 = 1234;

/// Intensities drawn from all cases of a data set together.
const N_SAMPLES: usize = 100_000_000;

/// Made-up slice spacing of a 2D file, in multiples of its largest spacing; coarser than any real slice.
const FLAT_SPACING_FACTOR: f64 = 999.0;

/// Statistics of a training set, in the field order of nnU-Net's file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Fingerprint {
    /// Channel number (as text) to the statistics of its foreground.
    pub foreground_intensity_properties_per_channel: IndexMap<String, IntensityProperties>,
    /// Median fraction of an image that the crop to nonzero leaves.
    pub median_relative_size_after_cropping: f64,
    /// Extents `[z, y, x]` of each case after the crop.
    pub shapes_after_crop: Vec<[usize; 3]>,
    /// Spacing `[z, y, x]` of each case, mm.
    pub spacings: Vec<[f64; 3]>,
}

/// What one case contributes.
#[derive(Debug, Clone, PartialEq)]
pub struct CaseFingerprint {
    shape_after_crop: [usize; 3],
    spacing: [f64; 3],
    relative_size: f64,
    /// Per channel.
    samples: Vec<Sample>,
}

/// A sample of intensities: ascending values, and how often each was drawn; never more than [`N_SAMPLES`] together.
#[derive(Debug, Clone, Default, PartialEq)]
struct Sample(Vec<(f32, u32)>);

/// The precision that nnU-Net's statistics are taken in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Precision {
    /// That of the intensities.
    Single,
    /// Where a case has no foreground.
    Double,
}

/// Spacing `[z, y, x]` in mm as nnU-Net sees it: the slices of a 2D file count as 999 times the largest spacing.
pub fn planning_spacing(geometry: &Geometry) -> [f64; 3] {
    let [z, y, x] = geometry.spacing().zyx();
    match geometry.dimensionality() {
        Dimensionality::Two => [y.max(x) * FLAT_SPACING_FACTOR, y, x],
        Dimensionality::Three => [z, y, x],
    }
}

impl CaseFingerprint {
    /// Measures a case of a training set of `n_cases`; voxels with a label above 0 are foreground.
    ///
    /// # Errors
    ///
    /// [`FingerprintError::LabelShape`] if the labels have another shape than the image, [`FingerprintError::NotANumber`]
    /// if a voxel of the crop is none.
    pub fn of(image: &Image, labels: &Volume<u8>, n_cases: usize) -> Result<Self, FingerprintError> {
        let shape = image.geometry.shape();
        let (z, y, x) = labels.voxels.dim();
        if [z, y, x] != shape {
            return Err(FingerprintError::LabelShape { image: shape, labels: [z, y, x] });
        }
        let crop = nonzero_box(&image.voxels.view());
        let (z, y, x) = (crop.range(0), crop.range(1), crop.range(2));
        let foreground = labels.voxels.slice(s![z.clone(), y.clone(), x.clone()]);
        let mut random = Mt19937::new(SEED);
        let mut samples = Vec::with_capacity(image.n_channels());
        for (number, channel) in image.voxels.outer_iter().enumerate() {
            let channel = channel.slice_move(s![z.clone(), y.clone(), x.clone()]);
            if channel.iter().any(|value| value.is_nan()) {
                return Err(FingerprintError::NotANumber { channel: number });
            }
            let inside = channel.iter().zip(foreground).filter(|(_, label)| **label > 0);
            let values = inside.map(|(&value, _)| value).collect();
            samples.push(Sample::draw(values, N_SAMPLES / n_cases.max(1), &mut random));
        }
        let volume = |shape: [usize; 3]| shape.iter().map(|&extent| extent as f64).product::<f64>();
        Ok(Self {
            shape_after_crop: crop.shape(),
            spacing: planning_spacing(&image.geometry),
            relative_size: volume(crop.shape()) / volume(shape),
            samples,
        })
    }
}

impl Sample {
    /// Draws `n` of the values with replacement, each from the position `RandomState.choice` would take.
    fn draw(values: Vec<f32>, n: usize, random: &mut Mt19937) -> Self {
        let Some(last) = values.len().checked_sub(1) else { return Self::default() };
        let mut counts = vec![0_u32; values.len()];
        if let Ok(largest) = u32::try_from(last) {
            random.draw(largest, n, |position| counts[position as usize] += 1);
        } else {
            (0..n).for_each(|_| counts[random.index_up_to(last)] += 1);
        }
        Self::collect(values.into_iter().zip(counts).collect())
    }

    /// Sorts, and joins equal values.
    fn collect(mut pairs: Vec<(f32, u32)>) -> Self {
        pairs.retain(|(_, count)| *count > 0);
        pairs.sort_unstable_by(|(a, _), (b, _)| a.total_cmp(b));
        pairs.dedup_by(|later, kept| {
            let equal = later.0.to_bits() == kept.0.to_bits();
            kept.1 += if equal { later.1 } else { 0 };
            equal
        });
        pairs.shrink_to_fit();
        Self(pairs)
    }

    /// Statistics over all draws; `None` if there are none.
    fn properties(&self, precision: Precision) -> Option<IntensityProperties> {
        let (&(min, _), &(max, _)) = (self.0.first()?, self.0.last()?);
        let n: u64 = self.0.iter().map(|(_, count)| u64::from(*count)).sum();
        let mean = self.mean_of(|value| value, n);
        let variance = self.mean_of(|value| (value - mean).powi(2), n);
        let rounded = |value: f64| if precision == Precision::Single { single(value) } else { value };
        Some(IntensityProperties {
            max: f64::from(max),
            mean: rounded(mean),
            median: self.percentile(n, 50.0, precision)?,
            min: f64::from(min),
            percentile_00_5: self.percentile(n, 0.5, precision)?,
            percentile_99_5: self.percentile(n, 99.5, precision)?,
            std: rounded(variance.sqrt()),
        })
    }

    fn mean_of(&self, term: impl Fn(f64) -> f64, n: u64) -> f64 {
        self.0.iter().map(|&(value, count)| term(f64::from(value)) * f64::from(count)).sum::<f64>() / n as f64
    }

    fn percentile(&self, n: u64, q: f64, precision: Precision) -> Option<f64> {
        let (low, high, fraction) = rank(usize::try_from(n).ok()?, q)?;
        let (low, high) = (self.at(low)?, self.at(high)?);
        // NumPy takes the difference in the precision of the values, all else in double.
        let step = match precision {
            Precision::Single => f64::from(high - low),
            Precision::Double => f64::from(high) - f64::from(low),
        };
        Some(between(f64::from(low), f64::from(high), step, fraction))
    }

    /// The value of a rank among all draws.
    fn at(&self, rank: usize) -> Option<f32> {
        let mut passed = 0;
        let reaches = |&&(_, count): &&(f32, u32)| {
            passed += u64::from(count);
            passed > rank as u64
        };
        self.0.iter().find(reaches).map(|&(value, _)| value)
    }
}

/// Rounds to the precision of the intensities, in which nnU-Net reports mean and deviation.
#[expect(clippy::cast_possible_truncation, reason = "rounding is the purpose")]
fn single(value: f64) -> f64 {
    f64::from(value as f32)
}

impl Fingerprint {
    /// Joins the cases of a training set, in the order given.
    ///
    /// # Errors
    ///
    /// [`FingerprintError::NoCases`] without cases, [`FingerprintError::ChannelCount`] if they differ in channels,
    /// [`FingerprintError::NoForeground`] if no case has any.
    pub fn merge(cases: Vec<CaseFingerprint>) -> Result<Self, FingerprintError> {
        let expected = cases.first().ok_or(FingerprintError::NoCases)?.samples.len();
        let sizes: Vec<f64> = cases.iter().map(|case| case.relative_size).collect();
        let shapes_after_crop = cases.iter().map(|case| case.shape_after_crop).collect();
        let spacings = cases.iter().map(|case| case.spacing).collect();
        let has_empty = cases.iter().flat_map(|case| &case.samples).any(|sample| sample.0.is_empty());
        let precision = if has_empty { Precision::Double } else { Precision::Single };
        let mut pooled = vec![Vec::new(); expected];
        for case in cases {
            let actual = case.samples.len();
            if actual != expected {
                return Err(FingerprintError::ChannelCount { expected, actual });
            }
            for (all, sample) in pooled.iter_mut().zip(case.samples) {
                all.extend(sample.0);
            }
        }
        let channels = pooled.into_iter().enumerate().map(|(channel, pairs)| {
            let properties = Sample::collect(pairs).properties(precision).ok_or(FingerprintError::NoForeground)?;
            Ok((channel.to_string(), properties))
        });
        Ok(Self {
            foreground_intensity_properties_per_channel: channels.collect::<Result<_, _>>()?,
            median_relative_size_after_cropping: median(&sizes).ok_or(FingerprintError::NoCases)?,
            shapes_after_crop,
            spacings,
        })
    }
}

/// Why a training set has no fingerprint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FingerprintError {
    /// Cases differ in their number of channels.
    #[error("a case has {actual} channels, the first one has {expected}")]
    ChannelCount {
        /// Channels of the first case.
        expected: usize,
        /// Channels of another.
        actual: usize,
    },
    /// Labels and image differ in shape.
    #[error("the labels have shape [z, y, x] {labels:?}, the image {image:?}")]
    LabelShape {
        /// Extents of the image.
        image: [usize; 3],
        /// Extents of the labels.
        labels: [usize; 3],
    },
    /// A training set without cases.
    #[error("there are no training cases")]
    NoCases,
    /// No case has a voxel of foreground.
    #[error("no training case has any foreground")]
    NoForeground,
    /// An image with voxels that are not numbers.
    #[error("channel {channel} has voxels that are not a number")]
    NotANumber {
        /// The first such channel.
        channel: usize,
    },
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "values that are exact in binary")]
mod tests {
    use super::*;
    use imaging::Spacing;
    use ndarray::{Array3, Array4};

    fn case(dimensionality: Dimensionality) -> (Image, Volume<u8>) {
        let geometry = Geometry::axis_aligned([1, 2, 4], Spacing::new([1.0, 0.5, 2.0]).unwrap(), dimensionality);
        let voxels = Array4::from_shape_vec((1, 1, 2, 4), vec![0.0, 1.0, 2.0, 0.0, 0.0, 3.0, 4.0, 0.0]).unwrap();
        let labels = Array3::from_shape_vec((1, 2, 4), vec![0, 1, 0, 0, 0, 2, 0, 0]).unwrap();
        (Image { voxels, geometry: geometry.clone() }, Volume { voxels: labels, geometry })
    }

    #[test]
    fn a_case_is_measured_inside_its_crop() {
        let (image, labels) = case(Dimensionality::Two);
        let found = CaseFingerprint::of(&image, &labels, 1).unwrap();
        assert_eq!(found.shape_after_crop, [1, 2, 2]);
        assert_eq!(found.spacing, [1998.0, 0.5, 2.0]);
        assert!((found.relative_size - 0.5).abs() < 1e-15);
        let merged = Fingerprint::merge(vec![found]).unwrap();
        let intensities = merged.foreground_intensity_properties_per_channel["0"];
        assert_eq!((intensities.min, intensities.max), (1.0, 3.0));
        // Of 10^8 fair draws the mean is off by less than 10^-3 with certainty.
        assert!((intensities.mean - 2.0).abs() < 1e-3 && (intensities.std - 1.0).abs() < 1e-3);
    }

    #[test]
    fn the_slices_of_a_volume_keep_their_spacing() {
        let (image, labels) = case(Dimensionality::Three);
        assert_eq!(CaseFingerprint::of(&image, &labels, 100_000).unwrap().spacing, [1.0, 0.5, 2.0]);
    }

    #[test]
    fn percentiles_of_counts_are_those_of_the_draws() {
        let sample = Sample::collect(vec![(5.0, 2), (1.0, 3), (5.0, 1), (9.0, 0)]);
        assert_eq!(sample.0, [(1.0, 3), (5.0, 3)]);
        let properties = sample.properties(Precision::Single).unwrap();
        assert_eq!((properties.min, properties.median, properties.max), (1.0, 3.0, 5.0));
        assert_eq!((properties.mean, properties.std), (3.0, 2.0));
    }

    #[test]
    fn a_case_without_foreground_has_no_intensities_and_leaves_the_others_unrounded() {
        let (image, labels) = case(Dimensionality::Three);
        let mut empty = labels.clone();
        empty.voxels.fill(0);
        let merged = |labels: [&Volume<u8>; 2]| {
            let cases = labels.map(|labels| CaseFingerprint::of(&image, labels, 1000).unwrap());
            Fingerprint::merge(cases.to_vec()).unwrap()
        };
        let (both, one) = (merged([&labels, &labels]), merged([&labels, &empty]));
        assert_eq!((both.shapes_after_crop.len(), one.shapes_after_crop.len()), (2, 2));
        let mean = |fingerprint: &Fingerprint| fingerprint.foreground_intensity_properties_per_channel["0"].mean;
        assert_eq!(mean(&both), single(mean(&one)));
        assert_ne!(mean(&both), mean(&one));
    }

    #[test]
    fn voxels_that_are_not_numbers_are_refused() {
        let (mut image, labels) = case(Dimensionality::Three);
        image.voxels[[0, 0, 0, 2]] = f32::NAN;
        let found = CaseFingerprint::of(&image, &labels, 1);
        assert_eq!(found, Err(FingerprintError::NotANumber { channel: 0 }));
    }

    #[test]
    fn a_set_without_foreground_has_no_fingerprint() {
        let (image, mut labels) = case(Dimensionality::Three);
        labels.voxels.fill(0);
        let found = CaseFingerprint::of(&image, &labels, 1).unwrap();
        assert_eq!(Fingerprint::merge(vec![found]), Err(FingerprintError::NoForeground));
        assert_eq!(Fingerprint::merge(Vec::new()), Err(FingerprintError::NoCases));
    }
}
