//! What is written can be read: by this crate, and by others.

use crate::forge::{encode, entries};
use crate::support::{Fixture, builder, draft, files, key, path};
use bundle_format::{
    BundleContents, Limits, MemberId, PublicKey, Role, SigningKey, TrustedKeys, UnverifiedBundle, sign,
    verify_with_checks,
};
use proptest::prelude::*;

#[test]
fn verified_bundle_hands_out_what_was_packed() {
    let fixture = Fixture::signed();
    let bundle = fixture.verify_path(&fixture.bundle()).unwrap();
    assert_eq!(bundle.signers(), [key(1).public_key().key_id()]);
    assert_eq!(bundle.manifest().files().len(), files(1).len());
    for (path, role, content) in files(1) {
        assert_eq!(bundle.read(&path).unwrap(), content);
        assert_eq!(bundle.manifest().file(&path).unwrap().role, role);
    }
    let member = MemberId::new("fold_0/checkpoint_9").unwrap();
    assert_eq!(bundle.member_model(&member).unwrap(), b"network 0");
    assert_eq!(bundle.read(&path("docs/none")).unwrap_err().code(), "E421");
    assert!(bundle.warnings().is_empty());
}

#[test]
fn signing_twice_gives_the_same_bytes() {
    let fixture = Fixture::signed();
    let first = fixture.bytes();
    sign(&fixture.bundle(), &key(1), &fixture.bundle()).unwrap();
    assert_eq!(fixture.bytes(), first);
}

#[test]
fn packing_does_not_depend_on_the_order_of_files() {
    let fixture = Fixture::unsigned(3);
    let (mut draft, mut files) = (draft(3), files(3));
    draft.members.reverse();
    files.reverse();
    let output = fixture.folder.path().join("reversed.unb");
    let digest = builder(draft, files).write(&output).unwrap();
    assert_eq!(fs_err::read(&output).unwrap(), fixture.bytes());
    let intact = UnverifiedBundle::open(&output, &Limits::default()).unwrap().check().unwrap();
    assert_eq!(intact.manifest_sha256(), &digest);
    assert!(intact.claimed_signers().is_empty());
}

#[test]
fn files_on_disk_are_packed_like_bytes() {
    let fixture = Fixture::unsigned(1);
    let mut builder = bundle_format::BundleBuilder::new(draft(1));
    for (index, (path, role, content)) in files(1).into_iter().enumerate() {
        let source = fixture.folder.path().join(index.to_string());
        fs_err::write(&source, content).unwrap();
        builder.add_file(path, role, source).unwrap();
    }
    let output = fixture.folder.path().join("from_disk.unb");
    builder.write(&output).unwrap();
    assert_eq!(fs_err::read(&output).unwrap(), fixture.bytes());
}

#[test]
fn two_keys_sign_one_bundle_and_a_reader_needs_to_trust_both() {
    let fixture = Fixture::signed();
    sign(&fixture.bundle(), &key(2), &fixture.bundle()).unwrap();
    let intact = UnverifiedBundle::open(&fixture.bundle(), &Limits::default()).unwrap().check().unwrap();
    assert_eq!(intact.claimed_signers().len(), 2);
    assert_eq!(fixture.verify_path(&fixture.bundle()).unwrap_err().code(), "E307");
}

