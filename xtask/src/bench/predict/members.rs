//! Time and memory of growing ensembles: what one member more costs.

use anyhow::Result;
use nnunet::evaluation::regression::Line;
use serde::Serialize;

use super::Args;
use super::model::Model;
use super::runs::{self, Best, Facts};
use crate::bench::Peer;

/// An ensemble of one size.
#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct Point {
    pub(super) n_members: u32,
    pub(super) best: Best,
    /// Seconds inside of the sessions.
    pub(super) session_s: Option<f64>,
}

/// Predicts the images with ensembles of every size asked for, in single precision; rounds go through all sizes.
///
/// # Errors
///
/// When a program fails.
pub(super) fn measure(args: &Args, model: &Model<'_>, peer: &Peer) -> Result<Vec<Point>> {
    let Some(&most) = args.member_counts.iter().max() else { return Ok(Vec::new()) };
    // Named as nnU-Net's folders are: the configuration stands in the name.
    let folder = model.work.join("members").join(model.source.file_name().unwrap_or_default());
    let fold = args.folds.first().copied().unwrap_or_default().to_string();
    model.steps.once(&format!("copy-{most}-members"), || {
        let mut command = peer.script("predict_members.py");
        command.arg(&model.source).args([&fold, &most.to_string()]).arg(&folder);
        Ok(command)
    })?;
    let bundle = model.bundle(&format!("members-{most}"), Some(folder))?;
    let mut points: Vec<Option<Point>> = vec![None; args.member_counts.len()];
    for _ in 0..args.rounds {
        for (&n_members, point) in args.member_counts.iter().zip(&mut points) {
            let output = model.work.join("predictions").join(format!("members-{n_members}"));
            let mut command = runs::Mode::F32.predict_folds(args, &bundle, &output);
            command.args(["--members", &n_members.to_string()]);
            command.args(args.memory.iter().flat_map(|limit| ["--memory", limit]));
            let run = runs::measured(command, &output)?;
            let session_s = Facts::read(&output)?.session_s;
            let faster = point.is_none_or(|point: Point| run.wall_s < point.best.wall_s);
            let mut best = point.map(|point| point.best);
            runs::keep_best(&mut best, run);
            let session_s = if faster { session_s } else { point.and_then(|point| point.session_s) };
            *point = best.map(|best| Point { n_members, best, session_s });
        }
    }
    Ok(points.into_iter().flatten().collect())
}

/// A straight line through the wall times.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Growth {
    /// Seconds that a member more takes.
    pub(super) slope_s: f64,
    /// Seconds without any.
    pub(super) start_s: f64,
    /// Largest distance of a time from the line, over the line.
    pub(super) largest_residual: f64,
}

impl Growth {
    /// The line of least squares; `None` unless there are two different sizes.
    pub(super) fn of(times: &[(f64, f64)]) -> Option<Self> {
        let line = Line::through(times)?;
        let residuals = times.iter().map(|(size, wall_s)| (wall_s / line.at(*size) - 1.0).abs());
        let largest_residual = residuals.fold(0.0, f64::max);
        Some(Self { slope_s: line.slope, start_s: line.intercept, largest_residual })
    }

    /// The line of the wall times of all sizes.
    pub(super) fn of_wall(points: &[Point]) -> Option<Self> {
        let times = points.iter().map(|point| (f64::from(point.n_members), point.best.wall_s));
        Self::of(&times.collect::<Vec<_>>())
    }

    /// The line of the seconds inside of the sessions.
    pub(super) fn of_session(points: &[Point]) -> Option<Self> {
        let times = points.iter().filter_map(|point| Some((f64::from(point.n_members), point.session_s?)));
        Self::of(&times.collect::<Vec<_>>())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_straight_line_has_its_slope_and_no_residual() {
        let line = Growth::of(&[(1.0, 3.0), (5.0, 11.0), (10.0, 21.0)]).unwrap();
        assert!((line.slope_s - 2.0).abs() < 1e-12 && (line.start_s - 1.0).abs() < 1e-12);
        assert!(line.largest_residual < 1e-12);
        let bent = Growth::of(&[(1.0, 1.0), (2.0, 4.0), (3.0, 1.0)]).unwrap();
        // The line is 2 everywhere; 4 is twice that.
        assert!((bent.largest_residual - 1.0).abs() < 1e-12);
        assert_eq!((Growth::of(&[]), Growth::of(&[(2.0, 1.0), (2.0, 3.0)])), (None, None));
    }
}
