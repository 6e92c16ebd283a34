//! Where networks run: the options that every command with a network shares.

use std::path::PathBuf;

use clap::ValueEnum;

use crate::engine::{Engine, Precision, Provider};

/// Where networks run.
#[derive(Debug, clap::Args)]
pub(crate) struct EngineArgs {
    /// The library of ONNX Runtime; by default in `lib/` beside this program or its folder, then in `.deps/` above
    #[arg(long, value_name = "FILE")]
    pub(crate) ort_library: Option<PathBuf>,
}

/// Where to run, as asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Device {
    /// Every provider that works here is considered
    Auto,
    /// ONNX Runtime's own kernels
    Cpu,
    /// Intel's OpenVINO on the processor
    Openvino,
    /// CUDA on the first NVIDIA GPU; needs an ONNX Runtime that was built with it, see --ort-library
    Cuda,
    /// NVIDIA's tensor runtime on the first GPU; needs an ONNX Runtime that was built with it, see --ort-library
    Tensorrt,
}

/// What to compute with, as asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum PrecisionArg {
    /// 32-bit floats, as in training
    F32,
    /// 16-bit brain floats (OpenVINO only): several times faster on some processors, slightly different labels
    Bf16,
}

impl EngineArgs {
    /// Loads ONNX Runtime.
    ///
    /// # Errors
    ///
    /// If the library is missing or does not load.
    pub(crate) fn engine(&self) -> anyhow::Result<Engine> {
        Ok(Engine::load(self.ort_library.as_deref())?)
    }
}

impl Device {
    /// The provider asked for; `None` for `auto`.
    pub(crate) fn provider(self) -> Option<Provider> {
        match self {
            Self::Auto => None,
            Self::Cpu => Some(Provider::Cpu),
            Self::Openvino => Some(Provider::Openvino),
            Self::Cuda => Some(Provider::Cuda),
            Self::Tensorrt => Some(Provider::Tensorrt),
        }
    }
}

impl From<PrecisionArg> for Precision {
    fn from(precision: PrecisionArg) -> Self {
        match precision {
            PrecisionArg::F32 => Self::F32,
            PrecisionArg::Bf16 => Self::Bf16,
        }
    }
}
