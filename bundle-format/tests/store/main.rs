//! Tests of the device's store: policy, crashes at every change, attacks on its history.

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
