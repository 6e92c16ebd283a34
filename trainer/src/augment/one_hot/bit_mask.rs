//! A mask of a patch, one bit per voxel, and its dilation and erosion.
//!
//! Rows along x are whole 64-bit words, the lowest bit first, so that a row is moved and joined 64 voxels at a time. An
//! element is a row of bits for every one of its (z, y): dilation joins every row, widened by them, to those that the
//! element reaches from it; erosion dilates what is outside. Follows `binary_dilation_torch` and its kin of
//! batchgeneratorsv2, which correlate with the element: the border adds nothing and takes nothing away. Departs in
//! counting no neighbors, so that there is nothing to be rounded.

use super::element::Element;

/// Voxels of a word.
const WORD: usize = 64;

/// Which voxels of `[z, y, x]` are inside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BitMask {
    shape: [usize; 3],
    words_per_row: usize,
    words: Vec<u64>,
}

impl BitMask {
    /// A mask without a voxel.
    pub fn empty(shape: [usize; 3]) -> Self {
        let words_per_row = shape[2].div_ceil(WORD);
        Self { shape, words_per_row, words: vec![0; shape[0] * shape[1] * words_per_row] }
    }

    /// Extents `[z, y, x]`.
    pub fn shape(&self) -> [usize; 3] {
        self.shape
    }

    /// Whether no voxel is inside.
    pub fn is_empty(&self) -> bool {
        self.words.iter().all(|word| *word == 0)
    }

    /// Puts voxel `x` of row `z · n_y + y` inside.
    pub fn insert(&mut self, row: usize, x: usize) {
        self.words[row * self.words_per_row + x / WORD] |= 1 << (x % WORD);
    }

    /// Takes voxels `first..end` of a row out.
    pub fn remove_run(&mut self, row: usize, (first, end): (usize, usize)) {
        let words = &mut self.words[row * self.words_per_row..][..self.words_per_row];
        for (word, begin) in words.iter_mut().zip((0..).step_by(WORD)) {
            *word &= !(below(end.saturating_sub(begin)) & !below(first.saturating_sub(begin)));
        }
    }

    /// The runs `first..end` of voxels of a row that are inside, in their order.
    pub fn runs(&self, row: usize) -> impl Iterator<Item = (usize, usize)> {
        let words = &self.words[row * self.words_per_row..][..self.words_per_row];
        let mut x = 0;
        std::iter::from_fn(move || {
            let first = next(words, x, 0)?;
            let end = next(words, first, u64::MAX).unwrap_or(words.len() * WORD);
            x = end;
            Some((first, end))
        })
    }

    /// Takes out whatever is inside `other`.
    pub fn subtract(&mut self, other: &Self) {
        self.words.iter_mut().zip(&other.words).for_each(|(word, other)| *word &= !other);
    }

    /// The voxels that are in `self` and not in `other`.
    #[must_use]
    pub fn without(&self, other: &Self) -> Self {
        let mut rest = self.clone();
        rest.subtract(other);
        rest
    }

    /// Writes 1 for every voxel inside and 0 for every other, `[z, y, x]`.
    ///
    /// # Panics
    ///
    /// If there are not as many values as voxels.
    pub fn write(&self, values: &mut [f32]) {
        let n_x = self.shape[2];
        assert!(values.len() == self.shape.iter().product::<usize>(), "a value per voxel");
        for (row, words) in values.chunks_exact_mut(n_x).zip(self.words.chunks_exact(self.words_per_row)) {
            for (values, &word) in row.chunks_mut(WORD).zip(words) {
                for (bit, value) in values.iter_mut().enumerate() {
                    *value = f32::from(u8::from(word >> bit & 1 == 1));
                }
            }
        }
    }

    /// Every voxel from which the element, moved there, reaches a voxel inside.
    #[must_use]
    pub fn dilated(&self, element: &Element) -> Self {
        self.dilate(element, 0)
    }

    /// Every voxel from which the element, moved there, reaches no voxel of the patch that is outside.
    #[must_use]
    pub fn eroded(&self, element: &Element) -> Self {
        let mut eroded = self.dilate(element, u64::MAX);
        let last = below((self.shape[2] - 1) % WORD + 1);
        for row in eroded.words.chunks_exact_mut(self.words_per_row) {
            for word in row.iter_mut() {
                *word = !*word;
            }
            if let Some(word) = row.last_mut() {
                *word &= last;
            }
        }
        eroded
    }

    /// Dilates the mask, or, with all bits of `flip` set, what is outside.
    fn dilate(&self, element: &Element, flip: u64) -> Self {
        let [n_z, n_y, n_x] = self.shape;
        let n_words = self.words_per_row;
        let last = below((n_x - 1) % WORD + 1);
        let mut dilated = Self::empty(self.shape);
        let mut row = vec![0; n_words];
        let mut widened = vec![0; n_words * element.spans().len()];
        for (number, words) in self.words.chunks_exact(n_words).enumerate() {
            row.iter_mut().zip(words).for_each(|(row, word)| *row = word ^ flip);
            row[n_words - 1] &= last;
            if row.iter().all(|word| *word == 0) {
                continue;
            }
            for (&span, widened) in element.spans().iter().zip(widened.chunks_exact_mut(n_words)) {
                widen(&row, span, widened);
                widened[n_words - 1] &= last;
            }
            for reach in element.rows() {
                // A voxel that is reached by an offset lies against it.
                let target =
                    (number / n_y).checked_add_signed(-reach.z).zip((number % n_y).checked_add_signed(-reach.y));
                let Some((z, y)) = target.filter(|&(z, y)| z < n_z && y < n_y) else { continue };
                let target = &mut dilated.words[(z * n_y + y) * n_words..][..n_words];
                let widened = &widened[reach.span * n_words..][..n_words];
                target.iter_mut().zip(widened).for_each(|(word, widened)| *word |= widened);
            }
        }
        dilated
    }
}

