//! How far the scores of the run can be trusted: statistics with intervals, and diagrams.

use nnunet::calibration::Promise;
use nnunet::evaluation::bootstrap::Estimate;
use nnunet::evaluation::correlation::Correlation;

use super::super::Report;
use super::super::diagrams;
use super::super::markup::{interval, number, text};
use super::super::statistics::Statistics;

/// The section.
pub(super) fn section(report: &Report<'_>) -> String {
    let (figures, table) = match &report.statistics {
        Some(statistics) => (figures(report, statistics), table(report, statistics)),
        None => (vec![histogram(report)], String::new()),
    };
    let note = match (&report.statistics, &report.run.calibration.promise) {
        (None, _) => "<p>No references were given: what scores say about Dice cannot be checked here. Give <code>--reference</code> to have it checked.</p>".to_owned(),
        (Some(_), None) => {
            let reason = report.run.calibration.reason.as_deref().unwrap_or("no reason is given");
            format!("<p>No case has an expected Dice: {}.</p>", text(reason))
        }
        (Some(_), Some(_)) => String::new(),
    };
    let figures = figures.concat();
    format!(
        r#"<section aria-labelledby="trust"><h2 id="trust">What the scores are worth</h2>{note}<div class="figures">{figures}</div>{table}</section>"#
    )
}

fn figures(report: &Report<'_>, statistics: &Statistics) -> Vec<String> {
    let cases = &report.cases;
    let mut figures = vec![
        figure(
            "Score against Dice",
            "A dot is a case; the line is of least squares, its band the 95 % interval of the line. Colors are those of the decisions. A useful score falls steeply.",
            &diagrams::dice_over_score(cases, &statistics.score, &report.scores),
        ),
        figure(
            "Risk and coverage",
            "What remains of the risk if only the surest cases are kept. A useful score stays below the dashed line, which is the risk of all cases.",
            &diagrams::risk_coverage(&statistics.score),
        ),
    ];
    if statistics.expectation.pairs.is_empty() {
        figures.push(histogram(report));
    } else {
        figures.push(figure(
            "Reliability of the expected Dice",
            "Large dots are means of tenths of the expected Dice, with 95 % intervals from ten cases on. A calibrated model lies on the dashed line.",
            &diagrams::reliability(&statistics.expectation),
        ));
        figures.push(histogram(report));
    }
    figures
}

fn histogram(report: &Report<'_>) -> String {
    let caption = "How the scores of the run are distributed. A score is the sum of the uncertainty per voxel of the contour; larger is less certain.";
    figure("Scores", caption, &diagrams::scores(&report.cases, &report.scores))
}

/// Title and caption are ours.
fn figure(title: &str, caption: &str, svg: &str) -> String {
    format!(r"<figure><h3>{title}</h3>{svg}<figcaption>{caption}</figcaption></figure>")
}

fn table(report: &Report<'_>, statistics: &Statistics) -> String {
    let Statistics { mean_dice, score, expectation } = statistics;
    let slope = score.regression.as_ref().map(|regression| regression.slope);
    let intercept = score.regression.as_ref().map(|regression| regression.intercept);
    let risk = score.risk_coverage.last().map(|point| point.risk);
    let mut rows = vec![
        row("Mean Dice", *mean_dice, "bootstrap", "over the structures of a case, then over cases"),
        row("Pearson’s r", score.pearson.map(estimate), "Fisher", "of score and Dice; −1 is best"),
        row("Spearman’s ρ", score.spearman.map(estimate), "Fisher", "of their ranks; −1 is best"),
        row("Slope", slope, "bootstrap", "Dice per bit of score, by least squares"),
        row("Intercept", intercept, "bootstrap", "Dice where the score is 0"),
        row(
            "AURC",
            score.aurc,
            "bootstrap",
            &format!("area under the risk–coverage curve; a score that says nothing has {}", number(risk)),
        ),
    ];
    if let Some(Promise { level, minimum_dice, risk, .. }) = report.run.calibration.promise {
        rows.extend([
            row("ECE", expectation.ece, "bootstrap", "mean distance of expected from observed Dice; 0 is best, few cases raise it"),
            row("Intervals that held", expectation.held, "Clopper–Pearson", &format!("share of the cases; {level} was promised")),
            row(
                "Wrongly accepted",
                expectation.wrongly_accepted,
                "Clopper–Pearson",
                &format!("share of all cases that were accepted with a Dice below {minimum_dice}; at most {risk} was promised"),
            ),
        ]);
    }
    let rows = rows.concat();
    format!(
        r#"<div class="scroll" tabindex="0" role="region" aria-label="Statistics"><table><caption>Recomputed from the references; intervals are of 95 %</caption><thead><tr><th scope="col">Statistic</th><th scope="col" class="number">Value</th><th scope="col" class="number">Interval</th><th scope="col" class="number">n</th><th scope="col">By</th><th scope="col">Reading</th></tr></thead><tbody>{rows}</tbody></table></div>"#
    )
}

fn estimate(correlation: Correlation) -> Estimate {
    Estimate { value: correlation.coefficient, interval: correlation.interval, n: correlation.n }
}

/// All texts are ours.
fn row(name: &str, estimate: Option<Estimate>, by: &str, reading: &str) -> String {
    let n = estimate.map_or(0, |estimate| estimate.n);
    let ends = estimate.and_then(|estimate| estimate.interval);
    let by = if ends.is_some() { by } else { "–" };
    format!(
        r#"<tr><th scope="row">{name}</th><td class="number">{}</td><td class="number">{}</td><td class="number">{n}</td><td>{by}</td><td class="reading">{reading}</td></tr>"#,
        number(estimate.map(|estimate| estimate.value)),
        interval(ends)
    )
}
