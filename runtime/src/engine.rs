//! ONNX Runtime: loaded once, makes sessions on a target.
//!
//! A target is an execution provider with a precision. A provider that was chosen is the one that runs: a session that
//! would fall back to another one is an error, because precision and speed in the trace would be another's.

use std::fmt;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;

use bundle_format::SealedModel;
use ort::environment::Environment;
use ort::ep::{ArbitrarilyConfigurableExecutionProvider as _, CUDA, ExecutionProvider as _, OpenVINO, TensorRT};
use ort::session::Session;
use ort::session::builder::GraphOptimizationLevel;
use semver::Version;
use serde::{Deserialize, Serialize};

use crate::ort_library::{self, LibraryError};

/// Name of the free axis in the members' ONNX files.
const BATCH_AXIS: &str = "batch";

/// Where a network runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Provider {
    /// ONNX Runtime's own kernels.
    Cpu,
    /// Intel's `OpenVINO`, on the processor.
    Openvino,
    /// NVIDIA's CUDA, on its first GPU.
    Cuda,
    /// NVIDIA's `TensorRT`, on its first GPU.
    Tensorrt,
}

/// What a network computes with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Precision {
    /// 32-bit floats, as in training.
    F32,
    /// 16-bit brain floats inside the network; logits are still `f32`.
    Bf16,
}

/// A provider with a precision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(crate) struct Target {
    /// Where.
    pub(crate) provider: Provider,
    /// With what.
    pub(crate) precision: Precision,
}

impl Provider {
    /// Every provider this program knows, the plainest first.
    pub(crate) const ALL: [Self; 4] = [Self::Cpu, Self::Openvino, Self::Cuda, Self::Tensorrt];

    /// The name on the command line and in reports.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Openvino => "openvino",
            Self::Cuda => "cuda",
            Self::Tensorrt => "tensorrt",
        }
    }

    /// Whether networks run on a GPU, whose kernels follow its driver and may round single precision more than a
    /// processor's do.
    pub(crate) fn is_gpu(self) -> bool {
        matches!(self, Self::Cuda | Self::Tensorrt)
    }

    /// Whether the provider computes with this precision.
    pub(crate) fn computes_with(self, precision: Precision) -> bool {
        match (self, precision) {
            (_, Precision::F32) | (Self::Openvino, Precision::Bf16) => true,
            (Self::Cpu | Self::Cuda | Self::Tensorrt, Precision::Bf16) => false,
        }
    }
}

impl fmt::Display for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Display for Precision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::F32 => "f32",
            Self::Bf16 => "bf16",
        })
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.provider, self.precision)
    }
}

/// ONNX Runtime, loaded into this process.
pub(crate) struct Engine {
    environment: Environment,
    library: PathBuf,
    version: Version,
    providers: Vec<Provider>,
    n_threads: usize,
}

impl Engine {
    /// Loads the library at `asked`, or where it is installed; see [`ort_library::find`].
    ///
    /// # Errors
    ///
    /// [`EngineError`] if the library is missing, cannot be loaded, or is too old.
    pub(crate) fn load(asked: Option<&Path>) -> Result<Self, EngineError> {
        let library = ort_library::find(asked).map_err(|source| EngineError::Library { source })?;
        let builder = ort::init_from(&library)
            .map_err(|source| EngineError::Load { path: library.clone(), source: Box::new(source) })?;
        // Its warnings are about its own tuning and would drown ours; failures come back as errors.
        let environment = builder
            .with_name("unnunet")
            .with_telemetry(false)
            .with_logger(Arc::new(|_: ort::logging::LogLevel, _: &str, _: &str, _: &str, _: &str| ()))
            .build()
            .map_err(|source| EngineError::Start { path: library.clone(), source })?;
        environment.set_log_level(ort::logging::LogLevel::Error);
        let version = version(ort::info()).unwrap_or(Version::new(1, u64::from(ort::MINOR_VERSION), 0));
        let n_threads = thread::available_parallelism().map_or(1, NonZeroUsize::get);
        let is_built_in = |provider: &Provider| match provider {
            Provider::Cpu => true,
            Provider::Openvino => OpenVINO::is_available().unwrap_or(false),
            Provider::Cuda => CUDA::is_available().unwrap_or(false),
            Provider::Tensorrt => TensorRT::is_available().unwrap_or(false),
        };
        let providers = Provider::ALL.into_iter().filter(is_built_in).collect();
        Ok(Self { environment, library, version, providers, n_threads })
    }

