//! The walk through a model: every message with the fields it may have.
//!
//! Graphs cannot hold graphs here, so the walk has a fixed depth and needs no
//! recursion. Names are kept only where a later check or an error needs them.

use std::collections::BTreeSet;
use std::io::{BufRead, Seek};

use super::wire::{Span, Value, Wire};
use super::{IR_VERSIONS, OPERATORS, OPSETS, OnnxError, OnnxFacts};
use crate::manifest::OnnxProfile;

const MAX_NODES: u64 = 20_000;
const MAX_INITIALIZERS: u64 = 20_000;
/// Values whose type the file states besides inputs and outputs.
const MAX_VALUES: u64 = 40_000;
/// Inputs, outputs and attributes of one node, each.
const MAX_PER_NODE: u64 = 64;
/// Values of a list in an attribute.
const MAX_LIST: u64 = 4096;
pub(super) const MAX_NAME_BYTES: u64 = 512;
const MAX_TEXT_BYTES: u64 = 64 << 10;

/// Reads one model file.
pub(super) struct Walk<'a, R> {
    pub(super) wire: Wire<R>,
    profile: &'a OnnxProfile,
    facts: OnnxFacts,
    initializers: BTreeSet<String>,
    n_values: u64,
}

/// The fields of one message that have been there, as far as they may occur once.
pub(super) struct Once {
    message: &'static str,
    seen: u32,
}

impl Once {
    pub(super) fn of(message: &'static str) -> Self {
        Self { message, seen: 0 }
    }

    /// Notes that `number` is there.
    pub(super) fn see(&mut self, number: u32) -> Result<(), OnnxError> {
        let bit = 1_u32.checked_shl(number).ok_or_else(|| self.refuse(number))?;
        if self.seen & bit != 0 {
            return Err(OnnxError::Repeated { message: self.message, number });
        }
        self.seen |= bit;
        Ok(())
    }

    pub(super) fn has(&self, number: u32) -> bool {
        self.seen >> number & 1 == 1
    }

    pub(super) fn refuse(&self, number: u32) -> OnnxError {
        OnnxError::Field { message: self.message, number }
    }

    fn require(&self, number: u32, field: &'static str) -> Result<(), OnnxError> {
        if self.has(number) { Ok(()) } else { Err(OnnxError::Missing { message: self.message, field }) }
    }
}

/// Refuses the next one when there are `limit`.
fn count(n: &mut u64, what: &'static str, limit: u64) -> Result<(), OnnxError> {
    *n += 1;
    if *n > limit { Err(OnnxError::Limit { what, actual: *n, limit }) } else { Ok(()) }
}

impl<'a, R: BufRead + Seek> Walk<'a, R> {
    pub(super) fn new(model: R, profile: &'a OnnxProfile) -> Self {
        let facts = OnnxFacts { operators: BTreeSet::new(), n_nodes: 0, n_parameters: 0 };
        Self { wire: Wire::new(model), profile, facts, initializers: BTreeSet::new(), n_values: 0 }
    }

    /// `ModelProto`.
    pub(super) fn model(mut self, n_bytes: u64) -> Result<OnnxFacts, OnnxError> {
        let span = Span { start: 0, end: n_bytes };
        let mut once = Once::of("ModelProto");
        while let Some(field) = self.wire.field(span)? {
            once.see(field.number)?;
            match (field.number, field.value) {
                (1, Value::Varint(version)) => self.ir_version(version)?,
                (2..=4, Value::Bytes(text)) => drop(self.wire.text(text, MAX_NAME_BYTES)?),
                (5, Value::Varint(_)) => {}
                (6, Value::Bytes(text)) => self.prose(text)?,
                (7, Value::Bytes(graph)) => self.graph(graph)?,
                // More than one import would be one of another domain.
                (8, Value::Bytes(import)) => self.opset(import)?,
                (25, _) => return Err(OnnxError::Function),
                (number, _) => return Err(once.refuse(number)),
            }
        }
        once.require(1, "ir_version")?;
        once.require(7, "graph")?;
        once.require(8, "opset_import")?;
        Ok(self.facts)
    }

    fn ir_version(&self, actual: u64) -> Result<(), OnnxError> {
        let stated = self.profile.ir_version;
        let known = actual == u64::from(stated) && IR_VERSIONS.contains(&stated);
        if known { Ok(()) } else { Err(OnnxError::IrVersion { actual, stated }) }
    }

    /// `OperatorSetIdProto`.
    fn opset(&mut self, span: Span) -> Result<(), OnnxError> {
        let mut once = Once::of("OperatorSetIdProto");
        let mut actual = 0;
        while let Some(field) = self.wire.field(span)? {
            once.see(field.number)?;
            match (field.number, field.value) {
                (1, Value::Bytes(domain)) => self.domain(domain)?,
                (2, Value::Varint(version)) => actual = version,
                (number, _) => return Err(once.refuse(number)),
            }
        }
        let stated = self.profile.opset;
        let known = actual == u64::from(stated) && OPSETS.contains(&stated);
        if known { Ok(()) } else { Err(OnnxError::Opset { actual, stated }) }
    }

    fn domain(&mut self, span: Span) -> Result<(), OnnxError> {
        let domain = self.wire.text(span, MAX_NAME_BYTES)?;
        if ["", "ai.onnx"].contains(&domain.as_str()) { Ok(()) } else { Err(OnnxError::Domain { domain }) }
    }

