//! Unpacking the wanted part of a wheel.
//!
//! The digest was checked before, yet no name in an archive is trusted: an
//! absolute name, `..` or a symbolic link stops the set-up.

use std::io::{self, BufReader, BufWriter};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use fs_err as fs;
use zip::ZipArchive;

use super::lock::Wheel;

/// Unpacks what the rules of `wheel` name from the archive at `path` into `staging`.
///
/// # Errors
///
/// When the archive is damaged, holds a hostile name, or lacks what a rule names.
pub(super) fn unpack(path: &Path, wheel: &Wheel, staging: &Path) -> Result<()> {
    let mut archive = ZipArchive::new(BufReader::new(fs::File::open(path)?))?;
    let mut n_entries_of_rule = vec![0_usize; wheel.unpack.len()];
    for index in 0..archive.len() {
        let mut entry = archive.by_index(index)?;
        let name = entry.name()?.into_owned();
        if is_hostile(&name) || entry.is_symlink() {
            bail!("entry `{name}` would leave the folder it is unpacked into");
        }
        if entry.is_dir() {
            continue;
        }
        let Some((rule, target)) = place(&name, wheel) else {
            continue;
        };
        n_entries_of_rule[rule] += 1;
        let target = staging.join(target);
        fs::create_dir_all(target.parent().context("a rule gave an empty path")?)?;
        let mut file = BufWriter::with_capacity(1 << 20, fs::File::create_new(&target)?);
        io::copy(&mut entry, &mut file).with_context(|| format!("entry `{name}`"))?;
    }
    if let Some(rule) = n_entries_of_rule.iter().position(|&n| n == 0) {
        bail!("no entry starts with `{}`", wheel.unpack[rule].from);
    }
    for (link, target) in &wheel.links {
        let link = staging.join(link);
        // A link to nothing would show up much later, when a program loads it.
        let beside = link.with_file_name(target);
        if !beside.is_file() {
            bail!("link target `{}` is missing", beside.display());
        }
        std::os::unix::fs::symlink(target, link)?;
    }
    Ok(())
}

/// Whether `name` is anything but a plain relative path downwards.
///
/// Stricter than `ZipFile::enclosed_name`, which repairs a leading `/`.
fn is_hostile(name: &str) -> bool {
    name.starts_with('/') || name.contains(['\\', '\0']) || name.split('/').any(|part| part == "..")
}

/// Which rule takes the entry `name`, and its path under `.deps/`.
fn place(name: &str, wheel: &Wheel) -> Option<(usize, PathBuf)> {
    if wheel.skip.iter().any(|skip| name.starts_with(skip)) {
        return None;
    }
    wheel.unpack.iter().enumerate().find_map(|(index, rule)| {
        let rest = name.strip_prefix(&rule.from)?;
        Some((index, PathBuf::from(format!("{}{rest}", rule.to))))
    })
}

#[cfg(test)]
pub(super) mod tests {
    use std::collections::BTreeMap;
    use std::io::{Cursor, Write};

    use zip::ZipWriter;
    use zip::write::SimpleFileOptions;

    use super::super::lock::Rule;
    use super::*;

    /// An archive with `entries`, and a wheel that keeps `pkg/lib/` of it.
    pub(in super::super) fn wheel_with(entries: &[(&str, &str)]) -> (Vec<u8>, Wheel) {
        let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
        for (name, content) in entries {
            zip.start_file(*name, SimpleFileOptions::default()).unwrap();
            zip.write_all(content.as_bytes()).unwrap();
        }
        let wheel = Wheel {
            name: "pkg".to_owned(),
            version: "1.0".to_owned(),
            file: "pkg-1.0.whl".to_owned(),
            size: 0,
            sha256: "11".repeat(32),
            tag: "any".to_owned(),
            unpack: vec![Rule { from: "pkg/lib/".to_owned(), to: "native/lib/".to_owned() }],
            skip: vec!["pkg/lib/skipped".to_owned()],
            links: BTreeMap::from([("native/lib/libx.so".to_owned(), "libx.so.1".to_owned())]),
        };
        (zip.finish().unwrap().into_inner(), wheel)
    }

    /// Unpacks an archive with `entries`; the names that came out, or the error.
    fn check(entries: &[(&str, &str)]) -> Result<Vec<String>, String> {
        let folder = tempfile::tempdir().unwrap();
        let (bytes, wheel) = wheel_with(entries);
        let path = folder.path().join("pkg.whl");
        fs::write(&path, bytes).unwrap();
        let staging = folder.path().join("inner/staging");
        unpack(&path, &wheel, &staging).map_err(|error| error.to_string())?;
        assert!(!folder.path().join("inner/evil").exists());
        let mut names: Vec<_> = fs::read_dir(staging.join("native/lib"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        Ok(names)
    }

    #[test]
    fn only_what_the_rules_name_is_unpacked() {
        let entries = [("pkg/lib/libx.so.1", "elf"), ("pkg/lib/skipped.so", "elf"), ("pkg/module.py", "python")];
        assert_eq!(check(&entries).unwrap(), ["libx.so", "libx.so.1"]);
    }

    #[test]
    fn a_name_that_climbs_out_is_refused() {
        let entries = [("pkg/lib/libx.so.1", "elf"), ("../evil", "x")];
        assert!(check(&entries).unwrap_err().contains("../evil"));
        let entries = [("pkg/lib/libx.so.1", "elf"), ("/evil", "x")];
        assert!(check(&entries).unwrap_err().contains("/evil"));
    }

    #[test]
    fn an_archive_without_what_a_rule_names_is_refused() {
        let error = check(&[("pkg/module.py", "python")]).unwrap_err();
        assert_eq!(error, "no entry starts with `pkg/lib/`");
    }
}
