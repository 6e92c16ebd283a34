//! A headless browser, to look at the pages that the programs write.
//!
//! Chromium where there is one: at `UNNUNET_CHROMIUM`, else on the `PATH`. It is not needed to build or to use
//! anything; a test that finds none says so and checks what can be checked without.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Names under which Chromium is installed.
const NAMES: [&str; 4] = ["chromium", "chromium-browser", "google-chrome", "chrome"];

/// Width and height of a window of which no picture is taken.
const WINDOW: [u32; 2] = [1400, 1200];

/// A browser that was found.
#[derive(Debug, Clone)]
pub struct Browser {
    program: PathBuf,
}

/// What became of a page.
#[derive(Debug, Clone)]
pub struct Rendered {
    /// The document after its scripts ran, as HTML.
    pub dom: String,
    /// What scripts, and refusals by the page's policy, wrote to the console.
    pub console: Vec<String>,
}

impl Browser {
    /// Finds one.
    pub fn find() -> Option<Self> {
        let on_path = || {
            let folders = env::var_os("PATH")?;
            let programs = env::split_paths(&folders).flat_map(|folder| NAMES.map(|name| folder.join(name)));
            programs.into_iter().find(|program| program.is_file())
        };
        let program = env::var_os("UNNUNET_CHROMIUM").map(PathBuf::from).or_else(on_path)?;
        Some(Self { program })
    }

    /// Opens a file.
    ///
    /// # Panics
    ///
    /// When the browser cannot be started or fails.
    pub fn open(&self, page: &Path) -> Rendered {
        let (dom, log) = self.run(page, WINDOW, &["--dump-dom".into(), "--enable-logging=stderr".into()]);
        let console = log.lines().filter(|line| line.contains("CONSOLE")).map(str::to_owned).collect();
        Rendered { dom, console }
    }

    /// Writes a picture of the page, `size` pixels wide and high, to the PNG file `picture`.
    ///
    /// # Panics
    ///
    /// When the browser cannot be started or fails.
    pub fn picture(&self, page: &Path, size: [u32; 2], picture: &Path) {
        let mut flag = OsString::from("--screenshot=");
        flag.push(picture);
        let (_, log) = self.run(page, size, &[flag, "--hide-scrollbars".into()]);
        assert!(picture.is_file(), "no picture of `{}`: {log}", page.display());
    }

    /// Runs the browser to its end; returns its stdout and stderr.
    fn run(&self, page: &Path, [width, height]: [u32; 2], flags: &[OsString]) -> (String, String) {
        let profile = page.with_extension("profile");
        let mut user_folder = OsString::from("--user-data-dir=");
        user_folder.push(&profile);
        // The page is our own, and a container gives the sandbox no rights to be one.
        let fixed = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"];
        let mut command = Command::new(&self.program);
        command.args(fixed).arg(user_folder).arg(format!("--window-size={width},{height}"));
        command.args(["--virtual-time-budget=5000", "--force-device-scale-factor=1"]).args(flags).arg(page);
        let output = command.output().unwrap_or_else(|error| panic!("cannot run {command:?}: {error}"));
        let [text, log] = [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes).into_owned());
        assert!(output.status.success(), "{command:?} ended with {}\n{log}", output.status);
        (text, log)
    }
}
