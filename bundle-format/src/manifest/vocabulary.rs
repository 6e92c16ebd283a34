//! The closed lists of words that a manifest may use.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Declares an enum whose JSON form and text form are the same word.
macro_rules! words {
    ($(#[$meta:meta])* $name:ident { $($(#[$variant_meta:meta])* $variant:ident = $word:literal,)* }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
        #[non_exhaustive]
        pub enum $name {
            $($(#[$variant_meta])* #[serde(rename = $word)] $variant,)*
        }

        impl $name {
            /// The word, as the manifest spells it.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word,)* }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

pub(crate) use words;

words! {
    /// Who a bundle is meant for.
    Channel {
        /// Patients.
        Clinical = "clinical",
        /// The makers themselves.
        Dev = "dev",
        /// Studies.
        Research = "research",
    }
}

words! {
    /// What a file of a bundle is for.
    Role {
        /// Configuration: plans, pipeline, calibration.
        Config = "config",
        /// Text for people.
        Document = "document",
        /// A network.
        Onnx = "onnx",
        /// Tensors of a network, kept outside its file.
        OnnxData = "onnx-data",
        /// How the bundle was made.
        Provenance = "provenance",
        /// Bill of materials.
        Sbom = "sbom",
        /// Probe case.
        Selftest = "selftest",
    }
}

words! {
    /// Instruction set of the processor.
    Arch {
        /// 64-bit Arm.
        Aarch64 = "aarch64",
        /// 64-bit x86.
        X86_64 = "x86_64",
    }
}

words! {
    /// Execution provider of ONNX Runtime.
    ExecutionProvider {
        /// The runtime's own kernels.
        Cpu = "cpu",
        /// NVIDIA GPU.
        Cuda = "cuda",
        /// Intel OpenVINO.
        Openvino = "openvino",
        /// NVIDIA `TensorRT`.
        Tensorrt = "tensorrt",
    }
}
