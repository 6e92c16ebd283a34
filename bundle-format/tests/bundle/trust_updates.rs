//! Updates of a trust document: chains, rotations, attacks on both, and the
//! folder in which the document in force lies. A refused update changes nothing.

use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use bundle_format::{
    BundleError, Digest, Expiry, RevocationReason, RevokedKey, SignedTrust, TrustClock, TrustFolder, TrustRole,
    TrustUpdate, follow_chain, write_trust_file,
};
use tempfile::TempDir;

use crate::support::key;
use crate::trust_forge::{ROOTS, assert_refused, chain, clock, draft, envelope, next, signed, time, trust_key};

const LINK: (&str, u8) = ("E360", 11);
const SUCCESSION: (&str, u8) = ("E359", 11);

/// A trust folder with one document in it.
struct Device {
    work: TempDir,
}

impl Device {
    fn with(trust: &SignedTrust) -> Self {
        let device = Self { work: tempfile::tempdir().unwrap() };
        TrustFolder::create(&device.folder(), trust).unwrap();
        device
    }

    fn folder(&self) -> PathBuf {
        self.work.path().join("trust")
    }

    fn file(&self) -> PathBuf {
        self.folder().join("trust.dsse.json")
    }

    fn version(&self) -> u32 {
        TrustFolder::open(&self.folder()).unwrap().read().unwrap().document().version
    }

    fn update(&self, text: &[u8], clock: &TrustClock) -> Result<TrustUpdate, BundleError> {
        let path = self.work.path().join("update");
        fs_err::write(&path, text).unwrap();
        TrustFolder::open(&self.folder())?.lock()?.update(&path, clock)
    }

    /// Asserts that the update is refused, and that the folder is as it was.
    #[track_caller]
    fn refuse(&self, text: &[u8], expected: (&str, u8), words: &str) {
        self.refuse_at(text, &clock("2026-12-24T00:00:00Z", Expiry::Warn), expected, words);
    }

    #[track_caller]
    fn refuse_at(&self, text: &[u8], clock: &TrustClock, expected: (&str, u8), words: &str) {
        let before = fs_err::read(self.file()).unwrap();
        assert_refused(self.update(text, clock), expected, words);
        assert_eq!(fs_err::read(self.file()).unwrap(), before);
        assert_eq!(fs_err::read_dir(self.folder()).unwrap().count(), 1);
    }

    #[track_caller]
    fn accept(&self, text: &[u8], version: u32) {
        self.update(text, &clock("2026-12-24T00:00:00Z", Expiry::Warn)).unwrap();
        assert_eq!(self.version(), version);
    }
}

/// Versions 1 to `n`, each the next of the one before.
fn versions(n: usize) -> Vec<SignedTrust> {
    let mut versions = vec![signed(draft(), &ROOTS[..2])];
    while versions.len() < n {
        versions.push(next(&versions[versions.len() - 1], |_| {}));
    }
    versions
}

#[test]
fn a_device_catches_up_from_any_version_with_one_file() {
    let all = versions(5);
    for installed in 0..5 {
        for first in 0..=installed {
            let device = Device::with(&all[installed]);
            device.accept(&chain(&all[first..]), 5);
        }
    }
    let device = Device::with(&all[1]);
    device.accept(&chain(&all[2..3]), 3);
    device.accept(&chain(&all[..]), 5);
}

#[test]
fn the_installed_document_again_changes_nothing() {
    let all = versions(2);
    let device = Device::with(&all[1]);
    let before = fs_err::metadata(device.file()).unwrap().modified().unwrap();
    let update = device.update(&chain(&all), &clock("2026-12-24T00:00:00Z", Expiry::Warn)).unwrap();
    assert!(matches!(update, TrustUpdate::Current));
    assert_eq!(fs_err::metadata(device.file()).unwrap().modified().unwrap(), before);
}

