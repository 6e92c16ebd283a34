//! Makes training samples of one phantom in memory and says how long it took; `cargo xtask bench augment` runs it
//! beside nnU-Net's transforms.
//!
//! `augment Z,Y,X N` or `augment Y,X N`: prints the seconds of N samples on one thread, the case in memory. A third
//! argument: `cascade` adds the segmentation of a previous stage to every sample, `one-hot` makes and augments only the
//! channels of such a segmentation.

use std::error::Error;
use std::io::Write as _;
use std::time::Instant;

use bundle_format::Digest;
use ndarray::{Array3, Array4};
use nnunet::dataset::CaseId;
use nnunet::fold::Fold;
use nnunet::plans::ConfigurationName;
use nnunet::preprocess::{CaseProperties, Preprocessed};
use trainer::annotation::Annotation;
use trainer::augment::Recipe;
use trainer::augment::one_hot::OneHot;
use trainer::cases::Cases;
use trainer::patch_geometry::PatchGeometry;
use trainer::random::{Purpose, Stream};
use trainer::sample::Sampler;
use trainer::stage_predictions::{Predictor, StagePredictions};
use trainer::store::Store;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (patch, n_samples, kind) = match &arguments[..] {
        [patch, n_samples] => (patch, n_samples, "plain"),
        [patch, n_samples, kind] if ["plain", "cascade", "one-hot"].contains(&kind.as_str()) => {
            (patch, n_samples, kind.as_str())
        }
        _ => return Err("usage: augment Z,Y,X N [plain|cascade|one-hot]".into()),
    };
    let patch = patch.split(',').map(str::parse).collect::<Result<Vec<usize>, _>>()?;
    if !(2..=3).contains(&patch.len()) || patch.iter().any(|extent| !(4..=1024).contains(extent)) {
        return Err("a patch has two or three extents from 4 to 1024".into());
    }
    let n_samples: u32 = n_samples.parse()?;
    let geometry = PatchGeometry::of_patch(&patch);
    let folder = tempfile::tempdir()?;
    let (store, case) = (Store::new(folder.path()), CaseId::new("phantom")?);
    let phantom = phantom(geometry.patch);
    store.write(&case, Digest::of(b"phantom"), &phantom, &[vec![1], vec![2]])?;
    let mut cases = Cases::open(&store, std::slice::from_ref(&case), u64::MAX)?;
    if kind == "cascade" {
        let labels = phantom.labels.ok_or("the phantom has labels")?.mapv(|label| u8::try_from(label).unwrap_or(0));
        let predictions = StagePredictions::new(folder.path(), &ConfigurationName("next".into()));
        predictions.write(&case, &labels, Predictor { members: &[], temperature: 1.0 })?;
        cases = cases.with_previous_stage(vec![predictions.open(&case)?]);
    } else if kind == "one-hot" {
        return one_hot(&phantom, geometry.patch, n_samples);
    }
    // Targets of five decoder stages, each half of the one before in plane.
    let target_shapes = (0..5).map(|stage| geometry.patch.map(|extent| (extent >> stage).max(1))).collect();
    let sampler = Sampler {
        cases,
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

/// Makes the one-hot channels of the middle of a phantom and augments them.
fn one_hot(phantom: &Preprocessed, patch: [usize; 3], n_samples: u32) -> Result<(), Box<dyn Error>> {
    let labels = phantom.labels.as_ref().ok_or("the phantom has labels")?;
    let middle = |axis: usize| patch[axis] / 4..patch[axis] / 4 + patch[axis];
    let labels: Vec<i16> = labels.slice(ndarray::s![middle(0), middle(1), middle(2)]).iter().copied().collect();
    let start = Instant::now();
    for index in 0..n_samples {
        let purpose = Purpose::Training;
        let stream = Stream { seed: 0, fold: Fold(0), purpose, epoch: 0, iteration: 0, index };
        let mut channels = OneHot::of(&labels, patch, 2).map_err(|label| format!("label {label}"))?;
        channels.augment(&mut stream.generator());
        let mut image = Vec::new();
        channels.append_to(&mut image);
        std::hint::black_box(image);
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
    let properties = CaseProperties::unchanged(shape);
    Preprocessed { image, labels: Some(labels), properties }
}
