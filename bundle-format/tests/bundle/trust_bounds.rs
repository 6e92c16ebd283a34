//! Every limit of a trust document from both sides, and the changes of a draft.

use bundle_format::{
    BundleId, Channel, Digest, ModelPattern, RevocationReason, RevokedKey, RoleCount, SignedTrust, TrustDocument,
    TrustDraft, TrustError, TrustKey, TrustRole, TrustUpdate, follow_chain, parse_trust,
};

use crate::support::key;
use crate::trust_forge::{
    QA, RELEASE, ROOTS, SITE, assert_refused, chain, count, draft, envelope, next, signed, time, trust_key,
};

const LIMIT: (&str, u8) = ("E356", 14);

/// Edits the draft; `None` if it is a document, else what the refusal says.
fn edited(edit: impl FnOnce(&mut TrustDraft)) -> Option<String> {
    let mut draft = draft();
    edit(&mut draft);
    TrustDocument::new(draft).err().map(|error| error.to_string())
}

#[track_caller]
fn at_most(n: usize, words: &str, edit: impl Fn(&mut TrustDraft, usize)) {
    assert_eq!(edited(|draft| edit(draft, n)), None);
    let refusal = edited(|draft| edit(draft, n + 1)).unwrap();
    assert!(refusal.contains(words), "{refusal}");
}

fn digests(n: usize) -> Vec<Digest> {
    (0..n).map(|index| Digest::of(&index.to_le_bytes())).collect()
}

fn revoked(index: u8, still_valid: Vec<Digest>) -> RevokedKey {
    RevokedKey { keyid: key(index).public_key().key_id(), reason: RevocationReason::Loss, still_valid }
}

#[test]
fn every_list_has_as_many_items_as_it_may() {
    at_most(64, "more than 64 keys", |draft, n| {
        let further = u8::try_from(n - draft.keys.len()).unwrap();
        let site = |index| trust_key(100 + index, TrustRole::Site, &["*"], &[Channel::Research]);
        draft.keys.extend((0..further).map(site));
    });
    at_most(8, "more than 8 root keys", |draft, n| {
        for index in 0..u8::try_from(n - ROOTS.len()).unwrap() {
            draft.add_key(trust_key(100 + index, TrustRole::Root, &[], &[])).unwrap();
        }
    });
    at_most(64, "more than 64 models of one key", |draft, n| {
        let pattern = |index| ModelPattern::new(format!("test/m{index}")).unwrap();
        draft.keys.last_mut().unwrap().models = (0..n).map(pattern).collect();
    });
    at_most(1024, "more than 1024 models with a floor", |draft, n| {
        let id = |index| BundleId::new(format!("test/m{index}")).unwrap();
        draft.min_security_version = (0..n).map(|index| (id(index), 1)).collect();
    });
    at_most(1024, "more than 1024 still valid digests", |draft, n| {
        draft.revoked.keys = vec![revoked(RELEASE, digests(n - 1)), revoked(QA, digests(1))];
    });
}

#[test]
fn revoked_keys_and_revoked_bundles_are_counted_together() {
    at_most(1024, "more than 1024 revocations", |draft, n| {
        draft.revoked.keys = vec![revoked(RELEASE, Vec::new())];
        draft.revoked.manifests = digests(n - 1);
    });
}

#[test]
fn thresholds_reach_from_one_to_all() {
    for (threshold, accepted) in [(0, false), (1, true), (3, true), (4, false)] {
        assert_eq!(edited(|draft| draft.roots.threshold = threshold).is_none(), accepted, "{threshold}");
    }
    let policy = |roles: &[RoleCount]| edited(|draft| drop(draft.policy.insert(Channel::Research, roles.to_vec())));
    assert_eq!(policy(&[count(TrustRole::Release, 8)]), None);
    assert_eq!(policy(&[count(TrustRole::Release, 7), count(TrustRole::Qa, 1)]), None);
    for roles in [
        &[][..],
        &[count(TrustRole::Release, 9)],
        &[count(TrustRole::Release, 0)],
        &[count(TrustRole::Release, 8), count(TrustRole::Qa, 1)],
        &[count(TrustRole::Release, 1), count(TrustRole::Qa, 0)],
        &[count(TrustRole::Release, usize::MAX), count(TrustRole::Qa, 2)],
        &[count(TrustRole::Root, 1)],
    ] {
        assert_eq!(policy(roles).as_deref(), Some("`policy` of the trust document is out of range"), "{roles:?}");
    }
}