#[test]
fn a_missing_link_is_refused_wherever_it_is_missing() {
    let all = versions(5);
    let without = |missing: usize| all.iter().enumerate().filter(move |(at, _)| *at != missing).map(|(_, link)| link);
    for missing in 1..4 {
        Device::with(&all[0]).refuse(&chain(without(missing)), LINK, &format!("where version {} must", missing + 1));
    }
    Device::with(&all[0]).refuse(&chain(&all[2..]), LINK, "version 3 of the trust document follows where version 2");
    let repeated = chain([&all[1], &all[1]]);
    Device::with(&all[0]).refuse(&repeated, LINK, "version 2 of the trust document follows where version 3");
    let reversed = chain([&all[2], &all[1]]);
    Device::with(&all[0]).refuse(&reversed, LINK, "version 3");
}

#[test]
fn an_older_document_is_refused() {
    let all = versions(4);
    let device = Device::with(&all[3]);
    for older in [&all[..1], &all[1..3], &all[..3]] {
        device.refuse(&chain(older), ("E361", 12), "version 4 is installed");
    }
}

#[test]
fn another_document_of_the_same_version_is_refused() {
    let all = versions(3);
    let fork = next(&all[1], |draft| draft.revoke_manifest(Digest::of(b"other")));
    assert_eq!(fork.document().version, 3);
    let device = Device::with(&all[2]);
    device.refuse(&chain([&fork]), ("E362", 12), "another one is installed");
    // A longer chain through the fork does not get past it either.
    let beyond = next(&fork, |_| {});
    device.refuse(&chain([&all[1], &fork, &beyond]), ("E362", 12), "another one is installed");
}

#[test]
fn the_old_roots_and_the_new_ones_must_sign() {
    let first = signed(draft(), &ROOTS[..2]);
    let device = Device::with(&first);
    let rotated = |signers: &[u8]| {
        let mut draft = first.document().successor(time("2026-12-01T00:00:00Z"), time("2027-12-01T00:00:00Z"));
        draft.keys.retain(|key| !key.roles.contains(&TrustRole::Root));
        let new = [21, 22];
        draft.keys.extend(new.map(|root| trust_key(root, TrustRole::Root, &[], &[])));
        draft.roots.keyids = new.map(|root| key(root).public_key().key_id()).to_vec();
        envelope(draft, signers).to_line()
    };
    device.refuse(&rotated(&[]), ("E358", 11), "0 of 2 needed root keys signed version 2");
    device.refuse(&rotated(&[11, 12]), ("E358", 11), "0 of 2"); // the old ones only
    device.refuse(&rotated(&[21, 22]), SUCCESSION, "0 of 2 needed root keys of the version before"); // the new ones only
    device.refuse(&rotated(&[11, 12, 21]), ("E358", 11), "1 of 2");
    device.refuse(&rotated(&[11, 21, 22]), SUCCESSION, "1 of 2");
    device.refuse(&rotated(&[11, 12, 21, 22, 1]), ("E357", 11), "is no root"); // a release key beside them
    device.accept(&rotated(&[11, 12, 21, 22]), 2);
    // The document in force still carries the signatures of roots that it no longer lists.
    assert_eq!(device.version(), 2);
    let second = TrustFolder::open(&device.folder()).unwrap().read().unwrap();
    let third = second.document().successor(time("2026-12-01T00:00:00Z"), time("2027-12-01T00:00:00Z"));
    device.refuse(&envelope(third.clone(), &[11, 12]).to_line(), ("E358", 11), "0 of 2");
    device.accept(&envelope(third, &[21, 22]).to_line(), 3);
}

#[test]
fn a_lower_threshold_must_be_signed_by_the_higher_one() {
    let first = signed(draft(), &ROOTS[..2]);
    let mut lower = first.document().successor(time("2026-12-01T00:00:00Z"), time("2027-12-01T00:00:00Z"));
    lower.roots.threshold = 1;
    let device = Device::with(&first);
    device.refuse(&envelope(lower.clone(), &[11]).to_line(), SUCCESSION, "1 of 2");
    device.accept(&envelope(lower, &[11, 13]).to_line(), 2);
}

