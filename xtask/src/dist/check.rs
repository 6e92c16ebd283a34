//! `cargo xtask dist --check`: does the package run where nothing else is?
//!
//! The archive is unpacked with `tar` and run in a root of its own: read-only but for the folder of outputs, without
//! network, without home, and, unless a bare system is named, without any other program that could be started. What it
//! must do there is the job of a device: load its libraries, verify a bundle, pass the self-test, predict.

mod root;
mod sandbox;
mod trial;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use anyhow::{Context, Result, ensure};
use fs_err as fs;

use self::sandbox::{INPUT, OUTPUT, PACKAGE, Sandbox};
use super::folder;
use crate::console;

/// The bundle to check with, below the folder of inputs.
const BUNDLE: &str = "model.unb";
/// The key that it is signed with.
const PUBLIC_KEY: &str = "signer.pub.pem";
/// What is predicted.
const IMAGES: &str = "images";

/// Options of `cargo xtask dist` that are about its check.
#[derive(Debug, clap::Args)]
pub(super) struct CheckArgs {
    /// Also run the package in an empty root
    #[arg(long)]
    check: bool,
    /// A bare system to run in instead, such as one that `debootstrap --variant=minbase` made; it is only read
    #[arg(long, value_name = "DIR", requires = "check")]
    root: Option<PathBuf>,
    /// A signed bundle to predict with instead of one that is trained for it
    #[arg(long, value_name = "FILE", requires_all = ["check", "public_key", "images"])]
    bundle: Option<PathBuf>,
    /// The public key of the bundle's signer
    #[arg(long, value_name = "PEM", requires = "bundle")]
    public_key: Option<PathBuf>,
    /// A folder of images for the bundle
    #[arg(long, value_name = "DIR", requires = "bundle")]
    images: Option<PathBuf>,
}

impl CheckArgs {
    /// Whether the package is to be checked.
    pub(super) fn is_asked(&self) -> bool {
        self.check
    }
}

/// Runs the package `name` of `archive` in an empty root.
///
/// # Errors
///
/// When no such root can be made here, or the package does not do its job in it.
pub(super) fn run(args: &CheckArgs, archive: &Path, name: &str) -> Result<()> {
    sandbox::ensure_possible()?;
    let work = folder().join("check");
    if work.exists() {
        fs::remove_dir_all(&work)?;
    }
    for folder in ["input", "output", "package"] {
        fs::create_dir_all(work.join(folder))?;
    }
    unpack(archive, &work.join("package"))?;
    let package = work.join("package").join(name);
    let input = work.join("input");
    match (&args.bundle, &args.public_key, &args.images) {
        (Some(bundle), Some(public_key), Some(images)) => copy(bundle, public_key, images, &input)?,
        _ => trial::make(&package.join("bin/unnunet"), &work.join("trial"), &input)?,
    }
    let root = match &args.root {
        Some(root) => fs::canonicalize(root)?,
        None => root::make(&work.join("root"))?,
    };
    let cases = cases_in(&input.join(IMAGES))?;
    let sandbox = Sandbox { root, package, input, output: work.join("output") };
    console::say(&format!("dist: in `{}`, read-only, without network and home", sandbox.root.display()));
    inspect(&sandbox)?;
    predict(&sandbox, &cases)?;
    refuse(&sandbox)?;
    console::say("dist: the package runs where nothing else is");
    Ok(())
}

/// Unpacks as the user does, and checks the sums as the package's README says.
fn unpack(archive: &Path, folder: &Path) -> Result<()> {
    succeed(Command::new("tar").arg("xf").arg(archive).arg("-C").arg(folder))?;
    for entry in fs::read_dir(folder)? {
        let mut sums = Command::new("sha256sum");
        succeed(sums.args(["--check", "--quiet", "--strict", "SHA256SUMS"]).current_dir(entry?.path()))?;
    }
    Ok(())
}

fn copy(bundle: &Path, public_key: &Path, images: &Path, input: &Path) -> Result<()> {
    fs::copy(bundle, input.join(BUNDLE))?;
    fs::copy(public_key, input.join(PUBLIC_KEY))?;
    fs::create_dir_all(input.join(IMAGES))?;
    for entry in fs::read_dir(images)? {
        let entry = entry?;
        fs::copy(entry.path(), input.join(IMAGES).join(entry.file_name()))?;
    }
    Ok(())
}

/// A case's name, and the ending of its files.
type Case = (String, String);

/// The cases whose first channel lies in `folder`, as `<case>_0000<ending>`.
fn cases_in(folder: &Path) -> Result<Vec<Case>> {
    let mut cases = Vec::new();
    for entry in fs::read_dir(folder)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if let Some((case, ending)) = name.rsplit_once("_0000.") {
            cases.push((case.to_owned(), format!(".{ending}")));
        }
    }
    ensure!(!cases.is_empty(), "`{}` has no image `<case>_0000.…`", folder.display());
    Ok(cases)
}

