//! What every change of a trust document shares: the next version, its signatures, and where it goes.

use std::path::PathBuf;

use anyhow::Context as _;
use bundle_format::{SigningKey, TrustDocument, TrustDraft, TrustEnvelope, TrustError, TrustFolder, write_trust_file};

use super::FolderArgs;
use super::root_keys::{DateArgs, RootKeyArgs};
use crate::cli::{Outcome, output};

/// Where the change is made, who signs it, and where it goes.
#[derive(Debug, clap::Args)]
pub(super) struct ChangeArgs {
    #[command(flatten)]
    folder: FolderArgs,
    #[command(flatten)]
    keys: RootKeyArgs,
    #[command(flatten)]
    dates: DateArgs,
    /// Write the next version here instead of putting it into force: for further root keys, and for devices
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
}

impl ChangeArgs {
    /// Writes the next version, edited by `edit`.
    ///
    /// # Errors
    ///
    /// If the folder or a key cannot be read, `edit` refuses, the result is no trust document, or, without `--output`,
    /// too few root keys signed. Nothing is changed then.
    pub(super) fn write(
        &self,
        edit: impl FnOnce(&mut TrustDraft) -> Result<(), TrustError>,
    ) -> anyhow::Result<Outcome> {
        let keys = self.keys.read()?;
        let refusal = || format!("cannot change the trust in `{}`", self.folder.trust.display());
        let mut trust = TrustFolder::open(&self.folder.trust).and_then(|folder| folder.lock()).with_context(refusal)?;
        let (now, expires) = self.dates.dates()?;
        let mut draft = trust.current().document().successor(now, expires);
        let next = edit(&mut draft).and_then(|()| TrustDocument::new(draft));
        // As an error of the bundle, which carries the code.
        let envelope = signed(next.map_err(as_bundle_error).with_context(refusal)?, &keys);
        if let Some(path) = &self.output {
            write_trust_file(path, &envelope).with_context(|| format!("cannot write `{}`", path.display()))?;
        } else {
            let next = envelope.clone().verify().map_err(as_bundle_error).with_context(refusal)?;
            trust.replace(next).with_context(refusal)?;
        }
        output::line(format_args!("version {} {}", envelope.document().version, envelope.digest()));
        Ok(Outcome::Done)
    }
}

/// The document with a signature of each key.
pub(super) fn signed(document: TrustDocument, keys: &[SigningKey]) -> TrustEnvelope {
    let mut envelope = TrustEnvelope::new(document);
    for key in keys {
        envelope.sign(key);
    }
    envelope
}

/// The error under the type that has code and exit status.
pub(super) fn as_bundle_error(error: TrustError) -> bundle_format::BundleError {
    error.into()
}