#[test]
fn a_document_expires_after_it_was_made() {
    let at = |expires: &str| edited(|draft| draft.expires = time(expires)).is_none();
    assert!(at("2026-11-01T00:00:01Z"));
    assert!(!at("2026-11-01T00:00:00Z") && !at("2026-10-31T00:00:00Z"));
    assert!(edited(|draft| draft.version = 0).is_some());
}

#[test]
fn roots_have_no_scope_and_others_have_one() {
    let with = |key: TrustKey| edited(|draft| draft.keys.push(key));
    let other = |edit: fn(&mut TrustKey)| {
        let mut key = trust_key(40, TrustRole::Site, &["*"], &[Channel::Research]);
        edit(&mut key);
        with(key)
    };
    assert_eq!(other(|_| {}), None);
    for (edit, field) in [
        ((|key: &mut TrustKey| key.roles.clear()) as fn(&mut TrustKey), "keys.roles"),
        (|key| key.models.clear(), "keys.models"),
        (|key| key.channels.clear(), "keys.channels"),
    ] {
        assert!(other(edit).unwrap().contains(&format!("`{field}`")));
    }
    let root = |edit: fn(&mut TrustKey)| {
        edited(|draft| {
            let mut key = trust_key(40, TrustRole::Root, &[], &[]);
            edit(&mut key);
            draft.add_key(key).unwrap();
        })
    };
    assert_eq!(root(|_| {}), None);
    for edit in [
        (|key: &mut TrustKey| assert!(key.models.insert(ModelPattern::new("*").unwrap()))) as fn(&mut TrustKey),
        |key| assert!(key.channels.insert(Channel::Research)),
        |key| assert!(key.roles.insert(TrustRole::Site)),
    ] {
        assert!(root(edit).unwrap().contains("further role or a scope"));
    }
    assert!(with(trust_key(40, TrustRole::Root, &[], &[])).unwrap().contains("is a root in one place"));
}

#[test]
fn keys_are_added_and_removed_once() {
    let mut draft = draft();
    let added = trust_key(40, TrustRole::Site, &["*"], &[Channel::Research]);
    let key_id = added.key.key_id();
    draft.add_key(added.clone()).unwrap();
    assert_eq!((draft.keys.len(), draft.roots.keyids.len()), (7, 3));
    assert!(matches!(draft.add_key(added), Err(TrustError::KnownKey { key_id: known }) if known == key_id));
    draft.add_key(trust_key(41, TrustRole::Root, &[], &[])).unwrap();
    assert_eq!((draft.keys.len(), draft.roots.keyids.len()), (8, 4));
    draft.remove_key(key(41).public_key().key_id()).unwrap();
    assert_eq!((draft.keys.len(), draft.roots.keyids.len()), (7, 3));
    draft.remove_key(key_id).unwrap();
    assert!(matches!(draft.remove_key(key_id), Err(TrustError::UnknownKey { key_id: unknown }) if unknown == key_id));
    assert_eq!(TrustDocument::new(draft).unwrap(), TrustDocument::new(self::draft()).unwrap());
}

