//! What a store refuses: older, lower, unproven, missing, replaced, put back.

use std::path::Path;

use bundle_format::store::{
    Activation, DeviceStore, Disk, Downgrade, Event, MemoryCounter, Moment, NoCounter, StoreError, Trial, verify_with,
};
use bundle_format::{BundleContents as _, BundleError, TrustedKeys, sign};

use crate::device::{ALLOW, Act, MODELS, Model, REFUSE, STORE, audit, moment, outside, play, state, verify};
use crate::simulated_disk::{Cut, SimulatedDisk};
use crate::support::{Fixture, builder, draft, files, key};

const HEARTS: &str = "test/hearts";

/// `act` is refused with `code` and exit status `exit`, and changes nothing.
#[track_caller]
fn check(disk: &SimulatedDisk, act: &Act, (code, exit): (&str, u8), words: &str) {
    let (before, n_records) = (state(disk).unwrap(), audit(disk).unwrap());
    let error = act.on(disk, 99).expect_err("the operation must be refused");
    assert_eq!((error.code(), error.exit_code()), (code, exit), "{error}");
    assert!(error.to_string().contains(words), "{error}");
    assert_eq!(state(disk).unwrap(), before);
    assert_eq!(audit(disk).unwrap(), n_records);
}

/// A device on which `MODELS[n]` is active and proven, the ones before it installed.
fn device(n: usize) -> SimulatedDisk {
    let disk = SimulatedDisk::new(outside(&MODELS));
    for model in &MODELS[..=n] {
        play(&disk, &[Act::Install(model.clone())]);
    }
    play(&disk, &[Act::Activate(MODELS[n].clone(), REFUSE), Act::Attempt(HEARTS), Act::Pass(HEARTS)]);
    disk
}

#[test]
fn a_security_version_below_the_floor_is_neither_installed_nor_activated() {
    let disk = device(2);
    play(&disk, &[Act::Commit(HEARTS)]);
    let words = "security version 1, this device asks for at least 2";
    check(&disk, &Act::Activate(MODELS[0].clone(), ALLOW), ("E711", 12), words);
    check(&disk, &Act::Install(MODELS[0].clone()), ("E711", 12), words);
    play(&disk, &[Act::Activate(MODELS[1].clone(), ALLOW)]);
}

#[test]
fn activating_does_not_raise_the_floor_and_committing_does() {
    let disk = device(2);
    let floor = || state(&disk).unwrap().floor(&MODELS[0].id());
    assert_eq!(floor(), 0);
    play(&disk, &[Act::Commit(HEARTS)]);
    assert_eq!(floor(), 2);
    let found = state(&disk).unwrap();
    assert!(found.active(&MODELS[0].id()).unwrap().committed);
    assert!(matches!(found.audit.last.event, Event::Commit { floor: 2, .. }));
}

#[test]
fn a_bundle_that_would_lock_itself_out_is_refused() {
    let model = Model { id: HEARTS, version: "1.0.0", security_version: 3, min_security_version: 4 };
    let disk = SimulatedDisk::new(outside(&[model.clone(), MODELS[3].clone()]));
    play(&disk, &[Act::Install(MODELS[3].clone())]);
    check(&disk, &Act::Install(model), ("E712", 12), "security version 3 and would raise the floor to 4");
}

#[test]
fn a_lower_version_needs_leave_and_is_recorded() {
    let disk = device(1);
    let words = "version 1.0.0 is older than the active version 1.1.0";
    check(&disk, &Act::Activate(MODELS[0].clone(), REFUSE), ("E713", 12), words);
    play(&disk, &[Act::Activate(MODELS[0].clone(), ALLOW)]);
    let last = state(&disk).unwrap().audit.last.event;
    assert!(matches!(last, Event::Downgrade(subject) if subject.manifest_sha256 == MODELS[0].digest()));
}

