//! A picture to plot on: pixels in memory, and letters without any font of the system.
//!
//! `plotters` draws lines and shapes through [`DrawingBackend::draw_pixel`]; text, for which it would ask the system
//! for fonts, is drawn here with the 8×8 letters of the public-domain font of `font8x8`. The picture leaves as PNG.

use std::convert::Infallible;

use plotters_backend::text_anchor::{HPos, VPos};
use plotters_backend::{BackendColor, BackendCoord, BackendTextStyle, DrawingBackend, DrawingErrorKind};

/// Width and height of a letter in pixels.
const LETTER: i32 = 8;
/// What is drawn where the font has no letter.
const UNKNOWN: char = '?';
/// Channels of a pixel.
const RGB: usize = 3;

/// Pixels of a picture, white at first.
#[derive(Debug, Clone)]
pub struct Pixels {
    size: (u32, u32),
    rgb: Vec<u8>,
}

/// A backend of `plotters` that draws into pixels.
#[derive(Debug)]
pub struct Canvas<'a>(pub &'a mut Pixels);

impl Pixels {
    /// A white picture of this width and height.
    pub fn new(width: u32, height: u32) -> Self {
        Self { size: (width, height), rgb: vec![u8::MAX; width as usize * height as usize * RGB] }
    }

    /// The picture as a PNG file.
    ///
    /// # Errors
    ///
    /// [`png::EncodingError`] if a side is empty.
    pub fn to_png(&self) -> Result<Vec<u8>, png::EncodingError> {
        let mut file = Vec::new();
        let mut encoder = png::Encoder::new(&mut file, self.size.0, self.size.1);
        encoder.set_color(png::ColorType::Rgb);
        encoder.set_depth(png::BitDepth::Eight);
        let mut writer = encoder.write_header()?;
        writer.write_image_data(&self.rgb)?;
        writer.finish()?;
        Ok(file)
    }

    /// The channels of a pixel; `None` outside the picture.
    fn pixel(&mut self, (x, y): BackendCoord) -> Option<&mut [u8]> {
        let (x, y) = (u32::try_from(x).ok()?, u32::try_from(y).ok()?);
        let first = (y as usize * self.size.0 as usize + x as usize) * RGB;
        (x < self.size.0 && y < self.size.1).then(|| &mut self.rgb[first..first + RGB])
    }
}

impl DrawingBackend for Canvas<'_> {
    type ErrorType = Infallible;

    fn get_size(&self) -> (u32, u32) {
        self.0.size
    }

    fn ensure_prepared(&mut self) -> Result<(), DrawingErrorKind<Infallible>> {
        Ok(())
    }

    fn present(&mut self) -> Result<(), DrawingErrorKind<Infallible>> {
        Ok(())
    }

    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between two bytes")]
    fn draw_pixel(&mut self, point: BackendCoord, color: BackendColor) -> Result<(), DrawingErrorKind<Infallible>> {
        let (red, green, blue) = color.rgb;
        if let Some(pixel) = self.0.pixel(point) {
            for (below, above) in pixel.iter_mut().zip([red, green, blue]) {
                *below = (f64::from(*below) * (1.0 - color.alpha) + f64::from(above) * color.alpha).round() as u8;
            }
        }
        Ok(())
    }

    fn draw_text<S: BackendTextStyle>(
        &mut self,
        text: &str,
        style: &S,
        (x, y): BackendCoord,
    ) -> Result<(), DrawingErrorKind<Infallible>> {
        let (width, anchor) = (width(text), style.anchor());
        let left = match anchor.h_pos {
            HPos::Left => x,
            HPos::Center => x - width / 2,
            HPos::Right => x - width,
        };
        let top = match anchor.v_pos {
            VPos::Top => y,
            VPos::Center => y - LETTER / 2,
            VPos::Bottom => y - LETTER,
        };
        for (letter, left) in text.chars().zip((left..).step_by(8)) {
            for (row, top) in rows(letter).into_iter().zip(top..) {
                for column in (0..LETTER).filter(|column| row >> column & 1 == 1) {
                    self.draw_pixel((left + column, top), style.color())?;
                }
            }
        }
        Ok(())
    }

    fn estimate_text_size<S: BackendTextStyle>(
        &self,
        text: &str,
        _: &S,
    ) -> Result<(u32, u32), DrawingErrorKind<Infallible>> {
        Ok((width(text).unsigned_abs(), LETTER.unsigned_abs()))
    }
}

/// Pixels of a line of text; a line too long for any picture is cut.
fn width(text: &str) -> i32 {
    i32::try_from(text.chars().count()).unwrap_or(i32::MAX / LETTER).saturating_mul(LETTER)
}

/// The rows of a letter, its leftmost pixel in the lowest bit.
fn rows(letter: char) -> [u8; 8] {
    let letters = &font8x8::legacy::BASIC_LEGACY;
    letters.get(letter as usize).unwrap_or(&letters[UNKNOWN as usize]).to_owned()
}

#[cfg(test)]
mod tests {
    use plotters::prelude::{IntoDrawingArea as _, IntoFont as _, RED};

    use super::*;

    #[test]
    fn letters_are_drawn_in_their_color_and_cut_at_the_border() {
        let mut pixels = Pixels::new(12, 8);
        Canvas(&mut pixels).into_drawing_area().draw_text("I|é", &("x", 8).into_font().color(&RED), (0, 0)).unwrap();
        let is_red = |x: usize, y: usize| pixels.rgb[(y * 12 + x) * RGB..][..RGB] == [255, 0, 0];
        // The middle of the I stands on its columns 2 and 3, the bar on 3 and 4 of the next letter.
        assert!(is_red(2, 3) && is_red(3, 3) && !is_red(0, 3) && !is_red(6, 3));
        assert!(is_red(11, 0) && !is_red(9, 0));
    }

    #[test]
    fn the_file_is_a_png_of_that_size() {
        let file = Pixels::new(3, 2).to_png().unwrap();
        let reader = png::Decoder::new(std::io::Cursor::new(file)).read_info().unwrap();
        assert_eq!((reader.info().width, reader.info().height), (3, 2));
    }
}
