//! Our program as a user starts it, and what a run cost.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result};
use fs_err as fs;
use serde::Serialize;
use serde_json::Value;

use super::Args;
use super::model::Bundle;
use crate::bench::measure;
use crate::workspace;

/// What our program runs with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(super) enum Mode {
    /// The fastest provider, in single precision.
    F32,
    /// ONNX Runtime's own kernels, in single precision.
    Cpu,
    /// The fastest provider and precision that pass the self-test here.
    Auto,
}

impl Mode {
    /// The name in folders and tables.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::Cpu => "cpu",
            Self::Auto => "auto",
        }
    }

    /// Predicts the images as nnU-Net would: the mean of the logits over the folds.
    pub(super) fn predict(self, args: &Args, bundle: &Bundle, output: &Path) -> Command {
        let mut command = self.predict_folds(args, bundle, output);
        command.args(["--select", "mean", "--average", "logits"]);
        command
    }

    /// Predicts the images, selecting the fold.
    pub(super) fn predict_folds(self, args: &Args, bundle: &Bundle, output: &Path) -> Command {
        let mut command = workspace::program("unnunet");
        command.arg("predict").arg("--bundle").arg(&bundle.file).arg("--public-key").arg(&bundle.public_key);
        command.arg("--input").arg(&args.images).arg("--output").arg(output);
        command.args(match self {
            Self::F32 => ["--device", "auto", "--precision", "f32"],
            Self::Cpu => ["--device", "cpu", "--precision", "f32"],
            Self::Auto => ["--device", "auto", "--precision", "auto"],
        });
        if args.no_mirroring {
            command.args(["--mirroring", "off"]);
        }
        command
    }
}

/// The fastest run of a program, and the most memory of any.
#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct Best {
    pub(super) wall_s: f64,
    /// Most memory of the process and all it started, bytes; what they share counts once.
    pub(super) peak_bytes: u64,
}

/// Empties `output` and runs the command.
///
/// # Errors
///
/// When it fails.
pub(super) fn measured(command: Command, output: &Path) -> Result<Best> {
    if output.exists() {
        fs::remove_dir_all(output)?;
    }
    fs::create_dir_all(output)?;
    let cost = measure::run(command)?;
    Ok(Best { wall_s: cost.wall_s, peak_bytes: cost.tree.max(cost.resident) })
}

/// Keeps the faster of two runs, and the larger of their memories.
pub(super) fn keep_best(best: &mut Option<Best>, run: Best) {
    *best = Some(best.map_or(run, |best| Best {
        wall_s: best.wall_s.min(run.wall_s),
        peak_bytes: best.peak_bytes.max(run.peak_bytes),
    }));
}

/// What `report.json` says of a run.
#[derive(Debug, PartialEq)]
pub(super) struct Facts {
    /// Provider and precision.
    pub(super) target: String,
    /// Seconds inside of the sessions.
    pub(super) session_s: Option<f64>,
}

impl Facts {
    /// Reads the report of a prediction folder.
    ///
    /// # Errors
    ///
    /// When it is missing or lacks what is asked.
    pub(super) fn read(prediction: &Path) -> Result<Self> {
        let path = prediction.join("report.json");
        let report: Value = serde_json::from_str(&fs::read_to_string(&path)?)?;
        Self::of(&report).with_context(|| format!("`{}` names no device", path.display()))
    }

    fn of(report: &Value) -> Option<Self> {
        let device = report.get("device")?;
        let text = |name: &str| device.get(name)?.as_str();
        let target = format!("{} {}", text("provider")?, text("precision")?);
        let session_s = report.pointer("/stage_seconds/session").and_then(Value::as_f64);
        Some(Self { target, session_s })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fastest_run_and_the_largest_memory_are_kept() {
        let mut best = None;
        keep_best(&mut best, Best { wall_s: 2.0, peak_bytes: 7 });
        keep_best(&mut best, Best { wall_s: 3.0, peak_bytes: 9 });
        let best = best.unwrap();
        assert!(best.wall_s < 2.5 && best.peak_bytes == 9);
    }

    #[test]
    fn a_report_names_its_device_and_the_time_of_its_sessions() {
        let report = serde_json::json!({
            "device": { "provider": "cpu", "precision": "f32" }, "stage_seconds": { "session": 2.5 }
        });
        assert_eq!(Facts::of(&report), Some(Facts { target: "cpu f32".to_owned(), session_s: Some(2.5) }));
        assert_eq!(Facts::of(&serde_json::json!({})), None);
    }
}