#[test]
fn going_back_to_a_lower_version_needs_leave() {
    let disk = device(0);
    play(&disk, &[Act::Install(MODELS[1].clone()), Act::Activate(MODELS[1].clone(), REFUSE)]);
    play(&disk, &[Act::Attempt(HEARTS), Act::Pass(HEARTS)]);
    check(&disk, &Act::Rollback(HEARTS, Downgrade::Refuse), ("E713", 12), "version 1.0.0 is older");
    play(&disk, &[Act::Rollback(HEARTS, Downgrade::Allow), Act::Attempt(HEARTS), Act::Pass(HEARTS)]);
    let slot = state(&disk).unwrap().models[&MODELS[0].id()].clone();
    assert_eq!(slot.active.unwrap().manifest_sha256, MODELS[0].digest());
    assert_eq!(slot.previous.unwrap().manifest_sha256, MODELS[1].digest());
}

#[test]
fn going_back_below_the_floor_is_refused_even_with_leave() {
    let disk = device(1);
    play(&disk, &[Act::Install(MODELS[2].clone()), Act::Activate(MODELS[2].clone(), REFUSE)]);
    play(&disk, &[Act::Attempt(HEARTS), Act::Pass(HEARTS), Act::Commit(HEARTS)]);
    play(&disk, &[Act::Rollback(HEARTS, Downgrade::Allow), Act::Attempt(HEARTS), Act::Pass(HEARTS)]);
    let disk = device(0);
    play(&disk, &[Act::Install(MODELS[2].clone()), Act::Activate(MODELS[2].clone(), REFUSE)]);
    play(&disk, &[Act::Attempt(HEARTS), Act::Pass(HEARTS), Act::Commit(HEARTS)]);
    check(&disk, &Act::Rollback(HEARTS, Downgrade::Allow), ("E711", 12), "asks for at least 2");
}

#[test]
fn only_a_bundle_that_passed_its_self_test_is_committed() {
    let disk = device(0);
    play(&disk, &[Act::Install(MODELS[1].clone()), Act::Activate(MODELS[1].clone(), REFUSE)]);
    check(&disk, &Act::Commit(HEARTS), ("E714", 12), "has not passed its self-test");
    play(&disk, &[Act::Attempt(HEARTS)]);
    check(&disk, &Act::Commit(HEARTS), ("E714", 12), "has not passed its self-test");
    assert!(!state(&disk).unwrap().active(&MODELS[0].id()).unwrap().is_proven());
}

#[test]
fn what_is_not_there_is_named() {
    let disk = device(0);
    check(&disk, &Act::Activate(MODELS[1].clone(), REFUSE), ("E721", 2), &MODELS[1].digest().to_string());
    for act in [Act::Attempt("test/lungs"), Act::Commit("test/lungs"), Act::FallBack("test/lungs")] {
        check(&disk, &act, ("E722", 2), "no bundle of test/lungs is active");
    }
    check(&disk, &Act::Rollback(HEARTS, Downgrade::Allow), ("E723", 2), "test/hearts has no previous bundle");
    let empty = SimulatedDisk::new(outside(&[]));
    assert_eq!(state(&empty).unwrap_err().code(), "E702");
}

#[test]
fn a_failed_self_test_brings_the_previous_bundle_back() {
    let disk = device(0);
    play(&disk, &[Act::Install(MODELS[1].clone()), Act::Activate(MODELS[1].clone(), REFUSE), Act::Attempt(HEARTS)]);
    play(&disk, &[Act::FallBack(HEARTS)]);
    let found = state(&disk).unwrap();
    let active = found.active(&MODELS[0].id()).unwrap();
    assert_eq!((active.manifest_sha256, active.is_proven()), (MODELS[0].digest(), true));
    assert!(matches!(found.audit.last.event, Event::FallBack { subject, .. } if subject.version.as_str() == "1.1.0"));
}

#[test]
fn three_crashes_of_the_self_test_bring_the_previous_bundle_back() {
    let disk = device(0);
    play(&disk, &[Act::Install(MODELS[1].clone()), Act::Activate(MODELS[1].clone(), REFUSE)]);
    let store = DeviceStore::new(Path::new(STORE), disk.clone(), NoCounter);
    for crash in 0..3 {
        // Whoever starts the self-test is killed: the lock goes, nothing else is said.
        let mut locked = store.lock(moment(10 + crash)).unwrap();
        assert_eq!(locked.attempt(&MODELS[1].id()).unwrap(), Trial::Test(MODELS[1].digest()));
    }
    let mut locked = store.lock(moment(20)).unwrap();
    assert_eq!(locked.attempt(&MODELS[1].id()).unwrap(), Trial::FellBack(MODELS[1].digest()));
    assert_eq!(locked.attempt(&MODELS[1].id()).unwrap(), Trial::Over);
    assert_eq!(locked.state().active(&MODELS[1].id()).unwrap().manifest_sha256, MODELS[0].digest());
}

