//! What a package holds: program, libraries, manual, completions, licenses, digests.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use fs_err as fs;

use super::glibc::{self, Version};
use super::{licenses, sha256};
use crate::workspace;

/// The libraries of ONNX Runtime on the processor, by its own kernels and by OpenVINO's, under the names that they are
/// loaded by. `setup` also brings OpenVINO's plug-ins for other devices, for choosing among devices, and its C interface:
/// `unnunet` asks for none of them.
const LIBRARIES: [&str; 7] = [
    "libonnxruntime.so",
    "libonnxruntime_providers_openvino.so",
    "libonnxruntime_providers_shared.so",
    "libopenvino.so.2541",
    "libopenvino_intel_cpu_plugin.so",
    "libopenvino_onnx_frontend.so.2541",
    "libtbb.so.12",
];

/// Shell, and where its completions are looked for below `share/`.
const COMPLETIONS: [(&str, &str); 3] = [
    ("bash", "bash-completion/completions/unnunet"),
    ("fish", "fish/vendor_completions.d/unnunet.fish"),
    ("zsh", "zsh/site-functions/_unnunet"),
];

/// A package, ready to be packed.
#[derive(Debug)]
pub(super) struct Package {
    /// Name of its folder, and of the archive but for the ending.
    pub(super) name: String,
    /// The files by their paths below the folder.
    pub(super) files: BTreeMap<String, File>,
    /// The oldest glibc that all of it runs with.
    pub(super) glibc: Version,
}

/// A file of a package.
#[derive(Debug)]
pub(super) struct File {
    pub(super) kind: Kind,
    pub(super) bytes: Vec<u8>,
}

/// Whether a file can be run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Plain,
    Program,
}

impl Package {
    /// Bytes of all files together.
    pub(super) fn n_bytes(&self) -> usize {
        self.files.values().map(|file| file.bytes.len()).sum()
    }
}

/// The package of `program` with the libraries and notices in the folder `onnxruntime`.
///
/// # Errors
///
/// When a file cannot be read, the program does not run, or a crate names no license.
pub(super) fn collect(program: &Path, onnxruntime: &Path) -> Result<Package> {
    let mut files = BTreeMap::new();
    add(&mut files, "bin/unnunet", Kind::Program, fs::read(program)?);
    for name in LIBRARIES {
        add(&mut files, &format!("lib/{name}"), Kind::Plain, fs::read(onnxruntime.join("lib").join(name))?);
    }
    for (shell, place) in COMPLETIONS {
        add(&mut files, &format!("share/{place}"), Kind::Plain, output_of(program, &["completions", shell])?);
    }
    for (name, page) in manual(program)? {
        add(&mut files, &format!("share/man/man1/{name}"), Kind::Plain, page);
    }
    add(&mut files, "LICENSE", Kind::Plain, fs::read(workspace::root().join("LICENSE"))?);
    add(&mut files, "THIRD-PARTY-LICENSES", Kind::Plain, licenses::collect(onnxruntime)?.into_bytes());
    let glibc = files.values().filter_map(|file| glibc::needed(&file.bytes)).max();
    let glibc = glibc.context("no file of the package needs glibc")?;
    let version = env!("CARGO_PKG_VERSION");
    add(&mut files, "README", Kind::Plain, readme(version, glibc).into_bytes());
    let sums = sha256_sums(&files);
    add(&mut files, "SHA256SUMS", Kind::Plain, sums.into_bytes());
    Ok(Package { name: format!("unnunet-{version}-x86_64-linux"), files, glibc })
}

fn add(files: &mut BTreeMap<String, File>, path: &str, kind: Kind, bytes: Vec<u8>) {
    files.insert(path.to_owned(), File { kind, bytes });
}

/// The digests of `files`, as `sha256sum --check` reads them.
fn sha256_sums(files: &BTreeMap<String, File>) -> String {
    let lines: Vec<_> = files.iter().map(|(path, file)| format!("{}  {path}", sha256(&file.bytes))).collect();
    lines.join("\n") + "\n"
}

fn readme(version: &str, glibc: Version) -> String {
    include_str!("package-readme.txt").replace("{version}", version).replace("{glibc}", &glibc.to_string())
}

