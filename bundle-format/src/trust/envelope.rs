//! A trust document with the signatures of its roots: one DSSE envelope.
//!
//! The form is DSSE's own JSON envelope with several signatures, as canonical
//! JSON; a trust file holds one envelope a line. A document proves itself by
//! the roots that it names, so it can start a trust only where an operator
//! puts it; from then on each one must be signed by the roots before it too.

use std::collections::{BTreeMap, BTreeSet};

use p256::ecdsa::Signature;
use serde::{Deserialize, Serialize};

use super::{TrustDocument, TrustError};
use crate::digest::Digest;
use crate::envelope::dsse::{self, SignatureDefect};
use crate::json::{self, StringLimit};
use crate::key::{KeyId, SigningKey};

/// Type of the payload, as DSSE signs it.
const PAYLOAD_TYPE: &str = "application/vnd.unnunet.trust.v1+json";
/// One envelope, in bytes.
pub(super) const MAX_ENVELOPE_BYTES: usize = 256 << 10;
/// The old roots and the new ones.
const MAX_SIGNATURES: usize = 16;

/// A well-formed envelope around a trust document. **Its signatures are not
/// checked**: [`TrustEnvelope::verify`].
#[derive(Clone, Debug)]
pub struct TrustEnvelope {
    document: TrustDocument,
    payload: Vec<u8>,
    signatures: BTreeMap<KeyId, Signature>,
}

/// A trust document that the threshold of its own roots signed.
#[derive(Clone, Debug)]
pub struct SignedTrust(TrustEnvelope);

impl TrustEnvelope {
    /// An envelope without signatures.
    pub fn new(document: TrustDocument) -> Self {
        Self { payload: document.to_json(), document, signatures: BTreeMap::new() }
    }

    /// Reads one line of a trust file, without the end of the line.
    ///
    /// # Errors
    ///
    /// [`TrustError`] names the first rule that is broken.
    pub fn parse(line: &[u8]) -> Result<Self, TrustError> {
        if line.len() > MAX_ENVELOPE_BYTES {
            return Err(TrustError::Limit { what: "bytes in an envelope", limit: MAX_ENVELOPE_BYTES });
        }
        let value =
            json::parse_canonical(line, StringLimit::WholeText).map_err(|source| TrustError::Json { source })?;
        let wire: Wire = serde_json::from_value(value).map_err(|source| TrustError::Envelope { source })?;
        let (what, limit) = ("signatures in an envelope", MAX_SIGNATURES);
        if wire.signatures.len() > limit {
            return Err(TrustError::Limit { what, limit });
        }
        if !wire.signatures.is_sorted_by(|a, b| a.keyid < b.keyid) {
            return Err(TrustError::Order { field: "signatures" });
        }
        let mut signatures = BTreeMap::new();
        for WireSignature { keyid: key_id, sig } in wire.signatures {
            let der = dsse::decode_base64(&sig).ok_or(TrustError::Base64 { field: "sig" })?;
            let signature = dsse::read_signature(&der).map_err(|defect| match defect {
                SignatureDefect::Der => TrustError::Der { key_id },
                SignatureDefect::HighS => TrustError::HighS { key_id },
            })?;
            signatures.insert(key_id, signature);
        }
        let payload = dsse::decode_base64(&wire.payload).ok_or(TrustError::Base64 { field: "payload" })?;
        Ok(Self { document: TrustDocument::parse(&payload)?, payload, signatures })
    }

    /// One line of a trust file, with its end.
    ///
    /// # Panics
    ///
    /// Never: the fields of an envelope are text.
    pub fn to_line(&self) -> Vec<u8> {
        let wire = Wire {
            payload: dsse::encode_base64(&self.payload),
            payload_type: PayloadType::Value,
            signatures: self.signatures.iter().map(WireSignature::new).collect(),
        };
        let mut line = json::to_canonical(&serde_json::to_value(wire).expect("an envelope has text keys only"));
        line.push(b'\n');
        line
    }

    /// Adds the signature of `key`; an earlier one of the same key is replaced.
    ///
    /// Whether the key is a root is asked when the envelope is verified: an
    /// update is signed by the roots of two documents.
    pub fn sign(&mut self, key: &SigningKey) {
        self.signatures.insert(key.public_key().key_id(), key.sign(&self.signed_bytes()));
    }

