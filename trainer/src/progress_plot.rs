//! `progress.png`: losses, pseudo-Dice, learning rate and time of every epoch.
//!
//! As nnU-Net's picture of the same name, which shows the losses with the pseudo-Dice, then time, then rate; here each
//! has a panel of its own, so that no panel has two scales.

use std::convert::Infallible;
use std::ops::Range;

use plotters::drawing::DrawingAreaErrorKind;
use plotters::prelude::{
    ChartBuilder, Circle, Color as _, DrawingArea, IntoDrawingArea as _, IntoFont as _, LineSeries, RGBColor,
};
use plotters::style::WHITE;

use crate::canvas::{Canvas, Pixels};
use crate::journal::EpochRecord;
use crate::pseudo_dice::mean;

const WIDTH: u32 = 1200;
const HEIGHT: u32 = 900;
const BLUE: RGBColor = RGBColor(0x1f, 0x5f, 0xb4);
const ORANGE: RGBColor = RGBColor(0xd9, 0x5f, 0x02);
/// Fraction of a scale left free above and below.
const MARGIN: f64 = 0.05;
/// Least width of a scale as a fraction of its largest value, so that equal values are not told apart by rounding.
const LEAST_WIDTH: f64 = 1e-2;
/// Letters have one size; `plotters` wants a font's name all the same.
const FONT: (&str, i32) = ("sans-serif", 8);

type Error = DrawingAreaErrorKind<Infallible>;

