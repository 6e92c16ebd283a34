//! What a trust document says of bundles: roles, scopes, thresholds,
//! revocation, floors, time. Every bundle here is properly signed.

use std::collections::BTreeSet;

use bundle_format::{
    BundleContents as _, BundleError, BundleId, Channel, Digest, Expiry, Freshness, Limits, RevocationReason,
    RevokedKey, TrustClock, TrustDraft, TrustRole, TrustedKeys, UnverifiedBundle, VerifiedBundle, Warning, sign,
    verify_with_checks,
};
use proptest::prelude::*;

use crate::support::{Fixture, builder, files, key};
use crate::trust_forge::{QA, RELEASE, ROOTS, SITE, assert_refused, clock, count, draft, signed, trust_key};

/// A bundle of `channel`, signed by `signers` in that order.
fn bundle(channel: Channel, signers: &[u8]) -> Fixture {
    let fixture = Fixture::unsigned(1);
    let mut draft = crate::support::draft(1);
    draft.channel = channel;
    draft.security_version = 5;
    builder(draft, files(1)).write(&fixture.bundle()).unwrap();
    for signer in signers {
        sign(&fixture.bundle(), &key(*signer), &fixture.bundle()).unwrap();
    }
    fixture
}

fn digest(fixture: &Fixture) -> Digest {
    let intact = UnverifiedBundle::open(&fixture.bundle(), &Limits::default()).unwrap().check().unwrap();
    *intact.manifest_sha256()
}

fn verify(fixture: &Fixture, draft: TrustDraft, clock: &TrustClock) -> Result<VerifiedBundle, BundleError> {
    let keys = TrustedKeys::of_document(&signed(draft, &ROOTS[..2]), clock)?;
    UnverifiedBundle::open(&fixture.bundle(), &Limits::default())?.verify(&keys)
}

fn today() -> TrustClock {
    clock("2026-12-24T00:00:00Z", Expiry::Enforce)
}

/// Asserts that the edited document admits the bundle.
#[track_caller]
fn accept(fixture: &Fixture, edit: impl FnOnce(&mut TrustDraft)) -> VerifiedBundle {
    let mut draft = draft();
    edit(&mut draft);
    verify(fixture, draft, &today()).unwrap()
}

/// Asserts that the edited document refuses the bundle, which stays as it is.
#[track_caller]
fn refuse(fixture: &Fixture, edit: impl FnOnce(&mut TrustDraft), expected: (&str, u8), words: &str) {
    let mut draft = draft();
    edit(&mut draft);
    let before = fixture.bytes();
    assert_refused(verify(fixture, draft, &today()), expected, words);
    assert_eq!(fixture.bytes(), before);
}

fn revoke(still_valid: Vec<Digest>) -> impl FnOnce(&mut TrustDraft) {
    let keyid = key(RELEASE).public_key().key_id();
    move |draft| draft.revoked.keys.push(RevokedKey { keyid, reason: RevocationReason::Compromise, still_valid })
}

fn nothing(_: &mut TrustDraft) {}

#[test]
fn signatures_stand_in_one_order_whoever_signed_first() {
    let bytes = [[RELEASE, QA, SITE], [SITE, QA, RELEASE], [QA, RELEASE, SITE]]
        .map(|signers| bundle(Channel::Clinical, &signers).bytes());
    assert!(bytes.iter().all(|other| *other == bytes[0]));
}

#[test]
fn the_document_admits_what_its_policy_asks_for() {
    let verified = accept(&bundle(Channel::Research, &[RELEASE]), nothing);
    assert_eq!(verified.trust_version(), Some(1));
    assert!(verified.warnings().is_empty());
    let steps: Vec<_> = verified.checks().iter().map(|check| check.step).collect();
    assert_eq!(steps, [1, 2, 3, 4, 5, 6, 7, 9]);
    let verified = accept(&bundle(Channel::Clinical, &[QA, RELEASE, SITE]), nothing);
    assert_eq!(verified.signers().len(), 3);
}

#[test]
fn one_public_key_is_the_simplest_trust() {
    for channel in [Channel::Clinical, Channel::Dev, Channel::Research] {
        let fixture = bundle(channel, &[RELEASE]);
        let verified = fixture.verify_path(&fixture.bundle()).unwrap();
        assert_eq!(verified.trust_version(), None);
    }
    let fixture = bundle(Channel::Clinical, &[RELEASE, QA]);
    assert_refused(fixture.verify_path(&fixture.bundle()), ("E307", 11), "the trusted key is");
}

