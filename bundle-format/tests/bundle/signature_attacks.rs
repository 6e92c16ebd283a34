//! Signature files and statements that lie. Where a lie lies inside what is
//! signed, the signature over it is valid and by the trusted key.

use bundle_format::{Digest, Limits, TrustedKeys, UnverifiedBundle, sign};

use crate::forge::{Entry, Envelope, encode, entries, entry, low_s, resources, statement};
use crate::support::{Fixture, key, path};

/// Replaces the signature of a bundle by `signature`.
#[track_caller]
fn check(signature: impl FnOnce(&str) -> Entry, expected: &str) {
    let fixture = Fixture::signed();
    let mut attacked = entries(&fixture.bytes());
    let statement = statement(&resources(&attacked));
    attacked[0] = signature(&statement);
    let outcome = fixture.verify_bytes(&encode(&attacked));
    let code = outcome.as_ref().err().map(bundle_format::BundleError::code);
    assert_eq!(code, Some(expected).filter(|code| !code.is_empty()));
}

/// Replaces the text of the signature file, under its right name.
#[track_caller]
fn check_text(edit: impl FnOnce(String) -> String, expected: &str) {
    let attack = |statement: &str| {
        let envelope = Envelope::over(statement);
        entry(&envelope.entry().name, edit(envelope.to_json()))
    };
    check(attack, expected);
}

/// Signs another statement than the right one.
#[track_caller]
fn check_statement(edit: impl FnOnce(&str) -> String, expected: &str) {
    check(|statement| Envelope::over(&edit(statement)).entry(), expected);
}

#[test]
fn unsigned_bundles_are_refused_but_can_be_inspected() {
    let fixture = Fixture::unsigned(1);
    assert_eq!(fixture.refusal(&fixture.bytes()), "E301");
    let intact = UnverifiedBundle::open(&fixture.bundle(), &Limits::default()).unwrap().check();
    assert!(intact.is_ok());
}

#[test]
fn signatures_of_other_keys_are_refused() {
    let fixture = Fixture::unsigned(1);
    sign(&fixture.bundle(), &key(2), &fixture.bundle()).unwrap();
    let error = fixture.verify_path(&fixture.bundle()).unwrap_err();
    assert_eq!((error.code(), error.exit_code()), ("E307", 11));
    let keys = TrustedKeys::single(key(2).public_key());
    let opened = UnverifiedBundle::open(&fixture.bundle(), &Limits::default()).unwrap();
    assert!(opened.verify(&keys).is_ok());
}

#[test]
fn another_keys_signature_under_the_trusted_name_is_refused() {
    check(|text| Envelope::over(text).with_der(low_s(text, 2).to_der().as_bytes()).entry(), "E310");
    check(|text| Envelope::over(text).with_der(low_s("another text", 1).to_der().as_bytes()).entry(), "E310");
}

#[test]
fn the_higher_s_is_refused() {
    let high = |text: &str| {
        let (r, s) = low_s(text, 1).split_scalars();
        let high = p256::ecdsa::Signature::from_scalars(r.to_bytes(), (-s).to_bytes()).unwrap();
        Envelope::over(text).with_der(high.to_der().as_bytes()).entry()
    };
    check(high, "E306");
}

#[test]
fn der_has_one_spelling() {
    let der = |edit: fn(Vec<u8>) -> Vec<u8>| {
        move |text: &str| {
            let der = low_s(text, 1).to_der().as_bytes().to_vec();
            Envelope::over(text).with_der(&edit(der)).entry()
        }
    };
    check(der(|der| [&der[..], &[0]].concat()), "E305"); // a byte behind it
    check(der(|der| [&[0x30, 0x81], &der[1..]].concat()), "E305"); // length in long form
    check(der(|der| der[..der.len() - 1].to_vec()), "E305"); // cut off
    check(der(|_| Vec::new()), "E305");
    check(der(|_| vec![0x30, 6, 2, 1, 0, 2, 1, 1]), "E305"); // r = 0
    check(der(|_| vec![0x30, 6, 2, 1, 1, 2, 1, 0]), "E305"); // s = 0
    check(der(|_| vec![0x30, 7, 2, 2, 0, 1, 2, 1, 1]), "E305"); // a leading zero too many
    check(der(|_| vec![0x30, 6, 2, 1, 0xFF, 2, 1, 1]), "E305"); // r = -1
    check(der(|_| vec![0x30, 6, 2, 1, 1, 2, 1, 1]), "E310"); // r = s = 1
}

#[test]
fn base64_has_one_spelling() {
    check_text(|text| text.replace("==\"}]", "\"}]"), "E304"); // no padding
    check_text(|text| text.replace("\"sig\":\"M", "\"sig\":\"-"), "E304"); // another alphabet
    let trailing_bits = |text: &str| {
        let mut envelope = Envelope::over(text);
        envelope.payload = "AB==".to_owned();
        envelope.entry()
    };
    check(trailing_bits, "E304");
}

#[test]
fn signature_files_are_canonical_json() {
    check_text(|text| format!("{text}\n"), "E302");
    check_text(|text| text.replacen(':', ": ", 1), "E302");
    check_text(|text| text.replacen("media", "\\u006dedia", 1), "E302");
    check_text(|text| text.replacen("\"mediaType\"", "\"mediaType\":\"\",\"mediaType\"", 1), "E302"); // twice
    check_text(|text| format!("\u{feff}{text}"), "E302");
    check_text(|text| text[1..].to_owned(), "E302");
    check_text(|text| text.replacen("\"mediaType\"", "\"zediaType\"", 1), "E302"); // out of order
    check_text(|_| "[".repeat(10_000), "E302");
    check_text(|_| String::new(), "E302");
}

