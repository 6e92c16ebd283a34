//! A package as one file: `tar` in `gzip`, which the smallest Debian can unpack.
//!
//! Everything that depends on who packs, and when, is fixed: order, times, owners, permissions.

use anyhow::{Context, Result};
use flate2::{Compression, GzBuilder};
use tar::{Builder, EntryType, Header};

use super::content::{Kind, Package};

/// The time of every file: 2020-01-01. `tar` warns of the year 1970.
const TIME_S: u64 = 1_577_836_800;

/// `package` as an archive, all of it in a folder of the package's name.
///
/// # Errors
///
/// When a path is too long for the format.
pub(super) fn tar_gz(package: &Package) -> Result<Vec<u8>> {
    // `GzBuilder` writes neither a name nor a time unless told.
    let mut tar = Builder::new(GzBuilder::new().write(Vec::new(), Compression::best()));
    for (path, file) in &package.files {
        let mut header = Header::new_gnu();
        header.set_entry_type(EntryType::Regular);
        header.set_mode(match file.kind {
            Kind::Plain => 0o644,
            Kind::Program => 0o755,
        });
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(TIME_S);
        header.set_size(u64::try_from(file.bytes.len())?);
        let path = format!("{}/{path}", package.name);
        tar.append_data(&mut header, &path, &file.bytes[..]).with_context(|| format!("cannot pack `{path}`"))?;
    }
    Ok(tar.into_inner()?.finish()?)
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use flate2::read::GzDecoder;

    use super::*;
    use crate::dist::content::File;

    fn package(files: &[(&str, Kind)]) -> Package {
        let files = files.iter().map(|&(path, kind)| (path.to_owned(), File { kind, bytes: path.into() }));
        Package { name: "unnunet-1".to_owned(), files: files.collect(), glibc: (2, 28).into() }
    }

    #[test]
    fn the_same_files_give_the_same_bytes_in_any_order() {
        let forward = package(&[("bin/unnunet", Kind::Program), ("lib/a", Kind::Plain), ("lib/b", Kind::Plain)]);
        let backward = package(&[("lib/b", Kind::Plain), ("lib/a", Kind::Plain), ("bin/unnunet", Kind::Program)]);
        let bytes = tar_gz(&forward).unwrap();
        assert_eq!(bytes, tar_gz(&backward).unwrap());
        assert_eq!(bytes[4..8], [0; 4], "gzip has no time");
    }

    #[test]
    fn an_archive_holds_its_files_sorted_in_one_folder_without_owner_or_time() {
        let bytes = tar_gz(&package(&[("lib/a", Kind::Plain), ("bin/unnunet", Kind::Program)])).unwrap();
        let mut archive = tar::Archive::new(GzDecoder::new(&bytes[..]));
        let mut found = Vec::new();
        for entry in archive.entries().unwrap() {
            let mut entry = entry.unwrap();
            let mut text = String::new();
            entry.read_to_string(&mut text).unwrap();
            let header = entry.header();
            let owner = (header.uid().unwrap(), header.gid().unwrap(), header.mtime().unwrap());
            assert_eq!(owner, (0, 0, TIME_S));
            found.push((entry.path().unwrap().display().to_string(), header.mode().unwrap(), text));
        }
        let expected = [
            ("unnunet-1/bin/unnunet".to_owned(), 0o755, "bin/unnunet".to_owned()),
            ("unnunet-1/lib/a".to_owned(), 0o644, "lib/a".to_owned()),
        ];
        assert_eq!(found, expected);
    }
}
