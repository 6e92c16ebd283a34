//! What every DSSE envelope of this crate needs: what is signed, and the one spelling of base64 and DER.
//!
//! Follows the DSSE v1 protocol for the signed bytes. Stricter than it: base64 has padding and zero trailing bits, and a
//! signature is DER that re-encodes to itself with the lower s, so that nobody can alter a valid envelope.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use p256::ecdsa::Signature;

/// What is wrong with the spelling of a signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SignatureDefect {
    /// Not strict DER, or r or s is out of range.
    Der,
    /// The higher of the two values of s.
    HighS,
}

/// DSSE's pre-authentication encoding: what is really signed.
pub(crate) fn pre_authentication_encoding(payload_type: &str, payload: &[u8]) -> Vec<u8> {
    let head = format!("DSSEv1 {} {payload_type} {} ", payload_type.len(), payload.len());
    [head.as_bytes(), payload].concat()
}

/// Standard alphabet, padding present, trailing bits zero; `None` for every other spelling.
pub(crate) fn decode_base64(text: &str) -> Option<Vec<u8>> {
    STANDARD.decode(text).ok()
}

/// Base64 with padding.
pub(crate) fn encode_base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// DER that re-encodes to itself, `1 <= r < n`, `1 <= s <= n/2`.
pub(crate) fn read_signature(der: &[u8]) -> Result<Signature, SignatureDefect> {
    match Signature::from_der(der) {
        Ok(signature) if signature.to_der().as_bytes() != der => Err(SignatureDefect::Der),
        Ok(signature) if signature.normalize_s() != signature => Err(SignatureDefect::HighS),
        Ok(signature) => Ok(signature),
        Err(_) => Err(SignatureDefect::Der),
    }
}
