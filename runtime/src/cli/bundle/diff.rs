//! `unnunet bundle diff`: what changed from one bundle to another. Nothing is trusted, and it says so.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use bundle_format::{BundleContents as _, FileEntry, IntactBundle, Limits, Manifest, UnverifiedBundle};
use serde::Serialize;
use serde_json::Value;

use crate::cli::{Outcome, output};

/// Show what changed from one bundle to another, without trusting either
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  unnunet bundle diff hearts-1.0.unb hearts-1.1.unb
  unnunet bundle diff hearts-1.0.unb hearts-1.1.unb --json | jq .files.changed

Prints a line per difference: `+` added, `-` removed, `~` changed. Nothing if manifests and signers are the same.")]
pub(super) struct Args {
    /// The earlier bundle
    #[arg(value_name = "OLD")]
    old: PathBuf,
    /// The later bundle
    #[arg(value_name = "NEW")]
    new: PathBuf,
    /// Print one JSON object with `fields`, `files` and `signers`
    #[arg(long)]
    json: bool,
}

/// What two bundles differ in.
#[derive(Debug, Serialize)]
struct Difference {
    fields: Changes<Value>,
    files: Changes<FileEntry>,
    signers: Changes<String>,
}

/// What was added, removed or changed, by name.
#[derive(Debug, PartialEq, Serialize)]
struct Changes<T> {
    added: BTreeMap<String, T>,
    removed: BTreeMap<String, T>,
    changed: BTreeMap<String, [T; 2]>,
}

/// Runs `unnunet bundle diff`.
///
/// # Errors
///
/// If a bundle is not intact.
pub(super) fn run(args: &Args) -> anyhow::Result<Outcome> {
    let (old, new) = (open(&args.old)?, open(&args.new)?);
    let difference = Difference {
        fields: changes(fields(old.manifest())?, &fields(new.manifest())?),
        files: changes(files(old.manifest()), &files(new.manifest())),
        signers: changes(signers(&old), &signers(&new)),
    };
    if args.json {
        output::json(&difference)?;
    } else {
        print("", &difference.fields, &ToString::to_string);
        print("file ", &difference.files, &|file| format!("{} bytes {}", file.size, file.sha256));
        print("signature of ", &difference.signers, &Clone::clone);
    }
    output::note("warning: no signature of the bundles was checked");
    Ok(Outcome::Done)
}

fn open(path: &Path) -> anyhow::Result<IntactBundle> {
    let intact = UnverifiedBundle::open(path, &Limits::default()).and_then(UnverifiedBundle::check);
    intact.with_context(|| format!("cannot compare `{}`", path.display()))
}

/// Every value of the manifest but its files, by its path; members by their id.
fn fields(manifest: &Manifest) -> anyhow::Result<BTreeMap<String, Value>> {
    let mut value: Value = serde_json::from_slice(&manifest.to_json())?;
    let mut flat = BTreeMap::new();
    if let Some(fields) = value.as_object_mut() {
        fields.remove("files");
        if let Some(Value::Array(members)) = fields.remove("members") {
            for member in members {
                flatten(&format!("members.{}", member["id"].as_str().unwrap_or_default()), member, &mut flat);
            }
        }
    }
    flatten("", value, &mut flat);
    Ok(flat)
}

fn flatten(name: &str, value: Value, flat: &mut BTreeMap<String, Value>) {
    match value {
        Value::Object(fields) => {
            for (field, value) in fields {
                let name = if name.is_empty() { field } else { format!("{name}.{field}") };
                flatten(&name, value, flat);
            }
        }
        // A list is one value: its order follows from its items.
        value => drop(flat.insert(name.to_owned(), value)),
    }
}

fn files(manifest: &Manifest) -> BTreeMap<String, FileEntry> {
    manifest.files().iter().map(|file| (file.path.to_string(), file.clone())).collect()
}

fn signers(bundle: &IntactBundle) -> BTreeMap<String, String> {
    bundle.claimed_signers().iter().map(|signer| (signer.to_string(), signer.signature_path().to_string())).collect()
}

fn changes<T: Clone + PartialEq>(old: BTreeMap<String, T>, new: &BTreeMap<String, T>) -> Changes<T> {
    let mut changes = Changes { added: BTreeMap::new(), removed: BTreeMap::new(), changed: BTreeMap::new() };
    for (name, value) in new {
        match old.get(name) {
            None => drop(changes.added.insert(name.clone(), value.clone())),
            Some(before) if before != value => {
                changes.changed.insert(name.clone(), [before.clone(), value.clone()]);
            }
            Some(_) => {}
        }
    }
    changes.removed = old.into_iter().filter(|(name, _)| !new.contains_key(name)).collect();
    changes
}

fn print<T>(kind: &str, changes: &Changes<T>, show: &dyn Fn(&T) -> String) {
    let line = |sign: char, name: &str, value: String| {
        output::line(format!("{sign} {kind}{name}  {value}").trim_end());
    };
    changes.removed.iter().for_each(|(name, value)| line('-', name, show(value)));
    changes.added.iter().for_each(|(name, value)| line('+', name, show(value)));
    for (name, [old, new]) in &changes.changed {
        line('~', name, format!("{} -> {}", show(old), show(new)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(pairs: &[(&str, u32)]) -> BTreeMap<String, u32> {
        pairs.iter().map(|&(name, value)| (name.to_owned(), value)).collect()
    }

    #[test]
    fn what_was_added_removed_and_changed_is_told_apart() {
        let found = changes(map(&[("a", 1), ("b", 2), ("c", 3)]), &map(&[("b", 2), ("c", 4), ("d", 5)]));
        let changed = [("c".to_owned(), [3, 4])].into();
        assert_eq!(found, Changes { added: map(&[("d", 5)]), removed: map(&[("a", 1)]), changed });
    }

    #[test]
    fn values_are_named_by_their_path() {
        let mut flat = BTreeMap::new();
        flatten("", serde_json::json!({"a": {"b": [1, 2]}, "c": "d"}), &mut flat);
        let expected = [("a.b".to_owned(), serde_json::json!([1, 2])), ("c".to_owned(), "d".into())];
        assert_eq!(flat, expected.into());
    }
}
