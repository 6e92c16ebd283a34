//! Trainings that are killed, or find no room on the disk, go on to the same end.
//!
//! The disk is full for a process whose files may not grow beyond a limit: it gets an error in the middle of a write, as
//! from a full disk, and needs neither privileges nor a disk of its own for it. Unless it ignores the signal that comes
//! first: then it is killed in the middle of a write.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod squares;

use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use trainer::checkpoint::CheckpointFolder;

const PROGRAM: &str = env!("CARGO_BIN_EXE_unnunet-train");
const TRAIN: &str = "train 1 2d 0 --epochs 12 --iterations 4 --cycles 2 --checkpoints late --late 1 --threads 1 --workers 1 --device cpu";
/// Times a training is killed before it may end.
const N_KILLS: usize = 8;
/// Far more than a training of a second or two takes.
const PATIENCE: Duration = Duration::from_mins(3);

/// A planned and preprocessed data set.
fn prepared() -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    squares::write(root.path());
    let plan = "plan-and-preprocess -d 1 -c 2d --features 4 --batch-size 2";
    let output = command(root.path(), "whole", plan).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    root
}

/// The program with its results in a folder of this name.
fn command(root: &Path, results: &str, arguments: &str) -> Command {
    let mut command = Command::new(PROGRAM);
    command.args(arguments.split_whitespace());
    with_folders(command, root, results)
}

/// What happens to a program that writes beyond its limit.
#[derive(Debug, Clone, Copy)]
enum Beyond {
    Error,
    Kill,
}

/// The program whose files may have this many KiB.
fn limited(root: &Path, results: &str, arguments: &str, (kib, beyond): (u64, Beyond)) -> Command {
    let signal = match beyond {
        Beyond::Error => "trap '' XFSZ",
        Beyond::Kill => "ulimit -c 0",
    };
    let mut command = Command::new("bash");
    command.args(["-c", &format!("{signal}; ulimit -f {kib}; exec \"$0\" \"$@\""), PROGRAM]);
    command.args(arguments.split_whitespace());
    with_folders(command, root, results)
}

fn with_folders(mut command: Command, root: &Path, results: &str) -> Command {
    command.env("nnUNet_raw", root.join("raw")).env("nnUNet_preprocessed", root.join("preprocessed"));
    command.env("nnUNet_results", root.join(results));
    command
}

fn fold(root: &Path, results: &str) -> PathBuf {
    root.join(results).join("Dataset001_Squares/UnnunetTrainer__nnUNetPlans__2d/fold_0")
}

fn succeed(mut command: Command) -> Output {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output
}

fn names(folder: &Path) -> Vec<String> {
    let Ok(entries) = fs_err::read_dir(folder) else { return Vec::new() };
    let mut names: Vec<_> = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect();
    names.sort();
    names
}

/// Everything that a training leaves, without the times in its table.
fn files(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let timed = |name: &&String| !["progress.png", "events.out.tfevents.unnunet"].contains(&name.as_str());
    let content = |name: &String| {
        let content = fs_err::read(folder.join(name)).unwrap();
        if name != "progress.csv" {
            return content;
        }
        let text = String::from_utf8(content).unwrap();
        let without_times = |line: &str| line.rsplitn(3, ',').last().unwrap().to_owned();
        text.lines().map(without_times).collect::<Vec<_>>().join("\n").into_bytes()
    };
    names(folder).iter().filter(timed).map(|name| (name.clone(), content(name))).collect()
}

fn check_same(root: &Path, results: &str) {
    let (expected, found) = (files(&fold(root, "whole")), files(&fold(root, results)));
    let names = |files: &[(String, Vec<u8>)]| files.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
    assert_eq!(names(&found), names(&expected));
    for ((name, expected), (_, found)) in expected.iter().zip(&found) {
        assert!(expected == found, "`{name}` differs from that of the uninterrupted training");
    }
}

/// The last epoch that a folder can be resumed from; also checks that at most one more was finished.
fn saved_epoch(folder: &Path) -> Option<u32> {
    let n_finished = fs_err::read_to_string(folder.join("progress.csv")).map_or(0, |text| text.lines().count() - 1);
    let checkpoints = CheckpointFolder::new(folder);
    let epoch = checkpoints.latest_path().exists().then(|| checkpoints.load_latest().unwrap().state.epoch);
    let n_saved = epoch.map_or(0, |epoch| epoch as usize + 1);
    assert!(n_finished <= n_saved + 1, "{n_finished} epochs were finished, {n_saved} can be resumed from");
    epoch
}

