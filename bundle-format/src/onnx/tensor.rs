//! Tensors and types: as many values as the extents say, of types with a size.
//!
//! A tensor is allowed if its bytes are all in the file, so what ONNX Runtime
//! allocates for it is bounded by what the file holds. A value that the graph
//! computes has its extents bounded instead.

use std::io::{BufRead, Seek};

use super::OnnxError;
use super::walk::{MAX_NAME_BYTES, Once, Walk};
use super::wire::{Span, Value};

const MAX_AXES: usize = 8;
/// Values of one input, output or intermediate whose extents are all stated.
const MAX_VALUES: u64 = 1 << 31;

/// Bytes per value of ONNX's element types that may occur.
fn element_bytes(element: u64) -> Option<u64> {
    match element {
        2 | 3 | 9 => Some(1), // UINT8, INT8, BOOL
        10 | 16 => Some(2),   // FLOAT16, BFLOAT16
        1 | 6 => Some(4),     // FLOAT, INT32
        7 | 11 => Some(8),    // INT64, DOUBLE
        _ => None,
    }
}

/// The field of `TensorProto` that holds values of this type one by one.
fn typed_field(element: u64) -> u32 {
    match element {
        1 => 4,
        7 => 7,
        11 => 10,
        _ => 5,
    }
}

/// What a `TensorProto` says, before it is compared.
#[derive(Default)]
struct Tensor {
    name: String,
    extents: Vec<i64>,
    element: u64,
    /// Bytes of `raw_data`.
    raw: Option<u64>,
    /// The field with values one by one, and how many there are.
    typed: Option<(u32, u64)>,
    is_external: bool,
}

impl<R: BufRead + Seek> Walk<'_, R> {
    /// `TensorProto`; returns its name and number of values.
    pub(super) fn tensor(&mut self, span: Span) -> Result<(String, u64), OnnxError> {
        let mut once = Once::of("TensorProto");
        let mut tensor = Tensor::default();
        while let Some(field) = self.wire.field(span)? {
            let (number, value) = (field.number, field.value);
            let repeats = matches!(number, 1 | 4 | 5 | 7 | 10 | 13);
            if !repeats {
                once.see(number)?;
            }
            match (number, value) {
                (1, _) => self.extents(value, &mut tensor.extents, &once)?,
                (2, Value::Varint(element)) => tensor.element = element,
                (4 | 5 | 7 | 10, _) => {
                    let n_values = self.values(number, value, &once)?;
                    match &mut tensor.typed {
                        None => tensor.typed = Some((number, n_values)),
                        Some((held, n)) if *held == number => *n = n.saturating_add(n_values),
                        Some(_) => return Err(once.refuse(number)),
                    }
                }
                (8, Value::Bytes(name)) => tensor.name = self.wire.text(name, MAX_NAME_BYTES)?,
                (9, Value::Bytes(raw)) => {
                    tensor.raw = Some(raw.n_bytes());
                    self.wire.skip(raw)?;
                }
                (12, Value::Bytes(text)) => self.prose(text)?,
                (13, Value::Bytes(location)) => {
                    tensor.is_external = true;
                    self.wire.skip(location)?;
                }
                (14, Value::Varint(location)) => tensor.is_external |= location != 0,
                _ => return Err(once.refuse(number)),
            }
        }
        tensor.checked(&once)
    }

    /// One or, packed, several extents.
    fn extents(&mut self, value: Value, extents: &mut Vec<i64>, once: &Once) -> Result<(), OnnxError> {
        match value {
            Value::Varint(extent) => push(extents, extent),
            Value::Bytes(packed) => {
                let mut left = packed;
                while left.start < left.end {
                    push(extents, self.wire.varint(left)?)?;
                    left.start = self.wire.position();
                }
                Ok(())
            }
            _ => Err(once.refuse(1)),
        }
    }

    /// The number of values in one field that holds them one by one, or packed.
    fn values(&mut self, number: u32, value: Value, once: &Once) -> Result<u64, OnnxError> {
        let size = if number == 4 { 4 } else { 8 };
        match (number, value) {
            (4, Value::Fixed32) | (10, Value::Fixed64) | (5 | 7, Value::Varint(_)) => Ok(1),
            (4 | 10, Value::Bytes(packed)) if packed.n_bytes() % size == 0 => {
                self.wire.skip(packed)?;
                Ok(packed.n_bytes() / size)
            }
            (5 | 7, Value::Bytes(packed)) => self.wire.count_varints(packed),
            _ => Err(once.refuse(number)),
        }
    }

    /// `ValueInfoProto`: an input, an output, or the type of a value in between.
    pub(super) fn value_info(&mut self, span: Span) -> Result<(), OnnxError> {
        let mut once = Once::of("ValueInfoProto");
        let (mut name, mut of_type) = (String::new(), None);
        while let Some(field) = self.wire.field(span)? {
            once.see(field.number)?;
            match (field.number, field.value) {
                (1, Value::Bytes(text)) => name = self.wire.text(text, MAX_NAME_BYTES)?,
                (2, Value::Bytes(span)) => of_type = self.type_of(span)?,
                (3, Value::Bytes(text)) => self.prose(text)?,
                (number, _) => return Err(once.refuse(number)),
            }
        }
        let Some((element, extents)) = of_type else {
            return Err(OnnxError::Missing { message: "ValueInfoProto", field: "type" });
        };
        if element_bytes(element).is_none() {
            return Err(OnnxError::ElementType { tensor: name, element });
        }
        if let Some(&extent) = extents.iter().find(|extent| **extent < 1) {
            return Err(OnnxError::Extent { tensor: name, extent });
        }
        let limit = MAX_VALUES;
        let actual = product(&extents).unwrap_or(u64::MAX);
        if actual > limit { Err(OnnxError::Limit { what: "values of a tensor", actual, limit }) } else { Ok(()) }
    }

    /// `TypeProto`, which must be a dense tensor: element type and stated extents.
    fn type_of(&mut self, span: Span) -> Result<Option<(u64, Vec<i64>)>, OnnxError> {
        let mut once = Once::of("TypeProto");
        let mut of_type = None;
        while let Some(field) = self.wire.field(span)? {
            once.see(field.number)?;
            match (field.number, field.value) {
                (1, Value::Bytes(tensor)) => of_type = Some(self.tensor_type(tensor)?),
                (number, _) => return Err(once.refuse(number)),
            }
        }
        Ok(of_type)
    }

    /// `TypeProto.Tensor`.
    fn tensor_type(&mut self, span: Span) -> Result<(u64, Vec<i64>), OnnxError> {
        let mut once = Once::of("TypeProto.Tensor");
        let (mut element, mut extents) = (0, Vec::new());
        while let Some(field) = self.wire.field(span)? {
            once.see(field.number)?;
            match (field.number, field.value) {
                (1, Value::Varint(number)) => element = number,
                (2, Value::Bytes(shape)) => extents = self.shape(shape)?,
                (number, _) => return Err(once.refuse(number)),
            }
        }
        Ok((element, extents))
    }

    /// `TensorShapeProto`: the extents that are stated; named ones are chosen by who runs the model.
    fn shape(&mut self, span: Span) -> Result<Vec<i64>, OnnxError> {
        let shape = Once::of("TensorShapeProto");
        let (mut extents, mut n_axes) = (Vec::new(), 0);
        while let Some(field) = self.wire.field(span)? {
            let (1, Value::Bytes(axis)) = (field.number, field.value) else {
                return Err(shape.refuse(field.number));
            };
            n_axes += 1;
            let mut once = Once::of("TensorShapeProto.Dimension");
            while let Some(field) = self.wire.field(axis)? {
                once.see(field.number)?;
                match (field.number, field.value) {
                    (1, Value::Varint(extent)) => push(&mut extents, extent)?,
                    (2, Value::Bytes(name)) => drop(self.wire.text(name, MAX_NAME_BYTES)?),
                    (number, _) => return Err(once.refuse(number)),
                }
            }
            if n_axes > MAX_AXES {
                return Err(axes(n_axes));
            }
        }
        Ok(extents)
    }
}

