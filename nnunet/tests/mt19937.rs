//! The random generator against NumPy's own, from goldens.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use nnunet::mt19937::Mt19937;
use serde::Deserialize;

#[derive(Deserialize)]
struct Cases {
    draws: Vec<Draws>,
    shuffles: Vec<Shuffle>,
}

#[derive(Deserialize)]
struct Draws {
    seed: u32,
    population: u64,
    first: [u64; 3],
    checksum: u64,
    after: u64,
}

#[derive(Deserialize)]
struct Shuffle {
    seed: u32,
    length: u64,
    first: [u64; 2],
    checksum: u64,
    after: u64,
}

fn cases() -> Cases {
    serde_json::from_str(include_str!("golden/mt19937/cases.json")).unwrap()
}

/// Notices every value and its place, as the script's.
fn checksum(values: &[u64]) -> u64 {
    (1_u64..).zip(values).fold(0, |sum, (i, &value)| sum.wrapping_add(i.wrapping_mul(value)))
}

#[test]
fn bounded_integers_are_numpys_around_powers_of_two_and_beyond_32_bits() {
    let cases = cases().draws;
    assert_eq!(cases.len(), 57);
    for case in cases {
        let mut generator = Mt19937::new(case.seed);
        let drawn: Vec<u64> = (0..3000).map(|_| generator.up_to(case.population - 1)).collect();
        assert_eq!(drawn[..3], case.first, "{} of seed {}", case.population, case.seed);
        assert_eq!(checksum(&drawn), case.checksum, "{} of seed {}", case.population, case.seed);
        assert_eq!(generator.up_to(999), case.after, "{} of seed {}", case.population, case.seed);
    }
}

#[test]
fn shuffles_are_numpys() {
    let cases = cases().shuffles;
    assert_eq!(cases.len(), 16);
    for case in cases {
        let mut generator = Mt19937::new(case.seed);
        let mut elements: Vec<u64> = (0..case.length).collect();
        generator.shuffle(&mut elements);
        assert_eq!(elements[..2], case.first, "{} of seed {}", case.length, case.seed);
        assert_eq!(checksum(&elements), case.checksum, "{} of seed {}", case.length, case.seed);
        assert_eq!(generator.up_to(999), case.after, "{} of seed {}", case.length, case.seed);
    }
}
