//! The manifest: what a bundle is, what it needs and which files it holds.
//!
//! `manifest.json` is canonical JSON with a closed schema: an unknown field,
//! a second spelling or a dangling path is an error. Its SHA-256 is the
//! bundle's identity, whatever signatures are added later.

mod draft;
mod requirements;
mod value;
mod vocabulary;

use std::collections::BTreeMap;
use std::ops::Deref;

use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use draft::{Documents, ManifestDraft, Member, OnnxProfile, Provenance, SelfTest};
pub use requirements::{Host, RequirementError, Requirements};
pub(crate) use value::text_type;
pub use value::{BundleId, MemberId, SemanticVersion, Text, Timestamp, Token, ValueError};
pub(crate) use vocabulary::words;
pub use vocabulary::{Arch, Channel, ExecutionProvider, Role};

use crate::digest::Digest;
use crate::entry_path::EntryPath;
use crate::json::{self, JsonError, StringLimit};
use crate::rule::Rule;

/// The name of the manifest's own entry.
pub(crate) const MANIFEST_PATH: &str = "manifest.json";
/// The folder of the signatures.
pub(crate) const SIGNATURES_FOLDER: &str = "signatures";
/// The only format that this crate reads and writes.
const FORMAT: u64 = 1;
/// Entries less manifest and signatures.
const MAX_FILES: usize = 1015;

/// A manifest that keeps its schema: a [`ManifestDraft`] plus its files.
///
/// Dereferences to the draft, so that `manifest.id` or `manifest.members` read
/// as the fields they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    draft: ManifestDraft,
    files: Vec<FileEntry>,
}

/// One file of a bundle.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct FileEntry {
    /// Where it lies.
    pub path: EntryPath,
    /// What it is for.
    pub role: Role,
    /// SHA-256 of its content.
    pub sha256: Digest,
    /// Its size in bytes.
    pub size: u64,
}

/// Why a manifest was refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ManifestError {
    /// The text is not canonical JSON.
    #[error("the manifest is not canonical JSON")]
    Json {
        /// Where it departs.
        #[from]
        source: JsonError,
    },

    /// The manifest is of another format, or of none.
    #[error("the manifest is not of format {FORMAT}")]
    Format,

    /// A field is missing, unknown, or has a value outside its range.
    #[error("the manifest does not keep its schema")]
    Schema {
        /// Which field and why.
        source: serde_json::Error,
    },

    /// A value has another spelling than the one that a writer gives it.
    #[error("a value of the manifest is not spelled as it would be written")]
    Spelling,

    /// A field has a value outside its range.
    #[error("`{field}` of the manifest is out of range")]
    Range {
        /// The field.
        field: &'static str,
    },

    /// A list is not sorted or names something twice.
    #[error("`{field}` of the manifest is not sorted and unique")]
    Order {
        /// The list.
        field: &'static str,
    },

    /// A path names no file of the bundle.
    #[error("`{field}` names `{path}`, which is not a file of the bundle")]
    Dangling {
        /// The field that holds the path.
        field: &'static str,
        /// The path.
        path: EntryPath,
    },

    /// A path names a file of another role.
    #[error("`{field}` names `{path}`, whose role is `{actual}` instead of `{expected}`")]
    RoleMismatch {
        /// The field that holds the path.
        field: &'static str,
        /// The path.
        path: EntryPath,
        /// The role that the field asks for.
        expected: Role,
        /// The role of the file.
        actual: Role,
    },

    /// External tensors do not lie beside their model.
    #[error("`{path}` does not lie in the folder of its model")]
    ExternalElsewhere {
        /// The external file.
        path: EntryPath,
    },

    /// `files` names the manifest or a signature.
    #[error("`files` names `{path}`, which is reserved")]
    Reserved {
        /// The reserved name.
        path: EntryPath,
    },
}

impl ManifestError {
    /// The rule that was broken.
    pub fn rule(&self) -> Rule {
        match self {
            Self::Json { .. } => Rule::ManifestJson,
            Self::Format => Rule::ManifestFormat,
            Self::Schema { .. } | Self::Spelling | Self::Range { .. } => Rule::ManifestSchema,
            Self::Order { .. } => Rule::ManifestOrder,
            Self::Dangling { .. } | Self::RoleMismatch { .. } | Self::ExternalElsewhere { .. } => {
                Rule::ManifestReference
            }
            Self::Reserved { .. } => Rule::ManifestReserved,
        }
    }
}

