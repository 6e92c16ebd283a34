//! What one case takes, stage by stage, from its shapes alone.
//!
//! Every array that is held is counted where it is made; docs/benchmarks.md has predicted beside measured. The grid of
//! the network is that of the whole image, although zeros around it are cropped: a header does not say how many there are.

use imaging::Geometry;
use imaging::file::Format;
use nnunet::crop::BoundingBox;
use nnunet::fingerprint::planning_spacing;
use nnunet::preprocess::CaseProperties;
use nnunet::restore::{OutputHead, slab_thickness};
use nnunet::uncertainty::UncertaintyMethod;

use crate::model::Model;
use crate::predict::Predictor;
use crate::predict::rules::{Average, Select};

const FLOAT: u64 = 4;
const DOUBLE: u64 = 8;
const LABEL: u64 = 1;
/// A label of a preprocessed case.
const WIDE_LABEL: u64 = 2;
const MASK: u64 = 1;
/// Connected components of a label map: a number for every voxel, and the lists of their unions.
const COMPONENTS: u64 = 12;
/// A picture as its decoder holds it, beside the floats made of it.
const DECODED_PICTURE: u64 = 16;

/// Bytes that a case takes in each stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct CaseNeed {
    /// While it is read and preprocessed.
    pub(crate) prepare: u64,
    /// As the networks see it.
    pub(crate) image: u64,
    /// Logits of one member while patches are added up.
    pub(crate) inference: u64,
    /// From the first member to the last: sums, and the best fold so far.
    pub(crate) sums: u64,
    /// While a member is restored, or a fold is assessed, or the result is written, whatever takes most.
    pub(crate) finish: u64,
}

impl CaseNeed {
    /// The most that a case takes that is alone: it is read before it is predicted, and finished after its last member; a
    /// member before the last is restored while the next one predicts.
    pub(crate) fn alone(&self, n_members: usize) -> u64 {
        let finish = self.sums.saturating_add(self.finish);
        let predict = if n_members > 1 { self.inference.saturating_add(finish) } else { self.inference.max(finish) };
        self.prepare.max(self.image.saturating_add(predict))
    }
}

/// Voxels of a case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Voxels {
    /// On the grid of the file.
    pub(crate) file: u64,
    /// On the grid of the network, at most.
    pub(crate) network: u64,
    /// Of the file, that are restored at a time.
    pub(crate) slab: u64,
    /// Of a slice of the file.
    pub(crate) slice: u64,
}

/// What a run does with every voxel.
#[derive(Debug, Clone)]
pub(crate) struct Work {
    n_channels: u64,
    /// Channels of the previous stage's segmentation, in a cascade.
    n_previous: u64,
    n_outputs: u64,
    n_methods: u64,
    n_folds: u64,
    patch: u64,
    n_threads: u64,
    /// Bytes of a voxel in the sums of a fold.
    fold_sums: u64,
    /// Bytes of a voxel in the sums over folds.
    overall_sums: u64,
    format: Format,
    head: OutputHead,
    keeps_probabilities: bool,
    keeps_folds: bool,
    /// Whether connected components are looked for.
    finds_components: bool,
    select: Select,
    /// What segmentations are made of beside the sums that uncertainty takes; `None` if of these.
    votes: Option<Average>,
}

impl Voxels {
    /// Of a file, from its header, and of its [`network_shape`]. A case that cannot be preprocessed is read all the same.
    pub(crate) fn of(geometry: &Geometry, network_shape: Option<[usize; 3]>, model: &Model) -> Self {
        let network = network_shape.map_or(0, product);
        let [z, y, x] = geometry.shape();
        let thickness = slab_thickness([z, y, x], model.labels.n_outputs(), &model.configuration);
        Self { file: product([z, y, x]), network, slab: product([thickness, y, x]), slice: product([y, x, 1]) }
    }
}

/// The largest grid `[z, y, x]` that the network sees of a file; `None` if it cannot be preprocessed.
pub(crate) fn network_shape(geometry: &Geometry, model: &Model) -> Option<[usize; 3]> {
    let spacing = planning_spacing(geometry);
    let transpose_forward = model.plans.transpose_forward;
    let cropped_shape = transpose_forward.map(|axis| geometry.shape()[axis]);
    let spacing = transpose_forward.map(|axis| spacing[axis]);
    let whole = CaseProperties {
        original_shape: geometry.shape(),
        transpose_forward,
        crop: BoundingBox { start: [0; 3], end: cropped_shape },
        cropped_shape,
        spacing,
        target_spacing: spacing,
        resampled_shape: cropped_shape,
    };
    whole.shape_in(&model.configuration).ok()
}

