//! What was measured of every data set, as a table.

use anyhow::Result;
use serde::Deserialize;

use super::super::measure::Cost;
use crate::console;

/// One data set, measured.
pub(super) struct Row {
    pub(super) name: String,
    pub(super) configuration: String,
    /// Runs of nnU-Net on one core, at least one.
    pub(super) peers: Vec<Timed>,
    /// Our runs on one core, in turn with nnU-Net's.
    pub(super) ours: Vec<Cost>,
    pub(super) all_cores: Cost,
    pub(super) compared: Compared,
    /// Bytes of the largest case as 32-bit reals.
    pub(super) volume_bytes: u64,
}

/// One timed run of nnU-Net.
pub(super) struct Timed {
    cost: Cost,
    /// Cases and the seconds that they took, without starting Python.
    work: Work,
}

#[derive(Debug, Deserialize)]
struct Work {
    n: usize,
    seconds: f64,
}

impl Timed {
    /// Reads what the peer's script printed.
    ///
    /// # Errors
    ///
    /// When it did not print its time.
    pub(super) fn of(cost: Cost) -> Result<Self> {
        let work = serde_json::from_str(&cost.stdout)?;
        Ok(Self { cost, work })
    }
}

/// What the peer's script prints of a comparison.
#[derive(Debug, Deserialize)]
pub(super) struct Compared {
    n: usize,
    difference: f64,
    labels: u64,
    voxels: u64,
    locations: u64,
}

/// Seconds from starting a program to its first work.
pub(super) struct Starts {
    pub(super) ours_s: f64,
    pub(super) peer_s: f64,
}

/// The middle one of several figures, and their range.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Spread {
    pub(super) middle: f64,
    least: f64,
    most: f64,
}

impl Spread {
    /// Of at least one figure; of an even number, the higher one of the two in the middle.
    pub(super) fn of(figures: impl Iterator<Item = f64>) -> Self {
        let mut figures: Vec<f64> = figures.collect();
        figures.sort_by(f64::total_cmp);
        let at = |index: usize| figures.get(index).copied().unwrap_or(f64::NAN);
        Self { middle: at(figures.len() / 2), least: at(0), most: at(figures.len().saturating_sub(1)) }
    }
}

impl std::fmt::Display for Spread {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:.2} ({:.2} to {:.2})", self.middle, self.least, self.most)
    }
}

const HEAD: [&str; 12] = [
    "data set",
    "n",
    "nnU-Net, s",
    "ours, s",
    "times as fast",
    "whole programs: nnU-Net, ours, s",
    "ours, all cores, s",
    "peak, nnU-Net",
    "peak, ours",
    "largest difference",
    "other labels",
    "other locations",
];

/// Prints the table.
pub(super) fn print(rows: &[Row], starts: &Starts) {
    console::say(&format!(
        "\npreprocessing on one core, the middle of the runs and their range; without the programs' starts, which take nnU-Net \
         {:.2} s and ours {:.2} s; whole programs have them",
        starts.peer_s, starts.ours_s
    ));
    console::say(&line(&HEAD.map(str::to_owned)));
    console::say(&line(&HEAD.map(|_| "---".to_owned())));
    for row in rows {
        console::say(&line(&row.cells(starts)));
    }
}

fn line(cells: &[String]) -> String {
    format!("| {} |", cells.join(" | "))
}

impl Row {
    fn cells(&self, starts: &Starts) -> [String; 12] {
        let megabytes = |bytes: u64| format!("{:.0} MB", bytes as f64 / 1e6);
        let peer = Spread::of(self.peers.iter().map(|run| run.work.seconds));
        let ours = Spread::of(self.ours.iter().map(|run| run.wall_s - starts.ours_s));
        let peer_whole = Spread::of(self.peers.iter().map(|run| run.cost.wall_s));
        let ours_whole = Spread::of(self.ours.iter().map(|run| run.wall_s));
        // Where there is hardly any work, the difference is noise.
        let ratio =
            if ours.middle > starts.ours_s { format!("{:.1}", peer.middle / ours.middle) } else { "–".to_owned() };
        let own = self.ours.iter().map(|run| run.own).max().unwrap_or_default();
        let volumes = own as f64 / self.volume_bytes as f64;
        [
            format!("{} {}", self.name, self.configuration),
            self.peers.iter().map(|run| run.work.n).fold(self.compared.n, usize::min).to_string(),
            peer.to_string(),
            ours.to_string(),
            ratio,
            format!("{:.2}, {:.2}: {:.1}", peer_whole.middle, ours_whole.middle, peer_whole.middle / ours_whole.middle),
            format!("{:.2}", self.all_cores.wall_s),
            megabytes(self.peers.iter().map(|run| run.cost.resident).max().unwrap_or_default()),
            format!(
                "{}, data {} = {volumes:.1} volumes",
                megabytes(self.ours.iter().map(|run| run.resident).max().unwrap_or_default()),
                megabytes(own)
            ),
            format!("{:.1e}", self.compared.difference),
            format!("{} of {}", self.compared.labels, self.compared.voxels),
            self.compared.locations.to_string(),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_of_three_is_neither_the_least_nor_the_most() {
        let spread = Spread::of([3.0, 1.0, 2.5].into_iter());
        assert_eq!(spread, Spread { middle: 2.5, least: 1.0, most: 3.0 });
        assert_eq!(spread.to_string(), "2.50 (1.00 to 3.00)");
    }
}
