//! Trust documents to read and to attack.
//!
//! Envelopes are spelled and signed here on their own, not by the crate, so
//! that the two can be compared and that a lie carries valid signatures.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bundle_format::{
    BundleError, Channel, Expiry, ModelPattern, Revoked, RoleCount, Roots, SignedTrust, Timestamp, TrustClock,
    TrustDocument, TrustDraft, TrustEnvelope, TrustError, TrustKey, TrustRole, parse_trust,
};
use p256::ecdsa::Signature;
use p256::ecdsa::signature::Signer;
use serde_json::Value;

use crate::support::key;

/// Roots of [`draft`], of which two must sign.
pub(crate) const ROOTS: [u8; 3] = [11, 12, 13];
pub(crate) const RELEASE: u8 = 1;
pub(crate) const QA: u8 = 2;
pub(crate) const SITE: u8 = 3;

pub(crate) fn time(text: &str) -> Timestamp {
    Timestamp::new(text).unwrap()
}

pub(crate) fn clock(now: &str, expiry: Expiry) -> TrustClock {
    TrustClock { now: time(now), expiry }
}

/// A key with one role for `models`, or a root without.
pub(crate) fn trust_key(index: u8, role: TrustRole, models: &[&str], channels: &[Channel]) -> TrustKey {
    TrustKey {
        key: key(index).public_key(),
        roles: [role].into(),
        models: models.iter().map(|text| ModelPattern::new(*text).unwrap()).collect(),
        channels: channels.iter().copied().collect(),
    }
}

pub(crate) fn count(role: TrustRole, count: usize) -> RoleCount {
    RoleCount { count, role }
}

/// Version 1: three roots with threshold 2; release and qa for `test/*`, site for everything; patients need release
/// and qa, studies release.
pub(crate) fn draft() -> TrustDraft {
    let all = [Channel::Clinical, Channel::Research];
    let mut keys: Vec<_> = ROOTS.iter().map(|root| trust_key(*root, TrustRole::Root, &[], &[])).collect();
    keys.push(trust_key(RELEASE, TrustRole::Release, &["test/*"], &all));
    keys.push(trust_key(QA, TrustRole::Qa, &["test/*"], &all));
    keys.push(trust_key(SITE, TrustRole::Site, &["*"], &all));
    TrustDraft {
        created: time("2026-11-01T00:00:00Z"),
        expires: time("2027-11-01T00:00:00Z"),
        keys,
        min_security_version: [].into(),
        policy: [
            (Channel::Clinical, vec![count(TrustRole::Release, 1), count(TrustRole::Qa, 1)]),
            (Channel::Research, vec![count(TrustRole::Release, 1)]),
        ]
        .into(),
        revoked: Revoked::default(),
        roots: Roots { keyids: ROOTS.iter().map(|root| key(*root).public_key().key_id()).collect(), threshold: 2 },
        version: 1,
    }
}

/// The document of an edited draft, signed by the crate with the given keys.
pub(crate) fn envelope(draft: TrustDraft, signers: &[u8]) -> TrustEnvelope {
    let mut envelope = TrustEnvelope::new(TrustDocument::new(draft).unwrap());
    for signer in signers {
        envelope.sign(&key(*signer));
    }
    envelope
}

/// As [`envelope`], with the threshold reached.
pub(crate) fn signed(draft: TrustDraft, signers: &[u8]) -> SignedTrust {
    envelope(draft, signers).verify().unwrap()
}

/// The next version after `trust`, edited, and signed by two of its roots.
pub(crate) fn next(trust: &SignedTrust, edit: impl FnOnce(&mut TrustDraft)) -> SignedTrust {
    let mut draft = trust.document().successor(time("2026-12-01T00:00:00Z"), time("2027-12-01T00:00:00Z"));
    edit(&mut draft);
    signed(draft, &ROOTS[..2])
}

/// The lines of a chain.
pub(crate) fn chain<'a>(links: impl IntoIterator<Item = &'a SignedTrust>) -> Vec<u8> {
    links.into_iter().flat_map(|link| link.envelope().to_line()).collect()
}

/// Canonical JSON of a value whose keys are ASCII.
pub(crate) fn canonical(value: &Value) -> String {
    match value {
        Value::Object(members) => {
            let mut members: Vec<_> = members.iter().collect();
            members.sort_by_key(|(key, _)| *key);
            let members = members.iter().map(|(key, value)| format!("\"{key}\":{}", canonical(value)));
            format!("{{{}}}", members.collect::<Vec<_>>().join(","))
        }
        Value::Array(items) => format!("[{}]", items.iter().map(canonical).collect::<Vec<_>>().join(",")),
        leaf => leaf.to_string(),
    }
}

/// The payload of [`draft`] as a value to edit.
pub(crate) fn payload() -> Value {
    serde_json::from_slice(&TrustDocument::new(draft()).unwrap().to_json()).unwrap()
}

/// A signature over `payload` as an envelope lists it.
pub(crate) fn signature(payload: &str, signer: u8) -> (String, String) {
    let message = format!("DSSEv1 37 application/vnd.unnunet.trust.v1+json {} {payload}", payload.len());
    let secret = p256::ecdsa::SigningKey::from_slice(&[signer; 32]).unwrap();
    let signature: Signature = secret.sign(message.as_bytes());
    let der = STANDARD.encode(signature.normalize_s().to_der().as_bytes());
    (key(signer).public_key().key_id().to_string(), der)
}

/// A trust file of one envelope, with the signatures in the order given.
pub(crate) fn line(payload: &str, signatures: &[(String, String)]) -> String {
    let listed = signatures.iter().map(|(key_id, sig)| format!(r#"{{"keyid":"{key_id}","sig":"{sig}"}}"#));
    format!(
        "{{\"payload\":\"{}\",\"payloadType\":\"application/vnd.unnunet.trust.v1+json\",\"signatures\":[{}]}}\n",
        STANDARD.encode(payload),
        listed.collect::<Vec<_>>().join(","),
    )
}

/// A trust file of one envelope, validly signed by `signers`.
pub(crate) fn forged(payload: &str, signers: &[u8]) -> String {
    let mut signatures: Vec<_> = signers.iter().map(|signer| signature(payload, *signer)).collect();
    signatures.sort();
    line(payload, &signatures)
}

/// What a reader says of a trust file.
pub(crate) fn read(text: &[u8]) -> Result<SignedTrust, TrustError> {
    parse_trust(text)?.verify()
}

/// Asserts code, exit status and words of a refusal.
#[track_caller]
pub(crate) fn assert_refused<T>(outcome: Result<T, impl Into<BundleError>>, expected: (&str, u8), words: &str) {
    let Err(error) = outcome else { panic!("accepted; {} was expected", expected.0) };
    let error: BundleError = error.into();
    assert_eq!((error.code(), error.exit_code()), expected, "{error:?}");
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(&error);
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    assert!(text.contains(words), "`{text}` does not say `{words}`");
}