#[test]
fn the_first_bundle_of_a_device_falls_back_to_none() {
    let disk = SimulatedDisk::new(outside(&MODELS));
    play(&disk, &[Act::Install(MODELS[0].clone()), Act::Activate(MODELS[0].clone(), REFUSE), Act::Attempt(HEARTS)]);
    play(&disk, &[Act::FallBack(HEARTS)]);
    assert_eq!(state(&disk).unwrap().active(&MODELS[0].id()).unwrap_err().rule().code(), "E722");
}

#[test]
fn nothing_below_the_floor_is_fallen_back_to() {
    let disk = device(0);
    play(&disk, &[Act::Install(MODELS[2].clone()), Act::Activate(MODELS[2].clone(), REFUSE)]);
    play(&disk, &[Act::Attempt(HEARTS), Act::Pass(HEARTS), Act::Commit(HEARTS)]);
    // Tried once more, after a change of the machine, it fails.
    play(&disk, &[Act::Activate(MODELS[2].clone(), REFUSE), Act::Attempt(HEARTS), Act::FallBack(HEARTS)]);
    assert_eq!(state(&disk).unwrap().active(&MODELS[0].id()).unwrap_err().rule().code(), "E722");
}

#[test]
fn a_bundle_on_trial_is_never_what_one_falls_back_to() {
    let disk = device(0);
    play(&disk, &[Act::Install(MODELS[1].clone()), Act::Install(MODELS[2].clone())]);
    play(&disk, &[Act::Activate(MODELS[1].clone(), REFUSE), Act::Activate(MODELS[2].clone(), REFUSE)]);
    play(&disk, &[Act::Attempt(HEARTS), Act::FallBack(HEARTS)]);
    assert_eq!(state(&disk).unwrap().active(&MODELS[0].id()).unwrap().manifest_sha256, MODELS[0].digest());
}

#[test]
fn counted_runs_commit_and_others_do_not() {
    let disk = device(0);
    play(&disk, &[Act::Run(HEARTS), Act::Install(MODELS[2].clone())]);
    let counted = Activation { downgrade: Downgrade::Refuse, runs_to_commit: Some(3) };
    play(&disk, &[Act::Activate(MODELS[2].clone(), counted), Act::Attempt(HEARTS)]);
    // A run before the self-test has passed is none that speaks for the bundle.
    play(&disk, &[Act::Run(HEARTS), Act::Pass(HEARTS), Act::Run(HEARTS), Act::Run(HEARTS)]);
    assert_eq!(state(&disk).unwrap().floor(&MODELS[0].id()), 0);
    play(&disk, &[Act::Run(HEARTS)]);
    assert_eq!(state(&disk).unwrap().floor(&MODELS[0].id()), 2);
}

#[test]
fn garbage_is_what_is_neither_active_nor_previous() {
    let disk = device(2);
    play(&disk, &[Act::Install(MODELS[3].clone()), Act::Activate(MODELS[1].clone(), ALLOW), Act::Collect]);
    let found = state(&disk).unwrap();
    let mut kept = vec![MODELS[1].digest(), MODELS[2].digest()];
    kept.sort();
    assert_eq!(found.installed.keys().copied().collect::<Vec<_>>(), kept);
    let store = DeviceStore::new(Path::new(STORE), disk.clone(), NoCounter);
    assert_eq!(store.bundle_bytes(MODELS[0].digest()).unwrap(), None);
    assert!(store.bundle_bytes(MODELS[2].digest()).unwrap().is_some());
}

#[test]
fn a_store_holds_a_limited_number_of_bundles() {
    let ids: Vec<String> = (0..257).map(|n| format!("test/m{n}")).collect();
    let model = |id: &String| Model {
        id: Box::leak(id.clone().into_boxed_str()),
        version: "1.0.0",
        security_version: 1,
        min_security_version: 0,
    };
    let models: Vec<_> = ids.iter().map(model).collect();
    let disk = SimulatedDisk::new(outside(&models));
    for model in &models[..256] {
        play(&disk, &[Act::Install(model.clone())]);
    }
    check(&disk, &Act::Install(models[256].clone()), ("E706", 14), "256 bundles");
}

