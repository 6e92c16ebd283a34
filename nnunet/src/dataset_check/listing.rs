//! Judging which files a data set has: what is missing, what is too many, what is no file.

use std::collections::{BTreeMap, BTreeSet};

use super::{Description, Problem};
use crate::dataset::{CaseId, may_hold_several_channels, n_files, split_channel};

/// Folder of the training images.
pub const IMAGES: &str = "imagesTr";
/// Folder of the references.
pub const LABELS: &str = "labelsTr";

/// Something in a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its name; of a listed file, its path.
    pub name: String,
    /// What it is, links followed.
    pub kind: EntryKind,
    /// Where it leads, if it is a link out of the data set.
    pub link_out: Option<String>,
}

/// What an [`Entry`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EntryKind {
    /// A file of so many bytes.
    File {
        /// Its size.
        n_bytes: u64,
    },
    /// A link to nothing.
    BrokenLink,
    /// Nothing, where `dataset.json` lists a file.
    Missing,
    /// A folder or another thing that is no file.
    NoFile,
}

/// The files of a case that can be looked into.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Present {
    /// Channels that are there, in order.
    pub channels: Vec<String>,
    /// The reference, if it is there.
    pub labels: Option<String>,
}

/// What the files amount to.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Listing {
    /// Cases and their files.
    pub cases: BTreeMap<CaseId, Present>,
    /// What is wrong.
    pub problems: Vec<Problem>,
}

/// Judges the content of `imagesTr` and `labelsTr`. Without a known ending no file can be told, and nothing is judged.
pub fn of_folders(description: &Description, images: &[Entry], labels: &[Entry]) -> Listing {
    let mut listing = Listing::default();
    let Some(ending) = description.ending.as_deref() else {
        return listing;
    };
    let mut numbers: BTreeMap<CaseId, BTreeMap<usize, Option<String>>> = BTreeMap::new();
    for entry in images {
        listing.image(description, ending, entry, &mut numbers);
    }
    if let Some(expected) = description.n_channels {
        for (case, channels) in &numbers {
            for channel in (0..n_files(ending, channels, expected)).filter(|channel| !channels.contains_key(channel)) {
                let file = format!("{IMAGES}/{case}_{channel:04}{ending}");
                listing.problems.push(Problem::MissingChannel { file, case: case.clone(), channel, expected });
            }
        }
    }
    for (case, channels) in numbers {
        let channels = channels.into_values().flatten().collect();
        listing.cases.insert(case, Present { channels, labels: None });
    }
    listing.labels(ending, labels);
    if listing.cases.is_empty() {
        listing.problems.push(Problem::NoCases { folder: IMAGES.into(), ending: ending.into() });
    }
    listing.count(description);
    listing
}

/// Judges the files that `dataset.json` lists; `entry` says what is found at a path.
pub fn of_listed(description: &Description, entry: &dyn Fn(&str) -> Entry) -> Listing {
    let mut listing = Listing::default();
    for (case, files) in description.listed.iter().flatten() {
        let (found, expected) = (files.channels.len(), description.n_channels.unwrap_or(files.channels.len()));
        let one_each = description.ending.as_deref().is_none_or(|ending| !may_hold_several_channels(ending));
        if found != expected && (one_each || found > expected) {
            listing.problems.push(Problem::ChannelCount { case: case.clone(), found, expected });
        }
        let mut present = Present::default();
        for (channel, path) in files.channels.iter().enumerate() {
            let case = case.clone();
            let missing = Problem::MissingChannel { file: path.clone(), case, channel, expected };
            present.channels.extend(listing.listed(&entry(path), missing));
        }
        let missing = Problem::MissingLabels { file: files.labels.clone(), case: case.clone() };
        present.labels = listing.listed(&entry(&files.labels), missing);
        listing.cases.insert(case.clone(), present);
    }
    if listing.cases.is_empty() {
        let ending = description.ending.clone().unwrap_or_default();
        listing.problems.push(Problem::NoCases { folder: "dataset.json".into(), ending });
    }
    listing.count(description);
    listing
}

impl Listing {
    /// Sorts one entry of `imagesTr` under its case and channel.
    fn image(
        &mut self,
        description: &Description,
        ending: &str,
        entry: &Entry,
        numbers: &mut BTreeMap<CaseId, BTreeMap<usize, Option<String>>>,
    ) {
        let Some((stem, file)) = self.named(IMAGES, ending, entry) else { return };
        let Some((case, channel)) = split_channel(stem) else {
            self.problems.push(Problem::ChannelNumber { file, ending: ending.to_owned() });
            return;
        };
        let Ok(case) = CaseId::new(case) else {
            self.problems.push(Problem::CaseName { file });
            return;
        };
        let usable = self.usable(entry, &file);
        let channels = numbers.entry(case).or_default();
        match description.n_channels {
            Some(expected) if channel >= expected => {
                self.problems.push(Problem::ExtraChannel { file, channel, expected });
            }
            _ => {
                channels.insert(channel, usable.then_some(file));
            }
        }
    }

