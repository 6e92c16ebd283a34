//! Broken and hostile files end in an error that names the reason, never in a panic or a huge allocation.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use imaging::nifti::{self, HeaderError, NiftiError, VoxelError};
use proptest::prelude::*;

/// A NIfTI-1 file of 3×2×1 bytes, 1 to 6, little-endian.
fn sound() -> Vec<u8> {
    let mut bytes = vec![0; 352];
    put(&mut bytes, 0, &348_i32.to_le_bytes());
    for (index, extent) in [3_i16, 3, 2, 1, 1, 1, 1, 1].into_iter().enumerate() {
        put(&mut bytes, 40 + 2 * index, &extent.to_le_bytes());
    }
    put(&mut bytes, 70, &2_i16.to_le_bytes());
    for index in 0..8 {
        put(&mut bytes, 76 + 4 * index, &1_f32.to_le_bytes());
    }
    put(&mut bytes, 108, &352_f32.to_le_bytes());
    put(&mut bytes, 344, b"n+1\0");
    bytes.extend(1..=6);
    bytes
}

fn put(bytes: &mut [u8], offset: usize, field: &[u8]) {
    bytes[offset..offset + field.len()].copy_from_slice(field);
}

fn read(bytes: &[u8]) -> Result<Vec<f32>, NiftiError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("image.nii");
    fs_err::write(&path, bytes).unwrap();
    nifti::read_image(&[&path]).map(|image| image.voxels.into_raw_vec_and_offset().0)
}

