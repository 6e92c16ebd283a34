//! How much is trained: small by default, so that two cores suffice.
//!
//! nnU-Net's own numbers (32 features, 1000 epochs of 250 iterations) need a
//! GPU and a day. These need minutes, and every one is a flag.

use anyhow::{Result, ensure};

use super::material::Kind;

/// Options that override the default budget.
#[derive(Debug, Clone, Default, clap::Args)]
pub(super) struct BudgetArgs {
    /// Features of the network's first stage
    #[arg(long, value_name = "N")]
    features: Option<u32>,
    /// Epochs of each fold, over all cycles
    #[arg(long, value_name = "N")]
    epochs: Option<u32>,
    /// Cycles of the learning rate; must divide the epochs
    #[arg(long, value_name = "N")]
    cycles: Option<u32>,
    /// Iterations of an epoch
    #[arg(long, value_name = "N")]
    iterations: Option<u32>,
    /// Patches of a batch
    #[arg(long, value_name = "N")]
    batch_size: Option<u32>,
    /// Voxels of a patch, as `Y,X` or `Z,Y,X`; `auto` leaves it to the planner
    #[arg(long, value_name = "SIZE")]
    patch_size: Option<String>,
    /// Checkpoints kept at the end of each cycle
    #[arg(long, value_name = "N")]
    late: Option<u32>,
    /// Folds to train
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    folds: Option<Vec<u16>>,
    /// Schedule of the learning rate
    #[arg(long, value_name = "NAME", value_parser = ["unnunet", "per-cycle"])]
    schedule: Option<String>,
}

/// What is trained, every choice made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Budget {
    pub(super) features: u32,
    pub(super) epochs: u32,
    pub(super) cycles: u32,
    pub(super) iterations: u32,
    pub(super) batch_size: u32,
    /// As `--patch-size` of `unnunet-train` takes it; `None` leaves it to the planner.
    pub(super) patch_size: Option<String>,
    pub(super) late: u32,
    pub(super) folds: Vec<u16>,
    pub(super) schedule: String,
}

impl Budget {
    /// The default for `kind` and `configuration`, with what `args` overrides.
    ///
    /// # Errors
    ///
    /// When no fold is named, or one twice, or fold 0 is missing: its
    /// validation cases are the unseen ones.
    pub(super) fn resolve(args: &BudgetArgs, kind: Kind, configuration: &str) -> Result<Self> {
        let default = Self::default_of(kind, configuration);
        let patch_size = match args.patch_size.as_deref() {
            Some("auto") => None,
            Some(size) => Some(size.to_owned()),
            None => default.patch_size,
        };
        let mut folds = args.folds.clone().unwrap_or(default.folds);
        folds.sort_unstable();
        ensure!(folds.windows(2).all(|pair| pair[0] != pair[1]), "--folds names a fold twice");
        ensure!(folds.first() == Some(&0), "--folds must contain 0, whose validation cases are predicted");
        Ok(Self {
            features: args.features.unwrap_or(default.features),
            epochs: args.epochs.unwrap_or(default.epochs),
            cycles: args.cycles.unwrap_or(default.cycles),
            iterations: args.iterations.unwrap_or(default.iterations),
            batch_size: args.batch_size.unwrap_or(default.batch_size),
            patch_size,
            late: args.late.unwrap_or(default.late),
            folds,
            schedule: args.schedule.clone().unwrap_or(default.schedule),
        })
    }

    fn default_of(kind: Kind, configuration: &str) -> Self {
        let hearts = Self {
            features: 8,
            epochs: 20,
            cycles: 2,
            iterations: 35,
            batch_size: 4,
            patch_size: Some("128,128".to_owned()),
            late: 3,
            folds: vec![0, 1],
            schedule: "unnunet".to_owned(),
        };
        match (kind, configuration) {
            (Kind::Phantom, _) => hearts,
            (Kind::Real, "2d") => {
                Self { epochs: 30, cycles: 3, iterations: 30, patch_size: Some("192,192".to_owned()), ..hearts }
            }
            // Short epochs, because each cycle's first one trains at a rate that forgets more than it explores.
            (Kind::Real, _) => Self { epochs: 160, iterations: 5, patch_size: None, ..hearts },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_win_over_the_default_and_auto_frees_the_patch() {
        let args = BudgetArgs {
            epochs: Some(4),
            patch_size: Some("auto".to_owned()),
            folds: Some(vec![2, 0]),
            ..BudgetArgs::default()
        };
        let budget = Budget::resolve(&args, Kind::Phantom, "2d").unwrap();
        assert_eq!((budget.epochs, budget.patch_size, budget.folds), (4, None, vec![0, 2]));
    }

    #[test]
    fn fold_0_cannot_be_left_out() {
        for folds in [vec![1], vec![], vec![0, 0]] {
            let args = BudgetArgs { folds: Some(folds), ..BudgetArgs::default() };
            Budget::resolve(&args, Kind::Real, "2d").unwrap_err();
        }
    }

    #[test]
    fn the_cycles_of_every_default_divide_its_epochs() {
        for (kind, configuration) in [(Kind::Phantom, "2d"), (Kind::Real, "2d"), (Kind::Real, "3d_fullres")] {
            let budget = Budget::default_of(kind, configuration);
            assert_eq!(budget.epochs % budget.cycles, 0);
        }
    }
}
