//! Makes what the crate refuses to make: archives, manifests and signatures
//! that lie, with valid CRCs and valid signatures where the lie needs them.
//!
//! Everything here follows the specification on its own, not the crate's
//! writer, so that the two can be compared.

use std::io::{Cursor, Read};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bundle_format::Digest;
use p256::ecdsa::Signature;
use p256::ecdsa::signature::Signer;

use crate::support::key;

/// An attack on a signed bundle, and the code that must come back.
#[derive(Clone, Debug)]
pub(crate) struct Attack {
    pub(crate) name: String,
    pub(crate) code: &'static str,
    pub(crate) bytes: Vec<u8>,
}

/// One entry of an archive under construction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) name: String,
    pub(crate) content: Vec<u8>,
}

pub(crate) fn entry(name: &str, content: impl Into<Vec<u8>>) -> Entry {
    Entry { name: name.to_owned(), content: content.into() }
}

/// The entries of a canonical archive, taken apart by the crate `zip`.
pub(crate) fn entries(archive: &[u8]) -> Vec<Entry> {
    let mut archive = zip::ZipArchive::new(Cursor::new(archive)).unwrap();
    let n_entries = archive.len();
    let read = |index| {
        let mut file = archive.by_index(index).unwrap();
        let mut content = Vec::new();
        file.read_to_end(&mut content).unwrap();
        Entry { name: file.name().unwrap().into_owned(), content }
    };
    (0..n_entries).map(read).collect()
}

/// The canonical archive of `entries`, in the order given.
pub(crate) fn encode(entries: &[Entry]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut directory = Vec::new();
    for Entry { name, content } in entries {
        let offset = out.len();
        let pad = (64 - (offset + 30 + name.len() + 6) % 64) % 64;
        let crc = crc32fast::hash(content).to_le_bytes();
        let size = u32::try_from(content.len()).unwrap().to_le_bytes();
        let u16 = |n: usize| u16::try_from(n).unwrap().to_le_bytes();
        out.extend(b"PK\x03\x04\x0a\0\0\0\0\0\0\0\x21\0");
        out.extend([crc, size, size].concat());
        out.extend([u16(name.len()), u16(6 + pad)].concat());
        out.extend(name.bytes());
        out.extend([u16(0xD935), u16(2 + pad), u16(64)].concat());
        out.extend(vec![0; pad]);
        out.extend(content);

        directory.extend(b"PK\x01\x02\x0a\x03\x0a\0\0\0\0\0\0\0\x21\0");
        directory.extend([crc, size, size].concat());
        directory.extend(u16(name.len()));
        directory.extend([0; 8]);
        directory.extend((0o100_644_u32 << 16).to_le_bytes());
        directory.extend(u32::try_from(offset).unwrap().to_le_bytes());
        directory.extend(name.bytes());
    }
    let n = u16::try_from(entries.len()).unwrap().to_le_bytes();
    let start = u32::try_from(out.len()).unwrap().to_le_bytes();
    let size = u32::try_from(directory.len()).unwrap().to_le_bytes();
    out.extend(directory);
    out.extend(b"PK\x05\x06\0\0\0\0");
    out.extend([n, n].concat());
    out.extend([size, start].concat());
    out.extend([0, 0]);
    out
}

/// The statement over `resources`, in the order given.
pub(crate) fn statement(resources: &[(String, Digest)]) -> String {
    let listed = resources
        .iter()
        .map(|(name, digest)| format!(r#"{{"algorithm":"sha256","digest":"{digest}","name":"{name}"}}"#));
    let digests: Vec<u8> = resources.iter().flat_map(|(_, digest)| *digest.as_bytes()).collect();
    format!(
        concat!(
            r#"{{"_type":"https://in-toto.io/Statement/v1","predicate":{{"resources":[{}],"#,
            r#""serialization":{{"allow_symlinks":false,"hash_type":"sha256","#,
            r#""ignore_paths":["signatures"],"method":"files"}}}},"#,
            r#""predicateType":"https://model_signing/signature/v1.0","#,
            r#""subject":[{{"digest":{{"sha256":"{}"}},"name":"hearts"}}]}}"#,
        ),
        listed.collect::<Vec<_>>().join(","),
        Digest::of(&digests),
    )
}

/// The digests of everything but the signatures, sorted by name.
pub(crate) fn resources(entries: &[Entry]) -> Vec<(String, Digest)> {
    let covered = entries.iter().filter(|entry| !entry.name.starts_with("signatures/"));
    let mut resources: Vec<_> = covered.map(|entry| (entry.name.clone(), Digest::of(&entry.content))).collect();
    resources.sort();
    resources
}

/// A signature file whose every field can be changed.
#[derive(Clone, Debug)]
pub(crate) struct Envelope {
    pub(crate) payload: String,
    pub(crate) key_id: String,
    pub(crate) hint: String,
    pub(crate) signature: String,
    pub(crate) media_type: &'static str,
    pub(crate) payload_type: &'static str,
}

impl Envelope {
    /// The valid signature of key 1 over `statement`.
    pub(crate) fn over(statement: &str) -> Self {
        let public = key(1).public_key();
        Self {
            payload: STANDARD.encode(statement),
            key_id: public.key_id().to_string(),
            hint: Digest::of(public.to_pem().as_bytes()).to_string(),
            signature: STANDARD.encode(low_s(statement, 1).to_der().as_bytes()),
            media_type: "application/vnd.dev.sigstore.bundle.v0.3+json",
            payload_type: "application/vnd.in-toto+json",
        }
    }

    /// The same with another signature value.
    pub(crate) fn with_der(mut self, der: &[u8]) -> Self {
        self.signature = STANDARD.encode(der);
        self
    }

    pub(crate) fn to_json(&self) -> String {
        let Self { payload, key_id, hint, signature, media_type, payload_type } = self;
        format!(
            concat!(
                r#"{{"dsseEnvelope":{{"payload":"{}","payloadType":"{}","#,
                r#""signatures":[{{"keyid":"{}","sig":"{}"}}]}},"mediaType":"{}","#,
                r#""verificationMaterial":{{"publicKey":{{"hint":"{}"}}}}}}"#,
            ),
            payload, payload_type, key_id, signature, media_type, hint,
        )
    }

    /// The entry that holds this signature.
    pub(crate) fn entry(&self) -> Entry {
        entry(&format!("signatures/{}.sig", &self.key_id[..16]), self.to_json())
    }
}

/// The signature over `statement` with the lower s.
pub(crate) fn low_s(statement: &str, key: u8) -> Signature {
    let head = format!("DSSEv1 28 application/vnd.in-toto+json {} ", statement.len());
    let key = p256::ecdsa::SigningKey::from_slice(&[key; 32]).unwrap();
    let signature: Signature = key.sign(format!("{head}{statement}").as_bytes());
    signature.normalize_s()
}

/// `entries` with the one signature of key 1 that covers them all.
pub(crate) fn signed(entries: &[Entry]) -> Vec<Entry> {
    let envelope = Envelope::over(&statement(&resources(entries)));
    let unsigned = entries.iter().filter(|entry| !entry.name.starts_with("signatures/"));
    [envelope.entry()].into_iter().chain(unsigned.cloned()).collect()
}