/// Changes one field and expects the header to be refused for that reason.
#[expect(clippy::needless_pass_by_value, reason = "the calls read better without a borrow")]
fn check(offset: usize, field: &[u8], expected: HeaderError) {
    let mut bytes = sound();
    put(&mut bytes, offset, field);
    match read(&bytes) {
        Err(NiftiError::Header { source, .. }) => assert_eq!(source, expected),
        found => panic!("expected {expected:?}, found {found:?}"),
    }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn the_sound_file_is_read_plain_and_compressed() {
    let expected: Vec<f32> = (1_u8..=6).map(f32::from).collect();
    assert_eq!(read(&sound()).unwrap(), expected);
    assert_eq!(read(&gzip(&sound())).unwrap(), expected);
}

#[test]
fn fields_out_of_range_are_named() {
    check(0, &7_i32.to_le_bytes(), HeaderError::NotNifti);
    check(344, b"n+9\0", HeaderError::NotNifti);
    check(40, &0_i16.to_le_bytes(), HeaderError::Rank { axes: 0 });
    check(40, &8_i16.to_le_bytes(), HeaderError::Rank { axes: 8 });
    check(40, &(-3_i16).to_le_bytes(), HeaderError::Rank { axes: -3 });
    check(42, &(-1_i16).to_le_bytes(), HeaderError::Extent { axis: 1, extent: -1, limit: 65535 });
    check(44, &0_i16.to_le_bytes(), HeaderError::Extent { axis: 2, extent: 0, limit: 65535 });
    check(70, &32_i16.to_le_bytes(), HeaderError::Datatype { code: 32 });
    check(70, &128_i16.to_le_bytes(), HeaderError::Datatype { code: 128 });
    check(108, &0_f32.to_le_bytes(), HeaderError::VoxOffset { offset: 0.0, least: 352 });
    check(108, &352.5_f32.to_le_bytes(), HeaderError::VoxOffset { offset: 352.5, least: 352 });
    check(108, &1e30_f32.to_le_bytes(), HeaderError::VoxOffset { offset: f64::from(1e30_f32), least: 352 });
    let scaled = [2_f32.to_le_bytes(), f32::NAN.to_le_bytes()].concat();
    check(112, &scaled, HeaderError::Intercept);
}

#[test]
fn voxels_in_a_file_of_their_own_are_asked_for_by_name() {
    let mut bytes = sound();
    put(&mut bytes, 344, b"ni1\0");
    match read(&bytes) {
        Err(NiftiError::Header { path, source: HeaderError::Detached { voxels } }) => {
            assert_eq!(voxels, path.with_file_name("image.img"));
        }
        found => panic!("expected a missing file, found {found:?}"),
    }
}

#[test]
fn a_transform_must_be_finite_and_a_spacing_positive() {
    let mut bytes = sound();
    put(&mut bytes, 254, &1_i16.to_le_bytes());
    put(&mut bytes, 280, &f32::INFINITY.to_le_bytes());
    assert!(matches!(read(&bytes), Err(NiftiError::Header { source: HeaderError::Affine, .. })));
    for bad in [0.0_f32, f32::NAN, f32::INFINITY] {
        let mut bytes = sound();
        put(&mut bytes, 80, &bad.to_le_bytes());
        assert!(matches!(read(&bytes), Err(NiftiError::Header { source: HeaderError::Spacing(_), .. })), "{bad}");
    }
}

#[test]
fn a_file_cut_anywhere_is_an_error() {
    let bytes = sound();
    for length in 0..bytes.len() {
        assert!(matches!(read(&bytes[..length]), Err(NiftiError::Header { .. })), "{length} bytes");
    }
    let compressed = gzip(&bytes);
    for length in 0..compressed.len() {
        assert!(read(&compressed[..length]).is_err(), "{length} compressed bytes");
    }
}

#[test]
fn a_changed_checksum_is_noticed() {
    let mut compressed = gzip(&sound());
    let checksum = compressed.len() - 8;
    compressed[checksum] ^= 1;
    assert!(matches!(read(&compressed), Err(NiftiError::Read { .. })));
}

#[test]
fn a_small_file_cannot_ask_for_a_huge_volume() {
    let mut bytes = sound();
    for axis in 1..=3 {
        put(&mut bytes, 40 + 2 * axis, &32767_i16.to_le_bytes());
    }
    for file in [bytes.clone(), gzip(&bytes)] {
        match read(&file) {
            Err(NiftiError::Header { source: HeaderError::TooLarge { declared, .. }, .. }) => {
                assert_eq!(declared, 32767_u64.pow(3));
            }
            found => panic!("expected too large, found {found:?}"),
        }
    }
}

#[test]
fn inflation_stops_where_the_header_says() {
    let mut bomb = sound();
    bomb.resize(bomb.len() + (64 << 20), 0);
    assert_eq!(read(&gzip(&bomb)).unwrap().len(), 6);
}

#[test]
fn a_value_that_is_not_finite_is_named_by_its_voxel() {
    let mut bytes = sound();
    put(&mut bytes, 70, &16_i16.to_le_bytes());
    bytes.truncate(352);
    for value in [1.0, 2.0, 3.0, 4.0, f32::NAN, 6.0] {
        bytes.extend(value.to_le_bytes());
    }
    match read(&bytes) {
        Err(NiftiError::Voxels { source: VoxelError::NotFinite { voxel, .. }, .. }) => assert_eq!(voxel, [0, 1, 1]),
        found => panic!("expected a voxel error, found {found:?}"),
    }
}

#[test]
fn a_soft_label_is_no_label() {
    let mut bytes = sound();
    put(&mut bytes, 112, &0.5_f32.to_le_bytes());
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("labels.nii");
    fs_err::write(&path, &bytes).unwrap();
    match nifti::read_labels(&path) {
        Err(NiftiError::Voxels { source: VoxelError::NotALabel { voxel, value }, .. }) => {
            assert_eq!((voxel, value), ([0, 0, 0], 0.5));
        }
        found => panic!("expected a voxel error, found {found:?}"),
    }
}

proptest! {
    #[test]
    fn no_bytes_make_the_reader_panic(changes in proptest::collection::vec((0_usize..358, any::<u8>()), 1..12)) {
        let mut bytes = sound();
        for (offset, value) in changes {
            bytes[offset] = value;
        }
        let _ = read(&bytes);
    }

    #[test]
    fn noise_is_never_an_image(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        prop_assert!(read(&bytes).is_err());
    }
}
