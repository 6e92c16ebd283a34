//! What lies where in a short-axis slice, and how bright it is.
//!
//! A chest is an ellipse of muscle under a rim of fat, with two lungs, a
//! liver and the heart: a left ventricle whose wall is the myocardium, and a
//! right ventricle with a thin wall that looks like it but is not labeled.

use std::f64::consts::{PI, TAU};

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

/// What makes a case easy or hard to segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Difficulty {
    /// Clear contrast, little noise, a closed ring near the center.
    Easy,
    /// Blood and muscle are nearly as bright as the myocardium.
    LowContrast,
    /// Four to six times the usual noise.
    Noisy,
    /// The outflow tract opens the ring over a wide angle.
    PartialRing,
    /// The heart lies far from the image's center.
    OffCenter,
    /// A wall of about two pixels.
    ThinRing,
}

impl Difficulty {
    /// The difficulty of case `index`: half are easy, the others alternate.
    pub fn of_case(index: usize) -> Self {
        [
            Self::Easy,
            Self::LowContrast,
            Self::Easy,
            Self::Noisy,
            Self::Easy,
            Self::PartialRing,
            Self::Easy,
            Self::OffCenter,
            Self::Easy,
            Self::ThinRing,
        ][index % 10]
    }
}

/// A tissue of the chest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tissue {
    Air,
    Fat,
    Muscle,
    Lung,
    Liver,
    Blood,
    Myocardium,
    /// Wall of the right ventricle and papillary muscles: bright as
    /// myocardium, but background in the reference.
    OtherHeartMuscle,
}

/// Brightness of every tissue, before shading and noise.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Brightness {
    fat: f64,
    muscle: f64,
    lung: f64,
    liver: f64,
    blood: f64,
    myocardium: f64,
}

impl Brightness {
    /// Draws the brightnesses of a case; blood is darker than the myocardium
    /// (after contrast agent) or brighter (native).
    pub(crate) fn random(difficulty: Difficulty, rng: &mut ChaCha8Rng) -> Self {
        let contrast = match difficulty {
            Difficulty::LowContrast => rng.random_range(0.07..0.12),
            _ => rng.random_range(0.22..0.35),
        };
        let myocardium = rng.random_range(0.6..0.72);
        let blood = if rng.random_bool(0.5) { myocardium - contrast } else { myocardium + contrast };
        Self {
            fat: rng.random_range(0.85..1.0),
            muscle: myocardium - contrast * rng.random_range(0.8..1.2),
            lung: rng.random_range(0.08..0.16),
            liver: rng.random_range(0.4..0.6),
            blood,
            myocardium,
        }
    }

    pub(crate) fn of(&self, tissue: Tissue) -> f64 {
        match tissue {
            Tissue::Air => 0.0,
            Tissue::Fat => self.fat,
            Tissue::Muscle => self.muscle,
            Tissue::Lung => self.lung,
            Tissue::Liver => self.liver,
            Tissue::Blood => self.blood,
            Tissue::Myocardium | Tissue::OtherHeartMuscle => self.myocardium,
        }
    }
}

/// The outlines of a case, in pixels of a 128 × 128 image.
#[derive(Debug, Clone)]
pub(crate) struct Anatomy {
    center: [f64; 2],
    inner_radius: f64,
    wall: f64,
    /// Amplitude and phase of the inner outline's second and third harmonic.
    harmonics: [(f64, f64); 2],
    /// Amplitude and phase of the wall's unevenness.
    unevenness: (f64, f64),
    /// Middle and half width of the opening, in radians.
    opening: Option<(f64, f64)>,
    /// Centers of the papillary muscles relative to the heart's, and radius.
    papillary: [([f64; 2], f64); 2],
    /// Direction in which the right ventricle lies.
    right: f64,
    body: [f64; 2],
}

impl Anatomy {
    /// Draws the outlines of a case.
    pub(crate) fn random(difficulty: Difficulty, rng: &mut ChaCha8Rng) -> Self {
        let shift = match difficulty {
            Difficulty::OffCenter => rng.random_range(16.0..22.0),
            _ => rng.random_range(0.0..8.0),
        };
        let toward = rng.random_range(0.0..TAU);
        let inner_radius = rng.random_range(9.0..14.0);
        let wall = match difficulty {
            Difficulty::ThinRing => rng.random_range(2.0..2.8),
            _ => rng.random_range(5.0..8.0),
        };
        let opening =
            (difficulty == Difficulty::PartialRing).then(|| (rng.random_range(0.0..TAU), rng.random_range(0.4..0.9)));
        let mut papillary = || {
            let angle = rng.random_range(0.0..TAU);
            let distance = inner_radius * rng.random_range(0.45..0.6);
            let center = [distance * angle.cos(), distance * angle.sin()];
            (center, rng.random_range(1.2..2.2))
        };
        let papillary = [papillary(), papillary()];
        let mut harmonic = |limit: f64| (rng.random_range(0.0..limit), rng.random_range(0.0..TAU));
        Self {
            center: [64.0 + shift * toward.cos(), 62.0 + shift * toward.sin()],
            inner_radius,
            wall,
            harmonics: [harmonic(0.1), harmonic(0.06)],
            unevenness: harmonic(0.2),
            opening,
            papillary,
            right: PI + rng.random_range(-0.5..0.5),
            body: [rng.random_range(56.0..62.0), rng.random_range(48.0..56.0)],
        }
    }

