//! The tables of the prediction benchmark, as Markdown.

use super::Outcome;
use super::members::{Growth, Point};
use super::runs::Best;
use crate::console;

/// Prints the tables.
pub(super) fn print(outcome: &Outcome) {
    console::say(&programs(outcome));
    if !outcome.members.is_empty() {
        console::say(&members(&outcome.members, outcome.memory.as_deref()));
    }
}

fn programs(outcome: &Outcome) -> String {
    let folds = outcome.folds.iter().map(u16::to_string).collect::<Vec<_>>().join(", ");
    let mirroring = if outcome.mirroring { "with" } else { "without" };
    let mut lines = vec![
        format!(
            "\nprediction `{}`: {} cases, folds {folds}, {mirroring} mirroring, {} processors; seconds of whole \
             processes, the fastest round; memory of the process and all it started.",
            outcome.name, outcome.n_cases, outcome.n_processors
        ),
        "\n| program | s | times as fast | peak memory | in the sessions | voxels equal to nnU-Net's |".to_owned(),
        "|---|---|---|---|---|---|".to_owned(),
        format!("| nnU-Net | {:.1} | | {} | | |", outcome.nnunet.wall_s, mebibytes(outcome.nnunet)),
    ];
    for ours in &outcome.ours {
        let share = ours.share_in_session.map_or_else(String::new, |share| format!("{:.0} %", 100.0 * share));
        let agreement = &ours.agreement;
        lines.push(format!(
            "| `unnunet` {}: {} | {:.1} | {:.2} | {} | {share} | {:.5} % ({} of {} differ, in {} cases) |",
            ours.mode.name(),
            ours.target,
            ours.best.wall_s,
            outcome.nnunet.wall_s / ours.best.wall_s,
            mebibytes(ours.best),
            100.0 * agreement.share(),
            agreement.n_different,
            agreement.n_voxels,
            agreement.n_different_cases,
        ));
    }
    lines.join("\n")
}

fn members(points: &[Point], limit: Option<&str>) -> String {
    let limit = limit.map_or_else(String::new, |limit| format!(" of at most {limit}"));
    let mut lines =
        vec![format!("\n| members | s | in the sessions, s | peak memory{limit} |"), "|---|---|---|---|".to_owned()];
    for point in points {
        let session = point.session_s.map_or_else(String::new, |seconds| format!("{seconds:.1}"));
        let (n_members, wall_s) = (point.n_members, point.best.wall_s);
        lines.push(format!("| {n_members} | {wall_s:.1} | {session} | {} |", mebibytes(point.best)));
    }
    if let Some((wall, session)) = Growth::of_wall(points).zip(Growth::of_session(points)) {
        lines.push(format!(
            "\na member more takes {:.2} s, {:.2} s of it in the sessions; the line starts at {:.1} s, and no time is \
             further from it than {:.1} %",
            wall.slope_s,
            session.slope_s,
            wall.start_s,
            100.0 * wall.largest_residual
        ));
    }
    lines.join("\n")
}

fn mebibytes(best: Best) -> String {
    format!("{:.0} MiB", best.peak_bytes as f64 / f64::from(1 << 20))
}
