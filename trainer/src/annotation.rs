//! What the labels of a patch ask of the network's outputs: classes or overlapping regions, and which voxels count.
//!
//! Labels stay one map from the store to the device, and become channels only where a loss or a count needs them.
//! Follows nnU-Net's `LabelManager`, `ConvertSegmentationToRegionsTransform` and the masks of its losses: a voxel
//! belongs to every region that lists its label; a voxel with the ignore label belongs to none, is background among
//! classes, and does not count. Departs in the order: nnU-Net splits a map into regions before it lowers the
//! resolution. Both ask for the label of one voxel, so the result is the same.

use nnunet::dataset::LabelSet;
use tch::{Device, Kind, TchError, Tensor};

/// Outputs of the network and the labels they answer to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Annotation {
    outputs: Outputs,
    ignore: Option<u8>,
    n_labels: usize,
}

/// What the network's outputs stand for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outputs {
    /// Exclusive classes, output `i` for label `i`; the first is background.
    Classes(usize),
    /// For every output, the labels of its region.
    Regions(Vec<Vec<u8>>),
}

impl Annotation {
    /// What a data set's labels ask for.
    pub fn of(labels: &LabelSet) -> Self {
        let highest = labels.structures.iter().flat_map(|structure| &structure.values).chain(&labels.ignore).max();
        let n_labels = highest.map_or(1, |&highest| usize::from(highest) + 1);
        let outputs = if labels.has_regions() {
            Outputs::Regions(labels.structures.iter().map(|structure| structure.values.clone()).collect())
        } else {
            Outputs::Classes(labels.n_outputs())
        };
        Self { outputs, ignore: labels.ignore, n_labels }
    }

    /// Classes 0 to `n_classes - 1`, background first, every voxel annotated.
    pub fn of_classes(n_classes: usize) -> Self {
        Self { outputs: Outputs::Classes(n_classes), ignore: None, n_labels: n_classes }
    }

    /// What the outputs stand for.
    pub fn outputs(&self) -> &Outputs {
        &self.outputs
    }

    /// The label of voxels that do not count.
    pub fn ignore(&self) -> Option<u8> {
        self.ignore
    }

    /// Labels of foreground: 1 to this, the ignore label not counted.
    pub fn n_foreground(&self) -> usize {
        self.n_labels - 1 - usize::from(self.ignore.is_some())
    }

    /// Labels that a voxel may have: 0 and all below this.
    pub fn n_labels(&self) -> usize {
        self.n_labels
    }

    /// Labels `[n, …]` (64-bit) as one channel of zeros and ones per output, `[n, output, …]`.
    ///
    /// # Errors
    ///
    /// libtorch's own, if a label is none of the data set's.
    pub fn channels(&self, labels: &Tensor) -> Result<Tensor, TchError> {
        match &self.outputs {
            Outputs::Classes(n_classes) => {
                let mut shape = labels.size();
                shape.insert(1, extent(*n_classes));
                let classes = match self.counted(labels)? {
                    Some(counted) => labels.f_mul(&counted)?,
                    None => labels.shallow_clone(),
                };
                Tensor::f_zeros(shape, (Kind::Float, labels.device()))?.f_scatter_value_(
                    1,
                    &classes.f_unsqueeze(1)?,
                    1.0,
                )
            }
            Outputs::Regions(regions) => {
                let flat = labels.f_reshape([-1])?;
                let channel = |region: &Vec<u8>| {
                    let members = self.membership(region, labels.device())?;
                    members.f_index_select(0, &flat)?.f_reshape(labels.size())
                };
                let channels = regions.iter().map(channel).collect::<Result<Vec<_>, TchError>>()?;
                Tensor::f_stack(&channels, 1)
            }
        }
    }

    /// One where a voxel of `[n, …]` counts, else zero, as `[n, 1, …]`; `None` where all count.
    ///
    /// # Errors
    ///
    /// libtorch's own.
    pub fn mask(&self, labels: &Tensor) -> Result<Option<Tensor>, TchError> {
        let Some(counted) = self.counted(labels)? else { return Ok(None) };
        counted.f_unsqueeze(1)?.f_to_kind(Kind::Float).map(Some)
    }

    /// Truth per voxel, whether it counts; `None` where all do.
    fn counted(&self, labels: &Tensor) -> Result<Option<Tensor>, TchError> {
        self.ignore.map(|ignore| labels.f_ne(i64::from(ignore))).transpose()
    }

    /// One per label of the region, zero per other.
    fn membership(&self, region: &[u8], device: Device) -> Result<Tensor, TchError> {
        let mut members = vec![0.0_f32; self.n_labels];
        for &label in region {
            members[usize::from(label)] = 1.0;
        }
        Tensor::f_from_slice(&members)?.f_to(device)
    }
}

/// An extent as libtorch counts.
fn extent(extent: usize) -> i64 {
    i64::try_from(extent).expect("a network has few outputs")
}

#[cfg(test)]
mod tests {
    use nnunet::dataset::DatasetJson;

    use super::*;

    fn annotation(labels: &str) -> Annotation {
        let text = format!(
            r#"{{"channel_names":{{"0":"MRI"}},"labels":{labels},"regions_class_order":[1,2],"file_ending":".nii"}}"#
        );
        Annotation::of(&DatasetJson::parse(&text).unwrap().structures().unwrap())
    }

    fn check(labels: &str, map: &[i64], channels: &[&[f32]], mask: Option<&[f32]>) {
        let annotation = annotation(labels);
        let map = Tensor::from_slice(map).unsqueeze(0);
        let expected =
            Tensor::stack(&channels.iter().map(|channel| Tensor::from_slice(channel)).collect::<Vec<_>>(), 0);
        assert_eq!(annotation.channels(&map).unwrap(), expected.unsqueeze(0), "{labels}");
        let expected = mask.map(|mask| Tensor::from_slice(mask).reshape([1, 1, -1]));
        assert_eq!(annotation.mask(&map).unwrap(), expected, "{labels}");
    }

    #[test]
    fn a_voxel_belongs_to_its_class() {
        check(r#"{"background":0,"a":1}"#, &[0, 1, 1], &[&[1.0, 0.0, 0.0], &[0.0, 1.0, 1.0]], None);
    }

    #[test]
    fn a_voxel_belongs_to_every_region_that_lists_its_label() {
        let channels: [&[f32]; 2] = [&[0.0, 1.0, 1.0], &[0.0, 0.0, 1.0]];
        check(r#"{"background":0,"whole":[1,2],"core":2}"#, &[0, 1, 2], &channels, None);
    }

    #[test]
    fn what_is_ignored_is_background_or_in_no_region_and_does_not_count() {
        let classes: [&[f32]; 2] = [&[1.0, 0.0, 1.0], &[0.0, 1.0, 0.0]];
        check(r#"{"background":0,"a":1,"ignore":2}"#, &[0, 1, 2], &classes, Some(&[1.0, 1.0, 0.0]));
        let regions: [&[f32]; 2] = [&[1.0, 1.0, 0.0], &[0.0, 1.0, 0.0]];
        let labels = r#"{"background":0,"whole":[1,2],"core":2,"ignore":3}"#;
        check(labels, &[1, 2, 3], &regions, Some(&[1.0, 1.0, 0.0]));
        assert_eq!(annotation(labels).n_labels(), 4);
        assert_eq!(annotation(labels).ignore(), Some(3));
        assert_eq!(annotation(labels).n_foreground(), 2);
    }
}