    /// What the envelope says, proven or not.
    pub fn document(&self) -> &TrustDocument {
        &self.document
    }

    /// Which document this is, whoever signed it: SHA-256 of the payload.
    pub fn digest(&self) -> Digest {
        Digest::of(&self.payload)
    }

    /// The keys that the signatures name, proven or not.
    pub fn claimed_signers(&self) -> impl Iterator<Item = KeyId> {
        self.signatures.keys().copied()
    }

    /// Checks that the threshold of the document's own roots signed.
    ///
    /// Signatures by other keys are looked at by nobody here: a document keeps
    /// those of the roots before it, whose keys it may no longer list.
    ///
    /// # Errors
    ///
    /// [`TrustError::Signature`], [`TrustError::Threshold`].
    pub fn verify(self) -> Result<SignedTrust, TrustError> {
        let n_signed = self.signed_by_roots_of(&self.document)?.len();
        let (version, threshold) = (self.document.version, self.document.roots.threshold);
        if n_signed < threshold {
            return Err(TrustError::Threshold { version, n_signed, threshold });
        }
        Ok(SignedTrust(self))
    }

    /// The distinct roots of `document` whose valid signatures the envelope carries.
    fn signed_by_roots_of(&self, document: &TrustDocument) -> Result<BTreeSet<KeyId>, TrustError> {
        let message = self.signed_bytes();
        let mut signed = BTreeSet::new();
        for (&key_id, signature) in &self.signatures {
            if !document.is_root(&key_id) {
                continue;
            }
            let accepted = document.key(&key_id).is_some_and(|root| root.key.accepts(&message, signature));
            if !accepted {
                return Err(TrustError::Signature { key_id });
            }
            signed.insert(key_id);
        }
        Ok(signed)
    }

    fn signed_bytes(&self) -> Vec<u8> {
        dsse::pre_authentication_encoding(PAYLOAD_TYPE, &self.payload)
    }
}

impl SignedTrust {
    /// What the roots signed.
    pub fn document(&self) -> &TrustDocument {
        &self.0.document
    }

    /// The document with its signatures.
    pub fn envelope(&self) -> &TrustEnvelope {
        &self.0
    }

    /// Which document this is, whoever signed it: SHA-256 of the payload.
    pub fn digest(&self) -> Digest {
        self.0.digest()
    }

    /// Accepts `next` in the place of this document: its version is one more,
    /// it is not dated earlier, the threshold of this one's roots signed it as
    /// well as that of its own, and nobody else did.
    ///
    /// # Errors
    ///
    /// [`TrustError::Link`], [`TrustError::Succession`],
    /// [`TrustError::ForeignSignature`], [`TrustError::Signature`].
    pub fn succeeded_by(&self, next: Self) -> Result<Self, TrustError> {
        let (ours, theirs) = (self.document(), next.document());
        let (expected, actual) = (ours.version.saturating_add(1), theirs.version);
        // At the last version there is no successor, whatever it says.
        if ours.version == u32::MAX || actual != expected || theirs.created < ours.created {
            return Err(TrustError::Link { expected, actual });
        }
        let foreign = next.0.claimed_signers().find(|id| !ours.is_root(id) && !theirs.is_root(id));
        if let Some(key_id) = foreign {
            return Err(TrustError::ForeignSignature { key_id });
        }
        let n_signed = next.0.signed_by_roots_of(ours)?.len();
        let threshold = ours.roots.threshold;
        if n_signed < threshold {
            return Err(TrustError::Succession { version: actual, n_signed, threshold });
        }
        Ok(next)
    }
}

crate::envelope::constant!(PayloadType, "application/vnd.unnunet.trust.v1+json");

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Wire {
    payload: String,
    payload_type: PayloadType,
    signatures: Vec<WireSignature>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WireSignature {
    keyid: KeyId,
    sig: String,
}

impl WireSignature {
    fn new((keyid, signature): (&KeyId, &Signature)) -> Self {
        Self { keyid: *keyid, sig: dsse::encode_base64(signature.to_der().as_bytes()) }
    }
}
