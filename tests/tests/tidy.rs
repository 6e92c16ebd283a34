//! House rules that neither rustfmt nor clippy knows.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::path::{Path, PathBuf};

use fs_err as fs;

/// Lines of a file, without its module of tests.
const MAX_LINES: usize = 500;

/// File names that say nothing about what is inside.
const VAGUE_NAMES: [&str; 4] = ["utils", "helpers", "common", "misc"];

/// Marks of unfinished work, spelled so that this file passes.
const MARKS: [&str; 3] = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("dbg", "!(")];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Every Rust file of the workspace's members, with its text.
fn rust_files() -> Vec<(PathBuf, String)> {
    let mut files = Vec::new();
    for entry in fs::read_dir(root()).unwrap() {
        let folder = entry.unwrap().path();
        if folder.join("Cargo.toml").is_file() {
            collect(&folder, &mut files);
        }
    }
    assert!(files.len() > 10, "the walk found {} files", files.len());
    files.sort();
    files
}

fn collect(folder: &Path, files: &mut Vec<(PathBuf, String)>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && path.file_name().is_some_and(|name| name == "target") {
            // What a build of the fuzz targets leaves is nobody's source.
        } else if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            files.push((path, text));
        }
    }
}

/// Asserts that `breach` finds nothing in any file.
fn check(breach: impl Fn(&Path, &str) -> Option<String>) {
    let breaches: Vec<_> = rust_files()
        .iter()
        .filter_map(|(path, text)| {
            let found = breach(path, text)?;
            Some(format!("{}: {found}", path.display()))
        })
        .collect();
    assert!(breaches.is_empty(), "{}", breaches.join("\n"));
}

/// The lines of `text` before its inline module of tests.
fn n_own_lines(text: &str) -> usize {
    let lines: Vec<_> = text.lines().collect();
    let is_test_module =
        |pair: &[&str]| pair[0] == "#[cfg(test)]" && pair[1].contains("mod tests") && pair[1].ends_with('{');
    lines.windows(2).position(is_test_module).unwrap_or(lines.len())
}

#[test]
fn every_file_opens_with_what_it_is() {
    check(|_, text| (!text.starts_with("//! ")).then(|| "no `//!` line".to_owned()));
}

#[test]
fn no_file_is_longer_than_one_can_hold_in_mind() {
    check(|_, text| {
        let n_lines = n_own_lines(text);
        (n_lines > MAX_LINES).then(|| format!("{n_lines} lines, at most {MAX_LINES}"))
    });
}

#[test]
fn no_unfinished_work_is_left() {
    check(|_, text| {
        let mark = MARKS.iter().find(|mark| text.contains(**mark))?;
        Some(format!("contains `{mark}`"))
    });
}

#[test]
fn no_line_ends_in_a_blank() {
    check(|_, text| {
        let at = text.lines().position(|line| line != line.trim_end())?;
        Some(format!("line {} ends in a blank", at + 1))
    });
}

#[test]
fn every_file_is_named_after_what_it_owns() {
    check(|path, _| {
        let stem = path.file_stem()?.to_str()?;
        VAGUE_NAMES.contains(&stem).then(|| "the name says nothing".to_owned())
    });
}

#[test]
fn tests_inside_a_file_do_not_count_as_its_lines() {
    let text = "//! A.\nfn a() {}\n\n#[cfg(test)]\nmod tests {\n}\n";
    assert_eq!(n_own_lines(text), 3);
    assert_eq!(n_own_lines("//! A.\n#[cfg(test)]\nmod tests;\n"), 3);
}
