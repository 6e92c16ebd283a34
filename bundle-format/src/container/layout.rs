//! Where every entry lies and how its headers are spelled.
//!
//! A pure function of the ordered (name, size, CRC-32) of the entries; both
//! the writer and the verifier use it. Follows PKWARE's APPNOTE 6.3.10, with
//! method 0, and an alignment record `0xD935` as Android's `zipalign` writes.

use crate::entry_path::EntryPath;

/// Content starts at multiples of this.
const ALIGNMENT: u16 = 64;
const ALIGNMENT_ID: u16 = 0xD935;
const ZIP64_ID: u16 = 0x0001;
/// The smallest value that a 32-bit field cannot hold: it means "see ZIP64".
const SENTINEL: u32 = u32::MAX;
const VERSION_PLAIN: u16 = 10;
const VERSION_ZIP64: u16 = 45;
const MADE_BY: u16 = 0x030A;
/// 1980-01-01, the first day that a zip archive can name.
const DATE: u16 = 0x0021;
const ATTRIBUTES: u32 = 0o100_644 << 16;

pub(super) const LOCAL_SIGNATURE: [u8; 4] = *b"PK\x03\x04";
pub(super) const CENTRAL_SIGNATURE: [u8; 4] = *b"PK\x01\x02";
pub(super) const END_SIGNATURE: [u8; 4] = *b"PK\x05\x06";
pub(super) const END64_SIGNATURE: [u8; 4] = *b"PK\x06\x06";
pub(super) const LOCATOR64_SIGNATURE: [u8; 4] = *b"PK\x06\x07";

const LOCAL_BYTES: u64 = 30;
const ALIGNMENT_BYTES: u64 = 6;
const LOCAL_ZIP64_BYTES: u64 = 20;
pub(super) const CENTRAL_BYTES: usize = 46;
/// The most that ZIP64 adds to a central record: its head, size twice, offset.
pub(super) const CENTRAL_ZIP64_BYTES: usize = 28;
pub(super) const END_BYTES: usize = 22;
/// End record, ZIP64 locator and ZIP64 end record.
pub(super) const END64_BYTES: usize = 22 + 20 + 56;

/// What the headers say about one entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) path: EntryPath,
    pub(crate) size: u64,
    pub(crate) crc32: u32,
}

/// The place of every entry.
#[derive(Debug)]
pub(super) struct Layout {
    places: Vec<Place>,
    directory_start: u64,
}

/// The place of one entry.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) record: Record,
    pub(super) header_start: u64,
    pub(super) content_start: u64,
}

impl Layout {
    /// Lays out `records` in their order.
    ///
    /// # Panics
    ///
    /// If the sizes add up to 2^64; callers have limited each to the archive's.
    pub(super) fn new(records: Vec<Record>) -> Self {
        let mut position = 0;
        let mut places = Vec::with_capacity(records.len());
        for record in records {
            let header_start = position;
            let content_start = header_start + record.local_bytes(header_start);
            position = content_start + record.size;
            places.push(Place { record, header_start, content_start });
        }
        Self { places, directory_start: position }
    }

    pub(super) fn places(&self) -> &[Place] {
        &self.places
    }

    pub(super) fn into_places(self) -> Vec<Place> {
        self.places
    }

    pub(super) fn directory_start(&self) -> u64 {
        self.directory_start
    }

    /// Everything after the last content: central directory and end records.
    pub(super) fn tail(&self) -> Vec<u8> {
        let mut tail = Vec::new();
        for place in &self.places {
            place.write_central(&mut tail);
        }
        let size = tail.len() as u64;
        let (n_entries, start) = (self.places.len() as u64, self.directory_start);
        if size >= SENTINEL.into() || start >= SENTINEL.into() {
            let end64 = start + size;
            tail.extend_from_slice(&END64_SIGNATURE);
            tail.extend_from_slice(&44_u64.to_le_bytes());
            put_u16(&mut tail, &[MADE_BY, VERSION_ZIP64]);
            put_u32(&mut tail, &[0, 0]);
            put_u64(&mut tail, &[n_entries, n_entries, size, start]);
            tail.extend_from_slice(&LOCATOR64_SIGNATURE);
            put_u32(&mut tail, &[0]);
            put_u64(&mut tail, &[end64]);
            put_u32(&mut tail, &[1]);
        }
        let n_entries = u16::try_from(n_entries).expect("an archive has at most 1024 entries");
        tail.extend_from_slice(&END_SIGNATURE);
        put_u16(&mut tail, &[0, 0, n_entries, n_entries]);
        put_u32(&mut tail, &[saturate(size), saturate(start)]);
        put_u16(&mut tail, &[0]);
        tail
    }
}

