//! The signed container: manifest, canonical zip, signatures, verification.
