//! The networks of a fold: all kept where they fit, else built again for every case.

use std::collections::BTreeMap;

use ndarray::{Array4, ArrayView5};
use nnunet::fold::{Fold, Member};
use nnunet::sliding_window::{PatchNetwork, SlidingWindow};
use tch::{Device, TchError, Tensor};

use super::{MemberFacts, ValidationError};
use crate::checkpoint::CheckpointFolder;
use crate::network::Network;
use crate::run_folder;
use crate::trained::Trained;

/// Weights of all networks together may take this much.
const MAX_KEPT_BYTES: usize = 3 << 30;

/// The members of a fold.
#[derive(Debug)]
pub(super) struct Members<'a> {
    trained: &'a Trained,
    device: Device,
    by_epoch: Vec<Member>,
    facts: Vec<MemberFacts>,
    keeps: bool,
    kept: BTreeMap<usize, Network>,
}

impl<'a> Members<'a> {
    /// Lists the members; weights are loaded when they are needed.
    pub(super) fn new(trained: &'a Trained, fold: Fold, device: Device) -> Result<Self, ValidationError> {
        let members = trained.members(fold)?;
        let facts = facts(trained, fold, &members)?;
        let n_values: usize = trained.network.parameters().iter().map(|p| p.shape.iter().product::<usize>()).sum();
        let keeps = 4 * n_values * members.len() <= MAX_KEPT_BYTES;
        Ok(Self { trained, device, by_epoch: members, facts, keeps, kept: BTreeMap::new() })
    }

    /// Names and digests of a fold's members, in their order.
    pub(super) fn facts_of(trained: &Trained, fold: Fold) -> Result<Vec<MemberFacts>, ValidationError> {
        facts(trained, fold, &trained.members(fold)?)
    }

    /// Names and digests of the members, in their order.
    pub(super) fn facts(&self) -> &[MemberFacts] {
        &self.facts
    }

    /// Logits `[output, z, y, x]` of one member on a preprocessed image.
    pub(super) fn logits(
        &mut self,
        index: usize,
        window: &SlidingWindow,
        image: &Array4<f32>,
    ) -> Result<Array4<f32>, ValidationError> {
        let member = self.by_epoch[index];
        let network = match self.kept.remove(&index) {
            Some(network) => network,
            None => self.load(member)?,
        };
        let patches = &mut Patches { network: &network, n_axes: self.trained.network.n_axes };
        let logits = window.logits(image, patches, &mut || ());
        if self.keeps {
            self.kept.insert(index, network);
        }
        logits.map_err(|source| ValidationError::Window { member, source: Box::new(source) })
    }

    fn load(&self, member: Member) -> Result<Network, ValidationError> {
        let (_, weights) = run_folder::load(&self.trained.folder, member)?;
        Network::new(&self.trained.network, &weights, self.device)
            .map_err(|source| ValidationError::Network { member, source })
    }
}

fn facts(trained: &Trained, fold: Fold, members: &[Member]) -> Result<Vec<MemberFacts>, ValidationError> {
    let folder = CheckpointFolder::new(trained.folder.join(fold.to_string()));
    let fact = |member: &Member| {
        let refuse = |source| ValidationError::Checkpoint { member: *member, source };
        let record = folder.record(&member.epoch.to_string()).map_err(refuse)?;
        Ok(MemberFacts { member: member.to_string(), weights: record.weights })
    };
    members.iter().map(fact).collect()
}

/// A network as the sliding window sees it.
struct Patches<'a> {
    network: &'a Network,
    n_axes: usize,
}

impl PatchNetwork for Patches<'_> {
    type Error = TchError;

    fn predict<T>(
        &mut self,
        batch: ArrayView5<'_, f32>,
        use_logits: impl FnOnce(ArrayView5<'_, f32>) -> T,
    ) -> Result<T, TchError> {
        let batch = batch.as_standard_layout();
        let mut shape = batch.shape().to_vec();
        let [n, _, z, y, x] = [0, 1, 2, 3, 4].map(|axis| shape[axis]);
        if self.n_axes == 2 {
            // A slice [n, channel, 1, y, x] is [n, channel, y, x] to the network.
            shape.remove(2);
        }
        let extent = |&extent| i64::try_from(extent).expect("a tensor in memory has extents below 2^63");
        let extents: Vec<i64> = shape.iter().map(extent).collect();
        let values = batch.as_slice().expect("a batch in standard layout is one slice");
        let tensor = Tensor::f_from_slice(values)?.f_reshape(extents)?.f_to(self.network.device())?;
        let logits = self.network.logits(&tensor)?.f_to(Device::Cpu)?.f_contiguous()?.f_flatten(0, -1)?;
        let mut values = vec![0.0_f32; logits.numel()];
        logits.f_copy_data(&mut values, logits.numel())?;
        let n_outputs = values.len() / (n * z * y * x).max(1);
        let n_values = values.len();
        let logits = ArrayView5::from_shape((n, n_outputs, z, y, x), &values)
            .map_err(|_| TchError::Shape(format!("{n_values} logits for a batch of {n} patches {z}x{y}x{x}")))?;
        Ok(use_logits(logits))
    }
}
