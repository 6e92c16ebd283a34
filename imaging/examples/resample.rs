//! Resamples one volume by cubic splines and says how long it took; `cargo xtask bench preprocess` runs it beside
//! nnU-Net's.
//!
//! `resample IN.f32 OUT.f32 FROM TO CURRENT TARGET`: little-endian 32-bit reals in C order; shapes and spacings (mm)
//! are `z,y,x`. Prints the seconds of the resampling alone. `RAYON_NUM_THREADS` bounds the threads.

use std::error::Error;
use std::io::Write as _;
use std::str::FromStr;
use std::time::Instant;

use imaging::Spacing;
use imaging::resample::{ResamplePlan, SeparateAxis, SplineOrder, resample_channels};
use ndarray::Array4;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [input, output, from, to, current, target] = &arguments[..] else {
        return Err("usage: resample IN.f32 OUT.f32 FROM TO CURRENT TARGET".into());
    };
    let (from, to) = (three(from)?, three(to)?);
    let plan = ResamplePlan {
        from,
        to,
        current: Spacing::new(three(current)?)?,
        target: Spacing::new(three(target)?)?,
        order: SplineOrder::Cubic,
        separate_axis: SeparateAxis::WhenAnisotropic,
    };
    if from.iter().chain(&to).any(|&extent| extent == 0) {
        return Err("a grid has at least one voxel".into());
    }
    let bytes = fs_err::read(input)?;
    let values = bytes.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
    let voxels = Array4::from_shape_vec((1, from[0], from[1], from[2]), values)?;
    let start = Instant::now();
    let resampled = resample_channels(voxels, &plan);
    let seconds = start.elapsed().as_secs_f64();
    let bytes: Vec<u8> = resampled.iter().flat_map(|value| value.to_le_bytes()).collect();
    imaging::atomic_file::write(output.as_ref(), &bytes)?;
    writeln!(std::io::stdout(), "{seconds}")?;
    Ok(())
}

/// Three numbers between commas.
fn three<T: FromStr + Copy>(text: &str) -> Result<[T; 3], Box<dyn Error>>
where
    T::Err: Error + 'static,
{
    let numbers = text.split(',').map(str::parse).collect::<Result<Vec<T>, _>>()?;
    numbers.try_into().map_err(|_| format!("`{text}` is not `z,y,x`").into())
}
