//! The demo's last words: a table per case, the means, and whether the score
//! knew which cases went wrong.

use nnunet::evaluation::correlation::{Correlation, pearson, spearman};
use nnunet::evaluation::mean_defined;

use super::results::{Results, Row};

/// `results` as aligned text.
pub(super) fn render(results: &Results) -> String {
    let mut lines = vec![header(&results.folds)];
    lines.extend(results.rows.iter().map(|row| cells(row, &results.folds)));
    let mut text = format!("\n{}", aligned(&lines));
    text.push_str(&means(results));
    text.push_str(&correlations(&results.scores_and_dice()));
    text
}

fn header(folds: &[u16]) -> Vec<String> {
    let mut cells = vec!["case".to_owned()];
    cells.extend(folds.iter().map(|fold| format!("score fold {fold}")));
    cells.push("selected".to_owned());
    cells.push("Dice selected".to_owned());
    let others = if folds.len() > 2 { "Dice others" } else { "Dice other" };
    cells.push(others.to_owned());
    cells.push("Dice mean of folds".to_owned());
    cells
}

fn cells(row: &Row, folds: &[u16]) -> Vec<String> {
    let mut cells = vec![row.case.clone()];
    cells.extend(row.scores.iter().map(|score| number(*score)));
    cells.push(row.selected.clone());
    cells.extend([row.dice, row.dice_of_others(folds), row.dice_of_mean].map(number));
    cells
}

fn means(results: &Results) -> String {
    let rows = &results.rows;
    let selected = results.mean_dice_of_selected();
    let others = mean_defined(rows.iter().map(|row| row.dice_of_others(&results.folds)));
    let of_mean = mean_defined(rows.iter().map(|row| row.dice_of_mean));
    let mut lines = vec![format!(
        "\nmean Dice of {} cases: selected {}, other {}, mean of folds {}",
        rows.len(),
        number(selected),
        number(others),
        number(of_mean)
    )];
    lines.extend(results.folds.iter().enumerate().map(|(index, fold)| {
        let dice = mean_defined(rows.iter().map(|row| row.dice_of_folds[index]));
        format!("mean Dice of fold {fold} alone: {}", number(dice))
    }));
    let of_structure =
        |(structure, dice): (&String, &Option<f64>)| format!("mean Dice of structure {structure}: {}", number(*dice));
    lines.extend(results.structures.iter().map(of_structure));
    lines.join("\n")
}

/// Whether the score knew: the more negative, the better.
fn correlations(pairs: &[(f64, f64)]) -> String {
    let line = |name: &str, found: Option<Correlation>| {
        let Some(Correlation { coefficient, interval, n }) = found else {
            return format!("\n{name} correlation of score and Dice: undefined (n = {})", pairs.len());
        };
        let interval =
            interval.map_or_else(String::new, |[low, high]| format!(", 95 % interval {low:.2} to {high:.2}"));
        format!("\n{name} correlation of score and Dice: {coefficient:.3} (n = {n}{interval})")
    };
    line("Pearson", pearson(pairs)) + &line("Spearman", spearman(pairs))
}

fn number(value: Option<f64>) -> String {
    value.map_or_else(|| "undefined".to_owned(), |value| format!("{value:.3}"))
}

/// `lines` with every column as wide as its widest cell; numbers flush right.
fn aligned(lines: &[Vec<String>]) -> String {
    let width = |column: usize| lines.iter().map(|cells| cells[column].len()).max().unwrap_or(0);
    let n_columns = lines.first().map_or(0, Vec::len);
    let widths: Vec<_> = (0..n_columns).map(width).collect();
    let mut text = String::new();
    for cells in lines {
        let padded = cells.iter().zip(&widths).enumerate().map(|(column, (cell, &width))| match column {
            0 => format!("{cell:<width$}"),
            _ => format!("{cell:>width$}"),
        });
        text.push_str(&padded.collect::<Vec<_>>().join("  "));
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn correlations_are_given_with_their_number_of_cases() {
        let text = correlations(&[(1.0, 0.9), (2.0, 0.8), (3.0, 0.7)]);
        assert_eq!(
            text,
            "\nPearson correlation of score and Dice: -1.000 (n = 3)\
             \nSpearman correlation of score and Dice: -1.000 (n = 3)"
        );
        assert!(correlations(&[(1.0, 0.9)]).contains("undefined (n = 1)"));
    }

    #[test]
    fn columns_line_up() {
        let lines = [["case", "Dice"], ["heart_001", "0.9"]].map(|cells| cells.map(str::to_owned).to_vec());
        assert_eq!(aligned(&lines), "case       Dice\nheart_001   0.9\n");
    }
}
