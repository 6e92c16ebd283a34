//! What a file holds, in one reading: its grid, the digest of an image's voxels, the values of a reference.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use imaging::file;
use nnunet::dataset_check::case::{ImageFacts, LabelFacts, NotFinite};
use sha2::{Digest as _, Sha256};

use crate::error_line;

/// Most values beside 0 to 255 that are kept as examples; a probability map has as many values as voxels.
const MAX_OTHERS: usize = 64;

/// Bytes that are hashed at a time.
const CHUNK: usize = 1 << 16;

/// Reads an image; the error is the reason as one line.
pub(super) fn image(path: &Path) -> Result<ImageFacts, String> {
    let mut hasher = Sha256::new();
    let mut chunk = Vec::with_capacity(CHUNK + 4);
    let mut not_finite = Counter::default();
    let scanned = file::scan(path, &mut |index, value| {
        #[expect(clippy::cast_possible_truncation, reason = "the image is kept in f32")]
        let value = value as f32;
        not_finite.add(index, f64::from(value));
        // One pattern of bits for each value: adding zero takes the sign from it, and NaN has many.
        let bits = if value.is_nan() { f32::NAN.to_bits() } else { (value + 0.0).to_bits() };
        chunk.extend(bits.to_le_bytes());
        if chunk.len() >= CHUNK {
            hasher.update(&chunk);
            chunk.clear();
        }
    });
    let (geometry, n_channels) = scanned.map_err(|error| error_line::of(&error))?;
    hasher.update(&chunk);
    for extent in geometry.shape() {
        hasher.update((extent as u64).to_le_bytes());
    }
    let not_finite = not_finite.at(geometry.shape());
    Ok(ImageFacts { geometry, n_channels, digest: hasher.finalize().into(), not_finite })
}

/// Reads a reference; the error is the reason as one line.
pub(super) fn labels(path: &Path) -> Result<LabelFacts, String> {
    let mut n_voxels = [0_u64; 256];
    let mut others = BTreeSet::new();
    let mut n_others = 0;
    let mut not_finite = Counter::default();
    let scanned = file::scan(path, &mut |index, value| {
        // As `imaging` reads labels: whole in single precision is whole.
        #[expect(clippy::cast_possible_truncation, reason = "rounds to the nearest f32")]
        let single = value as f32;
        if single.fract() == 0.0 && (0.0..=255.0).contains(&single) {
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "whole, from 0 to 255")]
            let label = single as u8;
            n_voxels[usize::from(label)] += 1;
        } else if single.is_finite() {
            n_others += 1;
            if others.len() < MAX_OTHERS {
                others.insert(single.to_bits());
            }
        } else {
            not_finite.add(index, f64::from(single));
        }
    });
    let (geometry, _) = scanned.map_err(|error| error_line::of(&error))?;
    let n_voxels: BTreeMap<_, _> = (0..=255).zip(n_voxels).filter(|&(_, n)| n > 0).collect();
    let mut others: Vec<_> = others.into_iter().map(|bits| f64::from(f32::from_bits(bits))).collect();
    others.sort_by(f64::total_cmp);
    let not_finite = not_finite.at(geometry.shape());
    Ok(LabelFacts { geometry, n_voxels, others, n_others, not_finite })
}

#[derive(Default)]
struct Counter {
    n_nan: u64,
    n_infinite: u64,
    first: Option<usize>,
}

impl Counter {
    fn add(&mut self, index: usize, value: f64) {
        if value.is_finite() {
            return;
        }
        if value.is_nan() {
            self.n_nan += 1;
        } else {
            self.n_infinite += 1;
        }
        self.first.get_or_insert(index);
    }

    fn at(self, [z, y, x]: [usize; 3]) -> NotFinite {
        let first = self.first.map(|index| [index / (y * x) % z, index / x % y, index % x]);
        NotFinite { n_nan: self.n_nan, n_infinite: self.n_infinite, first }
    }
}
