//! Odd NIfTI files of other people are read as nibabel reads them, or refused for the right reason.
//!
//! The folder with the files and `expected.tsv`, which says what nibabel sees in each, is named by the environment
//! variable `UNNUNET_NIFTI_EDGE`; the files are not part of this project. Where it is not set, the same claims are
//! checked on files that the test writes itself.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(clippy::print_stdout, reason = "the test says how much of the folder it saw")]

mod nifti_bytes;

use std::path::{Path, PathBuf};

use imaging::nifti::{self, HeaderError, NiftiError, VoxelError};
use imaging::orientation::{AxisCodes, reorient_image};
use imaging::{Dimensionality, Geometry, Image};
use nifti_bytes::{Header, Order};

const FOLDER: &str = "UNNUNET_NIFTI_EDGE";

/// One line of `expected.tsv` that describes a volume.
#[derive(Debug)]
struct Expected {
    file: String,
    class: String,
    shape: Vec<usize>,
    min_max_mean: [f64; 3],
    n_not_finite: usize,
    codes: String,
    affine: Vec<f64>,
}

impl Expected {
    fn parse(line: &str) -> Option<Self> {
        let fields: Vec<_> = line.split('\t').collect();
        let [file, "ok", class, shape, _, min, max, mean, not_finite, codes, affine] = fields[..] else { return None };
        let real = |text: &str| text.trim_matches(['[', ']', ' ']).parse().unwrap();
        Some(Self {
            file: file.to_owned(),
            class: class.to_owned(),
            shape: shape.split('x').map(|extent| extent.parse().unwrap()).collect(),
            min_max_mean: [real(min), real(max), real(mean)],
            n_not_finite: not_finite.parse().unwrap(),
            codes: codes.to_owned(),
            affine: affine.split(", ").filter(|entry| !entry.is_empty()).map(real).collect(),
        })
    }
}

/// The table's numbers are rounded to nine digits.
fn is_near(found: f64, expected: f64) -> bool {
    (found - expected).abs() <= 1e-6 * expected.abs().max(1e-3)
}

fn check_values(image: &Image, expected: &Expected) {
    let values = || image.voxels.iter().map(|&value| f64::from(value));
    let mean = values().sum::<f64>() / image.voxels.len() as f64;
    let found = [values().fold(f64::INFINITY, f64::min), values().fold(f64::NEG_INFINITY, f64::max), mean];
    for (found, expected_value) in found.into_iter().zip(expected.min_max_mean) {
        assert!(is_near(found, expected_value), "{}: {found}, expected {expected_value}", expected.file);
    }
}

fn check_grid(geometry: &Geometry, expected: &Expected) {
    let [z, y, x] = geometry.shape();
    assert_eq!(vec![x, y, z], expected.shape, "{}", expected.file);
    assert_eq!(AxisCodes::of(geometry).unwrap().to_string(), expected.codes, "{}", expected.file);
    for (found, expected_entry) in geometry.affine().as_flattened().iter().zip(&expected.affine) {
        // Five decimals in the table.
        assert!((found - expected_entry).abs() <= 1e-5, "{}: {found}, expected {expected_entry}", expected.file);
    }
}

/// What the table says, checked; the kind of outcome is returned for the count.
fn check_line(folder: &Path, expected: &Expected) -> &'static str {
    let path = folder.join(&expected.file);
    let read = nifti::read_image(&[&path]);
    let header_error = || match nifti::read_image(&[&path]) {
        Err(NiftiError::Header { source, .. }) => source,
        other => panic!("{}: expected a header error, found {other:?}", expected.file),
    };
    match expected.class.as_str() {
        "Cifti2Image" => assert_eq!(header_error(), HeaderError::Cifti { intent: 3001 }),
        "MGHImage" => assert_eq!(header_error(), HeaderError::NotNifti),
        _ if expected.shape.len() > 3 => {
            let extent = i64::try_from(expected.shape[3]).unwrap();
            assert_eq!(header_error(), HeaderError::Volumes { axis: 4, extent });
        }
        _ if expected.n_not_finite > 0 => {
            let is_right = matches!(read, Err(NiftiError::Voxels { source: VoxelError::NotFinite { .. }, .. }));
            assert!(is_right, "{}: {read:?}", expected.file);
            check_grid(&nifti::read_geometry(&path).unwrap(), expected);
        }
        _ => {
            let image = read.unwrap();
            check_values(&image, expected);
            check_grid(&image.geometry, expected);
            assert_eq!(nifti::read_geometry(&path).unwrap(), image.geometry);
            return "read";
        }
    }
    "refused"
}

