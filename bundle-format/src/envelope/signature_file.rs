//! One signature file: a Sigstore bundle v0.3 around a DSSE envelope.

use p256::ecdsa::Signature;
use serde::{Deserialize, Serialize};

use super::dsse::{self, SignatureDefect};
use super::statement::Statement;
use super::{SignatureError, constant, pre_authentication_encoding};
use crate::digest::Digest;
use crate::entry_path::EntryPath;
use crate::json::{self, StringLimit};
use crate::key::{KeyId, PublicKey, SigningKey};
use crate::trust::TrustedKeys;

/// A well-formed signature file. Whether its signature is valid is another
/// question: [`SignatureFile::verify`].
#[derive(Debug)]
pub(crate) struct SignatureFile {
    path: EntryPath,
    key_id: KeyId,
    hint: Digest,
    payload: Vec<u8>,
    signature: Signature,
}

impl SignatureFile {
    /// Signs `statement` with `key`.
    pub(crate) fn sign(statement: &Statement, key: &SigningKey) -> Self {
        let payload = statement.to_json();
        let public = key.public_key();
        let key_id = public.key_id();
        Self {
            path: key_id.signature_path(),
            key_id,
            hint: public.hint(),
            signature: key.sign(&pre_authentication_encoding(&payload)),
            payload,
        }
    }

    /// The file of a signature by `key` over `payload`, which the caller has checked.
    pub(super) fn of_key(key: &PublicKey, payload: Vec<u8>, signature: Signature) -> Self {
        let key_id = key.key_id();
        Self { path: key_id.signature_path(), key_id, hint: key.hint(), payload, signature }
    }

    /// Reads the content of the entry at `path` (step 3, all but the key).
    pub(crate) fn parse(path: &EntryPath, text: &[u8]) -> Result<Self, SignatureError> {
        let path = path.clone();
        let value = match json::parse_canonical(text, StringLimit::WholeText) {
            Ok(value) => value,
            Err(source) => return Err(SignatureError::Json { path, source }),
        };
        let wire: Wire = match serde_json::from_value(value) {
            Ok(wire) => wire,
            Err(source) => return Err(SignatureError::Schema { path, source }),
        };
        let [WireSignature { keyid, sig }] = wire.envelope.signatures;
        let payload = decode(&path, "payload", &wire.envelope.payload)?;
        let signature = read_signature(&path, &decode(&path, "sig", &sig)?)?;
        let key_id = KeyId(keyid);
        let expected = key_id.signature_path();
        if path != expected {
            return Err(SignatureError::FileName { path, key_id, expected });
        }
        let hint = wire.material.public_key.hint;
        Ok(Self { path, key_id, hint, payload, signature })
    }

    /// The content of the entry, in canonical form.
    pub(crate) fn to_json(&self) -> Vec<u8> {
        let sig = dsse::encode_base64(self.signature.to_der().as_bytes());
        let wire = Wire {
            envelope: WireEnvelope {
                payload: dsse::encode_base64(&self.payload),
                payload_type: PayloadType::Value,
                signatures: [WireSignature { keyid: self.key_id.0, sig }],
            },
            media_type: MediaType::Value,
            material: WireMaterial { public_key: WirePublicKey { hint: self.hint } },
        };
        let value = serde_json::to_value(wire).expect("a signature file has text keys only");
        json::to_canonical(&value)
    }

    pub(crate) fn path(&self) -> &EntryPath {
        &self.path
    }

    /// The key that the file names; unproven before [`SignatureFile::verify`].
    pub(crate) fn key_id(&self) -> KeyId {
        self.key_id
    }

    /// What was signed; read it after [`SignatureFile::verify`].
    pub(crate) fn payload(&self) -> &[u8] {
        &self.payload
    }

    /// The key must be trusted and the signature its own (step 3).
    pub(crate) fn verify(&self, keys: &TrustedKeys) -> Result<(), SignatureError> {
        let path = self.path.clone();
        let Some(key) = keys.find(&self.key_id) else {
            let (key_id, trusted) = (self.key_id, keys.source());
            return Err(SignatureError::UnknownKey { path, key_id, trusted });
        };
        let (expected, actual) = (key.hint(), self.hint);
        if expected != actual {
            return Err(SignatureError::Hint { path, expected, actual });
        }
        let message = pre_authentication_encoding(&self.payload);
        if key.accepts(&message, &self.signature) { Ok(()) } else { Err(SignatureError::Invalid { path }) }
    }
}

/// Standard alphabet, padding present, trailing bits zero.
pub(super) fn decode(path: &EntryPath, field: &'static str, text: &str) -> Result<Vec<u8>, SignatureError> {
    dsse::decode_base64(text).ok_or_else(|| SignatureError::Base64 { path: path.clone(), field })
}

/// DER that re-encodes to itself, `1 <= r < n`, `1 <= s < n`.
pub(super) fn encoding(der: &[u8]) -> Option<Signature> {
    Signature::from_der(der).ok().filter(|signature| signature.to_der().as_bytes() == der)
}

/// DER that re-encodes to itself, `1 <= r < n`, `1 <= s <= n/2`.
fn read_signature(path: &EntryPath, der: &[u8]) -> Result<Signature, SignatureError> {
    let path = path.clone();
    dsse::read_signature(der).map_err(|defect| match defect {
        SignatureDefect::Der => SignatureError::Der { path },
        SignatureDefect::HighS => SignatureError::HighS { path },
    })
}

constant!(MediaType, "application/vnd.dev.sigstore.bundle.v0.3+json");
constant!(PayloadType, "application/vnd.in-toto+json");

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wire {
    #[serde(rename = "dsseEnvelope")]
    envelope: WireEnvelope,
    #[serde(rename = "mediaType")]
    media_type: MediaType,
    #[serde(rename = "verificationMaterial")]
    material: WireMaterial,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct WireEnvelope {
    payload: String,
    payload_type: PayloadType,
    signatures: [WireSignature; 1],
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WireSignature {
    keyid: Digest,
    sig: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct WireMaterial {
    public_key: WirePublicKey,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WirePublicKey {
    hint: Digest,
}