#[test]
fn another_bundle_in_the_place_of_an_installed_one_is_not_activated() {
    let disk = device(0);
    play(&disk, &[Act::Install(MODELS[1].clone())]);
    let file = DeviceStore::new(Path::new(STORE), disk.clone(), NoCounter).bundle_file(MODELS[1].digest());
    disk.tamper(&file, &MODELS[2].bytes());
    check(&disk, &Act::Activate(MODELS[1].clone(), REFUSE), ("E724", 10), &MODELS[2].digest().to_string());
    disk.tamper(&file, b"damaged");
    check(&disk, &Act::Activate(MODELS[1].clone(), REFUSE), ("E102", 10), "");
    // Installing it again repairs it.
    play(&disk, &[Act::Install(MODELS[1].clone()), Act::Activate(MODELS[1].clone(), REFUSE)]);
}

#[test]
fn a_damaged_or_lost_state_is_refused() {
    let refused = |change: &dyn Fn(&str) -> String| {
        let disk = device(1);
        let file = Path::new(STORE).join("state/device.json");
        let text = String::from_utf8(disk.content(&file).unwrap()).unwrap();
        let changed = change(&text);
        assert_ne!(changed, text);
        disk.tamper(&file, changed.as_bytes());
        let error = Act::Collect.on(&disk, 99).unwrap_err();
        assert_eq!(disk.content(&file).unwrap(), changed.as_bytes(), "the evidence stays");
        (error.code(), error.exit_code())
    };
    let digest = MODELS[1].digest().to_string();
    for change in [
        &|text: &str| text.replace("\"format\":1", "\"format\":2") as String,
        &|text: &str| text.replace("{\"audit\"", "{ \"audit\""),
        &|text: &str| text.replace("\"trust_version\":0}", "\"trust_version\":0,\"z\":1}"),
        &|text: &str| text.replace("\"counter\":0,", ""),
        &|text: &str| text.replace("\"counter\":0,", "\"counter\":-1,"),
        &|text: &str| text.replace("\"committed\":false", "\"committed\":0"),
        &|text: &str| text.replace("\"operation\":\"pass\"", "\"operation\":\"pass\",\"other\":1"),
        &|text: &str| text.replace("\"operation\":\"pass\"", "\"operation\":\"smuggle\""),
        &|text: &str| text.replacen(&format!("\"{digest}\":{{"), &format!("\"{}\":{{", MODELS[3].digest()), 1),
        &|text: &str| text.replace("\"models\":{\"test/hearts\"", "\"models\":{\"test/lungs\""),
        &|text: &str| text[..text.len() - 1].to_owned(),
        &|_: &str| String::new(),
        &|_: &str| "x".repeat(2 << 20),
    ] as [&dyn Fn(&str) -> String; 13]
    {
        assert_eq!(refused(change), ("E703", 20));
    }
}

#[test]
fn a_store_without_its_state_does_not_start_anew() {
    use bundle_format::store::FileSystem as _;
    let disk = device(2);
    play(&disk, &[Act::Commit(HEARTS)]);
    disk.remove_file(&Path::new(STORE).join("state/device.json")).unwrap();
    assert_eq!(Act::Install(MODELS[0].clone()).on(&disk, 99).unwrap_err().code(), "E704");
    disk.remove_file(&Path::new(STORE).join("state/audit.jsonl")).unwrap();
    assert_eq!(Act::Install(MODELS[0].clone()).on(&disk, 99).unwrap_err().code(), "E704");
}

#[test]
fn a_counter_tells_that_a_disk_image_was_put_back() {
    let counter = MemoryCounter::default();
    let disk = SimulatedDisk::new(outside(&MODELS));
    let act = |disk: &SimulatedDisk, act: Act| act.with_counter(disk, 0, &counter);
    for step in
        [Act::Install(MODELS[0].clone()), Act::Install(MODELS[2].clone()), Act::Activate(MODELS[2].clone(), REFUSE)]
    {
        act(&disk, step).unwrap();
    }
    act(&disk, Act::Pass(HEARTS)).unwrap();
    let image = disk.after(Cut::None);
    act(&disk, Act::Commit(HEARTS)).unwrap();
    act(&disk, Act::Collect).unwrap();
    let error = act(&image, Act::Activate(MODELS[0].clone(), ALLOW)).unwrap_err();
    assert_eq!((error.code(), error.exit_code()), ("E704", 12), "{error}");
    assert!(error.to_string().contains("counts 0, the device's counter 1"), "{error}");
    let store = DeviceStore::new(Path::new(STORE), image, &counter);
    assert_eq!(store.state().unwrap_err().code(), "E704");
}

