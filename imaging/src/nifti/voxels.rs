//! From stored bytes to intensities or labels.
//!
//! The crate `nifti` turns bytes into numbers of the declared type. Scaling
//! is done in `f64` and rounded once, as nibabel and ITK do. Bytes come in
//! chunks that stay in cache, so that the result is the only thing in memory
//! that is as large as the volume. A chunk is converted whole and only then
//! asked whether every value was fit, which the compiler can do for many
//! voxels at a time; which one was not is looked for when it is known to be
//! there.

use std::io;

use ::nifti::{DataElement, Endianness, InMemNiftiVolume, NiftiType};

use super::header::{Header, Scale};
use super::layout::ByteOrder;
use super::source::VoxelBytes;
use super::{NiftiError, VoxelError, at};

/// Voxels that are decoded at a time: the longer a stretch, the less often inflating copies its window.
const CHUNK: u16 = 1 << 15;

/// Intensities in file order, every one finite.
pub(super) fn intensities(header: &Header, bytes: VoxelBytes<'_>) -> Result<Vec<f32>, NiftiError> {
    #[expect(clippy::cast_possible_truncation, reason = "the image is kept in f32")]
    let convert = |value: f64| (value as f32, (value as f32).is_finite());
    collect(header, bytes, convert, |voxel, value| VoxelError::NotFinite { voxel, value })
}

/// Labels in file order. A value counts as whole if it is so in `f32`, for a
/// scaled label need not be exact in `f64`.
pub(super) fn labels(header: &Header, bytes: VoxelBytes<'_>) -> Result<Vec<u8>, NiftiError> {
    if let (NiftiType::Uint8, Scale::Identity) = (header.datatype, &header.scale) {
        return bytes_as_they_are(header, bytes);
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates, and is compared")]
    #[expect(clippy::float_cmp, reason = "only a whole number from 0 to 255 comes back as it was")]
    let convert = |value: f64| {
        let label = value as f32 as u8;
        (label, f32::from(label) == value as f32)
    };
    collect(header, bytes, convert, |voxel, value| VoxelError::NotALabel { voxel, value })
}

/// What most label maps store needs no conversion.
fn bytes_as_they_are(header: &Header, mut bytes: VoxelBytes<'_>) -> Result<Vec<u8>, NiftiError> {
    let mut labels = reserved(header, &bytes)?;
    let n_voxels: usize = header.geometry.shape().iter().product();
    while labels.len() < n_voxels {
        labels.extend(bytes.next((n_voxels - labels.len()).min(usize::from(CHUNK)))?);
    }
    Ok(labels)
}

/// Room for all values.
fn reserved<T>(header: &Header, bytes: &VoxelBytes<'_>) -> Result<Vec<T>, NiftiError> {
    let mut values = Vec::new();
    values
        .try_reserve_exact(header.geometry.shape().iter().product())
        .map_err(|_| NiftiError::Read { path: bytes.path().to_owned(), source: io::ErrorKind::OutOfMemory.into() })?;
    Ok(values)
}

/// Hands every value, scaled, to `visit` with its index in file order.
pub(super) fn visit(
    header: &Header,
    bytes: VoxelBytes<'_>,
    visit: &mut dyn FnMut(usize, f64),
) -> Result<(), NiftiError> {
    decode(header, bytes, &mut Visit { n_seen: 0, visit })
}

fn collect<T>(
    header: &Header,
    bytes: VoxelBytes<'_>,
    convert: impl Fn(f64) -> (T, bool),
    refuse: fn([usize; 3], f64) -> VoxelError,
) -> Result<Vec<T>, NiftiError> {
    let [_, y, x] = header.geometry.shape();
    let values = reserved(header, &bytes)?;
    let voxel = |index: usize| [index / (y * x), index / x % y, index % x];
    let mut collect = Collect { values, convert, refuse: |index, value| refuse(voxel(index), value) };
    decode(header, bytes, &mut collect)?;
    Ok(collect.values)
}

/// What becomes of the values, chunk by chunk in file order.
trait Sink {
    /// Takes stored numbers; `real` gives the value of one.
    fn take<E: Copy>(&mut self, stored: &[E], real: impl Fn(E) -> f64) -> Result<(), VoxelError>;
}

/// Converts and keeps all values; the conversion also says whether a value is fit.
struct Collect<T, C, R> {
    values: Vec<T>,
    convert: C,
    refuse: R,
}

impl<T, C: Fn(f64) -> (T, bool), R: Fn(usize, f64) -> VoxelError> Sink for Collect<T, C, R> {
    fn take<E: Copy>(&mut self, stored: &[E], real: impl Fn(E) -> f64) -> Result<(), VoxelError> {
        let mut all_fit = true;
        let n_before = self.values.len();
        self.values.extend(stored.iter().map(|&stored| {
            let (value, is_fit) = (self.convert)(real(stored));
            all_fit &= is_fit;
            value
        }));
        if all_fit {
            return Ok(());
        }
        let mut reals = stored.iter().map(|&stored| real(stored)).enumerate();
        let unfit = reals.find(|&(_, value)| !(self.convert)(value).1);
        unfit.map_or(Ok(()), |(index, value)| Err((self.refuse)(n_before + index, value)))
    }
}

struct Visit<'a> {
    n_seen: usize,
    visit: &'a mut dyn FnMut(usize, f64),
}

