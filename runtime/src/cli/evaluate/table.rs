//! The summary as a table: on the terminal, and as CSV with a line per case and structure.
//!
//! What is undefined is `-` on the terminal and an empty field in the CSV, never 0.

use std::io;

use nnunet::dataset::LabelSet;
use nnunet::evaluation::summary::{CaseMetrics, MeanMetrics, Summary, key};

use crate::cli::output;

/// Columns of the CSV.
const COLUMNS: [&str; 14] = [
    "case",
    "structure",
    "label",
    "presence",
    "Dice",
    "IoU",
    "HD95_mm",
    "ASSD_mm",
    "NSD",
    "TP",
    "FP",
    "FN",
    "n_pred",
    "n_ref",
];

/// Prints Dice of every case, and the means.
pub(super) fn print(summary: &Summary, labels: &LabelSet) {
    let width = summary.metric_per_case.iter().map(|case| case_name(case).len()).max().unwrap_or(0).max(7);
    let names = labels.structures.iter().map(|s| format!("{:>10.10}", s.name)).collect::<Vec<_>>().concat();
    output::line(format_args!("{:<width$}{names}", "Dice"));
    for case in &summary.metric_per_case {
        let dice = labels.structures.iter().map(|s| cell(case.metrics[&key(s)].overlap.dice));
        output::line(format_args!("{:<width$}{}", case_name(case), dice.collect::<String>()));
    }
    let line = |name: &str, field: fn(&MeanMetrics) -> Option<f64>| {
        let cells: String = labels.structures.iter().map(|s| cell(field(&summary.mean[&key(s)]))).collect();
        output::line(format_args!("{name:<width$}{cells}"));
    };
    line("mean", |mean| mean.dice);
    line("HD95 mm", |mean| mean.surface.and_then(|surface| surface.hd95_mm));
    line("ASSD mm", |mean| mean.surface.and_then(|surface| surface.assd_mm));
    line("NSD", |mean| mean.surface.and_then(|surface| surface.nsd));
    let (n, all) = (summary.metric_per_case.len(), cell(summary.foreground_mean.dice));
    output::line(format_args!("mean over structures {} (n = {n})", all.trim()));
    let surface = summary.foreground_mean.surface;
    let [missed, invented] = surface.map_or([0, 0], |surface| [surface.n_reference_only, surface.n_prediction_only]);
    if missed + invented > 0 {
        output::line(format_args!("without distance: {missed} structures missed, {invented} where none is"));
    }
}

/// The table as CSV, in the order of the summary.
///
/// # Errors
///
/// Never in practice: the text is written to memory.
pub(super) fn csv(summary: &Summary, labels: &LabelSet) -> Result<Vec<u8>, csv::Error> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(COLUMNS)?;
    let number = |value: Option<f64>| value.map(|value| value.to_string()).unwrap_or_default();
    for case in &summary.metric_per_case {
        for structure in &labels.structures {
            let label = key(structure);
            let metrics = &case.metrics[&label];
            let (overlap, surface) = (metrics.overlap, metrics.surface);
            let head = [case_name(case), &structure.name, &label, surface.map_or("", |s| s.presence.name())];
            let values = [
                overlap.dice,
                overlap.iou,
                surface.and_then(|s| s.hd95_mm),
                surface.and_then(|s| s.assd_mm),
                surface.and_then(|s| s.nsd),
            ];
            let counts = [
                overlap.n_true_positive,
                overlap.n_false_positive,
                overlap.n_false_negative,
                overlap.n_pred,
                overlap.n_ref,
            ];
            let numbers = values.map(number).into_iter().chain(counts.map(|n| n.to_string()));
            writer.write_record(head.map(str::to_owned).into_iter().chain(numbers))?;
        }
    }
    writer.into_inner().map_err(|error| csv::Error::from(io::Error::other(error.to_string())))
}

fn cell(value: Option<f64>) -> String {
    value.map_or_else(|| format!("{:>10}", "-"), |value| format!("{value:>10.4}"))
}

fn case_name(case: &CaseMetrics) -> &str {
    let file = case.prediction_file.rsplit('/').next().unwrap_or_default();
    file.split('.').next().unwrap_or(file)
}