#[test]
fn a_trust_document_older_than_one_seen_is_refused() {
    let disk = SimulatedDisk::new(outside(&MODELS));
    let store = DeviceStore::new(Path::new(STORE), disk.clone(), NoCounter);
    let at = |trust_version| Moment { trust_version, ..moment(1) };
    let installed = store.lock(at(Some(7))).unwrap().install(&MODELS[0].file(), &|file| verify(&disk, file));
    installed.unwrap();
    for former in [Some(6), Some(0)] {
        assert_eq!(store.lock(at(former)).map(|_| ()).unwrap_err().code(), "E704");
    }
    store.lock(at(None)).unwrap().collect().unwrap();
    assert_eq!(store.state().unwrap().audit.last.trust_version, 7);
    store.lock(at(Some(8))).unwrap();
}

#[test]
fn a_clock_that_goes_back_stands_still_in_the_log() {
    let disk = SimulatedDisk::new(outside(&MODELS));
    Act::Install(MODELS[0].clone()).on(&disk, 100).unwrap();
    let found = Act::Activate(MODELS[0].clone(), REFUSE).on(&disk, 5).unwrap();
    assert_eq!(found.audit.last.time, moment(100).now);
    assert_eq!(audit(&disk).unwrap(), 3);
}

#[test]
fn the_whole_matrix_of_versions_floors_and_leave_is_as_the_rule_says() {
    let mut n_cells = 0;
    for floor in 0..=5 {
        let guard = Model { id: HEARTS, version: "2.0.0", security_version: 5, min_security_version: floor };
        for security_version in 1..=5 {
            for min_security_version in 0..=5 {
                for (version, is_lower) in [("1.9.9", true), ("2.0.0", false), ("2.0.1", false), ("2.0.0-rc.1", true)] {
                    let candidate = Model { id: HEARTS, version, security_version, min_security_version };
                    if candidate == guard {
                        continue;
                    }
                    let disk = SimulatedDisk::new(outside(&[guard.clone(), candidate.clone()]));
                    // Installed while the floor is still low, so that activation has to decide.
                    let is_installed = Act::Install(candidate.clone()).on(&disk, 0).is_ok();
                    assert_eq!(is_installed, min_security_version <= security_version);
                    play(&disk, &[Act::Install(guard.clone()), Act::Activate(guard.clone(), REFUSE)]);
                    play(&disk, &[Act::Pass(HEARTS), Act::Commit(HEARTS)]);
                    for (activation, is_allowed) in [(REFUSE, false), (ALLOW, true)] {
                        let expected = match () {
                            () if !is_installed => Some("E721"),
                            () if security_version < floor => Some("E711"),
                            () if is_lower && !is_allowed => Some("E713"),
                            () => None,
                        };
                        let disk = disk.after(Cut::None);
                        let found = Act::Activate(candidate.clone(), activation).on(&disk, 1);
                        assert_eq!(found.err().map(|error| error.code()), expected, "{candidate:?}, floor {floor}");
                        assert_eq!(state(&disk).unwrap().floor(&guard.id()), floor);
                        n_cells += 1;
                    }
                }
            }
        }
    }
    assert!(n_cells >= 1000, "{n_cells} cells");
}

#[test]
fn one_writer_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("device");
    let store = DeviceStore::at(&root);
    let locked = store.lock(moment(0)).unwrap();
    let error = DeviceStore::at(&root).lock(moment(0)).map(|_| ()).unwrap_err();
    assert_eq!((error.code(), error.exit_code()), ("E701", 20));
    // Looking on is free.
    assert_eq!(&DeviceStore::at(&root).state().unwrap(), locked.state());
    drop(locked);
    DeviceStore::at(&root).lock(moment(0)).unwrap();
}

