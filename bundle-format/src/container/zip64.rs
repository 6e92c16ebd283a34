//! Archives beyond 4 GiB, as sparse files: headers only, nothing is hashed.

use std::os::unix::fs::FileExt;

use super::layout::Layout;
use super::{Archive, OpenFile, Record};
use crate::entry_path::EntryPath;
use crate::limits::Limits;

/// Writes the headers of entries with these sizes and reads them back, by this
/// crate and by the crate `zip`.
fn check(sizes: &[u64]) {
    let record = |(index, &size)| Record { path: path_of(index), size, crc32: 0 };
    let records: Vec<_> = sizes.iter().enumerate().map(record).collect();
    let layout = Layout::new(records.clone());
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sparse.unb");
    let file = fs_err::File::create(&path).unwrap();
    for place in layout.places() {
        file.file().write_all_at(&place.local_header(), place.header_start).unwrap();
        assert_eq!(place.content_start % 64, 0);
    }
    file.file().write_all_at(&layout.tail(), layout.directory_start()).unwrap();

    let archive = Archive::read_headers(OpenFile::open(&path, &Limits::default()).unwrap()).unwrap();
    assert_eq!(archive.records().cloned().collect::<Vec<_>>(), records);
    let mut other = zip::ZipArchive::new(fs_err::File::open(&path).unwrap()).unwrap();
    for (index, place) in layout.places().iter().enumerate() {
        let entry = other.by_index(index).unwrap();
        assert_eq!(entry.name().unwrap(), place.record.path.as_str());
        assert_eq!((entry.size(), entry.data_start()), (place.record.size, Some(place.content_start)));
    }
}

fn path_of(index: usize) -> EntryPath {
    match index {
        0 => EntryPath::manifest(),
        _ => EntryPath::new(format!("models/{index}")).unwrap(),
    }
}

#[test]
fn headers_change_to_zip64_exactly_where_32_bits_end() {
    const LIMIT: u64 = u32::MAX as u64;
    for size in [1 << 31, LIMIT - 1, LIMIT, LIMIT + 1] {
        check(&[10, size]); // a wide entry
        check(&[10, size - 300, 10]); // a wide offset after it
        check(&[10, size, size, 0]);
    }
    let directory_at_limit = LIMIT - 192; // the third entry ends where 32 bits end
    for shift in 0..3 {
        check(&[0, directory_at_limit - 1 + shift, 0]);
    }
}

#[test]
fn small_archives_have_no_zip64_records() {
    let record = Record { path: EntryPath::manifest(), size: u64::from(u32::MAX) - 1 - 64, crc32: 0 };
    let layout = Layout::new(vec![record]);
    assert_eq!(layout.directory_start(), u64::from(u32::MAX) - 1);
    assert_eq!(layout.tail().len(), 46 + 13 + 22);
    let record = Record { path: EntryPath::manifest(), size: u64::from(u32::MAX) - 64, crc32: 0 };
    assert_eq!(Layout::new(vec![record]).tail().len(), 46 + 13 + 22 + 20 + 56);
}
