//! Signatures made elsewhere and attached; bundles unpacked into folders.

use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bundle_format::{BundleError, attach, sign};
use serde_json::{Value, json};

use crate::forge::entries;
use crate::support::{Fixture, key};

/// The signature that key 2 makes of the bundle in `fixture`, as this crate writes it.
fn own_spelling(fixture: &Fixture) -> Value {
    let signed = fixture.folder.path().join("signed-by-2.unb");
    sign(&fixture.bundle(), &key(2), &signed).unwrap();
    let name = key(2).public_key().key_id().signature_path();
    let entries = entries(&fs_err::read(signed).unwrap());
    let entry = entries.iter().find(|entry| entry.name == name.as_str()).unwrap();
    serde_json::from_slice(&entry.content).unwrap()
}

/// The same signature as `model_signing` spells it: another order, no key id, log entries that are none.
fn foreign_spelling(fixture: &Fixture) -> Value {
    let own = own_spelling(fixture);
    let envelope = &own["dsseEnvelope"];
    json!({
        "mediaType": own["mediaType"],
        "verificationMaterial": { "publicKey": own["verificationMaterial"]["publicKey"], "tlogEntries": [] },
        "dsseEnvelope": {
            "payload": envelope["payload"], "payloadType": envelope["payloadType"],
            "signatures": [{ "sig": envelope["signatures"][0]["sig"], "keyid": "" }],
        },
    })
}

fn attach_text(fixture: &Fixture, text: &[u8]) -> Result<(), BundleError> {
    attach(&fixture.bundle(), text, &key(2).public_key(), &fixture.bundle()).map(drop)
}

/// Asserts that an edited signature is refused, and that the bundle stays as it is.
#[track_caller]
fn check(edit: impl FnOnce(&mut Value), expected: &str, words: &str) {
    let fixture = Fixture::signed();
    let before = fixture.bytes();
    let mut signature = foreign_spelling(&fixture);
    edit(&mut signature);
    let error = attach_text(&fixture, &serde_json::to_vec_pretty(&signature).unwrap()).unwrap_err();
    assert_eq!((error.code(), error.exit_code()), (expected, 11), "{error}");
    assert!(error.to_string().contains(words), "{error}");
    assert_eq!(fixture.bytes(), before);
}

#[test]
fn a_signature_of_another_tool_becomes_the_one_that_we_would_have_made() {
    let fixture = Fixture::signed();
    let ours = fixture.folder.path().join("ours.unb");
    sign(&fixture.bundle(), &key(2), &ours).unwrap();
    let foreign = serde_json::to_vec_pretty(&foreign_spelling(&fixture)).unwrap();
    attach_text(&fixture, &foreign).unwrap();
    assert_eq!(fixture.bytes(), fs_err::read(ours).unwrap());
    attach_text(&fixture, &foreign).unwrap(); // again: it replaces itself
    assert_eq!(entries(&fixture.bytes()).iter().filter(|entry| entry.name.starts_with("signatures/")).count(), 2);
}

#[test]
fn the_higher_s_of_another_tool_is_turned_into_the_lower() {
    let fixture = Fixture::signed();
    let mut foreign = foreign_spelling(&fixture);
    let sig = &mut foreign["dsseEnvelope"]["signatures"][0]["sig"];
    let der = STANDARD.decode(sig.as_str().unwrap()).unwrap();
    let (r, s) = p256::ecdsa::Signature::from_der(&der).unwrap().split_scalars();
    let high = p256::ecdsa::Signature::from_scalars(r.to_bytes(), (-s).to_bytes()).unwrap();
    *sig = STANDARD.encode(high.to_der().as_bytes()).into();
    attach_text(&fixture, &serde_json::to_vec(&foreign).unwrap()).unwrap();
    let ours = fixture.folder.path().join("signed-by-2.unb");
    assert_eq!(fixture.bytes(), fs_err::read(ours).unwrap());
}