    /// The library in use.
    pub(crate) fn library(&self) -> &Path {
        &self.library
    }

    /// The library's version.
    pub(crate) fn version(&self) -> &Version {
        &self.version
    }

    /// Threads that a session computes with.
    pub(crate) fn n_threads(&self) -> usize {
        self.n_threads
    }

    /// Providers that the library was built with; a session may still fail where a driver is missing.
    pub(crate) fn providers(&self) -> &[Provider] {
        &self.providers
    }

    /// Makes a session for batches of one patch.
    ///
    /// # Errors
    ///
    /// [`EngineError::Precision`] if the provider has not this precision, [`EngineError::Session`] if the provider
    /// cannot be used here, cannot run all of the model, or the model is broken.
    pub(crate) fn session(&self, model: &SealedModel, target: Target) -> Result<Session, EngineError> {
        if !target.provider.computes_with(target.precision) {
            return Err(EngineError::Precision { target });
        }
        self.build(model, target).map_err(|source| EngineError::Session { target, source })
    }

    fn build(&self, model: &SealedModel, target: Target) -> ort::Result<Session> {
        let builder = Session::builder(&self.environment)?
            .with_optimization_level(GraphOptimizationLevel::Level3)?
            .with_dimension_override(BATCH_AXIS, 1)?;
        let provider = match target.provider {
            Provider::Cpu => return builder.with_intra_threads(self.n_threads)?.commit_from_file(model.path()),
            Provider::Openvino => OpenVINO::default()
                .with_device_type("CPU")
                .with_arbitrary_config("load_config", self.openvino_config(target.precision))
                .build(),
            // Single precision is that of training, not TF32's ten bits.
            Provider::Cuda => CUDA::default().with_tf32(false).build(),
            Provider::Tensorrt => TensorRT::default().build(),
        };
        // The provider has threads of its own; more of ONNX Runtime's would only get in their way.
        let builder = builder.with_intra_threads(1)?.with_disable_cpu_fallback()?;
        let mut builder = builder.with_execution_providers([provider.error_on_failure()])?;
        builder.commit_from_file(model.path())
    }

    fn openvino_config(&self, precision: Precision) -> String {
        serde_json::json!({ "CPU": {
            "INFERENCE_PRECISION_HINT": precision.to_string(),
            "INFERENCE_NUM_THREADS": self.n_threads.to_string(),
        }})
        .to_string()
    }
}

/// The version in ONNX Runtime's build information, such as `… git-branch=rel-1.24.1, …`.
fn version(build_info: &str) -> Option<Version> {
    let mut words = build_info.split(|c: char| c == ',' || c == '=' || c.is_whitespace());
    words.find_map(|word| Version::parse(word.trim_start_matches("rel-").trim_start_matches('v')).ok())
}

/// Why ONNX Runtime cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum EngineError {
    /// The library was not found.
    #[error("cannot find ONNX Runtime")]
    Library {
        /// Where it was sought.
        source: LibraryError,
    },
    /// The library cannot be loaded or is too old.
    #[error("cannot load ONNX Runtime from `{}`", path.display())]
    Load {
        /// The library.
        path: PathBuf,
        /// Why.
        source: Box<ort::LoadDynamicError>,
    },
    /// The provider does not compute with this precision.
    #[error("there is no {target}; the provider `{}` computes with f32 only", target.provider)]
    Precision {
        /// What was asked for.
        target: Target,
    },
    /// A model cannot be run on a target.
    #[error("cannot run the model on {target}")]
    Session {
        /// The target.
        target: Target,
        /// Why.
        source: ort::Error,
    },
    /// The library is there but does not start.
    #[error("cannot start ONNX Runtime from `{}`", path.display())]
    Start {
        /// The library.
        path: PathBuf,
        /// Why.
        source: ort::Error,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_stands_in_the_build_information() {
        let info = "ORT Build Info: git-branch=rel-1.24.1, git-commit-id=470ae16099, build type=Release";
        assert_eq!(version(info), Some(Version::new(1, 24, 1)));
        assert_eq!(version("ORT Build Info: git-branch=main"), None);
    }
}
