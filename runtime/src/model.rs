//! What a bundle says about its networks: configuration, labels, members, probe.
//!
//! Everything is parsed and cross-checked here, before the first image is read: the label count against the topology,
//! the mirrored axes against the patch, the members' names against the manifest's fields.

use bundle_format::{BundleContents, BundleError, EntryPath, EntryPathError, MemberId};
use imaging::file::Format;
use nnunet::calibration::{Calibration, CalibrationError};
use nnunet::dataset::{DatasetError, DatasetJson, LabelSet};
use nnunet::fold::{Fold, Member, ParseMemberError};
use nnunet::mirroring::{Mirroring, MirroringError};
use nnunet::pipeline::{Pipeline, PipelineError};
use nnunet::plans::{Configuration, ConfigurationName, Plans, PlansError};
use nnunet::postprocessing::{Postprocessing, PostprocessingError, PostprocessingFile};
use nnunet::restore::OutputHead;
use nnunet::topology::{TopologyError, UNet};

use crate::member_choice::MemberChoice;

const PLANS: &str = "config/plans.json";
const DATASET: &str = "config/dataset.json";
const CALIBRATION: &str = "config/calibration.json";
const POSTPROCESSING: &str = "config/postprocessing.json";
/// Weight of a member, in thousandths; the only one that a mean of equals knows.
const EQUAL_WEIGHT_MILLI: u32 = 1000;

/// The description of a bundle's networks.
pub(crate) struct Model {
    /// nnU-Net's plans.
    pub(crate) plans: Plans,
    /// The configuration that the members were trained with.
    pub(crate) configuration: Configuration,
    /// The labels that the members tell apart.
    pub(crate) labels: LabelSet,
    /// Number of image channels; the networks of a cascade's later stage have more.
    pub(crate) n_channels: usize,
    /// The stage whose segmentations the networks see beside the image.
    pub(crate) previous_stage: Option<ConfigurationName>,
    /// Ending of image and segmentation files.
    pub(crate) file_ending: String,
    /// What the ending says.
    pub(crate) format: Format,
    /// How the members are run.
    pub(crate) pipeline: Pipeline,
    /// The axes that training mirrored.
    pub(crate) mirroring: Mirroring,
    /// The members' topology.
    pub(crate) unet: UNet,
    /// What the outputs mean.
    pub(crate) head: OutputHead,
    /// From scores to expected Dice, if the bundle has it.
    pub(crate) calibration: Option<Calibration>,
    /// What is done to a segmentation; often nothing.
    pub(crate) postprocessing: Postprocessing,
    /// The members, fold by fold, epoch by epoch.
    pub(crate) members: Vec<ModelMember>,
}

/// One member of a bundle.
#[derive(Debug, Clone)]
pub(crate) struct ModelMember {
    /// Fold and epoch.
    pub(crate) member: Member,
    /// Its name in the manifest.
    pub(crate) id: MemberId,
}

impl Model {
    /// Reads the description.
    ///
    /// # Errors
    ///
    /// [`ModelError`] naming the file and the field at fault.
    pub(crate) fn read(bundle: &dyn BundleContents) -> Result<Self, ModelError> {
        let pipeline = Pipeline::parse(&text(bundle, &bundle.manifest().pipeline)?)?;
        let plans = Plans::parse(&text(bundle, &entry(PLANS)?)?)?;
        let configuration = plans.configuration(&pipeline.configuration)?;
        let dataset = DatasetJson::parse(&text(bundle, &entry(DATASET)?)?)?;
        let (labels, n_channels) = (dataset.structures()?, dataset.channels()?.len());
        if configuration.normalization_schemes.len() != n_channels {
            let plans = configuration.normalization_schemes.len();
            return Err(ModelError::Channels { dataset: n_channels, plans });
        }
        let pairs = [".hdr", ".img"].iter().any(|of_pair| dataset.file_ending.to_lowercase().starts_with(of_pair));
        let Some(format) = Format::of(&dataset.file_ending).filter(|_| !pairs) else {
            return Err(ModelError::FileEnding { found: dataset.file_ending });
        };
        let unet = UNet::new(&configuration, configuration.n_input_channels(n_channels, &labels), labels.n_outputs())?;
        let mirroring = Mirroring::along(&pipeline.mirror_axes, configuration.n_axes())?;
        let previous_stage = configuration.previous_stage();
        let members = members(bundle)?;
        let head = OutputHead::of(&labels);
        let file_ending = dataset.file_ending;
        let calibration = optional(bundle, CALIBRATION)?.map(|text| Calibration::parse(&text)).transpose()?;
        let file =
            optional(bundle, POSTPROCESSING)?.map(|text| PostprocessingFile::parse(&text, &labels)).transpose()?;
        Ok(Self {
            plans,
            configuration,
            labels,
            n_channels,
            previous_stage,
            file_ending,
            format,
            pipeline,
            mirroring,
            unet,
            head,
            calibration,
            postprocessing: file.map(|file| file.postprocessing()).unwrap_or_default(),
            members,
        })
    }

