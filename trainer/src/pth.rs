//! Checkpoints of nnU-Net v2: PyTorch's zip files, read as plain data.
//!
//! `torch.save` writes a pickle that names the tensors and one stored entry per storage. A pickle is a program; here
//! a small machine ([`pickle`]) follows it, knows a closed list of names, builds numbers, texts, containers and views
//! of storages, and calls nothing. Whatever else the program asks for is refused by name. Follows the format that
//! PyTorch 1.6 and later write; the older format without zip is refused.

mod container;
mod error;
mod float;
mod metered;
mod name;
pub mod pickle;

use std::path::Path;

use nnunet::topology::UNet;

pub use container::{Container, ContainerError};
pub use error::PthError;

use crate::weights::{Tensor, Weights};
use pickle::{Ref, Tree, Value};

/// Most names of one parameter: encoder and decoder each list it twice.
const MAX_NAMES: usize = 4;

/// An nnU-Net checkpoint: what an import keeps of it.
#[derive(Debug)]
pub struct PthCheckpoint {
    container: Container,
    tree: Tree,
    /// Epochs that were finished when it was saved.
    pub n_epochs: u32,
    /// The trainer's class.
    pub trainer_name: String,
    /// The configuration that was trained, if the checkpoint names it.
    pub configuration: Option<String>,
    /// Spatial axes along which training mirrored; `None` if it did not say.
    pub mirror_axes: Option<Vec<usize>>,
}

impl PthCheckpoint {
    /// Opens a file and reads everything but the weights.
    ///
    /// # Errors
    ///
    /// [`PthError`] if it is no such file, or its pickle asks for anything that is not plain data.
    pub fn open(path: &Path) -> Result<Self, PthError> {
        let mut container = Container::open(path)?;
        let tree = pickle::read(&container.pickle()?)?;
        let root = tree.root();
        let field = |name: &'static str| tree.entry(root, name)?.ok_or(PthError::Missing { field: name });
        let wrong = |field: &'static str, found: Ref| PthError::Field { field, found: tree.kind(found) };
        field("network_weights")?;
        let epoch = field("current_epoch")?;
        let n_epochs = tree.integer(epoch).and_then(|n| u32::try_from(n).ok()).filter(|&n| n > 0);
        let trainer = field("trainer_name")?;
        let trainer_name = tree.text(trainer).ok_or_else(|| wrong("trainer_name", trainer))?.to_owned();
        let init = tree.entry(root, "init_args")?;
        let configuration = init.map(|init| tree.entry(init, "configuration")).transpose()?.flatten();
        let axes = tree.entry(root, "inference_allowed_mirroring_axes")?;
        Ok(Self {
            n_epochs: n_epochs.ok_or_else(|| wrong("current_epoch", epoch))?,
            trainer_name,
            configuration: configuration.and_then(|found| tree.text(found)).map(str::to_owned),
            mirror_axes: axes.map(|axes| mirror_axes(&tree, axes)).transpose()?,
            container,
            tree,
        })
    }

    /// The weights of `network` under its own names.
    ///
    /// Prefixes of wrappers are taken off, and the second and third name of one parameter must hold the same values.
    ///
    /// # Errors
    ///
    /// [`PthError`] naming the parameter that is missing, unknown, of another shape or type, or differs from its alias.
    pub fn weights(&mut self, network: &UNet) -> Result<Weights, PthError> {
        let parameters = network.parameters();
        let root = self.tree.root();
        let table = self.tree.entry(root, "network_weights")?.ok_or(PthError::Missing { field: "network_weights" })?;
        let Value::Dict(entries) = self.tree.value(table) else {
            return Err(PthError::Field { field: "network_weights", found: self.tree.kind(table) });
        };
        let limit = MAX_NAMES * parameters.len();
        if entries.len() > limit {
            return Err(PthError::Names { limit, found: entries.len() });
        }
        let mut weights = Weights::default();
        for &(key, value) in entries {
            let original = self.tree.text(key);
            let original =
                original.ok_or_else(|| PthError::Field { field: "network_weights", found: self.tree.kind(key) })?;
            let name = name::canonical(original);
            let parameter = parameters.iter().find(|parameter| parameter.name == name);
            let parameter = parameter.ok_or_else(|| PthError::Unknown { name: original.to_owned() })?;
            let Value::Tensor(view) = self.tree.value(value) else {
                return Err(PthError::NoTensor { name: original.to_owned(), found: self.tree.kind(value) });
            };
            if view.shape != parameter.shape {
                let (expected, found) = (parameter.shape.clone(), view.shape.clone());
                return Err(PthError::Shape { name: original.to_owned(), expected, found });
            }
            let values = self.container.values(original, view)?;
            match weights.get(&name) {
                Some(earlier) if !same_bits(&earlier.values, &values) => {
                    return Err(PthError::Alias { name, alias: original.to_owned() });
                }
                Some(_) => {}
                None => weights.insert(name, Tensor { shape: view.shape.clone(), values })?,
            }
        }
        weights.check(network)?;
        Ok(weights)
    }
}

/// Equal bit by bit, so that a NaN is found by the check of the weights and not here.
fn same_bits(one: &[f32], other: &[f32]) -> bool {
    one.iter().map(|value| value.to_bits()).eq(other.iter().map(|value| value.to_bits()))
}

/// Axes in ascending order; `None` in the checkpoint means that there are none.
fn mirror_axes(tree: &Tree, found: Ref) -> Result<Vec<usize>, PthError> {
    let wrong = || PthError::Field { field: "inference_allowed_mirroring_axes", found: tree.kind(found) };
    let items = match tree.value(found) {
        Value::None => return Ok(Vec::new()),
        Value::List(items) | Value::Tuple(items) => items,
        _ => return Err(wrong()),
    };
    let axis = |&item: &Ref| tree.integer(item).and_then(|axis| usize::try_from(axis).ok()).filter(|&axis| axis < 3);
    let mut axes = items.iter().map(axis).collect::<Option<Vec<_>>>().ok_or_else(wrong)?;
    axes.sort_unstable();
    axes.dedup();
    Ok(axes)
}
