//! What a key may sign: its roles, and the models that its patterns name.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::manifest::{BundleId, ValueError, text_type, words};

words! {
    /// What a key is for.
    TrustRole {
        /// The makers themselves; never beside patients.
        Dev = "dev",
        /// A second person at the maker's.
        Qa = "qa",
        /// The maker.
        Release = "release",
        /// Signs trust documents, and nothing else.
        Root = "root",
        /// The hospital.
        Site = "site",
    }
}

words! {
    /// Why a key is revoked.
    RevocationReason {
        /// Somebody else has it, or may have it.
        Compromise = "compromise",
        /// Nobody has it any more.
        Loss = "loss",
        /// Another key took its place.
        Retired = "retired",
    }
}

text_type! {
    /// Which models a key may sign: one id, `vendor/*` or `vendor/family/*` for all ids that begin so, `*` for all.
    ModelPattern, "a model such as `vendor/model`, `vendor/*` or `*`", is_pattern
}

impl ModelPattern {
    /// Every model.
    pub(super) fn any() -> Self {
        Self::new("*").expect("`*` is a pattern")
    }

    /// Whether `id` is one of the pattern's models.
    ///
    /// ```
    /// # use bundle_format::{BundleId, ModelPattern};
    /// let all_of_acme = ModelPattern::new("acme/*").unwrap();
    /// assert!(all_of_acme.covers(&BundleId::new("acme/ct/liver").unwrap()));
    /// assert!(!all_of_acme.covers(&BundleId::new("acme-two/liver").unwrap()));
    /// ```
    pub fn covers(&self, id: &BundleId) -> bool {
        match self.as_str().strip_suffix('*') {
            // The prefix ends in a slash, or is empty for `*`.
            Some(prefix) => id.as_str().starts_with(prefix),
            None => self.as_str() == id.as_str(),
        }
    }
}

fn is_pattern(text: &str) -> bool {
    match text.strip_suffix("/*") {
        // `vendor/*` stands for ids with one or two more components, `vendor/family/*` with one.
        Some(prefix) => [1, 2].contains(&prefix.split('/').count()) && BundleId::new(format!("{prefix}/x")).is_ok(),
        None => text == "*" || BundleId::new(text).is_ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::{BundleId, ModelPattern};

    #[test]
    fn patterns_are_an_id_a_prefix_or_a_star() {
        for (text, accepted) in [
            ("*", true),
            ("acme/*", true),
            ("acme/ct/*", true),
            ("acme/liver", true),
            ("acme/ct/liver", true),
            ("acme", false),
            ("/*", false),
            ("acme/ct/liver/*", false),
            ("acme/*/liver", false),
            ("acme/li*", false),
            ("acme*", false),
            ("**", false),
            ("Acme/*", false),
            ("", false),
        ] {
            assert_eq!(ModelPattern::new(text).is_ok(), accepted, "{text}");
        }
    }

    #[test]
    fn a_prefix_ends_at_a_component() {
        let covers = |pattern: &str, id: &str| ModelPattern::new(pattern).unwrap().covers(&BundleId::new(id).unwrap());
        for (pattern, id, covered) in [
            ("*", "acme/liver", true),
            ("acme/*", "acme/liver", true),
            ("acme/*", "acme/ct/liver", true),
            ("acme/*", "acme-two/liver", false),
            ("acme/ct/*", "acme/ct/liver", true),
            ("acme/ct/*", "acme/ct", false),
            ("acme/ct/*", "acme/ct-two/liver", false),
            ("acme/liver", "acme/liver", true),
            ("acme/liver", "acme/liver-two", false),
            ("acme/liver", "acme/liver/two", false),
        ] {
            assert_eq!(covers(pattern, id), covered, "{pattern} {id}");
        }
    }
}
