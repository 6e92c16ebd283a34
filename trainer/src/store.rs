//! Preprocessed cases on disk, in a form from which a patch is read at the cost of that patch.
//!
//! Four files per case: `<case>.image` (`f32`, `[channel, z, y, x]`), `<case>.labels` (`i16`, `[z, y, x]`),
//! `<case>.locations` (remembered voxels of every structure as `u32` triples `[z, y, x]`), all little-endian, in C
//! order and without header, so that they can be mapped into memory as they are, and `<case>.json`, which describes
//! them. A block is read row by row: whole rows of its slices, and nothing else. The description is written last:
//! where it is, the case is complete. It holds a digest of everything the arrays were made from, so that a case is
//! made again when plans or raw files change.

mod error;

use std::io::{self, Write};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use bundle_format::Digest;
use fs_err::File;
use ndarray::{ArrayBase, Data, Dimension};
use nnunet::dataset::CaseId;
use nnunet::foreground;
use nnunet::preprocess::{CaseProperties, Preprocessed};
use serde::{Deserialize, Serialize};

use crate::block::Block;
use imaging::atomic_file;

pub use error::StoreError;
pub use nnunet::preprocess::OUTSIDE;

/// Version of the files' format.
const FORMAT: u32 = 2;
/// Values that are encoded at a time; the system takes long stretches faster than short ones.
const CHUNK: usize = 1 << 16;
/// Largest description that is read.
const MAX_RECORD_BYTES: u64 = 1 << 20;
/// Largest extent of an axis, so that a voxel's index fits into the locations.
const MAX_EXTENT: usize = 1 << 20;
/// Most values of one array: 64 GiB of `f32`.
const MAX_VALUES: usize = 1 << 34;

/// Description of one stored case.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CaseRecord {
    format: u32,
    /// Digest of plans, images and labels that the arrays were made from.
    pub source: Digest,
    /// Channels of the image.
    pub n_channels: usize,
    /// Extents `[z, y, x]`.
    pub shape: [usize; 3],
    /// Structures whose voxels are in `<case>.locations`, in this order.
    pub remembered: Vec<Remembered>,
    /// The way from the raw case, and back.
    pub properties: CaseProperties,
}

/// How many voxels of a structure are remembered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Remembered {
    /// Labels of the structure; with [`OUTSIDE`] among them, everything that is annotated.
    pub labels: Vec<i16>,
    /// Voxels in the file.
    pub n_voxels: u64,
}

/// A folder of preprocessed cases.
#[derive(Debug, Clone)]
pub struct Store {
    folder: PathBuf,
}

