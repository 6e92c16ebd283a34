//! nnU-Net's `summary.json`.
//!
//! Written as nnU-Net v2.8.1's `compute_metrics_on_folder` does: keys in alphabetical order, structures named by
//! their label value or, for regions, by a tuple such as `(1, 2)`. Departs from it in one point: a metric that does
//! not exist is `null`, because nnU-Net's `NaN` is not JSON. Means leave such cases out; a mean without any case is
//! `null`, and so is the foreground mean if one of its structures' is.

use serde::Serialize;
use serde_json::{Map, Value};

use super::overlap::{Overlap, StructureMetrics};

/// The metrics of one structure, of a case or as means; field names and order are nnU-Net's.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Metrics<T> {
    /// Dice coefficient.
    #[serde(rename = "Dice")]
    pub dice: Option<f64>,
    /// Voxels missed.
    #[serde(rename = "FN")]
    pub fn_: T,
    /// Voxels too many.
    #[serde(rename = "FP")]
    pub fp: T,
    /// Intersection over union.
    #[serde(rename = "IoU")]
    pub iou: Option<f64>,
    /// Voxels rightly left out.
    #[serde(rename = "TN")]
    pub tn: T,
    /// Voxels found.
    #[serde(rename = "TP")]
    pub tp: T,
    /// Voxels of the prediction.
    pub n_pred: T,
    /// Voxels of the reference.
    pub n_ref: T,
}

impl From<Overlap> for Metrics<u64> {
    fn from(overlap: Overlap) -> Self {
        let Overlap { tp, fp, fn_, tn } = overlap;
        let (dice, iou) = (overlap.dice(), overlap.iou());
        Self { dice, fn_, fp, iou, tn, tp, n_pred: fp + tp, n_ref: fn_ + tp }
    }
}

/// One case of a summary.
#[derive(Debug, Clone, PartialEq)]
pub struct CaseMetrics {
    /// Overlap per structure; the same structures in every case.
    pub structures: Vec<StructureMetrics>,
    /// Path of the prediction, for people.
    pub prediction_file: String,
    /// Path of the reference, for people.
    pub reference_file: String,
}

/// Metrics of a set of cases and their means.
#[derive(Debug, Clone, PartialEq)]
pub struct Summary {
    /// The cases in the order they were given.
    pub cases: Vec<CaseMetrics>,
    /// Name, label values and means over the cases of each structure.
    pub means: Vec<(String, Vec<u8>, Metrics<f64>)>,
    /// Means over the structures.
    pub foreground_mean: Metrics<f64>,
}

impl Summary {
    /// Gathers cases; `None` if there are none.
    pub fn of(cases: Vec<CaseMetrics>) -> Option<Self> {
        let first = cases.first()?;
        let mean_of = |i: usize| {
            let of_cases: Vec<_> = cases.iter().filter_map(|case| case.structures.get(i)).collect();
            mean(&of_cases.iter().map(|of| of.overlap.into()).collect::<Vec<Metrics<u64>>>())
        };
        let means: Vec<_> = first
            .structures
            .iter()
            .enumerate()
            .map(|(i, of)| (of.name.clone(), of.values.clone(), mean_of(i)))
            .collect();
        let foreground_mean = mean_of_means(&means.iter().map(|(.., metrics)| *metrics).collect::<Vec<_>>());
        Some(Self { cases, means, foreground_mean })
    }

    /// The content of `summary.json`.
    pub fn to_json(&self) -> Value {
        let of_case = |case: &CaseMetrics| {
            let metrics = case.structures.iter().map(|of| (key(&of.values), plain(&Metrics::from(of.overlap))));
            serde_json::json!({
                "metrics": sorted(metrics.collect()),
                "prediction_file": case.prediction_file,
                "reference_file": case.reference_file,
            })
        };
        serde_json::json!({
            "foreground_mean": plain(&self.foreground_mean),
            "mean": sorted(self.means.iter().map(|(_, values, metrics)| (key(values), plain(metrics))).collect()),
            "metric_per_case": self.cases.iter().map(of_case).collect::<Vec<_>>(),
        })
    }
}

/// nnU-Net's key of a structure: Python's text of a number or of a tuple.
fn key(values: &[u8]) -> String {
    match values {
        [value] => value.to_string(),
        values => format!("({})", values.iter().map(u8::to_string).collect::<Vec<_>>().join(", ")),
    }
}

/// An object with its keys in the order of their text, as Python's `sort_keys` writes them.
fn sorted(mut entries: Vec<(String, Value)>) -> Value {
    entries.sort_by(|a, b| a.0.cmp(&b.0));
    Value::Object(Map::from_iter(entries))
}

