//! The progress bar: cases, patches, time left; on a terminal only.

use std::io::{self, IsTerminal as _};
use std::sync::atomic::{AtomicU64, Ordering};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Where the patches of cases that nobody has read yet come in: they are taken to be like those before.
pub(crate) struct Progress {
    bar: ProgressBar,
    n_cases: u64,
    cases_begun: AtomicU64,
    cases_over: AtomicU64,
    /// Cases that could not be read, and have no patches.
    cases_left_out: AtomicU64,
    /// Patches of the cases that have begun.
    patches_begun: AtomicU64,
}

/// Whether there is a bar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Display {
    /// If stderr is a terminal.
    OnTerminal,
    /// Never.
    Hidden,
}

impl Progress {
    /// A bar for a run of `n_cases`.
    pub(crate) fn new(n_cases: usize, display: Display) -> Self {
        let shows = display == Display::OnTerminal && io::stderr().is_terminal();
        let target = if shows { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let bar = ProgressBar::with_draw_target(None, target);
        let template = "{prefix} [{bar:30}] {pos}/{len} patches, {eta} left  {msg}";
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style.progress_chars("=> "));
        }
        let zero = || AtomicU64::new(0);
        let n_cases = n_cases as u64;
        Self { bar, n_cases, cases_begun: zero(), cases_over: zero(), cases_left_out: zero(), patches_begun: zero() }
    }

    /// The networks begin with a case of `n_patches`.
    pub(crate) fn case_begins(&self, case: &str, n_patches: usize) {
        let begun = self.cases_begun.fetch_add(1, Ordering::Relaxed) + 1;
        let patches = self.patches_begun.fetch_add(n_patches as u64, Ordering::Relaxed) + n_patches as u64;
        let to_come = self.n_cases.saturating_sub(begun + self.cases_left_out.load(Ordering::Relaxed));
        self.bar.set_length(patches + patches / begun * to_come);
        self.bar.set_message(case.to_owned());
        self.show_cases();
    }

    /// A case could not be read.
    pub(crate) fn case_is_left_out(&self) {
        self.cases_left_out.fetch_add(1, Ordering::Relaxed);
    }

    /// One more patch was predicted.
    pub(crate) fn patch_is_done(&self) {
        self.bar.inc(1);
    }

    /// A case is done, or has failed.
    pub(crate) fn case_is_over(&self) {
        self.cases_over.fetch_add(1, Ordering::Relaxed);
        self.show_cases();
    }

    /// Takes the bar away while `print` writes lines.
    pub(crate) fn suspend(&self, print: impl FnOnce()) {
        self.bar.suspend(print);
    }

    /// Takes the bar away.
    pub(crate) fn finish(&self) {
        self.bar.finish_and_clear();
    }

    fn show_cases(&self) {
        self.bar.set_prefix(format!("case {}/{}", self.cases_over.load(Ordering::Relaxed), self.n_cases));
    }
}
