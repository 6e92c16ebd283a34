//! `unnunet bundle attach`: adds a signature that was made elsewhere.

use std::path::PathBuf;

use anyhow::{Context as _, ensure};
use bundle_format::PublicKey;
use fs_err as fs;

use crate::cli::trust::read_key_file;
use crate::cli::{Outcome, output};

/// Longest signature file, in bytes, as in a bundle.
const MAX_SIGNATURE_BYTES: u64 = 256 << 10;

/// Add a signature that another tool made, such as `model_signing`
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  unnunet bundle extract hearts.unb --public-key vendor.pub --output hearts
  model_signing sign key hearts --signature site.sig --private_key site.pem --ignore-paths hearts/signatures
  unnunet bundle attach hearts.unb site.sig --public-key site.pub")]
pub(super) struct Args {
    /// The bundle
    #[arg(value_name = "BUNDLE")]
    bundle: PathBuf,
    /// The signature: a Sigstore bundle v0.3 over the unpacked files
    #[arg(value_name = "SIGNATURE")]
    signature: PathBuf,
    /// Public key (PEM) of whoever made the signature
    #[arg(long, value_name = "PEM")]
    public_key: PathBuf,
    /// Where to write the result; the bundle itself by default
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// Runs `unnunet bundle attach`.
///
/// # Errors
///
/// If the bundle is not intact, or the signature is not the key's over exactly its files.
pub(super) fn run(args: &Args) -> anyhow::Result<Outcome> {
    let key = PublicKey::from_pem(&read_key_file(&args.public_key)?);
    let key = key.with_context(|| format!("cannot use the public key `{}`", args.public_key.display()))?;
    let name = args.signature.display();
    let n_bytes = fs::metadata(&args.signature).context("cannot read the signature")?.len();
    ensure!(
        n_bytes <= MAX_SIGNATURE_BYTES,
        "`{name}` has {n_bytes} bytes, a signature has at most {MAX_SIGNATURE_BYTES}"
    );
    let signature = fs::read(&args.signature).context("cannot read the signature")?;
    let output = args.output.as_ref().unwrap_or(&args.bundle);
    let key_id = bundle_format::attach(&args.bundle, &signature, &key, output)
        .with_context(|| format!("cannot attach `{name}` to `{}`", args.bundle.display()))?;
    output::line(key_id);
    Ok(Outcome::Done)
}
