//! What the programs wrote, read back: `scores.csv` and every `summary.json`.
//!
//! The demo computes nothing that the programs already computed; it only puts
//! scores and Dice of the same case side by side.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use fs_err as fs;
use nnunet::evaluation::mean_defined;
use nnunet::evaluation::summary::Summary;

/// Dice of one structure; `None` where it is undefined.
type DicePerStructure = BTreeMap<String, Option<f64>>;

/// Everything the final table shows.
#[derive(Debug, Clone)]
pub(crate) struct Results {
    /// Folds in the order of every row's columns.
    pub(crate) folds: Vec<u16>,
    /// One row per case, sorted by case.
    pub(crate) rows: Vec<Row>,
    /// Mean Dice per structure of the selected fold, as `unnunet evaluate` says.
    pub(crate) structures: DicePerStructure,
}

/// One case.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    pub(crate) case: String,
    /// Score of every fold; larger is less certain.
    pub(crate) scores: Vec<Option<f64>>,
    /// The fold with the lowest score, or `mean`.
    pub(crate) selected: String,
    /// Score of the selected fold.
    pub(crate) score: Option<f64>,
    /// Dice of the selected fold's segmentation.
    pub(crate) dice: Option<f64>,
    /// Dice of every fold's segmentation.
    pub(crate) dice_of_folds: Vec<Option<f64>>,
    /// Dice of the mean over the folds.
    pub(crate) dice_of_mean: Option<f64>,
}

impl Row {
    /// Mean Dice of the folds that were not selected.
    pub(crate) fn dice_of_others(&self, folds: &[u16]) -> Option<f64> {
        let is_other = |fold: &u16| fold.to_string() != self.selected;
        let others = folds.iter().zip(&self.dice_of_folds).filter(|(fold, _)| is_other(fold));
        mean_defined(others.map(|(_, dice)| *dice))
    }
}

impl Results {
    /// Reads what `unnunet predict` and `unnunet evaluate` left in `prediction`.
    ///
    /// # Errors
    ///
    /// When a file is missing, or lacks a case or a column.
    pub(crate) fn read(prediction: &Path, folds: &[u16]) -> Result<Self> {
        let selected = DiceTable::read(prediction)?;
        let of_folds = folds
            .iter()
            .map(|fold| DiceTable::read(&prediction.join(format!("folds/fold_{fold}"))))
            .collect::<Result<Vec<_>>>()?;
        let of_mean = DiceTable::read(&prediction.join("folds/mean"))?;

        let path = prediction.join("scores.csv");
        let mut rows = Vec::new();
        for scores in Scores::read_all(&path)? {
            let case = &scores.case;
            rows.push(Row {
                scores: folds.iter().map(|fold| scores.of_fold(*fold)).collect::<Result<_>>()?,
                selected: scores.selected.clone(),
                score: scores.score,
                dice: selected.dice_of(case)?,
                dice_of_folds: of_folds.iter().map(|table| table.dice_of(case)).collect::<Result<_>>()?,
                dice_of_mean: of_mean.dice_of(case)?,
                case: case.clone(),
            });
        }
        ensure!(!rows.is_empty(), "`{}` has no case", path.display());
        rows.sort_by(|a, b| a.case.cmp(&b.case));
        Ok(Self { folds: folds.to_vec(), rows, structures: selected.structures })
    }

    /// Mean Dice of the selected folds.
    pub(crate) fn mean_dice_of_selected(&self) -> Option<f64> {
        mean_defined(self.rows.iter().map(|row| row.dice))
    }

    /// Score and Dice of the selected fold, of every case where both are defined.
    pub(crate) fn scores_and_dice(&self) -> Vec<(f64, f64)> {
        self.rows.iter().filter_map(|row| row.score.zip(row.dice)).collect()
    }
}

/// One line of `scores.csv`.
#[derive(Debug)]
struct Scores {
    case: String,
    selected: String,
    score: Option<f64>,
    columns: BTreeMap<String, String>,
}