fn plain(metrics: &impl Serialize) -> Value {
    serde_json::to_value(metrics).expect("metrics are numbers with text keys")
}

/// Mean of what exists; `None` if nothing does.
fn mean_of_defined(values: impl Iterator<Item = Option<f64>>) -> Option<f64> {
    let defined: Vec<f64> = values.flatten().collect();
    (!defined.is_empty()).then(|| defined.iter().sum::<f64>() / defined.len() as f64)
}

fn mean(cases: &[Metrics<u64>]) -> Metrics<f64> {
    let count =
        |of: fn(&Metrics<u64>) -> u64| cases.iter().map(|case| of(case) as f64).sum::<f64>() / cases.len() as f64;
    Metrics {
        dice: mean_of_defined(cases.iter().map(|case| case.dice)),
        fn_: count(|case| case.fn_),
        fp: count(|case| case.fp),
        iou: mean_of_defined(cases.iter().map(|case| case.iou)),
        tn: count(|case| case.tn),
        tp: count(|case| case.tp),
        n_pred: count(|case| case.n_pred),
        n_ref: count(|case| case.n_ref),
    }
}

/// Mean over structures; of ratios only if every structure has one, as a mean with NaN is NaN in NumPy.
fn mean_of_means(structures: &[Metrics<f64>]) -> Metrics<f64> {
    let count = |of: fn(&Metrics<f64>) -> f64| structures.iter().map(of).sum::<f64>() / structures.len() as f64;
    let ratio = |of: fn(&Metrics<f64>) -> Option<f64>| {
        let all: Option<Vec<f64>> = structures.iter().map(of).collect();
        all.and_then(|all| mean_of_defined(all.into_iter().map(Some)))
    };
    Metrics {
        dice: ratio(|of| of.dice),
        fn_: count(|of| of.fn_),
        fp: count(|of| of.fp),
        iou: ratio(|of| of.iou),
        tn: count(|of| of.tn),
        tp: count(|of| of.tp),
        n_pred: count(|of| of.n_pred),
        n_ref: count(|of| of.n_ref),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn case(overlaps: &[Overlap]) -> CaseMetrics {
        let structures = overlaps.iter().zip(1..).map(|(&overlap, value)| StructureMetrics {
            name: format!("structure {value}"),
            values: vec![value],
            overlap,
        });
        CaseMetrics {
            structures: structures.collect(),
            prediction_file: "p/a.nii.gz".into(),
            reference_file: "r/a.nii.gz".into(),
        }
    }

    #[test]
    fn means_leave_out_what_does_not_exist() {
        let nowhere = Overlap { tn: 9, ..Overlap::default() };
        let half = Overlap { tp: 1, fp: 1, fn_: 1, tn: 6 };
        let summary = Summary::of(vec![case(&[half, half]), case(&[nowhere, half])]).unwrap();
        assert_eq!(summary.means[0].2.dice, Some(0.5));
        assert!((summary.means[0].2.n_ref - 1.0).abs() < 1e-15);
        assert_eq!(summary.foreground_mean.dice, Some(0.5));

        let summary = Summary::of(vec![case(&[nowhere, half])]).unwrap();
        assert_eq!(summary.means[0].2.dice, None);
        assert_eq!(summary.foreground_mean.dice, None);
        assert_eq!(Summary::of(vec![]), None);
    }

    #[test]
    fn the_file_has_the_keys_of_nnunet_in_their_order() {
        let half = Overlap { tp: 1, fp: 1, fn_: 1, tn: 6 };
        let json = Summary::of(vec![case(&[half])]).unwrap().to_json();
        let expected = concat!(
            r#"{"foreground_mean":{"Dice":0.5,"FN":1.0,"FP":1.0,"IoU":0.3333333333333333,"TN":6.0,"TP":1.0,"n_pred":2.0,"n_ref":2.0},"#,
            r#""mean":{"1":{"Dice":0.5,"FN":1.0,"FP":1.0,"IoU":0.3333333333333333,"TN":6.0,"TP":1.0,"n_pred":2.0,"n_ref":2.0}},"#,
            r#""metric_per_case":[{"metrics":{"1":{"Dice":0.5,"FN":1,"FP":1,"IoU":0.3333333333333333,"TN":6,"TP":1,"n_pred":2,"n_ref":2}},"#,
            r#""prediction_file":"p/a.nii.gz","reference_file":"r/a.nii.gz"}]}"#
        );
        assert_eq!(json.to_string(), expected);
    }

    #[test]
    fn a_region_is_named_as_python_prints_its_tuple() {
        assert_eq!(key(&[1, 2]), "(1, 2)");
        assert_eq!(key(&[3]), "3");
    }
}
