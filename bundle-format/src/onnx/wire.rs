//! Protocol buffers as bytes: tags, varints and lengths, nothing about ONNX.
//!
//! A hostile file may say any length, any number of times. So nothing is
//! allocated from a length, every span lies inside the span that holds it, and
//! content that is not needed is skipped without being read. Follows the wire
//! format of protocol buffers; departs where a reader of the same bytes could
//! come to another result: groups, varints longer than they need to be and
//! field numbers outside their range are refused.

use std::io::{BufRead, Seek};

use super::OnnxError;

/// The longest varint: 64 bits, seven a byte.
const MAX_VARINT_BYTES: u32 = 10;
const MAX_FIELD: u64 = (1 << 29) - 1;

/// Where something lies in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) start: u64,
    pub(super) end: u64,
}

impl Span {
    pub(super) fn n_bytes(self) -> u64 {
        self.end - self.start
    }
}

/// A field's number and what stands behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Field {
    pub(super) number: u32,
    pub(super) value: Value,
}

/// What stands behind a tag. The bytes of a span are still to be read or skipped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Value {
    Varint(u64),
    Fixed32,
    Fixed64,
    Bytes(Span),
}

/// Reads forward through one file.
#[derive(Debug)]
pub(super) struct Wire<R> {
    input: R,
    position: u64,
}

impl<R: BufRead + Seek> Wire<R> {
    /// Starts at the beginning of `input`.
    pub(super) fn new(input: R) -> Self {
        Self { input, position: 0 }
    }

    /// The next field of the message in `span`, or `None` at its end.
    ///
    /// The caller has read or skipped the bytes of the field before.
    pub(super) fn field(&mut self, span: Span) -> Result<Option<Field>, OnnxError> {
        if self.position == span.end {
            return Ok(None);
        }
        let tag = self.varint(span)?;
        let number = match tag >> 3 {
            number @ 1..=MAX_FIELD => u32::try_from(number).expect("a field number has 29 bits"),
            _ => return Err(self.broken()),
        };
        let value = match tag & 7 {
            0 => Value::Varint(self.varint(span)?),
            1 => self.fixed(span, 8).map(|()| Value::Fixed64)?,
            2 => {
                let n_bytes = self.varint(span)?;
                let end = self.position.checked_add(n_bytes).filter(|end| *end <= span.end);
                Value::Bytes(Span { start: self.position, end: end.ok_or_else(|| self.broken())? })
            }
            5 => self.fixed(span, 4).map(|()| Value::Fixed32)?,
            _ => return Err(self.broken()),
        };
        Ok(Some(Field { number, value }))
    }