    /// The tissue at `(x, y)`.
    pub(crate) fn tissue(&self, x: f64, y: f64) -> Tissue {
        self.heart(x - self.center[0], y - self.center[1]).unwrap_or_else(|| self.chest(x - 64.0, y - 64.0))
    }

    /// The tissue at `(x, y)` relative to the heart's center, if it is heart.
    fn heart(&self, x: f64, y: f64) -> Option<Tissue> {
        let angle = y.atan2(x);
        let radius = x.hypot(y);
        let [second, third] = self.harmonics;
        let wobble = second.0 * (2.0 * angle + second.1).cos() + third.0 * (3.0 * angle + third.1).cos();
        let inner = self.inner_radius * (1.0 + wobble);
        let wall = self.wall * (1.0 + self.unevenness.0 * (angle + self.unevenness.1).cos());
        if radius < inner {
            let in_papillary = |(center, size): ([f64; 2], f64)| (x - center[0]).hypot(y - center[1]) < size;
            return Some(if self.papillary.into_iter().any(in_papillary) {
                Tissue::OtherHeartMuscle
            } else {
                Tissue::Blood
            });
        }
        if radius < inner + wall {
            return Some(if self.is_open(angle) { Tissue::Blood } else { Tissue::Myocardium });
        }
        self.right_ventricle(x, y)
    }

    fn is_open(&self, angle: f64) -> bool {
        self.opening.is_some_and(|(middle, half_width)| {
            let apart = (angle - middle).rem_euclid(TAU);
            apart.min(TAU - apart) < half_width
        })
    }

    /// A crescent of blood beside the left ventricle, with a wall of 1.5 pixels.
    fn right_ventricle(&self, x: f64, y: f64) -> Option<Tissue> {
        let size = self.inner_radius + 4.0;
        let distance = self.inner_radius + 3.0;
        let apart = (x - distance * self.right.cos()).hypot(y - distance * self.right.sin());
        if apart < size {
            Some(Tissue::Blood)
        } else if apart < size + 1.5 {
            Some(Tissue::OtherHeartMuscle)
        } else {
            None
        }
    }

    /// The tissue at `(x, y)` relative to the image's center, outside the heart.
    fn chest(&self, x: f64, y: f64) -> Tissue {
        let inside = |x: f64, y: f64, a: f64, b: f64| (x / a).powi(2) + (y / b).powi(2) < 1.0;
        let [a, b] = self.body;
        if !inside(x, y, a, b) {
            Tissue::Air
        } else if !inside(x, y, a - 5.0, b - 5.0) {
            Tissue::Fat
        } else if inside(x + 38.0, y + 2.0, 13.0, 28.0) || inside(x - 38.0, y + 4.0, 12.0, 24.0) {
            Tissue::Lung
        } else if inside(x + 12.0, y - 34.0, 26.0, 12.0) {
            Tissue::Liver
        } else {
            Tissue::Muscle
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ring_without_harmonics_is_where_its_radii_say() {
        let anatomy = Anatomy {
            center: [64.0, 64.0],
            inner_radius: 10.0,
            wall: 5.0,
            harmonics: [(0.0, 0.0); 2],
            unevenness: (0.0, 0.0),
            opening: Some((PI / 2.0, 0.5)),
            papillary: [([3.0, 0.0], 1.0); 2],
            right: PI,
            body: [60.0, 50.0],
        };
        assert_eq!(anatomy.tissue(64.0, 64.0), Tissue::Blood);
        assert_eq!(anatomy.tissue(67.0, 64.0), Tissue::OtherHeartMuscle);
        assert_eq!(anatomy.tissue(74.5, 64.0), Tissue::Myocardium);
        assert_eq!(anatomy.tissue(78.5, 64.0), Tissue::Myocardium);
        assert_eq!(anatomy.tissue(64.0, 76.0), Tissue::Blood, "the opening");
        assert_eq!(anatomy.tissue(64.0, 52.0), Tissue::Myocardium);
        assert_eq!(anatomy.tissue(1.0, 1.0), Tissue::Air);
    }
}
