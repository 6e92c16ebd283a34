//! Limits on what a bundle may hold (BUNDLE format, "Limits").
//!
//! They bound memory and time before anything in the file is believed. The
//! ceilings are the format's; a caller can only ask for less.

/// Ceilings on sizes and counts.
///
/// `Limits::default()` gives the format's own ceilings; a larger value has no
/// effect, because [`Limits::clamped`] is applied when a bundle is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The whole archive, in bytes.
    pub archive_bytes: u64,
    /// All entries, the signatures and the manifest among them.
    pub n_entries: usize,
    /// Signature files.
    pub n_signatures: usize,
    /// `manifest.json`, in bytes.
    pub manifest_bytes: u64,
    /// One signature file, in bytes.
    pub signature_bytes: u64,
    /// The pipeline file, in bytes.
    pub pipeline_bytes: u64,
    /// One entry that is loaded into memory as a whole, in bytes.
    pub loaded_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            archive_bytes: 256 << 30,
            n_entries: 1024,
            n_signatures: 8,
            manifest_bytes: 1 << 20,
            signature_bytes: 256 << 10,
            pipeline_bytes: 1 << 20,
            // The longest message that protobuf, and so ONNX, can read.
            loaded_bytes: 2_147_483_647,
        }
    }
}

impl Limits {
    /// These limits, none above the ceiling of the format.
    #[must_use]
    pub fn clamped(self) -> Self {
        let ceiling = Self::default();
        Self {
            archive_bytes: self.archive_bytes.min(ceiling.archive_bytes),
            n_entries: self.n_entries.min(ceiling.n_entries),
            n_signatures: self.n_signatures.min(ceiling.n_signatures),
            manifest_bytes: self.manifest_bytes.min(ceiling.manifest_bytes),
            signature_bytes: self.signature_bytes.min(ceiling.signature_bytes),
            pipeline_bytes: self.pipeline_bytes.min(ceiling.pipeline_bytes),
            loaded_bytes: self.loaded_bytes.min(ceiling.loaded_bytes),
        }
    }
}