    /// The folds in ascending order, each with its members of the choice; `only` keeps these folds if it is not empty.
    ///
    /// # Errors
    ///
    /// [`ModelError::NoFold`] if a fold of `only` has no member, [`ModelError::NoMember`] if a fold lacks a checkpoint of
    /// the choice.
    pub(crate) fn folds(
        &self,
        only: &[Fold],
        choice: &MemberChoice,
    ) -> Result<Vec<(Fold, Vec<ModelMember>)>, ModelError> {
        let mut folds: Vec<(Fold, Vec<ModelMember>)> = Vec::new();
        for member in &self.members {
            match folds.last_mut() {
                Some((fold, members)) if *fold == member.member.fold => members.push(member.clone()),
                _ => folds.push((member.member.fold, vec![member.clone()])),
            }
        }
        if let Some(&fold) = only.iter().find(|fold| folds.iter().all(|(found, _)| found != *fold)) {
            return Err(ModelError::NoFold { fold, available: folds.iter().map(|(fold, _)| *fold).collect() });
        }
        folds.retain(|(fold, _)| only.is_empty() || only.contains(fold));
        for (_, members) in &mut folds {
            *members = choice.of(members)?;
        }
        Ok(folds)
    }
}

impl Model {
    /// The best member of every one of these folds.
    ///
    /// # Errors
    ///
    /// [`ModelError::NoBest`] if the bundle does not have it, [`ModelError::BestLeftOut`] if it is not among those given.
    pub(crate) fn best_of(&self, folds: &[(Fold, Vec<ModelMember>)]) -> Result<Vec<Member>, ModelError> {
        let best = |(fold, members): &(Fold, Vec<ModelMember>)| {
            let epoch = self.pipeline.best_epochs.get(fold).ok_or(ModelError::NoBest { fold: *fold })?;
            let best = Member { fold: *fold, epoch: *epoch };
            let available: Vec<Member> = members.iter().map(|member| member.member).collect();
            if available.contains(&best) { Ok(best) } else { Err(ModelError::BestLeftOut { best, available }) }
        };
        folds.iter().map(best).collect()
    }
}

impl ModelError {
    /// Whether the bundle is at fault, and not what was asked of it.
    pub(crate) fn is_of_the_bundle(&self) -> bool {
        !matches!(self, Self::BestLeftOut { .. } | Self::NoBest { .. } | Self::NoFold { .. } | Self::NoMember { .. })
    }
}

fn entry(path: &str) -> Result<EntryPath, ModelError> {
    EntryPath::new(path).map_err(|source| ModelError::EntryPath { source })
}

fn text(bundle: &dyn BundleContents, path: &EntryPath) -> Result<String, ModelError> {
    let bytes = bundle.read(path).map_err(|source| ModelError::Read { source })?;
    String::from_utf8(bytes).map_err(|_| ModelError::Text { path: path.clone() })
}

/// The text of a file that a bundle may have.
fn optional(bundle: &dyn BundleContents, path: &str) -> Result<Option<String>, ModelError> {
    let path = entry(path)?;
    bundle.manifest().file(&path).map(|_| text(bundle, &path)).transpose()
}

fn members(bundle: &dyn BundleContents) -> Result<Vec<ModelMember>, ModelError> {
    let manifest = bundle.manifest();
    let mut members = Vec::with_capacity(manifest.members.len());
    for listed in &manifest.members {
        let member: Member = listed.id.as_str().parse().map_err(|source| ModelError::MemberName { source })?;
        let agrees = listed.fold.is_none_or(|fold| fold == u32::from(member.fold.0))
            && listed.epoch.is_none_or(|epoch| epoch == member.epoch);
        if !agrees {
            return Err(ModelError::MemberFields { id: listed.id.clone() });
        }
        if listed.weight_milli != EQUAL_WEIGHT_MILLI {
            return Err(ModelError::Weight { id: listed.id.clone(), weight_milli: listed.weight_milli });
        }
        members.push(ModelMember { member, id: listed.id.clone() });
    }
    members.sort_by_key(|member| member.member);
    Ok(members)
}