fn product(shape: [usize; 3]) -> u64 {
    shape.iter().fold(1, |product, &extent| product.saturating_mul(extent as u64))
}

impl Work {
    /// What the predictor does.
    pub(crate) fn of(predictor: &Predictor<'_>) -> Self {
        let model = predictor.model;
        let n_outputs = model.labels.n_outputs() as u64;
        let n_members = predictor.folds.iter().map(|(_, members)| members.len()).max().unwrap_or(1) as u64;
        let is_entropy = |method| UncertaintyMethod::ENTROPIES.contains(method);
        let sums = |n_members| {
            // Other methods keep at most a second sum per output and a label map per member.
            let is_other = !predictor.methods.iter().all(is_entropy);
            let has_entropies = predictor.methods.iter().any(|method| method.needs_entropies_of_members());
            let n_sums = n_outputs + u64::from(has_entropies);
            DOUBLE * n_sums + if is_other { DOUBLE * n_outputs + LABEL * n_members } else { 0 }
        };
        let fold_sums = match n_members {
            1 if predictor.has_sole_member() => LABEL + FLOAT,
            1 => FLOAT * n_outputs,
            _ => sums(n_members),
        };
        Self {
            n_channels: model.n_channels as u64,
            n_previous: (model.unet.n_channels - model.n_channels) as u64,
            n_outputs,
            n_methods: predictor.methods.len() as u64,
            n_folds: predictor.folds.len() as u64,
            patch: product(model.configuration.patch_zyx()),
            n_threads: rayon::current_num_threads() as u64,
            fold_sums,
            overall_sums: if predictor.folds.len() == 1 { 0 } else { sums(predictor.members().count() as u64) },
            format: model.format,
            head: model.head,
            keeps_probabilities: predictor.keeps_probabilities,
            keeps_folds: predictor.keeps_folds,
            finds_components: !model.postprocessing.is_empty(),
            select: predictor.rules.select,
            votes: (!predictor.is_of_all_probabilities()).then_some(predictor.rules.average),
        }
    }

    /// What a case of these voxels takes.
    pub(crate) fn need(&self, voxels: Voxels) -> CaseNeed {
        let Voxels { file, network, .. } = voxels;
        let n_inputs = self.n_channels + self.n_previous;
        let image = FLOAT * n_inputs * network;
        let patch_buffers = FLOAT * self.patch * (n_inputs + 3 * self.n_outputs);
        CaseNeed {
            prepare: self.prepare(voxels) + image,
            image,
            inference: FLOAT * self.n_outputs * network + patch_buffers,
            sums: self.sums(voxels),
            finish: self.restore(voxels).max(self.assess(voxels)) + LABEL * file,
        }
    }

    /// The channels, one of them a second time as its file is decoded, masks, and what resampling holds of a channel.
    fn prepare(&self, Voxels { file, network, .. }: Voxels) -> u64 {
        let decoded = if self.format == Format::Nifti { FLOAT } else { DECODED_PICTURE };
        let previous = if self.n_previous > 0 {
            // Labels as read and widened, as resampled, and the image once more without their channels.
            (LABEL + 2 * WIDE_LABEL) * file + (2 * WIDE_LABEL + FLOAT * self.n_channels) * network
        } else {
            0
        };
        (FLOAT * self.n_channels + decoded + 3 * MASK) * file + 2 * FLOAT * file.max(network) + previous
    }

    fn sums(&self, voxels: Voxels) -> u64 {
        let n_ensembles = self.n_folds.min(2);
        let ensembles = (self.fold_sums + self.overall_sums) * voxels.file;
        let best = match self.select {
            Select::LowestUncertainty if self.n_folds > 1 => self.candidate() * voxels.file,
            Select::LowestUncertainty | Select::Mean => 0,
        };
        let folds = if self.keeps_folds { (self.n_folds + 1) * LABEL * voxels.file } else { 0 };
        ensembles + n_ensembles * self.votes(voxels) + best + folds
    }

