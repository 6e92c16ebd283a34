//! Text fields of the manifest, each with its grammar.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::entry_path::EntryPath;

/// A text does not match the grammar of its field.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{}` is not {expected}", text.escape_debug())]
pub struct ValueError {
    /// The refused text.
    pub text: String,
    /// What the field holds.
    pub expected: &'static str,
}

/// Declares a newtype over text whose constructor checks a grammar.
macro_rules! text_type {
    ($(#[$meta:meta])* $name:ident, $expected:literal, $matches:expr) => {
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// Checks `text` against the grammar.
            ///
            /// # Errors
            ///
            /// [`ValueError`] if it does not match.
            pub fn new(text: impl Into<String>) -> Result<Self, ValueError> {
                let text = text.into();
                let matches: fn(&str) -> bool = $matches;
                if matches(&text) { Ok(Self(text)) } else { Err(ValueError { text, expected: $expected }) }
            }

            /// The value as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl FromStr for $name {
            type Err = ValueError;

            fn from_str(text: &str) -> Result<Self, ValueError> {
                Self::new(text)
            }
        }

        impl TryFrom<String> for $name {
            type Error = ValueError;

            fn try_from(text: String) -> Result<Self, ValueError> {
                Self::new(text)
            }
        }

        impl From<$name> for String {
            fn from(value: $name) -> Self {
                value.0
            }
        }
    };
}

pub(crate) use text_type;

text_type! {
    /// Who made the model, and which: `vendor/model` or `vendor/family/model`.
    BundleId, "an id such as `vendor/model`", is_bundle_id
}

text_type! {
    /// One network of the ensemble, for example `fold_0/checkpoint_120`; the
    /// grammar is that of entry names.
    MemberId, "a member id such as `fold_0/checkpoint_120`", |text| EntryPath::new(text).is_ok()
}

text_type! {
    /// A short name that machines compare: a feature, an operator, a device.
    Token, "a name of 1 to 64 of `A-Z a-z 0-9 _ . : , / + -`", is_token
}

text_type! {
    /// One line for people, 1 to 200 characters without control characters.
    Text, "one line of 1 to 200 characters", is_line
}

text_type! {
    /// A second of UTC, written `2026-11-01T00:00:00Z`.
    Timestamp, "a time such as `2026-11-01T00:00:00Z`", is_timestamp
}

text_type! {
    /// A version by semver 2.0.0, without build metadata.
    SemanticVersion, "a semantic version without build metadata", is_version
}

impl BundleId {
    /// The last component, which names the model.
    pub fn name(&self) -> &str {
        self.0.rsplit_once('/').map_or(&self.0, |(_, name)| name)
    }
}

