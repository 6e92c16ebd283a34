//! The two tables, as Markdown, and `result.json`.

use std::path::Path;

use anyhow::Result;
use imaging::atomic_file;
use nnunet::evaluation::mean_defined;
use serde::Serialize;

use super::Args;
use super::models::Outcome;
use crate::bench::paired::Paired;
use crate::console;
use crate::demo::results::Row;

/// One way to segment, and its Dice of every case.
#[derive(Debug, Serialize)]
struct Way {
    name: String,
    dice: Vec<Option<f64>>,
}

/// Two ways, side by side.
#[derive(Debug, Serialize)]
struct Difference {
    first: String,
    second: String,
    paired: Paired,
}

/// `result.json`.
#[derive(Debug, Serialize)]
struct Record<'a> {
    dataset: &'a str,
    settings: &'a Args,
    cases: Vec<&'a str>,
    ways: &'a [Way],
    differences: &'a [Difference],
}

/// Prints both tables and writes `result.json` into `work`.
///
/// # Errors
///
/// When the disk refuses.
pub(super) fn report(args: &Args, dataset: &str, outcomes: &[Outcome; 2], work: &Path) -> Result<()> {
    let ways: Vec<Way> = outcomes.iter().flat_map(ways_of).collect();
    let differences = differences(&ways);
    let cases = outcomes[0].all.iter().map(|row| row.case.as_str()).collect();
    let record = Record { dataset, settings: args, cases, ways: &ways, differences: &differences };
    atomic_file::write(&work.join("result.json"), &serde_json::to_vec_pretty(&record)?)?;
    console::say(&render(args, dataset, &ways, &differences));
    Ok(())
}

/// Names of the five ways of a recipe, in the order of [`ways_of`].
fn names(cycles: u32, n_members: u32) -> [String; 5] {
    let cycles = if cycles == 1 { "one cycle".to_owned() } else { format!("{cycles} cycles") };
    [
        format!("{cycles}, single checkpoint of a fold"),
        format!("{cycles}, {n_members} checkpoints of a fold"),
        format!("{cycles}, single checkpoint of every fold, mean"),
        format!("{cycles}, {n_members} checkpoints of every fold, mean"),
        format!("{cycles}, {n_members} checkpoints, fold with the lowest uncertainty"),
    ]
}

/// What a fold reaches is the mean over the folds: none of them is special.
fn ways_of(outcome: &Outcome) -> [Way; 5] {
    let of_a_fold = |row: &Row| mean_defined(row.dice_of_folds.iter().copied());
    let dice: [Vec<Option<f64>>; 5] = [
        outcome.single.iter().map(of_a_fold).collect(),
        outcome.all.iter().map(of_a_fold).collect(),
        outcome.single.iter().map(|row| row.dice_of_mean).collect(),
        outcome.all.iter().map(|row| row.dice_of_mean).collect(),
        outcome.all.iter().map(|row| row.dice).collect(),
    ];
    let mut names = names(outcome.cycles, outcome.n_members).into_iter();
    dice.map(|dice| Way { name: names.next().unwrap_or_default(), dice })
}

/// Pairs of ways that answer a question each, as indices into the ten ways.
const QUESTIONS: [(usize, usize); 9] = [
    // Several cycles, at equal epochs: of single checkpoints, of a fold's ensemble, of everything.
    (0, 5),
    (1, 6),
    (3, 8),
    // A fold's checkpoints instead of its last, in one cycle and in several.
    (0, 1),
    (5, 6),
    // All folds instead of one; and a fold's checkpoints instead of all folds' last.
    (5, 7),
    (7, 6),
    // Everything instead of all folds' last; selecting instead of averaging.
    (7, 8),
    (8, 9),
];

fn differences(ways: &[Way]) -> Vec<Difference> {
    let of = |&(first, second): &(usize, usize)| {
        let (first, second) = (ways.get(first)?, ways.get(second)?);
        let pairs: Vec<(f64, f64)> = first.dice.iter().zip(&second.dice).filter_map(|(a, b)| a.zip(*b)).collect();
        Some(Difference { first: first.name.clone(), second: second.name.clone(), paired: Paired::of(&pairs) })
    };
    QUESTIONS.iter().filter_map(of).collect()
}

fn render(args: &Args, dataset: &str, ways: &[Way], differences: &[Difference]) -> String {
    let training = &args.training;
    let mut lines = vec![
        format!(
            "\n{dataset} {}, folds {:?}, {} epochs of {} iterations, batch {}, {} features, seed {}; the unseen cases are \
             those of fold 0's validation, which no fold was trained on. p: paired permutation test over cases.",
            training.configuration,
            args.folds,
            training.epochs,
            training.iterations,
            training.batch_size,
            training.features,
            training.seed
        ),
        "\n| segmented by | n | mean Dice |".to_owned(),
        "|---|---|---|".to_owned(),
    ];
    lines.extend(ways.iter().map(|way| {
        let n = way.dice.iter().flatten().count();
        let mean = mean_defined(way.dice.iter().copied()).map_or("undefined".to_owned(), |mean| format!("{mean:.4}"));
        format!("| {} | {n} | {mean} |", way.name)
    }));
    lines.push(
        "\n| first | second | n | Dice, first | second | second − first (95 % interval) | p | difference |".to_owned(),
    );
    lines.push("|---|---|---|---|---|---|---|---|".to_owned());
    lines.extend(
        differences.iter().map(|of| {
            format!("| {} | {} | {} | {} |", of.first, of.second, of.paired.n, of.paired.cells().join(" | "))
        }),
    );
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(folds: [f64; 2], mean: f64, selected: f64) -> Row {
        Row {
            case: "a".to_owned(),
            scores: vec![None, None],
            selected: "1".to_owned(),
            score: None,
            dice: Some(selected),
            dice_of_folds: folds.map(Some).to_vec(),
            dice_of_mean: Some(mean),
        }
    }

    #[test]
    fn every_question_compares_what_its_names_say() {
        let outcome = |cycles, base: f64| Outcome {
            cycles,
            n_members: 6,
            single: vec![row([base, base + 0.25], base + 0.5, 0.0)],
            all: vec![row([base + 1.0, base + 1.25], base + 1.5, base + 2.0)],
        };
        let ways: Vec<Way> = [outcome(1, 0.0), outcome(3, 4.0)].iter().flat_map(ways_of).collect();
        let dice: Vec<f64> = ways.iter().flat_map(|way| way.dice.iter().flatten().copied()).collect();
        assert_eq!(dice, [0.125, 1.125, 0.5, 1.5, 2.0, 4.125, 5.125, 4.5, 5.5, 6.0]);
        let differences = differences(&ways);
        assert_eq!(differences.len(), QUESTIONS.len());
        assert_eq!(differences[0].first, "one cycle, single checkpoint of a fold");
        assert_eq!(differences[0].second, "3 cycles, single checkpoint of a fold");
        assert_eq!(differences[8].second, "3 cycles, 6 checkpoints, fold with the lowest uncertainty");
        assert_eq!(differences[8].paired.means, [Some(5.5), Some(6.0)]);
    }
}