impl Scores {
    /// Every line of the first uncertainty method in the file.
    fn read_all(path: &Path) -> Result<Vec<Self>> {
        let text = fs::read_to_string(path)?;
        Self::parse_all(&text).with_context(|| format!("cannot read `{}`", path.display()))
    }

    fn parse_all(text: &str) -> Result<Vec<Self>> {
        let mut reader = csv::Reader::from_reader(text.as_bytes());
        let mut lines = Vec::new();
        let mut method = None;
        for line in reader.deserialize() {
            let columns: BTreeMap<String, String> = line?;
            let column = |name: &str| columns.get(name).with_context(|| format!("column `{name}` is missing"));
            let of_line = column("method")?.clone();
            if *method.get_or_insert_with(|| of_line.clone()) != of_line {
                continue;
            }
            lines.push(Self {
                case: column("case")?.clone(),
                selected: column("selected_fold")?.clone(),
                score: number(column("score")?)?,
                columns,
            });
        }
        Ok(lines)
    }

    fn of_fold(&self, fold: u16) -> Result<Option<f64>> {
        let name = format!("fold_{fold}");
        number(self.columns.get(&name).with_context(|| format!("column `{name}` of `scores.csv` is missing"))?)
    }
}

/// An empty field is an undefined score.
fn number(field: &str) -> Result<Option<f64>> {
    if field.is_empty() {
        return Ok(None);
    }
    field.parse().map(Some).with_context(|| format!("`{field}` is no number"))
}

/// Dice of every case of one `summary.json`, and the means per structure.
#[derive(Debug)]
struct DiceTable {
    per_case: BTreeMap<String, Option<f64>>,
    structures: DicePerStructure,
}

impl DiceTable {
    fn read(folder: &Path) -> Result<Self> {
        let path = folder.join("summary.json");
        let summary: Summary = serde_json::from_str(&fs::read_to_string(&path)?)
            .with_context(|| format!("cannot read `{}`", path.display()))?;
        let per_case = summary.metric_per_case.into_iter().map(|case| {
            let file = case.prediction_file.rsplit('/').next().unwrap_or_default();
            let name = file.strip_suffix(".nii.gz").unwrap_or(file).to_owned();
            (name, mean_defined(case.metrics.values().map(|metrics| metrics.overlap.dice)))
        });
        let structures = summary.mean.into_iter().map(|(name, overlap)| (name, overlap.dice));
        Ok(Self { per_case: per_case.collect(), structures: structures.collect() })
    }

    fn dice_of(&self, case: &str) -> Result<Option<f64>> {
        self.per_case.get(case).copied().with_context(|| format!("no `summary.json` entry for case `{case}`"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &str = "case,selected_fold,score,fold_0,fold_1,mean,method,disagreement,status\n";

    #[test]
    fn an_empty_score_is_undefined_and_only_the_first_method_counts() {
        let text = format!(
            "{HEADER}a,1,0.5,0.75,0.5,0.6,class-entropy,0.1,ok\n\
             a,0,0.1,0.1,0.2,0.1,total-entropy,0.1,ok\n\
             b,0,,,,,class-entropy,,ok\n"
        );
        let lines = Scores::parse_all(&text).unwrap();
        assert_eq!(lines.len(), 2);
        assert_eq!((lines[0].score, lines[0].of_fold(0).unwrap()), (Some(0.5), Some(0.75)));
        assert_eq!((lines[1].score, lines[1].of_fold(1).unwrap()), (None, None));
        lines[0].of_fold(2).unwrap_err();
    }

    #[test]
    fn the_others_are_the_folds_that_were_not_selected() {
        let row = Row {
            case: "a".to_owned(),
            scores: vec![Some(1.0); 3],
            selected: "2".to_owned(),
            score: Some(1.0),
            dice: Some(0.9),
            dice_of_folds: vec![Some(0.5), None, Some(0.9)],
            dice_of_mean: Some(0.8),
        };
        assert_eq!(row.dice_of_others(&[0, 1, 2]), Some(0.5));
    }
}
