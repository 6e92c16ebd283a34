//! A file of several volumes becomes one file per volume, stored as it was, or an error.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::Write;
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;
use imaging::Spacing;
use imaging::nifti::{self, HeaderError, NiftiError, Volumes};

/// Byte order and header of a file to make.
#[derive(Clone, Copy)]
enum Kind {
    One,
    OneBigEndian,
    Two,
}

/// A file of `n` volumes of 3×2×1 shorts, volume `v` holding 10·v + 1 to 10·v + 6, scaled by a half; behind an
/// extension of 16 bytes.
fn sound(kind: Kind, n: i16) -> Vec<u8> {
    let (size, dim, datatype, pixdim, offset, slope, magic): (u16, usize, _, _, _, _, &[u8]) = match kind {
        Kind::Two => (540, 16, 12, 104, 168, 176, b"n+2\0\r\n\x1a\n"),
        _ => (348, 40, 70, 76, 108, 112, b"n+1\0"),
    };
    let order = |mut field: Vec<u8>| {
        if matches!(kind, Kind::OneBigEndian) {
            field.reverse();
        }
        field
    };
    let real = |value: f32| match kind {
        Kind::Two => f64::from(value).to_le_bytes().to_vec(),
        _ => order(value.to_le_bytes().to_vec()),
    };
    let mut bytes = vec![0; usize::from(size) + 4 + 16];
    let mut put = |offset: usize, field: &[u8]| bytes[offset..offset + field.len()].copy_from_slice(field);
    put(0, &order(u32::from(size).to_le_bytes().to_vec()));
    for (index, extent) in [4, 3, 2, 1, n, 1, 1, 1].into_iter().enumerate() {
        match kind {
            Kind::Two => put(dim + 8 * index, &i64::from(extent).to_le_bytes()),
            _ => put(dim + 2 * index, &order(extent.to_le_bytes().to_vec())),
        }
    }
    put(datatype, &order(4_i16.to_le_bytes().to_vec()));
    for index in 0..8 {
        let width = real(0.0).len();
        put(pixdim + width * index, &real(1.0 + index as f32));
    }
    match kind {
        Kind::Two => put(offset, &560_i64.to_le_bytes()),
        _ => put(offset, &real(368.0)),
    }
    put(slope, &real(0.5));
    put(if matches!(kind, Kind::Two) { 4 } else { 344 }, magic);
    put(usize::from(size), &[1, 0, 0, 0]);
    for volume in 0..n {
        for voxel in 1..=6 {
            bytes.extend(order((10 * volume + voxel).to_le_bytes().to_vec()));
        }
    }
    bytes
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn split(folder: &Path, bytes: &[u8], n_targets: usize) -> Result<Vec<PathBuf>, NiftiError> {
    let path = folder.join("source.nii");
    fs_err::write(&path, bytes).unwrap();
    let targets: Vec<_> = (0..n_targets).map(|i| folder.join(format!("x_{i:04}.nii.gz"))).collect();
    Volumes::open(&path)?.write(&targets)?;
    Ok(targets)
}

fn check(bytes: &[u8]) {
    let folder = tempfile::tempdir().unwrap();
    let targets = split(folder.path(), bytes, 3).unwrap();
    for (volume, target) in targets.iter().enumerate() {
        let image = nifti::read_image(&[target]).unwrap();
        let expected: Vec<f32> = (1..=6).map(|voxel| 0.5 * (10 * volume + voxel) as f32).collect();
        assert_eq!(image.voxels.as_slice().unwrap(), expected);
        assert_eq!(image.geometry.shape(), [1, 2, 3]);
        assert_eq!(image.geometry.spacing(), Spacing::new([4.0, 3.0, 2.0]).unwrap());
    }
    assert_eq!(fs_err::read_dir(folder.path()).unwrap().count(), 4, "no temporary file stays");
}

#[test]
fn volumes_come_out_one_by_one_from_every_layout() {
    for kind in [Kind::One, Kind::OneBigEndian, Kind::Two] {
        check(&sound(kind, 3));
        check(&gzip(&sound(kind, 3)));
    }
}

#[test]
fn stored_bytes_and_all_other_fields_are_copied() {
    let folder = tempfile::tempdir().unwrap();
    let source = sound(Kind::OneBigEndian, 2);
    let path = folder.path().join("source.nii");
    fs_err::write(&path, &source).unwrap();
    let targets = ["a.nii", "b.nii"].map(|name| folder.path().join(name));
    Volumes::open(&path).unwrap().write(&targets).unwrap();
    let second = fs_err::read(&targets[1]).unwrap();
    assert_eq!(second[352..], source[368 + 12..]);
    // Only `dim[0]`, `dim[4]`, `vox_offset` and the extension flag differ.
    let changed: Vec<_> = (0..352).filter(|&i| second[i] != source[i]).collect();
    assert_eq!(changed, [41, 49, 109, 348]);
}

#[test]
fn a_file_of_three_axes_is_one_volume() {
    let folder = tempfile::tempdir().unwrap();
    let mut bytes = sound(Kind::One, 1);
    bytes[40] = 3;
    let path = folder.path().join("source.nii");
    fs_err::write(&path, &bytes).unwrap();
    let volumes = Volumes::open(&path).unwrap();
    assert_eq!((volumes.n_axes(), volumes.n_volumes()), (3, 1));
}

#[test]
fn another_number_of_volumes_than_asked_for_writes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let error = split(folder.path(), &sound(Kind::One, 3), 2).unwrap_err();
    assert!(matches!(error, NiftiError::VolumeCount { found: 3, expected: 2, .. }), "{error:?}");
    assert_eq!(fs_err::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn a_damaged_source_never_leaves_all_of_its_volumes() {
    let whole = gzip(&sound(Kind::One, 3));
    let mut wrong_checksum = whole.clone();
    let at = wrong_checksum.len() - 6;
    wrong_checksum[at] ^= 1;
    for bytes in [&whole[..whole.len() - 9], &wrong_checksum] {
        let folder = tempfile::tempdir().unwrap();
        let error = split(folder.path(), bytes, 3).unwrap_err();
        assert!(error.to_string().contains("source.nii"), "{error}");
        assert!(!folder.path().join("x_0002.nii.gz").exists());
    }
}

#[test]
fn hostile_headers_are_refused_before_anything_is_written() {
    let refuse = |change: &dyn Fn(&mut Vec<u8>), expected: &dyn Fn(&HeaderError) -> bool| {
        let folder = tempfile::tempdir().unwrap();
        let mut bytes = sound(Kind::One, 3);
        change(&mut bytes);
        match split(folder.path(), &bytes, 3) {
            Err(NiftiError::Header { source, .. }) => assert!(expected(&source), "{source:?}"),
            found => panic!("{found:?}"),
        }
        assert_eq!(fs_err::read_dir(folder.path()).unwrap().count(), 1);
    };
    refuse(&|bytes| bytes.truncate(100), &|e| *e == HeaderError::NotNifti);
    refuse(&|bytes| bytes[49] = 127, &|e| matches!(e, HeaderError::Extent { axis: 4, .. }));
    refuse(&|bytes| bytes[48] = 0, &|e| matches!(e, HeaderError::Extent { axis: 4, extent: 0, .. }));
    refuse(&|bytes| bytes[49] = 1, &|e| matches!(e, HeaderError::TooLarge { declared: 3108, available: 36 }));
    refuse(
        &|bytes| {
            bytes[40] = 5;
            bytes[50] = 2;
        },
        &|e| matches!(e, HeaderError::Extent { axis: 5, extent: 2, limit: 1 }),
    );
    refuse(&|bytes| bytes[345] = b'i', &|e| matches!(e, HeaderError::Pair { .. }));
}

#[test]
fn a_scan_hands_over_every_value_even_if_it_is_not_finite() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("source.nii");
    let mut bytes = sound(Kind::One, 1);
    bytes[70] = 16;
    bytes.truncate(368);
    bytes.extend([1.0, f32::NAN, 3.0, f32::INFINITY, 5.0, 6.0].iter().flat_map(|value| value.to_le_bytes()));
    fs_err::write(&path, &bytes).unwrap();
    let mut seen = Vec::new();
    let geometry = nifti::scan(&path, &mut |index, value| seen.push((index, value))).unwrap();
    assert_eq!(geometry.shape(), [1, 2, 3]);
    assert_eq!(seen.iter().map(|(index, _)| *index).collect::<Vec<_>>(), [0, 1, 2, 3, 4, 5]);
    assert!(seen[1].1.is_nan() && seen[3].1.is_infinite());
    assert!((seen[5].1 - 3.0).abs() < 1e-12, "the slope of one half applies");
}
