//! Every limit of the manifest from both sides, and what its errors say.

use bundle_format::{
    Arch, BundleId, Digest, Documents, EntryPath, ExecutionProvider, FileEntry, Host, Manifest, ManifestDraft, Member,
    MemberId, RequirementError, Role, SemanticVersion, Text, Timestamp, Token,
};
use semver::Version;

use crate::support::{builder, draft, files, path, tokens};

/// Writes a bundle of this draft; the code of its refusal.
fn written(draft: ManifestDraft, files: Vec<(EntryPath, Role, Vec<u8>)>) -> Option<&'static str> {
    let folder = tempfile::tempdir().unwrap();
    builder(draft, files).write(&folder.path().join("model.unb")).err().map(|error| error.code())
}

/// [`written`] with one member and this change of the draft.
fn edited(edit: impl FnOnce(&mut ManifestDraft)) -> Option<&'static str> {
    let mut draft = draft(1);
    edit(&mut draft);
    written(draft, files(1))
}

#[test]
fn numbers_reach_from_their_least_to_their_most() {
    assert_eq!(edited(|draft| draft.security_version = u32::MAX), None);
    assert_eq!(edited(|draft| draft.security_version = 0), Some("E403"));
    assert_eq!(edited(|draft| draft.selftest.min_dice_milli = 1000), None);
    assert_eq!(edited(|draft| draft.selftest.min_dice_milli = 1001), Some("E403"));
    assert_eq!(edited(|draft| draft.onnx.ir_version = 1), None);
    assert_eq!(edited(|draft| draft.onnx.ir_version = 0), Some("E403"));
    assert_eq!(edited(|draft| draft.onnx.opset = 1), None);
    assert_eq!(edited(|draft| draft.onnx.opset = 0), Some("E403"));
    assert_eq!(edited(|draft| draft.requires.memory_mib = 1), None);
    assert_eq!(edited(|draft| draft.requires.memory_mib = 0), Some("E403"));
}

#[test]
fn lists_have_as_many_items_as_they_may() {
    let names = |n: usize| (0..n).map(|index| Token::new(format!("name-{index:02}")).unwrap()).collect::<Vec<_>>();
    assert_eq!(edited(|draft| draft.requires.compatible = names(64)), None);
    assert_eq!(edited(|draft| draft.requires.compatible = names(65)), Some("E403"));
    assert_eq!(edited(|draft| draft.requires.compatible = names(0)), Some("E403"));
    assert_eq!(edited(|draft| draft.requires.features = names(64)), None);
    assert_eq!(edited(|draft| draft.requires.features = names(65)), Some("E403"));
    assert_eq!(edited(|draft| draft.requires.execution_providers = Vec::new()), Some("E403"));
    let digests = |n: usize| (0..n).map(|index| Digest::of(&index.to_le_bytes())).collect::<Vec<_>>();
    assert_eq!(edited(|draft| draft.supersedes = digests(16)), None);
    assert_eq!(edited(|draft| draft.supersedes = digests(17)), Some("E403"));
}

/// A draft and files with a member of `n` external files.
fn with_external(n: usize) -> (ManifestDraft, Vec<(EntryPath, Role, Vec<u8>)>) {
    let (mut draft, mut files) = (draft(1), files(1));
    let names = (0..n).map(|index| path(&format!("models/fold_0/part_{index}.data")));
    draft.members[0].external = names.collect();
    files.extend(draft.members[0].external.iter().map(|path| (path.clone(), Role::OnnxData, Vec::new())));
    (draft, files)
}

#[test]
fn a_member_has_16_external_files_in_its_folder() {
    let (draft, files) = with_external(16);
    assert_eq!(written(draft, files), None);
    let (draft, files) = with_external(17);
    assert_eq!(written(draft, files), Some("E403"));
}

#[test]
fn a_bundle_has_512_members() {
    assert_eq!(written(draft(512), files(512)), None);
    assert_eq!(written(draft(513), files(513)), Some("E403"));
    let none = ManifestDraft { members: Vec::new(), ..draft(1) };
    assert_eq!(written(none, files(1)), Some("E403"));
}

