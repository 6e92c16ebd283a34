//! Fold selection: of the folds' segmentations of a case, the one with the lowest uncertainty.

/// What [`select_fold`] decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Selection {
    /// The position, among the scores, of the fold to take.
    Fold(usize),
    /// No fold has a score: take the mean over all folds, and say so.
    Mean,
}

/// Chooses among the folds' scores: the lowest, the first of equals; undefined scores come last.
///
/// A score that is not a number counts as undefined.
pub fn select_fold(scores: &[Option<f64>]) -> Selection {
    let defined = scores.iter().enumerate().filter_map(|(i, score)| score.filter(|s| !s.is_nan()).map(|s| (i, s)));
    let lowest = defined.reduce(|best, next| if next.1 < best.1 { next } else { best });
    lowest.map_or(Selection::Mean, |(i, _)| Selection::Fold(i))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(scores: &[Option<f64>], expected: Selection) {
        assert_eq!(select_fold(scores), expected, "{scores:?}");
    }

    #[test]
    fn the_fold_with_the_lowest_score_is_selected() {
        check(&[Some(2.0), Some(1.0), Some(3.0)], Selection::Fold(1));
    }

    #[test]
    fn of_equal_scores_the_first_fold_is_selected() {
        check(&[Some(2.0), Some(1.0), Some(1.0)], Selection::Fold(1));
    }

    #[test]
    fn undefined_scores_come_last() {
        check(&[None, Some(9.0), Some(f64::NAN)], Selection::Fold(1));
    }

    #[test]
    fn without_any_score_the_mean_is_taken() {
        check(&[None, Some(f64::NAN)], Selection::Mean);
        check(&[], Selection::Mean);
    }
}
