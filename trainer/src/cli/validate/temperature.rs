//! `--temperature` of `validate`: fitted, as found before, or as the user says.

use nnunet::fold::Fold;

use crate::cli::{output, progress};
use crate::trained::Trained;
use crate::validation::temperature::{Sampled, TemperatureRecord};
use crate::validation::{DoneCases, FoldValidator};

/// What the logits are divided by.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Temperature {
    /// What the validation cases ask for.
    Fit,
    /// What the user says.
    Fixed(f32),
}

/// Parses `fit` or a number.
pub(super) fn parse(text: &str) -> Result<Temperature, String> {
    if text == "fit" {
        return Ok(Temperature::Fit);
    }
    let temperature = text.parse().ok().filter(|temperature| (0.01..=100.0).contains(temperature));
    temperature.map(Temperature::Fixed).ok_or_else(|| "expected `fit` or a number from 0.01 to 100".to_owned())
}

/// The folds that are validated.
pub(super) type Ready<'a> = [(Fold, FoldValidator<'a>)];

impl Temperature {
    /// The temperature of the user, that of an earlier validation that is kept, or one that is fitted now.
    pub(super) fn find(self, trained: &Trained, ready: &mut Ready<'_>, done: DoneCases) -> anyhow::Result<f32> {
        if let Self::Fixed(temperature) = self {
            return Ok(temperature);
        }
        let known = match done {
            DoneCases::Keep => TemperatureRecord::read(trained)?,
            DoneCases::PredictAgain => None,
        };
        if let Some(known) = known {
            output::note(format_args!("temperature {} of an earlier validation", known.temperature));
            return Ok(known.temperature);
        }
        let sampled = sample(ready);
        Ok(match TemperatureRecord::fit(trained, &sampled)? {
            Ok(fitted) => {
                output::note(format_args!(
                    "temperature {}, fitted to {} cases: {:.4} bits per voxel before, {:.4} after",
                    fitted.temperature,
                    fitted.cases.len(),
                    fitted.bits_before,
                    fitted.bits_after
                ));
                fitted.temperature
            }
            Err(error) => {
                output::note(format_args!("temperature 1: {error}"));
                1.0
            }
        })
    }
}

/// A case that fails here fails again when it is predicted, and is reported then.
fn sample(ready: &mut Ready<'_>) -> Sampled {
    let n_predictions = ready.iter().map(|(_, fold)| fold.cases_to_sample().len() * fold.n_members()).sum();
    let bar = progress::predictions("fitting the temperature", n_predictions);
    let mut sampled = Sampled::default();
    for (_, of_fold) in ready {
        for case in of_fold.cases_to_sample() {
            let before = bar.position();
            if let Ok(of_case) = of_fold.sample(case, &mut || bar.inc(1)) {
                sampled.add(of_fold, case, of_case);
            }
            bar.set_position(before + of_fold.n_members() as u64);
        }
    }
    bar.finish_and_clear();
    sampled
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_temperature_is_fitted_or_a_number_that_the_runtime_takes() {
        assert_eq!(parse("fit"), Ok(Temperature::Fit));
        assert_eq!(parse("1.5"), Ok(Temperature::Fixed(1.5)));
        for text in ["0", "-1", "101", "nan", "inf", "auto", ""] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
