//! Makes training samples of one phantom in memory and says how long it took; `cargo xtask bench augment` runs it
//! beside nnU-Net's transforms.
//!
//! `augment Z,Y,X N` or `augment Y,X N`: prints the seconds of N samples on one thread, the case in memory.

use std::error::Error;
use std::io::Write as _;
use std::time::Instant;

use bundle_format::Digest;
use ndarray::{Array3, Array4};
use nnunet::crop::BoundingBox;
use nnunet::dataset::CaseId;
use nnunet::fold::Fold;
use nnunet::preprocess::{CaseProperties, Preprocessed};
use trainer::annotation::Annotation;
use trainer::augment::Recipe;
use trainer::cases::Cases;
use trainer::patch_geometry::PatchGeometry;
use trainer::random::Purpose;
use trainer::sample::Sampler;
use trainer::store::Store;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [patch, n_samples] = &arguments[..] else { return Err("usage: augment Z,Y,X N".into()) };
    let patch = patch.split(',').map(str::parse).collect::<Result<Vec<usize>, _>>()?;
    if !(2..=3).contains(&patch.len()) || patch.iter().any(|extent| !(4..=1024).contains(extent)) {
        return Err("a patch has two or three extents from 4 to 1024".into());
    }
    let n_samples: u32 = n_samples.parse()?;
    let geometry = PatchGeometry::of_patch(&patch);
    let folder = tempfile::tempdir()?;
    let (store, case) = (Store::new(folder.path()), CaseId::new("phantom")?);
    store.write(&case, Digest::of(b"phantom"), &phantom(geometry.patch), &[vec![1], vec![2]])?;
    // Targets of five decoder stages, each half of the one before in plane.
    let target_shapes = (0..5).map(|stage| geometry.patch.map(|extent| (extent >> stage).max(1))).collect();
    let sampler = Sampler {
        cases: Cases::open(&store, &[case], u64::MAX)?,
        recipe: Some(Recipe::new(&geometry, &[false])),
        target_shapes,
        geometry,
        annotation: Annotation::of_classes(3),
        batch_size: 2,
        seed: 0,
        fold: Fold(0),
        purpose: Purpose::Training,
    };
    sampler.sample(1, 0, 0)?;
    let start = Instant::now();
    for number in 0..n_samples {
        std::hint::black_box(sampler.sample(0, number / 2, number % 2)?);
    }
    writeln!(std::io::stdout(), "{}", start.elapsed().as_secs_f64())?;
    Ok(())
}

/// A case half as large again as the patch: waves with a texture, and a ball in a ball.
fn phantom(patch: [usize; 3]) -> Preprocessed {
    let shape = patch.map(|extent| extent + extent / 2);
    let [n_z, n_y, n_x] = shape;
    let image = Array4::from_shape_fn((1, n_z, n_y, n_x), |(_, z, y, x)| {
        let texture = ((z * 7919 + y * 104_729 + x * 1299) % 1013) as f32 / 1013.0;
        (z as f32 / 9.0).sin() + (y as f32 / 31.0).sin() + (x as f32 / 23.0).cos() + texture
    });
    let labels = Array3::from_shape_fn((n_z, n_y, n_x), |(z, y, x)| {
        let part = |at: usize, n: usize| ((at as f64 + 0.5) / n as f64 - 0.5).powi(2);
        let distance = part(z, n_z) + part(y, n_y) + part(x, n_x);
        i16::from(distance < 0.09) + i16::from(distance < 0.03)
    });
    let properties = CaseProperties {
        original_shape: shape,
        transpose_forward: [0, 1, 2],
        crop: BoundingBox { start: [0; 3], end: shape },
        cropped_shape: shape,
        spacing: [1.0; 3],
        target_spacing: [1.0; 3],
        resampled_shape: shape,
    };
    Preprocessed { image, labels: Some(labels), properties }
}
