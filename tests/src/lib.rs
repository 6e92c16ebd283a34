//! Phantoms that the cross-crate tests and the demo train on, and the programs that do.
//!
//! The project ships no patient data, so it draws its own: 2D short-axis
//! hearts as in T1 mapping ([`hearts`]) and 3D balls ([`balls`]), written as
//! raw nnU-Net data sets ([`dataset`]). Everything follows from a seed; case
//! `i` does not depend on how many cases are drawn. [`programs`] and
//! [`trial`] start the two programs for the tests in `tests/`, and [`browser`] looks at the pages they write.

pub mod balls;
pub mod browser;
pub mod dataset;
pub mod hearts;
mod noise;
pub mod programs;
pub mod tissue;
pub mod trial;
