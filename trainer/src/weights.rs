//! The weights of one network: named `f32` tensors in a safetensors file.
//!
//! Names are those of nnU-Net's `state_dict` ([`UNet::parameters`]), so that weights go to and from a real nnU-Net v2
//! by renaming nothing. The crate `safetensors` checks offsets and sizes of the header; on top of it a file must be
//! of bounded size, name every tensor once, and hold nothing but `f32`.

mod error;
pub(crate) mod half;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io::Read;
use std::path::Path;

use bundle_format::Digest;
use fs_err::File;
use nnunet::topology::UNet;
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use serde::de::{Deserializer, Error as _, IgnoredAny, MapAccess, Visitor};

pub use error::{FormatError, WeightsError};
pub use half::WeightFormat;

use imaging::atomic_file;

/// Largest file that is read; the largest network of the method has about 0.5 GiB, momentum as much again.
const MAX_FILE_BYTES: u64 = 4 << 30;

/// One tensor in C order.
#[derive(Debug, Clone, PartialEq)]
pub struct Tensor {
    /// Extent per axis.
    pub shape: Vec<usize>,
    /// As many values as the product of `shape`.
    pub values: Vec<f32>,
}

/// Named tensors, sorted by name.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Weights {
    tensors: BTreeMap<String, Tensor>,
}

impl Weights {
    /// Adds a tensor, or replaces the one of this name.
    ///
    /// # Errors
    ///
    /// [`WeightsError::Count`] if there are not as many values as `shape` says.
    pub fn insert(&mut self, name: impl Into<String>, tensor: Tensor) -> Result<(), WeightsError> {
        let name = name.into();
        let expected = tensor.shape.iter().try_fold(1_usize, |product, &extent| product.checked_mul(extent));
        if expected != Some(tensor.values.len()) {
            return Err(WeightsError::Count { name, shape: tensor.shape, found: tensor.values.len() });
        }
        self.tensors.insert(name, tensor);
        Ok(())
    }

    /// The tensor of this name.
    pub fn get(&self, name: &str) -> Option<&Tensor> {
        self.tensors.get(name)
    }

    /// All tensors by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Tensor)> {
        self.tensors.iter().map(|(name, tensor)| (name.as_str(), tensor))
    }

    /// Reads a safetensors file.
    ///
    /// # Errors
    ///
    /// [`WeightsError`] naming the file if it cannot be read, is larger than 4 GiB, or is not made of `f32` tensors.
    pub fn read(path: &Path) -> Result<Self, WeightsError> {
        let unreadable = |source| WeightsError::Read { path: path.to_owned(), source };
        let mut bytes = Vec::new();
        File::open(path).map_err(unreadable)?.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes).map_err(unreadable)?;
        if bytes.len() as u64 > MAX_FILE_BYTES {
            return Err(WeightsError::Size { path: path.to_owned(), limit: MAX_FILE_BYTES });
        }
        Self::from_bytes(&bytes).map_err(|source| WeightsError::Format { path: path.to_owned(), source })
    }

    /// Parses the content of a safetensors file.
    ///
    /// # Errors
    ///
    /// [`FormatError`] if the content breaks the format, names a tensor twice, or a tensor is not `f32`.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, FormatError> {
        let file = SafeTensors::deserialize(bytes)?;
        refuse_duplicates(bytes)?;
        let mut tensors = BTreeMap::new();
        for (name, view) in file.iter() {
            if view.dtype() != Dtype::F32 {
                return Err(FormatError::Type { name: name.to_owned(), found: view.dtype().to_string() });
            }
            let (quads, _) = view.data().as_chunks();
            let values = quads.iter().map(|quad| f32::from_le_bytes(*quad)).collect();
            tensors.insert(name.to_owned(), Tensor { shape: view.shape().to_vec(), values });
        }
        Ok(Self { tensors })
    }

    /// The content of a safetensors file; the same weights give the same bytes.
    ///
    /// # Panics
    ///
    /// Never: [`Weights::insert`] keeps shapes and values in step.
    pub fn to_bytes(&self) -> Vec<u8> {
        let little_endian = |tensor: &Tensor| tensor.values.iter().flat_map(|value| value.to_le_bytes()).collect();
        let buffers: Vec<Vec<u8>> = self.tensors.values().map(little_endian).collect();
        let views = self.tensors.iter().zip(&buffers).map(|((name, tensor), buffer)| {
            let view = TensorView::new(Dtype::F32, tensor.shape.clone(), buffer);
            (name, view.expect("a tensor has as many values as its shape"))
        });
        safetensors::serialize(views, None).expect("tensors in memory fit the format")
    }

    /// Writes a safetensors file, whole or not at all.
    ///
    /// # Errors
    ///
    /// [`WeightsError::Write`].
    pub fn write(&self, path: &Path) -> Result<(), WeightsError> {
        atomic_file::write(path, &self.to_bytes()).map_err(|source| WeightsError::Write { source })
    }

    /// SHA-256 of the file that [`Weights::write`] writes.
    pub fn digest(&self) -> Digest {
        Digest::of(&self.to_bytes())
    }

    /// Checks that these are finite weights of `network`, no more and no less.
    ///
    /// # Errors
    ///
    /// [`WeightsError`] naming the first parameter that is missing, unknown, of another shape, or not finite.
    pub fn check(&self, network: &UNet) -> Result<(), WeightsError> {
        let parameters = network.parameters();
        for parameter in &parameters {
            let name = || parameter.name.clone();
            let tensor = self.get(&parameter.name).ok_or_else(|| WeightsError::Missing { name: name() })?;
            if tensor.shape != parameter.shape {
                let (expected, found) = (parameter.shape.clone(), tensor.shape.clone());
                return Err(WeightsError::Shape { name: name(), expected, found });
            }
            if let Some(index) = tensor.values.iter().position(|value| !value.is_finite()) {
                return Err(WeightsError::NotFinite { name: name(), index, found: tensor.values[index] });
            }
        }
        let known: BTreeSet<&str> = parameters.iter().map(|parameter| parameter.name.as_str()).collect();
        match self.tensors.keys().find(|name| !known.contains(name.as_str())) {
            Some(name) => Err(WeightsError::Unknown { name: name.clone() }),
            None => Ok(()),
        }
    }
}

