//! Writing an archive: whole under its name, or not at all.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::layout::Layout;
use super::order::check_names;
use super::{ContainerError, Measured, Record, sort_key};
use crate::builder::BuildError;
use crate::error::BundleError;
use crate::limits::Limits;

/// Writes `entries`, in the format's order, to `output`.
///
/// Content is copied in pieces; memory does not grow with it. Everything goes
/// into a temporary file beside `output`, is flushed to disk, and replaces
/// `output` by a rename.
pub(crate) fn write_archive(output: &Path, mut entries: Vec<Measured<'_>>, limits: &Limits) -> Result<(), BundleError> {
    entries.sort_by(|a, b| sort_key(&a.record.path).cmp(&sort_key(&b.record.path)));
    let records: Vec<_> = entries.iter().map(|entry| entry.record.clone()).collect();
    check_records(&records, limits)?;
    let layout = Layout::new(records);
    replace_file(output, 0o666, &mut |file| {
        let mut out = BufWriter::new(file);
        let failed = |source| BundleError::io(output)(source);
        for (place, entry) in layout.places().iter().zip(&entries) {
            out.write_all(&place.local_header()).map_err(failed)?;
            copy_content(entry, output, &mut out)?;
        }
        out.write_all(&layout.tail()).map_err(failed)?;
        out.flush().map_err(failed)
    })
}

/// Refuses what a reader would refuse because of names, counts or sizes.
fn check_records(records: &[Record], limits: &Limits) -> Result<(), ContainerError> {
    let limit = limits.n_entries;
    if records.len() > limit {
        return Err(ContainerError::EntryCount { actual: records.len() as u64, limit });
    }
    check_names(records, limits)?;
    let limit = limits.archive_bytes;
    let actual = records.iter().fold(0, |sum: u64, record| sum.saturating_add(record.size));
    if actual > limit {
        return Err(ContainerError::ArchiveSize { actual, limit });
    }
    Ok(())
}

/// Copies one content and compares it with what was measured.
fn copy_content(entry: &Measured<'_>, output: &Path, out: &mut impl Write) -> Result<(), BundleError> {
    let record = &entry.record;
    let (mut size, mut crc32) = (0, crc32fast::Hasher::new());
    entry.source.for_each_chunk(&record.path, &mut |chunk| {
        size += chunk.len() as u64;
        crc32.update(chunk);
        out.write_all(chunk).map_err(BundleError::io(output))
    })?;
    if size != record.size || crc32.finalize() != record.crc32 {
        return Err(BuildError::Changed { path: record.path.clone() }.into());
    }
    Ok(())
}

/// Replaces `output` by what `write` writes: temporary file, flush, rename,
/// flush of the folder.
///
/// `mode` is subject to the process's umask.
pub(crate) fn replace_file(
    output: &Path,
    mode: u32,
    write: &mut dyn FnMut(&mut File) -> Result<(), BundleError>,
) -> Result<(), BundleError> {
    let folder = match output.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let mut temporary = tempfile::Builder::new()
        .permissions(PermissionsExt::from_mode(mode))
        .tempfile_in(folder)
        .map_err(BundleError::io(output))?;
    write(temporary.as_file_mut())?;
    let finish = || -> io::Result<()> {
        temporary.as_file().sync_all()?;
        temporary.persist(output).map_err(|error| error.error)?;
        fs_err::File::open(folder)?.sync_all()
    };
    finish().map_err(BundleError::io(output))
}
