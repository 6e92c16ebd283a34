//! What a training promises about its bytes: threads that feed it, interruptions, and how many devices share it.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod feeding;
mod replicas;
mod tiny;
