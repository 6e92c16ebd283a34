//! `unnunet bundle verify`: every check, in order, with its outcome.

use std::path::PathBuf;

use anyhow::Context as _;
use bundle_format::{BundleContents as _, Check, Limits, verify_with_checks};
use serde::Serialize;

use crate::cli::trust::KeyArgs;
use crate::cli::{Outcome, output};

/// Verify a bundle: container, signature, manifest and every file
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  unnunet bundle verify hearts.unb --public-key vendor.pub
  unnunet bundle verify hearts.unb --trust trust --expiry enforce
  unnunet bundle verify hearts.unb --public-key vendor.pub --json >> device-history.jsonl")]
pub(super) struct Args {
    /// The bundle
    #[arg(value_name = "BUNDLE")]
    bundle: PathBuf,
    #[command(flatten)]
    keys: KeyArgs,
    /// Print one JSON object with the ordered list of checks
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Report<'a> {
    bundle: String,
    valid: bool,
    checks: &'a [Check],
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    manifest_sha256: Option<String>,
    signers: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    trust_version: Option<u32>,
    warnings: Vec<String>,
}

/// Runs `unnunet bundle verify`.
///
/// # Errors
///
/// The first rule that the bundle breaks; with `--json` the checks are printed all the same.
pub(super) fn run(args: &Args) -> anyhow::Result<Outcome> {
    let (checks, result) = verify_with_checks(&args.bundle, &Limits::default(), &args.keys.trusted()?);
    let verified = result.as_ref().ok();
    let report = Report {
        bundle: args.bundle.display().to_string(),
        valid: verified.is_some(),
        checks: &checks,
        id: verified.map(|bundle| bundle.manifest().id.to_string()),
        version: verified.map(|bundle| bundle.manifest().version.to_string()),
        manifest_sha256: verified.map(|bundle| bundle.manifest_sha256().to_string()),
        signers: verified.map_or(Vec::new(), |bundle| bundle.signers().iter().map(ToString::to_string).collect()),
        trust_version: verified.and_then(bundle_format::VerifiedBundle::trust_version),
        warnings: verified.map_or(Vec::new(), |bundle| bundle.warnings().iter().map(ToString::to_string).collect()),
    };
    if args.json {
        output::json(&report)?;
    } else {
        print(&report);
    }
    result.with_context(|| format!("refused the bundle `{}`", args.bundle.display()))?;
    Ok(Outcome::Done)
}

fn print(report: &Report<'_>) {
    for check in report.checks {
        let outcome = if check.passed { "ok" } else { "FAILED" };
        let code = check.code.map(|code| format!(" {code}")).unwrap_or_default();
        output::line(format_args!("{:>2}  {:<11} {outcome}{code}", check.step, check.name));
    }
    if let (Some(id), Some(version), Some(digest)) = (&report.id, &report.version, &report.manifest_sha256) {
        output::line(format_args!("{id} {version}\nmanifest  {digest}"));
    }
    for signer in &report.signers {
        output::line(format_args!("signed by {signer}"));
    }
    if let Some(version) = report.trust_version {
        output::line(format_args!("trust version {version}"));
    }
    for warning in &report.warnings {
        output::note(format_args!("warning: {warning}"));
    }
}
