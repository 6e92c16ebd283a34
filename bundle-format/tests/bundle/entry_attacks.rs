//! Entries added, removed, renamed, exchanged, reordered, repeated or mixed.

use bundle_format::sign;

use crate::forge::{Entry, encode, entries, entry, signed};
use crate::support::{Fixture, builder, draft, files, key};

const FIRST_FILE: usize = 2;

/// Runs `attack` on the entries of a signed bundle of three members.
#[track_caller]
fn check(attack: impl FnOnce(&mut Vec<Entry>), expected: &str) {
    let fixture = fixture();
    let mut attacked = entries(&fixture.bytes());
    attack(&mut attacked);
    assert_eq!(fixture.refusal(&encode(&attacked)), expected);
}

fn fixture() -> Fixture {
    let fixture = Fixture::unsigned(3);
    sign(&fixture.bundle(), &key(1), &fixture.bundle()).unwrap();
    fixture
}

/// Positions of the files; signature and manifest come before.
fn positions() -> std::ops::Range<usize> {
    FIRST_FILE..FIRST_FILE + files(3).len()
}

#[test]
fn added_entries_are_refused_wherever_they_sort() {
    for name in ["a", "config/q", "docs/z.txt", "models/fold_0/checkpoint_8.onnx", "zz"] {
        check(
            |entries| {
                entries.push(entry(name, *b"x"));
                entries[FIRST_FILE..].sort_by(|a, b| a.name.cmp(&b.name));
            },
            "E412",
        );
    }
    check(|entries| entries.push(entry("signatures/readme.txt", *b"x")), "E412");
    check(|entries| entries.insert(0, entry("signatures/readme.txt", *b"x")), "E205");
    check(|entries| entries.insert(0, entry("signatures/0000000000000000.sig", *b"{}")), "E303");
}

#[test]
fn removed_entries_are_refused() {
    for index in positions() {
        check(|entries| drop(entries.remove(index)), "E411");
    }
    check(|entries| drop(entries.remove(1)), "E210");
    check(|entries| drop(entries.remove(0)), "E301");
}

#[test]
fn renamed_entries_are_refused() {
    for index in positions() {
        check(
            |entries| {
                entries[index].name.push('x');
                entries[FIRST_FILE..].sort_by(|a, b| a.name.cmp(&b.name));
            },
            "E411",
        );
    }
    check(|entries| entries[0].name = "signatures/0123456789abcdef.sig".to_owned(), "E309");
}

#[test]
fn exchanged_contents_are_refused() {
    for first in positions() {
        for second in first + 1..positions().end {
            let fixture = fixture();
            let mut attacked = entries(&fixture.bytes());
            if attacked[first].content == attacked[second].content {
                continue;
            }
            let same_size = attacked[first].content.len() == attacked[second].content.len();
            let content = attacked[first].content.clone();
            attacked[first].content = std::mem::replace(&mut attacked[second].content, content);
            let expected = if same_size { "E414" } else { "E413" };
            assert_eq!(fixture.refusal(&encode(&attacked)), expected);
        }
    }
}

#[test]
fn every_other_order_of_two_entries_is_refused() {
    for first in 0..positions().end {
        for second in first + 1..positions().end {
            check(|entries| entries.swap(first, second), "E205");
        }
    }
}

#[test]
fn repeated_entries_are_refused() {
    for index in 0..positions().end {
        let repeat = |entries: &mut Vec<Entry>| entries.insert(index, entries[index].clone());
        check(repeat, "E205");
    }
}

#[test]
fn an_entry_inside_another_is_refused() {
    check(|entries| entries.push(entry("selftest/input.bin/x", *b"")), "E206");
}

#[test]
fn parts_of_two_signed_bundles_cannot_be_mixed() {
    let (fixture, other) = (fixture(), fixture());
    let mut draft = draft(3);
    draft.version = "1.0.1".parse().unwrap();
    let mut files = files(3);
    for (_, _, content) in &mut files {
        content.push(b'!');
    }
    builder(draft, files).write(&other.bundle()).unwrap();
    sign(&other.bundle(), &key(1), &other.bundle()).unwrap();
    let (ours, theirs) = (entries(&fixture.bytes()), entries(&other.bytes()));

    let n_entries = ours.len();
    for mask in 1..(1_u32 << n_entries) - 1 {
        // Every mixture of three or fewer foreign entries, or of three or fewer own ones.
        let n_foreign = mask.count_ones() as usize;
        if n_foreign > 2 && n_entries - n_foreign > 2 {
            continue;
        }
        let pick = |index: usize| if mask >> index & 1 == 1 { &theirs[index] } else { &ours[index] };
        let mixed: Vec<_> = (0..n_entries).map(|index| pick(index).clone()).collect();
        let expected = match (mask & 1, mask >> 1 & 1) {
            (signature, manifest) if signature != manifest => "E324",
            _ => "E413",
        };
        assert_eq!(fixture.refusal(&encode(&mixed)), expected, "mixture {mask:b}");
    }
}

#[test]
fn damaged_content_is_refused_by_its_checksum() {
    let fixture = fixture();
    let mut bytes = fixture.bytes();
    let at = bytes.windows(9).position(|window| window == b"network 1").unwrap();
    bytes[at] ^= 1;
    assert_eq!(fixture.refusal(&bytes), "E209");
}

#[test]
fn the_forge_makes_bundles_that_pass_when_it_does_not_lie() {
    let fixture = fixture();
    let bytes = fixture.bytes();
    assert_eq!(encode(&signed(&entries(&bytes))), bytes);
}