/// One panel: a title and lines with their names.
struct Panel {
    title: &'static str,
    lines: Vec<(&'static str, RGBColor, Vec<Option<f64>>)>,
}

/// The picture as a PNG file.
///
/// # Errors
///
/// [`PlotError`] if it cannot be drawn or encoded.
pub fn png(records: &[EpochRecord]) -> Result<Vec<u8>, PlotError> {
    let mut pixels = Pixels::new(WIDTH, HEIGHT);
    let area = Canvas(&mut pixels).into_drawing_area();
    let epochs: Vec<f64> = records.iter().map(|record| f64::from(record.epoch)).collect();
    let draw = || {
        area.fill(&WHITE)?;
        for (area, panel) in area.split_evenly((2, 2)).iter().zip(panels(records)) {
            panel.draw(area, &epochs)?;
        }
        area.present()
    };
    draw().map_err(|source: Error| PlotError::Draw { source })?;
    drop(area);
    pixels.to_png().map_err(|source| PlotError::Encode { source })
}

fn panels(records: &[EpochRecord]) -> [Panel; 4] {
    let of = |value: fn(&EpochRecord) -> Option<f64>| records.iter().map(value).collect::<Vec<_>>();
    let loss = vec![
        ("training", BLUE, of(|record| Some(record.training_loss))),
        ("validation", ORANGE, of(|record| Some(record.validation_loss))),
    ];
    let dice = vec![
        ("mean of structures", ORANGE, of(|record| mean(&record.pseudo_dice))),
        ("moving average", BLUE, of(|record| record.ema_pseudo_dice)),
    ];
    [
        Panel { title: "loss by epoch", lines: loss },
        Panel { title: "pseudo-Dice by epoch", lines: dice },
        Panel { title: "learning rate by epoch", lines: vec![("", BLUE, of(|record| Some(record.learning_rate)))] },
        Panel { title: "seconds by epoch", lines: vec![("", BLUE, of(|record| Some(record.seconds)))] },
    ]
}

impl Panel {
    fn draw(&self, area: &DrawingArea<Canvas<'_>, plotters::coord::Shift>, epochs: &[f64]) -> Result<(), Error> {
        let values = self.lines.iter().flat_map(|(_, _, values)| values.iter().copied().flatten());
        let mut chart = ChartBuilder::on(area)
            .margin(18)
            .caption(self.title, FONT)
            .x_label_area_size(24)
            .y_label_area_size(64)
            .build_cartesian_2d(scale(epochs.iter().copied()), scale(values))?;
        chart
            .configure_mesh()
            .light_line_style(WHITE)
            .label_style(FONT)
            .x_label_formatter(&|epoch| format!("{epoch:.0}"))
            .y_label_formatter(&|value| short(*value))
            .draw()?;
        for (row, (name, color, values)) in (0..).zip(&self.lines) {
            let point = |(&epoch, value): (&f64, &Option<f64>)| Some((epoch, value.filter(|value| value.is_finite())?));
            let points: Vec<_> = epochs.iter().zip(values).map(point).collect();
            for run in points.split(Option::is_none) {
                let run: Vec<(f64, f64)> = run.iter().copied().flatten().collect();
                if let [alone] = run[..] {
                    // A line of one point would not be seen.
                    chart.draw_series([Circle::new(alone, 2, color.filled())])?;
                }
                chart.draw_series(LineSeries::new(run, color.stroke_width(2)))?;
            }
            area.draw_text(name, &FONT.into_font().color(color), (110, 44 + 14 * row))?;
        }
        Ok(())
    }
}

/// From the smallest to the largest finite value, with a margin; of a width that can be drawn.
fn scale(values: impl Iterator<Item = f64>) -> Range<f64> {
    let bounds = |(low, high): (f64, f64), value: f64| (low.min(value), high.max(value));
    let (low, high) = values.filter(|value| value.is_finite()).fold((f64::INFINITY, f64::NEG_INFINITY), bounds);
    if low > high {
        return 0.0..1.0;
    }
    let width = (high - low).max(high.abs().max(low.abs()) * LEAST_WIDTH).max(LEAST_WIDTH * LEAST_WIDTH);
    low - MARGIN * width..high + MARGIN * width
}

/// A number with few digits.
fn short(value: f64) -> String {
    if value == 0.0 || (1e-3..1e5).contains(&value.abs()) {
        let text = format!("{value:.4}");
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        format!("{value:.1e}")
    }
}

/// Why there is no picture.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PlotError {
    /// The charts do not fit the picture.
    #[error("cannot draw the charts")]
    Draw {
        /// What the charts said.
        source: DrawingAreaErrorKind<Infallible>,
    },
    /// The picture cannot be encoded.
    #[error("cannot encode the picture")]
    Encode {
        /// Why.
        source: png::EncodingError,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(epoch: u32, dice: Option<f64>) -> EpochRecord {
        EpochRecord {
            epoch,
            cycle: 0,
            learning_rate: 0.01,
            training_loss: 1.0 / f64::from(epoch + 1),
            validation_loss: f64::NAN,
            pseudo_dice: vec![dice],
            ema_pseudo_dice: dice.map(|dice| 0.9 * dice),
            seconds: 2.0,
            finished: 1.5e9,
        }
    }

    /// Whether some pixel of the picture has the color.
    fn shows(records: &[EpochRecord], RGBColor(red, green, blue): RGBColor) -> bool {
        let file = png(records).unwrap();
        let mut reader = png::Decoder::new(std::io::Cursor::new(file)).read_info().unwrap();
        let mut rgb = vec![0; reader.output_buffer_size().unwrap()];
        reader.next_frame(&mut rgb).unwrap();
        assert_eq!(rgb.len(), (WIDTH * HEIGHT * 3) as usize);
        // Names of lines have the color, too, on ten rows of every panel.
        let below_names = rgb.chunks_exact((WIDTH * 3) as usize).enumerate().filter(|(y, _)| y % 450 > 80);
        below_names.flat_map(|(_, row)| row.chunks_exact(3)).any(|pixel| pixel == [red, green, blue])
    }

    #[test]
    fn lines_are_drawn_and_gaps_and_single_epochs_do_not_stop_them() {
        assert!(!shows(&[], BLUE));
        assert!(shows(&[record(0, Some(0.5))], BLUE));
        let records: Vec<_> = (0..40).map(|epoch| record(epoch, (epoch % 7 > 2).then_some(f64::from(epoch)))).collect();
        assert!(shows(&records, BLUE) && shows(&records, ORANGE));
        // Without pseudo-Dice, and with a validation loss that is no number, nothing is orange.
        assert!(!shows(&(0..9).map(|epoch| record(epoch, None)).collect::<Vec<_>>(), ORANGE));
    }

    #[test]
    fn a_scale_has_a_width_whatever_the_values() {
        let check = |values: &[f64]| {
            let scale = scale(values.iter().copied());
            assert!(
                scale.start < scale.end && scale.start.is_finite() && scale.end.is_finite(),
                "{values:?}: {scale:?}"
            );
        };
        check(&[]);
        check(&[0.0]);
        check(&[1e12, 1e12]);
        check(&[f64::NAN, f64::INFINITY, -3.0]);
        assert_eq!([short(0.0), short(0.25), short(-12.0), short(1e-5)], ["0", "0.25", "-12", "1.0e-5"]);
    }
}
