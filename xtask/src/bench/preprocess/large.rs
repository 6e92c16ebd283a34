//! CT-sized phantoms in thick slices, whose preprocessing needs cubic resampling.

use std::path::Path;

use anyhow::Result;
use phantoms::balls::Balls;
use phantoms::dataset::{Part, RawDataset};

use super::Subject;

/// The cases, stored as scanners do: 16-bit integers.
const INTEGERS: Balls = Balls {
    name: "Dataset903_LargeIntegers",
    n_training: 5,
    n_test: 0,
    shape: [100, 512, 512],
    spacing_mm: [3.0, 0.8, 0.8],
    seed: 3,
};
/// The same cases, stored as 32-bit reals: twice as much to inflate.
const REALS: Balls = Balls { name: "Dataset904_LargeReals", ..INTEGERS };
/// To what they are resampled, mm.
const PLAN_FLAGS: &[&str] = &["--overwrite-target-spacing", "1.5,1.5,1.5"];

/// Draws the cases and writes both data sets.
///
/// # Errors
///
/// When the disk refuses.
pub(super) fn write(raw: &Path) -> Result<Vec<Subject>> {
    let create = |balls: &Balls| RawDataset::create(raw, balls.name, &["background", "large", "small"]);
    let (integers, reals) = (create(&INTEGERS)?, create(&REALS)?);
    for index in 0..INTEGERS.n_training {
        let (mut image, reference) = INTEGERS.draw(index);
        image.voxels.mapv_inplace(f32::round);
        let case = format!("balls_{index:03}");
        integers.add_scan(Part::Training, &case, &image, &reference)?;
        reals.add(Part::Training, &case, &image, &reference)?;
    }
    let finished = [integers.finish(INTEGERS.n_training)?, reals.finish(REALS.n_training)?];
    Ok(finished.map(|raw| Subject { raw, plan_flags: PLAN_FLAGS }).into())
}