    /// Text for people; nobody reads it.
    pub(super) fn prose(&mut self, span: Span) -> Result<(), OnnxError> {
        let (actual, limit) = (span.n_bytes(), MAX_TEXT_BYTES);
        if actual > limit {
            return Err(OnnxError::Limit { what: "bytes of a text", actual, limit });
        }
        self.wire.skip(span)
    }

    /// `GraphProto`.
    fn graph(&mut self, span: Span) -> Result<(), OnnxError> {
        let mut once = Once::of("GraphProto");
        let mut n_initializers = 0;
        while let Some(field) = self.wire.field(span)? {
            match (field.number, field.value) {
                (1, Value::Bytes(node)) => {
                    count(&mut self.facts.n_nodes, "nodes", MAX_NODES)?;
                    self.node(node)?;
                }
                (2, Value::Bytes(name)) => {
                    once.see(2)?;
                    self.wire.text(name, MAX_NAME_BYTES)?;
                }
                (5, Value::Bytes(tensor)) => {
                    count(&mut n_initializers, "initializers", MAX_INITIALIZERS)?;
                    self.initializer(tensor)?;
                }
                (10, Value::Bytes(text)) => {
                    once.see(10)?;
                    self.prose(text)?;
                }
                (11..=13, Value::Bytes(value)) => {
                    count(&mut self.n_values, "values", MAX_VALUES)?;
                    self.value_info(value)?;
                }
                (number, _) => return Err(once.refuse(number)),
            }
        }
        Ok(())
    }

    fn initializer(&mut self, span: Span) -> Result<(), OnnxError> {
        let (tensor, n_values) = self.tensor(span)?;
        self.facts.n_parameters = self.facts.n_parameters.saturating_add(n_values);
        if self.initializers.contains(&tensor) {
            return Err(OnnxError::InitializerTwice { tensor });
        }
        self.initializers.insert(tensor);
        Ok(())
    }

    /// `NodeProto`.
    fn node(&mut self, span: Span) -> Result<(), OnnxError> {
        let mut once = Once::of("NodeProto");
        let (mut node, mut operator, mut n_ends, mut n_attributes) = (String::new(), String::new(), 0, 0);
        while let Some(field) = self.wire.field(span)? {
            match (field.number, field.value) {
                (1 | 2, Value::Bytes(name)) => {
                    count(&mut n_ends, "inputs and outputs of a node", MAX_PER_NODE)?;
                    self.wire.text(name, MAX_NAME_BYTES)?;
                }
                (5, Value::Bytes(attribute)) => {
                    count(&mut n_attributes, "attributes of a node", MAX_PER_NODE)?;
                    self.attribute(attribute)?;
                }
                (number, Value::Bytes(text)) => {
                    once.see(number)?;
                    match number {
                        3 => node = self.wire.text(text, MAX_NAME_BYTES)?,
                        4 => operator = self.wire.text(text, MAX_NAME_BYTES)?,
                        6 => self.prose(text)?,
                        7 => self.domain(text)?,
                        _ => return Err(once.refuse(number)),
                    }
                }
                (number, _) => return Err(once.refuse(number)),
            }
        }
        if OPERATORS.binary_search(&operator.as_str()).is_err() {
            return Err(OnnxError::Operator { operator, node });
        }
        if !self.profile.operators.iter().any(|listed| listed.as_str() == operator) {
            return Err(OnnxError::OperatorUnlisted { operator, node });
        }
        self.facts.operators.insert(operator);
        Ok(())
    }

    /// `AttributeProto`.
    fn attribute(&mut self, span: Span) -> Result<(), OnnxError> {
        let mut once = Once::of("AttributeProto");
        let (mut attribute, mut n_values, mut has_graph) = (String::new(), 0, false);
        while let Some(field) = self.wire.field(span)? {
            if !(7..=9).contains(&field.number) {
                once.see(field.number)?;
            }
            match (field.number, field.value) {
                (1, Value::Bytes(name)) => attribute = self.wire.text(name, MAX_NAME_BYTES)?,
                (2, Value::Fixed32) | (3 | 20, Value::Varint(_)) => {}
                (4 | 13, Value::Bytes(text)) => self.prose(text)?,
                (5, Value::Bytes(tensor)) => drop(self.tensor(tensor)?),
                (6 | 11, Value::Bytes(graph)) => {
                    has_graph = true;
                    self.wire.skip(graph)?;
                }
                (7, Value::Fixed32) | (8, Value::Varint(_)) => {
                    count(&mut n_values, "values of an attribute", MAX_LIST)?;
                }
                (7, Value::Bytes(packed)) if packed.n_bytes() % 4 == 0 => {
                    n_values += packed.n_bytes() / 4;
                    self.wire.skip(packed)?;
                }
                (8, Value::Bytes(packed)) => n_values += self.wire.count_varints(packed)?,
                (9, Value::Bytes(text)) => {
                    count(&mut n_values, "values of an attribute", MAX_LIST)?;
                    self.prose(text)?;
                }
                (number, _) => return Err(once.refuse(number)),
            }
        }
        if has_graph {
            return Err(OnnxError::Subgraph { attribute });
        }
        once.require(1, "name")?;
        let (actual, limit) = (n_values, MAX_LIST);
        if actual > limit { Err(OnnxError::Limit { what: "values of an attribute", actual, limit }) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_of_operators_is_sorted_for_the_search() {
        assert!(OPERATORS.is_sorted_by(|a, b| a < b));
    }
}
