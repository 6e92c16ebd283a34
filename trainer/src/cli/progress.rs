//! Progress bars on a terminal, nothing where stderr is piped.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// A bar that counts cases.
pub fn cases(what: &'static str, n: usize) -> ProgressBar {
    bar(n as u64, "{msg} {wide_bar} {pos}/{len} cases, {eta} left", what)
}

/// A bar that counts configurations and pairs of them.
pub fn candidates(what: &'static str, n: usize) -> ProgressBar {
    bar(n as u64, "{msg} {wide_bar} {pos}/{len} configurations and pairs, {eta} left", what)
}

/// A bar that counts predictions of a case by a member.
pub fn predictions(what: &'static str, n: usize) -> ProgressBar {
    bar(n as u64, "{msg} {wide_bar} {pos}/{len} predictions, {eta} left", what)
}

/// A bar that counts files.
pub fn files(what: &'static str, n: usize) -> ProgressBar {
    bar(n as u64, "{msg} {wide_bar} {pos}/{len} files, {eta} left", what)
}

/// A bar that counts the iterations of a training.
pub fn iterations(n: u64, done: u64) -> ProgressBar {
    let bar = bar(n, "{msg} {wide_bar} {eta} left", "training");
    bar.set_position(done);
    bar.reset_eta();
    bar
}

fn bar(n: u64, template: &str, message: &'static str) -> ProgressBar {
    // `stderr` draws nothing where stderr is no terminal.
    let bar = ProgressBar::with_draw_target(Some(n), ProgressDrawTarget::stderr());
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar.set_message(message);
    bar.enable_steady_tick(Duration::from_millis(500));
    bar
}