impl Store {
    /// The store in a folder, which need not exist yet.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into() }
    }

    /// Where the cases lie.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    fn path(&self, case: &CaseId, suffix: &str) -> PathBuf {
        self.folder.join(format!("{case}.{suffix}"))
    }

    /// Whether a case is complete and was made from this source.
    pub fn holds(&self, case: &CaseId, source: &Digest) -> bool {
        self.open(case).is_ok_and(|stored| stored.record.source == *source)
    }

    /// Writes a case with labels and what is remembered of these structures, each a set of labels; the description
    /// appears last, and not before the arrays are on the disk.
    ///
    /// # Errors
    ///
    /// [`StoreError::Write`].
    ///
    /// # Panics
    ///
    /// If the case has no labels: only training cases are stored.
    pub fn write(
        &self,
        case: &CaseId,
        source: Digest,
        preprocessed: &Preprocessed,
        structures: &[Vec<i16>],
    ) -> Result<(), StoreError> {
        self.stage(case, source, preprocessed, structures)?.commit()
    }

    /// As [`Store::write`], but the case is complete only when it is committed.
    ///
    /// # Errors
    ///
    /// [`StoreError::Write`].
    ///
    /// # Panics
    ///
    /// As [`Store::write`].
    pub fn stage(
        &self,
        case: &CaseId,
        source: Digest,
        preprocessed: &Preprocessed,
        structures: &[Vec<i16>],
    ) -> Result<StagedCase, StoreError> {
        let labels = preprocessed.labels.as_ref().expect("a training case has labels");
        let (n_channels, z, y, x) = preprocessed.image.dim();
        let locations = foreground::locations(labels, structures);
        let remembered = locations.iter().map(|of| {
            let labels = of.labels.clone();
            Remembered { labels, n_voxels: of.voxels.len() as u64 }
        });
        let remembered = remembered.collect();
        let properties = preprocessed.properties.clone();
        let record = CaseRecord { format: FORMAT, source, n_channels, shape: [z, y, x], remembered, properties };
        let path = |suffix| self.path(case, suffix);
        let write = || {
            fs_err::create_dir_all(&self.folder)?;
            let image = atomic_file::stage(&path("image"), |file| encode(file, &preprocessed.image, f32::to_le_bytes))?;
            let labels = atomic_file::stage(&path("labels"), |file| encode(file, labels, i16::to_le_bytes))?;
            let locations = atomic_file::stage(&path("locations"), |file| {
                let coordinates = locations.iter().flat_map(|of| of.voxels.as_flattened());
                encode_values(file, coordinates.copied(), u32::to_le_bytes)
            })?;
            let (arrays, record) = ([image, labels, locations], serde_json::to_vec_pretty(&record)?);
            Ok(StagedCase { case: case.clone(), arrays, record_path: path("json"), record })
        };
        write().map_err(|source| StoreError::Write { case: case.clone(), source })
    }

    /// Opens a case and checks that its files have the sizes described.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if a file is missing, or the description is malformed or does not fit the arrays.
    pub fn open(&self, case: &CaseId) -> Result<StoredCase, StoreError> {
        let path = self.path(case, "json");
        let unreadable = |path: &Path| {
            let path = path.to_owned();
            |source| StoreError::Read { path, source }
        };
        let found = fs_err::metadata(&path).map_err(unreadable(&path))?.len();
        if found > MAX_RECORD_BYTES {
            return Err(StoreError::Size { path, expected: MAX_RECORD_BYTES, found });
        }
        let text = fs_err::read(&path).map_err(unreadable(&path))?;
        let record: CaseRecord =
            serde_json::from_slice(&text).map_err(|source| StoreError::Json { path: path.clone(), source })?;
        if record.format != FORMAT {
            return Err(StoreError::Format { path, expected: FORMAT, found: record.format });
        }
        let n_voxels = record.n_voxels().ok_or(StoreError::Shape { path, found: record.shape })?;
        let n_locations = record.remembered.iter().fold(0_u64, |sum, of| sum.saturating_add(of.n_voxels));
        for (suffix, expected) in [
            ("image", 4 * (record.n_channels * n_voxels) as u64),
            ("labels", 2 * n_voxels as u64),
            ("locations", n_locations.saturating_mul(12)),
        ] {
            let path = self.path(case, suffix);
            let found = fs_err::metadata(&path).map_err(unreadable(&path))?.len();
            if found != expected {
                return Err(StoreError::Size { path, expected, found });
            }
        }
        Ok(StoredCase { store: self.clone(), case: case.clone(), record })
    }
}

/// A case that is written but not complete; unless it is committed, nothing of it stays.
#[derive(Debug)]
pub struct StagedCase {
    case: CaseId,
    arrays: [atomic_file::Staged; 3],
    record_path: PathBuf,
    record: Vec<u8>,
}

impl StagedCase {
    /// Waits for the disk and makes the case complete; one that was there before is incomplete meanwhile.
    ///
    /// # Errors
    ///
    /// [`StoreError::Write`].
    pub fn commit(self) -> Result<(), StoreError> {
        let commit = || {
            match fs_err::remove_file(&self.record_path) {
                Err(source) if source.kind() != io::ErrorKind::NotFound => return Err(source),
                _ => {}
            }
            self.arrays.into_iter().try_for_each(atomic_file::Staged::commit)?;
            atomic_file::write(&self.record_path, &self.record)
        };
        commit().map_err(|source| StoreError::Write { case: self.case, source })
    }
}

impl CaseRecord {
    /// Voxels of the case; `None` if the extents cannot be those of arrays in memory.
    fn n_voxels(&self) -> Option<usize> {
        let in_range = self.shape.iter().all(|extent| (1..=MAX_EXTENT).contains(extent));
        let n_voxels = self.shape.iter().try_fold(1_usize, |product, &extent| product.checked_mul(extent))?;
        let n_values = n_voxels.checked_mul(self.n_channels.max(1))?;
        (in_range && self.n_channels > 0 && n_values <= MAX_VALUES).then_some(n_voxels)
    }
}

/// A complete case of a store.
#[derive(Debug, Clone)]
pub struct StoredCase {
    store: Store,
    case: CaseId,
    /// What the files hold.
    pub record: CaseRecord,
}

impl StoredCase {
    /// The case's name.
    pub fn case(&self) -> &CaseId {
        &self.case
    }

    /// Bytes of the case in memory.
    pub fn n_bytes(&self) -> u64 {
        let n_voxels: usize = self.record.shape.iter().product();
        (n_voxels * (4 * self.record.n_channels + 2)) as u64
    }

    /// All of the case.
    ///
    /// # Errors
    ///
    /// As [`StoredCase::read_block`].
    pub fn read(&self) -> Result<Block, StoreError> {
        self.read_block([0; 3], self.record.shape)
    }

