//! The private root keys that sign a trust document, and the dates that it gets.

use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, bail};
use bundle_format::{KeyError, SigningKey, Timestamp};

use crate::cli::bundle::passphrase::PassphraseArgs;
use crate::cli::output;
use crate::cli::trust::read_key_file;

/// Seconds of a day.
const DAY_S: u64 = 86_400;

/// The root keys at hand.
#[derive(Debug, clap::Args)]
pub(super) struct RootKeyArgs {
    /// Private root key (PKCS#8 PEM); once for every root that signs now
    #[arg(long = "root-key", value_name = "PEM", required = true)]
    paths: Vec<PathBuf>,
    #[command(flatten)]
    passphrase: PassphraseArgs,
}

impl RootKeyArgs {
    /// Reads the keys, and asks for the passphrase of each that has one other than the key before.
    ///
    /// # Errors
    ///
    /// If a file holds no P-256 private key, a passphrase is wrong or missing, or a key is named twice.
    pub(super) fn read(&self) -> anyhow::Result<Vec<SigningKey>> {
        let mut keys: Vec<SigningKey> = Vec::new();
        let mut passphrase = None;
        for path in &self.paths {
            let key = self
                .read_one(path, &mut passphrase)
                .with_context(|| format!("cannot use the root key `{}`", path.display()))?;
            let key_id = key.public_key().key_id();
            if keys.iter().any(|other| other.public_key().key_id() == key_id) {
                bail!("`{}` is the root key {key_id}, which is named before", path.display());
            }
            keys.push(key);
        }
        Ok(keys)
    }

    fn read_one(&self, path: &Path, passphrase: &mut Option<String>) -> anyhow::Result<SigningKey> {
        let pem = read_key_file(path)?;
        match SigningKey::from_pem(&pem, passphrase.as_deref()) {
            // The passphrase of the key before does not fit this one.
            Err(KeyError::PassphraseMissing | KeyError::PassphraseWrong) => {
                output::note(format_args!("root key {}", path.display()));
                *passphrase = self.passphrase.existing()?;
                Ok(SigningKey::from_pem(&pem, passphrase.as_deref())?)
            }
            read => Ok(read?),
        }
    }
}

/// When a document was made, and for how long it is fresh.
#[derive(Debug, clap::Args)]
pub(super) struct DateArgs {
    /// Days until a newer trust document should have come
    #[arg(long, value_name = "DAYS", default_value_t = 365, value_parser = clap::value_parser!(u64).range(1..=36_500))]
    valid_days: u64,
    /// Seconds since 1970 that count as now, for documents that are reproducible
    #[arg(long, value_name = "SECONDS", env = "SOURCE_DATE_EPOCH", hide_env_values = true)]
    created: Option<u64>,
}

impl DateArgs {
    /// The date of the document, and the date it expires on.
    ///
    /// # Errors
    ///
    /// If either lies after the year 9999.
    pub(super) fn dates(&self) -> anyhow::Result<(Timestamp, Timestamp)> {
        let clock = || SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let created = self.created.unwrap_or_else(clock);
        let expires = created.saturating_add(self.valid_days * DAY_S);
        Ok((Timestamp::from_unix(created)?, Timestamp::from_unix(expires)?))
    }
}
