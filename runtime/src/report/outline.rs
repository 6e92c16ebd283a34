//! The edges between labels of a plane, as the path of an SVG.
//!
//! An edge runs between two pixels of different label, not through the middle of either, so that outlines of two label
//! maps can be laid over each other; edges in one line are drawn as one.

use std::fmt::Write as _;

use ndarray::Array2;

/// Lines of a path at most: far more than an organ has, far fewer than noise.
const MAX_LINES: usize = 20_000;

/// The `d` of a path along every edge of `labels` `[row, column]`, in pixels; what lies outside the plane is background.
///
/// `None` if it would have too many lines to be looked at.
pub(super) fn outline(labels: &Array2<u8>) -> Option<String> {
    let (n_rows, n_columns) = labels.dim();
    let label = |row: Option<usize>, column: Option<usize>| {
        row.zip(column).and_then(|index| labels.get(index)).copied().unwrap_or(0)
    };
    let mut path = Path::default();
    for row in 0..=n_rows {
        let is_edge = |column: usize| {
            let column = Some(column);
            label(row.checked_sub(1), column) != label(Some(row), column)
        };
        path.lines(n_columns, is_edge, |text, from, to| write!(text, "M{from} {row}h{}", to - from));
    }
    for column in 0..=n_columns {
        let is_edge = |row: usize| {
            let row = Some(row);
            label(row, column.checked_sub(1)) != label(row, Some(column))
        };
        path.lines(n_rows, is_edge, |text, from, to| write!(text, "M{column} {from}v{}", to - from));
    }
    (path.n_lines <= MAX_LINES).then_some(path.text)
}

#[derive(Default)]
struct Path {
    text: String,
    n_lines: usize,
}

impl Path {
    /// Hands every run of edges among `n` places to `draw`, with its first place and the one after its last.
    fn lines(
        &mut self,
        n: usize,
        is_edge: impl Fn(usize) -> bool,
        draw: impl Fn(&mut String, usize, usize) -> std::fmt::Result,
    ) {
        let mut from = None;
        for place in 0..=n {
            match (from, place < n && is_edge(place)) {
                (None, true) => from = Some(place),
                (Some(first), false) => {
                    self.n_lines += 1;
                    if self.n_lines <= MAX_LINES {
                        // Writing to a text does not fail.
                        let _ = draw(&mut self.text, first, place);
                    }
                    from = None;
                }
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use ndarray::arr2;
    use proptest::prelude::*;

    use super::*;

    fn check(labels: &Array2<u8>, expected: &str) {
        assert_eq!(outline(labels).as_deref(), Some(expected));
    }

    #[test]
    fn a_rectangle_has_four_lines() {
        check(&arr2(&[[0, 0, 0, 0], [0, 7, 7, 0], [0, 0, 0, 0]]), "M1 1h2M1 2h2M1 1v1M3 1v1");
    }

    #[test]
    fn labels_that_touch_have_one_edge_between_them() {
        check(&arr2(&[[1, 2]]), "M0 0h2M0 1h2M0 0v1M1 0v1M2 0v1");
        check(&arr2(&[[0, 0], [0, 0]]), "");
    }

    #[test]
    fn noise_is_not_drawn() {
        let specks = Array2::from_shape_fn((512, 512), |(y, x)| u8::from(y % 2 + x % 2 == 0));
        assert!(outline(&specks).is_none());
    }

    proptest! {
        #[test]
        fn lines_are_as_long_as_there_are_edges(values in prop::collection::vec(0_u8..3, 30)) {
            let labels = Array2::from_shape_vec((5, 6), values).unwrap();
            let at = |y: isize, x: isize| {
                usize::try_from(y).ok().zip(usize::try_from(x).ok()).and_then(|at| labels.get(at)).copied().unwrap_or(0)
            };
            let mut n_edges = 0;
            for y in 0..=5 {
                for x in 0..=6 {
                    n_edges += usize::from(at(y, x) != at(y - 1, x)) + usize::from(at(y, x) != at(y, x - 1));
                }
            }
            let path = outline(&labels).unwrap();
            let lengths = path.split('M').skip(1).map(|line| line.split(['h', 'v']).nth(1).unwrap().parse::<usize>());
            prop_assert_eq!(lengths.map(Result::unwrap).sum::<usize>(), n_edges);
        }
    }
}
