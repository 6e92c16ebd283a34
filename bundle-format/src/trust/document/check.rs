//! What the schema of a trust document asks beyond the types of its fields.
//!
//! Limits come first, then order, then what one field says of another. A
//! document that nobody could satisfy, or whose parts contradict each other,
//! is refused before anybody signs or installs it.

use super::{TrustDraft, TrustKey};
use crate::manifest::Channel;
use crate::trust::{TrustError, TrustRole};

/// Keys of a document, roots among them.
const MAX_KEYS: usize = 64;
/// Root keys; the old and the new ones sign an update, so an envelope holds twice as many signatures.
const MAX_ROOTS: usize = 8;
/// Revoked keys and bundles.
const MAX_REVOCATIONS: usize = 1024;
/// Digests that stay valid although their key is revoked.
const MAX_STILL_VALID: usize = 1024;
/// Patterns of one key.
const MAX_MODELS: usize = 64;
/// Models with a floor.
const MAX_FLOORS: usize = 1024;
/// Signatures that a bundle can carry.
const MAX_SIGNERS: usize = 8;

/// Checks everything that serde does not.
pub(super) fn check(draft: &TrustDraft) -> Result<(), TrustError> {
    check_limits(draft)?;
    check_order(draft)?;
    check_ranges(draft)?;
    draft.keys.iter().try_for_each(|key| check_key(draft, key))?;
    check_revocations(draft)
}

fn check_limits(draft: &TrustDraft) -> Result<(), TrustError> {
    let revoked = &draft.revoked;
    let n_models = draft.keys.iter().map(|key| key.models.len()).max().unwrap_or(0);
    for (what, n, limit) in [
        ("keys", draft.keys.len(), MAX_KEYS),
        ("root keys", draft.roots.keyids.len(), MAX_ROOTS),
        ("models of one key", n_models, MAX_MODELS),
        ("models with a floor", draft.min_security_version.len(), MAX_FLOORS),
        ("revocations", revoked.keys.len() + revoked.manifests.len(), MAX_REVOCATIONS),
        ("still valid digests", revoked.keys.iter().map(|key| key.still_valid.len()).sum(), MAX_STILL_VALID),
    ] {
        if n > limit {
            return Err(TrustError::Limit { what, limit });
        }
    }
    Ok(())
}

fn check_order(draft: &TrustDraft) -> Result<(), TrustError> {
    let revoked = &draft.revoked;
    for (field, sorted) in [
        ("keys", draft.keys.is_sorted_by(|a, b| a.key.key_id() < b.key.key_id())),
        ("roots.keyids", draft.roots.keyids.is_sorted_by(|a, b| a < b)),
        ("policy", draft.policy.values().all(|roles| roles.is_sorted_by(|a, b| a.role < b.role))),
        ("revoked.keys", revoked.keys.is_sorted_by(|a, b| a.keyid < b.keyid)),
        ("revoked.manifests", revoked.manifests.is_sorted_by(|a, b| a < b)),
        ("still_valid", revoked.keys.iter().all(|key| key.still_valid.is_sorted_by(|a, b| a < b))),
    ] {
        if !sorted {
            return Err(TrustError::Order { field });
        }
    }
    Ok(())
}

fn check_ranges(draft: &TrustDraft) -> Result<(), TrustError> {
    let satisfiable = draft.policy.values().all(|roles| {
        let counts = roles.iter().map(|role| role.count);
        let total = counts.clone().fold(0, usize::saturating_add);
        (1..=MAX_SIGNERS).contains(&total)
            && counts.min() > Some(0)
            && roles.iter().all(|count| count.role != TrustRole::Root)
    });
    for (field, fits) in [
        ("version", draft.version > 0),
        ("expires", draft.created < draft.expires),
        ("roots.threshold", (1..=draft.roots.keyids.len()).contains(&draft.roots.threshold)),
        ("policy", satisfiable),
    ] {
        if !fits {
            return Err(TrustError::Range { field });
        }
    }
    let listed = |id| draft.keys.binary_search_by_key(id, |key| key.key.key_id()).is_ok();
    match draft.roots.keyids.iter().find(|id| !listed(id)) {
        Some(&key_id) => Err(TrustError::RootMismatch { key_id }),
        None => Ok(()),
    }
}

/// A root signs documents only; every other key has a role and a scope.
fn check_key(draft: &TrustDraft, key: &TrustKey) -> Result<(), TrustError> {
    let key_id = key.key.key_id();
    let is_root = key.roles.contains(&TrustRole::Root);
    if is_root != draft.roots.keyids.binary_search(&key_id).is_ok() {
        return Err(TrustError::RootMismatch { key_id });
    }
    if is_root {
        let alone = key.roles.len() == 1 && key.models.is_empty() && key.channels.is_empty();
        return if alone { Ok(()) } else { Err(TrustError::RootScope { key_id }) };
    }
    for (field, empty) in [
        ("keys.roles", key.roles.is_empty()),
        ("keys.models", key.models.is_empty()),
        ("keys.channels", key.channels.is_empty()),
    ] {
        if empty {
            return Err(TrustError::Range { field });
        }
    }
    if key.roles.contains(&TrustRole::Dev) && draft.policy.contains_key(&Channel::Clinical) {
        return Err(TrustError::DevelopmentKey { key_id });
    }
    Ok(())
}

fn check_revocations(draft: &TrustDraft) -> Result<(), TrustError> {
    for revoked in &draft.revoked.keys {
        let key_id = revoked.keyid;
        if draft.roots.keyids.binary_search(&key_id).is_ok() {
            return Err(TrustError::RootRevoked { key_id });
        }
        let listed = draft.keys.binary_search_by_key(&key_id, |key| key.key.key_id()).is_ok();
        if !listed && !revoked.still_valid.is_empty() {
            return Err(TrustError::RevokedUnlisted { key_id });
        }
    }
    Ok(())
}
