//! Entries added, removed, renamed, exchanged, reordered, repeated or mixed.

use std::collections::BTreeSet;

use bundle_format::sign;

use crate::entry_forgeries as forgeries;
use crate::forge::{Attack, Entry, encode, entries, signed};
use crate::support::{Fixture, builder, draft, files, key};

/// A signed bundle of three members.
fn fixture() -> Fixture {
    let fixture = Fixture::unsigned(3);
    sign(&fixture.bundle(), &key(1), &fixture.bundle()).unwrap();
    fixture
}

/// The entries of another bundle by the same key: next version, and every content longer.
fn others() -> Vec<Entry> {
    let other = fixture();
    let mut draft = draft(3);
    draft.version = "1.0.1".parse().unwrap();
    let mut files = files(3);
    for (_, _, content) in &mut files {
        content.push(b'!');
    }
    builder(draft, files).write(&other.bundle()).unwrap();
    sign(&other.bundle(), &key(1), &other.bundle()).unwrap();
    entries(&other.bytes())
}

/// Asserts that every attack on the entries of the bundle is refused with its code.
#[track_caller]
fn check(attacks: impl FnOnce(&[Entry]) -> Vec<Attack>) {
    let fixture = fixture();
    for attack in attacks(&entries(&fixture.bytes())) {
        assert_eq!(fixture.refusal(&attack.bytes), attack.code, "{}", attack.name);
    }
}

#[test]
fn added_entries_are_refused_wherever_they_sort() {
    check(forgeries::added);
}

#[test]
fn removed_entries_are_refused() {
    check(forgeries::removed);
}

#[test]
fn renamed_entries_are_refused() {
    check(forgeries::renamed);
}

#[test]
fn exchanged_contents_are_refused() {
    check(forgeries::exchanged);
}

#[test]
fn every_other_order_of_two_entries_is_refused() {
    check(forgeries::reordered);
}

#[test]
fn repeated_entries_are_refused() {
    check(forgeries::repeated);
}

#[test]
fn an_entry_inside_another_is_refused() {
    check(forgeries::nested);
}

#[test]
fn parts_of_two_signed_bundles_cannot_be_mixed() {
    let theirs = others();
    check(|ours| forgeries::mixed(ours, &theirs));
}

#[test]
fn there_are_more_than_200_attacks_on_entries() {
    let attacks = forgeries::all(&entries(&fixture().bytes()), &others());
    let different: BTreeSet<_> = attacks.iter().map(|attack| &attack.bytes).collect();
    assert_eq!(different.len(), 263, "of {} attacks", attacks.len());
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