impl Record {
    fn needs_zip64(&self) -> bool {
        self.size >= SENTINEL.into()
    }

    fn unpadded_local_bytes(&self) -> u64 {
        let zip64 = if self.needs_zip64() { LOCAL_ZIP64_BYTES } else { 0 };
        LOCAL_BYTES + self.path.as_str().len() as u64 + zip64 + ALIGNMENT_BYTES
    }

    /// Length of the local header, padded so that content is aligned.
    fn local_bytes(&self, start: u64) -> u64 {
        let end = start + self.unpadded_local_bytes();
        end.next_multiple_of(ALIGNMENT.into()) - start
    }

    fn name_bytes(&self) -> u16 {
        u16::try_from(self.path.as_str().len()).expect("entry names have at most 128 bytes")
    }
}

impl Place {
    /// The local header of this entry.
    pub(super) fn local_header(&self) -> Vec<u8> {
        let record = &self.record;
        let zip64 = record.needs_zip64();
        let length = self.content_start - self.header_start;
        let padding =
            u16::try_from(length - record.unpadded_local_bytes()).expect("padding is shorter than the alignment");
        let extra = if zip64 { 20 } else { 0 } + 6 + padding;
        let size = saturate(record.size);

        let mut header = LOCAL_SIGNATURE.to_vec();
        let version = if zip64 { VERSION_ZIP64 } else { VERSION_PLAIN };
        put_u16(&mut header, &[version, 0, 0, 0, DATE]);
        put_u32(&mut header, &[record.crc32, size, size]);
        put_u16(&mut header, &[record.name_bytes(), extra]);
        header.extend_from_slice(record.path.as_str().as_bytes());
        if zip64 {
            put_u16(&mut header, &[ZIP64_ID, 16]);
            put_u64(&mut header, &[record.size, record.size]);
        }
        put_u16(&mut header, &[ALIGNMENT_ID, 2 + padding, ALIGNMENT]);
        header.resize(header.len() + usize::from(padding), 0);
        header
    }

    fn write_central(&self, out: &mut Vec<u8>) {
        let record = &self.record;
        let (size, offset) = (saturate(record.size), saturate(self.header_start));
        let mut wide = Vec::new();
        if size == SENTINEL {
            wide.extend([record.size, record.size]);
        }
        if offset == SENTINEL {
            wide.push(self.header_start);
        }
        let version = if wide.is_empty() { VERSION_PLAIN } else { VERSION_ZIP64 };
        let wide_bytes = 8 * u16::try_from(wide.len()).expect("there are at most three values");
        let extra = if wide.is_empty() { 0 } else { 4 + wide_bytes };

        out.extend_from_slice(&CENTRAL_SIGNATURE);
        put_u16(out, &[MADE_BY, version, 0, 0, 0, DATE]);
        put_u32(out, &[record.crc32, size, size]);
        put_u16(out, &[record.name_bytes(), extra, 0, 0, 0]);
        put_u32(out, &[ATTRIBUTES, offset]);
        out.extend_from_slice(record.path.as_str().as_bytes());
        if !wide.is_empty() {
            put_u16(out, &[ZIP64_ID, wide_bytes]);
            put_u64(out, &wide);
        }
    }
}

/// The value of a 32-bit field that refers to ZIP64 from its largest value on.
fn saturate(value: u64) -> u32 {
    u32::try_from(value).unwrap_or(SENTINEL)
}

fn put_u16(out: &mut Vec<u8>, values: &[u16]) {
    out.extend(values.iter().flat_map(|value| value.to_le_bytes()));
}

fn put_u32(out: &mut Vec<u8>, values: &[u32]) {
    out.extend(values.iter().flat_map(|value| value.to_le_bytes()));
}

fn put_u64(out: &mut Vec<u8>, values: &[u64]) {
    out.extend(values.iter().flat_map(|value| value.to_le_bytes()));
}