/// The options that name the bundle and its key.
fn bundle_options() -> [String; 4] {
    ["--bundle".to_owned(), format!("{INPUT}/{BUNDLE}"), "--public-key".to_owned(), format!("{INPUT}/{PUBLIC_KEY}")]
}

fn inspect(sandbox: &Sandbox) -> Result<()> {
    let version = run_in(sandbox, &["--version".to_owned()])?;
    expect(&version, env!("CARGO_PKG_VERSION"))?;
    let devices = run_in(sandbox, &["devices", "--json"].map(str::to_owned))?;
    expect(&devices, &format!("{PACKAGE}/lib/libonnxruntime.so"))?;
    expect(&devices, "openvino")?;
    let [_, bundle, option, key] = bundle_options();
    run_in(sandbox, &["bundle".to_owned(), "verify".to_owned(), bundle, option, key])?;
    // On every provider, against what training computed.
    let tests = run_in(sandbox, &[&["self-test".to_owned(), "--json".to_owned()], &bundle_options()[..]].concat())?;
    ["cpu", "openvino"].iter().try_for_each(|provider| expect(&tests, &format!(r#""provider":"{provider}""#)))
}

fn predict(sandbox: &Sandbox, cases: &[Case]) -> Result<()> {
    for device in ["cpu", "openvino", "auto"] {
        run_in(sandbox, &prediction(device, &format!("{OUTPUT}/{device}")))?;
        for path in outputs(cases) {
            let path = sandbox.output.join(device).join(path);
            let n_bytes = fs::metadata(&path)?.len();
            ensure!(n_bytes > 0, "`{}` is empty", path.display());
        }
    }
    Ok(())
}

/// Nothing may be written outside of the folder of outputs: else the root was not read-only, and nothing was shown.
fn refuse(sandbox: &Sandbox) -> Result<()> {
    for place in [PACKAGE, INPUT, "/mnt", ""] {
        let output = sandbox.command(&prediction("cpu", &format!("{place}/elsewhere"))).output()?;
        let stderr = String::from_utf8_lossy(&output.stderr);
        let is_refused = output.status.code() == Some(2) && stderr.contains("Read-only file system");
        ensure!(is_refused, "`{place}/elsewhere` could be written, or failed for another reason: {stderr}");
    }
    Ok(())
}

/// `unnunet predict` of all images on `device` into `output`.
fn prediction(device: &str, output: &str) -> Vec<String> {
    let images = format!("{INPUT}/{IMAGES}");
    let words = ["predict", "--input", &images, "--output", output, "--device", device];
    words.into_iter().map(str::to_owned).chain(bundle_options()).collect()
}

/// What a prediction of `cases` leaves.
fn outputs(cases: &[Case]) -> Vec<String> {
    let of_case = |(case, ending): &Case| {
        [format!("{case}{ending}"), format!("{case}_uncertainty{ending}"), format!("{case}.json")]
    };
    cases.iter().flat_map(of_case).chain(["scores.csv", "report.json"].map(str::to_owned)).collect()
}

/// Runs `unnunet` in the sandbox and returns what it wrote to stdout.
fn run_in(sandbox: &Sandbox, arguments: &[String]) -> Result<String> {
    let what = format!("  unnunet {}", arguments.join(" "));
    let output = console::step(&what, "exit status 0", || succeed(&mut sandbox.command(arguments)))?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn expect(text: &str, part: &str) -> Result<()> {
    ensure!(text.contains(part), "`{part}` is missing in what was written: {text}");
    Ok(())
}

fn succeed(command: &mut Command) -> Result<Output> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.output().with_context(|| format!("cannot run `{program}`"))?;
    let text = [&output.stdout[..], &output.stderr].concat();
    ensure!(output.status.success(), "`{program}` ended with {}: {}", output.status, String::from_utf8_lossy(&text));
    Ok(output)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_case_leaves_a_segmentation_a_map_and_a_trace() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["heart_1_0000.nii.gz", "heart_1_0001.nii.gz", "notes.txt"] {
            fs::write(folder.path().join(name), "").unwrap();
        }
        let cases = cases_in(folder.path()).unwrap();
        let expected = ["heart_1.nii.gz", "heart_1_uncertainty.nii.gz", "heart_1.json", "scores.csv", "report.json"];
        assert_eq!(outputs(&cases), expected);
        fs::remove_file(folder.path().join("heart_1_0000.nii.gz")).unwrap();
        cases_in(folder.path()).unwrap_err();
    }

    #[test]
    fn a_command_that_fails_is_told_with_what_it_wrote() {
        let error = succeed(Command::new("sh").args(["-c", "echo no room; exit 3"])).unwrap_err().to_string();
        assert!(error.contains("no room") && error.contains('3'), "{error}");
    }
}
