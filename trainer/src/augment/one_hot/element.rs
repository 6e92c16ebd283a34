//! Balls and disks as structuring elements.
//!
//! Follows `ball` and `disk` of scikit-image for radii that are no whole numbers, as augmentation draws them, number by
//! number: a ball has `floor(2r + 1)` samples along every axis, evenly spaced from −r to r, so that half of the balls
//! have no sample in their middle, and all balls between two half radii have the same voxels; a disk has samples from −r
//! in steps of one, and is not symmetric. The voxel they are moved to is sample `(n - 1) / 2`, rounded down.

/// A set of offsets `[z, y, x]`, those of one (z, y) without a gap.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Element {
    spans: Vec<(isize, isize)>,
    rows: Vec<Row>,
}

/// Offsets of one (z, y).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row {
    /// Offset along z.
    pub z: isize,
    /// Offset along y.
    pub y: isize,
    /// Which of the spans has its offsets along x.
    pub span: usize,
}

impl Element {
    /// The ball of a radius in voxels.
    pub fn ball(radius: f64) -> Self {
        let samples = evenly_spaced(radius);
        Self::within(radius, &samples, &samples)
    }

    /// The disk of a radius in voxels, in a plane of y and x.
    pub fn disk(radius: f64) -> Self {
        Self::within(radius, &[0.0], &in_steps_of_one(radius))
    }

    /// First and last offset along x of every row that differs in them from all others.
    pub fn spans(&self) -> &[(isize, isize)] {
        &self.spans
    }

    /// The rows, by z and y.
    pub fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// The samples of `along_z` × `in_plane` × `in_plane` whose distance from zero is at most the radius.
    fn within(radius: f64, along_z: &[f64], in_plane: &[f64]) -> Self {
        let mut element = Self { spans: Vec::new(), rows: Vec::new() };
        let offset = |index: usize, n: usize| signed(index) - signed((n - 1) / 2);
        let n = in_plane.len();
        for (k, z) in along_z.iter().enumerate() {
            for (j, y) in in_plane.iter().enumerate() {
                // In the order in which the reference adds the squares.
                let is_inside =
                    |x: &f64| if along_z.len() == 1 { x * x + y * y } else { x * x + y * y + z * z } <= radius * radius;
                let first = in_plane.iter().position(is_inside);
                let last = in_plane.iter().rposition(is_inside);
                let Some((first, last)) = first.zip(last) else { continue };
                let span = (offset(first, n), offset(last, n));
                let known = element.spans.iter().position(|other| *other == span);
                let index = known.unwrap_or(element.spans.len());
                if known.is_none() {
                    element.spans.push(span);
                }
                element.rows.push(Row { z: offset(k, along_z.len()), y: offset(j, n), span: index });
            }
        }
        element
    }
}

/// `floor(2r + 1)` samples from −r to r.
fn evenly_spaced(radius: f64) -> Vec<f64> {
    let n = count((2.0 * radius + 1.0).floor());
    if n <= 1 {
        return vec![0.0];
    }
    let step = (radius - -radius) / (n as f64 - 1.0);
    (0..n).map(|index| index as f64 * step - radius).collect()
}

/// The samples −r, −r + 1, … below r + 1.
fn in_steps_of_one(radius: f64) -> Vec<f64> {
    let n = count((2.0 * radius + 1.0).ceil());
    if n <= 1 {
        return vec![0.0];
    }
    let step = (-radius + 1.0) - -radius;
    (0..n).map(|index| -radius + index as f64 * step).collect()
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "radii are few voxels, and below 0 is 0")]
fn count(n: f64) -> usize {
    n as usize
}

fn signed(index: usize) -> isize {
    isize::try_from(index).expect("an element has few voxels")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(element: &Element, expected: &[&str]) {
        let row = |wanted: (isize, isize)| {
            let row = element.rows().iter().find(|row| (row.z, row.y) == wanted);
            let span = row.map(|row| element.spans()[row.span]);
            (-3..=3)
                .map(|x| if span.is_some_and(|(first, last)| (first..=last).contains(&x)) { '#' } else { '.' })
                .collect()
        };
        let slice: Vec<String> = (-3..=3).map(|y| row((0, y))).collect();
        assert_eq!(slice, expected);
    }

    #[test]
    fn a_ball_of_radius_two_has_its_middle_slice() {
        let slice = [".......", "...#...", "..###..", ".#####.", "..###..", "...#...", "......."];
        check(&Element::ball(2.0), &slice);
        // Every (z, y) of the disk of radius 2, the axes being alike.
        assert_eq!(Element::ball(2.0).rows().len(), 13);
    }

    #[test]
    fn between_two_half_radii_a_ball_is_that_of_the_smaller() {
        let slice = [".......", ".......", "...#...", "..###..", "...#...", ".......", "......."];
        for radius in [1.0, 1.2, 1.49] {
            check(&Element::ball(radius), &slice);
        }
        // Four samples per axis, at −r, −r/3, r/3 and r: no two of them are within r where one is at the rim.
        let slice = [".......", ".......", ".......", "...##..", "...##..", ".......", "......."];
        check(&Element::ball(1.7), &slice);
    }

    #[test]
    fn a_ball_below_one_half_is_a_voxel() {
        for radius in [0.0, 0.4] {
            assert_eq!(Element::ball(radius).rows(), [Row { z: 0, y: 0, span: 0 }]);
        }
    }
}