fn check_folder(folder: &Path) {
    let table = fs_err::read_to_string(folder.join("expected.tsv")).unwrap();
    let lines: Vec<_> = table.lines().skip(1).filter_map(Expected::parse).collect();
    let outcomes: Vec<_> = lines.iter().map(|expected| check_line(folder, expected)).collect();
    let count = |outcome| outcomes.iter().filter(|found| **found == outcome).count();
    println!("{} files read, {} refused", count("read"), count("refused"));
    assert_eq!((count("read"), count("refused")), (15, 6));
    check_headers_without_voxels(folder);
    let heads: Vec<_> = lines.iter().filter(|line| line.file.starts_with("space48/")).collect();
    assert_eq!(heads.len(), 12);
    check_equal_after_reorientation(heads.iter().map(|head| folder.join(&head.file)).collect());
}

/// The lines where nibabel misses a file: a pair without voxels, and an ANALYZE header.
fn check_headers_without_voxels(folder: &Path) {
    let error = |name: &str| match nifti::read_image(&[folder.join("nibabel").join(name)]) {
        Err(NiftiError::Header { source, .. }) => source,
        other => panic!("{name}: expected a header error, found {other:?}"),
    };
    assert_eq!(error("analyze.hdr"), HeaderError::Analyze);
    for stem in ["nifti1", "nifti2"] {
        let voxels = folder.join("nibabel").join(stem).with_extension("img");
        assert_eq!(error(&format!("{stem}.hdr")), HeaderError::Detached { voxels });
    }
}

fn check_equal_after_reorientation(paths: Vec<PathBuf>) {
    let mut heads = paths.into_iter().map(|path| {
        let image = nifti::read_image(&[&path]).unwrap();
        (path, reorient_image(&image, AxisCodes::RAS).unwrap())
    });
    let (_, first) = heads.next().unwrap();
    for (path, head) in heads {
        assert!(head.voxels == first.voxels, "{}: voxels differ", path.display());
        assert_eq!(first.geometry.same_grid(&head.geometry), Ok(()), "{}", path.display());
    }
}

#[test]
fn odd_files_are_read_as_nibabel_reads_them() {
    let Some(folder) = std::env::var_os(FOLDER) else {
        println!("{FOLDER} is not set: only files of this test's own are checked");
        return check_folder_of_our_own();
    };
    check_folder(Path::new(&folder));
}

/// The same outcomes on files written here, whose content is known by construction.
fn check_folder_of_our_own() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let error = |name: &str| match nifti::read_image(&[path(name)]) {
        Err(NiftiError::Header { source, .. }) => source,
        other => panic!("{name}: expected a header error, found {other:?}"),
    };
    let voxels: Vec<u8> = (0..24).collect();
    let series = Header { dim: vec![2, 3, 2, 2], ..Header::default() };
    fs_err::write(path("series.nii"), series.file(&voxels)).unwrap();
    assert_eq!(error("series.nii"), HeaderError::Volumes { axis: 4, extent: 2 });
    let cifti = Header { dim: vec![4, 3, 2], intent_code: 3001, version: 2, ..Header::default() };
    fs_err::write(path("cifti.nii"), cifti.file(&voxels)).unwrap();
    assert_eq!(error("cifti.nii"), HeaderError::Cifti { intent: 3001 });

    let mut heads = Vec::new();
    // The same eight voxels from left to right and from right to left, at the same places of the world.
    for (name, step, start, values) in [("r.nii", 2.0, -4.0, [1, 2, 3, 4]), ("l.nii", -2.0, 2.0, [4, 3, 2, 1])] {
        let srow = [[step, 0.0, 0.0, start], [0.0, 1.0, 0.0, 5.0], [0.0, 0.0, 3.0, -7.0]];
        for order in [Order::Little, Order::Big] {
            let header = Header { dim: vec![4, 1, 1], sform_code: 1, srow, order, ..Header::default() };
            let path = path(&format!("{order:?}_{name}"));
            fs_err::write(&path, header.file(&values)).unwrap();
            heads.push(path);
        }
    }
    let codes = |path: &PathBuf| AxisCodes::of(&nifti::read_geometry(path).unwrap()).unwrap().to_string();
    assert_eq!(heads.iter().map(codes).collect::<Vec<_>>(), ["RAS", "RAS", "LAS", "LAS"]);
    check_equal_after_reorientation(heads);
}

