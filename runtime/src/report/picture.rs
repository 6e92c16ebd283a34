//! Planes as pictures inside the page: PNG files in data URIs.
//!
//! Gray goes from the 1st to the 99.5th percentile of the plane, as viewers window by default. Uncertainty is colored
//! from black over red to pale yellow, getting lighter all the way, so that it reads in print and to the color-blind.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use ndarray::Array2;
use png::{BitDepth, ColorType, Encoder, EncodingError};

/// Percentiles that become black and white.
const WINDOW: [f64; 2] = [0.01, 0.995];

/// Colors of uncertainty, evenly spaced from none to the most.
const HEAT: [[f64; 3]; 6] = [
    [8.0, 6.0, 20.0],
    [72.0, 16.0, 96.0],
    [158.0, 36.0, 92.0],
    [222.0, 84.0, 48.0],
    [250.0, 162.0, 44.0],
    [252.0, 244.0, 180.0],
];

/// A picture of an image's plane.
///
/// # Errors
///
/// Never in practice: the file is written to memory.
pub(super) fn gray(plane: &Array2<f32>) -> Result<String, EncodingError> {
    let [black, white] = window(plane);
    data_uri(&plane.mapv(|value| level(f64::from(value) - black, white - black)), ColorType::Grayscale)
}

/// A picture of an uncertainty map's plane, on which `most` bits are the lightest.
///
/// # Errors
///
/// Never in practice: the file is written to memory.
pub(super) fn heat(plane: &Array2<f32>, most: f64) -> Result<String, EncodingError> {
    data_uri(&plane.mapv(|bits| level(f64::from(bits), most)), ColorType::Indexed)
}

/// The colors of uncertainty from none to the most, for a legend.
pub(super) fn heat_bar() -> Result<String, EncodingError> {
    data_uri(&Array2::from_shape_fn((1, 256), |(_, level)| u8::try_from(level).unwrap_or(u8::MAX)), ColorType::Indexed)
}

fn window(plane: &Array2<f32>) -> [f64; 2] {
    let mut values: Vec<f32> = plane.iter().copied().collect();
    values.sort_by(f32::total_cmp);
    let last = values.len().saturating_sub(1);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of `last`")]
    WINDOW.map(|share| values.get((share * last as f64).round() as usize).copied().map_or(0.0, f64::from))
}

/// `value` on 0 to 255, where `most` is 255; 0 if nothing can be told apart.
fn level(value: f64, most: f64) -> u8 {
    let share = value / most;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 255")]
    if share.is_finite() { (share.clamp(0.0, 1.0) * 255.0).round() as u8 } else { 0 }
}

fn data_uri(levels: &Array2<u8>, color: ColorType) -> Result<String, EncodingError> {
    let (height, width) = levels.dim();
    let side = |n: usize| u32::try_from(n).map_err(|_| EncodingError::LimitsExceeded);
    let mut file = Vec::new();
    let mut encoder = Encoder::new(&mut file, side(width)?, side(height)?);
    encoder.set_color(color);
    encoder.set_depth(BitDepth::Eight);
    if color == ColorType::Indexed {
        encoder.set_palette(palette());
    }
    let mut writer = encoder.write_header()?;
    writer.write_image_data(&levels.iter().copied().collect::<Vec<_>>())?;
    writer.finish()?;
    Ok(format!("data:image/png;base64,{}", BASE64_STANDARD.encode(file)))
}

fn palette() -> Vec<u8> {
    let color = |level: usize| {
        let steps = HEAT.len() - 1;
        let (step, rest) = (level * steps / 255, (level * steps % 255) as f64 / 255.0);
        let (from, to) = (HEAT[step], HEAT[(step + 1).min(steps)]);
        [0, 1, 2].map(|channel| level_between(from[channel], to[channel], rest))
    };
    (0..256).flat_map(color).collect()
}

fn level_between(from: f64, to: f64, share: f64) -> u8 {
    level(from + (to - from) * share, 255.0)
}

#[cfg(test)]
mod tests {
    use ndarray::arr2;

    use super::*;

    fn decode(uri: &str) -> (Vec<u8>, png::OutputInfo) {
        let file = BASE64_STANDARD.decode(uri.strip_prefix("data:image/png;base64,").unwrap()).unwrap();
        let mut decoder = png::Decoder::new(std::io::Cursor::new(file));
        decoder.set_transformations(png::Transformations::EXPAND);
        let mut reader = decoder.read_info().unwrap();
        let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
        let info = reader.next_frame(&mut pixels).unwrap();
        (pixels, info)
    }

    #[test]
    fn gray_runs_from_black_to_white() {
        let (pixels, info) = decode(&gray(&arr2(&[[-5.0, 0.0, 5.0]])).unwrap());
        assert_eq!((pixels, info.width, info.height), (vec![0, 128, 255], 3, 1));
    }

    #[test]
    fn a_plane_of_one_value_is_black() {
        assert_eq!(decode(&gray(&arr2(&[[7.0, 7.0]])).unwrap()).0, [0, 0]);
        assert_eq!(decode(&heat(&arr2(&[[0.0]]), 0.0).unwrap()).0, [8, 6, 20]);
    }

    #[test]
    fn more_uncertainty_is_lighter() {
        let (colors, _) = decode(&heat_bar().unwrap());
        let lightness =
            |color: &[u8]| 0.2126 * f64::from(color[0]) + 0.7152 * f64::from(color[1]) + 0.0722 * f64::from(color[2]);
        let lightness: Vec<_> = colors.chunks_exact(3).map(lightness).collect();
        assert_eq!(lightness.len(), 256);
        assert!(lightness.is_sorted() && lightness[255] > lightness[0] + 200.0, "{lightness:?}");
    }
}
