//! Exhaustive damage: every bit, every offset.

use std::os::unix::fs::FileExt;

use bundle_format::{Limits, TrustedKeys, UnverifiedBundle, sign};

use crate::forge::{encode, entries};
use crate::support::{Fixture, builder, draft, files, key, path};

/// A signed bundle as small as the schema allows, so that all its bits can be tried.
fn smallest() -> Fixture {
    let fixture = Fixture::unsigned(1);
    let mut draft = draft(1);
    draft.documents.license = path("d");
    draft.documents.model_card = path("d");
    draft.documents.sbom = path("b");
    draft.pipeline = path("c");
    draft.selftest.expected = path("t");
    draft.selftest.input = path("t");
    draft.members[0].model = path("m");
    let mut files = files(1);
    files.truncate(5);
    for (file, name) in files.iter_mut().zip(["c", "d", "m", "b", "t"]) {
        file.0 = path(name);
    }
    files[2].1 = bundle_format::Role::Onnx;
    builder(draft, files).write(&fixture.bundle()).unwrap();
    sign(&fixture.bundle(), &key(1), &fixture.bundle()).unwrap();
    fixture.verify_path(&fixture.bundle()).unwrap();
    fixture
}

#[test]
fn every_single_bit_flip_is_refused() {
    let fixture = smallest();
    let bytes = fixture.bytes();
    let keys = TrustedKeys::single(fixture.public.clone());
    let file = fs_err::OpenOptions::new().write(true).open(fixture.bundle()).unwrap();
    for (offset, &byte) in bytes.iter().enumerate() {
        for bit in 0..8 {
            file.file().write_all_at(&[byte ^ 1 << bit], offset as u64).unwrap();
            let opened = UnverifiedBundle::open(&fixture.bundle(), &Limits::default());
            let outcome = opened.and_then(|bundle| bundle.verify(&keys));
            assert!(outcome.is_err(), "bit {bit} of byte {offset} of {}", bytes.len());
        }
        file.file().write_all_at(&[byte], offset as u64).unwrap();
    }
    fixture.verify_path(&fixture.bundle()).unwrap();
}

#[test]
fn every_bit_flip_of_content_is_refused_with_its_checksum_repaired() {
    let fixture = smallest();
    let original = entries(&fixture.bytes());
    for index in 0..original.len() {
        for offset in 0..original[index].content.len() {
            for bit in 0..8 {
                let mut attacked = original.clone();
                attacked[index].content[offset] ^= 1 << bit;
                let code = fixture.refusal(&encode(&attacked));
                assert!(code.starts_with("E3") || code == "E414", "{code} for bit {bit} of {offset} of {index}");
            }
        }
    }
}

#[test]
fn every_truncation_deletion_insertion_and_repetition_is_refused() {
    let fixture = smallest();
    let bytes = fixture.bytes();
    for offset in 0..bytes.len() {
        let (head, tail) = bytes.split_at(offset);
        fixture.refusal(head);
        fixture.refusal(tail.get(1..).map(|rest| [head, rest].concat()).unwrap().as_slice());
        fixture.refusal(&[head, &[0], tail].concat());
        fixture.refusal(&[head, &tail[..1], tail].concat());
    }
}

#[test]
fn nothing_may_stand_before_or_behind_the_archive() {
    let fixture = smallest();
    let bytes = fixture.bytes();
    for length in [1, 2, 3, 21, 22, 63, 64, 65, 128, 4096] {
        for filler in [0, b'P'] {
            let slack = vec![filler; length];
            assert_eq!(fixture.refusal(&[slack.as_slice(), &bytes].concat()), "E202");
            assert_eq!(fixture.refusal(&[bytes.as_slice(), &slack].concat()), "E201");
        }
    }
    // A whole second archive, and one with its own end record repeated.
    assert_eq!(fixture.refusal(&[bytes.as_slice(), &bytes].concat()), "E202");
    let end = &bytes[bytes.len() - 22..];
    assert_eq!(fixture.refusal(&[&bytes, end].concat()), "E202");
}
