//! A diagram as inline SVG, drawn by classes that the page's style sheet colors, so that it follows light and dark.
//!
//! What belongs to the data is clipped to the plotting area; dots are not, so that one at its edge stays whole.

use std::fmt::Write as _;

use super::markup::text;
use super::scale::Scale;

/// Width and height of the whole diagram, in units of which a letter has twelve.
const SIZE: [f64; 2] = [480.0, 330.0];
/// Left, top, right and bottom of the plotting area.
const AREA: [f64; 4] = [54.0, 14.0, 466.0, 278.0];

/// A diagram in the making.
pub(super) struct Chart {
    x: Axis,
    y: Axis,
    /// Clipped to the plotting area.
    below: String,
    above: String,
}

/// One side of a diagram.
pub(super) struct Axis {
    pub(super) label: &'static str,
    pub(super) scale: Scale,
}

impl Chart {
    pub(super) fn new(x: Axis, y: Axis) -> Self {
        Self { x, y, below: String::new(), above: String::new() }
    }

    /// Fills what lies between two curves, given as (x, [low, high]).
    pub(super) fn band(&mut self, places: &[(f64, [f64; 2])], class: &str) {
        let low = places.iter().map(|&(x, [low, _])| (x, low));
        let high = places.iter().rev().map(|&(x, [_, high])| (x, high));
        let points = self.points(low.chain(high));
        // Writing to a text does not fail, here and below.
        let _ = write!(self.below, r#"<polygon class="{class}" points="{points}"/>"#);
    }

    pub(super) fn line(&mut self, places: &[(f64, f64)], class: &str) {
        let points = self.points(places.iter().copied());
        let _ = write!(self.below, r#"<polyline class="{class}" points="{points}"/>"#);
    }

    /// A dot that says `tip` when it is pointed at.
    pub(super) fn dot(&mut self, place: (f64, f64), class: &str, tip: &str) {
        let (x, y) = self.place(place);
        let tip = text(tip);
        let _ = write!(
            self.above,
            r#"<circle class="{class}" cx="{x:.1}" cy="{y:.1}" r="4.5"><title>{tip}</title></circle>"#
        );
    }

    /// A bar from `low` to `high`, given as (x, y), that says `tip` when it is pointed at.
    pub(super) fn bar(&mut self, low: (f64, f64), high: (f64, f64), class: &str, tip: &str) {
        let ((left, bottom), (right, top)) = (self.place(low), self.place(high));
        let (width, height) = ((right - left - 1.0).max(0.5), bottom - top);
        let tip = text(tip);
        let _ = write!(
            self.below,
            r#"<rect class="{class}" x="{left:.1}" y="{top:.1}" width="{width:.1}" height="{height:.1}"><title>{tip}</title></rect>"#
        );
    }

    /// The diagram; `description` is read to those who cannot see it.
    pub(super) fn finish(self, description: &str) -> String {
        let [width, height] = SIZE;
        let [left, top, right, bottom] = AREA;
        let (clip_width, clip_height) = (right - left, bottom - top);
        let (ticks, labels) = (self.ticks(), self.labels());
        let Self { below, above, .. } = self;
        let description = text(description);
        format!(
            r#"<svg class="chart" viewBox="0 0 {width} {height}" role="img" aria-label="{description}">{ticks}<svg x="{left}" y="{top}" width="{clip_width}" height="{clip_height}" viewBox="{left} {top} {clip_width} {clip_height}">{below}</svg>{above}{labels}</svg>"#
        )
    }

    fn ticks(&self) -> String {
        let [left, top, right, bottom] = AREA;
        let mut ticks = String::new();
        for (value, label) in self.x.scale.ticks() {
            let x = self.place((value, 0.0)).0;
            let y = bottom + 18.0;
            let _ = write!(ticks, r#"<path class="grid" d="M{x:.1} {top}V{bottom}"/>"#);
            let _ = write!(ticks, r#"<text x="{x:.1}" y="{y}" text-anchor="middle">{label}</text>"#);
        }
        for (value, label) in self.y.scale.ticks() {
            let y = self.place((0.0, value)).1;
            let (x, baseline) = (left - 8.0, y + 4.0);
            let _ = write!(ticks, r#"<path class="grid" d="M{left} {y:.1}H{right}"/>"#);
            let _ = write!(ticks, r#"<text x="{x}" y="{baseline:.1}" text-anchor="end">{label}</text>"#);
        }
        ticks
    }

    fn labels(&self) -> String {
        let [left, top, right, bottom] = AREA;
        let (x_label, y_label) = (text(self.x.label), text(self.y.label));
        let (middle, center) = (f64::midpoint(left, right), f64::midpoint(top, bottom));
        let below = bottom + 40.0;
        format!(
            r#"<path class="frame" d="M{left} {top}V{bottom}H{right}"/><text class="label" x="{middle}" y="{below}" text-anchor="middle">{x_label}</text><text class="label" transform="translate(14 {center}) rotate(-90)" text-anchor="middle">{y_label}</text>"#
        )
    }

    fn points(&self, places: impl Iterator<Item = (f64, f64)>) -> String {
        let mut points = String::new();
        for place in places {
            let (x, y) = self.place(place);
            let _ = write!(points, "{x:.1},{y:.1} ");
        }
        points
    }

    /// Where a pair of values lies; what is far outside lies at a finite distance.
    fn place(&self, (x, y): (f64, f64)) -> (f64, f64) {
        let [left, top, right, bottom] = AREA;
        let near = |share: f64| if share.is_finite() { share.clamp(-9.0, 9.0) } else { 0.0 };
        let (across, up) = (near(self.x.scale.share(x)), near(self.y.scale.share(y)));
        (left + (right - left) * across, bottom - (bottom - top) * up)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chart() -> Chart {
        let axis = |label| Axis { label, scale: Scale::UNIT };
        Chart::new(axis("a"), axis("b"))
    }

    #[test]
    fn values_lie_where_their_ticks_are() {
        let chart = chart();
        assert_eq!(chart.place((0.0, 0.0)), (AREA[0], AREA[3]));
        assert_eq!(chart.place((1.0, 1.0)), (AREA[2], AREA[1]));
    }

    #[test]
    fn no_number_and_no_text_breaks_the_markup() {
        let mut chart = chart();
        chart.dot((f64::NAN, f64::INFINITY), "dot", "<b>\"");
        chart.line(&[(0.0, -1e300), (1.0, 1e300)], "line");
        let svg = chart.finish("<script>");
        assert!(
            !svg.contains("NaN") && !svg.contains("inf") && !svg.contains("<b>") && !svg.contains("<script"),
            "{svg}"
        );
    }
}