impl Timestamp {
    /// The time `seconds` after 1970-01-01, as `SOURCE_DATE_EPOCH` counts it.
    ///
    /// # Errors
    ///
    /// [`ValueError`] after the year 9999.
    pub fn from_unix(seconds: u64) -> Result<Self, ValueError> {
        let (days, second) = (seconds / 86_400, seconds % 86_400);
        if days > 2_932_896 {
            let text = seconds.to_string();
            return Err(ValueError { text, expected: "a time before the year 10000" });
        }
        let (year, month, day) = civil_date(days);
        let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
        Self::new(format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z"))
    }
}

/// Year, month and day of the Gregorian calendar, `days` after 1970-01-01.
///
/// Counts from 0000-03-01, so that the leap day ends a year and the lengths of
/// the months from March follow `(153 m + 2) / 5`.
fn civil_date(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    (year, month, day)
}

fn is_bundle_id(text: &str) -> bool {
    let is_component = |component: &str| {
        component.len() <= 40
            && !component.starts_with('-')
            && !component.is_empty()
            && (component.bytes()).all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-'))
    };
    (2..=3).contains(&text.split('/').count()) && text.split('/').all(is_component)
}

fn is_token(text: &str) -> bool {
    (1..=64).contains(&text.len()) && (text.bytes()).all(|b| b.is_ascii_alphanumeric() || b"_.:,/+-".contains(&b))
}

fn is_line(text: &str) -> bool {
    (1..=200).contains(&text.chars().count()) && !text.chars().any(char::is_control)
}

fn is_version(text: &str) -> bool {
    text.len() <= 64 && semver::Version::parse(text).is_ok_and(|version| version.build.is_empty())
}

fn is_timestamp(text: &str) -> bool {
    const SHAPE: &[u8] = b"dddd-dd-ddTdd:dd:ddZ";
    let fits = |(byte, shape): (u8, &u8)| match shape {
        b'd' => byte.is_ascii_digit(),
        _ => byte == *shape,
    };
    if text.len() != SHAPE.len() || !text.bytes().zip(SHAPE).all(fits) {
        return false;
    }
    let number = |start: usize, end: usize| text[start..end].parse::<u64>().unwrap_or(u64::MAX);
    let (year, month) = (number(0, 4), number(5, 7));
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let n_days = match month {
        2 => 28 + u64::from(leap),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    };
    (1..=12).contains(&month)
        && (1..=n_days).contains(&number(8, 10))
        && number(11, 13) < 24
        && number(14, 16) < 60
        && number(17, 19) < 60
}

#[cfg(test)]
mod tests {
    use super::{BundleId, SemanticVersion, Text, Timestamp};

    #[test]
    fn source_date_epoch_becomes_a_utc_second() {
        let check = |seconds, text: &str| {
            assert_eq!(Timestamp::from_unix(seconds).unwrap().as_str(), text);
        };
        check(0, "1970-01-01T00:00:00Z");
        check(951_782_399, "2000-02-28T23:59:59Z");
        check(951_782_400, "2000-02-29T00:00:00Z");
        check(951_868_800, "2000-03-01T00:00:00Z");
        check(1_795_484_853, "2026-11-24T01:47:33Z");
        check(253_402_300_799, "9999-12-31T23:59:59Z");
        assert!(Timestamp::from_unix(253_402_300_800).is_err());
    }

    #[test]
    fn timestamps_name_days_that_exist() {
        for text in [
            "2026-02-29T00:00:00Z",
            "2026-13-01T00:00:00Z",
            "2026-00-01T00:00:00Z",
            "2026-01-01T24:00:00Z",
            "2026-01-01T00:00:60Z",
            "2026-01-01 00:00:00Z",
            "2026-01-01T00:00:00",
            "+026-01-01T00:00:00Z",
            "2026-01-32T00:00:00Z",
        ] {
            assert!(Timestamp::new(text).is_err(), "{text}");
        }
        assert!(Timestamp::new("2024-02-29T23:59:59Z").is_ok());
    }

    #[test]
    fn ids_have_two_or_three_components() {
        for (text, accepted) in [
            ("a/b", true),
            ("a/b/c", true),
            ("a", false),
            ("a/b/c/d", false),
            ("a/", false),
            ("a/-b", false),
            ("A/b", false),
            ("a/b_c", false),
        ] {
            assert_eq!(BundleId::new(text).is_ok(), accepted, "{text}");
        }
        assert_eq!(BundleId::new("acme/ct/liver").unwrap().name(), "liver");
    }

    #[test]
    fn versions_are_semver_without_build_metadata() {
        for (text, accepted) in [
            ("1.0.0", true),
            ("1.0.0-rc.1", true),
            ("1.0.0+build", false),
            ("1.0", false),
            ("01.0.0", false),
            ("v1.0.0", false),
        ] {
            assert_eq!(SemanticVersion::new(text).is_ok(), accepted, "{text}");
        }
    }

    #[test]
    fn titles_are_one_line() {
        assert!(Text::new("Herz, 2D — T1").is_ok());
        assert!(Text::new("two\nlines").is_err());
        assert!(Text::new("").is_err());
        assert!(Text::new("x".repeat(201)).is_err());
    }
}
