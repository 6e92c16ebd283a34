//! Where to train, as said on the command line.

use std::str::FromStr;

use anyhow::bail;
use tch::Device;

/// What `--device` asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// The fastest there is; the CPU in this version.
    Auto,
    /// The CPU.
    Cpu,
    /// A CUDA device by its number.
    Cuda(usize),
}

impl FromStr for Wanted {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(Self::Auto),
            "cpu" => Ok(Self::Cpu),
            "cuda" => Ok(Self::Cuda(0)),
            _ => match text.strip_prefix("cuda:").map(str::parse) {
                Some(Ok(number)) => Ok(Self::Cuda(number)),
                _ => Err("expected `auto`, `cpu`, `cuda` or `cuda:<number>`".to_owned()),
            },
        }
    }
}

impl Wanted {
    /// The device of libtorch.
    ///
    /// # Errors
    ///
    /// If it is a CUDA device: this version trains on the CPU.
    pub fn open(self) -> anyhow::Result<Device> {
        match self {
            Self::Auto | Self::Cpu => Ok(Device::Cpu),
            Self::Cuda(number) => bail!("`--device cuda:{number}`: this version trains on the CPU only; use `cpu`"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_is_named_as_in_nnunet() {
        assert_eq!("auto".parse(), Ok(Wanted::Auto));
        assert_eq!("cuda:1".parse(), Ok(Wanted::Cuda(1)));
        assert!("gpu".parse::<Wanted>().is_err() && "cuda:x".parse::<Wanted>().is_err());
        assert!(Wanted::Cuda(0).open().is_err());
    }
}
