//! The licenses of everything in a package that others wrote.
//!
//! The crates are those that cargo would link into `unnunet`, with the texts that lie in their folders; the texts of ONNX
//! Runtime come with it. Its wheel holds OpenVINO, oneTBB and oneDNN without their notices, so these are kept here:
//! `notices/` are the files of the wheel `openvino` 2025.4.1, which is the version inside.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Context, Result, ensure};
use fs_err as fs;
use serde::Deserialize;

use crate::workspace;

/// The crate whose program is packaged.
const ROOT: &str = "runtime";
/// The only target that is packaged; crates of others are not linked.
const TARGET: &str = "x86_64-unknown-linux-gnu";
/// How names of files with a license start, in upper case.
const NAMES: [&str; 6] = ["COPYING", "COPYRIGHT", "LICENCE", "LICENSE", "NOTICE", "UNLICENSE"];

/// What OpenVINO's makers say of what is in it.
const NOTICES: [(&str, &str); 3] = [
    ("OpenVINO: third-party programs", include_str!("notices/openvino.txt")),
    ("oneDNN, in OpenVINO: third-party programs", include_str!("notices/onednn.txt")),
    ("oneTBB: third-party programs", include_str!("notices/onetbb.txt")),
];

const INTRODUCTION: &str = "\
This package holds, beside unnunet itself (LICENSE), works of others.

Native libraries:

  ONNX Runtime (lib/libonnxruntime*)                MIT
  OpenVINO (lib/libopenvino*), with oneDNN inside   Apache-2.0, the text in LICENSE
  oneTBB (lib/libtbb*)                              Apache-2.0, the text in LICENSE

Linked into bin/unnunet: the standard library of Rust (MIT OR Apache-2.0), and these crates:

";

/// The text of `THIRD-PARTY-LICENSES`.
///
/// # Errors
///
/// When cargo cannot say what is linked, a crate names no license or brings no text, or a file cannot be read.
pub(super) fn collect(onnxruntime: &Path) -> Result<String> {
    let crates = linked(&metadata()?)?;
    let mut texts = Texts::default();
    texts.add("ONNX Runtime", &read(&onnxruntime.join("LICENSE"))?);
    texts.add("ONNX Runtime: third-party notices", &read(&onnxruntime.join("ThirdPartyNotices.txt"))?);
    for (title, text) in NOTICES {
        texts.add(title, text);
    }
    for it in &crates {
        let folder = it.manifest_path.parent().context("a manifest lies in a folder")?;
        let found = texts_in(folder)?;
        ensure!(!found.is_empty(), "`{}` has no text of its license in `{}`", it.title(), folder.display());
        for text in found {
            texts.add(&it.title(), &text);
        }
    }
    Ok(render(&crates, &texts))
}

