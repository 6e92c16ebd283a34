//! The byte-exact vector of `docs/bundle-format.md`.
//!
//! It tests container and envelope; its manifest is reduced and does not keep
//! the manifest's schema. The private key is that of RFC 6979 A.2.5. The
//! figures come from an independent implementation in Python.

use super::statement::Resource;
use super::{SignatureFile, Statement, pre_authentication_encoding};
use crate::container::{Archive, Measured, OpenFile, Source, write_archive};
use crate::digest::Digest;
use crate::entry_path::EntryPath;
use crate::key::SigningKey;
use crate::limits::Limits;
use crate::trust::TrustedKeys;

const MANIFEST: &str = concat!(
    r#"{"files":[{"path":"docs/a.txt","sha256":"#,
    r#""5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03","size":6},"#,
    r#"{"path":"models/f0.onnx","sha256":"#,
    r#""054edec1d0211f624fed0cbca9d4f9400b0e491c43742af2c5b0abebf0c990d8","size":4}],"#,
    r#""format":1,"id":"test/vector","version":"1.0.0"}"#,
);
const PRIVATE: [u8; 32] = [
    0xC9, 0xAF, 0xA9, 0xD8, 0x45, 0xBA, 0x75, 0x16, 0x6B, 0x5C, 0x21, 0x57, 0x67, 0xB1, 0xD6, 0x93, 0x4E, 0x50, 0xC3,
    0xDB, 0x36, 0xE8, 0x9B, 0x12, 0x7B, 0x8A, 0x62, 0x2B, 0x12, 0x0F, 0x67, 0x21,
];

fn path(text: &str) -> EntryPath {
    EntryPath::new(text).unwrap()
}

fn contents() -> [(EntryPath, Vec<u8>); 3] {
    [
        (path("manifest.json"), MANIFEST.as_bytes().to_vec()),
        (path("docs/a.txt"), b"hello\n".to_vec()),
        (path("models/f0.onnx"), vec![0, 1, 2, 3]),
    ]
}

fn statement() -> Statement {
    let resource = |(path, content): (EntryPath, Vec<u8>)| Resource { path, sha256: Digest::of(&content) };
    Statement::new("vector", contents().map(resource).to_vec())
}

fn check(content: &[u8], n_bytes: usize, sha256: &str) {
    assert_eq!((content.len(), Digest::of(content).to_string().as_str()), (n_bytes, sha256));
}

#[test]
fn key_has_the_identity_of_the_vector() {
    let key = SigningKey::from_scalar(&PRIVATE).public_key();
    let id = "5a7a78cca4a0f420d9bc62bb669c3c2759e39f723d3ae10dcbe0f0815a07ecd4";
    let hint = "4975c03dd2ad43f3803bf943ca231389c41f26352bf098c930568797eff44dcc";
    assert_eq!(key.key_id().to_string(), id);
    assert_eq!(key.hint().to_string(), hint);
    assert_eq!(key.key_id().signature_path(), path("signatures/5a7a78cca4a0f420.sig"));
}

#[test]
fn statement_and_what_is_signed_are_those_of_the_vector() {
    check(MANIFEST.as_bytes(), 277, "eeec6fa1c6eeb84d58902cb820fa1ea5f8996c5617da2aa2af49c13944872a7b");
    let payload = statement().to_json();
    check(&payload, 716, "f1e13aeca8d4b45779cd33422935cbe8ff5f15ac6fa8eb134763683635b64389");
    let subject = "24e7ee0504d4b6b1c13904e736d4b3bd32a6f953217f7c94b198459b735b4253";
    assert!(str::from_utf8(&payload).unwrap().contains(subject));
    assert_eq!(Statement::parse(&payload).unwrap(), statement());
    let signed = pre_authentication_encoding(&payload);
    check(&signed, 759, "fd06247eb798676e44f80d82a680f5343af9959b31990420174b3c2e6146ad2d");
}

#[test]
fn signature_file_is_that_of_the_vector() {
    let key = SigningKey::from_scalar(&PRIVATE);
    let file = SignatureFile::sign(&statement(), &key);
    let text = file.to_json();
    check(&text, 1402, "1dc6872d5fc04d3c39f0f11b075fd7daca645fefcef71680c680e659aabb6393");
    let base64 = "MEQCIBN2okmrupWm49GIzIR1J0YbqKFbG/YmBfDwn/zNo89/AiA2xY91S+BRhrt9quCwvUXYBE4PmGuy0lVKgiH5JWcuRg==";
    assert!(str::from_utf8(&text).unwrap().contains(base64));

    let read = SignatureFile::parse(file.path(), &text).unwrap();
    read.verify(&TrustedKeys::single(key.public_key())).unwrap();
    assert_eq!(read.to_json(), text);
}

#[test]
fn archive_is_that_of_the_vector() {
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("vector.unb");
    let signature = SignatureFile::sign(&statement(), &SigningKey::from_scalar(&PRIVATE));
    let entries = contents().into_iter().chain([(signature.path().clone(), signature.to_json())]);
    let measured = entries.map(|(path, content)| Measured::new(path, Source::Bytes(content)).unwrap().0);
    write_archive(&output, measured.collect(), &Limits::default()).unwrap();

    let bytes = fs_err::read(&output).unwrap();
    check(&bytes, 2326, "ba1ce138a7eec803247d8066c654aa399767b0a07e71d18aacb9b978c13a0d06");
    let archive = Archive::read_headers(OpenFile::open(&output, &Limits::default()).unwrap()).unwrap();
    assert_eq!(archive.records().count(), 4);
    let model = archive.read(&path("models/f0.onnx"), 4).unwrap();
    assert_eq!(model, Some(vec![0, 1, 2, 3]));
}
