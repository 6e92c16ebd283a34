//! Part of a preprocessed case in memory, with its place in the case.

/// Voxels `lower..lower + shape` of a case, all channels, C order.
#[derive(Debug, Clone, PartialEq)]
pub struct Block {
    /// First voxel `[z, y, x]` in the case.
    pub lower: [usize; 3],
    /// Extents `[z, y, x]`.
    pub shape: [usize; 3],
    /// `[channel, z, y, x]`.
    pub image: Vec<f32>,
    /// `[z, y, x]`; −1 outside the nonzero region.
    pub labels: Vec<i16>,
}

impl Block {
    /// Channels of the image.
    ///
    /// # Panics
    ///
    /// If the block is empty.
    pub fn n_channels(&self) -> usize {
        self.image.len() / self.labels.len()
    }

    /// Index into `labels` of a voxel given in the case's own coordinates; `None` outside the block.
    pub fn index(&self, voxel: [i64; 3]) -> Option<usize> {
        let mut index = 0;
        for (coordinate, (lower, extent)) in voxel.into_iter().zip(self.lower.into_iter().zip(self.shape)) {
            let within = usize::try_from(coordinate).ok()?.checked_sub(lower)?;
            if within >= extent {
                return None;
            }
            index = index * extent + within;
        }
        Some(index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_voxel_is_found_by_its_place_in_the_case() {
        let block = Block { lower: [1, 0, 5], shape: [2, 2, 3], image: vec![0.0; 24], labels: vec![0; 12] };
        assert_eq!(block.n_channels(), 2);
        assert_eq!(block.index([1, 0, 5]), Some(0));
        assert_eq!(block.index([2, 1, 7]), Some(11));
        for outside in [[0, 0, 5], [3, 0, 5], [1, -1, 5], [1, 0, 4], [1, 0, 8]] {
            assert_eq!(block.index(outside), None, "{outside:?}");
        }
    }
}