    /// Voxels `lower..upper` of the case, reading whole rows of those slices only.
    ///
    /// # Errors
    ///
    /// [`StoreError::Read`].
    ///
    /// # Panics
    ///
    /// If the block is empty or does not lie in the case.
    pub fn read_block(&self, lower: [usize; 3], upper: [usize; 3]) -> Result<Block, StoreError> {
        let part = Part::new(self.record.shape, lower, upper);
        let shape = part.shape();
        let image = part.read(&self.store.path(&self.case, "image"), self.record.n_channels, f32::from_le_bytes)?;
        let labels = part.read(&self.store.path(&self.case, "labels"), 1, i16::from_le_bytes)?;
        Ok(Block { lower, shape, image, labels })
    }

    /// Remembered voxel number `index` of a structure, which is given by its place in the description.
    ///
    /// # Errors
    ///
    /// [`StoreError::Read`], or [`StoreError::Location`] if the file names a voxel that the case has not.
    ///
    /// # Panics
    ///
    /// If there is no such structure or it has not as many voxels.
    pub fn location(&self, structure: usize, index: u64) -> Result<[usize; 3], StoreError> {
        let (before, rest) = self.record.remembered.split_at(structure);
        assert!(rest.first().is_some_and(|of| index < of.n_voxels), "only voxels that are there are asked for");
        let before: u64 = before.iter().map(|of| of.n_voxels).sum();
        let path = self.store.path(&self.case, "locations");
        let mut buffer = [0; 12];
        let read = File::open(&path).and_then(|file| file.file().read_exact_at(&mut buffer, (before + index) * 12));
        read.map_err(|source| StoreError::Read { path: path.clone(), source })?;
        let (words, _) = buffer.as_chunks();
        let mut voxel = [0; 3];
        for (axis, word) in words.iter().enumerate() {
            voxel[axis] = u32::from_le_bytes(*word) as usize;
        }
        if (0..3).any(|axis| voxel[axis] >= self.record.shape[axis]) {
            return Err(StoreError::Location { path, shape: self.record.shape, found: voxel });
        }
        Ok(voxel)
    }
}

/// Which part of a file's arrays is wanted.
pub(crate) struct Part {
    case: [usize; 3],
    lower: [usize; 3],
    shape: [usize; 3],
}

impl Part {
    /// Voxels `lower..upper` of arrays with the extents of a case; panics if that is empty or not in the case.
    pub(crate) fn new(case: [usize; 3], lower: [usize; 3], upper: [usize; 3]) -> Self {
        assert!((0..3).all(|axis| lower[axis] < upper[axis] && upper[axis] <= case[axis]), "a block lies in its case");
        Self { case, lower, shape: std::array::from_fn(|axis| upper[axis] - lower[axis]) }
    }

    /// Extents of the part.
    pub(crate) fn shape(&self) -> [usize; 3] {
        self.shape
    }

    /// Reads, per channel and slice, the wanted rows over their full width, and keeps the wanted columns.
    pub(crate) fn read<T, const N: usize>(
        &self,
        path: &Path,
        n_channels: usize,
        parse: fn([u8; N]) -> T,
    ) -> Result<Vec<T>, StoreError> {
        let unreadable = |source| StoreError::Read { path: path.to_owned(), source };
        let file = File::open(path).map_err(unreadable)?;
        let [case_z, case_y, case_x] = self.case;
        let [n_z, n_y, n_x] = self.shape;
        let mut values = Vec::with_capacity(n_channels * n_z * n_y * n_x);
        let mut rows = vec![0; n_y * case_x * N];
        for channel in 0..n_channels {
            for z in self.lower[0]..self.lower[0] + n_z {
                let first = ((channel * case_z + z) * case_y + self.lower[1]) * case_x * N;
                file.file().read_exact_at(&mut rows, first as u64).map_err(unreadable)?;
                for row in rows.chunks_exact(case_x * N) {
                    let wanted = &row[self.lower[2] * N..(self.lower[2] + n_x) * N];
                    values.extend(wanted.as_chunks().0.iter().map(|bytes| parse(*bytes)));
                }
            }
        }
        Ok(values)
    }
}

/// Writes an array in C order.
fn encode<T: Copy, const N: usize>(
    file: &mut impl Write,
    array: &ArrayBase<impl Data<Elem = T>, impl Dimension>,
    encode: impl Fn(T) -> [u8; N],
) -> io::Result<()> {
    match array.as_slice() {
        Some(values) => encode_values(file, values.iter().copied(), encode),
        None => encode_values(file, array.iter().copied(), encode),
    }
}

