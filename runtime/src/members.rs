//! The members' sessions: all kept where they fit, else made again for every use.
//!
//! Making a session costs seconds, keeping it costs memory that does not depend on the case. So sessions stay loaded as
//! long as all of them together are estimated to stay below a limit; a larger ensemble loads each member when its turn
//! comes, and memory stays that of one.

use std::collections::BTreeMap;

use bundle_format::{BundleContents, BundleError, MemberId};

use crate::engine::{Engine, EngineError, Target};
use crate::model::{Model, ModelMember};
use crate::network::{Network, NetworkError};

/// Sessions together may take this much.
const MAX_KEPT_BYTES: u64 = 3 << 30;
/// Feature maps of the first stage's size that a session holds at a time, with those of all coarser stages.
const MAPS_PER_SESSION: u64 = 8;

/// Where networks come from: a bundle, its description, and the engine that runs them.
#[derive(Clone, Copy)]
pub(crate) struct Networks<'a> {
    /// ONNX Runtime.
    pub(crate) engine: &'a Engine,
    /// The checked bundle.
    pub(crate) bundle: &'a dyn BundleContents,
    /// What it says about its networks.
    pub(crate) model: &'a Model,
}

impl Networks<'_> {
    /// Loads one member's network from checked bytes.
    ///
    /// # Errors
    ///
    /// [`MemberError`] naming the member.
    pub(crate) fn load(&self, target: Target, id: &MemberId) -> Result<Network, MemberError> {
        let model = self.bundle.load_model(id).map_err(|source| MemberError::Read { id: id.clone(), source })?;
        let session = self.engine.session(&model, target);
        let session = session.map_err(|source| MemberError::Session { id: id.clone(), source })?;
        Network::new(session, &self.model.unet, &self.model.configuration)
            .map_err(|source| MemberError::Interface { id: id.clone(), source })
    }
}

/// The sessions of a bundle's members on one target.
pub(crate) struct Members<'a> {
    networks: Networks<'a>,
    target: Target,
    keeps: bool,
    kept: BTreeMap<MemberId, Network>,
}

impl<'a> Members<'a> {
    /// No session yet; those of `members` will be asked for.
    pub(crate) fn new<'m>(
        networks: Networks<'a>,
        target: Target,
        members: impl IntoIterator<Item = &'m ModelMember>,
    ) -> Self {
        let estimate: u64 = members.into_iter().map(|member| session_bytes(networks.model, member)).sum();
        Self { networks, target, keeps: estimate <= MAX_KEPT_BYTES, kept: BTreeMap::new() }
    }

    /// Runs `use_network` on the member's network, which is loaded if it is not.
    ///
    /// # Errors
    ///
    /// [`MemberError`] if the network cannot be loaded.
    pub(crate) fn with<T>(
        &mut self,
        id: &MemberId,
        use_network: impl FnOnce(&mut Network) -> T,
    ) -> Result<T, MemberError> {
        if let Some(network) = self.kept.get_mut(id) {
            return Ok(use_network(network));
        }
        let mut network = self.networks.load(self.target, id)?;
        let result = use_network(&mut network);
        if self.keeps {
            self.kept.insert(id.clone(), network);
        }
        Ok(result)
    }
}

/// What a session is estimated to take: weights as read and as packed by the provider, and feature maps.
fn session_bytes(model: &Model, member: &ModelMember) -> u64 {
    let [z, y, x] = model.configuration.patch_zyx().map(|extent| extent as u64);
    let first = model.unet.encoder.first().and_then(|blocks| blocks.first());
    let n_features = first.map_or(1, nnunet::topology::EncoderBlock::n_features);
    2 * member.n_bytes + MAPS_PER_SESSION * 4 * n_features as u64 * z * y * x
}

/// Why a member cannot be run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum MemberError {
    /// The model is not one of the configuration's.
    #[error("member `{id}` does not fit the configuration")]
    Interface {
        /// The member.
        id: MemberId,
        /// What differs.
        source: NetworkError,
    },
    /// The bundle does not hand out the model.
    #[error("cannot read member `{id}`")]
    Read {
        /// The member.
        id: MemberId,
        /// Why.
        source: BundleError,
    },
    /// ONNX Runtime does not take the model.
    #[error("cannot load member `{id}`")]
    Session {
        /// The member.
        id: MemberId,
        /// Why.
        source: EngineError,
    },
}
