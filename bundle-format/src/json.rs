//! Strict reading and canonical writing of JSON (RFC 8785, restricted).
//!
//! Only objects, arrays, strings, booleans and integers of absolute value
//! below 2^53 exist here: no `null`, no fractions, so that no two readers can
//! disagree about a value. Duplicate keys are refused, and nesting, strings
//! and arrays are bounded.
//!
//! `serde_json` does the lexical work (UTF-8, escapes, surrogates, trailing
//! text); this module decides which values may come out of it.

use std::fmt;

use serde::de::{DeserializeSeed, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

const MAX_DEPTH: usize = 16;
const MAX_STRING_BYTES: usize = 64 << 10;
const MAX_ITEMS: usize = 4096;
/// Integers beyond this are not exact in every reader of JSON.
const MAX_INTEGER: u64 = (1 << 53) - 1;

/// Why a text is not strict or not canonical JSON.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JsonError {
    /// The text is not JSON, or holds a value that is not allowed.
    #[error("not strict JSON")]
    Syntax {
        /// Where and why.
        source: serde_json::Error,
    },

    /// The text is strict JSON, but not in canonical form.
    #[error("not canonical JSON: differs at byte {offset}")]
    NotCanonical {
        /// First byte that the canonical form spells differently.
        offset: usize,
    },
}

/// Reads strict JSON, in any spelling.
///
/// `limit` bounds the length of one string in bytes; the caller has bounded
/// `text` itself.
pub(crate) fn parse_strict(text: &[u8], limit: StringLimit) -> Result<Value, JsonError> {
    let max_string = match limit {
        StringLimit::Usual => MAX_STRING_BYTES,
        StringLimit::WholeText => text.len(),
    };
    let seed = StrictValue { depth: 0, max_string };
    let mut reader = serde_json::Deserializer::from_slice(text);
    let value = seed.deserialize(&mut reader);
    value.and_then(|value| reader.end().map(|()| value)).map_err(|source| JsonError::Syntax { source })
}

/// Reads strict JSON and refuses every spelling but the canonical one.
pub(crate) fn parse_canonical(text: &[u8], limit: StringLimit) -> Result<Value, JsonError> {
    let value = parse_strict(text, limit)?;
    let canonical = to_canonical(&value);
    if canonical == text {
        return Ok(value);
    }
    let offset = canonical.iter().zip(text).take_while(|(ours, theirs)| ours == theirs).count();
    Err(JsonError::NotCanonical { offset })
}

/// How long one string may be.
#[derive(Clone, Copy)]
pub(crate) enum StringLimit {
    /// 64 KiB.
    Usual,
    /// As long as the text: a signature file holds its statement as one string.
    WholeText,
}

/// Writes `value` in canonical form: no white space, keys in order of their
/// UTF-16 code units, the shortest escapes.
///
/// # Panics
///
/// If `value` holds `null` or a fraction, which no type of this crate serializes to.
pub(crate) fn to_canonical(value: &Value) -> Vec<u8> {
    let mut text = Vec::new();
    write_value(value, &mut text);
    text
}

fn write_value(value: &Value, text: &mut Vec<u8>) {
    match value {
        Value::Bool(flag) => text.extend_from_slice(if *flag { b"true" } else { b"false" }),
        Value::Number(number) => {
            assert!(!number.is_f64(), "manifests hold integers only");
            text.extend_from_slice(number.to_string().as_bytes());
        }
        Value::String(string) => write_string(string, text),
        Value::Array(items) => {
            write_list(*b"[]", items, text, write_value);
        }
        Value::Object(members) => {
            let mut members: Vec<_> = members.iter().collect();
            members.sort_by(|(a, _), (b, _)| a.encode_utf16().cmp(b.encode_utf16()));
            write_list(*b"{}", &members, text, |(key, value), text| {
                write_string(key, text);
                text.push(b':');
                write_value(value, text);
            });
        }
        Value::Null => panic!("manifests hold no null"),
    }
}

