//! `unnunet bundle keygen`: a new P-256 key pair.

use std::path::PathBuf;

use anyhow::{Context as _, bail};
use bundle_format::SigningKey;
use imaging::atomic_file;

use super::passphrase::PassphraseArgs;
use crate::cli::{Outcome, output};

/// Make a key pair for signing bundles
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  unnunet bundle keygen --private-key vendor.pem --public-key vendor.pub
  unnunet bundle keygen --private-key ci.pem --public-key ci.pub --passphrase-fd 3 3<passphrase.txt")]
pub(super) struct Args {
    /// New file for the private key (PKCS#8 PEM, mode 0600)
    #[arg(long, value_name = "PEM")]
    private_key: PathBuf,
    /// New file for the public key (SPKI PEM)
    #[arg(long, value_name = "PEM")]
    public_key: PathBuf,
    #[command(flatten)]
    passphrase: PassphraseArgs,
}

/// Runs `unnunet bundle keygen`.
///
/// # Errors
///
/// If either file exists or cannot be written, or there is no passphrase.
pub(super) fn run(args: &Args) -> anyhow::Result<Outcome> {
    for path in [&args.private_key, &args.public_key] {
        if path.symlink_metadata().is_ok() {
            bail!("`{}` exists; a key is never overwritten", path.display());
        }
    }
    let key = SigningKey::generate();
    key.write_pem(&args.private_key, args.passphrase.new_one()?.as_deref()).context("cannot write the private key")?;
    let public = key.public_key();
    atomic_file::write(&args.public_key, public.to_pem().as_bytes()).context("cannot write the public key")?;
    output::line(public.key_id());
    Ok(Outcome::Done)
}
