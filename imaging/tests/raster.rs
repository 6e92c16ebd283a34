//! PNG, BMP and TIFF: read as nnU-Net reads them, written without loss, and no panic on any bytes.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(clippy::float_cmp, reason = "spacings are read as they were written")]

use std::path::{Path, PathBuf};

use imaging::file::{self, FileError};
use imaging::nifti::VoxelError;
use imaging::raster::{self, BmpError, PixelError, RasterError, SidecarError};
use imaging::{Dimensionality, Geometry, GridMismatch, Spacing, Volume};
use ndarray::Array3;
use proptest::prelude::*;
use serde_json::Value;

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/raster")
}

fn check(name: &str, expected: &Value) {
    let path = golden().join("files").join(name);
    let image = raster::read_image(&[&path]);
    if expected.is_null() {
        assert!(matches!(image, Err(RasterError::Pixels { source: PixelError::Channels { found: 2 }, .. })), "{name}");
        return;
    }
    let image = image.unwrap_or_else(|error| panic!("{name}: {error:?}"));
    let list =
        |field: &str| expected[field].as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect::<Vec<_>>();
    let shape: Vec<f64> = image.voxels.shape().iter().map(|&extent| extent as f64).collect();
    assert_eq!(shape, list("shape"), "{name}");
    let values: Vec<f64> = image.voxels.iter().map(|&value| f64::from(value)).collect();
    assert_eq!(values, list("values"), "{name}");
    let is_stack = name.starts_with("stack");
    assert_eq!(image.geometry.dimensionality() == Dimensionality::Three, is_stack, "{name}");
    // nnU-Net's 999 of a picture is what planning makes of a volume without z axis.
    let z = if is_stack { 1.0 } else { 999.0 };
    assert_eq!(list("spacing"), [z, 1.0, 1.0], "{name}");
    assert_eq!(image.geometry.spacing().zyx(), [1.0; 3], "{name}");
    assert_eq!(raster::read_geometry(&path).unwrap(), image.geometry, "{name}");
}

#[test]
fn every_kind_of_file_is_read_as_nnunet_reads_it() {
    let expected: Value = serde_json::from_slice(&fs_err::read(golden().join("expected.json")).unwrap()).unwrap();
    let expected = expected.as_object().unwrap();
    assert_eq!(expected.len(), 43);
    for (name, expected) in expected {
        check(name, expected);
    }
}

fn volume<T: Clone>(shape: [usize; 3], dimensionality: Dimensionality, voxels: Vec<T>) -> Volume<T> {
    let spacing =
        Spacing::new(if dimensionality == Dimensionality::Two { [1.0; 3] } else { [2.5, 0.5, 0.75] }).unwrap();
    let geometry = Geometry::axis_aligned(shape, spacing, dimensionality);
    Volume { voxels: Array3::from_shape_vec(shape, voxels).unwrap(), geometry }
}

fn check_round_trip(name: &str, labels: &Volume<u8>) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    file::write_labels(&path, labels).unwrap();
    assert_eq!(&file::read_labels(&path).unwrap(), labels, "{name}");
    assert_eq!(file::read_geometry(&path).unwrap(), labels.geometry, "{name}");
    let bytes = fs_err::read(&path).unwrap();
    file::write_labels(&path, labels).unwrap();
    assert!(bytes == fs_err::read(&path).unwrap(), "{name}: the same labels give the same bytes");
}

proptest! {
    #[test]
    fn flat_labels_survive_every_format(
        (y, x, voxels) in (1_usize..7, 1_usize..40)
            .prop_flat_map(|(y, x)| (Just(y), Just(x), proptest::collection::vec(any::<u8>(), y * x))),
    ) {
        let labels = volume([1, y, x], Dimensionality::Two, voxels);
        for name in ["case.1.png", "case.1.bmp", "case.1.tif", "case.1.nii.gz"] {
            check_round_trip(name, &labels);
        }
    }

    #[test]
    fn stacks_of_labels_survive_with_their_spacing(
        (shape, voxels) in (1_usize..5, 1_usize..6, 1_usize..7)
            .prop_flat_map(|(z, y, x)| (Just([z, y, x]), proptest::collection::vec(any::<u8>(), z * y * x))),
    ) {
        let labels = volume(shape, Dimensionality::Three, voxels);
        // The name of the case may look like that of a channel.
        for name in ["case.1.tif", "case_0001.tiff", "case.1.nii"] {
            check_round_trip(name, &labels);
        }
    }

    #[test]
    fn no_bytes_make_a_reader_panic(
        file in any::<proptest::sample::Index>(),
        changes in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 1..12),
    ) {
        let mut files: Vec<_> = fs_err::read_dir(golden().join("files")).unwrap().map(|e| e.unwrap().path()).collect();
        files.sort();
        let path = file.get(&files);
        let mut bytes = fs_err::read(path).unwrap();
        for (offset, value) in changes {
            let offset = offset.index(bytes.len());
            bytes[offset] = value;
        }
        let _ = raster::decode_image(path, &bytes);
    }
}

