//! What a stage of a cascade sees of the one before it: a channel per foreground label, 1 inside, 0 elsewhere.
//!
//! Follows nnU-Net's `convert_labelmap_to_one_hot`, whose channels come behind those of the image. Departs in refusing a
//! label that the data set has not, which there is in no channel.

use ndarray::{Array4, ArrayView3, Axis, Zip, s};

use crate::dataset::LabelSet;

/// Puts the segmentation `[z, y, x]` of the previous stage behind the channels of an image `[channel, z, y, x]`. What lies
/// below 1 is in no channel.
///
/// # Errors
///
/// [`UnknownLabel`], the first that is no foreground label.
///
/// # Panics
///
/// If the segmentation has not the extents of the image.
pub fn append<L: Copy + Into<i16>>(
    image: &Array4<f32>,
    segmentation: &ArrayView3<'_, L>,
    labels: &LabelSet,
) -> Result<Array4<f32>, UnknownLabel> {
    let foreground = labels.foreground();
    let is_known = |label: i16| label < 1 || foreground.iter().any(|&known| i16::from(known) == label);
    if let Some(found) = segmentation.iter().map(|&label| label.into()).find(|&label| !is_known(label)) {
        return Err(UnknownLabel { found, foreground });
    }
    let (n_channels, z, y, x) = image.dim();
    let mut whole = Array4::zeros((n_channels + foreground.len(), z, y, x));
    whole.slice_mut(s![..n_channels, .., .., ..]).assign(image);
    for (channel, &wanted) in whole.axis_iter_mut(Axis(0)).skip(n_channels).zip(&foreground) {
        let wanted = i16::from(wanted);
        Zip::from(channel)
            .and(segmentation)
            .for_each(|value, &label| *value = f32::from(u8::from(label.into() == wanted)));
    }
    Ok(whole)
}

/// A label of the previous stage's segmentation that is no foreground label of the data set.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the previous stage's segmentation has label {found}, expected 0 or one of {foreground:?}")]
pub struct UnknownLabel {
    /// The label.
    pub found: i16,
    /// Foreground labels of the data set.
    pub foreground: Vec<u8>,
}

#[cfg(test)]
mod tests {
    use ndarray::{arr3, array};

    use super::*;
    use crate::dataset::DatasetJson;

    fn labels() -> LabelSet {
        let text = r#"{"channel_names":{"0":"CT"},"labels":{"background":0,"whole":[1,2],"core":2},
            "regions_class_order":[1,2],"file_ending":".nii"}"#;
        DatasetJson::parse(text).unwrap().structures().unwrap()
    }

    #[test]
    fn labels_become_channels_behind_those_of_the_image() {
        let image = Array4::from_elem((1, 1, 1, 4), 0.5);
        let whole = append(&image, &arr3(&[[[0_i16, 2, 1, -1]]]).view(), &labels()).unwrap();
        assert_eq!(whole, array![[[[0.5, 0.5, 0.5, 0.5]]], [[[0.0, 0.0, 1.0, 0.0]]], [[[0.0, 1.0, 0.0, 0.0]]]]);
    }

    #[test]
    fn a_label_that_is_no_foreground_is_refused() {
        let image = Array4::zeros((1, 1, 1, 2));
        let error = append(&image, &arr3(&[[[1_u8, 3]]]).view(), &labels()).unwrap_err();
        assert_eq!(error.to_string(), "the previous stage's segmentation has label 3, expected 0 or one of [1, 2]");
    }
}
