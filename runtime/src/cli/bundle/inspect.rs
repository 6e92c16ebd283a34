//! `unnunet bundle inspect`: what is in a bundle, on one screen. Nothing is trusted, and it says so.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::Context as _;
use bundle_format::{BundleContents as _, IntactBundle, Limits, Manifest, Member, UnverifiedBundle};

use super::documents;
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
        ("license", documents::license(bundle)),
        ("provenance", documents::provenance(bundle)),
    ] {
        output::line(format_args!("{name:<11} {value}"));
    }
    output::line(format_args!("\nmembers     {}", manifest.members.len()));
    for (fold, group) in groups(manifest.members.iter().map(|member| (fold_of(member), size_of(manifest, member)))) {
        output::line(format_args!("  {fold:<14} {:>5} members {:>15} bytes", group.n, group.n_bytes));
    }
    output::line(format_args!("\nfiles       {}", manifest.files().len()));
    for (role, group) in groups(manifest.files().iter().map(|file| (file.role.to_string(), file.size))) {
        output::line(format_args!("  {role:<14} {:>5} files   {:>15} bytes", group.n, group.n_bytes));
    }
    output::line("\n`--json` lists every member and file");
}

/// Things of one kind.
#[derive(Debug, Default, PartialEq)]
struct Group {
    n: usize,
    n_bytes: u64,
}

/// Number and bytes by kind, so that any bundle fits one screen.
fn groups(things: impl Iterator<Item = (String, u64)>) -> BTreeMap<String, Group> {
    let mut groups: BTreeMap<String, Group> = BTreeMap::new();
    for (kind, n_bytes) in things {
        let group = groups.entry(kind).or_default();
        group.n += 1;
        group.n_bytes = group.n_bytes.saturating_add(n_bytes);
    }
    groups
}

fn fold_of(member: &Member) -> String {
    member.fold.map_or_else(|| "no fold".to_owned(), |fold| format!("fold {fold}"))
}

fn size_of(manifest: &Manifest, member: &Member) -> u64 {
    manifest.file(&member.model).map_or(0, |file| file.size)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn things_of_a_kind_are_counted_together() {
        let things = [("a", 1), ("b", 5), ("a", 2)].map(|(kind, n_bytes)| (kind.to_owned(), n_bytes));
        let expected = [("a", 2, 3), ("b", 1, 5)].map(|(kind, n, n_bytes)| (kind.to_owned(), Group { n, n_bytes }));
        assert_eq!(groups(things.into_iter()), expected.into());
    }
}