#[test]
fn signature_files_have_exactly_their_fields() {
    check_text(|text| text.replacen("{\"dsse", "{\"a\":1,\"dsse", 1), "E303");
    check_text(|text| text.replacen("{\"publicKey\"", "{\"certificate\":\"\",\"publicKey\"", 1), "E303");
    check_text(|_| "{}".to_owned(), "E303");
    check_text(|_| "[]".to_owned(), "E303");
    let twice = |text: String| {
        let start = text.find("{\"keyid\"").unwrap();
        let end = text.find("}]").unwrap() + 1;
        [&text[..end], ",", &text[start..]].concat()
    };
    check_text(twice, "E303");
    let edited = |edit: fn(&mut Envelope)| {
        move |text: &str| {
            let mut envelope = Envelope::over(text);
            edit(&mut envelope);
            envelope.entry()
        }
    };
    check(edited(|envelope| envelope.media_type = "application/vnd.dev.sigstore.bundle+json;version=0.2"), "E303");
    check(edited(|envelope| envelope.payload_type = "text/plain"), "E303");
    check(edited(|envelope| envelope.key_id.make_ascii_uppercase()), "E204");
    check(edited(|envelope| envelope.hint = Digest::of(b"other").to_string()), "E308");
    check(edited(|envelope| envelope.hint.clear()), "E303");
}

#[test]
fn statements_have_exactly_their_fields_and_constants() {
    check_statement(str::to_owned, "");
    check_statement(|text| text.replace("\"method\":\"files\"", "\"method\":\"shards\""), "E321");
    check_statement(|text| text.replace("Statement/v1", "Statement/v0.1"), "E321");
    check_statement(|text| text.replace("signature/v1.0", "Digests/v0.1"), "E321");
    check_statement(|text| text.replace("\"allow_symlinks\":false", "\"allow_symlinks\":true"), "E321");
    check_statement(|text| text.replacen("{\"_type\"", "{\"a\":1,\"_type\"", 1), "E321");
    check_statement(|text| text.replacen("sha256", "sha512", 1), "E321");
    check_statement(|text| text.replace("\"subject\":[", "\"subject\":[],\"subject\":["), "E321");
    check_statement(|_| "null".to_owned(), "E321");
}

#[test]
fn statements_of_other_tools_are_accepted_for_what_they_cover() {
    check_statement(|text| text.replace("[\"signatures\"]", "[\"signatures\",\".git\"]"), "");
    check_statement(|text| text.replace("\"name\":\"hearts\"", "\"name\":\"folder\""), "");
    check_statement(|text| text.replace(",\"", ",\n  \""), "");
}

#[test]
fn resources_are_sorted_unique_and_bound_to_the_subject() {
    let resources_of = || resources(&entries(&Fixture::signed().bytes()));
    let mut swapped = resources_of();
    swapped.swap(0, 1);
    check_statement(|_| statement(&swapped), "E322");
    let mut doubled = resources_of();
    doubled.insert(0, doubled[0].clone());
    check_statement(|_| statement(&doubled), "E322");
    check_statement(
        |text| {
            let root = text.find("\"subject\":[{\"digest\":{\"sha256\":\"").unwrap() + 32;
            format!("{}{}{}", &text[..root], Digest::of(b"other"), &text[root + 64..])
        },
        "E323",
    );
}

#[test]
fn coverage_is_the_manifest_and_all_its_files() {
    let resources_of = || resources(&entries(&Fixture::signed().bytes()));
    let is_manifest = |(name, _): &(String, Digest)| name == "manifest.json";
    let mut other_manifest = resources_of();
    other_manifest.iter_mut().filter(|r| is_manifest(r)).for_each(|(_, digest)| *digest = Digest::of(b"other"));
    check_statement(|_| statement(&other_manifest), "E324");
    let mut no_manifest = resources_of();
    no_manifest.retain(|r| !is_manifest(r));
    check_statement(|_| statement(&no_manifest), "E324");
    let mut fewer = resources_of();
    fewer.pop();
    check_statement(|_| statement(&fewer), "E325");
    let mut more = resources_of();
    more.push(("zz".to_owned(), Digest::of(b"")));
    check_statement(|_| statement(&more), "E325");
    let mut other = resources_of();
    other[0].1 = Digest::of(b"other");
    check_statement(|_| statement(&other), "E325");
}

#[test]
fn oversized_and_too_many_signatures_are_refused() {
    check_text(|_| " ".repeat((256 << 10) + 1), "E105");
    let fixture = Fixture::signed();
    for index in 2..=8 {
        sign(&fixture.bundle(), &key(index), &fixture.bundle()).unwrap();
    }
    let eight = fixture.bytes();
    let error = sign(&fixture.bundle(), &key(9), &fixture.bundle()).unwrap_err();
    assert_eq!((error.code(), error.exit_code()), ("E106", 14));
    assert_eq!(fixture.bytes(), eight); // nothing half-written
    let mut nine = entries(&eight);
    nine.insert(0, entry(path("signatures/0.sig").as_str(), *b"{}"));
    assert_eq!(fixture.refusal(&encode(&nine)), "E106");
}
