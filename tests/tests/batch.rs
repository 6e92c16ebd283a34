//! A folder of cases through one run of `unnunet predict`: schedules, memory, resuming, and what a run may not touch.
//!
//! Where `strace` or `unshare` are missing or forbidden, the tests that need them say so on stderr.
#![cfg(feature = "with-trainer")]
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::BTreeMap;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::Command;

use fs_err as fs;
use phantoms::hearts::{Hearts, case_name};
use phantoms::programs::{outcome, succeed};
use phantoms::trial::Trial;
use serde_json::Value;
use tempfile::TempDir;

const N_TRAINING: usize = 10;
const N_TEST: usize = 4;
/// Some cases failed, the others are done.
const SOME_FAILED: i32 = 1;
/// The run would need more than it may.
const OVER_LIMIT: i32 = 14;

/// A bundle of two folds with two checkpoints each, and a folder of images.
struct Desk {
    folder: TempDir,
    trial: Trial,
}

impl Desk {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Hearts { n_training: N_TRAINING, n_test: N_TEST, seed: 1 }.write(&folder.path().join("raw")).unwrap();
        let trial = Trial::new(folder.path(), Hearts::NAME, "2d");
        trial.plan_and_preprocess(&["--features", "4", "--batch-size", "2", "--patch-size", "64,64"]);
        for fold in [0, 1] {
            succeed(&mut trial.train(fold, &["--epochs", "2", "--cycles", "2", "--iterations", "1", "--late", "1"]));
        }
        trial.export();
        trial.sign();
        Self { folder, trial }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn images(&self) -> PathBuf {
        self.trial.raw_dataset().join("imagesTs")
    }

    fn image(&self, case: usize) -> PathBuf {
        self.images().join(format!("{}_0000.nii.gz", case_name(N_TRAINING + case)))
    }

    /// `unnunet predict` of the images into `output`.
    fn predict(&self, output: &str, flags: &[&str]) -> Command {
        let mut predict = self.trial.predict(&self.images(), &self.path(output));
        predict.args(["--mirroring", "off"]).args(flags);
        predict
    }

    fn json(&self, name: &str) -> Value {
        serde_json::from_slice(&fs::read(self.path(name)).unwrap()).unwrap()
    }

    /// All files of an output folder that hold no times, with their content.
    fn results(&self, output: &str) -> BTreeMap<PathBuf, Vec<u8>> {
        let (mut results, mut folders) = (BTreeMap::new(), vec![self.path(output)]);
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else if path.extension().is_none_or(|ending| ending != "json") {
                    let name = path.strip_prefix(self.path(output)).unwrap().to_owned();
                    results.insert(name, fs::read(&path).unwrap());
                }
            }
        }
        results
    }
}

/// The test cases in their order.
fn cases() -> [String; N_TEST] {
    std::array::from_fn(|case| case_name(N_TRAINING + case))
}

/// Asserts that a run took no more than it said beforehand; returns what it said.
fn assert_memory_was_foreseen(report: &Value) -> u64 {
    let bytes = |name: &str| report["memory"][name].as_u64();
    let (predicted, peak) = (bytes("predicted_bytes").unwrap(), bytes("peak_bytes").unwrap());
    assert!(peak <= predicted, "{}", report["memory"]);
    assert!(bytes("limit_bytes").is_none_or(|limit| predicted <= limit), "{}", report["memory"]);
    predicted
}

