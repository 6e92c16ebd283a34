//! Tests of the public interface: what is written is read, what is attacked is
//! refused, each attack with the code of the rule that it breaks.

#![expect(clippy::unwrap_used, reason = "a fixture that cannot be made is a failed test")]

mod attach_extract;
mod container_attacks;
mod container_bounds;
mod entry_attacks;
mod entry_forgeries;
mod flips;
mod forge;
mod manifest_attacks;
mod manifest_bounds;
mod onnx_attacks;
mod onnx_bounds;
mod onnx_forge;
mod requirements;
mod round_trip;
mod signature_attacks;
mod support;
mod trust_attacks;
mod trust_bounds;
mod trust_forge;
mod trust_policy;
mod trust_updates;
mod zip_confusions;

use bundle_format::Rule;

#[test]
fn every_rule_is_asserted_by_a_test() {
    let tests = [
        include_str!("container_attacks.rs"),
        include_str!("entry_attacks.rs"),
        include_str!("entry_forgeries.rs"),
        include_str!("manifest_attacks.rs"),
        include_str!("onnx_attacks.rs"),
        include_str!("requirements.rs"),
        include_str!("round_trip.rs"),
        include_str!("signature_attacks.rs"),
        include_str!("trust_attacks.rs"),
        include_str!("trust_policy.rs"),
        include_str!("trust_updates.rs"),
        include_str!("zip_confusions.rs"),
        include_str!("../store/audit_attacks.rs"),
        include_str!("../store/policy.rs"),
    ]
    .concat();
    let untested = Rule::ALL.iter().filter(|rule| !tests.contains(&format!("\"{}\"", rule.code())));
    assert_eq!(untested.collect::<Vec<_>>(), Vec::<&Rule>::new());
}