fn metadata() -> Result<Metadata> {
    let mut command = workspace::cargo();
    command.args(["metadata", "--format-version=1", "--locked", "--filter-platform", TARGET]);
    let output = command.output().context("cannot run `cargo metadata`")?;
    ensure!(output.status.success(), "`cargo metadata` failed: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).context("cannot read what `cargo metadata` says")
}

/// What is needed of `cargo metadata`.
#[derive(Debug, Deserialize)]
struct Metadata {
    packages: Vec<Crate>,
    resolve: Resolve,
    workspace_members: BTreeSet<String>,
}

#[derive(Debug, Deserialize)]
struct Resolve {
    nodes: Vec<Node>,
}

#[derive(Debug, Deserialize)]
struct Node {
    id: String,
    deps: Vec<Edge>,
}

#[derive(Debug, Deserialize)]
struct Edge {
    pkg: String,
    dep_kinds: Vec<EdgeKind>,
}

#[derive(Debug, Deserialize)]
struct EdgeKind {
    /// Empty for what is linked, else `build` or `dev`.
    kind: Option<String>,
}

#[derive(Debug, Clone, Deserialize)]
struct Crate {
    id: String,
    name: String,
    version: String,
    license: Option<String>,
    manifest_path: std::path::PathBuf,
    targets: Vec<Target>,
}

#[derive(Debug, Clone, Deserialize)]
struct Target {
    kind: Vec<String>,
}

impl Crate {
    fn title(&self) -> String {
        format!("{} {}", self.name, self.version)
    }

    /// Whether it runs in the compiler, and so is not linked.
    fn is_macro(&self) -> bool {
        self.targets.iter().any(|target| target.kind.iter().any(|kind| kind == "proc-macro"))
    }
}

/// Foreign crates that are linked into the program, by name and version.
///
/// A feature that another crate of the workspace asks for counts too: rather one license too many.
fn linked(metadata: &Metadata) -> Result<Vec<Crate>> {
    let crates: BTreeMap<_, _> = metadata.packages.iter().map(|it| (it.id.as_str(), it)).collect();
    let nodes: BTreeMap<_, _> = metadata.resolve.nodes.iter().map(|node| (node.id.as_str(), node)).collect();
    let is_root = |it: &&Crate| it.name == ROOT && metadata.workspace_members.contains(&it.id);
    let root = metadata.packages.iter().find(is_root).context("the workspace has no runtime")?;
    let (mut found, mut open) = (BTreeSet::from([root.id.as_str()]), vec![root.id.as_str()]);
    while let Some(id) = open.pop() {
        let edges = &nodes.get(id).with_context(|| format!("cargo does not resolve `{id}`"))?.deps;
        for edge in edges.iter().filter(|edge| edge.dep_kinds.iter().any(|it| it.kind.is_none())) {
            let is_linked = crates.get(edge.pkg.as_str()).is_some_and(|it| !it.is_macro());
            if is_linked && found.insert(&edge.pkg) {
                open.push(&edge.pkg);
            }
        }
    }
    let foreign = found.into_iter().filter(|id| !metadata.workspace_members.contains(*id));
    let mut foreign: Vec<_> = foreign.filter_map(|id| crates.get(id).map(|&it| it.clone())).collect();
    foreign.sort_by_key(Crate::title);
    if let Some(unlicensed) = foreign.iter().find(|it| it.license.is_none()) {
        anyhow::bail!("`{}` names no license", unlicensed.title());
    }
    Ok(foreign)
}

/// The texts in `folder` whose names say that they are licenses, sorted by name.
fn texts_in(folder: &Path) -> Result<Vec<String>> {
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().to_uppercase();
        if path.is_file() && NAMES.iter().any(|start| name.starts_with(start)) {
            paths.push(path);
        }
    }
    paths.sort();
    paths.iter().map(|path| read(path)).collect()
}

/// A text of others, in whatever encoding: what is not UTF-8 is marked.
fn read(path: &Path) -> Result<String> {
    Ok(String::from_utf8_lossy(&fs::read(path)?).into_owned())
}

/// Texts in the order in which they came, each once, with everything that they are the license of.
#[derive(Debug, Default)]
struct Texts(Vec<(String, Vec<String>)>);

impl Texts {
    fn add(&mut self, title: &str, text: &str) {
        let text = text.trim().replace('\r', "");
        match self.0.iter_mut().find(|(known, _)| *known == text) {
            Some((_, titles)) => titles.push(title.to_owned()),
            None => self.0.push((text, vec![title.to_owned()])),
        }
    }
}

