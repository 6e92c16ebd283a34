//! Which bundle to open and whom to trust: the options that every command on a bundle shares.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use bundle_format::{Limits, PublicKey, TrustedKeys, UnverifiedBundle, VerifiedBundle};
use fs_err as fs;

/// Longest public key file, in bytes; a P-256 key has 178.
const MAX_KEY_BYTES: u64 = 16 << 10;

/// The bundle and the key that must have signed it.
#[derive(Debug, clap::Args)]
pub(crate) struct TrustArgs {
    /// The bundle (`.unb`)
    #[arg(short, long, value_name = "FILE")]
    pub(crate) bundle: PathBuf,
    #[command(flatten)]
    pub(crate) keys: KeyArgs,
}

/// The key that must have signed a bundle.
#[derive(Debug, clap::Args)]
pub(crate) struct KeyArgs {
    /// Public key (PEM) whose owner is trusted; a bundle signed by anyone else is refused
    #[arg(long, value_name = "PEM")]
    pub(crate) public_key: PathBuf,
}

impl TrustArgs {
    /// Opens and verifies the bundle.
    ///
    /// # Errors
    ///
    /// If the key cannot be read, or the first rule that the bundle breaks.
    pub(crate) fn verified(&self) -> anyhow::Result<VerifiedBundle> {
        let keys = self.keys.trusted()?;
        let verify = || UnverifiedBundle::open(&self.bundle, &Limits::default())?.verify(&keys);
        verify().with_context(|| format!("refused the bundle `{}`", self.bundle.display()))
    }
}

impl KeyArgs {
    /// Reads the trusted key.
    ///
    /// # Errors
    ///
    /// If the file cannot be read or holds no P-256 public key.
    pub(crate) fn trusted(&self) -> anyhow::Result<TrustedKeys> {
        let pem = read_key_file(&self.public_key)?;
        let key = PublicKey::from_pem(&pem);
        let key = key.with_context(|| format!("cannot use the public key `{}`", self.public_key.display()))?;
        Ok(TrustedKeys::single(key))
    }
}

/// Reads a PEM file, public or private.
///
/// # Errors
///
/// If the file cannot be read, is no text, or is far too long for a key.
pub(crate) fn read_key_file(path: &Path) -> anyhow::Result<String> {
    let n_bytes = fs::metadata(path).context("cannot read the key")?.len();
    if n_bytes > MAX_KEY_BYTES {
        anyhow::bail!("`{}` has {n_bytes} bytes, a key has at most {MAX_KEY_BYTES}", path.display());
    }
    fs::read_to_string(path).context("cannot read the key")
}
