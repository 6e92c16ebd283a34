//! Cubic resampling of one CT-sized volume, alone.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result};
use imaging::atomic_file;
use serde::Deserialize;

use super::measure;
use super::{Peer, on_one_core};
use crate::console;
use crate::workspace;

/// Voxels `[z, y, x]` before and after, and their sizes in mm.
const FROM: [usize; 3] = [100, 512, 512];
const TO: [usize; 3] = [200, 273, 273];
const CURRENT: [f64; 3] = [3.0, 0.8, 0.8];
const TARGET: [f64; 3] = [1.5, 1.5, 1.5];

/// What the peer's script prints.
#[derive(Debug, Deserialize)]
struct Answer {
    seconds: f64,
    difference: f64,
}

/// Prints one line of the table.
///
/// # Errors
///
/// When a program fails.
pub(super) fn run(peer: &Peer, work: &Path) -> Result<()> {
    let (source, target) = (work.join("volume.f32"), work.join("resampled.f32"));
    atomic_file::write(&source, &volume())?;
    let example = || {
        let mut command = Command::new(workspace::target().join("release/examples/resample"));
        command.arg(&source).arg(&target).args([list(FROM), list(TO), list(CURRENT), list(TARGET)]);
        command
    };
    let mut single = example();
    single.env("RAYON_NUM_THREADS", "1");
    let ours = seconds(&measure::run(on_one_core(&single))?.stdout)?;
    let all_cores = seconds(&measure::run(example())?.stdout)?;
    let mut script = peer.script("peer_resample.py");
    script.arg(&source).arg(&target).args([list(FROM), list(TO), list(CURRENT), list(TARGET)]);
    let theirs: Answer = serde_json::from_str(&measure::run(on_one_core(&script))?.stdout)?;
    console::say(&format!(
        "\ncubic resampling of {FROM:?} to {TO:?} voxels [z, y, x], alone, seconds on one core: nnU-Net {:.2}, ours {ours:.2} \
         ({:.1} times as fast); ours on all cores {all_cores:.2}; largest difference {:.1e} of values to 1000",
        theirs.seconds,
        theirs.seconds / ours,
        theirs.difference,
    ));
    Ok(())
}

fn seconds(stdout: &str) -> Result<f64> {
    stdout.trim().parse().with_context(|| format!("`{stdout}` is no time"))
}

fn list<T: ToString>(values: [T; 3]) -> String {
    values.map(|value| value.to_string()).join(",")
}

/// Smooth waves with a texture, from 0 to 1000.
fn volume() -> Vec<u8> {
    let [n_z, n_y, n_x] = FROM;
    let mut bytes = Vec::with_capacity(4 * n_z * n_y * n_x);
    for index in 0..n_z * n_y * n_x {
        let (z, y, x) = (index / (n_y * n_x), index / n_x % n_y, index % n_x);
        let wave = (z as f32 / 9.0).sin() + (y as f32 / 31.0).sin() + (x as f32 / 23.0).cos();
        let texture = ((index * 7919) % 1013) as f32 / 1013.0;
        bytes.extend((450.0 + 120.0 * wave + 80.0 * texture).to_le_bytes());
    }
    bytes
}
