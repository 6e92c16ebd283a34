//! The table of the training benchmark, as Markdown, and what its figures are.

use super::agreement::Comparison;
use super::{Outcome, Row};
use crate::console;

/// Prints the table.
pub(super) fn print(outcome: &Outcome<'_>) {
    console::say(&render(outcome));
}

fn render(outcome: &Outcome<'_>) -> String {
    let settings = outcome.settings;
    let mut lines = vec![
        format!(
            "\ntraining of {} {} on {} processors, {} epochs of {} iterations in {} cycles, batch {}, {} features; seconds \
             per iteration are the wall time of an epoch over its training iterations, mean of the epochs after the \
             first; the {} validation iterations of an epoch are in it on both sides, saving is not. Dice is the mean \
             over the validation cases that have one in both. p: paired permutation test over cases.",
            outcome.dataset,
            settings.training.configuration,
            outcome.n_processors,
            settings.training.epochs,
            settings.training.iterations,
            settings.cycles,
            settings.training.batch_size,
            settings.training.features,
            outcome.validation_iterations,
        ),
        "Both sides predict with the network of the last epoch.".to_owned(),
        "\n| fold | s per iteration, nnU-Net | ours | times as fast | n | Dice, nnU-Net | Dice, ours | ours − nnU-Net (95 % interval) | p | difference |".to_owned(),
        "|---|---|---|---|---|---|---|---|---|---|".to_owned(),
    ];
    lines.extend(outcome.folds.iter().map(line_of));
    lines.push(format!("| all | | | | {} |", cells(outcome.all)));
    lines.join("\n")
}

fn line_of(row: &Row) -> String {
    let (theirs_s, ours_s) = (row.seconds_per_iteration_nnunet, row.seconds_per_iteration_ours);
    let ratio = theirs_s / ours_s;
    format!("| {} | {theirs_s:.3} | {ours_s:.3} | {ratio:.2} | {} |", row.fold, cells(&row.comparison))
}

fn cells(comparison: &Comparison) -> String {
    let left_out = match comparison.n_undefined {
        0 => String::new(),
        n => format!(" ({n} without Dice)"),
    };
    format!("{}{left_out} | {}", comparison.dice.n, comparison.dice.cells().join(" | "))
}
