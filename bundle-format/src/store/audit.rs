//! The history of a device: a log of records, each chained to the one before it.
//!
//! `state/audit.jsonl` holds one record per line, in canonical JSON. A record
//! carries the SHA-256 of the line before it, and the state carries the last
//! record, so that no line can be changed, removed, moved or put in between.
//! Whoever can replace the log *and* the state by older ones is found out by a
//! [`super::MonotonicCounter`] only.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::error::{AuditBreach, StoreError};
use super::state::DeviceState;
use crate::digest::Digest;
use crate::json::{self, StringLimit};
use crate::manifest::{BundleId, SemanticVersion, Text, Timestamp};

/// Longest line of the log, in bytes.
pub(super) const MAX_LINE_BYTES: usize = 64 << 10;

/// One change of a device's state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// What was done, to what.
    pub event: Event,
    /// Position in the log, from 0.
    pub n: u64,
    /// SHA-256 of the line before, without its newline; of no bytes for the first.
    pub previous: Digest,
    /// When; never before the record before it.
    pub time: Timestamp,
    /// Version of the trust document in force; 0 if a key was named instead.
    pub trust_version: u64,
}

/// What was done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "operation", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Event {
    /// The store was made.
    Create {},
    /// A verified bundle was put into the store.
    Install(Subject),
    /// An installed bundle took the active place, on trial.
    Activate(Subject),
    /// A bundle took the active place although its version is lower.
    Downgrade(Subject),
    /// A self-test of the bundle on trial began.
    Attempt(Subject),
    /// The bundle on trial passed its self-test.
    Pass(Subject),
    /// The bundle on trial failed and left its place to the previous one.
    FallBack {
        /// Why, for people.
        reason: Text,
        /// The bundle that failed.
        #[serde(flatten)]
        subject: Subject,
    },
    /// A run with the active bundle succeeded that counts toward its commit.
    Run(Subject),
    /// The active bundle was committed.
    Commit {
        /// The model's floor from now on.
        floor: u32,
        /// The bundle.
        #[serde(flatten)]
        subject: Subject,
    },
    /// The model was sent back to its previous bundle.
    Rollback(Subject),
    /// A bundle that nobody uses was removed.
    Remove(Subject),
}

/// The bundle that an event is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subject {
    /// Which model.
    pub id: BundleId,
    /// Which bundle.
    pub manifest_sha256: Digest,
    /// Its number for devices.
    pub security_version: u32,
    /// Key ids of those who signed.
    pub signers: Vec<Digest>,
    /// Its version for people.
    pub version: SemanticVersion,
}

impl Record {
    /// The first record of a log.
    pub(super) fn first(time: Timestamp) -> Self {
        Self { event: Event::Create {}, n: 0, previous: Digest::of(b""), time, trust_version: 0 }
    }

    /// The record that continues this one; a clock that went back stands still.
    pub(super) fn next(&self, event: Event, now: &Timestamp, trust_version: u64) -> Self {
        let time = now.max(&self.time).clone();
        Self { event, n: self.n + 1, previous: self.digest(), time, trust_version }
    }

    /// What the next record is chained to.
    pub fn digest(&self) -> Digest {
        Digest::of(&self.canonical())
    }

    /// The record as a line of the log.
    pub(super) fn line(&self) -> Vec<u8> {
        let mut line = self.canonical();
        line.push(b'\n');
        line
    }

    fn canonical(&self) -> Vec<u8> {
        json::to_canonical(&serde_json::to_value(self).expect("a record has text keys and integers only"))
    }

    /// Reads a line, without its newline.
    fn parse(line: &[u8]) -> Option<Self> {
        let value: Value = json::parse_canonical(line, StringLimit::Usual).ok()?;
        let record: Self = serde_json::from_value(value).ok()?;
        // A field that the flattened parts let pass does not come back.
        (record.canonical() == line).then_some(record)
    }
}

/// Checks the lines of a log one after another.
#[derive(Debug, Default)]
pub(super) struct Chain {
    last: Option<Record>,
    floors: BTreeMap<BundleId, u32>,
}

impl Chain {
    /// Takes the next line, without its newline.
    ///
    /// # Errors
    ///
    /// [`StoreError::Audit`] if it does not continue the chain.
    pub(super) fn push(&mut self, line: &[u8]) -> Result<&Record, StoreError> {
        let n = self.n_records();
        let refuse = |breach| StoreError::Audit { n, breach };
        let record = Record::parse(line).ok_or_else(|| refuse(AuditBreach::Malformed))?;
        let fits = match &self.last {
            None => record == Record::first(record.time.clone()),
            Some(last) => {
                (record.n, record.previous) == (last.n + 1, last.digest())
                    && record.time >= last.time
                    && record.event != Event::Create {}
            }
        };
        if !fits {
            return Err(refuse(AuditBreach::Unchained));
        }
        if let Event::Commit { floor, subject } = &record.event {
            let highest = self.floors.entry(subject.id.clone()).or_default();
            *highest = (*highest).max(*floor);
        }
        Ok(self.last.insert(record))
    }

    /// How many lines were taken.
    pub(super) fn n_records(&self) -> u64 {
        self.last.as_ref().map_or(0, |last| last.n + 1)
    }

    /// The chain ends with the state's last record, or one before it.
    ///
    /// # Errors
    ///
    /// [`StoreError::Audit`] naming the first record that does not fit.
    pub(super) fn finish(mut self, state: &DeviceState) -> Result<u64, StoreError> {
        let end = &state.audit.last;
        if self.n_records() == end.n {
            // The last record is in the state first; a crash may have kept it from the log.
            self.push(end.line().trim_ascii_end())?;
        }
        match &self.last {
            Some(last) if last == end => {}
            Some(last) if last.n == end.n => {
                return Err(StoreError::Audit { n: end.n, breach: AuditBreach::Different });
            }
            Some(last) if last.n > end.n => {
                return Err(StoreError::Audit { n: end.n + 1, breach: AuditBreach::Unknown });
            }
            _ => return Err(StoreError::Audit { n: self.n_records(), breach: AuditBreach::Missing }),
        }
        if self.floors.iter().any(|(id, floor)| state.floor(id) < *floor) {
            return Err(StoreError::Audit { n: end.n, breach: AuditBreach::LowerFloor });
        }
        Ok(self.n_records())
    }
}