/// When to kill.
enum Moment {
    After(Duration),
    /// As soon as there is a file whose name begins like this.
    Seen(&'static str),
}

/// Kills a training at a moment, unless it ends before; whether it was killed.
fn kill(child: &mut Child, folder: &Path, moment: &Moment) -> bool {
    let start = Instant::now();
    loop {
        let has_come = match moment {
            Moment::After(delay) => start.elapsed() >= *delay,
            Moment::Seen(name) => names(folder).iter().any(|file| file.starts_with(name)),
        };
        if has_come {
            // By the signal that no program can catch.
            child.kill().unwrap();
            return !child.wait().unwrap().success();
        }
        if child.try_wait().unwrap().is_some() {
            return false;
        }
        assert!(start.elapsed() < PATIENCE, "the moment does not come");
        if matches!(moment, Moment::After(_)) {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

#[test]
fn a_training_killed_again_and_again_ends_as_an_undisturbed_one() {
    let root = prepared();
    let (root, folder) = (root.path(), fold(root.path(), "killed"));
    let start = Instant::now();
    succeed(command(root, "whole", TRAIN));
    let whole = start.elapsed();

    let latest = fs_err::metadata(fold(root, "whole").join("checkpoint_latest.safetensors")).unwrap().len() / 1024;
    let (mut n_killed, mut random, mut last) = (0, 7_u32, None);
    for number in 0..N_KILLS {
        let going_on = format!("{TRAIN} --continue");
        let arguments = if folder.join("run.json").is_file() { &going_on } else { TRAIN };
        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        if number % 3 == 0 {
            // In the middle of writing the state.
            let status = limited(root, "killed", arguments, (latest - 1, Beyond::Kill)).output().unwrap().status;
            if status.success() {
                break;
            }
            assert_eq!(status.signal(), Some(libc::SIGXFSZ), "{status}");
            let unfinished = names(&folder).into_iter().find(|name| name.starts_with(".checkpoint_latest."));
            assert!(unfinished.is_some(), "{:?}", names(&folder));
            continue;
        }
        let moment = match number {
            // When one of two files is there, but not yet the other.
            1 => Moment::Seen("checkpoint_best.safetensors"),
            4 => Moment::Seen(".checkpoint_best."),
            7 => Moment::Seen(".progress.png."),
            // Anywhere between the start of the program and its end.
            _ => Moment::After(whole.mul_f64(f64::from(random >> 8) / f64::from(1 << 24))),
        };
        let mut command = command(root, "killed", arguments);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let was_killed = kill(&mut child, &folder, &moment);
        n_killed += usize::from(was_killed);
        let epoch = saved_epoch(&folder);
        assert!(epoch >= last, "epoch {last:?} was saved, then {epoch:?}");
        last = epoch;
        if !was_killed {
            break;
        }
    }
    assert!(n_killed > 0, "the training ended before it was killed");
    succeed(command(root, "killed", &format!("{TRAIN} --continue")));
    check_same(root, "killed");
}

#[test]
fn a_full_disk_is_named_and_costs_no_more_than_the_epoch() {
    let root = prepared();
    let root = root.path();
    succeed(command(root, "whole", TRAIN));
    let kib = |name: &str| fs_err::metadata(fold(root, "whole").join(name)).unwrap().len().div_ceil(1024);
    let (member, latest) = (kib("checkpoint_5.safetensors"), kib("checkpoint_latest.safetensors"));
    assert!(member + 1 < latest && member > 20, "{member} and {latest} KiB");
    let fails = |arguments: &str, kib: u64, file: &str| {
        let output = limited(root, "full", arguments, (kib, Beyond::Error)).output().unwrap();
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{text}");
        assert!(text.contains("cannot write a checkpoint") && text.contains(file), "{text}");
        assert!(text.contains("File too large") && !text.contains("panicked"), "{text}");
    };
    let folder = fold(root, "full");

    // In the first epoch nothing was saved yet, and going on begins afresh.
    fails(TRAIN, latest - 1, ".checkpoint_latest.safetensors");
    assert_eq!(saved_epoch(&folder), None);
    let mut child = command(root, "full", &format!("{TRAIN} --continue")).stdout(Stdio::null()).spawn().unwrap();
    assert!(kill(&mut child, &folder, &Moment::Seen("checkpoint_latest.safetensors")), "it was not killed");
    let saved = saved_epoch(&folder);
    assert!((Some(0)..Some(11)).contains(&saved), "{saved:?}");

    // Later every file of the last epoch stays, and nothing of the next.
    let before = fs_err::read(folder.join("checkpoint_latest.safetensors")).unwrap();
    for (kib, file) in [(latest - 1, ".checkpoint_latest.safetensors"), (member - 1, ".checkpoint_")] {
        fails(&format!("{TRAIN} --continue"), kib, file);
        assert!(fs_err::read(folder.join("checkpoint_latest.safetensors")).unwrap() == before);
        assert_eq!(saved_epoch(&folder), saved);
        let unfinished = names(&folder).into_iter().filter(|name| name.starts_with('.')).collect::<Vec<_>>();
        assert!(unfinished.is_empty(), "{unfinished:?}");
    }
    succeed(command(root, "full", &format!("{TRAIN} --continue")));
    check_same(root, "full");
}
