//! Where the numbers of a container end: sizes, lengths and counts at their limits and one beyond, contents longer than
//! the buffer that reads them.

use bundle_format::{BundleContents as _, Limits, Role, UnverifiedBundle, sign};

use crate::container_attacks::{check, directory};
use crate::forge::{encode, entries, entry};
use crate::support::{Fixture, builder, draft, files, key, path};

/// Name of the last entry of a bundle of one member; its content is empty.
const LAST: &str = "selftest/input.bin";

/// An end record of `n_entries` whose directory of `n_bytes` begins at the file's first byte.
fn end_record(n_entries: u16, n_bytes: u32) -> Vec<u8> {
    let n = n_entries.to_le_bytes();
    [&b"PK\x05\x06\0\0\0\0"[..], &n, &n, &n_bytes.to_le_bytes(), &[0; 6]].concat()
}

#[test]
fn no_entry_is_larger_than_the_file() {
    let first_size = |size: usize| {
        move |bytes: &mut Vec<u8>| {
            let at = directory(bytes) + 24;
            bytes[at..at + 4].copy_from_slice(&u32::try_from(size).unwrap().to_le_bytes());
        }
    };
    let n_bytes = Fixture::signed().bytes().len();
    check(first_size(n_bytes), "E207");
    check(first_size(n_bytes + 1), "E202");
    check(first_size(0xFFFF_FFFE), "E202");
}

#[test]
fn the_first_byte_that_differs_is_named() {
    let fixture = Fixture::signed();
    let bytes = fixture.bytes();
    for at in [directory(&bytes) + 4, directory(&bytes) + 12, bytes.len() - 1] {
        let mut attacked = bytes.clone();
        attacked[at] ^= 1;
        let error = fixture.verify_bytes(&attacked).unwrap_err();
        let words = format!("the central directory differs from its canonical form at byte {at} of the file");
        assert_eq!(error.to_string(), words);
    }
}

#[test]
fn a_zip64_record_that_is_too_short_for_a_size_is_not_read() {
    // The last record claims a size beyond 32 bits, with so many bytes to say it.
    let claim = |n_extra: u8| {
        move |bytes: &mut Vec<u8>| {
            let end = bytes.len() - 22;
            let record = end - 46 - LAST.len();
            assert_eq!(bytes[record + 46..end], *LAST.as_bytes());
            bytes[record + 24..record + 28].fill(0xFF);
            bytes[record + 30] = n_extra;
            bytes.splice(end..end, vec![0; n_extra.into()]);
            let length = bytes.len() - 10;
            let claimed = u32::from_le_bytes(bytes[length..length + 4].try_into().unwrap()) + u32::from(n_extra);
            bytes[length..length + 4].copy_from_slice(&claimed.to_le_bytes());
        }
    };
    for (n_extra, expected) in [(0, "E203"), (11, "E203"), (12, "E207"), (13, "E207"), (28, "E207")] {
        check(claim(n_extra), expected);
    }
}

#[test]
fn lengths_of_a_record_reach_to_the_end_of_the_directory_at_most() {
    let last = |field: usize, length: u8| {
        move |bytes: &mut Vec<u8>| {
            let record = bytes.len() - 22 - 46 - LAST.len();
            bytes[record + field] = length;
        }
    };
    check(last(28, u8::try_from(LAST.len() + 1).unwrap()), "E203"); // name
    check(last(30, 1), "E203"); // extra
    check(last(32, 1), "E203"); // comment
    check(last(28, u8::try_from(LAST.len() - 1).unwrap()), "E202"); // one byte is left over
}

#[test]
fn a_directory_is_no_longer_than_its_entries_can_be() {
    // A record has 46 bytes, a name of 128 and a ZIP64 record of 28 at most; what cannot be one is not read.
    let fixture = Fixture::signed();
    let refusal = |n_entries: u16, n_bytes: u32| {
        let garbage = vec![0; n_bytes as usize];
        fixture.refusal(&[garbage, end_record(n_entries, n_bytes)].concat())
    };
    assert_eq!(refusal(1, 202), "E203");
    assert_eq!(refusal(1, 203), "E202");
    assert_eq!(refusal(3, 606), "E203");
    assert_eq!(refusal(3, 607), "E202");
    assert_eq!(refusal(0, 1), "E202");
    assert_eq!(refusal(1, 45), "E203");
}

#[test]
fn a_name_below_the_signatures_that_is_none_is_a_file_like_others() {
    for name in ["signatures/a/b.sig", "signatures/b", "signatures/.sig"] {
        let fixture = Fixture::signed();
        let mut attacked = entries(&fixture.bytes());
        attacked.push(entry(name, *b"{}"));
        let expected = if name == "signatures/.sig" { "E204" } else { "E412" };
        assert_eq!(fixture.refusal(&encode(&attacked)), expected, "{name}");
    }
}

