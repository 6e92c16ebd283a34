//! What a pickle holds: values that refer to each other by number.

use super::error::PickleError;
use super::global::{Global, StorageKind};

/// Number of a value in its tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ref(pub(super) u32);

/// A storage, not read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Storage {
    /// Type of its values.
    pub kind: StorageKind,
    /// Name of its entry; digits only.
    pub key: String,
    /// Number of its values.
    pub n_values: usize,
}

/// A tensor as a view of a storage; nothing is checked but the types.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TensorView {
    /// Where its values lie.
    pub storage: Storage,
    /// Position of the first value.
    pub offset: usize,
    /// Extent per axis.
    pub shape: Vec<usize>,
    /// Positions between neighbors, per axis.
    pub strides: Vec<usize>,
}

/// One value.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// `None`.
    None,
    /// A truth value.
    Bool(bool),
    /// A number of at most 64 bits.
    Int(i64),
    /// A real number.
    Float(f64),
    /// A text.
    Text(String),
    /// Bytes.
    Bytes(Vec<u8>),
    /// A list or set.
    List(Vec<Ref>),
    /// A tuple.
    Tuple(Vec<Ref>),
    /// A dictionary in order of insertion.
    Dict(Vec<(Ref, Ref)>),
    /// An allowed name.
    Global(Global),
    /// A storage.
    Storage(Box<Storage>),
    /// A tensor.
    Tensor(Box<TensorView>),
    /// Something of this name that nothing is needed of.
    Opaque(Global),
}

/// All values of a pickle.
#[derive(Debug, Clone, PartialEq)]
pub struct Tree {
    pub(super) values: Vec<Value>,
    pub(super) root: Ref,
}

impl Tree {
    /// The value that the pickle is.
    pub fn root(&self) -> Ref {
        self.root
    }

    /// A value.
    pub fn value(&self, value: Ref) -> &Value {
        // A reference is only made together with its value; `None` stands for one of another tree.
        usize::try_from(value.0).ok().and_then(|at| self.values.get(at)).unwrap_or(&Value::None)
    }

    /// The entry of a dictionary with a text as key; `None` if there is none.
    ///
    /// # Errors
    ///
    /// [`PickleError::DuplicateKey`] if the key is there twice.
    pub fn entry(&self, dict: Ref, key: &str) -> Result<Option<Ref>, PickleError> {
        let Value::Dict(entries) = self.value(dict) else { return Ok(None) };
        let mut found = entries.iter().filter(|(name, _)| self.text(*name) == Some(key));
        match (found.next(), found.next()) {
            (Some(_), Some(_)) => Err(PickleError::DuplicateKey { key: key.to_owned() }),
            (first, _) => Ok(first.map(|&(_, value)| value)),
        }
    }

    /// A text.
    pub fn text(&self, value: Ref) -> Option<&str> {
        if let Value::Text(text) = self.value(value) { Some(text) } else { None }
    }

    /// A whole number.
    pub fn integer(&self, value: Ref) -> Option<i64> {
        if let Value::Int(number) = self.value(value) { Some(*number) } else { None }
    }

    /// What a value is, for messages.
    pub fn kind(&self, value: Ref) -> String {
        match self.value(value) {
            Value::None => "None".into(),
            Value::Bool(value) => value.to_string(),
            Value::Int(value) => value.to_string(),
            Value::Float(value) => value.to_string(),
            Value::Text(text) => format!("the text `{}`", text.chars().take(80).collect::<String>()),
            Value::Bytes(_) => "bytes".into(),
            Value::List(_) => "a list".into(),
            Value::Tuple(_) => "a tuple".into(),
            Value::Dict(_) => "a dictionary".into(),
            Value::Global(global) | Value::Opaque(global) => format!("a `{global:?}`"),
            Value::Storage(_) => "a storage".into(),
            Value::Tensor(_) => "a tensor".into(),
        }
    }
}
