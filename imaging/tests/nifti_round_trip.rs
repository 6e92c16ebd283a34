//! What is written is read back: labels, maps, geometry, bytes.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use imaging::nifti::{self, NiftiError};
use imaging::{Dimensionality, Geometry, Spacing, Volume};
use ndarray::Array3;
use proptest::prelude::*;

fn volume<T: Clone>(shape: [usize; 3], dimensionality: Dimensionality, voxels: Vec<T>) -> Volume<T> {
    let spacing = Spacing::new([if dimensionality == Dimensionality::Two { 1.0 } else { 2.5 }, 0.5, 0.75]).unwrap();
    Volume {
        voxels: Array3::from_shape_vec(shape, voxels).unwrap(),
        geometry: Geometry::axis_aligned(shape, spacing, dimensionality),
    }
}

fn check(name: &str, labels: &Volume<u8>) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    nifti::write_labels(&path, labels).unwrap();
    assert_eq!(&nifti::read_labels(&path).unwrap(), labels);
    let image = nifti::read_image(&[&path]).unwrap();
    assert_eq!(image.geometry, labels.geometry);
    assert!(
        image.voxels.iter().zip(&labels.voxels).all(|(value, &label)| value.to_bits() == f32::from(label).to_bits())
    );
    let left_over: Vec<_> = fs_err::read_dir(folder.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(left_over, [name], "no temporary file stays");
}

proptest! {
    #[test]
    fn labels_and_their_grid_survive_a_file(
        (shape, voxels) in (1_usize..5, 1_usize..6, 1_usize..7).prop_flat_map(|(z, y, x)| {
            (Just([z, y, x]), proptest::collection::vec(any::<u8>(), z * y * x))
        }),
        compressed in any::<bool>(),
    ) {
        let name = if compressed { "case.1.nii.gz" } else { "case.1.nii" };
        check(name, &volume(shape, Dimensionality::Three, voxels));
    }
}

#[test]
fn a_file_without_z_axis_stays_one() {
    check("flat.nii.gz", &volume([1, 2, 3], Dimensionality::Two, vec![0, 1, 2, 3, 4, 255]));
}

#[test]
fn an_extent_beyond_16_bits_is_written_as_nifti_2() {
    let extent = 40_000;
    let labels = volume([1, 1, extent], Dimensionality::Three, vec![7_u8; extent]);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("long.nii");
    nifti::write_labels(&path, &labels).unwrap();
    assert_eq!(fs_err::read(&path).unwrap()[..4], 540_u32.to_le_bytes());
    let read = nifti::read_labels(&path).unwrap();
    assert_eq!(read.voxels, labels.voxels);
    assert_eq!(read.geometry.affine(), labels.geometry.affine());
}

#[test]
fn maps_keep_every_bit() {
    let values = vec![0.0, -0.0, 1.5e-40, f32::MAX, -1.0 / 3.0, 7.25];
    let map = volume([1, 2, 3], Dimensionality::Three, values.clone());
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("map.nii.gz");
    nifti::write_map(&path, &map).unwrap();
    let read: Vec<_> = nifti::read_image(&[&path]).unwrap().voxels.iter().map(|v| v.to_bits()).collect();
    assert_eq!(read, values.iter().map(|v| v.to_bits()).collect::<Vec<_>>());
}

#[test]
fn intensities_are_stored_as_integers_of_16_bits() {
    let values = [i16::MIN, -1024, 0, 1, 3071, i16::MAX];
    let scan = volume([1, 2, 3], Dimensionality::Three, values.to_vec());
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("scan.nii");
    nifti::write_intensities(&path, &scan).unwrap();
    assert_eq!(fs_err::metadata(&path).unwrap().len(), 352 + 2 * 6);
    let read: Vec<_> = nifti::read_image(&[&path]).unwrap().voxels.into_iter().collect();
    assert_eq!(read, values.map(f32::from));
}

#[test]
fn the_same_labels_give_the_same_bytes() {
    let labels = volume([2, 2, 2], Dimensionality::Three, vec![1; 8]);
    let folder = tempfile::tempdir().unwrap();
    let [first, second] = ["a.nii.gz", "b.nii.gz"].map(|name| folder.path().join(name));
    nifti::write_labels(&first, &labels).unwrap();
    nifti::write_labels(&second, &labels).unwrap();
    assert_eq!(fs_err::read(first).unwrap(), fs_err::read(second).unwrap());
}

#[test]
fn channels_are_stacked_and_must_share_a_grid() {
    let folder = tempfile::tempdir().unwrap();
    let [first, second, other] = ["0.nii", "1.nii", "other.nii"].map(|name| folder.path().join(name));
    nifti::write_labels(&first, &volume([1, 1, 2], Dimensionality::Three, vec![1, 2])).unwrap();
    nifti::write_labels(&second, &volume([1, 1, 2], Dimensionality::Three, vec![3, 4])).unwrap();
    nifti::write_labels(&other, &volume([1, 2, 1], Dimensionality::Three, vec![3, 4])).unwrap();
    let image = nifti::read_image(&[&first, &second]).unwrap();
    assert_eq!(image.voxels.into_raw_vec_and_offset().0, [1.0, 2.0, 3.0, 4.0]);
    match nifti::read_image(&[&first, &other]) {
        Err(NiftiError::Grid { first: a, second: b, .. }) => assert_eq!((a, b), (first, other)),
        found => panic!("expected a grid error, found {found:?}"),
    }
    let none: [&std::path::Path; 0] = [];
    assert!(matches!(nifti::read_image(&none), Err(NiftiError::NoChannels)));
}

#[test]
fn a_refused_write_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let labels = volume([1, 1, 1], Dimensionality::Three, vec![1_u8]);
    for name in ["labels.nrrd", ".nii.gz", "labels", "labels.hdr", "labels.img"] {
        let error = nifti::write_labels(&folder.path().join(name), &labels).unwrap_err();
        assert!(matches!(error, NiftiError::Extension { .. }), "{name}: {error}");
    }
    let error = nifti::write_labels(&folder.path().join("no/such/folder.nii"), &labels).unwrap_err();
    assert!(matches!(error, NiftiError::Write { .. }));
    // A folder of that name: everything is written, then the rename fails.
    fs_err::create_dir_all(folder.path().join("taken.nii").join("x")).unwrap();
    let error = nifti::write_labels(&folder.path().join("taken.nii"), &labels).unwrap_err();
    assert!(matches!(error, NiftiError::Write { .. }));
    assert_eq!(fs_err::read_dir(folder.path()).unwrap().count(), 1);
}