#[test]
fn a_bundle_holds_1015_files_and_eight_signatures() {
    let fixture = Fixture::unsigned(1);
    let mut files = files(1);
    let further = |index: usize| (path(&format!("zz/{index:04}")), Role::Document, Vec::new());
    files.extend((0..1015 - files.len()).map(further));
    builder(draft(1), files.clone()).write(&fixture.bundle()).unwrap();
    for signer in 1..=8 {
        sign(&fixture.bundle(), &key(signer), &fixture.bundle()).unwrap();
    }
    let intact = UnverifiedBundle::open(&fixture.bundle(), &Limits::default()).unwrap().check().unwrap();
    assert_eq!((intact.manifest().files().len(), intact.claimed_signers().len()), (1015, 8));
    assert_eq!(entries(&fixture.bytes()).len(), 1024);
    let limits = Limits { n_entries: 1023, ..Limits::default() };
    assert_eq!(UnverifiedBundle::open(&fixture.bundle(), &limits).unwrap_err().code(), "E104");

    let before = fixture.bytes();
    files.push(further(9999));
    assert_eq!(builder(draft(1), files).write(&fixture.bundle()).unwrap_err().code(), "E403");
    assert_eq!(fixture.bytes(), before);
}

#[test]
fn nobody_signs_so_many_long_names_that_no_reader_takes_the_signature() {
    let fixture = Fixture::unsigned(1);
    let mut files = files(1);
    // 1015 names of 128 bytes make a statement of 246 KB, and a third more as base64.
    let name = |index: usize| format!("{}/{index:063}", "z".repeat(64));
    files.extend((0..1015 - files.len()).map(|index| (path(&name(index)), Role::Document, Vec::new())));
    builder(draft(1), files).write(&fixture.bundle()).unwrap();
    let before = fixture.bytes();
    let error = sign(&fixture.bundle(), &key(1), &fixture.bundle()).unwrap_err();
    assert_eq!((error.code(), error.exit_code()), ("E105", 14));
    assert_eq!(fixture.bytes(), before);
}

#[test]
fn contents_longer_than_the_buffer_are_read_whole() {
    const BUFFER: usize = 1 << 17;
    let content: Vec<u8> = (0..2 * BUFFER + 77).map(|index| u8::try_from(index % 251).unwrap()).collect();
    let fixture = Fixture::unsigned(1);
    let mut files = files(1);
    files.push((path("docs/long.txt"), Role::Document, content.clone()));
    builder(draft(1), files).write(&fixture.bundle()).unwrap();
    sign(&fixture.bundle(), &key(1), &fixture.bundle()).unwrap();
    let bundle = fixture.verify_path(&fixture.bundle()).unwrap();
    assert_eq!(bundle.read(&path("docs/long.txt")).unwrap(), content);
    let out = fixture.folder.path().join("out");
    bundle.extract(&out).unwrap();
    assert_eq!(fs_err::read(out.join("docs/long.txt")).unwrap(), content);

    let bytes = fixture.bytes();
    let start = bytes.windows(64).position(|window| window == &content[..64]).unwrap();
    for at in [0, BUFFER - 1, BUFFER, 2 * BUFFER - 1, 2 * BUFFER, content.len() - 1] {
        let mut attacked = bytes.clone();
        attacked[start + at] ^= 1;
        assert_eq!(fixture.refusal(&attacked), "E209", "byte {at}");
    }
}

#[test]
fn limits_are_lowered_and_never_raised() {
    let (lowest, highest) = (
        Limits {
            archive_bytes: 1,
            n_entries: 2,
            n_signatures: 3,
            manifest_bytes: 4,
            signature_bytes: 5,
            pipeline_bytes: 6,
            loaded_bytes: 7,
        },
        Limits {
            archive_bytes: u64::MAX,
            n_entries: usize::MAX,
            n_signatures: usize::MAX,
            manifest_bytes: u64::MAX,
            signature_bytes: u64::MAX,
            pipeline_bytes: u64::MAX,
            loaded_bytes: u64::MAX,
        },
    );
    assert_eq!(lowest.clamped(), lowest);
    assert_eq!(highest.clamped(), Limits::default());
}

#[test]
fn manifest_pipeline_and_signatures_have_limits_of_their_own() {
    let fixture = Fixture::signed();
    let sizes: Vec<_> = entries(&fixture.bytes()).iter().map(|entry| entry.content.len() as u64).collect();
    let (signature, manifest, pipeline) = (sizes[0], sizes[1], 2);
    let code = |limits: Limits| {
        let opened = UnverifiedBundle::open(&fixture.bundle(), &limits).unwrap();
        opened.check().err().map(|error| error.code())
    };
    let ceiling = Limits::default();
    for (at_limit, below) in [
        (Limits { signature_bytes: signature, ..ceiling }, Limits { signature_bytes: signature - 1, ..ceiling }),
        (Limits { manifest_bytes: manifest, ..ceiling }, Limits { manifest_bytes: manifest - 1, ..ceiling }),
        (Limits { pipeline_bytes: pipeline, ..ceiling }, Limits { pipeline_bytes: pipeline - 1, ..ceiling }),
    ] {
        assert_eq!((code(at_limit), code(below)), (None, Some("E105")));
    }
}
