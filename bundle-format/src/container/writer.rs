//! Writing an archive: whole under its name, or not at all.

use std::io::{BufWriter, Write};
use std::path::Path;

use super::layout::Layout;
use super::order::{check_names, is_signature};
use super::{ContainerError, Measured, Record, sort_key};
use crate::atomic_file::{Existing, write_whole};
use crate::builder::BuildError;
use crate::error::BundleError;
use crate::limits::Limits;
use crate::manifest::MANIFEST_PATH;

/// Writes `entries`, in the format's order, to `output`.
///
/// Content is copied in pieces; memory does not grow with it.
pub(crate) fn write_archive(output: &Path, mut entries: Vec<Measured<'_>>, limits: &Limits) -> Result<(), BundleError> {
    entries.sort_by(|a, b| sort_key(&a.record.path).cmp(&sort_key(&b.record.path)));
    let records: Vec<_> = entries.iter().map(|entry| entry.record.clone()).collect();
    check_records(&records, limits)?;
    let layout = Layout::new(records);
    write_whole(output, 0o666, Existing::Replace, &mut |file| {
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
    records.iter().try_for_each(|record| check_size(record, limits))
}

/// A reader holds manifest and signatures in memory and bounds them.
fn check_size(record: &Record, limits: &Limits) -> Result<(), ContainerError> {
    let limit = match record.path.as_str() {
        MANIFEST_PATH => limits.manifest_bytes,
        _ if is_signature(&record.path) => limits.signature_bytes,
        _ => return Ok(()),
    };
    let (path, actual) = (record.path.clone(), record.size);
    if actual > limit { Err(ContainerError::EntrySize { path, actual, limit }) } else { Ok(()) }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entry_path::EntryPath;

    #[test]
    fn manifest_and_signatures_are_written_up_to_the_readers_limits() {
        let record = |path: &EntryPath, size| Record { path: path.clone(), size, crc32: 0 };
        let signature = EntryPath::new("signatures/0123456789abcdef.sig").unwrap();
        let (manifest, other) = (EntryPath::manifest(), EntryPath::new("z").unwrap());
        let records = [record(&signature, 5), record(&manifest, 7), record(&other, 9)];
        let check = |signature_bytes, manifest_bytes| {
            check_records(&records, &Limits { manifest_bytes, signature_bytes, ..Limits::default() })
        };
        assert_eq!(check(5, 7), Ok(()));
        assert_eq!(check(4, 7), Err(ContainerError::EntrySize { path: signature.clone(), actual: 5, limit: 4 }));
        assert_eq!(check(5, 6), Err(ContainerError::EntrySize { path: manifest.clone(), actual: 7, limit: 6 }));
    }
}
