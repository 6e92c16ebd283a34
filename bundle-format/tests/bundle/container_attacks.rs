//! Archives that zip readers take for the bundle, and files that are none.

use std::collections::BTreeSet;
use std::os::unix::fs::symlink;

use bundle_format::{BundleContents, Limits, UnverifiedBundle};

use crate::forge::{encode, entries, entry, signed};
use crate::support::{Fixture, path};
use crate::zip_confusions;

/// Edits the bytes of a signed bundle.
#[track_caller]
pub(crate) fn check(edit: impl FnOnce(&mut Vec<u8>), expected: &str) {
    let fixture = Fixture::signed();
    let mut bytes = fixture.bytes();
    edit(&mut bytes);
    assert_eq!(fixture.refusal(&bytes), expected);
}

/// Offset of the first central record.
pub(crate) fn directory(bytes: &[u8]) -> usize {
    let field = bytes[bytes.len() - 6..bytes.len() - 2].try_into().unwrap();
    u32::from_le_bytes(field) as usize
}

/// Adds to the little-endian 32-bit field at `at`.
fn add(bytes: &mut [u8], at: usize, amount: u32) {
    let field = bytes[at..at + 4].try_into().unwrap();
    bytes[at..at + 4].copy_from_slice(&u32::from_le_bytes(field).wrapping_add(amount).to_le_bytes());
}

/// Adds `amount` to the field of the end record, `back` bytes before its end.
fn add_at_end(bytes: &mut [u8], back: usize, amount: u32) {
    let at = bytes.len() - back;
    add(bytes, at, amount);
}

#[test]
fn what_zip_readers_disagree_about_is_refused() {
    let fixture = Fixture::signed();
    let confusions = zip_confusions::all(&fixture.bytes());
    for confusion in &confusions {
        assert_eq!(fixture.refusal(&confusion.bytes), confusion.code, "{}", confusion.name);
    }
    let different: BTreeSet<_> = confusions.iter().map(|confusion| &confusion.bytes).collect();
    assert_eq!(different.len(), 116, "of {} confusions", confusions.len());
}

#[test]
fn local_headers_are_compared_byte_by_byte() {
    for at in 0..64 {
        let name = 30..30 + "signatures/0123456789abcdef.sig".len();
        let expected = "E208";
        check(|bytes| bytes[at] ^= 0x40, expected);
        assert!(name.end < 64);
    }
}

#[test]
fn flags_methods_and_attributes_are_fixed() {
    let central = |at: usize, value: u8| {
        move |bytes: &mut Vec<u8>| {
            let record = directory(bytes);
            bytes[record + at] = value;
        }
    };
    check(central(0, b'X'), "E203"); // no record
    check(central(4, 0x14), "E207"); // made by another version
    check(central(6, 45), "E207"); // needs ZIP64
    check(central(8, 8), "E207"); // data descriptor
    check(central(8, 1), "E207"); // encrypted
    check(central(9, 8), "E207"); // UTF-8 flag
    check(central(10, 8), "E207"); // deflate
    check(central(12, 1), "E207"); // time
    check(central(16, 0), "E208"); // CRC-32; the local header has another
    check(central(20, 0), "E207"); // compressed size
    check(central(34, 1), "E207"); // disk
    check(central(36, 1), "E207"); // internal attributes
    check(central(41, 0xA1), "E207"); // symbolic link
    check(central(42, 1), "E207"); // offset
}

#[test]
fn directory_fills_its_place() {
    check(|bytes| add_at_end(bytes, 10, 1), "E202"); // longer
    check(|bytes| add_at_end(bytes, 6, 1), "E202"); // later
    check(|bytes| add_at_end(bytes, 12, 1), "E203"); // one more entry
    check(|bytes| add_at_end(bytes, 12, 0xFFFF), "E202"); // one entry less, rest unread
    check(|bytes| add_at_end(bytes, 10, u32::MAX / 2), "E202");
    let slack = |bytes: &mut Vec<u8>| {
        let start = directory(bytes);
        bytes.splice(start..start, *b"slack");
        add_at_end(bytes, 6, 5);
    };
    check(slack, "E207");
}

