//! What a bundle asks of the device, and whether a device has it.
//!
//! The check is step 8 of the verification order. It is a function of the
//! bundle and the [`Host`]; the runtime, which knows its machine, calls it.

use semver::{Version, VersionReq};
use serde::{Deserialize, Serialize};

use super::ManifestError;
use super::draft::{in_order, in_range, is_strictly_sorted};
use super::value::Token;
use super::vocabulary::{Arch, ExecutionProvider};
use crate::rule::Rule;

const MAX_NAMES: usize = 64;

/// What the device must offer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Requirements {
    /// Processors that the bundle is made for; empty allows every one.
    pub arch: Vec<Arch>,
    /// Devices that the bundle is made for; one must be a name of the host.
    pub compatible: Vec<Token>,
    /// Memory of the accelerator in MiB; 0 if the bundle runs without one.
    pub device_memory_mib: u32,
    /// Execution providers that the bundle may run on; the host needs one of them.
    pub execution_providers: Vec<ExecutionProvider>,
    /// Abilities of the runtime that the bundle relies on.
    pub features: Vec<Token>,
    /// Main memory in MiB.
    pub memory_mib: u32,
    /// Versions of ONNX Runtime, for example `>=1.20, <2`.
    pub onnxruntime: VersionReq,
    /// Versions of the program `unnunet`, for example `>=0.1, <2`.
    pub runtime: VersionReq,
}

/// What a device offers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    /// Version of the program `unnunet`.
    pub runtime: Version,
    /// Version of the ONNX Runtime library in use.
    pub onnxruntime: Version,
    /// Abilities of this runtime.
    pub features: Vec<Token>,
    /// Names of this device; `generic` by custom.
    pub compatible: Vec<Token>,
    /// The processor; `None` if it is neither of the two the format knows.
    pub arch: Option<Arch>,
    /// Execution providers that can be used now.
    pub execution_providers: Vec<ExecutionProvider>,
    /// Main memory in MiB.
    pub memory_mib: u64,
    /// Memory of the accelerator in MiB; 0 without one.
    pub device_memory_mib: u64,
}

/// Why a device cannot run a bundle.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RequirementError {
    /// The runtime is too old or too new.
    #[error("the bundle needs a runtime `{required}`, this is {actual}")]
    Runtime {
        /// What the bundle asks for.
        required: VersionReq,
        /// This runtime.
        actual: Version,
    },

    /// ONNX Runtime is too old or too new.
    #[error("the bundle needs ONNX Runtime `{required}`, this is {actual}")]
    OnnxRuntime {
        /// What the bundle asks for.
        required: VersionReq,
        /// The library in use.
        actual: Version,
    },

    /// The runtime lacks an ability.
    #[error("the bundle needs the feature `{feature}`, which this runtime does not know")]
    Feature {
        /// The unknown feature.
        feature: Token,
    },

    /// The bundle is made for other devices.
    #[error("the bundle is made for {required:?}, this device is {actual:?}")]
    Compatible {
        /// Devices of the bundle.
        required: Vec<Token>,
        /// Names of this device.
        actual: Vec<Token>,
    },

    /// The bundle is made for other processors.
    #[error("the bundle is made for {required:?}, this processor is {actual:?}")]
    Arch {
        /// Processors of the bundle.
        required: Vec<Arch>,
        /// This processor.
        actual: Option<Arch>,
    },

    /// No execution provider of the bundle can be used here.
    #[error("the bundle runs on {required:?}, this device offers {actual:?}")]
    ExecutionProvider {
        /// Providers of the bundle.
        required: Vec<ExecutionProvider>,
        /// Providers of this device.
        actual: Vec<ExecutionProvider>,
    },

    /// Too little main memory.
    #[error("the bundle needs {required_mib} MiB of memory, this device has {actual_mib} MiB")]
    Memory {
        /// What the bundle asks for.
        required_mib: u32,
        /// What there is.
        actual_mib: u64,
    },

    /// Too little memory on the accelerator.
    #[error("the bundle needs {required_mib} MiB on the accelerator, which has {actual_mib} MiB")]
    DeviceMemory {
        /// What the bundle asks for.
        required_mib: u32,
        /// What there is.
        actual_mib: u64,
    },
}

