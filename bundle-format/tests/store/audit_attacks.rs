//! A log that was edited, cut, shuffled or extended, and one that a crash tore.

use std::path::{Path, PathBuf};

use bundle_format::Digest;
use bundle_format::store::FileSystem as _;

use crate::device::{Act, MODELS, REFUSE, STORE, audit, outside, play, state};
use crate::simulated_disk::{Cut, SimulatedDisk};

fn log() -> PathBuf {
    Path::new(STORE).join("state/audit.jsonl")
}

/// A device with a history of eight records.
fn device() -> SimulatedDisk {
    let disk = SimulatedDisk::new(outside(&MODELS));
    let id = "test/hearts";
    play(&disk, &[Act::Install(MODELS[0].clone()), Act::Activate(MODELS[0].clone(), REFUSE), Act::Attempt(id)]);
    play(&disk, &[Act::Pass(id), Act::Install(MODELS[2].clone()), Act::Activate(MODELS[2].clone(), REFUSE)]);
    play(&disk, &[Act::Pass(id), Act::Commit(id)]);
    assert_eq!(audit(&disk).unwrap(), 9);
    disk
}

fn lines(disk: &SimulatedDisk) -> Vec<Vec<u8>> {
    disk.content(&log()).unwrap().split_inclusive(|&byte| byte == b'\n').map(<[u8]>::to_vec).collect()
}

/// The log `attacked` does not verify; what is read says where.
#[track_caller]
fn check(disk: &SimulatedDisk, attacked: &[u8], n: Option<usize>) {
    let disk = disk.after(Cut::None);
    disk.tamper(&log(), attacked);
    let error = audit(&disk).expect_err("the attacked log was accepted");
    assert_eq!((error.code(), error.exit_code()), ("E705", 12), "{error}");
    if let Some(n) = n {
        assert!(error.to_string().contains(&format!("at record {n}:")), "{error}");
    }
    assert_eq!(disk.content(&log()).unwrap(), attacked, "the evidence stays");
}

#[test]
fn every_bit_of_every_record_but_the_last_counts() {
    let disk = device();
    let whole = disk.content(&log()).unwrap();
    let last = whole.len() - lines(&disk).last().unwrap().len();
    for at in 0..last {
        for bit in 0..8 {
            let mut attacked = whole.clone();
            attacked[at] ^= 1 << bit;
            check(&disk, &attacked, None);
        }
    }
}

#[test]
fn a_flipped_last_record_is_refused_or_restored_from_the_state() {
    let disk = device();
    let whole = disk.content(&log()).unwrap();
    let start = whole.len() - lines(&disk).last().unwrap().len();
    for at in start..whole.len() {
        let attacked = disk.after(Cut::None);
        let mut bytes = whole.clone();
        bytes[at] ^= 1;
        attacked.tamper(&log(), &bytes);
        // Without its newline the line is what a crash leaves, and is written anew; else it is another record.
        let is_torn = at + 1 == whole.len();
        assert_eq!(audit(&attacked).is_ok(), is_torn, "byte {at}");
        let next = Act::Install(MODELS[1].clone()).on(&attacked, 20);
        assert_eq!(next.err().map(|error| error.code()), (!is_torn).then_some("E705"), "byte {at}");
        if is_torn {
            assert!(attacked.content(&log()).unwrap().starts_with(&whole));
            assert_eq!(audit(&attacked).unwrap(), 10);
        }
    }
}

#[test]
fn lines_that_are_removed_moved_repeated_or_put_in_are_found() {
    let disk = device();
    let lines = lines(&disk);
    let n_lines = lines.len();
    for at in 0..n_lines - 1 {
        let mut removed = lines.clone();
        removed.remove(at);
        check(&disk, &removed.concat(), Some(at));
        // Nothing is written behind a log that lacks a record, however long the others are.
        let lacking = disk.after(Cut::None);
        lacking.tamper(&log(), &removed.concat());
        assert_eq!(Act::Collect.on(&lacking, 30).unwrap_err().code(), "E705");
        assert_eq!(lacking.content(&log()).unwrap(), removed.concat(), "the evidence stays");
        let mut swapped = lines.clone();
        swapped.swap(at, at + 1);
        check(&disk, &swapped.concat(), Some(at));
        let mut repeated = lines.clone();
        repeated.insert(at, lines[at].clone());
        check(&disk, &repeated.concat(), Some(at + 1));
        let mut foreign = lines.clone();
        foreign.insert(at, b"{\"note\":\"nothing to see\"}\n".to_vec());
        check(&disk, &foreign.concat(), Some(at));
        let mut blank = lines.clone();
        blank.insert(at, b"\n".to_vec());
        check(&disk, &blank.concat(), Some(at));
    }
}