fn list(available: &[impl ToString]) -> String {
    available.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// Why a bundle's networks cannot be run by this program, although nobody altered it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum ModelError {
    /// A fold's best checkpoint was asked for and is not among the members that predict.
    #[error("the best checkpoint `{best}` does not predict, only {}", list(available))]
    BestLeftOut {
        /// The best.
        best: Member,
        /// The fold's members that predict.
        available: Vec<Member>,
    },
    /// The calibration breaks a rule.
    #[error("cannot use `{CALIBRATION}`")]
    Calibration {
        /// Which.
        #[from]
        source: CalibrationError,
    },
    /// `dataset.json` and plans disagree.
    #[error("`{DATASET}` names {dataset} channels, `{PLANS}` normalize {plans}")]
    Channels {
        /// Channels of `dataset.json`.
        dataset: usize,
        /// Channels of the plans.
        plans: usize,
    },
    /// `dataset.json` breaks a rule.
    #[error("cannot use `{DATASET}`")]
    Dataset {
        /// Which.
        #[from]
        source: DatasetError,
    },
    /// A fixed path is none.
    #[error("a path of the bundle is malformed")]
    EntryPath {
        /// Why.
        source: EntryPathError,
    },
    /// The data set's files are no NIfTI.
    #[error(
        "`{DATASET}` asks for files ending in `{found}`, only `.nii`, `.nii.gz`, `.png`, `.bmp`, `.tif` and `.tiff` are supported"
    )]
    FileEnding {
        /// The ending.
        found: String,
    },
    /// The manifest contradicts a member's name.
    #[error("member `{id}` has another fold or epoch in the manifest than in its name")]
    MemberFields {
        /// The member.
        id: MemberId,
    },
    /// A member's name says neither fold nor epoch.
    #[error("the bundle's members cannot be told apart")]
    MemberName {
        /// The name.
        source: ParseMemberError,
    },
    /// The pipeline mirrors axes that the patch has not.
    #[error("`mirror_axes` of the pipeline cannot be used")]
    Mirroring {
        /// Which.
        #[from]
        source: MirroringError,
    },
    /// A fold's best checkpoint was asked for, and is no member or not known.
    #[error("the bundle does not hold the best checkpoint of {fold}")]
    NoBest {
        /// The fold.
        fold: Fold,
    },
    /// A fold was asked for that the bundle has not.
    #[error("the bundle has no {fold}, only {}", list(available))]
    NoFold {
        /// The fold asked for.
        fold: Fold,
        /// The folds there are.
        available: Vec<Fold>,
    },
    /// A checkpoint was asked for that a fold has not.
    #[error("the bundle has no `{member}`, only {}", list(available))]
    NoMember {
        /// The member asked for.
        member: Member,
        /// The members that the fold has.
        available: Vec<Member>,
    },
    /// `pipeline.json` breaks a rule.
    #[error("cannot use the pipeline")]
    Pipeline {
        /// Which.
        #[from]
        source: PipelineError,
    },
    /// The plans break a rule.
    #[error("cannot use `{PLANS}`")]
    Plans {
        /// Which.
        #[from]
        source: PlansError,
    },
    /// The postprocessing breaks a rule.
    #[error("cannot use `{POSTPROCESSING}`")]
    Postprocessing {
        /// Which.
        #[from]
        source: PostprocessingError,
    },
    /// A file of the bundle cannot be read.
    #[error("cannot read the bundle's configuration")]
    Read {
        /// Why.
        source: BundleError,
    },
    /// A configuration file is no text.
    #[error("`{path}` of the bundle is not UTF-8")]
    Text {
        /// The file.
        path: EntryPath,
    },
    /// The architecture is unknown.
    #[error("cannot build the bundle's network")]
    Topology {
        /// Why.
        #[from]
        source: TopologyError,
    },
    /// Members that do not count alike.
    #[error("member `{id}` has the weight {weight_milli}, only {EQUAL_WEIGHT_MILLI} is supported")]
    Weight {
        /// The member.
        id: MemberId,
        /// Its weight in thousandths.
        weight_milli: u32,
    },
}