impl Tensor {
    /// Compares extents, type and values.
    fn checked(self, once: &Once) -> Result<(String, u64), OnnxError> {
        let Self { name: tensor, extents, element, raw, typed, is_external } = self;
        if is_external {
            return Err(OnnxError::External { tensor });
        }
        let Some(n_bytes) = element_bytes(element) else {
            return Err(OnnxError::ElementType { tensor, element });
        };
        if let Some(&extent) = extents.iter().find(|extent| **extent < 0) {
            return Err(OnnxError::Extent { tensor, extent });
        }
        let n_values = product(&extents).unwrap_or(u64::MAX);
        let (unit, actual, expected) = match (raw, typed) {
            (Some(raw), None) => ("bytes", raw, n_values.saturating_mul(n_bytes)),
            (None, Some((field, n))) if field == typed_field(element) => ("values", n, n_values),
            (None, None) => ("values", 0, n_values),
            // Two places for values, or values of another type.
            (_, Some((field, _))) => return Err(once.refuse(field)),
        };
        if actual != expected {
            return Err(OnnxError::TensorSize { tensor, unit, actual, expected });
        }
        Ok((tensor, n_values))
    }
}

fn push(extents: &mut Vec<i64>, extent: u64) -> Result<(), OnnxError> {
    if extents.len() == MAX_AXES {
        return Err(axes(MAX_AXES + 1));
    }
    extents.push(extent.cast_signed());
    Ok(())
}

fn axes(n_axes: usize) -> OnnxError {
    OnnxError::Limit { what: "axes of a tensor", actual: n_axes as u64, limit: MAX_AXES as u64 }
}

/// The product of extents that are not negative, if it is a number of 64 bits.
fn product(extents: &[i64]) -> Option<u64> {
    extents.iter().try_fold(1_u64, |product, &extent| product.checked_mul(u64::try_from(extent).ok()?))
}