#[test]
fn many_writers_lose_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("device");
    let models: Vec<_> = (0..4)
        .map(|n| Model {
            id: ["test/a", "test/b", "test/c", "test/d"][n],
            version: "1.0.0",
            security_version: 1,
            min_security_version: 0,
        })
        .collect();
    std::thread::scope(|scope| {
        for model in &models {
            let (root, file) = (&root, folder.path().join(model.digest().to_string()));
            fs_err::write(&file, model.bytes()).unwrap();
            scope.spawn(move || {
                let store = DeviceStore::at(root);
                for _ in 0..3 {
                    let mut locked = loop {
                        match store.lock(moment(0)) {
                            Ok(locked) => break locked,
                            Err(BundleError::Store(StoreError::Busy { .. })) => std::thread::yield_now(),
                            Err(error) => panic!("{error}"),
                        }
                    };
                    locked.install(&file, &|file| verify(&Disk, file)).unwrap();
                }
            });
        }
    });
    let store = DeviceStore::at(&root);
    assert_eq!(store.state().unwrap().installed.len(), models.len());
    assert_eq!(store.verify_audit(&mut |_| ()).unwrap(), 13);
}

#[test]
fn links_in_the_place_of_the_stores_files_are_not_followed() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("device");
    let store = DeviceStore::at(&root);
    drop(store.lock(moment(0)).unwrap());
    let state = root.join("state/device.json");
    fs_err::rename(&state, folder.path().join("elsewhere.json")).unwrap();
    std::os::unix::fs::symlink(folder.path().join("elsewhere.json"), &state).unwrap();
    assert_eq!(store.state().unwrap_err().code(), "E101");
    std::os::unix::fs::symlink(&root, folder.path().join("link")).unwrap();
    assert_eq!(DeviceStore::at(&folder.path().join("link")).lock(moment(0)).map(|_| ()).unwrap_err().code(), "E101");
}

#[test]
fn a_real_bundle_is_installed_loaded_and_refused_when_it_changes() {
    let fixture = Fixture::signed();
    let keys = TrustedKeys::single(fixture.public.clone());
    let others = TrustedKeys::single(key(2).public_key());
    let root = fixture.folder.path().join("device");
    let store = DeviceStore::at(&root);

    let mut locked = store.lock(moment(0)).unwrap();
    let before = locked.state().clone();
    assert_eq!(locked.install(&fixture.bundle(), &verify_with(&others)).unwrap_err().code(), "E307");
    assert_eq!(fs_err::read_dir(root.join("store")).unwrap().count(), 0);
    assert_eq!(store.state().unwrap(), before);
    let digest = locked.install(&fixture.bundle(), &verify_with(&keys)).unwrap();
    assert_eq!(fs_err::read(store.bundle_file(digest)).unwrap(), fixture.bytes());
    let id = locked.activate(digest, REFUSE, &verify_with(&keys)).unwrap();
    assert_eq!(id.as_str(), HEARTS);

    // Installing again replaces the file.
    sign(&fixture.bundle(), &key(1), &fixture.folder.path().join("again.unb")).unwrap();
    assert_eq!(locked.install(&fixture.folder.path().join("again.unb"), &verify_with(&keys)).unwrap(), digest);
    let state = store.state().unwrap();
    assert_eq!(store.load(&state, digest, &keys).unwrap().manifest_sha256(), &digest);
    assert_eq!(store.load(&state, digest, &others).unwrap_err().code(), "E307");

    // Every byte counts at each load.
    let file = store.bundle_file(digest);
    let whole = fs_err::read(&file).unwrap();
    for at in (0..whole.len()).step_by(97) {
        let mut changed = whole.clone();
        changed[at] ^= 1;
        fs_err::write(&file, changed).unwrap();
        store.load(&state, digest, &keys).unwrap_err();
    }
    fs_err::write(&file, &whole).unwrap();

    // Properly signed, but not what was installed.
    let mut other = draft(1);
    other.version = "0.9.0".parse().unwrap();
    builder(other, files(1)).write(&file).unwrap();
    sign(&file, &key(1), &file).unwrap();
    let error = store.load(&state, digest, &keys).unwrap_err();
    assert_eq!((error.code(), error.exit_code()), ("E724", 10));
}
