//! Tests of the device's store and its trust folder: policy, crashes at every change, attacks on the history.

#![expect(clippy::unwrap_used, reason = "a fixture that cannot be made is a failed test")]

mod audit_attacks;
mod crashes;
mod device;
mod draw;
mod faulty;
mod policy;
mod simulated_disk;
#[path = "../bundle/support.rs"]
#[allow(dead_code, reason = "the tests of bundles use all of it")]
mod support;
mod trust_crashes;
#[path = "../bundle/trust_forge.rs"]
#[allow(dead_code, reason = "the tests of trust documents use all of it")]
mod trust_forge;
