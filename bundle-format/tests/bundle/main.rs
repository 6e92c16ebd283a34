//! Tests of the public interface: what is written is read, what is attacked is refused.

mod round_trip;
mod support;
