//! The report as one HTML file that needs nothing else, neither a server nor the network.
//!
//! The page's policy lets a browser load pictures that the page itself holds and run the one script that the page was
//! made with, and nothing else: even a text that slipped through unescaped could neither run nor report home.

mod cases;
mod gallery;
mod run;
mod trust;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use sha2::{Digest as _, Sha256};

use super::Report;
use super::case::{Case, State};
use super::markup::{number, text};

const STYLE: &str = include_str!("page/style.css");
const SCRIPT: &str = include_str!("page/sort.js");

/// The page.
///
/// # Errors
///
/// Never in practice: pictures are written to memory.
pub(super) fn page(report: &Report<'_>) -> Result<String, png::EncodingError> {
    let policy = format!(
        "default-src 'none'; img-src data:; style-src '{}'; script-src '{}'; base-uri 'none'; form-action 'none'",
        digest(STYLE),
        digest(SCRIPT)
    );
    let head = format!(
        r#"<meta charset="utf-8"><meta http-equiv="Content-Security-Policy" content="{policy}"><meta name="viewport" content="width=device-width, initial-scale=1"><meta name="color-scheme" content="light dark"><meta name="referrer" content="no-referrer"><title>Prediction report: {}</title><style>{STYLE}</style>"#,
        text(&report.run.bundle.id)
    );
    let sections = [
        header(report),
        trust::section(report),
        cases::section(report),
        gallery::section(report)?,
        run::section(report),
    ];
    let sections = sections.concat();
    let version = env!("CARGO_PKG_VERSION");
    Ok(format!(
        r#"<!DOCTYPE html>
<html lang="en"><head>{head}</head><body>{sections}<footer><p>Made by <code>unnunet report</code> {version}. For research use. Not a medical device.</p></footer><script>{SCRIPT}</script></body></html>
"#
    ))
}

/// The digest by which a policy knows a style sheet or a script.
fn digest(content: &str) -> String {
    format!("sha256-{}", BASE64_STANDARD.encode(Sha256::digest(content)))
}

fn header(report: &Report<'_>) -> String {
    let count = |state: State| report.cases.iter().filter(|case| case.state() == state).count();
    let [accepted, to_review, failed, problems] =
        [State::Accept, State::Review, State::Failed, State::Problem].map(count);
    let bundle = &report.run.bundle;
    let mut tiles = vec![tile("Cases", &report.cases.len().to_string(), "")];
    if report.run.calibration.promise.is_some() {
        tiles.push(tile("Accept", &accepted.to_string(), "accept"));
        tiles.push(tile("Review", &to_review.to_string(), "review"));
    }
    tiles.extend((failed > 0).then(|| tile("Failed", &failed.to_string(), "failed")));
    tiles.extend((problems > 0).then(|| tile("Unreadable", &problems.to_string(), "failed")));
    if let Some(statistics) = &report.statistics {
        let n = statistics.mean_dice.map_or(0, |mean| mean.n);
        tiles.push(tile(&format!("Mean Dice, n = {n}"), &number(statistics.mean_dice.map(|mean| mean.value)), ""));
        let spearman = statistics.score.spearman.map(|found| found.coefficient);
        tiles.push(tile("Spearman, score and Dice", &number(spearman), ""));
    }
    let tiles = tiles.concat();
    format!(
        r#"<header><p class="kicker">Prediction report</p><h1><bdi>{}</bdi> <span class="version"><bdi>{}</bdi></span></h1><p class="lead">How far each segmentation can be trusted, judged by the disagreement and doubt of {} networks.</p><dl class="tiles">{tiles}</dl></header>"#,
        text(&bundle.id),
        text(&bundle.version),
        report.run.members.len()
    )
}

/// `label` is ours, `class` too.
fn tile(label: &str, value: &str, class: &str) -> String {
    format!(r#"<div class="tile {class}"><dt>{label}</dt><dd>{value}</dd></div>"#)
}

/// Where the figure of a case is on the page.
fn anchor(index: usize) -> String {
    format!("case-{index}")
}

/// What is to be done with a case, as a colored word.
fn badge(case: &Case) -> String {
    let state = case.state();
    format!(r#"<span class="badge {}">{}</span>"#, state.word(), state.word())
}
