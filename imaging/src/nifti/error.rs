//! What can be wrong with a NIfTI file.

use std::io;
use std::path::PathBuf;

use crate::{GridMismatch, SpacingError};

/// A file could not be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NiftiError {
    /// The name says neither `.nii` nor `.nii.gz`.
    #[error("cannot write `{}`: the name must end in `.nii` or `.nii.gz`", path.display())]
    Extension {
        /// The file that was asked for.
        path: PathBuf,
    },
    /// Two channels of a case do not lie on the same grid.
    #[error("`{}` does not lie on the grid of `{}`", second.display(), first.display())]
    Grid {
        /// The first channel, which sets the grid.
        first: PathBuf,
        /// The channel that differs.
        second: PathBuf,
        /// How it differs.
        source: GridMismatch,
    },
    /// The header cannot be used.
    #[error("the header of `{}` cannot be used", path.display())]
    Header {
        /// The file.
        path: PathBuf,
        /// Which field, found and expected.
        source: HeaderError,
    },
    /// An image without a file.
    #[error("an image needs at least one channel")]
    NoChannels,
    /// The disk, or the compressed stream, refused.
    #[error("cannot read `{}`", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// Voxels and geometry of a volume to write disagree.
    #[error(
        "cannot write `{}`: the voxels have shape {voxels:?}, the geometry {geometry:?}",
        path.display()
    )]
    Shape {
        /// The file that was asked for.
        path: PathBuf,
        /// Shape of the array.
        voxels: [usize; 3],
        /// Shape of the geometry.
        geometry: [usize; 3],
    },
    /// A file has more or fewer volumes than it should.
    #[error("`{}` has {found} volumes along its fourth axis, expected {expected}", path.display())]
    VolumeCount {
        /// The file.
        path: PathBuf,
        /// Volumes found.
        found: usize,
        /// Volumes expected.
        expected: usize,
    },
    /// The voxels cannot be used.
    #[error("the voxels of `{}` cannot be used", path.display())]
    Voxels {
        /// The file.
        path: PathBuf,
        /// Which value, and where.
        source: VoxelError,
    },
    /// The disk refused.
    #[error("cannot write `{}`", path.display())]
    Write {
        /// The file that was asked for.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
}

/// A header field that cannot be used, named as in the standard.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum HeaderError {
    /// The affine has an entry that is not a finite number.
    #[error("the voxel-to-world transform holds a value that is not finite")]
    Affine,
    /// The header is of the format that NIfTI replaced, which does not say where the volume lies.
    #[error("this is an ANALYZE 7.5 header without the `magic` of NIfTI: it does not tell left from right")]
    Analyze,
    /// The file holds surfaces or their connectivity.
    #[error("`intent_code` is {intent}: this is a CIFTI-2 file, which holds no volume")]
    Cifti {
        /// The code found.
        intent: i16,
    },
    /// `datatype` is neither an integer nor a real type of at most 64 bits.
    #[error("`datatype` is {code}, which is not an integer or real type")]
    Datatype {
        /// The code found.
        code: i16,
    },
    /// The header is of a pair, and the file of its voxels is missing.
    #[error("`magic` says that the voxels lie in a file of their own, but there is no `{}`", voxels.display())]
    Detached {
        /// Where the voxels should be, plain or with `.gz` behind the name.
        voxels: PathBuf,
    },
    /// An entry of `dim` is out of range.
    #[error("`dim[{axis}]` is {extent}, expected 1 to {limit}")]
    Extent {
        /// Index into `dim`.
        axis: usize,
        /// What was found.
        extent: i64,
        /// The largest extent allowed there.
        limit: i64,
    },
    /// The first bytes are no NIfTI header.
    #[error("`sizeof_hdr` and `magic` are not those of a NIfTI-1 or NIfTI-2 file")]
    NotNifti,
    /// `dim[0]` is no number of axes that an image can have.
    #[error("`dim[0]` is {axes}, expected 2 or 3 axes, or more with extent 1")]
    Rank {
        /// What was found.
        axes: i64,
    },
    /// `scl_slope` is valid, but `scl_inter` is not a finite number.
    #[error("`scl_inter` is not finite")]
    Intercept,
    /// The header is of a pair, where only a single file can be used.
    #[error("`magic` says that the voxels lie in `{}`, expected them behind the header", voxels.display())]
    Pair {
        /// Where the voxels lie, or should.
        voxels: PathBuf,
    },
    /// A `pixdim` is no length.
    #[error("`pixdim` is no voxel size")]
    Spacing(#[source] SpacingError),
    /// The file is too short for the voxels that the header declares.
    #[error("the header declares {declared} bytes of voxels, the file has room for {available}")]
    TooLarge {
        /// Bytes that `dim` and `datatype` ask for.
        declared: u64,
        /// Bytes that the file can hold at most.
        available: u64,
    },
    /// The file ends inside the header or inside the voxels.
    #[error("the file ends after {found} of {expected} bytes")]
    Truncated {
        /// Bytes found, from the start of the header or of the voxels.
        found: u64,
        /// Bytes expected.
        expected: u64,
    },
    /// The file is a series of volumes.
    #[error("`dim[{axis}]` is {extent}: the file holds several volumes, expected one; store each in a file of its own")]
    Volumes {
        /// Index into `dim`, above 3.
        axis: usize,
        /// Volumes along that axis.
        extent: i64,
    },
    /// `vox_offset` does not lie behind the header.
    #[error("`vox_offset` is {offset}, expected a whole number of at least {least}")]
    VoxOffset {
        /// What was found.
        offset: f64,
        /// The least possible.
        least: u64,
    },
}

/// A voxel value that cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VoxelError {
    /// The crate `nifti` could not decode the bytes.
    #[error("the voxels cannot be decoded")]
    Decode {
        /// What the crate says.
        source: ::nifti::NiftiError,
    },
    /// A label map in color.
    #[error("there are {found} channels, a label map has one")]
    LabelChannels {
        /// Channels of the file.
        found: usize,
    },
    /// NaN or an infinity in an image.
    #[error("voxel [z, y, x] {voxel:?} is {value}, every value must be finite")]
    NotFinite {
        /// The first such voxel.
        voxel: [usize; 3],
        /// What it holds.
        value: f64,
    },
    /// A label that is not a whole number from 0 to 255.
    #[error("voxel [z, y, x] {voxel:?} is {value}, a label is a whole number from 0 to 255")]
    NotALabel {
        /// The first such voxel.
        voxel: [usize; 3],
        /// What it holds.
        value: f64,
    },
}