#[test]
fn keys_are_revoked_if_they_are_known_and_again_if_they_are_revoked() {
    let mut draft = draft();
    assert!(matches!(draft.revoke_key(revoked(99, Vec::new())), Err(TrustError::UnknownKey { .. })));
    let two = digests(2);
    draft.revoke_key(revoked(RELEASE, vec![two[1], two[0], two[1]])).unwrap();
    assert_eq!(draft.revoked.keys.len(), 1);
    assert!(draft.revoked.keys[0].still_valid.is_sorted() && draft.revoked.keys[0].still_valid.len() == 2);
    draft.remove_key(key(RELEASE).public_key().key_id()).unwrap();
    // No longer listed, but still revoked: it may be said anew.
    draft.revoke_key(revoked(RELEASE, Vec::new())).unwrap();
    draft.revoke_key(revoked(QA, Vec::new())).unwrap();
    assert_eq!(draft.revoked.keys.len(), 2);
    draft.revoke_manifest(two[0]);
    draft.revoke_manifest(two[0]);
    draft.revoke_manifest(two[1]);
    assert_eq!(draft.revoked.manifests, two);
    let document = TrustDocument::new(draft).unwrap();
    assert_eq!(document.revocation(&key(QA).public_key().key_id()).unwrap().reason, RevocationReason::Loss);
    assert!(document.revocation(&key(SITE).public_key().key_id()).is_none());
    assert!(document.key(&key(SITE).public_key().key_id()).is_some());
    assert!(document.key(&key(RELEASE).public_key().key_id()).is_none());
}

#[test]
fn a_successor_is_one_version_on_and_no_older() {
    let document = TrustDocument::new(draft()).unwrap();
    let later = document.successor(time("2027-01-01T00:00:00Z"), time("2028-01-01T00:00:00Z"));
    assert_eq!((later.version, later.created.as_str()), (2, "2027-01-01T00:00:00Z"));
    let set_back = document.successor(time("1999-01-01T00:00:00Z"), time("2028-01-01T00:00:00Z"));
    assert_eq!(
        (set_back.created.as_str(), set_back.expires.as_str()),
        ("2026-11-01T00:00:00Z", "2028-01-01T00:00:00Z")
    );
}

#[test]
fn the_last_version_has_no_successor() {
    let last = |version: u32| signed(TrustDraft { version, ..draft() }, &ROOTS[..2]);
    assert!(last(u32::MAX - 1).succeeded_by(last(u32::MAX)).is_ok());
    assert_refused(last(u32::MAX).succeeded_by(last(u32::MAX)), ("E360", 11), "version");
}

#[test]
fn a_successor_is_dated_no_earlier() {
    let first = signed(draft(), &ROOTS[..2]);
    let dated = |created: &str| {
        let draft = TrustDraft { version: 2, created: time(created), ..draft() };
        first.succeeded_by(signed(draft, &ROOTS[..2]))
    };
    assert!(dated("2026-11-01T00:00:00Z").is_ok());
    assert!(dated("2026-10-31T23:59:59Z").is_err());
}

#[test]
fn a_chain_is_followed_to_its_end() {
    let first = signed(draft(), &ROOTS[..2]);
    let second = next(&first, |_| {});
    let third = next(&second, |_| {});
    let newest = |links: &[&SignedTrust]| {
        let links = chain(links.iter().copied());
        follow_chain(&first, &links).map(|update| match update {
            TrustUpdate::New(trust) => trust.document().version,
            TrustUpdate::Current => first.document().version,
        })
    };
    assert_eq!(newest(&[&second, &third]).unwrap(), 3);
    assert_eq!(newest(&[&second]).unwrap(), 2);
    assert_eq!(newest(&[&first]).unwrap(), 1);
    assert!(newest(&[&third]).is_err() && newest(&[&third, &second]).is_err());
}

#[test]
fn files_and_signatures_are_as_many_as_they_may() {
    let trust = signed(draft(), &ROOTS[..2]);
    let text = trust.envelope().to_line();
    assert_eq!(parse_trust(&text).unwrap().to_line(), text);
    assert_eq!(envelope(draft(), &ROOTS).claimed_signers().count(), 3);
    assert_eq!(trust.digest(), Digest::of(&trust.document().to_json()));
    let sixteen: Vec<u8> = (40..56).collect();
    let line = envelope(draft(), &sixteen).to_line();
    assert_eq!(parse_trust(&line).unwrap().claimed_signers().count(), 16);
    let seventeen: Vec<u8> = (40..57).collect();
    assert_refused(parse_trust(&envelope(draft(), &seventeen).to_line()), LIMIT, "16 signatures");
}