#[test]
fn end_record_has_one_form() {
    check(|bytes| bytes.extend(b"comment"), "E201");
    let comment = |bytes: &mut Vec<u8>| {
        let at = bytes.len() - 2;
        bytes[at] = 22;
        let end = bytes[at - 20..].to_vec();
        bytes.extend(end); // a comment that is an end record of its own
    };
    check(comment, "E202");
    check(|bytes| bytes.truncate(21), "E201");
    check(Vec::clear, "E201");
    let disk = |bytes: &mut Vec<u8>| {
        let at = bytes.len() - 18;
        bytes[at] = 1;
    };
    check(disk, "E207");
    let comment_length = |bytes: &mut Vec<u8>| {
        let at = bytes.len() - 1;
        bytes[at] = 1;
    };
    check(comment_length, "E207");
    check(|bytes| *bytes = encode(&[]), "E210");
}

#[test]
fn zip64_is_refused_where_it_is_not_needed() {
    let needless = |bytes: &mut Vec<u8>| {
        let (start, end) = (directory(bytes) as u64, bytes.len() - 22);
        let size = end as u64 - start;
        let n_entries = u64::from(bytes[end + 10]);
        let record = [b"PK\x06\x06".as_slice(), &44_u64.to_le_bytes(), &[0x0A, 3, 45, 0], &[0; 8]].concat();
        let sizes = [n_entries, n_entries, size, start].map(u64::to_le_bytes).concat();
        let locator = [b"PK\x06\x07".as_slice(), &[0; 4], &(end as u64).to_le_bytes(), &[1, 0, 0, 0]].concat();
        bytes.splice(end..end, [record, sizes, locator].concat());
        let at = bytes.len() - 10;
        bytes[at..at + 8].fill(0xFF);
    };
    check(needless, "E207");
    let no_record = |bytes: &mut Vec<u8>| {
        let at = bytes.len() - 6;
        bytes[at..at + 4].fill(0xFF);
    };
    check(no_record, "E201");
    let size = |bytes: &mut Vec<u8>| {
        let record = directory(bytes);
        bytes[record + 24..record + 28].fill(0xFF);
    };
    check(size, "E203"); // refers to a ZIP64 field that is not there
}

#[test]
fn names_that_lead_elsewhere_are_refused() {
    let long = "a/".repeat(64);
    for name in ["../x", "/x", "x/../../y", "X", "c:x", "x\\y", "nul", "x.", "a\u{0}b", "ä", "", "x/", long.as_str()] {
        let fixture = Fixture::signed();
        let mut attacked = entries(&fixture.bytes());
        attacked.push(entry(name, *b"x"));
        assert_eq!(fixture.refusal(&encode(&signed(&attacked))), "E204", "{name:?}");
    }
    let not_utf8 = |bytes: &mut Vec<u8>| {
        let record = directory(bytes);
        bytes[record + 46] = 0xFF;
    };
    check(not_utf8, "E204");
}

#[test]
fn at_most_1024_entries() {
    let fixture = Fixture::signed();
    let mut attacked = entries(&fixture.bytes());
    let n_more = 1024 - attacked.len();
    attacked.extend((0..n_more).map(|index| entry(&format!("zz/{index:04}"), *b"")));
    assert_eq!(fixture.refusal(&encode(&attacked)), "E412");
    attacked.push(entry("zz/x", *b""));
    assert_eq!(fixture.refusal(&encode(&attacked)), "E104");
}