#[test]
fn drafts_are_put_in_order_and_twice_is_refused() {
    let digests: Vec<_> = (0..3_u8).map(|index| Digest::of(&[index])).collect();
    let mut sorted = digests.clone();
    sorted.sort();
    let mut backwards = sorted.clone();
    backwards.reverse();
    let (mut draft, files) = with_external(3);
    draft.supersedes = backwards;
    draft.members[0].external.reverse();
    draft.requires.features = tokens(&["b", "a"]);
    draft.requires.compatible = tokens(&["b", "a"]);
    let entries = files.iter().map(|(path, role, content)| entry(path, *role, content)).collect();
    let manifest = Manifest::new(draft, entries).unwrap();
    assert_eq!(manifest.supersedes, sorted);
    assert!(manifest.members[0].external.is_sorted());
    assert_eq!(
        (&manifest.requires.features, &manifest.requires.compatible),
        (&tokens(&["a", "b"]), &tokens(&["a", "b"]))
    );
    assert!(manifest.requires.arch.is_sorted() && manifest.requires.execution_providers.is_sorted());
    assert!(manifest.onnx.operators.is_sorted());

    assert_eq!(edited(|draft| draft.supersedes = vec![digests[0], digests[0]]), Some("E404"));
    assert_eq!(edited(|draft| draft.requires.features = tokens(&["a", "a"])), Some("E404"));
    assert_eq!(edited(|draft| draft.requires.compatible = tokens(&["a", "a"])), Some("E404"));
    assert_eq!(edited(|draft| draft.requires.arch = vec![Arch::X86_64, Arch::X86_64]), Some("E404"));
    let cpu = ExecutionProvider::Cpu;
    assert_eq!(edited(|draft| draft.requires.execution_providers = vec![cpu, cpu]), Some("E404"));
    assert_eq!(edited(|draft| draft.onnx.operators = tokens(&["Add", "Add"])), Some("E404"));
    let (mut draft, files) = with_external(2);
    draft.members[0].external[1] = draft.members[0].external[0].clone();
    assert_eq!(written(draft, files), Some("E404"));
}

#[test]
fn optional_documents_are_checked_like_the_others() {
    let with = |edit: fn(&mut Documents), role: Role| {
        let (mut draft, mut files) = (draft(1), files(1));
        edit(&mut draft.documents);
        files.push((path("docs/more.txt"), role, Vec::new()));
        written(draft, files)
    };
    let notes = |documents: &mut Documents| documents.release_notes = Some(path("docs/more.txt"));
    let provenance = |documents: &mut Documents| documents.provenance = Some(path("docs/more.txt"));
    assert_eq!(with(notes, Role::Document), None);
    assert_eq!(with(notes, Role::Provenance), Some("E405"));
    assert_eq!(with(provenance, Role::Provenance), None);
    assert_eq!(with(provenance, Role::Document), Some("E405"));
    let lost = |documents: &mut Documents| documents.release_notes = Some(path("docs/none.txt"));
    assert_eq!(with(lost, Role::Document), Some("E405"));
}

#[test]
fn files_and_members_are_found_by_their_names() {
    let (draft, files) = (draft(3), files(3));
    let entries = files.iter().map(|(path, role, content)| entry(path, *role, content)).collect();
    let manifest = Manifest::new(draft, entries).unwrap();
    for (path, role, content) in &files {
        let file = manifest.file(path).unwrap();
        assert_eq!((&file.path, file.role, file.size), (path, *role, content.len() as u64));
    }
    assert!(manifest.file(&path("docs/none.txt")).is_none());
    let id = |text: &str| MemberId::new(text).unwrap();
    let member = |text: &str| manifest.member(&id(text)).map(|member: &Member| member.fold);
    assert_eq!(member("fold_1/checkpoint_9"), Some(Some(1)));
    assert_eq!(member("fold_2/checkpoint_9"), Some(Some(2)));
    assert_eq!(member("fold_3/checkpoint_9"), None);
}

fn entry(path: &EntryPath, role: Role, content: &[u8]) -> FileEntry {
    let text = format!(
        r#"{{"path":"{path}","role":{},"sha256":"{}","size":{}}}"#,
        serde_json::to_string(&role).unwrap(),
        Digest::of(content),
        content.len()
    );
    serde_json::from_str(&text).unwrap()
}

