//! The diagrams of a report: scores, and how they and what was expected keep up with references.

use nnunet::evaluation::bootstrap::Estimate;

use super::case::{Case, State};
use super::chart::{Axis, Chart};
use super::markup::number;
use super::scale::Scale;
use super::statistics::{ExpectationStatistics, ScoreStatistics, pairs};

/// Bars of the histogram.
const N_BARS: u32 = 20;

/// Dice over score, a dot per case, with the line of regression and its band.
pub(super) fn dice_over_score(cases: &[Case], statistics: &ScoreStatistics, scores: &Scale) -> String {
    let pairs = pairs(cases);
    let mut chart = Chart::new(
        Axis { label: "score (bits per contour voxel)", scale: scores.clone() },
        Axis { label: "Dice", scale: dice_scale(pairs.iter().map(|(_, dice)| *dice)) },
    );
    let mut formula = String::new();
    if let Some(regression) = &statistics.regression {
        if let Some(band) = &regression.band {
            let places: Vec<_> = statistics.places.iter().copied().zip(band.iter().copied()).collect();
            chart.band(&places, "band");
        }
        let line: Vec<_> = statistics.places.iter().map(|&x| (x, regression.line.at(x))).collect();
        chart.line(&line, "line");
        let (slope, intercept) = (regression.line.slope, regression.line.intercept);
        formula = format!("; by least squares, Dice is {intercept:.4} + {slope:.4} times the score");
    }
    for case in cases {
        if let Some(place) = case.score.zip(case.dice()) {
            let tip = format!("{}: score {:.4}, Dice {:.4}", case.name, place.0, place.1);
            chart.dot(place, class(case.state()), &tip);
        }
    }
    chart.finish(&format!("Dice over score of {} cases{formula}", pairs.len()))
}

/// Mean risk of the cases that are kept when the least certain are left out.
pub(super) fn risk_coverage(statistics: &ScoreStatistics) -> String {
    let curve = &statistics.risk_coverage;
    let highest = curve.iter().map(|point| point.interval.map_or(point.risk, |[_, high]| high));
    let mut chart = Chart::new(
        Axis { label: "coverage (share of the cases kept)", scale: Scale::UNIT },
        Axis { label: "risk (1 − mean Dice)", scale: Scale::of(highest.chain([0.0])) },
    );
    let band: Option<Vec<_>> = curve.iter().map(|point| Some((point.coverage, point.interval?))).collect();
    if let Some(band) = band {
        chart.band(&band, "band");
    }
    let line: Vec<_> = curve.iter().map(|point| (point.coverage, point.risk)).collect();
    let all = curve.last().map(|point| point.risk);
    if let Some(all) = all {
        chart.line(&[(0.0, all), (1.0, all)], "guide");
    }
    chart.line(&line, "line");
    let half = curve.iter().find(|point| point.coverage >= 0.5).map(|point| point.risk);
    chart.finish(&format!("Risk over coverage: {} of all cases, {} of the surer half", number(all), number(half)))
}

/// Dice over expected Dice, with the mean of every bin and its interval.
pub(super) fn reliability(statistics: &ExpectationStatistics) -> String {
    let scale = dice_scale(statistics.pairs.iter().map(|(expected, dice)| expected.min(*dice)));
    let mut chart = Chart::new(Axis { label: "expected Dice", scale: scale.clone() }, Axis { label: "Dice", scale });
    chart.line(&[(0.0, 0.0), (1.0, 1.0)], "guide");
    for &place in &statistics.pairs {
        chart.dot(place, "dot faint", &format!("expected {:.4}, Dice {:.4}", place.0, place.1));
    }
    for bin in &statistics.bins {
        let Estimate { value, interval, n } = bin.observed;
        if let Some([low, high]) = interval {
            chart.line(&[(bin.expected, low), (bin.expected, high)], "line");
        }
        let tip = format!("{n} cases: expected {:.4}, mean Dice {value:.4}", bin.expected);
        chart.dot((bin.expected, value), "dot bin", &tip);
    }
    chart.finish(&format!("Dice over expected Dice of {} cases", statistics.pairs.len()))
}

/// How many cases have which score, by what is to be done with them.
pub(super) fn scores(cases: &[Case], scores: &Scale) -> String {
    let bar_of = |score: f64| (0..N_BARS).rev().find(|&bar| scores.share(score) >= edge(bar)).unwrap_or(0);
    let states = [State::Accept, State::Done, State::Review, State::Problem];
    let count = |bar: u32, state: State| {
        cases
            .iter()
            .filter(|case| case.state() == state && case.score.is_some_and(|score| bar_of(score) == bar))
            .count()
    };
    let highest = (0..N_BARS).map(|bar| states.iter().map(|&state| count(bar, state)).sum::<usize>()).max();
    let mut chart = Chart::new(
        Axis { label: "score (bits per contour voxel)", scale: scores.clone() },
        Axis { label: "cases", scale: Scale::of([highest.unwrap_or(0).max(5) as f64]) },
    );
    for bar in 0..N_BARS {
        let [left, right] = [bar, bar + 1].map(|bar| scores.at(edge(bar)));
        let mut n_below = 0;
        for state in states {
            let n = count(bar, state);
            if n > 0 {
                let tip = format!("{n} cases with a score from {left:.4} to {right:.4}: {}", state.word());
                let (low, high) = ((left, n_below as f64), (right, (n_below + n) as f64));
                chart.bar(low, high, class(state), &tip);
            }
            n_below += n;
        }
    }
    let n_scored = cases.iter().filter(|case| case.score.is_some()).count();
    chart.finish(&format!("Histogram of the scores of {n_scored} cases"))
}

/// The part of [0, 1] in which Dice lies, up to 1.
fn dice_scale(values: impl Iterator<Item = f64>) -> Scale {
    Scale::of(values.chain([1.0]))
}

fn edge(bar: u32) -> f64 {
    f64::from(bar) / f64::from(N_BARS)
}

fn class(state: State) -> &'static str {
    match state {
        State::Accept => "dot accept",
        State::Review => "dot review",
        State::Done => "dot done",
        State::Problem | State::Failed => "dot failed",
    }
}