#[test]
fn lower_limits_of_the_caller_hold_and_higher_ones_do_not() {
    let fixture = Fixture::signed();
    let open = |limits: &Limits| UnverifiedBundle::open(&fixture.bundle(), limits);
    let code = |limits: Limits| open(&limits).unwrap_err().code();
    let ceiling = Limits::default();
    let n_bytes = fixture.bytes().len() as u64;
    assert!(open(&Limits { archive_bytes: n_bytes, ..ceiling }).is_ok());
    assert_eq!(code(Limits { archive_bytes: n_bytes - 1, ..ceiling }), "E103");
    assert_eq!(code(Limits { n_entries: 3, ..ceiling }), "E104");
    assert_eq!(code(Limits { n_signatures: 0, ..ceiling }), "E106");
    let pipeline = open(&Limits { pipeline_bytes: 1, ..ceiling }).unwrap().check();
    assert_eq!(pipeline.unwrap_err().code(), "E105");
    let small = open(&Limits { loaded_bytes: 3, ..ceiling }).unwrap().check().unwrap();
    assert_eq!(small.read(&path("selftest/expected.bin")).unwrap(), [1, 2, 3]);
    assert_eq!(small.read(&path("docs/license.txt")).unwrap_err().code(), "E105");

    let huge = fixture.folder.path().join("huge.unb");
    let file = fs_err::File::create(&huge).unwrap();
    if file.set_len((256 << 30) + 1).is_ok() {
        let limits = Limits { archive_bytes: u64::MAX, ..ceiling };
        let error = UnverifiedBundle::open(&huge, &limits).unwrap_err();
        assert_eq!((error.code(), error.exit_code()), ("E103", 14));
    }
}

#[test]
fn only_regular_files_are_opened() {
    let fixture = Fixture::signed();
    let at = |name: &str| fixture.folder.path().join(name);
    let code = |name: &str| fixture.verify_path(&at(name)).unwrap_err().code();
    symlink(fixture.bundle(), at("link")).unwrap();
    assert_eq!(code("link"), "E102");
    fs_err::create_dir(at("folder")).unwrap();
    assert_eq!(code("folder"), "E102");
    let fifo = std::process::Command::new("mkfifo").arg(at("fifo")).status();
    if fifo.is_ok_and(|status| status.success()) {
        assert_eq!(code("fifo"), "E102"); // and does not wait for a writer
    }
    assert_eq!(code("none"), "E101");
    assert_eq!(fixture.verify_path("/dev/null".as_ref()).unwrap_err().code(), "E102");
}

#[test]
fn a_file_changed_after_verification_is_noticed_on_load() {
    let fixture = Fixture::signed();
    let bundle = fixture.verify_path(&fixture.bundle()).unwrap();
    let member = bundle.manifest().members[0].id.clone();
    let mut bytes = fixture.bytes();
    let at = bytes.windows(9).position(|window| window == b"network 0").unwrap();

    // Replaced by another file: the open one is still read.
    let original = bytes.clone();
    fs_err::remove_file(fixture.bundle()).unwrap();
    fs_err::write(fixture.bundle(), b"another").unwrap();
    assert_eq!(bundle.member_model(&member).unwrap(), b"network 0");

    // Changed in place, checksum and all.
    fs_err::write(fixture.bundle(), &original).unwrap();
    let bundle = fixture.verify_path(&fixture.bundle()).unwrap();
    bytes[at] ^= 1;
    fs_err::write(fixture.bundle(), &bytes).unwrap();
    assert_eq!(bundle.member_model(&member).unwrap_err().code(), "E209");
    let collision = collide(&original[at..at + 9]);
    bytes[at..at + 9].copy_from_slice(&collision);
    fs_err::write(fixture.bundle(), &bytes).unwrap();
    assert_eq!(bundle.member_model(&member).unwrap_err().code(), "E414");
    fs_err::write(fixture.bundle(), b"short").unwrap();
    assert_eq!(bundle.member_model(&member).unwrap_err().code(), "E101");
}

/// Other bytes with the same CRC-32: CRC-32 is linear, so adding its generator
/// polynomial (33 bits, lowest bit first) changes nothing.
fn collide(content: &[u8]) -> Vec<u8> {
    let mut other = content.to_vec();
    let polynomial = (u64::from(0xEDB8_8320_u32) << 1 | 1).to_le_bytes();
    for (byte, term) in other.iter_mut().zip(polynomial) {
        *byte ^= term;
    }
    assert_eq!(crc32fast::hash(&other), crc32fast::hash(content));
    other
}