fn render(crates: &[Crate], texts: &Texts) -> String {
    let line = |it: &Crate| format!("  {:<30} {}", it.title(), it.license.as_deref().unwrap_or_default());
    let rule = "=".repeat(100);
    let section = |(text, titles): &(String, Vec<String>)| format!("{rule}\n{}\n{rule}\n\n{text}\n", titles.join(", "));
    let lines: Vec<_> = crates.iter().map(line).collect();
    let sections: Vec<_> = texts.0.iter().map(section).collect();
    format!("{INTRODUCTION}{}\n\n{}", lines.join("\n"), sections.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A workspace with `runtime`, which links `a`, which links `b`; macros, build scripts and tests use others.
    fn metadata_with(license_of_b: &str) -> Metadata {
        let package = |name: &str, kind: &str, license: &str| {
            format!(
                r#"{{"id": "{name}", "name": "{name}", "version": "1.0.0", "license": {license},
                    "manifest_path": "/{name}/Cargo.toml", "targets": [{{"kind": ["{kind}"]}}]}}"#
            )
        };
        let edge = |to: &str, kind: &str| format!(r#"{{"pkg": "{to}", "dep_kinds": [{{"kind": {kind}}}]}}"#);
        let node = |id: &str, edges: &[String]| format!(r#"{{"id": "{id}", "deps": [{}]}}"#, edges.join(","));
        let packages = [
            package("runtime", "bin", "\"Apache-2.0\""),
            package("imaging", "lib", "\"Apache-2.0\""),
            package("a", "lib", "\"MIT\""),
            package("b", "lib", license_of_b),
            package("macro", "proc-macro", "\"MIT\""),
            package("of_macro", "lib", "\"MIT\""),
            package("of_build", "lib", "\"MIT\""),
            package("of_tests", "lib", "\"MIT\""),
        ];
        let of_runtime = [
            edge("imaging", "null"),
            edge("macro", "null"),
            edge("of_build", "\"build\""),
            edge("of_tests", "\"dev\""),
        ];
        let nodes = [
            node("runtime", &of_runtime),
            node("imaging", &[edge("a", "null")]),
            node("a", &[edge("b", "null")]),
            node("b", &[edge("a", "null")]),
            node("macro", &[edge("of_macro", "null")]),
        ];
        let text = format!(
            r#"{{"packages": [{}], "resolve": {{"nodes": [{}]}}, "workspace_members": ["runtime", "imaging"]}}"#,
            packages.join(","),
            nodes.join(",")
        );
        serde_json::from_str(&text).unwrap()
    }

    #[test]
    fn foreign_crates_count_that_are_linked_and_no_others() {
        let linked = linked(&metadata_with("\"Zlib\"")).unwrap();
        assert_eq!(linked.iter().map(Crate::title).collect::<Vec<_>>(), ["a 1.0.0", "b 1.0.0"]);
    }

    #[test]
    fn a_crate_without_a_license_is_refused() {
        let error = linked(&metadata_with("null")).unwrap_err();
        assert!(error.to_string().contains("`b 1.0.0`"), "{error}");
    }

    #[test]
    fn a_text_that_many_share_stands_once_below_all_their_names() {
        let mut texts = Texts::default();
        texts.add("a 1.0.0", "Do as you like.\r\n");
        texts.add("b 1.0.0", "Do nothing.\n");
        texts.add("c 1.0.0", "Do as you like.\n");
        let rendered = render(&linked(&metadata_with("\"Zlib\"")).unwrap(), &texts);
        assert_eq!(rendered.matches("Do as you like.").count(), 1);
        assert!(rendered.contains("a 1.0.0, c 1.0.0"), "{rendered}");
        assert!(rendered.contains("  b 1.0.0                        Zlib\n"), "{rendered}");
    }

    #[test]
    fn licenses_are_found_by_their_names() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["LICENSE-MIT", "license.txt", "Cargo.toml", "README.md", "NOTICE"] {
            fs::write(folder.path().join(name), name).unwrap();
        }
        fs::create_dir(folder.path().join("LICENSES")).unwrap();
        assert_eq!(texts_in(folder.path()).unwrap(), ["LICENSE-MIT", "NOTICE", "license.txt"]);
    }

    #[test]
    fn the_package_names_what_is_really_linked() {
        let crates = linked(&metadata().unwrap()).unwrap();
        let names: BTreeSet<_> = crates.iter().map(|it| it.name.as_str()).collect();
        assert!(["ort", "clap", "p256", "ndarray"].iter().all(|name| names.contains(name)), "{names:?}");
        assert!(["tch", "torch-sys", "syn", "proptest", "runtime"].iter().all(|name| !names.contains(name)));
    }
}