impl Sink for Visit<'_> {
    fn take<E: Copy>(&mut self, stored: &[E], real: impl Fn(E) -> f64) -> Result<(), VoxelError> {
        for &stored in stored {
            (self.visit)(self.n_seen, real(stored));
            self.n_seen += 1;
        }
        Ok(())
    }
}

/// Decodes and hands all values to the sink.
fn decode(header: &Header, bytes: VoxelBytes<'_>, sink: &mut impl Sink) -> Result<(), NiftiError> {
    match header.datatype {
        NiftiType::Uint8 => decode_as::<u8>(header, bytes, f64::from, sink),
        NiftiType::Int8 => decode_as::<i8>(header, bytes, f64::from, sink),
        NiftiType::Uint16 => decode_as::<u16>(header, bytes, f64::from, sink),
        NiftiType::Int16 => decode_as::<i16>(header, bytes, f64::from, sink),
        NiftiType::Uint32 => decode_as::<u32>(header, bytes, f64::from, sink),
        NiftiType::Int32 => decode_as::<i32>(header, bytes, f64::from, sink),
        NiftiType::Uint64 => decode_as::<u64>(header, bytes, |v| v as f64, sink),
        NiftiType::Int64 => decode_as::<i64>(header, bytes, |v| v as f64, sink),
        NiftiType::Float64 => decode_as::<f64>(header, bytes, |v| v, sink),
        _ => decode_as::<f32>(header, bytes, f64::from, sink),
    }
}

fn decode_as<E: DataElement + Copy>(
    header: &Header,
    mut bytes: VoxelBytes<'_>,
    to_real: impl Fn(E) -> f64,
    sink: &mut impl Sink,
) -> Result<(), NiftiError> {
    let mut n_left: usize = header.geometry.shape().iter().product();
    while n_left > 0 {
        let n = u16::try_from(n_left).map_or(CHUNK, |left| left.min(CHUNK));
        let chunk = bytes.next(usize::from(n) * size_of::<E>())?;
        let failed = |source| at(bytes.path(), source);
        let stored: Vec<E> = stored_values(header, n, chunk).map_err(|source| failed(VoxelError::Decode { source }))?;
        let taken = match header.scale {
            Scale::Identity => sink.take(&stored, &to_real),
            Scale::Linear { slope, intercept } => sink.take(&stored, |value| slope * to_real(value) + intercept),
        };
        taken.map_err(failed)?;
        n_left -= usize::from(n);
    }
    Ok(())
}

/// `n` values in file order, in the declared type, not scaled.
fn stored_values<E: DataElement>(header: &Header, n: u16, bytes: Vec<u8>) -> ::nifti::Result<Vec<E>> {
    let endianness = match header.order {
        ByteOrder::Big => Endianness::Big,
        ByteOrder::Little => Endianness::Little,
    };
    let dim = [1, n, 1, 1, 1, 1, 1, 1];
    InMemNiftiVolume::from_raw_fields(dim, header.datatype, 0.0, 0.0, bytes, endianness)?.into_nifti_typed_data()
}