/// The lowest `n` bits.
fn below(n: usize) -> u64 {
    if n >= WORD { u64::MAX } else { (1 << n) - 1 }
}

/// The first bit from `x` on that is set after all bits were flipped by `flip`.
fn next(words: &[u64], x: usize, flip: u64) -> Option<usize> {
    let mut index = x / WORD;
    let mut word = (words.get(index)? ^ flip) & !below(x % WORD);
    while word == 0 {
        index += 1;
        word = words.get(index)? ^ flip;
    }
    Some(index * WORD + word.trailing_zeros() as usize)
}

/// Joins a row, moved against every offset of a span, into `widened`.
fn widen(row: &[u64], (first, last): (isize, isize), widened: &mut [u64]) {
    widened.fill(0);
    for offset in first..=last {
        let (words, bits) = (offset.unsigned_abs() / WORD, offset.unsigned_abs() % WORD);
        let word = |index: Option<usize>| index.and_then(|index| row.get(index)).copied().unwrap_or(0);
        for (index, target) in widened.iter_mut().enumerate() {
            let (near, far) = if offset >= 0 {
                (index.checked_add(words), index.checked_add(words + 1))
            } else {
                (index.checked_sub(words), index.checked_sub(words + 1))
            };
            *target |= match (offset >= 0, bits) {
                (_, 0) => word(near),
                (true, _) => word(near) >> bits | word(far) << (WORD - bits),
                (false, _) => word(near) << bits | word(far) >> (WORD - bits),
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn mask(shape: [usize; 3], voxels: &[bool]) -> BitMask {
        let mut mask = BitMask::empty(shape);
        voxels
            .iter()
            .enumerate()
            .filter(|(_, inside)| **inside)
            .for_each(|(i, _)| mask.insert(i / shape[2], i % shape[2]));
        mask
    }

    fn voxels(mask: &BitMask) -> Vec<bool> {
        let mut values = vec![9.0; mask.shape.iter().product()];
        mask.write(&mut values);
        values.into_iter().map(|value| value > 0.5).collect()
    }

    /// The same, voxel by voxel and offset by offset.
    fn dilated_slowly(shape: [usize; 3], inside: &[bool], element: &Element) -> Vec<bool> {
        let at = |z: usize, y: usize, x: usize| {
            let reached = |row: &super::super::element::Row| {
                let (first, last) = element.spans()[row.span];
                let (z, y) = (z.checked_add_signed(row.z)?, y.checked_add_signed(row.y)?);
                let is_in = |x: usize| {
                    z < shape[0] && y < shape[1] && x < shape[2] && inside[(z * shape[1] + y) * shape[2] + x]
                };
                (first..=last).filter_map(|offset| x.checked_add_signed(offset)).any(is_in).then_some(())
            };
            element.rows().iter().any(|row| reached(row).is_some())
        };
        (0..inside.len()).map(|i| at(i / shape[1] / shape[2], i / shape[2] % shape[1], i % shape[2])).collect()
    }

    #[test]
    fn a_voxel_becomes_the_element_against_which_it_lies() {
        let shape = [1, 1, 7];
        let line = mask(shape, &[false, false, false, true, false, false, false]);
        // Samples at −1.3, −0.3, 0.7 and 1.7; beside the middle, which is the second, only the third is within 1.3.
        let dilated = voxels(&line.dilated(&Element::disk(1.3)));
        assert_eq!(dilated, [false, false, true, true, false, false, false]);
        assert_eq!(voxels(&line.eroded(&Element::disk(1.3))), [false; 7]);
    }

    #[test]
    fn the_border_takes_nothing_away() {
        let all = mask([3, 4, 70], &[true; 3 * 4 * 70]);
        assert_eq!(all.eroded(&Element::ball(2.0)), all);
        assert_eq!(all.dilated(&Element::ball(2.0)), all);
    }

    #[test]
    fn runs_reach_over_words_and_are_taken_out() {
        let mut mask = mask([1, 2, 130], &[true; 260]);
        assert_eq!(mask.runs(1).collect::<Vec<_>>(), [(0, 130)]);
        mask.remove_run(1, (60, 129));
        assert_eq!(mask.runs(1).collect::<Vec<_>>(), [(0, 60), (129, 130)]);
        assert_eq!(mask.runs(0).collect::<Vec<_>>(), [(0, 130)]);
        mask.remove_run(1, (0, 130));
        assert_eq!(mask.runs(1).count(), 0);
    }

    proptest! {
        #[test]
        fn dilation_and_erosion_are_those_of_every_voxel(
            inside in prop::collection::vec(0..20_u8, 5 * 6 * 67),
            radius in 0.0..8.0_f64,
            is_ball in any::<bool>(),
        ) {
            let shape = [5, 6, 67];
            let inside: Vec<bool> = inside.into_iter().map(|value| value == 0).collect();
            let element = if is_ball { Element::ball(radius) } else { Element::disk(radius) };
            let mask = mask(shape, &inside);
            prop_assert_eq!(voxels(&mask.dilated(&element)), dilated_slowly(shape, &inside, &element));
            let outside: Vec<bool> = inside.iter().map(|inside| !inside).collect();
            let eroded = dilated_slowly(shape, &outside, &element).into_iter().map(|reached| !reached);
            prop_assert_eq!(voxels(&mask.eroded(&element)), eroded.collect::<Vec<_>>());
        }
    }
}