    fn labels(&mut self, ending: &str, entries: &[Entry]) {
        let mut labeled = BTreeSet::new();
        for entry in entries {
            let Some((stem, file)) = self.named(LABELS, ending, entry) else { continue };
            let Ok(case) = CaseId::new(stem) else {
                self.problems.push(Problem::CaseName { file });
                continue;
            };
            if !self.cases.contains_key(&case) {
                self.problems.push(Problem::LabelsWithoutImage { file, case });
                continue;
            }
            let usable = self.usable(entry, &file);
            labeled.insert(case.clone());
            self.cases.entry(case).or_default().labels = usable.then_some(file);
        }
        for case in self.cases.keys().filter(|case| !labeled.contains(*case)) {
            let file = format!("{LABELS}/{case}{ending}");
            self.problems.push(Problem::MissingLabels { file, case: case.clone() });
        }
    }

    /// The name without ending and the path; reports what is passed over.
    fn named<'a>(&mut self, folder: &str, ending: &str, entry: &'a Entry) -> Option<(&'a str, String)> {
        let file = format!("{folder}/{}", entry.name);
        let stem = entry.name.strip_suffix(ending).filter(|_| !entry.name.starts_with('.'));
        if stem.is_none() || entry.kind == EntryKind::NoFile {
            self.problems.push(Problem::Stray { file, ending: ending.to_owned() });
            return None;
        }
        stem.map(|stem| (stem, file))
    }

    /// Whether the file can be looked into; reports why not, and links.
    fn usable(&mut self, entry: &Entry, file: &str) -> bool {
        let file = file.to_owned();
        if let Some(target) = &entry.link_out {
            self.problems.push(Problem::LinkOut { file: file.clone(), target: target.clone() });
        }
        match entry.kind {
            EntryKind::File { n_bytes: 0 } => self.problems.push(Problem::EmptyFile { file }),
            EntryKind::File { .. } => return true,
            EntryKind::BrokenLink => self.problems.push(Problem::BrokenLink { file }),
            EntryKind::Missing | EntryKind::NoFile => self.problems.push(Problem::MissingFile { file }),
        }
        false
    }

    fn listed(&mut self, entry: &Entry, missing: Problem) -> Option<String> {
        if entry.kind == EntryKind::Missing {
            self.problems.push(missing);
            return None;
        }
        self.usable(entry, &entry.name).then(|| entry.name.clone())
    }

    fn count(&mut self, description: &Description) {
        let found = self.cases.len();
        if let Some(expected) = description.n_training.filter(|&expected| expected != found as u64) {
            self.problems.push(Problem::CaseCount { found, expected });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::listed_cases::CaseFiles;

    const FILE: EntryKind = EntryKind::File { n_bytes: 100 };

    fn file(name: &str) -> Entry {
        Entry { name: name.into(), kind: FILE, link_out: None }
    }

    fn case(name: &str) -> CaseId {
        CaseId::new(name).unwrap()
    }

    fn description() -> Description {
        let (n_channels, ending) = (Some(2), Some(".nii".into()));
        Description { n_channels, ending, labels: Some(vec![0, 1]), n_training: Some(2), listed: None }
    }

    /// Two sound cases `a` and `b`, with more images and labels; the latter replace entries of the same name.
    fn check(images: &[Entry], labels: &[Entry], expected: &[Problem]) -> Listing {
        let merged = |sound: &[&str], more: &[Entry]| {
            let mut all: BTreeMap<String, Entry> = sound.iter().map(|name| ((*name).into(), file(name))).collect();
            for entry in more {
                all.insert(entry.name.clone(), entry.clone());
            }
            all.retain(|_, entry| entry.kind != EntryKind::Missing);
            all.into_values().collect::<Vec<_>>()
        };
        let images = merged(&["a_0000.nii", "a_0001.nii", "b_0000.nii", "b_0001.nii"], images);
        let labels = merged(&["a.nii", "b.nii"], labels);
        let listing = of_folders(&description(), &images, &labels);
        assert_eq!(listing.problems, expected);
        listing
    }

    fn gone(name: &str) -> Entry {
        Entry { kind: EntryKind::Missing, ..file(name) }
    }

    #[test]
    fn complete_cases_have_no_problem() {
        let listing = check(&[], &[], &[]);
        let present = Present {
            channels: vec!["imagesTr/a_0000.nii".into(), "imagesTr/a_0001.nii".into()],
            labels: Some("labelsTr/a.nii".into()),
        };
        assert_eq!(listing.cases[&case("a")], present);
    }

    #[test]
    fn what_is_missing_is_named_and_the_rest_of_the_case_stays() {
        let missing =
            Problem::MissingChannel { file: "imagesTr/a_0000.nii".into(), case: case("a"), channel: 0, expected: 2 };
        let listing = check(&[gone("a_0000.nii")], &[], &[missing]);
        assert_eq!(listing.cases[&case("a")].channels, ["imagesTr/a_0001.nii"]);
        let missing = Problem::MissingLabels { file: "labelsTr/b.nii".into(), case: case("b") };
        check(&[], &[gone("b.nii")], &[missing]);
        let all = ["a_0000.nii", "a_0001.nii", "b_0000.nii", "b_0001.nii"].map(gone);
        let labels = ["a.nii", "b.nii"].map(gone);
        let none = Problem::NoCases { folder: "imagesTr".into(), ending: ".nii".into() };
        check(&all, &labels, &[none, Problem::CaseCount { found: 0, expected: 2 }]);
    }

    #[test]
    fn what_is_too_many_is_named() {
        let extra = Problem::ExtraChannel { file: "imagesTr/a_0002.nii".into(), channel: 2, expected: 2 };
        check(&[file("a_0002.nii")], &[], &[extra]);
        let orphan = Problem::LabelsWithoutImage { file: "labelsTr/c.nii".into(), case: case("c") };
        check(&[], &[file("c.nii")], &[orphan]);
        let labels = [file("c.nii")];
        check(&[file("c_0000.nii"), file("c_0001.nii")], &labels, &[Problem::CaseCount { found: 3, expected: 2 }]);
        let stray = |file: &str| Problem::Stray { file: file.into(), ending: ".nii".into() };
        let images = [file("a_0000.nii.gz"), file("._a_0000.nii"), Entry { kind: EntryKind::NoFile, ..file("x.nii") }];
        let expected = ["imagesTr/._a_0000.nii", "imagesTr/a_0000.nii.gz", "imagesTr/x.nii"].map(stray);
        check(&images, &[], &expected);
        check(&[], &[file("notes.txt")], &[stray("labelsTr/notes.txt")]);
    }

    #[test]
    fn names_that_are_no_channels_or_cases_are_named() {
        let number = Problem::ChannelNumber { file: "imagesTr/c.nii".into(), ending: ".nii".into() };
        check(&[file("c.nii")], &[], &[number]);
        check(&[file("_0000.nii")], &[], &[Problem::CaseName { file: "imagesTr/_0000.nii".into() }]);
        check(&[], &[file(".nii")], &[Problem::Stray { file: "labelsTr/.nii".into(), ending: ".nii".into() }]);
    }

    #[test]
    fn empty_files_and_links_are_named_and_not_missing() {
        let empty = Entry { kind: EntryKind::File { n_bytes: 0 }, ..file("a_0000.nii") };
        let listing = check(&[empty], &[], &[Problem::EmptyFile { file: "imagesTr/a_0000.nii".into() }]);
        assert_eq!(listing.cases[&case("a")].channels, ["imagesTr/a_0001.nii"]);
        let broken = Entry { kind: EntryKind::BrokenLink, ..file("a.nii") };
        check(&[], &[broken], &[Problem::BrokenLink { file: "labelsTr/a.nii".into() }]);
        let out = Entry { link_out: Some("/other/a.nii".into()), ..file("a.nii") };
        let link = Problem::LinkOut { file: "labelsTr/a.nii".into(), target: "/other/a.nii".into() };
        let listing = check(&[], &[out], &[link]);
        assert!(listing.cases[&case("a")].labels.is_some(), "a link is followed");
    }

    #[test]
    fn listed_files_are_looked_for_where_they_are_listed() {
        let files = CaseFiles { channels: vec!["x/a.nii".into()], labels: "/y/a.nii".into() };
        let description = Description { listed: Some([(case("a"), files)].into()), ..description() };
        let listing = of_listed(&description, &|path| if path == "x/a.nii" { file(path) } else { gone(path) });
        let expected = [
            Problem::ChannelCount { case: case("a"), found: 1, expected: 2 },
            Problem::MissingLabels { file: "/y/a.nii".into(), case: case("a") },
            Problem::CaseCount { found: 1, expected: 2 },
        ];
        assert_eq!(listing.problems, expected);
        assert_eq!(listing.cases[&case("a")], Present { channels: vec!["x/a.nii".into()], labels: None });
    }
}