fn encode_values<T, const N: usize>(
    file: &mut impl Write,
    mut values: impl Iterator<Item = T>,
    encode: impl Fn(T) -> [u8; N],
) -> io::Result<()> {
    let mut bytes = vec![[0; N]; CHUNK].into_boxed_slice();
    loop {
        let mut n = 0;
        for (bytes, value) in bytes.iter_mut().zip(&mut values) {
            *bytes = encode(value);
            n += 1;
        }
        file.write_all(bytes[..n].as_flattened())?;
        if n < CHUNK {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use ndarray::{Array3, Array4, array};

    use super::*;

    fn preprocessed() -> Preprocessed {
        let shape = [2, 3, 4];
        let image = Array4::from_shape_fn((2, 2, 3, 4), |(c, z, y, x)| (1000 * c + 100 * z + 10 * y + x) as f32);
        let mut labels = Array3::from_elem((2, 3, 4), OUTSIDE);
        labels.slice_mut(ndarray::s![1, .., ..]).assign(&array![[0, 0, 1, 1], [0, 2, 0, 0], [0, 0, 0, 1]]);
        let properties = CaseProperties::unchanged(shape);
        Preprocessed { image, labels: Some(labels), properties }
    }

    fn stored(folder: &Path) -> (Store, CaseId, Digest) {
        let (store, case, source) = (Store::new(folder), CaseId::new("a").unwrap(), Digest::of(b"source"));
        store.write(&case, source, &preprocessed(), &[vec![1], vec![2], vec![3]]).unwrap();
        (store, case, source)
    }

    #[test]
    fn a_block_holds_the_voxels_of_its_place() {
        let folder = tempfile::tempdir().unwrap();
        let (store, case, _) = stored(folder.path());
        let stored = store.open(&case).unwrap();
        let block = stored.read_block([1, 1, 1], [2, 3, 3]).unwrap();
        assert_eq!(block.image, [111.0, 112.0, 121.0, 122.0, 1111.0, 1112.0, 1121.0, 1122.0]);
        assert_eq!(block.labels, [2, 0, 0, 0]);
        assert_eq!((block.lower, block.shape), ([1, 1, 1], [1, 2, 2]));
        assert_eq!(stored.read().unwrap().image, preprocessed().image.into_raw_vec_and_offset().0);
    }

    #[test]
    fn locations_are_those_of_their_structure() {
        let folder = tempfile::tempdir().unwrap();
        let (store, case, _) = stored(folder.path());
        let stored = store.open(&case).unwrap();
        let counts: Vec<_> = stored.record.remembered.iter().map(|of| (of.labels[0], of.n_voxels)).collect();
        assert_eq!(counts, [(1, 3), (2, 1), (3, 0)]);
        let ones: Vec<_> = (0..3).map(|i| stored.location(0, i).unwrap()).collect();
        assert_eq!(ones, [[1, 0, 2], [1, 0, 3], [1, 2, 3]]);
        assert_eq!(stored.location(1, 0).unwrap(), [1, 1, 1]);
    }

    #[test]
    fn a_case_is_held_only_complete_and_from_the_same_source() {
        let folder = tempfile::tempdir().unwrap();
        let (store, case, source) = stored(folder.path());
        assert!(store.holds(&case, &source));
        assert!(!store.holds(&case, &Digest::of(b"other plans")));
        fs_err::write(folder.path().join("a.labels"), b"short").unwrap();
        assert!(!store.holds(&case, &source));
        assert!(matches!(store.open(&case), Err(StoreError::Size { found: 5, expected: 48, .. })));
    }

    #[test]
    fn a_hostile_description_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let (store, case, _) = stored(folder.path());
        let path = folder.path().join("a.json");
        let good = fs_err::read_to_string(&path).unwrap();
        let compact = serde_json::from_str::<serde_json::Value>(&good).unwrap().to_string();
        let refused = |from: &str, to: &str| {
            assert!(compact.contains(from), "{from}");
            fs_err::write(&path, compact.replacen(from, to, 1)).unwrap();
            store.open(&case).unwrap_err().to_string()
        };
        assert!(refused(r#""shape":[2,3,4]"#, r#""shape":[0,3,4]"#).contains("shape [0, 3, 4]"));
        assert!(refused(r#""shape":[2,3,4]"#, r#""shape":[1048576,1048576,1048576]"#).contains("shape"));
        assert!(refused(r#""format":2"#, r#""format":1"#).contains("format 1, expected 2"));
        assert!(refused(r#""n_voxels":3"#, r#""n_voxels":4"#).contains("48 bytes, expected 60"));
        assert!(refused(r#"{"format""#, r#"{"more":1,"format""#).contains("does not describe"));
    }

    #[test]
    fn a_location_outside_the_case_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let (store, case, _) = stored(folder.path());
        fs_err::write(folder.path().join("a.locations"), vec![255; 48]).unwrap();
        assert!(matches!(store.open(&case).unwrap().location(0, 0), Err(StoreError::Location { .. })));
    }
}
