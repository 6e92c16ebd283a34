//! Turning a volume moves no voxel in the world, and turning back undoes it, for all 48 orientations.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(clippy::float_cmp, reason = "flips and permutations of whole numbers are exact")]

mod nifti_bytes;

use imaging::orientation::{AxisCodes, OrientationError, reorient, reorient_image};
use imaging::{Dimensionality, Geometry, Spacing, Volume, nifti};
use ndarray::Array3;
use nifti_bytes::Header;
use proptest::prelude::*;

/// Reads what `header` describes, with voxels numbered in the order of the file.
fn volume(header: &Header) -> Volume<u8> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.nii");
    let n_voxels = header.dim.iter().product::<i64>();
    let voxels: Vec<u8> = (0..n_voxels).map(|index| u8::try_from(index).unwrap()).collect();
    fs_err::write(&path, header.file(&voxels)).unwrap();
    nifti::read_labels(&path).unwrap()
}

/// World position of every voxel, by the voxel's value, which is unique.
fn positions(volume: &Volume<u8>) -> Vec<[f64; 3]> {
    let affine = volume.geometry.affine();
    let mut positions = vec![[f64::NAN; 3]; volume.voxels.len()];
    for ((z, y, x), &value) in volume.voxels.indexed_iter() {
        let voxel = [x as f64, y as f64, z as f64, 1.0];
        positions[usize::from(value)] = std::array::from_fn(|row| (0..4).map(|i| affine[row][i] * voxel[i]).sum());
    }
    positions
}

fn check(header: &Header, allowed_mm: f64) {
    let original = volume(header);
    let codes = AxisCodes::of(&original.geometry).unwrap();
    let expected = positions(&original);
    for target in AxisCodes::all() {
        let turned = reorient(&original, target).unwrap();
        assert_eq!(AxisCodes::of(&turned.geometry).unwrap(), target);
        for (found, expected) in positions(&turned).iter().zip(&expected) {
            for (found, expected) in found.iter().zip(expected) {
                assert!((found - expected).abs() <= allowed_mm, "{target}: {found} instead of {expected}");
            }
        }
        check_file(&turned, header);
        let back = reorient(&turned, codes).unwrap();
        assert_eq!(back.voxels, original.voxels, "{target} and back");
        assert_eq!(back.geometry.same_grid(&original.geometry), Ok(()), "{target} and back");
        assert_eq!(back.geometry.spacing(), original.geometry.spacing());
    }
}

/// The turned header says what the turned affine says, as far as the reals of its file go.
fn check_file(turned: &Volume<u8>, header: &Header) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.nii");
    nifti::write_labels(&path, turned).unwrap();
    let read = nifti::read_labels(&path).unwrap();
    assert_eq!(read.voxels, turned.voxels);
    let allowed_mm = allowed_of_file(turned, header);
    for (found, expected) in positions(&read).iter().zip(&positions(turned)) {
        for (found, expected) in found.iter().zip(expected) {
            assert!((found - expected).abs() <= allowed_mm, "{found} instead of {expected}: {header:?}");
        }
    }
}

/// What a file may lose: a little by the 32-bit reals of its header, and more where only the q-form speaks. A q-form
/// stores `(b, c, d)` of a unit quaternion, and NIfTI-1 takes `a = √(1 − b² − c² − d²)` as 0 where its square is below
/// 1e-7: near half a turn, that turns a volume by up to 2·√1e-7.
fn allowed_of_file(turned: &Volume<u8>, header: &Header) -> f64 {
    let [z, y, x] = turned.geometry.spacing().zyx();
    let by_rounding = 1e-3 * z.min(y).min(x);
    if header.qform_code == 0 || header.sform_code > 0 {
        return by_rounding;
    }
    let shape = turned.geometry.shape().map(|extent| extent as f64);
    let diagonal_mm = (shape[0] * z).hypot(shape[1] * y).hypot(shape[2] * x);
    by_rounding + 2.0 * 1e-7_f64.sqrt() * diagonal_mm
}

fn real_header(version: u8, codes: [i16; 2], turns: [f64; 3], mirrored: bool) -> Header {
    let [qform_code, sform_code] = codes;
    let [a, b, c] = turns;
    // A rotation about z, sheared a little, which only an s-form can say.
    let srow = [
        [0.7 * a.cos(), -1.1 * a.sin(), 0.1, 10.0 * b],
        [0.7 * a.sin(), 1.1 * a.cos(), 0.0, -20.0],
        [0.05, 0.0, if mirrored { -2.5 } else { 2.5 }, 30.0 * c],
    ];
    Header {
        version,
        dim: vec![4, 3, 5],
        pixdim: [if mirrored { -1.0 } else { 1.0 }, 0.7, 1.1, 2.5],
        qform_code,
        sform_code,
        quaternion: [0.4 * a.sin(), 0.4 * b.sin(), 0.4 * c.cos()],
        offset: [10.0 * a, -20.0 * b, 30.0 * c],
        srow,
        ..Header::default()
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn every_voxel_keeps_its_place_and_turning_back_undoes(
        version in 1_u8..=2,
        codes in prop_oneof![Just([1_i16, 0_i16]), Just([0, 2]), Just([1, 4]), Just([0, 0])],
        turns in proptest::array::uniform3(-3.0_f64..3.0),
        mirrored in any::<bool>(),
    ) {
        check(&real_header(version, codes, turns, mirrored), 1e-9);
    }

    #[test]
    fn with_whole_numbers_turning_back_is_exact(
        order in 0_usize..6,
        signs in proptest::array::uniform3(prop_oneof![Just(-1.0), Just(1.0)]),
        offset in proptest::array::uniform3(-50_i32..50),
    ) {
        let orders = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]];
        let mut srow = [[0.0; 4]; 3];
        for row in 0..3 {
            srow[row][orders[order][row]] = signs[row] * 0.5 * f64::from(u8::try_from(row + 1).unwrap());
            srow[row][3] = f64::from(offset[row]);
        }
        let pixdim = std::array::from_fn(|axis| if axis == 0 { 1.0 } else { srow.iter().map(|r| r[axis - 1].abs()).sum() });
        let header = Header { dim: vec![4, 3, 5], sform_code: 1, srow, pixdim, ..Header::default() };
        let original = volume(&header);
        let codes = AxisCodes::of(&original.geometry).unwrap();
        for target in AxisCodes::all() {
            let back = reorient(&reorient(&original, target).unwrap(), codes).unwrap();
            prop_assert_eq!(&back, &original);
        }
    }
}