#[test]
fn signatures_that_do_not_fit_are_not_attached() {
    let envelope = "/dsseEnvelope";
    check(|text| *text = json!([]), "E303", "schema");
    check(|text| text["mediaType"] = "application/json".into(), "E303", "schema");
    check(|text| text["verificationMaterial"]["tlogEntries"] = json!([{}]), "E303", "schema");
    check(|text| text["verificationMaterial"]["certificate"] = json!({}), "E303", "schema");
    check(|text| text["more"] = 1.into(), "E303", "schema");
    check(|text| text["verificationMaterial"]["publicKey"]["hint"] = "0".repeat(64).into(), "E308", "hint");
    check(|text| text.pointer_mut(envelope).unwrap()["payload"] = "e30".into(), "E304", "`payload`");
    check(|text| text.pointer_mut(envelope).unwrap()["payload"] = "e30=".into(), "E310", "not valid");
    let signature = "/dsseEnvelope/signatures/0";
    check(|text| text.pointer_mut(signature).unwrap()["keyid"] = "0".repeat(64).into(), "E307", "another key");
    check(|text| text.pointer_mut(signature).unwrap()["sig"] = "MAA=".into(), "E305", "strict DER");
    let fixture = Fixture::signed();
    let before = fixture.bytes();
    for text in [&b""[..], b"{", b"\xFF", b"{\"a\":1,\"a\":1}"] {
        assert_eq!(attach_text(&fixture, text).unwrap_err().code(), "E302");
    }
    assert_eq!(fixture.bytes(), before);
}

#[test]
fn a_signature_of_another_bundle_or_key_is_not_attached() {
    let (fixture, other) = (Fixture::signed(), Fixture::unsigned(2));
    let before = fixture.bytes();
    let foreign = serde_json::to_vec(&foreign_spelling(&other)).unwrap();
    let error = attach_text(&fixture, &foreign).unwrap_err();
    assert_eq!((error.code(), error.exit_code()), ("E324", 11));
    let own = serde_json::to_vec(&foreign_spelling(&fixture)).unwrap();
    let error = attach(&fixture.bundle(), &own, &key(3).public_key(), &fixture.bundle()).unwrap_err();
    assert_eq!((error.code(), error.exit_code()), ("E308", 11));
    assert_eq!(fixture.bytes(), before);
}

/// Every file below `folder`, by its path from there.
fn files_below(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(next) = folders.pop() {
        for entry in fs_err::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let content = fs_err::read(&path).unwrap();
                files.push((path.strip_prefix(folder).unwrap().to_path_buf(), content));
            }
        }
    }
    files.sort();
    files
}

#[test]
fn an_unpacked_bundle_has_every_entry_under_its_name() {
    let fixture = Fixture::signed();
    let folder = fixture.folder.path().join("out");
    fixture.verify_path(&fixture.bundle()).unwrap().extract(&folder).unwrap();
    let mut expected: Vec<_> = entries(&fixture.bytes())
        .into_iter()
        .map(|entry| (PathBuf::from(&entry.name), entry.content.clone()))
        .collect();
    expected.sort();
    assert_eq!(files_below(&folder), expected);
}

#[test]
fn nothing_is_unpacked_over_something_else() {
    let fixture = Fixture::signed();
    let bundle = fixture.verify_path(&fixture.bundle()).unwrap();
    let folder = fixture.folder.path().join("out");
    fs_err::create_dir(&folder).unwrap();
    let before = files_below(fixture.folder.path());
    for target in [folder.clone(), fixture.bundle(), folder.join("no/such/folder")] {
        let error = bundle.extract(&target).unwrap_err();
        assert_eq!((error.code(), error.exit_code()), ("E101", 20));
        assert!(error.to_string().contains(target.to_str().unwrap()));
    }
    assert_eq!(files_below(fixture.folder.path()), before);
    assert_eq!(fs_err::read_dir(&folder).unwrap().count(), 0);
}

#[test]
fn a_bundle_changed_after_verification_is_not_unpacked() {
    let fixture = Fixture::signed();
    let bundle = fixture.verify_path(&fixture.bundle()).unwrap();
    let mut bytes = fixture.bytes();
    let at = bytes.windows(9).position(|window| window == b"network 0").unwrap();
    bytes[at] ^= 1;
    fs_err::write(fixture.bundle(), &bytes).unwrap();
    let error = bundle.extract(&fixture.folder.path().join("out")).unwrap_err();
    assert_eq!((error.code(), error.exit_code()), ("E209", 10));
    assert_eq!(files_below(fixture.folder.path()).len(), 1);
    assert_eq!(fs_err::read_dir(fixture.folder.path()).unwrap().count(), 1);
}