fn manual(program: &Path) -> Result<Vec<(String, Vec<u8>)>> {
    let folder = tempfile::tempdir()?;
    output_of(program, &["man", "--output", folder.path().to_str().context("the temporary folder is no text")?])?;
    let mut pages = Vec::new();
    for entry in fs::read_dir(folder.path())? {
        let path: PathBuf = entry?.path();
        let name = path.file_name().context("a page has a name")?.to_string_lossy().into_owned();
        pages.push((name, fs::read(&path)?));
    }
    Ok(pages)
}

/// What `program` writes to stdout; the environment is empty, so that it cannot depend on it.
fn output_of(program: &Path, arguments: &[&str]) -> Result<Vec<u8>> {
    let output = Command::new(program).args(arguments).env_clear().output();
    let output = output.with_context(|| format!("cannot run `{}`", program.display()))?;
    let stderr = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "`unnunet {}` ended with {}: {stderr}", arguments.join(" "), output.status);
    Ok(output.stdout)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A program that writes its arguments, and a page if it is asked for the manual.
    const PROGRAM: &str =
        "#!/bin/sh\necho \"$@\"\n[ \"$1\" != man ] || echo page > \"$3/unnunet.1\"\n# \0GLIBC_2.34\0\n";

    /// The package of a program that is none, with libraries that are none, in `work`.
    fn collected(work: &Path) -> Package {
        use std::os::unix::fs::PermissionsExt;

        let onnxruntime = work.join("onnxruntime");
        fs::create_dir_all(onnxruntime.join("lib")).unwrap();
        for name in LIBRARIES.iter().chain(&["libopenvino_intel_gpu_plugin.so"]) {
            fs::write(onnxruntime.join("lib").join(name), name).unwrap();
        }
        fs::write(onnxruntime.join("LICENSE"), "license of ONNX Runtime").unwrap();
        fs::write(onnxruntime.join("ThirdPartyNotices.txt"), "notices of ONNX Runtime").unwrap();
        let program = work.join("unnunet");
        fs::write(&program, PROGRAM).unwrap();
        fs::set_permissions(&program, PermissionsExt::from_mode(0o755)).unwrap();
        collect(&program, &onnxruntime).unwrap()
    }

    #[test]
    fn a_package_is_laid_out_as_a_system_looks_for_it_and_holds_no_more() {
        let work = tempfile::tempdir().unwrap();
        let package = collected(work.path());
        assert_eq!(package.name, format!("unnunet-{}-x86_64-linux", env!("CARGO_PKG_VERSION")));
        let mut expected: Vec<_> = LIBRARIES.iter().map(|name| format!("lib/{name}")).collect();
        let others = ["LICENSE", "README", "SHA256SUMS", "THIRD-PARTY-LICENSES", "bin/unnunet"];
        expected.extend(others.map(str::to_owned));
        expected.extend(COMPLETIONS.map(|(_, place)| format!("share/{place}")));
        expected.push("share/man/man1/unnunet.1".to_owned());
        expected.sort();
        assert_eq!(package.files.keys().cloned().collect::<Vec<_>>(), expected);

        let programs: Vec<_> = package.files.iter().filter(|(_, file)| file.kind == Kind::Program).collect();
        assert_eq!(programs.len(), 1);
        assert_eq!(package.files["share/zsh/site-functions/_unnunet"].bytes, b"completions zsh\n");
        assert_eq!(package.files["share/man/man1/unnunet.1"].bytes, b"page\n");
        let readme = String::from_utf8_lossy(&package.files["README"].bytes).into_owned();
        assert!(readme.contains("glibc 2.34") && !readme.contains('{'), "{readme}");
    }

    #[test]
    fn every_other_file_has_its_digest_in_the_sums() {
        let work = tempfile::tempdir().unwrap();
        let mut files = collected(work.path()).files;
        let sums = String::from_utf8(files.remove("SHA256SUMS").unwrap().bytes).unwrap();
        let lines: Vec<_> = files.iter().map(|(path, file)| format!("{}  {path}", sha256(&file.bytes))).collect();
        assert_eq!(sums.lines().collect::<Vec<_>>(), lines);
        let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(sha256(b""), empty, "the digest of nothing is known");
    }
}
