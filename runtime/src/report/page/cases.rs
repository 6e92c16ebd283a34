//! The table of cases.
//!
//! It stands in the order of concern: what failed, then the least certain. A click on a column's head sorts by it; the
//! value that is sorted by is kept beside each cell, and a cell without one comes last either way.

use super::super::Report;
use super::super::case::{Agreement, Case};
use super::super::folder::Trace;
use super::super::markup::{duration, number, text};
use super::{anchor, badge};

/// Structures that get a column of their own.
const MAX_STRUCTURES: usize = 6;
/// Remarks of a case that are shown.
const MAX_REMARKS: usize = 20;

/// The section.
pub(super) fn section(report: &Report<'_>) -> String {
    let columns = Columns::of(report);
    let rows = report.cases.iter().enumerate().map(|(index, case)| columns.row(index, case));
    let (head, rows) = (columns.head(), rows.collect::<Vec<_>>().concat());
    format!(
        r#"<section aria-labelledby="cases"><h2 id="cases">Cases</h2><div class="scroll tall" tabindex="0" role="region" aria-label="Cases"><table class="sortable"><caption>What failed comes first, then the least certain</caption><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div></section>"#
    )
}

/// Which columns there are beside those that are always there.
struct Columns {
    is_calibrated: bool,
    has_references: bool,
    structures: Vec<String>,
}

impl Columns {
    fn of(report: &Report<'_>) -> Self {
        let mut structures: Vec<String> = Vec::new();
        let agreements = report.cases.iter().filter_map(|case| case.agreement.as_ref());
        for (name, _) in agreements.flat_map(|agreement: &Agreement| &agreement.structures) {
            if !structures.contains(name) {
                structures.push(name.clone());
            }
        }
        // Of one structure the mean is all there is to say.
        let n = structures.len();
        Self {
            is_calibrated: report.run.calibration.promise.is_some(),
            has_references: report.statistics.is_some(),
            structures: if (2..=MAX_STRUCTURES).contains(&n) { structures } else { Vec::new() },
        }
    }

    fn head(&self) -> String {
        let mut head =
            vec![word_head("Case"), word_head("Decision"), number_head("Score", " aria-sort=\"descending\"")];
        if self.is_calibrated {
            head.push(number_head("Expected Dice", ""));
        }
        if self.has_references {
            head.push(number_head("Dice", ""));
            head.extend(self.structures.iter().map(|name| number_head(&format!("Dice <bdi>{}</bdi>", text(name)), "")));
        }
        head.extend([
            word_head("Fold"),
            number_head("Disagreement", ""),
            number_head("Time", ""),
            word_head("Remarks"),
        ]);
        head.concat()
    }

    fn row(&self, index: usize, case: &Case) -> String {
        let name = text(&case.name);
        let link = if case.slices.is_empty() {
            format!("<bdi>{name}</bdi>")
        } else {
            format!(r##"<a href="#{}"><bdi>{name}</bdi></a>"##, anchor(index))
        };
        let mut cells = vec![
            format!(r#"<th scope="row" data-value="{name}">{link}</th>"#),
            format!(r#"<td data-value="{}">{}</td>"#, case.state().word(), badge(case)),
            number_cell(case.score),
        ];
        if self.is_calibrated {
            cells.push(expected_cell(case));
        }
        if self.has_references {
            cells.push(number_cell(case.dice()));
            let of_structure = |name: &String| {
                let structures = &case.agreement.as_ref()?.structures;
                structures.iter().find(|(found, _)| found == name)?.1
            };
            cells.extend(self.structures.iter().map(|name| number_cell(of_structure(name))));
        }
        cells.push(fold_cell(case));
        cells.push(number_cell(case.trace.as_ref().and_then(|trace| trace.disagreement)));
        cells.push(match case.trace.as_ref().map(Trace::total_seconds) {
            Some(seconds) => format!(r#"<td class="number" data-value="{seconds}">{}</td>"#, duration(seconds)),
            None => number_cell(None),
        });
        cells.push(remarks_cell(case));
        format!("<tr>{}</tr>", cells.concat())
    }
}

fn word_head(title: &str) -> String {
    format!(r#"<th scope="col">{title}</th>"#)
}

fn number_head(title: &str, sort: &str) -> String {
    format!(r#"<th scope="col" class="number" data-kind="number"{sort}>{title}</th>"#)
}

fn number_cell(value: Option<f64>) -> String {
    let sort = value.map(|value| value.to_string()).unwrap_or_default();
    format!(r#"<td class="number" data-value="{sort}">{}</td>"#, number(value))
}

fn expected_cell(case: &Case) -> String {
    let expected = case.trace.as_ref().and_then(|trace| trace.expectation);
    let Some((dice, [low, high])) = expected.and_then(|expected| expected.dice.zip(expected.interval)) else {
        return number_cell(None);
    };
    format!(
        r#"<td class="number" data-value="{dice}">{dice:.4} <span class="interval">{low:.2} to {high:.2}</span></td>"#
    )
}

fn fold_cell(case: &Case) -> String {
    let Some(trace) = &case.trace else { return r#"<td data-value="">–</td>"#.to_owned() };
    let fold = trace.selected_fold.map_or("mean".to_owned(), |fold| fold.0.to_string());
    format!(r#"<td data-value="{fold}">{fold}</td>"#)
}

fn remarks_cell(case: &Case) -> String {
    let warnings = case.trace.as_ref().map(|trace| trace.warnings.as_slice()).unwrap_or_default();
    let grave =
        case.failure.iter().chain(&case.problems).map(|remark| format!(r#"<li class="grave">{}</li>"#, text(remark)));
    let remarks = warnings.iter().chain(&case.remarks).map(|remark| format!("<li>{}</li>", text(remark)));
    let all: Vec<_> = grave.chain(remarks).take(MAX_REMARKS).collect();
    if all.is_empty() {
        return r#"<td data-value=""></td>"#.to_owned();
    }
    format!(r#"<td data-value="{:03}"><ul>{}</ul></td>"#, MAX_REMARKS - all.len(), all.concat())
}
