//! `unnunet bundle sign`: adds a signature, after the self-test has passed.

use std::path::PathBuf;

use anyhow::Context as _;
use bundle_format::{KeyError, Limits, SigningKey, UnverifiedBundle};

use super::passphrase::PassphraseArgs;
use crate::cli::engine_args::{Device, EngineArgs, PrecisionArg};
use crate::cli::trust::read_key_file;
use crate::cli::{Outcome, output, self_test};

/// Sign a bundle, once its self-test passes on this machine
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  unnunet bundle sign hearts.unb --private-key vendor.pem
  unnunet bundle sign unsigned.unb --private-key ci.pem --passphrase-fd 3 --output hearts.unb 3<passphrase.txt")]
pub(super) struct Args {
    /// The bundle to sign
    #[arg(value_name = "BUNDLE")]
    bundle: PathBuf,
    /// Private key (PKCS#8 PEM)
    #[arg(long, value_name = "PEM")]
    private_key: PathBuf,
    /// Where to write the signed bundle; the bundle itself by default
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    #[command(flatten)]
    passphrase: PassphraseArgs,
    /// Where the self-test runs; `auto` tests every provider of this machine
    #[arg(long, value_enum, default_value = "auto")]
    device: Device,
    #[command(flatten)]
    engine: EngineArgs,
}

/// Runs `unnunet bundle sign`.
///
/// # Errors
///
/// If the bundle is not intact, its self-test fails, or the key cannot be used.
pub(super) fn run(args: &Args) -> anyhow::Result<Outcome> {
    let pem = read_key_file(&args.private_key)?;
    let key = signing_key(&pem, &args.passphrase)
        .with_context(|| format!("cannot use the private key `{}`", args.private_key.display()))?;
    let intact = UnverifiedBundle::open(&args.bundle, &Limits::default()).and_then(UnverifiedBundle::check);
    let refusal = || format!("will not sign `{}`", args.bundle.display());
    let intact = intact.with_context(refusal)?;
    let engine = args.engine.engine()?;
    let tests = self_test::test(&intact, &engine, args.device, PrecisionArg::F32).with_context(refusal)?;
    self_test::check(&tests).with_context(refusal)?;
    let output = args.output.as_ref().unwrap_or(&args.bundle);
    let key_id = bundle_format::sign(&args.bundle, &key, output)
        .with_context(|| format!("cannot sign `{}`", args.bundle.display()))?;
    output::line(key_id);
    Ok(Outcome::Done)
}

/// Asks for a passphrase only if the key has one.
fn signing_key(pem: &str, passphrase: &PassphraseArgs) -> anyhow::Result<SigningKey> {
    match SigningKey::from_pem(pem, None) {
        Err(KeyError::PassphraseMissing) => Ok(SigningKey::from_pem(pem, passphrase.existing()?.as_deref())?),
        plain => Ok(plain?),
    }
}