#[test]
fn a_pair_is_read_from_either_file() {
    for version in [1, 2] {
        for (offset, compressed) in [(0, false), (16, false), (0, true)] {
            let folder = tempfile::tempdir().unwrap();
            let path = |name: &str| folder.path().join(name);
            let header = Header { dim: vec![3, 2, 1], version, pair_offset: Some(offset), ..Header::default() };
            fs_err::write(path("x.hdr"), header.bytes()).unwrap();
            let missing = HeaderError::Detached { voxels: path("x.img") };
            match nifti::read_geometry(&path("x.hdr")) {
                Err(NiftiError::Header { source, .. }) => assert_eq!(source, missing),
                other => panic!("expected a missing file, found {other:?}"),
            }
            let image = [vec![99; offset], (1..=6).collect()].concat();
            let (name, image) = if compressed { ("x.img.gz", nifti_bytes::gzip(&image)) } else { ("x.img", image) };
            fs_err::write(path(name), image).unwrap();
            for given in ["x.hdr", name] {
                let image = nifti::read_image(&[path(given)]).unwrap();
                assert_eq!(image.voxels.into_raw_vec_and_offset().0, [1.0, 2.0, 3.0, 4.0, 5.0, 6.0], "{given}");
                assert_eq!(nifti::read_geometry(&path(given)).unwrap().shape(), [1, 2, 3], "{given}");
            }
        }
    }
}

#[test]
fn a_pair_whose_image_is_too_short_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let header = Header { dim: vec![3, 2, 1], pair_offset: Some(0), ..Header::default() };
    fs_err::write(folder.path().join("x.hdr"), header.bytes()).unwrap();
    fs_err::write(folder.path().join("x.img"), [1, 2, 3]).unwrap();
    let path = folder.path().join("x.hdr");
    let expected = HeaderError::TooLarge { declared: 6, available: 3 };
    for error in [nifti::read_image(&[&path]).unwrap_err(), nifti::read_geometry(&path).unwrap_err()] {
        assert!(matches!(error, NiftiError::Header { ref source, .. } if *source == expected), "{error:?}");
    }
}

#[test]
fn an_analyze_header_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let mut bytes = Header { dim: vec![3, 2, 1], pair_offset: Some(0), ..Header::default() }.bytes();
    bytes[344..348].fill(0);
    fs_err::write(folder.path().join("x.hdr"), bytes).unwrap();
    fs_err::write(folder.path().join("x.img"), [0; 6]).unwrap();
    let error = nifti::read_image(&[folder.path().join("x.img")]).unwrap_err();
    assert!(matches!(error, NiftiError::Header { source: HeaderError::Analyze, .. }), "{error:?}");
}

#[test]
fn trailing_axes_of_one_voxel_and_extensions_change_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.nii");
    for (dim, dimensionality) in [
        (vec![3, 2], Dimensionality::Two),
        (vec![3, 2, 1], Dimensionality::Three),
        (vec![3, 2, 1, 1], Dimensionality::Three),
        (vec![3, 2, 1, 1, 1, 1, 1], Dimensionality::Three),
    ] {
        for version in [1, 2] {
            let header = Header { dim: dim.clone(), version, extension: 32, ..Header::default() };
            fs_err::write(&path, header.file(&[1, 2, 3, 4, 5, 6])).unwrap();
            let image = nifti::read_image(&[&path]).unwrap();
            assert_eq!(image.geometry.dimensionality(), dimensionality);
            assert_eq!(image.voxels.into_raw_vec_and_offset().0, [1.0, 2.0, 3.0, 4.0, 5.0, 6.0], "{dim:?}");
        }
    }
}

#[test]
fn a_slope_that_is_zero_or_no_number_does_not_scale() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.nii");
    let read = |slope: f64, intercept: f64| {
        let header = Header { dim: vec![2, 1, 1], scale: [slope, intercept], ..Header::default() };
        fs_err::write(&path, header.file(&[1, 2])).unwrap();
        nifti::read_image(&[&path]).map(|image| image.voxels.into_raw_vec_and_offset().0)
    };
    for slope in [0.0, f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        for intercept in [0.0, 7.0, f64::NAN] {
            assert_eq!(read(slope, intercept).unwrap(), [1.0, 2.0], "{slope} and {intercept}");
        }
    }
    assert_eq!(read(-0.5, 7.0).unwrap(), [6.5, 6.0]);
    assert_eq!(read(1.0, 7.0).unwrap(), [8.0, 9.0]);
    for intercept in [f64::NAN, f64::INFINITY] {
        let error = read(2.0, intercept).unwrap_err();
        assert!(matches!(error, NiftiError::Header { source: HeaderError::Intercept, .. }), "{error:?}");
    }
}