#[test]
fn texts_keep_their_grammar_up_to_their_lengths() {
    let component = "a".repeat(40);
    assert!(BundleId::new(format!("{component}/{component}/{component}")).is_ok());
    assert!(BundleId::new(format!("{component}a/b")).is_err());
    for text in ["a0-9z/b", "0/1"] {
        assert!(BundleId::new(text).is_ok(), "{text}");
    }
    for text in ["", "/", "a//b", "-a/b", "a/b.c", "a/B", "a b/c", "\u{e9}/b"] {
        assert!(BundleId::new(text).is_err(), "{text}");
    }
    assert_eq!(BundleId::new("a/b").unwrap().name(), "b");
    assert!(Token::new("t".repeat(64)).is_ok() && Token::new("t".repeat(65)).is_err() && Token::new("").is_err());
    assert!(Token::new("Az09_.:,/+-").is_ok());
    for refused in ["a b", "a;b", "\u{e9}", "a\n", "a=b", "a@b"] {
        assert!(Token::new(refused).is_err(), "{refused}");
    }
    // Characters are counted, not bytes.
    assert!(Text::new("\u{e9}".repeat(200)).is_ok() && Text::new("\u{e9}".repeat(201)).is_err());
    assert!(Text::new("tab\there").is_err());
    let version = |n: usize| SemanticVersion::new(format!("1.0.0-{}", "a".repeat(n)));
    assert!(version(58).is_ok() && version(59).is_err());
    assert!(MemberId::new("fold_0/a/b/c").is_ok() && MemberId::new("fold_0/a/b/c/d").is_err());
}

#[test]
fn days_exist_in_leap_years_and_in_others() {
    for (text, exists) in [
        ("2000-02-29T00:00:00Z", true),
        ("2004-02-29T00:00:00Z", true),
        ("1900-02-29T00:00:00Z", false),
        ("2001-02-29T00:00:00Z", false),
        ("2001-02-28T23:59:59Z", true),
        ("2001-04-30T00:00:00Z", true),
        ("2001-04-31T00:00:00Z", false),
        ("2001-06-31T00:00:00Z", false),
        ("2001-09-31T00:00:00Z", false),
        ("2001-11-31T00:00:00Z", false),
        ("2001-01-31T00:00:00Z", true),
        ("2001-12-31T00:00:00Z", true),
        ("2001-12-00T00:00:00Z", false),
        ("2001-01-01T23:59:59Z", true),
        ("2001-01-01T24:00:00Z", false),
        ("2001-01-01T00:60:00Z", false),
        ("2001-01-01T00:00:60Z", false),
        ("2001-01-01T00:00:00z", false),
        ("2001-01-01T00:00:00ZZ", false),
        ("2001-o1-01T00:00:00Z", false),
    ] {
        assert_eq!(Timestamp::new(text).is_ok(), exists, "{text}");
    }
}

#[test]
fn every_second_of_many_years_is_a_day_that_exists() {
    // Noon of every 11th day until the year 3000, beside the day before: dates grow and all exist.
    let mut before = String::new();
    for day in (0..376_200_u64).step_by(11) {
        let time = Timestamp::from_unix(day * 86_400 + 43_200).unwrap();
        assert!(time.as_str() > before.as_str() && time.as_str().ends_with("T12:00:00Z"), "{time}");
        before = time.as_str().to_owned();
    }
    assert_eq!(Timestamp::from_unix(4_107_542_399).unwrap().as_str(), "2100-02-28T23:59:59Z");
    assert_eq!(Timestamp::from_unix(4_107_542_400).unwrap().as_str(), "2100-03-01T00:00:00Z");
}

fn host() -> Host {
    Host {
        runtime: Version::new(0, 1, 0),
        onnxruntime: Version::new(1, 24, 1),
        features: Vec::new(),
        compatible: tokens(&["generic"]),
        arch: Some(Arch::X86_64),
        execution_providers: vec![ExecutionProvider::Cpu],
        memory_mib: 64,
        device_memory_mib: 7,
    }
}

#[test]
fn requirements_hold_at_their_very_value() {
    let refused = |edit: fn(&mut Host)| {
        let mut requirements = draft(1).requires;
        requirements.device_memory_mib = 7;
        let mut host = host();
        edit(&mut host);
        requirements.check(&host).err()
    };
    assert_eq!(refused(|_| {}), None);
    assert_eq!(refused(|host| host.memory_mib = u64::MAX), None);
    let memory = RequirementError::Memory { required_mib: 64, actual_mib: 63 };
    assert_eq!(refused(|host| host.memory_mib = 63), Some(memory));
    let device = RequirementError::DeviceMemory { required_mib: 7, actual_mib: 6 };
    assert_eq!(refused(|host| host.device_memory_mib = 6), Some(device));
    let arch = refused(|host| host.arch = Some(Arch::Aarch64));
    assert_eq!(arch, None);
    let mut requirements = draft(1).requires;
    requirements.arch = vec![Arch::Aarch64];
    assert_eq!(requirements.check(&host()).map_err(|error| error.rule().code()), Err("E505"));
    requirements.arch = Vec::new();
    assert_eq!(requirements.check(&host()), Ok(()));
}