#[test]
fn an_earlier_date_and_a_version_after_the_last_are_refused() {
    let first = signed(draft(), &ROOTS[..2]);
    let mut earlier = first.document().successor(time("2026-12-01T00:00:00Z"), time("2027-12-01T00:00:00Z"));
    earlier.created = time("2026-10-31T23:59:59Z");
    Device::with(&first).refuse(&envelope(earlier, &ROOTS[..2]).to_line(), LINK, "earlier date");
    let mut last = draft();
    last.version = u32::MAX;
    let last = signed(last, &ROOTS[..2]);
    // `successor` saturates, so that its draft is a document of the same version.
    let beyond = next(&last, |draft| draft.revoke_manifest(Digest::of(b"x")));
    Device::with(&last).refuse(&chain([&beyond]), ("E362", 12), "another one is installed");
    assert_refused(last.succeeded_by(beyond), LINK, "version 4294967295");
}

#[test]
fn a_successor_is_not_dated_before_its_predecessor_although_the_clock_went_back() {
    let first = signed(draft(), &ROOTS[..2]);
    let draft = first.document().successor(time("1970-01-01T00:00:00Z"), time("2027-12-01T00:00:00Z"));
    assert_eq!(draft.created, first.document().created);
}

#[test]
fn a_chain_has_at_most_64_links() {
    let all = versions(66);
    Device::with(&all[0]).accept(&chain(&all[..64]), 64);
    Device::with(&all[0]).refuse(&chain(&all[..65]), ("E356", 14), "64 links");
    Device::with(&all[0]).refuse(&vec![b'\n'; 1000], ("E356", 14), "64 links");
    Device::with(&all[0]).refuse(&vec![b' '; 64 * 262_145 + 1], ("E356", 14), "bytes in a trust file");
    Device::with(&all[0]).refuse(b"\n", ("E351", 11), "canonical JSON");
}

#[test]
fn one_broken_link_refuses_the_whole_chain() {
    let all = versions(4);
    let text = chain(&all[1..]);
    for at in (0..text.len()).step_by(7) {
        let mut broken = text.clone();
        broken[at] ^= 4;
        assert!(follow_chain(&all[0], &broken).is_err(), "byte {at}");
    }
}

#[test]
fn an_expired_update_is_refused_where_that_is_enforced() {
    let all = versions(2);
    let late = |expiry| clock("2028-01-01T00:00:00Z", expiry);
    let device = Device::with(&all[0]);
    device.refuse_at(&chain(&all), &late(Expiry::Enforce), ("E363", 11), "expired on 2027-12-01T00:00:00Z");
    assert!(device.update(&chain(&all), &late(Expiry::Warn)).is_ok());
    assert_eq!(device.version(), 2);
}

#[test]
fn a_first_document_replaces_none() {
    let all = versions(2);
    let device = Device::with(&all[1]);
    let before = fs_err::read(device.file()).unwrap();
    assert_refused(TrustFolder::create(&device.folder(), &all[0]), ("E365", 2), "exists");
    assert_eq!(fs_err::read(device.file()).unwrap(), before);
    let mode = |path: &Path| fs_err::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&device.folder()), 0o755);
    assert_eq!(mode(&device.file()) & 0o022, 0);
}

