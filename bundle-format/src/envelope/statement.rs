//! The in-toto statement: which files the signature covers.

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::{StatementError, constant};
use crate::digest::Digest;
use crate::entry_path::EntryPath;
use crate::json::{self, StringLimit};
use crate::manifest::{MANIFEST_PATH, Manifest};

/// A file that a statement covers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Resource {
    pub(crate) path: EntryPath,
    pub(crate) sha256: Digest,
}

/// What a signature says: these files, with these digests, sorted by path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Statement {
    subject: String,
    resources: Vec<Resource>,
}

impl Statement {
    /// The statement over a manifest and its files; `subject` is for people.
    pub(crate) fn of_manifest(manifest: &Manifest, manifest_sha256: Digest) -> Self {
        Self::new(manifest.id.name(), resources_of(manifest, manifest_sha256))
    }

    /// A statement over `resources`, in any order.
    pub(crate) fn new(subject: &str, mut resources: Vec<Resource>) -> Self {
        resources.sort_by(|a, b| a.path.cmp(&b.path));
        Self { subject: subject.to_owned(), resources }
    }

    /// Reads a signed payload (step 4).
    ///
    /// `ignore_paths` may hold anything: coverage is fixed by the format.
    pub(crate) fn parse(payload: &[u8]) -> Result<Self, StatementError> {
        let value =
            json::parse_strict(payload, StringLimit::Usual).map_err(|source| StatementError::Json { source })?;
        let wire: Wire = serde_json::from_value(value).map_err(|source| StatementError::Schema { source })?;
        if wire.predicate.serialization.allow_symlinks {
            return Err(StatementError::SymbolicLinks);
        }
        let [subject] = wire.subject;
        let resources: Vec<_> = (wire.predicate.resources.into_iter())
            .map(|resource| Resource { path: resource.name, sha256: resource.digest })
            .collect();
        if let Some(pair) = resources.windows(2).find(|pair| pair[0].path >= pair[1].path) {
            return Err(StatementError::Order { path: pair[1].path.clone() });
        }
        let (expected, actual) = (root_digest(&resources), subject.digest.sha256);
        if expected != actual {
            return Err(StatementError::Subject { expected, actual });
        }
        Ok(Self { subject: subject.name, resources })
    }

    /// The payload to be signed, in canonical form.
    pub(crate) fn to_json(&self) -> Vec<u8> {
        let resources = self.resources.iter().map(|resource| WireResource {
            algorithm: Sha256Name::Value,
            digest: resource.sha256,
            name: resource.path.clone(),
        });
        let sha256 = root_digest(&self.resources);
        let wire = Wire {
            statement_type: StatementType::Value,
            predicate: WirePredicate {
                resources: resources.collect(),
                serialization: WireSerialization {
                    allow_symlinks: false,
                    hash_type: Sha256Name::Value,
                    ignore_paths: vec!["signatures".to_owned()],
                    method: Method::Value,
                },
            },
            predicate_type: PredicateType::Value,
            subject: [WireSubject { digest: WireDigest { sha256 }, name: self.subject.clone() }],
        };
        let value = serde_json::to_value(wire).expect("a statement has text keys only");
        json::to_canonical(&value)
    }

    /// The signed digest of `manifest.json` must be `actual` (step 5).
    pub(crate) fn check_manifest_digest(&self, actual: Digest) -> Result<(), StatementError> {
        let listed = self.resources.iter().find(|r| r.path.as_str() == MANIFEST_PATH);
        let expected = listed.map(|resource| resource.sha256);
        if expected == Some(actual) { Ok(()) } else { Err(StatementError::Manifest { expected, actual }) }
    }

    /// The resources must be the manifest and all its files (step 7).
    pub(crate) fn check_coverage(&self, manifest: &Manifest, manifest_sha256: Digest) -> Result<(), StatementError> {
        if self.resources == Self::of_manifest(manifest, manifest_sha256).resources {
            Ok(())
        } else {
            Err(StatementError::ResourceSet)
        }
    }
}

fn resources_of(manifest: &Manifest, manifest_sha256: Digest) -> Vec<Resource> {
    let own = EntryPath::manifest();
    let files = manifest.files().iter();
    files
        .map(|file| Resource { path: file.path.clone(), sha256: file.sha256 })
        .chain([Resource { path: own, sha256: manifest_sha256 }])
        .collect()
}

/// The digest of all digests, in the order of the paths.
fn root_digest(resources: &[Resource]) -> Digest {
    let mut sha256 = Sha256::new();
    for resource in resources {
        sha256.update(resource.sha256.as_bytes());
    }
    Digest::finish(sha256)
}

constant!(StatementType, "https://in-toto.io/Statement/v1");
constant!(PredicateType, "https://model_signing/signature/v1.0");
constant!(Sha256Name, "sha256");
constant!(Method, "files");

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wire {
    #[serde(rename = "_type")]
    statement_type: StatementType,
    predicate: WirePredicate,
    #[serde(rename = "predicateType")]
    predicate_type: PredicateType,
    subject: [WireSubject; 1],
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WirePredicate {
    resources: Vec<WireResource>,
    serialization: WireSerialization,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WireResource {
    algorithm: Sha256Name,
    digest: Digest,
    name: EntryPath,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WireSerialization {
    allow_symlinks: bool,
    hash_type: Sha256Name,
    ignore_paths: Vec<String>,
    method: Method,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WireSubject {
    digest: WireDigest,
    name: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WireDigest {
    sha256: Digest,
}