#[test]
fn a_log_that_was_cut_is_found_unless_only_the_last_record_is_missing() {
    let disk = device();
    let whole = disk.content(&log()).unwrap();
    let start = whole.len() - lines(&disk).last().unwrap().len();
    for n_bytes in 0..whole.len() {
        let cut = disk.after(Cut::None);
        cut.tamper(&log(), &whole[..n_bytes]);
        if n_bytes < start {
            assert_eq!(audit(&cut).unwrap_err().code(), "E705", "cut after {n_bytes}");
            assert_eq!(Act::Collect.on(&cut, 30).unwrap_err().code(), "E705", "cut after {n_bytes}");
        } else {
            assert_eq!(audit(&cut).unwrap(), 9, "torn after {n_bytes}");
            drop(Act::Collect.on(&cut, 30).unwrap());
            assert!(cut.content(&log()).unwrap().starts_with(&whole), "torn after {n_bytes}");
        }
    }
    let gone = disk.after(Cut::None);
    gone.remove_file(&log()).unwrap();
    assert_eq!(audit(&gone).unwrap_err().code(), "E705");
}

/// The log with record `at` changed and every later record chained anew, as who knows the format would.
fn forged(disk: &SimulatedDisk, at: usize, change: impl Fn(&str) -> String) -> Vec<u8> {
    let mut forged: Vec<String> = Vec::new();
    for (n, line) in lines(disk).iter().enumerate() {
        let mut text = String::from_utf8(line.clone()).unwrap();
        if n == at {
            let changed = change(&text);
            assert_ne!(changed, text);
            text = changed;
        }
        if let Some(before) = forged.last().filter(|_| n > at) {
            let place = text.find("\"previous\":\"").unwrap() + "\"previous\":\"".len();
            text.replace_range(place..place + 64, &Digest::of(before.trim_end().as_bytes()).to_string());
        }
        forged.push(text);
    }
    forged.concat().into_bytes()
}

#[test]
fn a_chain_that_was_forged_throughout_does_not_end_as_the_state_says() {
    let disk = device();
    for at in 1..8 {
        let attacked = forged(&disk, at, |text| text.replace(".0.0\"", ".0.9\""));
        check(&disk, &attacked, Some(8));
    }
    let last = forged(&disk, 8, |text| text.replace("\"floor\":2", "\"floor\":1"));
    check(&disk, &last, Some(8));
}

#[test]
fn a_record_after_the_states_last_is_unknown() {
    let disk = device();
    let later = disk.after(Cut::None);
    Act::Install(MODELS[1].clone()).on(&later, 20).unwrap();
    check(&disk, &later.content(&log()).unwrap(), Some(9));
    // So an older state beside a newer log is refused, and floors cannot be put back alone.
    let file = Path::new(STORE).join("state/device.json");
    later.tamper(&file, &disk.content(&file).unwrap());
    assert_eq!(Act::Collect.on(&later, 30).unwrap_err().code(), "E705");
}

#[test]
fn a_floor_lowered_in_the_state_contradicts_the_log() {
    let disk = device();
    let file = Path::new(STORE).join("state/device.json");
    let text = String::from_utf8(disk.content(&file).unwrap()).unwrap();
    let place = text.find("\"models\"").unwrap();
    let lowered = format!("{}{}", &text[..place], text[place..].replace("\"floor\":2", "\"floor\":0"));
    disk.tamper(&file, lowered.as_bytes());
    assert_eq!(state(&disk).unwrap().floor(&MODELS[0].id()), 0);
    let error = audit(&disk).unwrap_err();
    assert!(error.code() == "E705" && error.to_string().contains("lower floor"), "{error}");
}

#[test]
fn an_endless_line_is_refused_without_reading_it_all() {
    let disk = device();
    let mut attacked = lines(&disk)[0].clone();
    attacked.resize(4 << 20, b'x');
    check(&disk, &attacked, Some(1));
}
