//! What the documents of a bundle say, each on one line.
//!
//! They are texts of whoever made the bundle: read up to a limit, shown only where no character of them can move the
//! cursor, and never acted on.

use bundle_format::{BundleContents, Digest, EntryPath, Manifest, Role, Text};
use serde::Deserialize;

/// The largest document that is read for one line.
const MAX_BYTES: u64 = 1 << 20;

/// The license: where it is, and its first line.
pub(super) fn license(bundle: &impl BundleContents) -> String {
    let path = &bundle.manifest().documents.license;
    let content = read(bundle, path);
    let first = content.as_deref().and_then(|content| str::from_utf8(content).ok()).and_then(first_line);
    with_summary(path, first.map(|line| line.to_string()))
}

/// The provenance: where it is, who made the bundle how, and how many of the networks it speaks of.
pub(super) fn provenance(bundle: &impl BundleContents) -> String {
    let Some(path) = &bundle.manifest().documents.provenance else { return "none".to_owned() };
    let statement = read(bundle, path).and_then(|content| serde_json::from_slice::<Statement>(&content).ok());
    with_summary(path, statement.map(|statement| statement.summary(bundle.manifest())))
}

fn read(bundle: &impl BundleContents, path: &EntryPath) -> Option<Vec<u8>> {
    let is_short = bundle.manifest().file(path).is_some_and(|file| file.size <= MAX_BYTES);
    is_short.then(|| bundle.read(path).ok()).flatten()
}

fn with_summary(path: &EntryPath, summary: Option<String>) -> String {
    summary.map_or_else(|| format!("{path} (not readable)"), |summary| format!("{path}: {summary}"))
}

/// The first line that says something, if it can be shown.
fn first_line(text: &str) -> Option<Text> {
    let line = text.lines().map(str::trim).find(|line| !line.is_empty())?;
    Text::new(line).ok()
}

/// Of an in-toto statement with a predicate of SLSA Provenance v1 what is shown.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Statement {
    subject: Vec<Subject>,
    predicate: Predicate,
}

#[derive(Deserialize)]
struct Subject {
    name: String,
    digest: Digests,
}

#[derive(Deserialize)]
struct Digests {
    sha256: Digest,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Predicate {
    build_definition: BuildDefinition,
    run_details: RunDetails,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct BuildDefinition {
    build_type: Text,
}

#[derive(Deserialize)]
struct RunDetails {
    builder: Builder,
}

#[derive(Deserialize)]
struct Builder {
    id: Text,
}

impl Statement {
    fn summary(&self, manifest: &Manifest) -> String {
        let networks: Vec<_> = manifest.files().iter().filter(|file| file.role == Role::Onnx).collect();
        let is_named = |path: &EntryPath, sha256: Digest| {
            self.subject.iter().any(|subject| subject.name == path.as_str() && subject.digest.sha256 == sha256)
        };
        let n_named = networks.iter().filter(|file| is_named(&file.path, file.sha256)).count();
        let (builder, build_type) =
            (&self.predicate.run_details.builder.id, &self.predicate.build_definition.build_type);
        format!("{n_named} of {} networks, {build_type} by {builder}", networks.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_that_says_something_is_shown_if_it_cannot_move_the_cursor() {
        let shown = |text: &str| first_line(text).map(|line| line.to_string());
        assert_eq!(shown("\n  Apache License\n  Version 2.0\n"), Some("Apache License".to_owned()));
        assert_eq!(shown(" \n\n"), None);
        assert_eq!(shown("\u{1b}[2J free"), None);
    }
}