#[test]
fn results_are_the_same_bytes_whatever_jobs_and_memory() {
    let desk = Desk::new();
    let keep = ["--save-folds", "--save-probabilities"];
    let lines = succeed(&mut desk.predict("base", &[&keep[..], &["--jobs", "1"]].concat()));
    assert_memory_was_foreseen(&desk.json("base/report.json"));
    let base = desk.results("base");
    assert_eq!(base.len(), N_TEST * (2 + 1 + 3) + 1, "{:?}", base.keys());

    // What the smallest schedule needs is told when even that is refused.
    let refused = outcome(&mut desk.predict("refused", &[&keep[..], &["--memory", "1MiB"]].concat()));
    let stderr = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(OVER_LIMIT), "{stderr}");
    assert!(stderr.contains("`--memory` allows 1 MiB") && !desk.path("refused").exists(), "{stderr}");
    let needed = stderr.split("needs up to ").nth(1).and_then(|text| text.split(' ').next()).unwrap();
    // Libraries take a few MiB more or less from run to run.
    let scarce = format!("{}MiB", needed.parse::<u64>().unwrap() + 8);

    for flags in [["--jobs", "3"], ["--memory", &scarce], ["--memory", "4GiB"]] {
        assert_eq!(succeed(&mut desk.predict("other", &[&keep[..], &flags].concat())), lines, "{flags:?}");
        assert!(desk.results("other") == base, "{flags:?}");
        assert_memory_was_foreseen(&desk.json("other/report.json"));
        fs::remove_dir_all(desk.path("other")).unwrap();
    }
}

#[test]
fn memory_does_not_grow_with_the_cases() {
    let desk = Desk::new();
    let peak = |n_cases: usize| {
        let images = desk.path(&format!("{n_cases}_images"));
        fs::create_dir(&images).unwrap();
        for n in 0..n_cases {
            fs::copy(desk.image(n % N_TEST), images.join(format!("case_{n:03}_0000.nii.gz"))).unwrap();
        }
        let output = format!("{n_cases}");
        let mut predict = desk.trial.predict(&images, &desk.path(&output));
        succeed(predict.args(["--mirroring", "off", "--folds", "0", "--members", "1"]));
        let report = desk.json(&format!("{output}/report.json"));
        assert_memory_was_foreseen(&report);
        report["memory"]["peak_bytes"].as_u64().unwrap()
    };
    let (few, many) = (peak(10), peak(200));
    // 100 KiB for each of 190 cases. What compresses a file takes three times as much, which was left behind once.
    assert!(many < few + (19 << 20), "{few} bytes of 10 cases, {many} of 200");
}

#[test]
fn a_resumed_run_does_what_is_missing_and_reports_everything() {
    let desk = Desk::new();
    let name = |case: usize, ending: &str| desk.path("out").join(format!("{}{ending}", cases()[case]));
    fs::write(desk.image(1), "no image").unwrap();
    let status = outcome(&mut desk.predict("out", &[])).status.code();
    assert_eq!(status, Some(SOME_FAILED));

    // As if the first run had been killed: one case was never written, one only in part, and a writer left its file.
    fs::copy(desk.image(2), desk.image(1)).unwrap();
    fs::remove_file(name(3, ".json")).unwrap();
    fs::write(name(2, ".nii.gz"), "half of it").unwrap();
    fs::write(desk.path("out/.a.nii.gz.12-0.tmp"), "half of it").unwrap();
    let kept = fs::metadata(name(0, ".nii.gz")).unwrap().modified().unwrap();
    let output = outcome(&mut desk.predict("out", &["--resume", "--json"]));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && stderr.contains("1 of 4 cases were finished before"), "{stderr}");
    assert_eq!(fs::metadata(name(0, ".nii.gz")).unwrap().modified().unwrap(), kept);
    assert_eq!(String::from_utf8_lossy(&output.stdout).lines().count(), N_TEST);

    succeed(&mut desk.predict("once", &[]));
    assert!(desk.results("out") == desk.results("once"), "a resumed run differs from one run");
    let report = desk.json("out/report.json");
    assert_eq!((&report["n_done"], &report["n_failed"]), (&N_TEST.into(), &0.into()));
    let listed: Vec<_> = report["cases"].as_array().unwrap().iter().map(|case| case["case"].clone()).collect();
    assert_eq!(listed, cases());

    let finished_before = |flags: &[&str]| {
        let output = outcome(&mut desk.predict("out", &[&["--resume"], flags].concat()));
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        stderr.split(" of 4 cases").next().unwrap().to_owned()
    };
    assert_eq!(finished_before(&["--jobs", "1"]), "4", "how a run is arranged makes no other results");
    assert_eq!(finished_before(&["--select", "mean"]), "0", "another option makes other results");
}