    /// The sums that a segmentation is made of where it is not the mean of probabilities.
    fn votes(&self, Voxels { file, network, .. }: Voxels) -> u64 {
        match self.votes {
            Some(Average::Logits) => FLOAT * self.n_outputs * network,
            Some(Average::Probabilities) => FLOAT * self.n_outputs * file,
            None => 0,
        }
    }

    /// A voxel of a segmentation that may be the result, with its maps.
    fn candidate(&self) -> u64 {
        let probabilities = if self.keeps_probabilities { FLOAT * self.n_outputs } else { 0 };
        LABEL + FLOAT * self.n_methods + probabilities
    }

    /// Logits, and of a slab: logits and probabilities of its crop and of the whole, and what resampling holds of a channel.
    fn restore(&self, Voxels { file, network, slab, .. }: Voxels) -> u64 {
        // Of a finer grid, more is read than is made.
        let resampling = slab * network.div_ceil(file.max(1)).max(1);
        FLOAT * self.n_outputs * (network + 3 * slab) + 2 * FLOAT * resampling
    }

    /// The mean of the voters' logits on both grids with what resampling holds of a channel, or probabilities of the crop
    /// and of the whole.
    fn restore_whole(&self, Voxels { file, network, .. }: Voxels) -> u64 {
        let resampling = FLOAT * self.n_outputs * (network + file) + 2 * FLOAT * file.max(network);
        resampling.max(2 * FLOAT * self.n_outputs * file)
    }

    /// Probabilities where they are needed, highest sum, candidate, and its components.
    fn assess(&self, voxels: Voxels) -> u64 {
        let voted = match (self.votes, self.head) {
            (Some(Average::Logits), _) => self.restore_whole(voxels),
            (_, OutputHead::Sigmoid) => FLOAT * self.n_outputs * voxels.file,
            (_, OutputHead::Softmax) => 0,
        };
        // Sums and the highest of them, of as many slices as there are threads.
        let highest = DOUBLE * (self.n_outputs + 1) * voxels.file.min(self.n_threads * voxels.slice);
        let components = if self.finds_components { COMPONENTS } else { 0 };
        voted + highest + (components + self.candidate()) * voxels.file
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WORK: Work = Work {
        n_channels: 2,
        n_previous: 0,
        n_outputs: 3,
        n_methods: 1,
        n_folds: 2,
        patch: 10,
        n_threads: 2,
        fold_sums: 32,
        overall_sums: 32,
        format: Format::Nifti,
        head: OutputHead::Softmax,
        keeps_probabilities: false,
        keeps_folds: false,
        finds_components: true,
        select: Select::LowestUncertainty,
        votes: None,
    };

    #[test]
    fn the_need_of_a_case_can_be_counted_by_hand() {
        let need = WORK.need(Voxels { file: 100, network: 50, slab: 20, slice: 10 });
        // Two channels, one more, masks: (8 + 4 + 3)·100; two channels of a resampling: 8·100; the image 8·50.
        assert_eq!(need.prepare, 1500 + 800 + 400);
        assert_eq!(need.image, 400);
        // Three sums, and patches of two channels and three times three outputs.
        assert_eq!(need.inference, 600 + 4 * 10 * 11);
        // Two ensembles of 32 bytes a voxel, and a label and a map of the best fold.
        assert_eq!(need.sums, 6400 + 500);
        // Three logits, and three times of a slab, and two channels: 12·(50 + 60) + 8·20 = 1480; assessing takes
        // 8·4·20 of two slices and (12 + 5)·100 of all = 2340.
        assert_eq!(need.finish, 2340 + 100);
    }

    #[test]
    fn every_option_that_keeps_more_needs_more() {
        let voxels = Voxels { file: 100, network: 50, slab: 20, slice: 10 };
        let base = WORK.need(voxels);
        let check = |change: fn(&mut Work), more_sums: u64| {
            let mut work = WORK;
            change(&mut work);
            assert_eq!(work.need(voxels).sums, base.sums + more_sums, "{work:?}");
        };
        check(|work| work.keeps_probabilities = true, 1200);
        check(|work| work.keeps_folds = true, 300);
        check(|work| work.n_methods = 2, 400);
        check(|work| work.n_folds = 5, 0);
        check(|work| work.votes = Some(Average::Logits), 2 * 600);
        check(|work| work.votes = Some(Average::Probabilities), 2 * 1200);
    }
}
