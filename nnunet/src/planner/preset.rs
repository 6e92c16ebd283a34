//! nnU-Net's planners by class name: network, memory and names of their plans.
//!
//! `ExperimentPlanner` is the classic one. The residual encoder planners give the encoder most of the depth; M, L and
//! XL are the presets for GPUs of about 10, 24 and 40 GB, and let a batch cover a whole data set, where the others stop
//! at a twentieth. Follows `default_experiment_planner.py` and `residual_encoder_unet_planners.py` of v2.8.1.

use std::fmt;
use std::str::FromStr;

use crate::plans::EncoderDepth;

/// Residual blocks per stage; deeper stages have as many as the last.
const RESIDUAL_BLOCKS: [usize; 4] = [1, 3, 4, 6];

/// A planner.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Preset {
    /// `ExperimentPlanner`: plain convolutions, 8 GB.
    #[default]
    Plain,
    /// `ResEncUNetPlanner`: residual encoder, 8 GB.
    ResEnc,
    /// `nnUNetPlannerResEncM`: residual encoder, 8 GB.
    ResEncM,
    /// `nnUNetPlannerResEncL`: residual encoder, 24 GB.
    ResEncL,
    /// `nnUNetPlannerResEncXL`: residual encoder, 40 GB.
    ResEncXL,
}

/// GPU memory in the unit of the model: voxels of all feature maps.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Budget {
    /// Voxels that one patch of a batch of `batch` may have.
    pub(super) voxels: f64,
    /// Patches per batch that the reference was measured with.
    pub(super) batch: f64,
    /// The batch that a patch must fit in; `None` is `batch`, whatever becomes of it.
    pub(super) least_batch: Option<f64>,
}

impl Budget {
    /// Whether patches of so many voxels are too large.
    pub(super) fn is_exceeded_by(&self, voxels: f64) -> bool {
        // In the reference's order: a division is not exact.
        self.least_batch.map_or(voxels, |least| voxels / self.batch * least) > self.voxels
    }

    /// Patches of so many voxels that fit, a whole number.
    pub(super) fn batch_of(&self, voxels: f64) -> f64 {
        (self.voxels / voxels * self.batch).round_ties_even()
    }
}

impl Preset {
    /// All planners, the classic one first.
    pub const ALL: [Self; 5] = [Self::Plain, Self::ResEnc, Self::ResEncM, Self::ResEncL, Self::ResEncXL];

    /// nnU-Net's class.
    pub fn class(self) -> &'static str {
        match self {
            Self::Plain => "ExperimentPlanner",
            Self::ResEnc => "ResEncUNetPlanner",
            Self::ResEncM => "nnUNetPlannerResEncM",
            Self::ResEncL => "nnUNetPlannerResEncL",
            Self::ResEncXL => "nnUNetPlannerResEncXL",
        }
    }

    /// Name of the plans unless the user gives another.
    pub fn plans_name(self) -> &'static str {
        match self {
            Self::Plain => "nnUNetPlans",
            Self::ResEnc => "nnUNetResEncUNetPlans",
            Self::ResEncM => "nnUNetResEncUNetMPlans",
            Self::ResEncL => "nnUNetResEncUNetLPlans",
            Self::ResEncXL => "nnUNetResEncUNetXLPlans",
        }
    }

    /// GPU memory that is planned for unless the user gives another, GB.
    pub fn gpu_memory_target_gb(self) -> f64 {
        match self {
            Self::Plain | Self::ResEnc | Self::ResEncM => 8.0,
            Self::ResEncL => 24.0,
            Self::ResEncXL => 40.0,
        }
    }

    /// Folder of the preprocessed cases. The residual encoders share what the classic planner preprocesses, but for
    /// `3d_lowres`, whose spacing depends on the patch.
    pub(super) fn data_identifier(self, plans_name: &str, configuration: &str) -> String {
        let shares = self != Self::Plain && (configuration == "2d" || configuration == "3d_fullres");
        format!("{}_{configuration}", if shares { Self::Plain.plans_name() } else { plans_name })
    }

    /// Memory for a network of so many axes, on a GPU of `gpu_memory_target_gb`.
    pub(super) fn budget(self, n_axes: usize, gpu_memory_target_gb: f64) -> Budget {
        let (flat, volume) = match self {
            Self::Plain => (85e6, 560e6),
            Self::ResEnc | Self::ResEncM => (135e6, 680e6),
            Self::ResEncL => (380e6, 2.1e9),
            Self::ResEncXL => (560e6, 3.6e9),
        };
        let (reference, batch) = if n_axes == 2 { (flat, 12.0) } else { (volume, 2.0) };
        let voxels = reference * (gpu_memory_target_gb / self.gpu_memory_target_gb());
        Budget { voxels, batch, least_batch: (self == Self::Plain).then_some(super::MIN_BATCH) }
    }

    /// A batch covers at most this fraction of the data set.
    pub(super) fn max_covered(self) -> f64 {
        match self {
            Self::Plain | Self::ResEnc => 0.05,
            Self::ResEncM | Self::ResEncL | Self::ResEncXL => 1.0,
        }
    }

    /// The network's class.
    pub(super) fn network_class(self) -> &'static str {
        match self {
            Self::Plain => "dynamic_network_architectures.architectures.unet.PlainConvUNet",
            _ => "dynamic_network_architectures.architectures.unet.ResidualEncoderUNet",
        }
    }

    /// What the encoder's stages consist of.
    pub(super) fn encoder(self, n_stages: usize) -> EncoderDepth {
        if self == Self::Plain {
            return EncoderDepth::Convolutions(vec![2; n_stages]);
        }
        let [.., most] = RESIDUAL_BLOCKS;
        EncoderDepth::Blocks(RESIDUAL_BLOCKS.into_iter().chain(std::iter::repeat(most)).take(n_stages).collect())
    }

    /// Convolutions of each decoder stage.
    pub(super) fn n_convs_decoder(self) -> usize {
        if self == Self::Plain { 2 } else { 1 }
    }

    /// Most stages that nnU-Net's planner has a depth for.
    pub(super) fn max_stages(self) -> usize {
        if self == Self::Plain { 14 } else { 13 }
    }
}

