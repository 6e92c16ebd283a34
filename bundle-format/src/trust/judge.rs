//! What a trust says of a bundle whose signatures are valid (steps 3, 5 and 6).
//!
//! Revocation of keys and bundles, scope of each signer, distinct keys of each
//! role, security version. Every signer must be in scope, not only as many as
//! the policy asks for: a signature out of scope is a mistake or an attack.

use std::collections::BTreeSet;

use super::{PolicyError, TrustRole, TrustedKeys};
use crate::digest::Digest;
use crate::key::KeyId;
use crate::manifest::Manifest;

impl TrustedKeys {
    /// A revoked key counts for listed bundles only; without a list, for none (step 3).
    pub(crate) fn check_key(&self, key_id: KeyId) -> Result<(), PolicyError> {
        match self.revoked_keys.get(&key_id) {
            Some(still_valid) if still_valid.is_empty() => Err(PolicyError::KeyRevoked { key_id }),
            _ => Ok(()),
        }
    }

    /// The bundle is not revoked, and stays valid for each signer that is (step 5).
    pub(crate) fn check_manifest_digest(&self, signers: &[KeyId], manifest: Digest) -> Result<(), PolicyError> {
        if self.revoked_manifests.contains(&manifest) {
            return Err(PolicyError::ManifestRevoked { manifest });
        }
        for &key_id in signers {
            if self.revoked_keys.get(&key_id).is_some_and(|still_valid| !still_valid.contains(&manifest)) {
                return Err(PolicyError::KeyRevokedFor { key_id, manifest });
            }
        }
        Ok(())
    }

    /// Scope of each signer, keys of each role, security version (step 6).
    pub(crate) fn check_policy(&self, signers: &[KeyId], manifest: &Manifest) -> Result<(), PolicyError> {
        let (id, channel) = (&manifest.id, manifest.channel);
        for &key_id in signers {
            let key = self.keys.get(&key_id);
            if !key.is_some_and(|key| key.models.iter().any(|pattern| pattern.covers(id))) {
                return Err(PolicyError::SignerModel { key_id, id: id.clone() });
            }
            if !key.is_some_and(|key| key.channels.contains(&channel)) {
                return Err(PolicyError::SignerChannel { key_id, channel });
            }
        }
        let roles = self.policy.get(&channel).ok_or(PolicyError::NoPolicy { channel })?;
        // A set, so that a key counts once however often it is named.
        let signers: Vec<_> = signers.iter().copied().collect::<BTreeSet<_>>().into_iter().collect();
        let mut seats = Seats::new(&signers, |key_id, role| self.has_role(key_id, role));
        for count in roles {
            for _ in 0..count.count {
                if !seats.take(count.role) {
                    let n_signed = signers.iter().filter(|key_id| self.has_role(**key_id, count.role)).count();
                    let (role, needed) = (count.role, count.count);
                    return Err(PolicyError::RoleThreshold { channel, role, needed, n_signed });
                }
            }
        }
        let (floor, actual) = (self.floor(id), manifest.security_version);
        if actual < floor {
            return Err(PolicyError::SecurityFloor { id: id.clone(), floor, actual });
        }
        Ok(())
    }

    fn has_role(&self, key_id: KeyId, role: TrustRole) -> bool {
        self.keys.get(&key_id).is_some_and(|key| key.roles.contains(&role))
    }
}

/// Seats signers at roles, each at one: a maximum matching of at most eight
/// keys, grown by augmenting paths.
///
/// One key of two roles must not stand for two people, yet it must not fail a
/// policy either because the wrong one of its roles was counted first.
struct Seats<'a, R: Fn(KeyId, TrustRole) -> bool> {
    signers: &'a [KeyId],
    has_role: R,
    /// The role that each signer is counted for.
    taken: Vec<Option<TrustRole>>,
}

impl<'a, R: Fn(KeyId, TrustRole) -> bool> Seats<'a, R> {
    fn new(signers: &'a [KeyId], has_role: R) -> Self {
        Self { taken: vec![None; signers.len()], signers, has_role }
    }

    /// Counts one more signer for `role`; false if none is left.
    fn take(&mut self, role: TrustRole) -> bool {
        let mut visited = vec![false; self.signers.len()];
        self.seat(role, &mut visited)
    }

    fn seat(&mut self, role: TrustRole, visited: &mut [bool]) -> bool {
        for index in 0..self.signers.len() {
            if visited[index] || !(self.has_role)(self.signers[index], role) {
                continue;
            }
            visited[index] = true;
            let free = match self.taken[index] {
                None => true,
                Some(other) => self.seat(other, visited),
            };
            if free {
                self.taken[index] = Some(role);
                return true;
            }
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::{KeyId, Seats, TrustRole};
    use crate::digest::Digest;

    /// Seats signers with these roles at `wanted`; says for how many seats they were enough.
    fn check(signers: &[&[TrustRole]], wanted: &[TrustRole], expected: usize) {
        let ids: Vec<_> = (0..signers.len()).map(|index| KeyId(Digest::of(&[u8::try_from(index).unwrap()]))).collect();
        let position = |id: KeyId| ids.iter().position(|other| *other == id).unwrap();
        let mut seats = Seats::new(&ids, |id, role| signers[position(id)].contains(&role));
        assert_eq!(wanted.iter().take_while(|role| seats.take(**role)).count(), expected);
    }

    #[test]
    fn a_key_is_counted_once_and_where_it_is_needed() {
        use TrustRole::{Qa, Release, Site};
        check(&[&[Release]], &[Release], 1);
        check(&[&[Release, Qa]], &[Release, Qa], 1);
        check(&[&[Release, Qa], &[Release]], &[Release, Qa], 2);
        check(&[&[Release], &[Release, Qa]], &[Qa, Release], 2);
        check(&[&[Release, Qa], &[Qa, Site], &[Site, Release]], &[Qa, Release, Site], 3);
        check(&[&[Release, Qa], &[Release, Qa]], &[Release, Release, Qa], 2);
        check(&[&[Qa], &[Qa]], &[Release], 0);
        check(&[], &[Release], 0);
    }
}