#[test]
fn a_file_cut_anywhere_is_an_error_or_the_image() {
    for name in ["rgb8.png", "gray8.bmp", "rgba32.bmp", "gray8.tif", "stack_deflate.tiff"] {
        let bytes = fs_err::read(golden().join("files").join(name)).unwrap();
        let whole = raster::decode_image(Path::new(name), &bytes).unwrap();
        for length in 0..bytes.len() {
            // What lies behind the pixels may be missing.
            if let Ok(image) = raster::decode_image(Path::new(name), &bytes[..length]) {
                assert_eq!(image, whole, "{name} of {length} bytes");
            }
        }
        assert!(raster::decode_image(Path::new(name), &bytes[..bytes.len() / 2]).is_err(), "{name}");
    }
}

#[test]
fn maps_keep_every_bit_in_tiff_files_only() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let values = vec![0.0, -0.0, 1.5e-40, f32::MAX, -1.0 / 3.0, 7.25];
    for (name, dimensionality) in [("map.tif", Dimensionality::Two), ("map.tiff", Dimensionality::Three)] {
        let map = volume([1, 2, 3], dimensionality, values.clone());
        file::write_map(&path(name), &map).unwrap();
        let read = file::read_image(&[path(name)]).unwrap();
        let bits = |values: Vec<f32>| values.into_iter().map(f32::to_bits).collect::<Vec<_>>();
        assert_eq!(bits(read.voxels.into_raw_vec_and_offset().0), bits(values.clone()), "{name}");
        assert_eq!(read.geometry, map.geometry, "{name}");
    }
    for name in ["map.png", "map.bmp"] {
        let error = file::write_map(&path(name), &volume([1, 2, 3], Dimensionality::Two, values.clone())).unwrap_err();
        assert!(matches!(error, FileError::Raster { source: RasterError::NotReal { .. } }), "{name}: {error:?}");
    }
}

#[test]
fn what_a_format_cannot_hold_is_refused_and_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, labels: &Volume<u8>| raster::write_labels(&folder.path().join(name), labels).unwrap_err();
    let stack = volume([2, 1, 1], Dimensionality::Three, vec![1, 2]);
    let flat = volume([1, 1, 2], Dimensionality::Two, vec![1, 2]);
    for name in ["x.png", "x.bmp"] {
        assert!(matches!(write(name, &stack), RasterError::NotFlat { shape: [2, 1, 1], .. }));
    }
    assert!(matches!(write("x.tiff", &flat), RasterError::NotAStack { .. }));
    assert!(matches!(write("x.jpg", &flat), RasterError::Format { .. }));
    assert!(matches!(write("x.nii", &flat), RasterError::Format { .. }));
    assert!(matches!(write("no/such/folder.png", &flat), RasterError::Write { .. }));
    let torn = Volume { voxels: flat.voxels.clone(), geometry: stack.geometry.clone() };
    assert!(matches!(write("x.tif", &torn), RasterError::Shape { voxels: [1, 1, 2], geometry: [2, 1, 1], .. }));
    assert_eq!(fs_err::read_dir(folder.path()).unwrap().count(), 0);
}

/// Writes a stack of two voxels and, unless empty, the file of its spacing.
fn stack_with_sidecar(folder: &Path, sidecar: &str) -> PathBuf {
    let path = folder.join("case_0000.tif");
    raster::write_labels(&path, &volume([2, 1, 1], Dimensionality::Three, vec![1, 2])).unwrap();
    fs_err::remove_file(folder.join("case_0000.json")).unwrap();
    if !sidecar.is_empty() {
        fs_err::write(folder.join("case.json"), sidecar).unwrap();
    }
    path
}

