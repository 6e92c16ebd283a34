//! No bytes make the reader of trust files panic, and what it reads it writes back unchanged: as a file of one document,
//! as a document without an envelope, and as a chain.

#![no_main]

use std::sync::OnceLock;

use bundle_format::{
    Channel, Revoked, RoleCount, Roots, SignedTrust, SigningKey, Timestamp, TrustDocument, TrustDraft, TrustEnvelope,
    TrustKey, TrustRole, follow_chain, parse_trust,
};
use libfuzzer_sys::fuzz_target;

/// Version 1 of a trust of one root, made anew in every process.
fn installed() -> &'static SignedTrust {
    static INSTALLED: OnceLock<SignedTrust> = OnceLock::new();
    INSTALLED.get_or_init(|| {
        let key = SigningKey::generate();
        let root = key.public_key();
        let draft = TrustDraft {
            created: Timestamp::from_unix(0).expect("1970 is a year"),
            expires: Timestamp::from_unix(1).expect("1970 is a year"),
            min_security_version: [].into(),
            policy: [(Channel::Research, vec![RoleCount { count: 1, role: TrustRole::Release }])].into(),
            revoked: Revoked::default(),
            roots: Roots { keyids: vec![root.key_id()], threshold: 1 },
            keys: vec![TrustKey {
                key: root,
                roles: [TrustRole::Root].into(),
                models: [].into(),
                channels: [].into(),
            }],
            version: 1,
        };
        let mut envelope = TrustEnvelope::new(TrustDocument::new(draft).expect("the document is sound"));
        envelope.sign(&key);
        envelope.verify().expect("the one root signed")
    })
}

fuzz_target!(|bytes: &[u8]| {
    if let Ok(envelope) = parse_trust(bytes) {
        assert_eq!(envelope.to_line(), bytes);
        let _ = envelope.verify();
    }
    if let Ok(document) = TrustDocument::parse(bytes) {
        assert_eq!(document.to_json(), bytes);
    }
    // Nobody but the fuzzer's own root could make a successor.
    assert!(follow_chain(installed(), bytes).is_err());
});