#[test]
fn a_missing_role_and_a_key_of_another_role_are_refused() {
    const ROLE: (&str, u8) = ("E376", 12);
    refuse(&bundle(Channel::Clinical, &[RELEASE]), nothing, ROLE, "1 distinct keys of the role `qa`, 0 signed");
    refuse(&bundle(Channel::Clinical, &[QA]), nothing, ROLE, "role `release`, 0 signed");
    refuse(&bundle(Channel::Clinical, &[RELEASE, SITE]), nothing, ROLE, "role `qa`, 0 signed");
    refuse(&bundle(Channel::Research, &[QA]), nothing, ROLE, "role `release`, 0 signed");
    refuse(&bundle(Channel::Research, &[SITE]), nothing, ROLE, "role `release`, 0 signed");
}

#[test]
fn one_key_does_not_meet_a_threshold_of_two() {
    const ROLE: (&str, u8) = ("E376", 12);
    let two = |draft: &mut TrustDraft| {
        draft.policy.insert(Channel::Research, vec![count(TrustRole::Release, 2)]);
        draft.keys.push(trust_key(4, TrustRole::Release, &["*"], &[Channel::Research]));
    };
    // Signing again replaces the signature; the same key does not count twice.
    refuse(
        &bundle(Channel::Research, &[RELEASE, RELEASE]),
        two,
        ROLE,
        "2 distinct keys of the role `release`, 1 signed",
    );
    accept(&bundle(Channel::Research, &[RELEASE, 4]), two);
    // Release and qa in one hand.
    let both = |draft: &mut TrustDraft| {
        let release = key(RELEASE).public_key().key_id();
        let key = draft.keys.iter_mut().find(|key| key.key.key_id() == release).unwrap();
        key.roles.insert(TrustRole::Qa);
    };
    refuse(&bundle(Channel::Clinical, &[RELEASE]), both, ROLE, "a key counts for one role only");
    accept(&bundle(Channel::Clinical, &[RELEASE, QA]), both);
}

#[test]
fn unknown_signers_and_roots_are_refused() {
    const KNOWN: (&str, u8) = ("E307", 11);
    refuse(&bundle(Channel::Research, &[99]), nothing, KNOWN, "version 1 of the trust document lists no such signer");
    refuse(&bundle(Channel::Research, &[RELEASE, 99]), nothing, KNOWN, "lists no such signer");
    refuse(&bundle(Channel::Research, &[ROOTS[0]]), nothing, KNOWN, "lists no such signer");
    refuse(&bundle(Channel::Research, &[RELEASE, ROOTS[0]]), nothing, KNOWN, "lists no such signer");
    refuse(&bundle(Channel::Research, &[]), nothing, ("E301", 11), "not signed");
}

#[test]
fn every_signer_must_be_in_scope() {
    let scope = |models: &'static [&'static str], channels: &'static [Channel]| {
        move |draft: &mut TrustDraft| {
            draft.keys.push(trust_key(4, TrustRole::Release, models, channels));
        }
    };
    let fixture = bundle(Channel::Research, &[4]);
    let all = &[Channel::Clinical, Channel::Research];
    for models in [&["acme/*"][..], &["test/livers"], &["test/hearts/left"], &["test-two/*"], &["test/hearts/*"]] {
        refuse(&fixture, scope(models, all), ("E373", 12), "may not sign bundles of `test/hearts`");
    }
    refuse(
        &fixture,
        scope(&["*"], &[Channel::Clinical]),
        ("E374", 12),
        "may not sign bundles of the channel `research`",
    );
    for models in [&["*"][..], &["test/*"], &["test/hearts"], &["acme/*", "test/hearts"]] {
        accept(&fixture, scope(models, all));
    }
    // Although the release key alone would be enough.
    let two = bundle(Channel::Research, &[RELEASE, 4]);
    refuse(&two, scope(&["acme/*"], all), ("E373", 12), "may not sign bundles of `test/hearts`");
}