#[test]
fn the_spacing_of_a_stack_lies_beside_it_under_the_name_of_the_case() {
    let folder = tempfile::tempdir().unwrap();
    let path = stack_with_sidecar(folder.path(), "");
    assert!(!raster::has_spacing(&path));
    assert_eq!(raster::read_image(&[&path]).unwrap().geometry.spacing().zyx(), [1.0; 3]);
    let path = stack_with_sidecar(folder.path(), r#"{"note": "x", "spacing": [3, 0.5, 0.25]}"#);
    assert!(raster::has_spacing(&path));
    assert_eq!(raster::read_image(&[&path]).unwrap().geometry.spacing().zyx(), [3.0, 0.5, 0.25]);
}

#[test]
fn a_spacing_that_cannot_be_used_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let error = |sidecar: &str| match raster::read_image(&[stack_with_sidecar(folder.path(), sidecar)]) {
        Err(RasterError::Sidecar { source, path }) => {
            assert!(path.ends_with("case.json"));
            source
        }
        other => panic!("expected an error of the spacing, found {other:?}"),
    };
    for text in ["[]", "{}", r#"{"spacing": [1, 1]}"#, r#"{"spacing": "1"}"#, "\u{1}"] {
        assert!(matches!(error(text), SidecarError::Json { .. }), "{text}");
    }
    assert!(matches!(error(r#"{"spacing": [1, 0, 1]}"#), SidecarError::Spacing { .. }));
    assert!(matches!(error(&" ".repeat(2 << 20)), SidecarError::Size { .. }));
}

#[test]
fn color_becomes_channels_and_the_files_of_a_case_must_be_alike() {
    let files = golden().join("files");
    let image = raster::read_image(&[files.join("rgb8.tif"), files.join("rgb16.tif")]).unwrap();
    assert_eq!(image.n_channels(), 6);
    match raster::read_image(&[files.join("rgb8.tif"), files.join("gray8.tif")]) {
        Err(RasterError::Grid { expected, actual, .. }) => {
            assert_eq!((expected, actual), ([3, 1, 2, 5], [1, 1, 3, 5]));
        }
        other => panic!("expected a mismatch, found {other:?}"),
    }
    let none: [&str; 0] = [];
    assert!(matches!(raster::read_image(&none), Err(RasterError::NoChannels)));
    match raster::read_labels(&files.join("rgb8.png")) {
        Err(RasterError::Voxels { source: VoxelError::LabelChannels { found: 3 }, .. }) => {}
        other => panic!("expected a refusal of color, found {other:?}"),
    }
}

#[test]
fn values_that_are_no_labels_or_not_finite_are_named_by_their_voxel() {
    let files = golden().join("files");
    match raster::read_labels(&files.join("gray16.png")) {
        Err(RasterError::Voxels { source: VoxelError::NotALabel { voxel, value }, .. }) => {
            assert_eq!((voxel, value), ([0, 0, 0], 300.0));
        }
        other => panic!("expected a voxel, found {other:?}"),
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.tif");
    raster::write_map(&path, &volume([1, 1, 3], Dimensionality::Two, vec![0.0, f32::NAN, 1.0])).unwrap();
    match raster::read_image(&[&path]) {
        Err(RasterError::Voxels { source: VoxelError::NotFinite { voxel, .. }, .. }) => assert_eq!(voxel, [0, 0, 1]),
        other => panic!("expected a voxel, found {other:?}"),
    }
    assert_eq!(raster::read_geometry(&path).unwrap().shape(), [1, 1, 3]);
}

#[test]
fn a_small_file_cannot_ask_for_a_huge_image() {
    let changed = |name: &str, offset: usize, field: &[u8]| {
        let mut bytes = fs_err::read(golden().join("files").join(name)).unwrap();
        bytes[offset..offset + field.len()].copy_from_slice(field);
        match raster::decode_image(Path::new(name), &bytes) {
            Err(RasterError::Pixels { source, .. }) => source,
            other => panic!("{name}: expected an error of the pixels, found {other:?}"),
        }
    };
    // Width, then height of a BMP of 8 bits.
    let huge = 16_000_i32.to_le_bytes();
    let error = changed("gray8.bmp", 18, &[huge, huge].concat());
    assert!(matches!(error, PixelError::Bmp { source: BmpError::Truncated { .. } }), "{error:?}");
    let error = changed("gray8.bmp", 18, &[i32::MAX.to_le_bytes(), i32::MAX.to_le_bytes()].concat());
    assert!(matches!(error, PixelError::Bmp { source: BmpError::Extent { .. } }), "{error:?}");
    // Of a PNG the checksum of the header would have to follow, so one is put together.
    let error = match raster::decode_image(Path::new("x.png"), &huge_png()) {
        Err(RasterError::Pixels { source, .. }) => source,
        other => panic!("expected an error of the pixels, found {other:?}"),
    };
    assert!(matches!(error, PixelError::TooLarge { declared: 100_010_000, .. }), "{error:?}");
}

/// A PNG that declares 10 000×10 000 bytes of gray and holds almost none.
fn huge_png() -> Vec<u8> {
    let mut bytes = b"\x89PNG\r\n\x1a\n".to_vec();
    let extent = 10_000_u32.to_be_bytes();
    for (kind, content) in [
        (b"IHDR", [&extent[..], &extent, &[8, 0, 0, 0, 0]].concat()),
        (b"IDAT", vec![0x78, 0x9c, 3, 0, 0, 0, 0, 1]),
        (b"IEND", Vec::new()),
    ] {
        bytes.extend(u32::try_from(content.len()).unwrap().to_be_bytes());
        let checked = [&kind[..], &content].concat();
        bytes.extend(&checked);
        let mut checksum = flate2::Crc::new();
        checksum.update(&checked);
        bytes.extend(checksum.sum().to_be_bytes());
    }
    bytes
}

#[test]
fn the_door_says_how_two_files_of_a_case_differ() {
    // NIfTI channels of different shape are refused with the two shapes, as pictures are.
    let folder = tempfile::tempdir().unwrap();
    let paths = ["a.nii", "b.nii"].map(|name| folder.path().join(name));
    file::write_labels(&paths[0], &volume([1, 1, 2], Dimensionality::Three, vec![1, 2])).unwrap();
    file::write_labels(&paths[1], &volume([1, 2, 1], Dimensionality::Three, vec![1, 2])).unwrap();
    match file::read_image(&paths) {
        Err(FileError::Nifti { source: imaging::nifti::NiftiError::Grid { source, .. } }) => {
            assert_eq!(source, GridMismatch::Shape { expected: [1, 1, 2], actual: [1, 2, 1] });
        }
        other => panic!("expected a mismatch, found {other:?}"),
    }
}