#[test]
fn near_half_a_turn_a_q_form_loses_no_more_than_its_standard_allows() {
    let turns = [2.148_600_294_771_927_4, 0.000_936_348_857_9, -1.175_410_657_470_501_9];
    check(&real_header(1, [1, 0], turns, true), 1e-9);
}

#[test]
fn a_line_from_left_to_right_is_read_backwards_as_las() {
    let header = Header { dim: vec![3, 1, 1], sform_code: 1, srow: diagonal([2.0, 1.0, 1.0]), ..Header::default() };
    let turned = reorient(&volume(&header), "LAS".parse().unwrap()).unwrap();
    assert_eq!(turned.voxels.into_raw_vec_and_offset().0, [2, 1, 0]);
    assert_eq!(turned.geometry.affine()[0], [-2.0, 0.0, 0.0, 4.0]);
}

#[test]
fn axes_change_places_with_their_extents_and_spacing() {
    let spacing = Spacing::new([3.0, 2.0, 1.0]).unwrap();
    let geometry = Geometry::axis_aligned([4, 3, 2], spacing, Dimensionality::Three);
    let volume = Volume { voxels: Array3::from_shape_fn((4, 3, 2), |voxel| voxel), geometry };
    // The new x runs as the old z, y as the old x, z as the old y.
    let turned = reorient(&volume, "SRA".parse().unwrap()).unwrap();
    assert_eq!(turned.geometry.shape(), [3, 2, 4]);
    assert_eq!(turned.geometry.spacing().zyx(), [2.0, 1.0, 3.0]);
    assert_eq!(turned.voxels[[2, 1, 3]], (3, 2, 1));
}

#[test]
fn all_channels_of_an_image_turn_alike() {
    let header = Header { dim: vec![3, 2, 1], sform_code: 1, srow: diagonal([1.0; 3]), ..Header::default() };
    let folder = tempfile::tempdir().unwrap();
    let paths = ["a.nii", "b.nii"].map(|name| folder.path().join(name));
    for (path, start) in paths.iter().zip([0, 10]) {
        fs_err::write(path, header.file(&(start..start + 6).collect::<Vec<u8>>())).unwrap();
    }
    let image = nifti::read_image(&paths).unwrap();
    let turned = reorient_image(&image, "PLS".parse().unwrap()).unwrap();
    assert_eq!(turned.voxels.shape(), [2, 1, 3, 2]);
    let values = turned.voxels.into_raw_vec_and_offset().0;
    assert_eq!(values, [5.0, 2.0, 4.0, 1.0, 3.0, 0.0, 15.0, 12.0, 14.0, 11.0, 13.0, 10.0]);
}

#[test]
fn a_flat_volume_stays_in_its_plane() {
    let header = Header { dim: vec![3, 2], sform_code: 1, srow: diagonal([1.0; 3]), ..Header::default() };
    let flat = volume(&header);
    assert_eq!(reorient(&flat, "LPS".parse().unwrap()).unwrap().geometry.dimensionality(), Dimensionality::Two);
    for target in ["RAI", "SAR"] {
        let target = target.parse().unwrap();
        assert_eq!(reorient(&flat, target), Err(OrientationError::Flat { codes: AxisCodes::RAS, target }));
    }
}

#[test]
fn an_affine_that_flattens_has_no_codes() {
    for srow in [diagonal([1.0, 1.0, 0.0]), [[1.0, 1.0, 0.0, 0.0], [1.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0]]] {
        let flattened = volume(&Header { dim: vec![2, 2, 2], sform_code: 1, srow, ..Header::default() });
        assert_eq!(AxisCodes::of(&flattened.geometry), Err(OrientationError::Degenerate));
        assert_eq!(reorient(&flattened, AxisCodes::RAS), Err(OrientationError::Degenerate));
    }
}

#[test]
fn codes_are_those_of_nibabel() {
    let cases: serde_json::Value = serde_json::from_str(include_str!("golden/orientation/codes.json")).unwrap();
    let cases = cases.as_array().unwrap();
    assert_eq!(cases.len(), 159);
    for case in cases {
        let srow =
            std::array::from_fn(|row| std::array::from_fn(|column| case["affine"][row][column].as_f64().unwrap()));
        // NIfTI-2 keeps all digits.
        let header = Header { version: 2, dim: vec![1, 1, 1], sform_code: 1, srow, ..Header::default() };
        let codes = AxisCodes::of(&volume(&header).geometry).unwrap().to_string();
        assert_eq!(codes, case["codes"].as_str().unwrap(), "{srow:?}");
    }
}

fn diagonal([x, y, z]: [f64; 3]) -> [[f64; 4]; 3] {
    [[x, 0.0, 0.0, 0.0], [0.0, y, 0.0, 0.0], [0.0, 0.0, z, 0.0]]
}
