//! A chain of trust documents, and what it means to one that is installed.
//!
//! A device that was away for a year gets every version that it missed in one
//! file, and each must be signed by the roots of the one before. A file may
//! begin before the installed version: what lies behind is skipped, and the
//! link of the installed version must be the installed document.

use super::envelope::MAX_ENVELOPE_BYTES;
use super::{SignedTrust, TrustEnvelope, TrustError};

/// Links of one file.
const MAX_LINKS: usize = 64;
/// One trust file, in bytes.
pub(super) const MAX_FILE_BYTES: usize = MAX_LINKS * (MAX_ENVELOPE_BYTES + 1);

/// What a chain does to the installed document.
#[derive(Clone, Debug)]
pub enum TrustUpdate {
    /// Nothing: the chain ends with the document that is installed.
    Current,
    /// The chain ends with this document, which takes the place of the other.
    New(Box<SignedTrust>),
}

/// Reads a trust file that holds one document.
///
/// # Errors
///
/// [`TrustError`] names the first rule that is broken.
pub fn parse_trust(text: &[u8]) -> Result<TrustEnvelope, TrustError> {
    match lines(text)?.as_slice() {
        [line] => TrustEnvelope::parse(line),
        _ => Err(TrustError::Limit { what: "documents in one file", limit: 1 }),
    }
}

/// Follows the chain in a trust file from the installed document.
///
/// # Errors
///
/// [`TrustError::Link`] if a version is missing, [`TrustError::Rollback`] if
/// the chain ends before the installed version, [`TrustError::Fork`] if it
/// holds another document of that version; else why a link was refused.
pub fn follow_chain(installed: &SignedTrust, text: &[u8]) -> Result<TrustUpdate, TrustError> {
    let mut newest = installed.clone();
    let mut previous = None;
    for line in lines(text)? {
        let link = TrustEnvelope::parse(line)?.verify()?;
        let version = link.document().version;
        if let Some(expected) = previous.map(|previous: u32| previous.saturating_add(1))
            && version != expected
        {
            return Err(TrustError::Link { expected, actual: version });
        }
        previous = Some(version);
        let ours = newest.document().version;
        if version > ours {
            newest = newest.succeeded_by(link)?;
        } else if version == ours && link.digest() != newest.digest() {
            return Err(TrustError::Fork { version, offered: link.digest(), installed: newest.digest() });
        }
    }
    let (offered, ours) = (previous.unwrap_or(0), installed.document().version);
    match offered {
        _ if offered < ours => Err(TrustError::Rollback { offered, installed: ours }),
        _ if offered == ours => Ok(TrustUpdate::Current),
        _ => Ok(TrustUpdate::New(Box::new(newest))),
    }
}

/// The lines of a trust file; every one has an end.
fn lines(text: &[u8]) -> Result<Vec<&[u8]>, TrustError> {
    if text.len() > MAX_FILE_BYTES {
        return Err(TrustError::Limit { what: "bytes in a trust file", limit: MAX_FILE_BYTES });
    }
    let text = text.strip_suffix(b"\n").ok_or(TrustError::Unterminated)?;
    let lines: Vec<_> = text.split(|&byte| byte == b'\n').take(MAX_LINKS + 1).collect();
    if lines.len() > MAX_LINKS {
        return Err(TrustError::Limit { what: "links in a chain", limit: MAX_LINKS });
    }
    Ok(lines)
}
