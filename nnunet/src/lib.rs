//! nnU-Net's method as pure functions: plans, preprocessing, sliding window, uncertainty, evaluation.
//!
//! This crate does no I/O, prints nothing, reads no clock and no environment, and is handed its random generator.
//! `trainer` and `runtime` put a thin shell of files, threads and native libraries around it.

pub mod calibration;
pub mod crop;
pub mod dataset;
pub mod dataset_check;
pub mod evaluation;
pub mod fingerprint;
pub mod fold;
pub mod foreground;
pub mod grouping;
pub mod importance_map;
pub mod listed_cases;
pub mod mirroring;
pub mod mt19937;
pub mod normalize;
mod outside;
mod percentile;
pub mod pipeline;
pub mod planner;
pub mod plans;
pub mod postprocessing;
pub mod preprocess;
pub mod previous_stage;
pub mod restore;
pub mod segmentation;
pub mod select;
pub mod sliding_window;
pub mod splits;
pub mod temperature;
pub mod topology;
pub mod uncertainty;
mod zeros;
