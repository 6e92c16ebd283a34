//! `scores.csv` of `unnunet score`: a line per case and method.
//!
//! The columns `case`, `method`, `score` and `status` are those of `predict`. An undefined score is an empty field, and so
//! is that of a structure which a case has not.

use std::io;

use nnunet::uncertainty::{Scores, UncertaintyMethod};
use serde::Serialize;
use serde_json::{Map, Value};

use super::Scored;

/// A case and what became of it.
#[derive(Debug)]
pub(crate) struct CaseResult {
    /// Name of the case.
    pub(crate) case: String,
    /// Its scores, or the chain of errors.
    pub(crate) outcome: Result<Scored, Vec<String>>,
}

/// The line of `--json`.
#[derive(Serialize)]
pub(crate) struct JsonLine<'a> {
    case: &'a str,
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    members: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    scores: Option<Vec<JsonScores>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a [String]>,
}

#[derive(Serialize)]
struct JsonScores {
    method: UncertaintyMethod,
    score: Option<f64>,
    structures: Map<String, Value>,
}

impl CaseResult {
    /// For machines.
    pub(crate) fn json(&self) -> JsonLine<'_> {
        let case = &self.case;
        match &self.outcome {
            Ok(scored) => {
                let scores = scored.scores.iter().map(|(method, scores)| {
                    let structures = scored.structures.iter().zip(&scores.structures);
                    let structures = structures.map(|(name, score)| (name.clone(), Value::from(*score))).collect();
                    JsonScores { method: *method, score: scores.whole, structures }
                });
                let scores = Some(scores.collect());
                JsonLine { case, status: "done", members: Some(scored.n_members), scores, error: None }
            }
            Err(error) => JsonLine { case, status: "failed", members: None, scores: None, error: Some(error) },
        }
    }

    /// For people: `case_1  class-entropy 1.2345  t-test undefined`.
    pub(crate) fn words(&self) -> String {
        let word = |(method, scores): &(UncertaintyMethod, Scores)| {
            let score = scores.whole.map_or("undefined".to_owned(), |score| format!("{score:.4}"));
            format!("  {method} {score}")
        };
        let scores: String = self.outcome.iter().flat_map(|scored| &scored.scores).map(word).collect();
        format!("{}{scores}", self.case)
    }
}

/// The content of `scores.csv`.
///
/// # Errors
///
/// Never in practice: the text is written to memory.
pub(crate) fn csv(cases: &[CaseResult]) -> Result<Vec<u8>, csv::Error> {
    let mut structures: Vec<&String> = Vec::new();
    for name in cases.iter().flat_map(|case| &case.outcome).flat_map(|scored| &scored.structures) {
        if !structures.contains(&name) {
            structures.push(name);
        }
    }
    let mut writer = csv::Writer::from_writer(Vec::new());
    let fixed = ["case", "method", "members", "score"].map(str::to_owned).into_iter();
    let of_structures = structures.iter().map(|name| format!("score[{name}]"));
    writer.write_record(fixed.chain(of_structures).chain(["status".to_owned()]))?;
    for CaseResult { case, outcome } in cases {
        let Ok(scored) = outcome else {
            let empty = std::iter::repeat_n("", 3 + structures.len());
            writer.write_record([case.as_str()].into_iter().chain(empty).chain(["failed"]))?;
            continue;
        };
        for of_method in &scored.scores {
            writer.write_record(line(case, scored, of_method, &structures))?;
        }
    }
    writer.into_inner().map_err(|error| csv::Error::from(io::Error::other(error.to_string())))
}

fn line(
    case: &str,
    scored: &Scored,
    (method, scores): &(UncertaintyMethod, Scores),
    columns: &[&String],
) -> Vec<String> {
    let number = |value: Option<f64>| value.map(|value| value.to_string()).unwrap_or_default();
    let of_structure = |name: &&String| {
        let position = scored.structures.iter().position(|structure| structure == *name);
        number(position.and_then(|position| scores.structures[position]))
    };
    let mut line = vec![case.to_owned(), method.to_string(), scored.n_members.to_string(), number(scores.whole)];
    line.extend(columns.iter().map(of_structure));
    line.push("done".to_owned());
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cases() -> Vec<CaseResult> {
        let scored = |structures: &[&str], whole, of_structures: &[Option<f64>]| Scored {
            n_members: 3,
            structures: structures.iter().map(ToString::to_string).collect(),
            scores: vec![(UncertaintyMethod::TTest, Scores { whole, structures: of_structures.to_vec() })],
        };
        let case = |case: &str, outcome| CaseResult { case: case.to_owned(), outcome };
        vec![
            case("a", Ok(scored(&["1"], Some(1.5), &[Some(2.0)]))),
            case("b", Ok(scored(&["1", "2"], None, &[None, Some(0.25)]))),
            case("c", Err(vec!["no".to_owned()])),
        ]
    }

    #[test]
    fn undefined_scores_and_structures_that_a_case_has_not_are_empty() {
        let expected = "case,method,members,score,score[1],score[2],status\n\
                        a,t-test,3,1.5,2,,done\n\
                        b,t-test,3,,,0.25,done\n\
                        c,,,,,,failed\n";
        assert_eq!(String::from_utf8(csv(&cases()).unwrap()).unwrap(), expected);
    }

    #[test]
    fn a_case_is_one_line_of_json_or_of_words() {
        let cases = cases();
        let json = |case: &CaseResult| serde_json::to_string(&case.json()).unwrap();
        let expected = r#"{"case":"b","status":"done","members":3,"scores":[{"method":"t-test","score":null,"structures":{"1":null,"2":0.25}}]}"#;
        assert_eq!(json(&cases[1]), expected);
        assert_eq!(json(&cases[2]), r#"{"case":"c","status":"failed","error":["no"]}"#);
        assert_eq!((cases[0].words().as_str(), cases[1].words().as_str()), ("a  t-test 1.5000", "b  t-test undefined"));
    }
}
