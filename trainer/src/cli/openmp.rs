//! How libtorch's threads wait for each other.
//!
//! Its OpenMP library lets a thread that waits spin at full speed. Where anything else runs on the machine, threads then
//! spin while the one that they wait for has no processor: on two shared processors an iteration was seen to take
//! seven times as long. The library reads its environment before `main`, so the program starts itself anew, once.

use std::os::unix::process::CommandExt as _;
use std::process::Command;

use crate::cli::output;

/// What the library reads, in order; whoever has set one of them has decided.
const SETTINGS: [&str; 3] = ["OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME"];

/// Makes threads of OpenMP sleep while they wait; returns only where that is settled already.
///
/// The process keeps its number, arguments and open files. If it cannot be started anew, it goes on as it is: the
/// result is the same, only later.
pub fn wait_asleep() {
    if SETTINGS.iter().any(|name| std::env::var_os(name).is_some()) {
        return;
    }
    let Ok(program) = std::env::current_exe() else { return };
    let mut arguments = std::env::args_os();
    let name = arguments.next().unwrap_or_else(|| program.clone().into_os_string());
    let error = Command::new(&program).arg0(name).args(arguments).env(SETTINGS[0], "passive").exec();
    output::note(format_args!("warning: threads will spin while they wait: cannot start anew: {error}"));
}