#[test]
fn a_channel_without_a_policy_is_refused() {
    let add_dev = |draft: &mut TrustDraft| {
        draft.keys.push(trust_key(4, TrustRole::Release, &["*"], &[Channel::Dev]));
    };
    refuse(&bundle(Channel::Dev, &[4]), add_dev, ("E375", 12), "no policy for the channel `dev`");
    let dev_policy = |draft: &mut TrustDraft| {
        draft.policy = [(Channel::Dev, vec![count(TrustRole::Dev, 1)])].into();
        draft.keys.push(trust_key(4, TrustRole::Dev, &["*"], &[Channel::Dev]));
    };
    let verified = accept(&bundle(Channel::Dev, &[4]), dev_policy);
    assert_eq!(verified.warnings(), [Warning::DevelopmentChannel]);
    assert!(Warning::DevelopmentChannel.to_string().contains("the channel `dev`"));
    assert!(Warning::TrustExpired.to_string().contains("has expired"));
    assert!(Warning::SignaturesNotChecked.to_string().contains("no signature"));
    refuse(&bundle(Channel::Clinical, &[4]), dev_policy, ("E374", 12), "channel `clinical`");
}

#[test]
fn a_revoked_key_counts_only_for_digests_that_stay_valid() {
    const REVOKED: (&str, u8) = ("E371", 11);
    let fixture = bundle(Channel::Clinical, &[RELEASE, QA]);
    let bundle_digest = digest(&fixture);
    refuse(&fixture, revoke(Vec::new()), REVOKED, "is revoked");
    refuse(&fixture, revoke(vec![Digest::of(b"another")]), REVOKED, "none of those that stay valid");
    accept(&fixture, revoke(vec![bundle_digest]));
    accept(&fixture, revoke(vec![Digest::of(b"another"), bundle_digest]));
    // A bundle that the thief signs after the list was made.
    let fresh = bundle(Channel::Research, &[RELEASE]);
    refuse(&fresh, revoke(vec![bundle_digest]), REVOKED, "none of those that stay valid");
    // The qa key's own bundles are as valid as before.
    let other = |draft: &mut TrustDraft| {
        revoke(Vec::new())(draft);
        draft.keys.push(trust_key(4, TrustRole::Release, &["*"], &[Channel::Clinical]));
    };
    accept(&bundle(Channel::Clinical, &[4, QA]), other);
}

#[test]
fn a_still_valid_digest_does_not_widen_the_scope() {
    let fixture = bundle(Channel::Research, &[RELEASE]);
    let narrowed = |draft: &mut TrustDraft| {
        revoke(vec![digest(&fixture)])(draft);
        let release = key(RELEASE).public_key().key_id();
        draft.keys.retain(|key| key.key.key_id() != release);
        draft.keys.push(trust_key(RELEASE, TrustRole::Release, &["acme/*"], &[Channel::Research]));
    };
    refuse(&fixture, narrowed, ("E373", 12), "may not sign");
}

#[test]
fn a_revoked_bundle_is_refused_whoever_signed_it() {
    let fixture = bundle(Channel::Clinical, &[RELEASE, QA, SITE]);
    let digest = digest(&fixture);
    refuse(&fixture, |draft| draft.revoked.manifests.push(digest), ("E372", 12), "is revoked");
    accept(&fixture, |draft| draft.revoked.manifests.push(Digest::of(b"another")));
    // Even when it is listed as still valid of a revoked key.
    let both = |draft: &mut TrustDraft| {
        revoke(vec![digest])(draft);
        draft.revoked.manifests.push(digest);
    };
    refuse(&fixture, both, ("E372", 12), "is revoked");
}

#[test]
fn a_security_version_below_the_floor_is_refused() {
    let fixture = bundle(Channel::Research, &[RELEASE]); // security version 5
    let floor = |id: &'static str, floor: u32| {
        move |draft: &mut TrustDraft| draft.min_security_version.extend([(BundleId::new(id).unwrap(), floor)])
    };
    accept(&fixture, floor("test/hearts", 5));
    accept(&fixture, floor("test/livers", 6));
    refuse(&fixture, floor("test/hearts", 6), ("E377", 12), "the trust document admits 6 and above");
    refuse(&fixture, floor("test/hearts", u32::MAX), ("E377", 12), "security version 5");
}

