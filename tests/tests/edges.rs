//! The workspace's edges: who may depend on whom.
//!
//! `trainer` and `runtime` never see each other and agree through a bundle;
//! only `trainer` knows libtorch, only `runtime` knows ONNX Runtime. That
//! holds as long as the manifests say so, which is what is read here.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::BTreeMap;
use std::process::Command;

use serde_json::Value;

/// Every edge inside the workspace that may exist, of any kind.
const ALLOWED: [(&str, &[&str]); 7] = [
    ("imaging", &[]),
    ("bundle-format", &[]),
    ("nnunet", &["imaging"]),
    ("trainer", &["nnunet", "imaging", "bundle-format"]),
    ("runtime", &["nnunet", "imaging", "bundle-format"]),
    // The library needs only `imaging`; the others are for tests, see below.
    ("tests", &["imaging", "nnunet", "bundle-format"]),
    ("xtask", &["tests", "imaging", "nnunet"]),
];

/// Foreign crates with a single owner.
const OWNERS: [(&str, &str); 2] = [("tch", "trainer"), ("ort", "runtime")];

/// How names of crates start that need libtorch or Python to build.
const FOREIGN_LANDS: [&str; 6] = ["tch", "torch-sys", "pyo3", "python3-sys", "cpython", "numpy"];

/// Dependencies of every member: its name → (dependency, kind).
struct Workspace {
    dependencies: BTreeMap<String, Vec<(String, Kind)>>,
    default_members: Vec<String>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Development,
    NormalOrBuild,
}

impl Workspace {
    fn read() -> Self {
        let output = Command::new(env!("CARGO"))
            .args(["metadata", "--format-version=1", "--no-deps"])
            .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
            .output()
            .unwrap();
        assert!(output.status.success(), "`cargo metadata` failed");
        let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
        let text = |value: &Value| value.as_str().unwrap().to_owned();

        let mut dependencies = BTreeMap::new();
        let mut name_of_id = BTreeMap::new();
        for package in metadata["packages"].as_array().unwrap() {
            name_of_id.insert(text(&package["id"]), text(&package["name"]));
            let of_package = package["dependencies"].as_array().unwrap().iter();
            let of_package = of_package
                .map(|dependency| {
                    let kind = match dependency["kind"].as_str() {
                        Some("dev") => Kind::Development,
                        _ => Kind::NormalOrBuild,
                    };
                    (text(&dependency["name"]), kind)
                })
                .collect();
            dependencies.insert(text(&package["name"]), of_package);
        }
        let default_members = metadata["workspace_default_members"]
            .as_array()
            .unwrap()
            .iter()
            .map(|id| name_of_id[id.as_str().unwrap()].clone())
            .collect();
        Self { dependencies, default_members }
    }

    fn edges(&self) -> impl Iterator<Item = (&str, &str, Kind)> {
        self.dependencies.iter().flat_map(|(from, to)| to.iter().map(|(to, kind)| (from.as_str(), to.as_str(), *kind)))
    }
}

#[test]
fn no_edge_exists_that_the_architecture_does_not_name() {
    let allowed = BTreeMap::from(ALLOWED);
    let workspace = Workspace::read();
    let members: Vec<_> = workspace.dependencies.keys().map(String::as_str).collect();
    let mut named: Vec<_> = allowed.keys().copied().collect();
    named.sort_unstable();
    assert_eq!(members, named);
    for (from, to, _) in workspace.edges() {
        assert!(!allowed.contains_key(to) || allowed[from].contains(&to), "`{from}` must not depend on `{to}`");
    }
}

#[test]
fn the_phantoms_need_only_imaging() {
    for (from, to, kind) in Workspace::read().edges() {
        let is_ours = BTreeMap::from(ALLOWED).contains_key(to);
        if from == "tests" && is_ours && kind == Kind::NormalOrBuild {
            assert_eq!(to, "imaging");
        }
    }
}

#[test]
fn libtorch_and_onnx_runtime_have_one_owner_each() {
    let workspace = Workspace::read();
    for (foreign, owner) in OWNERS {
        let users: Vec<_> = workspace.edges().filter(|(_, to, _)| *to == foreign).map(|(from, _, _)| from).collect();
        assert_eq!(users, [owner], "who depends on `{foreign}`");
    }
}

#[test]
fn a_plain_cargo_build_needs_no_libtorch() {
    let workspace = Workspace::read();
    let trainer = "trainer".to_owned();
    assert!(!workspace.default_members.contains(&trainer));
    assert_eq!(workspace.default_members.len() + 1, workspace.dependencies.len());
}

#[test]
fn the_runtime_builds_without_libtorch_and_python() {
    let output = Command::new(env!("CARGO"))
        .args(["tree", "--package=runtime", "--edges=normal,build", "--prefix=none", "--format={p}", "--locked"])
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let tree = String::from_utf8(output.stdout).unwrap();
    assert!(tree.lines().any(|line| line.starts_with("ort ")), "{tree}");
    let foreign: Vec<_> = tree.lines().filter(|line| FOREIGN_LANDS.iter().any(|name| line.starts_with(name))).collect();
    assert!(foreign.is_empty(), "{foreign:?}");
}
