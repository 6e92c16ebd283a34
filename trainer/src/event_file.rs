//! The event file that `TensorBoard` reads.
//!
//! A file is a sequence of records (TensorFlow's TFRecord): the length as 64 bits, little-endian, its checksum, the
//! content, its checksum. A checksum is CRC-32C (Castagnoli, RFC 3720), rotated right by 15 bits and raised by
//! `0xa282ead8`, so that checksums of what holds checksums stay good. Contents are messages of `event.proto` and
//! `summary.proto`, of which only the fields of plain numbers are written. The whole file is made at once, from numbers
//! that are kept elsewhere; nothing is ever appended.

use prost::{Message, Oneof};

/// First content of every file of this version.
const VERSION: &str = "brain.Event:2";
const MASK: u32 = 0xa282_ead8;
/// The polynomial of CRC-32C, lowest bit first.
const POLYNOMIAL: u32 = 0x82f6_3b78;
const TABLE: [u32; 256] = table();

/// What is known after a step.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// Seconds since 1970.
    pub wall_time: f64,
    /// The step.
    pub number: i64,
    /// Tags and values.
    pub values: Vec<(String, f64)>,
}

/// The bytes of an event file with these steps.
pub fn bytes(steps: &[Step]) -> Vec<u8> {
    let wall_time = steps.first().map_or(0.0, |step| step.wall_time);
    let version = Event { wall_time, step: 0, what: Some(What::FileVersion(VERSION.to_owned())) };
    let mut bytes = Vec::new();
    for event in std::iter::once(version).chain(steps.iter().map(Event::of)) {
        let content = event.encode_to_vec();
        let length = (content.len() as u64).to_le_bytes();
        bytes.extend(length);
        bytes.extend(masked_checksum(&length).to_le_bytes());
        bytes.extend(&content);
        bytes.extend(masked_checksum(&content).to_le_bytes());
    }
    bytes
}

/// `tensorflow.Event`.
#[derive(Clone, PartialEq, Message)]
struct Event {
    #[prost(double, tag = "1")]
    wall_time: f64,
    #[prost(int64, tag = "2")]
    step: i64,
    #[prost(oneof = "What", tags = "3, 5")]
    what: Option<What>,
}

/// The content of an event.
#[derive(Clone, PartialEq, Oneof)]
enum What {
    #[prost(string, tag = "3")]
    FileVersion(String),
    #[prost(message, tag = "5")]
    Summary(Summary),
}

/// `tensorflow.Summary`.
#[derive(Clone, PartialEq, Message)]
struct Summary {
    #[prost(message, repeated, tag = "1")]
    values: Vec<Value>,
}

/// `tensorflow.Summary.Value`, as a plain number.
#[derive(Clone, PartialEq, Message)]
struct Value {
    #[prost(string, tag = "1")]
    tag: String,
    /// One of several kinds of values, so it is written even if it is zero.
    #[prost(float, optional, tag = "2")]
    simple_value: Option<f32>,
}

impl Event {
    #[expect(clippy::cast_possible_truncation, reason = "TensorBoard's numbers are single precision")]
    fn of(step: &Step) -> Self {
        let value = |(tag, value): &(String, f64)| Value { tag: tag.clone(), simple_value: Some(*value as f32) };
        let summary = Summary { values: step.values.iter().map(value).collect() };
        Self { wall_time: step.wall_time, step: step.number, what: Some(What::Summary(summary)) }
    }
}

fn masked_checksum(bytes: &[u8]) -> u32 {
    checksum(bytes).rotate_right(15).wrapping_add(MASK)
}

fn checksum(bytes: &[u8]) -> u32 {
    let next = |crc: u32, &byte: &u8| TABLE[usize::from(crc.to_le_bytes()[0] ^ byte)] ^ (crc >> 8);
    !bytes.iter().fold(u32::MAX, next)
}

const fn table() -> [u32; 256] {
    let mut table = [0; 256];
    let mut index = 0_u32;
    while index < 256 {
        let mut crc = index;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ POLYNOMIAL } else { crc >> 1 };
            bit += 1;
        }
        table[index as usize] = crc;
        index += 1;
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_are_those_of_rfc_3720() {
        // Appendix B.4: 32 bytes of zeros, of ones, rising and falling.
        assert_eq!(checksum(&[0; 32]), 0x8a91_36aa);
        assert_eq!(checksum(&[0xff; 32]), 0x62a8_ab43);
        assert_eq!(checksum(&(0..32).collect::<Vec<_>>()), 0x46dd_794e);
        assert_eq!(checksum(&(0..32).rev().collect::<Vec<_>>()), 0x113f_db5c);
    }

    #[test]
    fn a_file_is_byte_by_byte_what_tensorboard_writes() {
        let values = |loss: f64| vec![("loss/training".to_owned(), loss), ("pseudo_dice/a".to_owned(), 0.0)];
        let steps = [
            Step { wall_time: 1.5e9, number: 0, values: values(-0.25) },
            Step { wall_time: 1.5e9 + 0.5, number: 1, values: values(0.1) },
            Step { wall_time: 1.5e9 + 300.0, number: 300, values: Vec::new() },
        ];
        let golden: &[u8] = include_bytes!("../tests/golden/event_file/events.out.tfevents");
        assert_eq!(bytes(&steps), golden);
    }
}