impl fmt::Display for Preset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.class())
    }
}

/// A name that is no planner's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no planner `{found}`, only {}", Preset::ALL.map(Preset::class).join(", "))]
pub struct PresetError {
    /// The name as found.
    pub found: String,
}

impl FromStr for Preset {
    type Err = PresetError;

    fn from_str(name: &str) -> Result<Self, PresetError> {
        let found = || PresetError { found: name.to_owned() };
        Self::ALL.into_iter().find(|preset| preset.class() == name).ok_or_else(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn planners_go_by_the_names_of_their_classes() {
        for preset in Preset::ALL {
            assert_eq!(preset.to_string().parse(), Ok(preset));
        }
        let error = "nnUNetPlannerResEncS".parse::<Preset>().unwrap_err();
        assert!(error.to_string().starts_with("there is no planner `nnUNetPlannerResEncS`, only ExperimentPlanner, "));
    }

    #[test]
    fn memory_scales_with_the_target() {
        assert_eq!(Preset::Plain.budget(3, 8.0), Budget { voxels: 560e6, batch: 2.0, least_batch: Some(2.0) });
        assert_eq!(Preset::Plain.budget(2, 16.0), Budget { voxels: 170e6, batch: 12.0, least_batch: Some(2.0) });
        assert_eq!(Preset::ResEncL.budget(2, 12.0), Budget { voxels: 190e6, batch: 12.0, least_batch: None });
    }

    #[test]
    fn a_patch_shrinks_until_two_fit_or_until_one_has_its_share_of_the_batch() {
        let (plain, residual) = (Preset::Plain.budget(2, 8.0), Preset::ResEncM.budget(2, 8.0));
        assert!(!plain.is_exceeded_by(510e6) && plain.is_exceeded_by(511e6));
        assert!(!residual.is_exceeded_by(135e6) && residual.is_exceeded_by(136e6));
        assert_eq!((plain.batch_of(510e6), residual.batch_of(135e6)), (2.0, 12.0));
    }

    #[test]
    fn residual_stages_beyond_the_fourth_have_six_blocks() {
        assert_eq!(Preset::ResEncM.encoder(6), EncoderDepth::Blocks(vec![1, 3, 4, 6, 6, 6]));
        assert_eq!(Preset::ResEncM.encoder(2), EncoderDepth::Blocks(vec![1, 3]));
        assert_eq!(Preset::Plain.encoder(3), EncoderDepth::Convolutions(vec![2; 3]));
    }

    #[test]
    fn only_lowres_cases_of_a_residual_encoder_lie_apart() {
        let folder = |preset: Preset, configuration| preset.data_identifier("mine", configuration);
        assert_eq!(folder(Preset::Plain, "3d_fullres"), "mine_3d_fullres");
        assert_eq!(folder(Preset::ResEncM, "3d_fullres"), "nnUNetPlans_3d_fullres");
        assert_eq!(folder(Preset::ResEncM, "2d"), "nnUNetPlans_2d");
        assert_eq!(folder(Preset::ResEncM, "3d_lowres"), "mine_3d_lowres");
    }
}
