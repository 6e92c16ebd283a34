//! Trains nnU-Nets with cyclic checkpoints on libtorch and exports them as bundles.
//!
//! The method itself (plans, preprocessing, topology) is `nnunet`'s. This crate adds what training needs: the store
//! of preprocessed cases, random patches, the network in libtorch, loss, optimizer, schedules and checkpoints. Every
//! random number comes from a stream named by what it is for, so that a run can be repeated and resumed bit by bit.

pub mod annotation;
pub mod augment;
pub mod best_configuration;
pub mod block;
pub mod canvas;
pub mod cases;
pub mod checkpoint;
pub mod checkpoint_rule;
pub mod cli;
pub mod cross_validation;
pub mod dataset_check;
mod error_line;
pub mod event_file;
pub mod export;
pub mod feed;
pub mod import;
pub mod initialization;
pub mod journal;
pub mod limits;
pub mod loss;
pub mod loss_scale;
pub mod memory;
pub mod msd;
pub mod network;
pub mod onnx;
pub mod patch_geometry;
pub mod placement;
pub mod planning;
pub mod preparation;
pub mod presentation;
pub mod previous_stage;
pub mod probe;
pub mod progress_plot;
pub mod pseudo_dice;
pub mod pth;
pub mod random;
pub mod raw_dataset;
pub mod replicas;
pub mod run_folder;
pub mod run_record;
pub mod sample;
pub mod schedule;
pub mod sgd;
pub mod spatial;
pub mod stage_predictions;
pub mod store;
pub mod targets;
pub mod trained;
pub mod training;
pub mod validation;
pub mod weights;
pub mod workers;
