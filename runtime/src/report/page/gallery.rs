//! The slices in which the least certain cases are least certain, with outlines.
//!
//! Uncertainty has one scale on the whole page, so that pictures compare.

use png::EncodingError;

use super::super::Report;
use super::super::case::Case;
use super::super::markup::{number, text};
use super::super::outline::outline;
use super::super::picture::{gray, heat, heat_bar};
use super::super::slice::Slice;
use super::{anchor, badge};

/// The section; empty if no slice is shown.
///
/// # Errors
///
/// Never in practice: pictures are written to memory.
pub(super) fn section(report: &Report<'_>) -> Result<String, EncodingError> {
    let shown: Vec<_> = report.cases.iter().enumerate().filter(|(_, case)| !case.slices.is_empty()).collect();
    if shown.is_empty() {
        return Ok(String::new());
    }
    let slices = || shown.iter().flat_map(|(_, case)| &case.slices);
    let most = slices().flat_map(|slice| &slice.map).fold(0.0_f32, |most, &bits| most.max(bits));
    let most = f64::from(most);
    let has_reference = slices().any(|slice| slice.reference.is_some());
    let figures: Vec<_> = shown.iter().map(|(index, case)| figure(*index, case, most)).collect::<Result<_, _>>()?;
    let n_predicted = report.cases.iter().filter(|case| case.trace.is_some()).count();
    let note = if shown.len() < n_predicted {
        format!("Shown are {} of {n_predicted} cases, the least certain. ", shown.len())
    } else {
        String::new()
    };
    Ok(format!(
        r#"<section aria-labelledby="slices"><h2 id="slices">Where the cases are least certain</h2><p>{note}Of each case the slice with the highest sum of uncertainty, at its physical proportions.</p>{}<div class="gallery">{}</div></section>"#,
        legend(most, has_reference)?,
        figures.concat()
    ))
}

fn legend(most: f64, has_reference: bool) -> Result<String, EncodingError> {
    let switch = |name: &str, title: &str| {
        format!(
            r#"<label><input type="checkbox" id="show-{name}" checked><svg class="key" viewBox="0 0 28 12" aria-hidden="true"><path class="outline {name}" d="M1 6h26"/></svg>{title}</label>"#
        )
    };
    let reference = if has_reference { switch("reference", "reference") } else { String::new() };
    Ok(format!(
        r#"<div class="legend" role="group" aria-label="Outlines">{}{reference}<span class="bar">0 <img src="{}" width="256" height="1" alt="Colors of uncertainty, from black over red to pale yellow"> {most:.2} bits</span></div>"#,
        switch("segmentation", "segmentation"),
        heat_bar()?
    ))
}

fn figure(index: usize, case: &Case, most: f64) -> Result<String, EncodingError> {
    let slices: Vec<_> = case.slices.iter().map(|slice| panels(case, slice, most)).collect::<Result<_, _>>()?;
    let dice = case.dice().map(|dice| format!(", Dice {dice:.4}")).unwrap_or_default();
    let folds = folds(case);
    Ok(format!(
        r#"<figure id="{}"><h3><bdi>{}</bdi> {}</h3><p class="facts">score {}{dice}{folds}</p>{}</figure>"#,
        anchor(index),
        text(&case.name),
        badge(case),
        number(case.score),
        slices.concat()
    ))
}

/// Scores of the folds, if there are several.
fn folds(case: &Case) -> String {
    let Some(trace) = &case.trace else { return String::new() };
    let Some(first) = trace.scores.first().map(|score| score.method) else { return String::new() };
    let of_first: Vec<_> = trace.scores.iter().filter(|score| score.method == first).collect();
    // One fold and the mean over it.
    if of_first.len() < 3 {
        return String::new();
    }
    let word = |fold: Option<nnunet::fold::Fold>| fold.map_or("mean".to_owned(), |fold| format!("fold {}", fold.0));
    let scores: Vec<_> = of_first.iter().map(|score| format!("{} {}", word(score.fold), number(score.score))).collect();
    format!(" ({})", scores.join(", "))
}

/// The pictures of one slice: the image, if there is one, and the uncertainty.
fn panels(case: &Case, slice: &Slice, most: f64) -> Result<String, EncodingError> {
    let outlines = Outlines::of(slice);
    let Slice { axis, index, n_slices, .. } = slice;
    let place = if *n_slices > 1 {
        format!("slice {} of {n_slices} along {axis}", index + 1)
    } else {
        "the only slice".to_owned()
    };
    let sides = slice.sides.map_or(String::new(), |[top, left]| format!(", {top} at the top and {left} at the left"));
    let case = text(&case.name);
    let mut panels = Vec::new();
    if let Some(image) = &slice.image {
        let alt = format!("Image of {case}, {place}{sides}, {}", outlines.words);
        panels.push(outlines.panel(&gray(image)?, &alt, slice));
    }
    let alt = format!("Uncertainty of {case}, {place}{sides}, {}", outlines.words);
    panels.push(outlines.panel(&heat(&slice.map, most)?, &alt, slice));
    let share = slice
        .share
        .map_or("without uncertainty".to_owned(), |share| format!("holds {:.0} % of the uncertainty", share * 100.0));
    Ok(format!(
        r#"<div class="panels">{}</div><figcaption>{place}, {share}{}</figcaption>"#,
        panels.concat(),
        outlines.remark
    ))
}

/// What is drawn over every picture of a slice.
struct Outlines {
    svg: String,
    /// For those who cannot see them.
    words: String,
    /// Why one is missing.
    remark: &'static str,
}

impl Outlines {
    fn of(slice: &Slice) -> Self {
        let segmentation = outline(&slice.segmentation);
        let reference = slice.reference.as_ref().map(outline);
        let is_missing = segmentation.is_none() || reference == Some(None);
        let path = |name: &str, d: Option<String>| {
            d.map(|d| format!(r#"<path class="outline {name}" d="{d}"/>"#)).unwrap_or_default()
        };
        let has_reference = reference.is_some();
        let reference = path("reference", reference.flatten());
        let (height, width) = slice.segmentation.dim();
        Self {
            svg: format!(
                r#"<svg viewBox="0 0 {width} {height}" preserveAspectRatio="none" aria-hidden="true">{reference}{}</svg>"#,
                path("segmentation", segmentation)
            ),
            words: if has_reference {
                "with the outlines of segmentation and reference".to_owned()
            } else {
                "with the outline of the segmentation".to_owned()
            },
            remark: if is_missing { "; an outline too ragged to be drawn is left out" } else { "" },
        }
    }

    /// `alt` is escaped.
    fn panel(&self, uri: &str, alt: &str, slice: &Slice) -> String {
        let (height, width) = slice.segmentation.dim();
        let sides = slice.sides.map_or(String::new(), |[top, left]| {
            format!(r#"<span class="side top" aria-hidden="true">{top}</span><span class="side left" aria-hidden="true">{left}</span>"#)
        });
        format!(
            r#"<div class="panel"><img src="{uri}" width="{width}" height="{height}" alt="{alt}">{}{sides}</div>"#,
            self.svg
        )
    }
}
