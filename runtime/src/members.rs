//! The members' sessions: all kept, or one at a time.
//!
//! Making a session costs seconds, keeping it costs memory that does not depend on the case. Which of both is cheaper
//! is decided before a run, by its [schedule](crate::memory::Schedule).

use std::collections::BTreeMap;

use bundle_format::{BundleContents, BundleError, MemberId};

use crate::engine::{Engine, EngineError, Target};
use crate::memory::Loaded;
use crate::model::Model;
use crate::network::{Network, NetworkError};
use crate::warm_up::WarmNetwork;

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
    sessions: Loaded,
    kept: BTreeMap<MemberId, Network>,
}

impl<'a> Members<'a> {
    /// The session of the member `first`, on whose target all others will be.
    pub(crate) fn new(networks: Networks<'a>, sessions: Loaded, first: &MemberId, network: WarmNetwork) -> Self {
        let WarmNetwork { target, network, .. } = network;
        Self { networks, target, sessions, kept: BTreeMap::from([(first.clone(), network)]) }
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
        if self.sessions == Loaded::One {
            self.kept.clear();
        }
        let mut network = self.networks.load(self.target, id)?;
        let result = use_network(&mut network);
        self.kept.insert(id.clone(), network);
        Ok(result)
    }
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
