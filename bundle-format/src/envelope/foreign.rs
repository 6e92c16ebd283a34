//! A signature that another tool made: `model_signing` with a key file, or a station with a hardware token.
//!
//! Such a file says the same in another spelling: free JSON, an empty
//! `keyid`, an empty list of transparency-log entries, either value of s. It
//! is checked against the key that the caller names and put into the one
//! spelling of the format. What it does not say is not made up: hint, payload
//! and signature are the tool's own.

use serde::Deserialize;

use super::signature_file::{decode, encoding};
use super::{SignatureError, SignatureFile, pre_authentication_encoding};
use crate::digest::Digest;
use crate::json::{self, StringLimit};
use crate::key::PublicKey;

/// Reads `text` and checks that `key` made the signature in it.
///
/// # Errors
///
/// The first rule that the file breaks; the path in it is the one that the signature will have.
pub(crate) fn read(text: &[u8], key: &PublicKey) -> Result<SignatureFile, SignatureError> {
    let path = key.key_id().signature_path();
    let value = match json::parse_strict(text, StringLimit::WholeText) {
        Ok(value) => value,
        Err(source) => return Err(SignatureError::Json { path, source }),
    };
    let wire: Wire = match serde_json::from_value(value) {
        Ok(wire) => wire,
        Err(source) => return Err(SignatureError::Schema { path, source }),
    };
    let [WireSignature { keyid, sig }] = wire.envelope.signatures;
    let ours = key.key_id().to_string();
    if !["", &ours].contains(&keyid.as_str()) {
        return Err(SignatureError::OtherKey { path, key_id: key.key_id() });
    }
    let payload = decode(&path, "payload", &wire.envelope.payload)?;
    let der = decode(&path, "sig", &sig)?;
    let Some(signature) = encoding(&der) else { return Err(SignatureError::Der { path }) };
    let (expected, actual) = (key.hint(), wire.material.public_key.hint);
    if expected != actual {
        return Err(SignatureError::Hint { path, expected, actual });
    }
    let signature = signature.normalize_s();
    if !key.accepts(&pre_authentication_encoding(&payload), &signature) {
        return Err(SignatureError::Invalid { path });
    }
    Ok(SignatureFile::of_key(key, payload, signature))
}

super::constant!(MediaType, "application/vnd.dev.sigstore.bundle.v0.3+json");
super::constant!(PayloadType, "application/vnd.in-toto+json");

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wire {
    #[serde(rename = "dsseEnvelope")]
    envelope: WireEnvelope,
    #[serde(rename = "mediaType")]
    _media_type: MediaType,
    #[serde(rename = "verificationMaterial")]
    material: WireMaterial,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct WireEnvelope {
    payload: String,
    #[serde(rename = "payloadType")]
    _payload_type: PayloadType,
    signatures: [WireSignature; 1],
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WireSignature {
    #[serde(default)]
    keyid: String,
    sig: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct WireMaterial {
    public_key: WirePublicKey,
    /// Nobody checks a log offline, so there must be no entry.
    #[serde(default, rename = "tlogEntries")]
    _log_entries: [(); 0],
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WirePublicKey {
    hint: Digest,
}