    /// A varint that ends inside `span` and has no needless byte.
    pub(super) fn varint(&mut self, span: Span) -> Result<u64, OnnxError> {
        let mut value = 0_u64;
        for index in 0..MAX_VARINT_BYTES {
            if self.position == span.end {
                return Err(self.broken());
            }
            let byte = self.byte()?;
            let overflows = index == MAX_VARINT_BYTES - 1 && byte > 1;
            if overflows || (index > 0 && byte == 0) {
                return Err(self.broken());
            }
            value |= u64::from(byte & 0x7F) << (7 * index);
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(self.broken())
    }

    /// The number of varints that fill `span`.
    pub(super) fn count_varints(&mut self, span: Span) -> Result<u64, OnnxError> {
        let mut n = 0;
        while self.position < span.end {
            self.varint(span)?;
            n += 1;
        }
        Ok(n)
    }

    /// The text in `span`: UTF-8 without control characters, so that a message can show it.
    pub(super) fn text(&mut self, span: Span, limit: u64) -> Result<String, OnnxError> {
        if span.n_bytes() > limit {
            return Err(OnnxError::Limit { what: "bytes of a name", actual: span.n_bytes(), limit });
        }
        let mut bytes = Vec::new();
        while self.position < span.end {
            bytes.push(self.byte()?);
        }
        let text = String::from_utf8(bytes).ok().filter(|text| !text.contains(char::is_control));
        text.ok_or_else(|| self.broken())
    }

    /// Passes over the bytes of `span`.
    pub(super) fn skip(&mut self, span: Span) -> Result<(), OnnxError> {
        let n_bytes = i64::try_from(span.end - self.position).map_err(|_| self.broken())?;
        self.input.seek_relative(n_bytes).map_err(|source| OnnxError::Read { source })?;
        self.position = span.end;
        Ok(())
    }

    /// Where reading stands.
    pub(super) fn position(&self) -> u64 {
        self.position
    }

    /// The error for bytes that are no message, at this place.
    pub(super) fn broken(&self) -> OnnxError {
        OnnxError::Structure { offset: self.position }
    }

    fn fixed(&mut self, span: Span, n_bytes: u64) -> Result<(), OnnxError> {
        let end = self.position + n_bytes;
        if end > span.end {
            return Err(self.broken());
        }
        self.skip(Span { start: self.position, end })
    }

    fn byte(&mut self) -> Result<u8, OnnxError> {
        let buffer = self.input.fill_buf().map_err(|source| OnnxError::Read { source })?;
        let Some(&byte) = buffer.first() else { return Err(self.broken()) };
        self.input.consume(1);
        self.position += 1;
        Ok(byte)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    /// The fields of `bytes`, contents skipped; `None` if they are no message.
    fn fields(bytes: &[u8]) -> Option<Vec<Field>> {
        let span = Span { start: 0, end: bytes.len() as u64 };
        let mut wire = Wire::new(Cursor::new(bytes));
        let mut fields = Vec::new();
        while let Some(field) = wire.field(span).ok()? {
            if let Value::Bytes(inner) = field.value {
                wire.skip(inner).ok()?;
            }
            fields.push(field);
        }
        Some(fields)
    }

    #[test]
    fn fields_are_read_as_the_format_says() {
        let varint = Field { number: 1, value: Value::Varint(300) };
        let bytes = Field { number: 2, value: Value::Bytes(Span { start: 5, end: 7 }) };
        assert_eq!(fields(&[0x08, 0xAC, 0x02, 0x12, 2, 0xFF, 0xFF]), Some(vec![varint, bytes]));
        let fixed = [Field { number: 1, value: Value::Fixed32 }, Field { number: 1, value: Value::Fixed64 }];
        assert_eq!(fields(&[0x0D, 0, 0, 0, 0, 0x09, 0, 0, 0, 0, 0, 0, 0, 0]), Some(fixed.to_vec()));
        let largest = Field { number: 1, value: Value::Varint(u64::MAX) };
        assert_eq!(fields(&[8, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1]), Some(vec![largest]));
    }

    #[test]
    fn what_is_cut_off_or_has_two_spellings_is_refused() {
        assert_eq!(fields(&[0x08]), None); // no value
        assert_eq!(fields(&[0x08, 0x80]), None); // half a varint
        assert_eq!(fields(&[0x08, 0x80, 0x00]), None); // a zero too many
        assert_eq!(fields(&[8, 255, 255, 255, 255, 255, 255, 255, 255, 255, 2]), None); // 65 bits
        assert_eq!(fields(&[8, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1]), None); // eleven bytes
        assert_eq!(fields(&[0x12, 3, 0, 0]), None); // longer than what holds it
        assert_eq!(fields(&[0x12, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1]), None); // wraps around
        assert_eq!(fields(&[0x0D, 0, 0, 0]), None);
        assert_eq!(fields(&[0x0B, 0x0C]), None); // a group
        assert_eq!(fields(&[0x0E, 0]), None); // no wire type
        assert_eq!(fields(&[0x00, 0]), None); // field 0
        assert_eq!(fields(&[0xF8, 0xFF, 0xFF, 0xFF, 0x1F, 0]), None); // field 2^30 - 1
    }
}
