//! Text that came from outside, made harmless inside HTML and SVG.
//!
//! Every such text goes through [`text`]; nothing else may be put between or into tags. Characters that draw nothing
//! or turn the direction of what follows are shown as `�`, so that a name cannot pass for another.

use std::fmt::{self, Display, Write as _};

/// Characters of one text that are shown; the end of a longer one is cut.
const MAX_CHARS: usize = 500;

/// A text to be escaped where it is displayed.
pub(super) fn text(value: &str) -> Text<'_> {
    Text(value)
}

/// See [`text`].
pub(super) struct Text<'a>(&'a str);

impl Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, char) in self.0.chars().enumerate() {
            if position == MAX_CHARS {
                return f.write_char('…');
            }
            match char {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                '\n' | '\t' => f.write_char(' ')?,
                char if char.is_control() || is_invisible(char) => f.write_char('\u{fffd}')?,
                char => f.write_char(char)?,
            }
        }
        Ok(())
    }
}

/// Marks of direction, joiners and the like.
fn is_invisible(char: char) -> bool {
    matches!(char, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// A number with four digits behind the point, or a dash.
pub(super) fn number(value: Option<f64>) -> String {
    value.map_or_else(|| "–".to_owned(), digits)
}

/// `0.81 to 0.93`, or a dash.
pub(super) fn interval(ends: Option<[f64; 2]>) -> String {
    ends.map_or_else(|| "–".to_owned(), |[low, high]| format!("{} to {}", digits(low), digits(high)))
}

fn digits(value: f64) -> String {
    format!("{value:.4}").replace('-', "−")
}

/// Seconds with a unit that suits them.
pub(super) fn duration(seconds: f64) -> String {
    match seconds {
        s if s >= 5400.0 => format!("{:.1} h", s / 3600.0),
        s if s >= 90.0 => format!("{:.1} min", s / 60.0),
        s if s >= 0.1 || s == 0.0 => format!("{s:.1} s"),
        s => format!("{:.0} ms", s * 1000.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(value: &str, expected: &str) {
        assert_eq!(text(value).to_string(), expected);
    }

    #[test]
    fn nothing_can_open_a_tag_or_close_an_attribute() {
        check("<script>", "&lt;script&gt;");
        check("\" onload='x' &amp;", "&quot; onload=&#39;x&#39; &amp;amp;");
    }

    #[test]
    fn what_cannot_be_seen_is_shown() {
        check("a\u{202e}b\u{0}c\u{200b}\n", "a\u{fffd}b\u{fffd}c\u{fffd} ");
        check("Müller 心臓", "Müller 心臓");
    }

    #[test]
    fn a_long_text_is_cut() {
        let cut = text(&"ä".repeat(9999)).to_string();
        assert_eq!(cut.chars().count(), MAX_CHARS + 1);
        assert!(cut.ends_with('…'));
    }

    #[test]
    fn what_is_undefined_is_a_dash_and_less_than_nothing_has_a_minus() {
        assert_eq!([number(None), number(Some(-0.95))], ["–", "−0.9500"]);
        assert_eq!([interval(None), interval(Some([-1.0, 0.5]))], ["–", "−1.0000 to 0.5000"]);
    }

    #[test]
    fn a_duration_has_the_unit_that_suits_it() {
        let found = [0.0, 0.004, 12.34, 100.0, 7200.0].map(duration);
        assert_eq!(found, ["0.0 s", "4 ms", "12.3 s", "1.7 min", "2.0 h"]);
    }
}
