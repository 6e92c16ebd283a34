//! `unnunet bundle inspect`: what is in a bundle, on one screen. Nothing is trusted, and it says so.

use std::path::PathBuf;

use anyhow::Context as _;
use bundle_format::{BundleContents as _, IntactBundle, Limits, UnverifiedBundle};

use crate::cli::{Outcome, output};

/// Show what is in a bundle, without trusting it
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  unnunet bundle inspect hearts.unb
  unnunet bundle inspect hearts.unb --json | jq .members")]
pub(super) struct Args {
    /// The bundle
    #[arg(value_name = "BUNDLE")]
    bundle: PathBuf,
    /// Print the manifest as JSON
    #[arg(long)]
    json: bool,
}

/// Runs `unnunet bundle inspect`.
///
/// # Errors
///
/// If the bundle is not intact: its container, manifest or a file's digest.
pub(super) fn run(args: &Args) -> anyhow::Result<Outcome> {
    let intact = UnverifiedBundle::open(&args.bundle, &Limits::default()).and_then(UnverifiedBundle::check);
    let intact = intact.with_context(|| format!("cannot inspect `{}`", args.bundle.display()))?;
    if args.json {
        output::line(String::from_utf8_lossy(&intact.manifest().to_json()));
    } else {
        print(&intact);
    }
    for warning in intact.warnings() {
        output::note(format_args!("warning: {warning}"));
    }
    Ok(Outcome::Done)
}

fn print(bundle: &IntactBundle) {
    let manifest = bundle.manifest();
    let signers: Vec<_> = bundle.claimed_signers().iter().map(ToString::to_string).collect();
    let or_none = |list: Vec<String>| if list.is_empty() { "none".to_owned() } else { list.join(", ") };
    for (name, value) in [
        ("title", manifest.title.to_string()),
        ("id", format!("{} {}", manifest.id, manifest.version)),
        ("channel", manifest.channel.to_string()),
        ("created", manifest.created.to_string()),
        ("manifest", bundle.manifest_sha256().to_string()),
        ("signatures", or_none(signers)),
        ("trainer", manifest.provenance.trainer.to_string()),
    ] {
        output::line(format_args!("{name:<11} {value}"));
    }
    output::line(format_args!("\nmembers     {}", manifest.members.len()));
    for member in &manifest.members {
        let size = manifest.file(&member.model).map_or(0, |file| file.size);
        output::line(format_args!("  {:<28} {:>12} bytes", member.id.to_string(), size));
    }
    output::line(format_args!("\nfiles       {}", manifest.files().len()));
    for file in manifest.files() {
        output::line(format_args!("  {:<44} {:>12} bytes", file.path.to_string(), file.size));
    }
}
