//! Entries added, removed, renamed, exchanged, reordered, repeated or mixed.

use std::collections::BTreeSet;

use crate::entry_forgeries as forgeries;
use crate::forge::{Attack, Entry, encode, entries, signed};

/// Asserts that every attack on the entries of the bundle is refused with its code.
#[track_caller]
fn check(attacks: impl FnOnce(&[Entry]) -> Vec<Attack>) {
    let fixture = forgeries::signed_bundle();
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
    let theirs = forgeries::next_version();
    check(|ours| forgeries::mixed(ours, &theirs));
}

#[test]
fn there_are_more_than_200_attacks_on_entries() {
    let attacks = forgeries::all(&entries(&forgeries::signed_bundle().bytes()), &forgeries::next_version());
    let different: BTreeSet<_> = attacks.iter().map(|attack| &attack.bytes).collect();
    assert_eq!(different.len(), 263, "of {} attacks", attacks.len());
}

#[test]
fn damaged_content_is_refused_by_its_checksum() {
    let fixture = forgeries::signed_bundle();
    let mut bytes = fixture.bytes();
    let at = bytes.windows(9).position(|window| window == b"network 1").unwrap();
    bytes[at] ^= 1;
    assert_eq!(fixture.refusal(&bytes), "E209");
}

#[test]
fn the_forge_makes_bundles_that_pass_when_it_does_not_lie() {
    let fixture = forgeries::signed_bundle();
    let bytes = fixture.bytes();
    assert_eq!(encode(&signed(&entries(&bytes))), bytes);
}