fn write_list<T>(brackets: [u8; 2], items: &[T], text: &mut Vec<u8>, write_item: impl Fn(&T, &mut Vec<u8>)) {
    text.push(brackets[0]);
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            text.push(b',');
        }
        write_item(item, text);
    }
    text.push(brackets[1]);
}

fn write_string(string: &str, text: &mut Vec<u8>) {
    text.push(b'"');
    for character in string.chars() {
        match character {
            '"' => text.extend_from_slice(b"\\\""),
            '\\' => text.extend_from_slice(b"\\\\"),
            '\u{8}' => text.extend_from_slice(b"\\b"),
            '\t' => text.extend_from_slice(b"\\t"),
            '\n' => text.extend_from_slice(b"\\n"),
            '\u{c}' => text.extend_from_slice(b"\\f"),
            '\r' => text.extend_from_slice(b"\\r"),
            '\0'..='\u{1f}' => {
                text.extend_from_slice(format!("\\u{:04x}", u32::from(character)).as_bytes());
            }
            _ => text.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    text.push(b'"');
}

/// Builds one value `depth` levels down and refuses what is not allowed.
#[derive(Clone, Copy)]
struct StrictValue {
    depth: usize,
    max_string: usize,
}

impl StrictValue {
    fn deeper<E: serde::de::Error>(self) -> Result<Self, E> {
        if self.depth < MAX_DEPTH {
            Ok(Self { depth: self.depth + 1, ..self })
        } else {
            Err(E::custom(format_args!("nested deeper than {MAX_DEPTH}")))
        }
    }
}

impl<'de> DeserializeSeed<'de> for StrictValue {
    type Value = Value;

    fn deserialize<D: serde::Deserializer<'de>>(self, reader: D) -> Result<Value, D::Error> {
        reader.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for StrictValue {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object, array, string, boolean or integer")
    }

    fn visit_bool<E>(self, flag: bool) -> Result<Value, E> {
        Ok(Value::Bool(flag))
    }

    fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<Value, E> {
        if number <= MAX_INTEGER { Ok(number.into()) } else { Err(E::custom("integer not below 2^53")) }
    }

    fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<Value, E> {
        if number.unsigned_abs() <= MAX_INTEGER { Ok(number.into()) } else { Err(E::custom("integer not above -2^53")) }
    }

    fn visit_str<E: serde::de::Error>(self, string: &str) -> Result<Value, E> {
        if string.len() <= self.max_string { Ok(string.into()) } else { Err(E::custom("string too long")) }
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut reader: A) -> Result<Value, A::Error> {
        let seed = self.deeper()?;
        let mut items = Vec::new();
        while let Some(item) = reader.next_element_seed(seed)? {
            if items.len() == MAX_ITEMS {
                return Err(A::Error::custom("array too long"));
            }
            items.push(item);
        }
        Ok(Value::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut reader: A) -> Result<Value, A::Error> {
        let seed = self.deeper()?;
        let mut members = Map::new();
        while let Some(key) = reader.next_key::<String>()? {
            if members.len() == MAX_ITEMS {
                return Err(A::Error::custom("object too large"));
            }
            if members.contains_key(&key) {
                return Err(A::Error::custom(format_args!("duplicate key `{}`", key.escape_debug())));
            }
            let value = reader.next_value_seed(seed)?;
            members.insert(key, value);
        }
        Ok(Value::Object(members))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::{JsonError, StringLimit, parse_canonical, parse_strict, to_canonical};

    fn check(text: &str, canonical: &str) {
        let value = parse_strict(text.as_bytes(), StringLimit::Usual).unwrap();
        assert_eq!(str::from_utf8(&to_canonical(&value)), Ok(canonical));
        assert!(parse_canonical(canonical.as_bytes(), StringLimit::Usual).is_ok());
    }

    #[test]
    fn canonical_form_is_that_of_rfc_8785() {
        check(" { \"b\" : 1 , \"a\" : [ true , -2 ] } ", r#"{"a":[true,-2],"b":1}"#);
        check(r#""\u20ac\/\u000F\u000aA'\u0042\u0022\u005c\\\"""#, "\"€/\\u000f\\nA'B\\\"\\\\\\\\\\\"\"");
        check(r#""\b\t\f\r\u007f""#, "\"\\b\\t\\f\\r\u{7f}\"");
    }

    #[test]
    fn keys_sort_by_their_utf_16_units() {
        // 𝄞 is D834 DD1E in UTF-16 and so before U+FB33, though its code point is larger.
        check(r#"{"\ufb33":1,"𝄞":2,"é":3,"1":4}"#, "{\"1\":4,\"é\":3,\"𝄞\":2,\"\u{fb33}\":1}");
    }

    #[test]
    fn the_first_departure_is_named() {
        let error = parse_canonical(br#"{"a": 1}"#, StringLimit::Usual).unwrap_err();
        assert!(matches!(error, JsonError::NotCanonical { offset: 5 }));
    }

    #[test]
    fn values_that_readers_disagree_about_are_refused() {
        for text in [
            "null",
            "1.0",
            "1e2",
            "-0",
            "9007199254740992",
            "-9007199254740992",
            "01",
            "+1",
            "NaN",
            "'a'",
            "[1,]",
            "{\"a\":1,\"a\":1}",
            "{\"a\":1,\"\\u0061\":1}",
            "\"\\ud800\"",
            "\"\t\"",
            "1 2",
            "",
            "// x\n1",
        ] {
            assert!(parse_strict(text.as_bytes(), StringLimit::Usual).is_err(), "{text}");
        }
        let JsonError::Syntax { source } = parse_strict(b"null", StringLimit::Usual).unwrap_err() else { panic!() };
        assert!(source.to_string().contains("expected an object, array, string, boolean or integer"), "{source}");
        assert!(parse_strict(b"\"\xff\"", StringLimit::Usual).is_err());
        assert!(parse_strict(b"9007199254740991", StringLimit::Usual).is_ok());
    }

    #[test]
    fn nesting_lists_and_strings_are_bounded() {
        let accepted = |text: &str| parse_strict(text.as_bytes(), StringLimit::Usual).is_ok();
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert!(accepted(&nested(16)) && !accepted(&nested(17)) && !accepted(&nested(100_000)));
        let list = |length: usize| format!("[{}]", vec!["1"; length].join(","));
        assert!(accepted(&list(4096)) && !accepted(&list(4097)));
        let string = |length: usize| format!("\"{}\"", "a".repeat(length));
        assert!(accepted(&string(64 << 10)) && !accepted(&string((64 << 10) + 1)));
        let long = string((64 << 10) + 1);
        assert!(parse_strict(long.as_bytes(), StringLimit::WholeText).is_ok());
    }

    fn any_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            any::<bool>().prop_map(Value::from),
            (-(1_i64 << 53) + 1..1 << 53).prop_map(Value::from),
            any::<String>().prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 32, 6, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                proptest::collection::btree_map(any::<String>(), inner, 0..6).prop_map(|map| json!(map)),
            ]
        })
    }

    proptest! {
        #[test]
        fn writing_then_reading_gives_the_value_back(value in any_value()) {
            let text = to_canonical(&value);
            prop_assert_eq!(parse_canonical(&text, StringLimit::Usual).unwrap(), value.clone());
            let pretty = serde_json::to_vec_pretty(&value).unwrap();
            prop_assert_eq!(to_canonical(&parse_strict(&pretty, StringLimit::Usual).unwrap()), text);
        }

        #[test]
        fn no_bytes_make_the_reader_panic(text in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse_canonical(&text, StringLimit::Usual);
        }
    }
}