/// The last of two equal names would win in the crate's own reader.
fn refuse_duplicates(bytes: &[u8]) -> Result<(), FormatError> {
    let (n_header, _) = SafeTensors::read_metadata(bytes)?;
    let header = bytes.get(8..8 + n_header).unwrap_or_default();
    serde_json::Deserializer::from_slice(header)
        .deserialize_map(UniqueKeys)
        .map_err(|source| FormatError::Header { source })
}

struct UniqueKeys;

impl<'de> Visitor<'de> for UniqueKeys {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object that names every tensor once")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut seen = BTreeSet::new();
        while let Some((name, IgnoredAny)) = map.next_entry::<String, IgnoredAny>()? {
            if seen.contains(&name) {
                return Err(A::Error::custom(format_args!("tensor `{name}` is named twice")));
            }
            seen.insert(name);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nnunet::plans::{ConfigurationName, Plans};

    fn network() -> UNet {
        let plans = Plans::parse(include_str!("../../nnunet/tests/golden/plans/hippocampus.json")).unwrap();
        let mut configuration = plans.configuration(&ConfigurationName("3d_fullres".into())).unwrap();
        configuration.architecture.arch_kwargs.features_per_stage = vec![2, 3, 4, 5];
        UNet::new(&configuration, 1, 3).unwrap()
    }

    fn weights() -> Weights {
        let mut weights = Weights::default();
        for (i, parameter) in network().parameters().into_iter().enumerate() {
            let values = vec![i as f32; parameter.shape.iter().product()];
            weights.insert(parameter.name, Tensor { shape: parameter.shape, values }).unwrap();
        }
        weights
    }

    fn file(header: &str, n_values: usize) -> Vec<u8> {
        let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
        bytes.extend(header.bytes());
        bytes.extend(vec![0; n_values]);
        bytes
    }

    #[test]
    fn what_is_written_is_read_back_and_gives_the_same_bytes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("w.safetensors");
        weights().write(&path).unwrap();
        let read = Weights::read(&path).unwrap();
        assert_eq!(read, weights());
        assert_eq!(Digest::of(&fs_err::read(&path).unwrap()), read.digest());
        read.check(&network()).unwrap();
    }

    #[test]
    fn one_tensor_has_the_bytes_of_the_format() {
        let mut weights = Weights::default();
        weights.insert("a", Tensor { shape: vec![1, 2], values: vec![1.0, -2.0] }).unwrap();
        let header = r#"{"a":{"dtype":"F32","shape":[1,2],"data_offsets":[0,8]}}"#;
        let mut expected = file(header, 0);
        expected.extend([0, 0, 0x80, 0x3f, 0, 0, 0, 0xc0]);
        assert_eq!(weights.to_bytes(), expected);
    }

    fn check_refused(bytes: &[u8], message: &str) {
        let error = Weights::from_bytes(bytes).unwrap_err();
        let chain = format!("{error}: {:?}", std::error::Error::source(&error).map(ToString::to_string));
        assert!(chain.contains(message), "{chain}");
    }

    #[test]
    fn hostile_files_are_refused() {
        let tensor = |dtype: &str, shape: &str, end| {
            format!(r#""a":{{"dtype":"{dtype}","shape":{shape},"data_offsets":[0,{end}]}}"#)
        };
        let one = tensor("F32", "[1]", 4);
        check_refused(b"", "not safetensors");
        check_refused(&u64::MAX.to_le_bytes(), "not safetensors");
        check_refused(&file("{}", 4), "not safetensors");
        check_refused(&file(&format!("{{{one}}}"), 3), "not safetensors");
        check_refused(&file(&format!("{{{}}}", tensor("F32", "[4294967296,4294967296]", 4)), 4), "not safetensors");
        check_refused(&file(&format!("{{{}}}", tensor("F64", "[1]", 8)), 8), "tensor `a` is of type F64");
        check_refused(&file(&format!("{{{one},{one}}}"), 4), "tensor `a` is named twice");
        assert!(Weights::from_bytes(&file(&format!("{{{one}}}"), 4)).is_ok());
    }

    fn check(change: impl FnOnce(&mut Weights), message: &str) {
        let mut weights = weights();
        change(&mut weights);
        assert_eq!(weights.check(&network()).unwrap_err().to_string(), message);
    }

    #[test]
    fn weights_that_are_not_the_networks_are_refused_by_name() {
        const HEAD: &str = "decoder.seg_layers.2.bias";
        check(|w| drop(w.tensors.remove(HEAD)), "the weights lack the parameter `decoder.seg_layers.2.bias`");
        check(
            |w| w.insert(HEAD, Tensor { shape: vec![2], values: vec![0.0; 2] }).unwrap(),
            "parameter `decoder.seg_layers.2.bias` has shape [2], the network expects [3]",
        );
        check(
            |w| w.insert("x", Tensor { shape: vec![], values: vec![0.0] }).unwrap(),
            "the network has no parameter `x`",
        );
        check(
            |w| w.tensors.get_mut(HEAD).unwrap().values[1] = f32::NAN,
            "parameter `decoder.seg_layers.2.bias`: value 1 is NaN",
        );
    }
}
