//! The names of axis directions: `RAS` and its 47 relatives.

use std::fmt;
use std::str::FromStr;

use super::{OrientationError, polar};
use crate::Geometry;

/// Letters of the world axes in RAS+: the positive and the negative side.
const LETTERS: [[char; 2]; 3] = [['R', 'L'], ['A', 'P'], ['S', 'I']];

/// The side of the body toward which each voxel axis x, y, z runs.
///
/// Every one of the three world axes occurs exactly once.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct AxisCodes([Direction; 3]);

/// One way along one axis of the world.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) struct Direction {
    /// 0 is right–left, 1 anterior–posterior, 2 superior–inferior.
    pub(super) world_axis: usize,
    pub(super) sense: Sense,
}

/// Whether an index grows with the coordinate of the world or against it.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Sense {
    With,
    Against,
}

impl AxisCodes {
    /// Right, anterior, superior: the axes of the world.
    pub const RAS: Self = Self([Direction::along(0), Direction::along(1), Direction::along(2)]);

    /// The codes of a grid.
    ///
    /// # Errors
    ///
    /// [`OrientationError::Degenerate`] if the affine flattens an axis.
    pub fn of(geometry: &Geometry) -> Result<Self, OrientationError> {
        let affine = geometry.affine();
        let linear: [[f64; 3]; 3] = std::array::from_fn(|row| std::array::from_fn(|column| affine[row][column]));
        let rotation = polar::nearest_rotation(linear).ok_or(OrientationError::Degenerate)?;
        Ok(Self::of_rotation(rotation))
    }

    /// The axis that points most clearly chooses its world axis first; what is chosen is taken.
    fn of_rotation(rotation: [[f64; 3]; 3]) -> Self {
        let clarity = |axis: usize| (0..3).map(|row| rotation[row][axis].abs()).fold(0.0, f64::max);
        let mut order = [0, 1, 2];
        order.sort_by(|&a, &b| clarity(b).total_cmp(&clarity(a)));
        let mut codes = Self::RAS;
        let mut free = vec![0, 1, 2];
        for axis in order {
            let component = |row: usize| rotation[row][axis].abs();
            // Of equal components the first counts, as for NumPy's `argmax`.
            let best =
                (1..free.len()).fold(0, |best, at| if component(free[at]) > component(free[best]) { at } else { best });
            let world_axis = free.remove(best);
            let sense = if rotation[world_axis][axis] < 0.0 { Sense::Against } else { Sense::With };
            codes.0[axis] = Direction { world_axis, sense };
        }
        codes
    }

    /// All 48, in order of their letters' axes.
    pub fn all() -> impl Iterator<Item = Self> {
        const ORDERS: [[usize; 3]; 6] = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]];
        ORDERS.into_iter().flat_map(|order| {
            (0..8_usize).map(move |senses| {
                Self(std::array::from_fn(|axis| Direction {
                    world_axis: order[axis],
                    sense: if senses >> axis & 1 == 0 { Sense::With } else { Sense::Against },
                }))
            })
        })
    }

    /// Directions of the voxel axes x, y, z.
    pub(super) fn directions(self) -> [Direction; 3] {
        self.0
    }
}

impl Direction {
    const fn along(world_axis: usize) -> Self {
        Self { world_axis, sense: Sense::With }
    }

    fn letter(self) -> char {
        LETTERS[self.world_axis][usize::from(self.sense == Sense::Against)]
    }

    fn of_letter(letter: char) -> Option<Self> {
        let world_axis = LETTERS.iter().position(|pair| pair.contains(&letter))?;
        let sense = if LETTERS[world_axis][0] == letter { Sense::With } else { Sense::Against };
        Some(Self { world_axis, sense })
    }
}

impl fmt::Display for AxisCodes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|direction| write!(f, "{}", direction.letter()))
    }
}

impl FromStr for AxisCodes {
    type Err = AxisCodesError;

    fn from_str(text: &str) -> Result<Self, AxisCodesError> {
        let error = || AxisCodesError { found: text.to_owned() };
        let directions: Option<Vec<_>> = text.chars().map(Direction::of_letter).collect();
        let directions: [Direction; 3] = directions.and_then(|all| all.try_into().ok()).ok_or_else(error)?;
        let occurs = |axis| directions.iter().any(|direction| direction.world_axis == axis);
        if (0..3).all(occurs) { Ok(Self(directions)) } else { Err(error()) }
    }
}

/// A text that names no orientation.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("`{found}` is no orientation, expected one letter each of R or L, A or P, S or I")]
pub struct AxisCodesError {
    /// The text.
    pub found: String,
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn there_are_48_and_each_is_read_from_its_name() {
        let all: BTreeSet<_> = AxisCodes::all().collect();
        assert_eq!(all.len(), 48);
        for codes in all {
            assert_eq!(codes.to_string().parse(), Ok(codes));
        }
        assert_eq!(AxisCodes::RAS.to_string(), "RAS");
    }

    #[test]
    fn what_names_no_orientation_is_refused() {
        for text in ["", "RA", "RASS", "RRS", "RLS", "ras", "RAX"] {
            assert_eq!(text.parse::<AxisCodes>(), Err(AxisCodesError { found: text.to_owned() }));
        }
    }

    #[test]
    fn a_rotation_by_45_degrees_goes_to_the_first_axis_that_is_free() {
        let half = 0.5_f64.sqrt();
        // Both x and y point half right, half anterior or posterior: x, which is asked first, gets right.
        let codes = AxisCodes::of_rotation([[half, half, 0.0], [half, -half, 0.0], [0.0, 0.0, -1.0]]);
        assert_eq!(codes.to_string(), "RPI");
    }
}