#[test]
fn links_and_folders_that_others_can_write_are_refused() {
    let trust = signed(draft(), &ROOTS[..2]);
    let open = |path: &Path| TrustFolder::open(path).and_then(|folder| folder.read());
    let device = Device::with(&trust);
    let link = device.work.path().join("link");
    symlink(device.folder(), &link).unwrap();
    assert_refused(open(&link), ("E364", 11), "is a link");
    assert_refused(open(&device.file()), ("E364", 11), "is a link"); // no folder at all
    assert_refused(open(&device.work.path().join("none")), ("E101", 20), "none");

    let elsewhere = device.work.path().join("elsewhere");
    fs_err::rename(device.file(), &elsewhere).unwrap();
    symlink(&elsewhere, device.file()).unwrap();
    assert_refused(open(&device.folder()), ("E102", 10), "not a regular file");
    fs_err::remove_file(device.file()).unwrap();
    assert_refused(open(&device.folder()), ("E101", 20), "trust.dsse.json");

    let device = Device::with(&trust);
    let allow = |path: &Path, mode| fs_err::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
    for mode in [0o775, 0o757] {
        allow(&device.folder(), mode);
        assert_refused(open(&device.folder()), ("E364", 11), "written by others");
    }
    allow(&device.folder(), 0o755);
    for mode in [0o664, 0o646] {
        allow(&device.file(), mode);
        assert_refused(open(&device.folder()), ("E364", 11), "trust.dsse.json");
    }
    allow(&device.file(), 0o444);
    assert!(open(&device.folder()).is_ok());
}

#[test]
fn a_folder_with_a_document_that_nobody_signed_is_refused() {
    let trust = signed(draft(), &ROOTS[..2]);
    let device = Device::with(&trust);
    write_trust_file(&device.file(), &envelope(draft(), &ROOTS[..1])).unwrap();
    let read = TrustFolder::open(&device.folder()).unwrap().read();
    assert_refused(read, ("E358", 11), "1 of 2");
}

#[test]
fn changes_name_keys_that_are_there_and_add_those_that_are_not() {
    const CHANGE: (&str, u8) = ("E366", 2);
    let mut changed = draft();
    let site = trust_key(3, TrustRole::Site, &["*"], &[bundle_format::Channel::Research]);
    assert_refused(changed.add_key(site), CHANGE, "lists the key");
    assert_refused(changed.add_key(trust_key(11, TrustRole::Root, &[], &[])), CHANGE, "lists the key");
    let unknown = key(99).public_key().key_id();
    assert_refused(changed.remove_key(unknown), CHANGE, "does not list the key");
    let revoked = |keyid, still_valid| RevokedKey { keyid, reason: RevocationReason::Loss, still_valid };
    assert_refused(changed.revoke_key(revoked(unknown, Vec::new())), CHANGE, "does not list the key");
    assert_eq!(changed, draft());

    changed.add_key(trust_key(14, TrustRole::Root, &[], &[])).unwrap();
    changed.remove_key(key(11).public_key().key_id()).unwrap();
    let site = key(3).public_key().key_id();
    let digest = Digest::of(b"one");
    changed.revoke_key(revoked(site, Vec::new())).unwrap();
    changed.revoke_key(revoked(site, vec![digest, digest])).unwrap();
    changed.revoke_manifest(digest);
    changed.revoke_manifest(digest);
    let trust = signed(changed, &[12, 14]);
    let roots = [12, 13, 14].map(|root| key(root).public_key().key_id());
    assert!(roots.iter().all(|root| trust.document().roots.keyids.contains(root)));
    assert_eq!(trust.document().roots.keyids.len(), 3);
    assert_eq!(trust.document().revocation(&site).unwrap().still_valid, [digest]);
    assert_eq!(trust.document().revoked.manifests, [digest]);
}

#[test]
fn two_writers_take_turns() {
    let all = versions(30);
    let device = Device::with(&all[0]);
    std::thread::scope(|scope| {
        for writer in 0..2 {
            let (folder, all) = (device.folder(), &all);
            let work = device.work.path();
            scope.spawn(move || {
                for (at, _) in all.iter().enumerate().skip(1) {
                    let path = work.join(format!("update-{writer}"));
                    fs_err::write(&path, chain(&all[..=at])).unwrap();
                    let clock = clock("2026-12-24T00:00:00Z", Expiry::Warn);
                    let mut trust = TrustFolder::open(&folder).unwrap().lock().unwrap();
                    let before = trust.current().document().version;
                    match trust.update(&path, &clock) {
                        Ok(_) => assert!(trust.current().document().version >= before),
                        Err(error) => assert_eq!(error.code(), "E361"),
                    }
                }
            });
        }
    });
    assert_eq!(device.version(), 30);
}
