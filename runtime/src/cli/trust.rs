//! Which bundle to open and whom to trust: the options that every command on a bundle shares.
//!
//! Whom to trust is one public key, or a folder with a signed trust document; every command that opens a bundle takes
//! exactly one of the two.

use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use bundle_format::{
    BundleError, Expiry, Limits, PublicKey, Timestamp, TrustClock, TrustFolder, TrustedKeys, UnverifiedBundle,
    VerifiedBundle,
};
use fs_err as fs;

/// Longest public key file, in bytes; a P-256 key has 178.
const MAX_KEY_BYTES: u64 = 16 << 10;

/// The last second that a trust document can name; a clock beyond it stands still there.
const END_OF_TIME_S: u64 = 253_402_300_799;

/// The bundle and who must have signed it.
#[derive(Debug, clap::Args)]
pub(crate) struct TrustArgs {
    /// The bundle (`.unb`)
    #[arg(short, long, value_name = "FILE")]
    pub(crate) bundle: PathBuf,
    #[command(flatten)]
    pub(crate) keys: KeyArgs,
}

/// Who must have signed a bundle.
#[derive(Debug, clap::Args)]
pub(crate) struct KeyArgs {
    /// Public key (PEM) whose owner is trusted; a bundle signed by anyone else is refused
    #[arg(long, value_name = "PEM", required_unless_present = "trust", conflicts_with = "trust")]
    pub(crate) public_key: Option<PathBuf>,
    /// Trust folder: its signed document says who may sign what, and what is revoked
    #[arg(long, value_name = "DIR")]
    pub(crate) trust: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) clock: ClockArgs,
}

/// What happens when a trust document has expired.
#[derive(Debug, clap::Args)]
pub(crate) struct ClockArgs {
    /// When the trust document has expired: go on with a warning, or refuse every bundle
    #[arg(long, value_enum, default_value = "warn", value_name = "WHAT")]
    pub(crate) expiry: ExpiryArg,
}

/// What happens when a trust document has expired.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum ExpiryArg {
    /// Go on, with a warning
    Warn,
    /// Refuse every bundle
    Enforce,
}

impl TrustArgs {
    /// Opens and verifies the bundle.
    ///
    /// # Errors
    ///
    /// If the trust cannot be read, or the first rule that the bundle breaks.
    pub(crate) fn verified(&self) -> anyhow::Result<VerifiedBundle> {
        let keys = self.keys.trusted()?;
        let verify = || UnverifiedBundle::open(&self.bundle, &Limits::default())?.verify(&keys);
        verify().with_context(|| format!("refused the bundle `{}`", self.bundle.display()))
    }
}

impl KeyArgs {
    /// Reads the trusted key or the trust document.
    ///
    /// # Errors
    ///
    /// If the file holds no P-256 public key; if the trust folder or its document is refused, or has expired where
    /// that is enforced.
    pub(crate) fn trusted(&self) -> anyhow::Result<TrustedKeys> {
        match (&self.public_key, &self.trust) {
            (Some(path), None) => Ok(TrustedKeys::single(read_public_key(path)?)),
            (None, Some(folder)) => {
                let clock = self.clock.clock()?;
                let read = || -> Result<_, BundleError> {
                    Ok(TrustedKeys::of_document(&TrustFolder::open(folder)?.read()?, &clock)?)
                };
                read().with_context(|| format!("refused the trust `{}`", folder.display()))
            }
            _ => anyhow::bail!("one of `--public-key` and `--trust` says whom to trust"),
        }
    }
}

impl ClockArgs {
    /// The system's time, with what it means.
    ///
    /// # Errors
    ///
    /// None: a clock before 1970 stands at 1970, one after the year 9999 at its end.
    pub(crate) fn clock(&self) -> anyhow::Result<TrustClock> {
        let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let expiry = match self.expiry {
            ExpiryArg::Warn => Expiry::Warn,
            ExpiryArg::Enforce => Expiry::Enforce,
        };
        Ok(TrustClock { now: Timestamp::from_unix(seconds.min(END_OF_TIME_S))?, expiry })
    }
}

/// Reads a public key.
///
/// # Errors
///
/// If the file cannot be read or holds no P-256 public key.
pub(crate) fn read_public_key(path: &Path) -> anyhow::Result<PublicKey> {
    let pem = read_key_file(path)?;
    PublicKey::from_pem(&pem).with_context(|| format!("cannot use the public key `{}`", path.display()))
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
