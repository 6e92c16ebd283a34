//! What is wrong with a raw data set: all of it, before anything is computed.
//!
//! A pure judge in three steps. [`Description::read`] judges `dataset.json`; [`listing`] judges which files there are;
//! [`case`] judges what each file holds, and [`duplicates`] whether two hold the same. Whoever has the files hands in
//! facts and gets [`Problem`]s.
//!
//! Covers every rule of nnU-Net's `verify_dataset_integrity.py`, which stops at its first finding of each kind, and
//! departs from it so:
//!
//! - Labels without an image are an error: nnU-Net never looks at them, and a case is lost.
//! - Infinities are an error like NaN, and channels that lie more than a hundredth of a voxel apart, because the
//!   readers of this project refuse both.
//! - Labels displaced by half a voxel or more are an error; nnU-Net only warns of any displacement.
//! - Two cases with equal images are an error, for one may validate what the other was trained on.
//! - Labels and channel numbers are what [`crate::dataset`] accepts, which is stricter than nnU-Net in details.

pub mod case;
mod description;
pub mod duplicates;
pub mod listing;
mod problem;

pub use description::Description;
pub use problem::{Problem, Severity};