impl Manifest {
    /// Puts a manifest together: sorts its lists and checks it as a reader would.
    ///
    /// # Errors
    ///
    /// [`ManifestError`] if the result would not keep the schema.
    pub fn new(draft: ManifestDraft, mut files: Vec<FileEntry>) -> Result<Self, ManifestError> {
        files.sort_by(|a, b| a.path.cmp(&b.path));
        let manifest = Self { draft: draft.sorted(), files };
        manifest.check()?;
        Ok(manifest)
    }

    /// Reads the content of `manifest.json`.
    ///
    /// # Errors
    ///
    /// [`ManifestError`] names the first rule that is broken.
    pub fn parse(text: &[u8]) -> Result<Self, ManifestError> {
        let value = json::parse_canonical(text, StringLimit::Usual)?;
        let schema = |source| ManifestError::Schema { source };
        let Value::Object(mut fields) = value else {
            return Err(ManifestError::Format);
        };
        // Another format may have other fields, so its number is read first.
        if fields.remove("format") != Some(FORMAT.into()) {
            return Err(ManifestError::Format);
        }
        let files = fields.remove("files").unwrap_or(Value::Null);
        let files = serde_json::from_value(files).map_err(schema)?;
        let draft = serde_json::from_value(Value::Object(fields)).map_err(schema)?;
        let manifest = Self { draft, files };
        manifest.check()?;
        // Values such as version requirements have several spellings; the manifest has the one that is written.
        if manifest.to_json() != text {
            return Err(ManifestError::Spelling);
        }
        Ok(manifest)
    }

    /// The content of `manifest.json`, in canonical form.
    pub fn to_json(&self) -> Vec<u8> {
        let mut value = plain(&self.draft);
        value["format"] = FORMAT.into();
        value["files"] = plain(&self.files);
        json::to_canonical(&value)
    }

    /// Every entry but the manifest and the signatures, sorted by path.
    pub fn files(&self) -> &[FileEntry] {
        &self.files
    }

    /// The file at `path`.
    pub fn file(&self, path: &EntryPath) -> Option<&FileEntry> {
        let index = self.files.binary_search_by(|file| file.path.cmp(path));
        index.ok().map(|index| &self.files[index])
    }

    /// The member called `id`.
    pub fn member(&self, id: &MemberId) -> Option<&Member> {
        self.draft.members.iter().find(|member| member.id == *id)
    }

    fn check(&self) -> Result<(), ManifestError> {
        if !(1..=MAX_FILES).contains(&self.files.len()) {
            return Err(ManifestError::Range { field: "files" });
        }
        if !self.files.is_sorted_by(|a, b| a.path < b.path) {
            return Err(ManifestError::Order { field: "files" });
        }
        for FileEntry { path, .. } in &self.files {
            let reserved = [MANIFEST_PATH, SIGNATURES_FOLDER].contains(&path.as_str());
            if reserved || path.is_inside(SIGNATURES_FOLDER) {
                return Err(ManifestError::Reserved { path: path.clone() });
            }
        }
        self.draft.check()?;
        self.check_references()
    }

    /// Every path names a file of the role that its field asks for.
    fn check_references(&self) -> Result<(), ManifestError> {
        let roles: BTreeMap<_, _> = (self.files.iter().map(|f| (&f.path, f.role))).collect();
        for (field, path, expected) in self.draft.references() {
            let path = path.clone();
            match roles.get(&path) {
                Some(&actual) if actual == expected => {}
                Some(&actual) => {
                    return Err(ManifestError::RoleMismatch { field, path, expected, actual });
                }
                None => return Err(ManifestError::Dangling { field, path }),
            }
        }
        for member in &self.draft.members {
            for path in &member.external {
                if path.folder() != member.model.folder() {
                    return Err(ManifestError::ExternalElsewhere { path: path.clone() });
                }
            }
        }
        Ok(())
    }
}

impl Deref for Manifest {
    type Target = ManifestDraft;

    fn deref(&self) -> &ManifestDraft {
        &self.draft
    }
}

fn plain(part: &impl Serialize) -> Value {
    serde_json::to_value(part).expect("the manifest's types have text keys and finite values only")
}