#[test]
fn members_and_rules_are_chosen_by_name() {
    let desk = Desk::new();
    let refuse = |flags: &[&str], words: &str| {
        let output = outcome(&mut desk.predict("refused", flags));
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code() == Some(2) && stderr.contains(words), "{stderr}");
        assert!(!desk.path("refused").exists());
    };
    refuse(&["--members", "checkpoint_7"], "the bundle has no `fold_0/checkpoint_7`, only fold_0/checkpoint_0, ");
    refuse(&["--members", "0"], "--members");
    refuse(&["--memory", "8"], "such as `512MiB`");
    refuse(&["--previous-stage", "."], "configuration `2d` has no previous stage");

    succeed(&mut desk.predict("last", &["--members", "1", "--select", "mean", "--average", "logits"]));
    let report = desk.json("last/report.json");
    assert_eq!(report["members"], serde_json::json!(["fold_0/checkpoint_1", "fold_1/checkpoint_1"]));
    assert!(report["cases"].as_array().unwrap().iter().all(|case| case["selected_fold"].is_null()));
    let (select, average) = (&report["options"]["select"], &report["options"]["average"]);
    assert_eq!((select, average), (&"mean".into(), &"logits".into()));
    assert!(report["deviation"].as_str().unwrap().contains("with mirroring"), "{report}");

    // The library that `setup` brings was not built for GPUs.
    for provider in ["cuda", "tensorrt"] {
        let output = outcome(desk.trial.with_bundle("self-test").args(["--device", provider]));
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code() == Some(2) && stderr.contains(&format!("{provider} f32")), "{stderr}");
    }
}

/// Runs `command`; `None`, said on stderr, if it is missing or may not do what it does.
fn try_run(command: &mut Command, forbidden: &str) -> Option<()> {
    let output = command.output().ok();
    let stderr = output.as_ref().map(|output| String::from_utf8_lossy(&output.stderr).into_owned());
    if stderr.as_ref().is_none_or(|stderr| stderr.contains(forbidden)) {
        let (program, stderr) = (command.get_program().display(), stderr.unwrap_or_default());
        let _ = writeln!(io::stderr(), "not tested: cannot run `{program}`: {stderr}");
        return None;
    }
    assert!(output?.status.success(), "{}", stderr.unwrap_or_default());
    Some(())
}

/// `wrapper` around a command.
fn wrapped(wrapper: &mut Command, command: &Command) -> Command {
    wrapper.arg(command.get_program()).args(command.get_args());
    std::mem::replace(wrapper, Command::new(""))
}

#[test]
fn a_run_opens_no_connection_and_starts_no_program() {
    let desk = Desk::new();
    let log = desk.path("log");
    let mut strace = Command::new("strace");
    strace.args(["-f", "-qq", "-e", "trace=%network,%process", "-o"]).arg(&log);
    let Some(()) = try_run(&mut wrapped(&mut strace, &desk.predict("out", &[])), "strace: ") else { return };
    let log = fs::read_to_string(log).unwrap();
    let calls = |name: &str| log.lines().filter(move |line| line.contains(&format!(" {name}("))).collect::<Vec<_>>();
    assert_eq!(calls("execve").len(), 1, "{log}");
    for call in ["socket", "connect", "sendto", "fork", "vfork"] {
        assert!(calls(call).is_empty(), "{:?}", calls(call));
    }
    let threads = [calls("clone"), calls("clone3")].concat();
    assert!(!threads.is_empty() && threads.iter().all(|call| call.contains("CLONE_THREAD")), "{threads:?}");
}

#[test]
fn a_run_needs_no_home_and_writes_nowhere_but_to_its_output() {
    let desk = Desk::new();
    fs::create_dir(desk.path("out")).unwrap();
    let script =
        r#"mount --bind "$0" "$0" && mount -o remount,bind,ro / && cd / && ! touch /x 2>/dev/null && exec "$@""#;
    let mut unshare = Command::new("unshare");
    unshare.args(["--map-root-user", "--mount", "--net", "sh", "-c", script]).arg(desk.path("out"));
    unshare.env_clear();
    let forbidden = "ermi";
    let Some(()) = try_run(&mut wrapped(&mut unshare, &desk.predict("out", &[])), forbidden) else { return };
    assert_eq!(desk.json("out/report.json")["n_done"], N_TEST);
}