impl RequirementError {
    /// The rule that was broken.
    pub fn rule(&self) -> Rule {
        match self {
            Self::Runtime { .. } => Rule::Runtime,
            Self::OnnxRuntime { .. } => Rule::OnnxRuntime,
            Self::Feature { .. } => Rule::Feature,
            Self::Compatible { .. } => Rule::Compatible,
            Self::Arch { .. } => Rule::Arch,
            Self::ExecutionProvider { .. } => Rule::ExecutionProvider,
            Self::Memory { .. } => Rule::Memory,
            Self::DeviceMemory { .. } => Rule::DeviceMemory,
        }
    }
}

impl Requirements {
    /// Compares with what a device offers (step 8).
    ///
    /// # Errors
    ///
    /// [`RequirementError`] names the first requirement that is not met.
    pub fn check(&self, host: &Host) -> Result<(), RequirementError> {
        self.check_software(host)?;
        self.check_machine(host)
    }

    fn check_software(&self, host: &Host) -> Result<(), RequirementError> {
        if !self.runtime.matches(&host.runtime) {
            let (required, actual) = (self.runtime.clone(), host.runtime.clone());
            return Err(RequirementError::Runtime { required, actual });
        }
        if !self.onnxruntime.matches(&host.onnxruntime) {
            let (required, actual) = (self.onnxruntime.clone(), host.onnxruntime.clone());
            return Err(RequirementError::OnnxRuntime { required, actual });
        }
        match self.features.iter().find(|feature| !host.features.contains(feature)) {
            Some(feature) => Err(RequirementError::Feature { feature: feature.clone() }),
            None => Ok(()),
        }
    }

    fn check_machine(&self, host: &Host) -> Result<(), RequirementError> {
        if !self.compatible.iter().any(|name| host.compatible.contains(name)) {
            let (required, actual) = (self.compatible.clone(), host.compatible.clone());
            return Err(RequirementError::Compatible { required, actual });
        }
        let fits = |arch| self.arch.contains(&arch);
        if !self.arch.is_empty() && !host.arch.is_some_and(fits) {
            let (required, actual) = (self.arch.clone(), host.arch);
            return Err(RequirementError::Arch { required, actual });
        }
        let offered = |provider| host.execution_providers.contains(provider);
        if !self.execution_providers.iter().any(offered) {
            let required = self.execution_providers.clone();
            let actual = host.execution_providers.clone();
            return Err(RequirementError::ExecutionProvider { required, actual });
        }
        if u64::from(self.memory_mib) > host.memory_mib {
            let (required_mib, actual_mib) = (self.memory_mib, host.memory_mib);
            return Err(RequirementError::Memory { required_mib, actual_mib });
        }
        if u64::from(self.device_memory_mib) > host.device_memory_mib {
            let (required_mib, actual_mib) = (self.device_memory_mib, host.device_memory_mib);
            return Err(RequirementError::DeviceMemory { required_mib, actual_mib });
        }
        Ok(())
    }

    pub(super) fn sort(&mut self) {
        self.arch.sort_unstable();
        self.compatible.sort();
        self.execution_providers.sort_unstable();
        self.features.sort();
    }

    /// Checks ranges and orders of the fields themselves.
    pub(super) fn check_form(&self) -> Result<(), ManifestError> {
        in_range("memory_mib", self.memory_mib >= 1)?;
        in_range("compatible", (1..=MAX_NAMES).contains(&self.compatible.len()))?;
        in_range("execution_providers", !self.execution_providers.is_empty())?;
        in_range("features", self.features.len() <= MAX_NAMES)?;
        in_order("arch", is_strictly_sorted(&self.arch))?;
        in_order("compatible", is_strictly_sorted(&self.compatible))?;
        in_order("execution_providers", is_strictly_sorted(&self.execution_providers))?;
        in_order("features", is_strictly_sorted(&self.features))
    }
}