#[test]
fn checks_are_listed_in_order_up_to_the_first_failure() {
    let fixture = Fixture::signed();
    let keys = TrustedKeys::single(fixture.public.clone());
    let (checks, verified) = verify_with_checks(&fixture.bundle(), &Limits::default(), &keys);
    let steps: Vec<_> = checks.iter().map(|check| (check.step, check.passed)).collect();
    assert_eq!(steps, [1, 2, 3, 4, 5, 6, 7, 9].map(|step| (step, true)));
    assert_eq!(verified.unwrap().checks(), checks);

    let keys = TrustedKeys::single(key(2).public_key());
    let (checks, verified) = verify_with_checks(&fixture.bundle(), &Limits::default(), &keys);
    assert_eq!(verified.unwrap_err().exit_code(), 11);
    let last = checks.last().unwrap();
    assert_eq!((last.step, last.passed, last.code), (3, false, Some("E307")));
    let json = serde_json::to_string(last).unwrap();
    assert_eq!(json, r#"{"step":3,"name":"signatures","passed":false,"code":"E307"}"#);
}

#[test]
fn specification_and_writer_give_the_same_archive() {
    let bytes = Fixture::signed().bytes();
    assert_eq!(encode(&entries(&bytes)), bytes);
}

#[test]
fn private_keys_survive_pem_with_and_without_a_passphrase() {
    let key = SigningKey::generate();
    let plain = key.to_pem(None).unwrap();
    let sealed = key.to_pem(Some("correct horse")).unwrap();
    assert!(sealed.starts_with("-----BEGIN ENCRYPTED PRIVATE KEY-----\n"));
    for read in [SigningKey::from_pem(&plain, None), SigningKey::from_pem(&sealed, Some("correct horse"))] {
        assert_eq!(read.unwrap().public_key(), key.public_key());
    }
    let code = |key: Result<SigningKey, bundle_format::KeyError>| key.unwrap_err().rule().code();
    assert_eq!(code(SigningKey::from_pem(&sealed, None)), "E153");
    assert_eq!(code(SigningKey::from_pem(&sealed, Some("wrong"))), "E154");
    assert_eq!(code(SigningKey::from_pem("", None)), "E152");
    assert_eq!(code(SigningKey::from_pem(&key.public_key().to_pem(), None)), "E152");
    assert_eq!(key.to_pem(Some("")).unwrap_err().rule().code(), "E155");
}

#[test]
fn public_pem_has_lines_of_64_columns_and_reads_back() {
    let public = key(1).public_key();
    let pem = public.to_pem();
    assert!(pem.lines().all(|line| line.len() <= 64) && pem.ends_with("-----END PUBLIC KEY-----\n"));
    assert_eq!(PublicKey::from_pem(&pem).unwrap(), public);
    assert_eq!(PublicKey::from_pem("no key").unwrap_err().rule().code(), "E151");
}

#[test]
fn private_key_file_is_for_its_owner_and_never_replaced() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("key.pem");
    key(1).write_pem(&file, None).unwrap();
    assert_eq!(fs_err::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(key(2).write_pem(&file, None).unwrap_err().code(), "E101");
    let read = SigningKey::from_pem(&fs_err::read_to_string(&file).unwrap(), None);
    assert_eq!(read.unwrap().public_key(), key(1).public_key());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn any_contents_are_written_read_and_listed_by_another_reader(
        documents in proptest::collection::btree_map("[a-z0-9_][a-z0-9_]{0,12}(/[a-z0-9_]{1,9}\\.x){0,2}", proptest::collection::vec(any::<u8>(), 0..300), 0..12),
        title in "[ -~é€𝄞]{1,50}",
    ) {
        let mut files = files(2);
        let documents = documents.into_iter().map(|(name, content)| (format!("extra/{name}"), content));
        let documents: Vec<_> = documents.filter_map(|(name, content)| Some((bundle_format::EntryPath::new(name).ok()?, Role::Document, content))).collect();
        files.extend(documents.clone());
        let mut draft = draft(2);
        draft.title = bundle_format::Text::new(title).unwrap();
        let fixture = Fixture::unsigned(1);
        let written = builder(draft.clone(), files.clone()).write(&fixture.bundle());
        let nested = documents.iter().any(|(a, ..)| documents.iter().any(|(b, ..)| b.is_inside(a.as_str())));
        prop_assert_eq!(written.as_ref().err().map(bundle_format::BundleError::code), nested.then_some("E206"));
        if !nested {
            sign(&fixture.bundle(), &key(1), &fixture.bundle()).unwrap();
            let bundle = fixture.verify_path(&fixture.bundle()).unwrap();
            prop_assert_eq!(bundle.manifest_sha256(), &written.unwrap());
            prop_assert_eq!(&bundle.manifest().title, &draft.title);
            for (path, _, content) in &files {
                prop_assert_eq!(&bundle.read(path).unwrap(), content);
            }
            let bytes = fixture.bytes();
            prop_assert_eq!(entries(&bytes).len(), files.len() + 2);
            prop_assert_eq!(encode(&entries(&bytes)), bytes);
        }
    }
}