#[test]
fn expiry_warns_or_enforces() {
    let fixture = bundle(Channel::Research, &[RELEASE]);
    let at = |now: &str, expiry| verify(&fixture, draft(), &clock(now, expiry));
    for (now, expired) in [
        ("2027-10-31T23:59:59Z", false),
        ("2027-11-01T00:00:00Z", true),
        ("2038-01-19T03:14:08Z", true),
        ("9999-12-31T23:59:59Z", true),
        // A clock that was set back stands still at the document's date, at the latest.
        ("1970-01-01T00:00:00Z", false),
        ("2026-10-31T00:00:00Z", false),
    ] {
        let warnings = at(now, Expiry::Warn).unwrap().warnings().to_vec();
        assert_eq!(warnings, if expired { vec![Warning::TrustExpired] } else { Vec::new() }, "{now}");
        let enforced = at(now, Expiry::Enforce);
        assert_eq!(enforced.is_err(), expired, "{now}");
        if expired {
            assert_refused(enforced, ("E363", 11), "expired on 2027-11-01T00:00:00Z");
        }
    }
    let trust = signed(draft(), &ROOTS[..2]);
    let freshness = |now| clock(now, Expiry::Warn).check(trust.document()).unwrap();
    assert_eq!(freshness("2027-10-31T23:59:59Z"), Freshness::Valid);
    assert_eq!(freshness("2027-11-01T00:00:00Z"), Freshness::Expired);
}

#[test]
fn the_policy_is_a_step_of_its_own_in_the_list_of_checks() {
    let fixture = bundle(Channel::Clinical, &[RELEASE]);
    let keys = TrustedKeys::of_document(&signed(draft(), &ROOTS[..2]), &today()).unwrap();
    let (checks, outcome) = verify_with_checks(&fixture.bundle(), &Limits::default(), &keys);
    let last = checks.last().unwrap();
    assert_eq!((last.step, last.name, last.code), (6, "policy", Some("E376")));
    assert_refused(outcome, ("E376", 12), "qa");
}

#[test]
fn a_bundle_carries_at_most_eight_signatures() {
    let fixture = bundle(Channel::Research, &[1, 2, 3, 4, 5, 6, 7, 8]);
    let before = fixture.bytes();
    let ninth = sign(&fixture.bundle(), &key(9), &fixture.bundle());
    assert_refused(ninth, ("E106", 14), "9");
    assert_eq!(fixture.bytes(), before);
    assert!(sign(&fixture.bundle(), &key(8), &fixture.bundle()).is_ok());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// The judgement against a model of it: every way to give each signer at most one seat is tried.
    #[test]
    fn the_policy_is_met_when_some_seating_meets_it(
        roles in proptest::collection::vec(proptest::collection::btree_set(0_usize..3, 1..3), 1..5),
        counts in proptest::collection::vec(0_usize..3, 3),
    ) {
        let names = [TrustRole::Qa, TrustRole::Release, TrustRole::Site];
        prop_assume!((1..=8).contains(&counts.iter().sum::<usize>()));
        let mut draft = draft();
        draft.keys.truncate(ROOTS.len());
        let signers: Vec<u8> = (0..u8::try_from(roles.len()).unwrap()).map(|at| 31 + at).collect();
        for (signer, roles) in signers.iter().zip(&roles) {
            let mut key = trust_key(*signer, TrustRole::Qa, &["*"], &[Channel::Research]);
            key.roles = roles.iter().map(|role| names[*role]).collect();
            draft.keys.push(key);
        }
        let policy = names.iter().zip(&counts).filter(|(_, n)| **n > 0).map(|(role, n)| count(*role, *n));
        draft.policy = [(Channel::Research, policy.collect())].into();
        let outcome = verify(&bundle(Channel::Research, &signers), draft, &today());
        let code = outcome.as_ref().err().map(BundleError::code);
        prop_assert_eq!(code, (!met(&roles, &counts)).then_some("E376"));
    }
}

/// Whether each seat can have a signer of its own.
fn met(roles: &[BTreeSet<usize>], counts: &[usize]) -> bool {
    let Some((first, rest)) = roles.split_first() else { return counts.iter().all(|n| *n == 0) };
    met(rest, counts)
        || first.iter().any(|&role| {
            let mut left = counts.to_vec();
            left[role] > 0 && {
                left[role] -= 1;
                met(rest, &left)
            }
        })
}
