//! `unnunet bundle trust show`: who is trusted for what, on one screen.

use anyhow::Context as _;
use bundle_format::{Freshness, SignedTrust, TrustDocument, TrustFolder, TrustKey};

use super::FolderArgs;
use crate::cli::trust::ClockArgs;
use crate::cli::{Outcome, output};

/// Show the trust document in force: keys, policy, revocations, expiry
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  unnunet bundle trust show --trust trust
  unnunet bundle trust show --trust trust --json | jq .document.policy")]
pub(super) struct Args {
    #[command(flatten)]
    folder: FolderArgs,
    #[command(flatten)]
    clock: ClockArgs,
    /// Print one JSON object, with the signed document as it is
    #[arg(long)]
    json: bool,
}

/// Runs `unnunet bundle trust show`.
///
/// # Errors
///
/// If the folder or its document is refused, or has expired where that is enforced.
pub(super) fn run(args: &Args) -> anyhow::Result<Outcome> {
    let refusal = || format!("refused the trust `{}`", args.folder.trust.display());
    let trust = TrustFolder::open(&args.folder.trust).and_then(|folder| folder.read()).with_context(refusal)?;
    let clock = args.clock.clock()?;
    let freshness = clock.check(trust.document()).map_err(super::change::as_bundle_error).with_context(refusal)?;
    if args.json {
        json(&trust, freshness)?;
    } else {
        print(&trust);
    }
    if freshness == Freshness::Expired {
        output::note("warning: the trust document has expired; ask for a newer one");
    }
    Ok(Outcome::Done)
}

fn json(trust: &SignedTrust, freshness: Freshness) -> anyhow::Result<()> {
    let document: serde_json::Value = serde_json::from_slice(&trust.document().to_json())?;
    output::json(&serde_json::json!({
        "document": document,
        "document_sha256": trust.digest().to_string(),
        "expired": freshness == Freshness::Expired,
        "signers": trust.envelope().claimed_signers().map(|id| id.to_string()).collect::<Vec<_>>(),
    }))
}

fn print(trust: &SignedTrust) {
    let document = trust.document();
    output::line(format_args!("version     {}", document.version));
    output::line(format_args!("document    {}", trust.digest()));
    output::line(format_args!("created     {}", document.created));
    output::line(format_args!("expires     {}", document.expires));
    output::line(format_args!("roots       {} of {} must sign", document.roots.threshold, document.roots.keyids.len()));
    output::line("\nkeys");
    for key in &document.keys {
        print_key(document, key);
    }
    output::line("\npolicy");
    for (channel, roles) in &document.policy {
        let roles: Vec<_> = roles.iter().map(|count| format!("{} × {}", count.count, count.role)).collect();
        output::line(format_args!("  {:<10} {}", channel.to_string(), roles.join(", ")));
    }
    if !document.min_security_version.is_empty() {
        output::line("\nlowest security version");
    }
    for (id, floor) in &document.min_security_version {
        output::line(format_args!("  {id} {floor}"));
    }
    if !document.revoked.manifests.is_empty() {
        output::line("\nrevoked bundles");
    }
    for manifest in &document.revoked.manifests {
        output::line(format_args!("  {manifest}"));
    }
    let unlisted = document.revoked.keys.iter().filter(|revoked| document.key(&revoked.keyid).is_none());
    for revoked in unlisted {
        output::line(format_args!("  key {} REVOKED ({})", revoked.keyid, revoked.reason));
    }
}

fn print_key(document: &TrustDocument, key: &TrustKey) {
    let words = |list: &[String]| list.join(", ");
    let roles: Vec<_> = key.roles.iter().map(ToString::to_string).collect();
    let models: Vec<_> = key.models.iter().map(ToString::to_string).collect();
    let channels: Vec<_> = key.channels.iter().map(ToString::to_string).collect();
    output::line(format_args!("  {}  {}", key.key.key_id(), words(&roles)));
    if !models.is_empty() {
        output::line(format_args!("    {} on {}", words(&models), words(&channels)));
    }
    if let Some(revoked) = document.revocation(&key.key.key_id()) {
        let n_valid = revoked.still_valid.len();
        output::line(format_args!("    REVOKED ({}), {n_valid} bundles stay valid", revoked.reason));
    }
}
