//! What a device must offer, requirement by requirement.

use bundle_format::{Arch, ExecutionProvider, Host};
use semver::Version;

use crate::support::{draft, tokens};

fn host() -> Host {
    Host {
        runtime: Version::new(0, 1, 0),
        onnxruntime: Version::new(1, 24, 1),
        features: tokens(&["streaming"]),
        compatible: tokens(&["generic", "scanner-3"]),
        arch: Some(Arch::X86_64),
        execution_providers: vec![ExecutionProvider::Cpu],
        memory_mib: 64,
        device_memory_mib: 0,
    }
}

#[track_caller]
fn check(edit: impl FnOnce(&mut Host), expected: Option<&str>) {
    let mut requirements = draft(1).requires;
    requirements.features = tokens(&["streaming"]);
    requirements.device_memory_mib = 0;
    let mut host = host();
    edit(&mut host);
    let code = requirements.check(&host).err().map(|error| error.rule().code());
    assert_eq!(code, expected);
}

#[test]
fn each_requirement_has_its_own_code() {
    check(|_| {}, None);
    check(|host| host.runtime = Version::new(2, 0, 0), Some("E501"));
    check(|host| host.onnxruntime = Version::new(1, 19, 9), Some("E502"));
    check(|host| host.features.clear(), Some("E503"));
    check(|host| host.compatible = tokens(&["scanner-3"]), Some("E504"));
    check(|host| host.arch = None, Some("E505"));
    check(|host| host.execution_providers = vec![ExecutionProvider::Cuda], Some("E506"));
    check(|host| host.memory_mib = 63, Some("E507"));
    let mut requirements = draft(1).requires;
    requirements.device_memory_mib = 1;
    let error = requirements.check(&host()).unwrap_err();
    assert_eq!((error.rule().code(), error.rule().exit_code()), ("E508", 13));
}

#[test]
fn an_empty_list_of_processors_allows_every_one() {
    let mut requirements = draft(1).requires;
    requirements.arch.clear();
    let host = Host { arch: None, ..host() };
    assert_eq!(requirements.check(&host), Ok(()));
}
