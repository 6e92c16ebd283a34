//! Entries added, removed, renamed, exchanged, reordered, repeated or mixed, one generator for each way.
//!
//! All start from the entries of a signed bundle of three members; the archives are canonical, only their entries lie.

use bundle_format::sign;

use crate::forge::{Attack, Entry, encode, entries, entry};
use crate::support::{Fixture, builder, draft, files, key};

/// Signature and manifest come before the files.
const FIRST_FILE: usize = 2;

/// A way to lie with the entries of a bundle.
type Way = fn(&[Entry]) -> Vec<Attack>;

/// A signed bundle of three members.
pub(crate) fn signed_bundle() -> Fixture {
    let fixture = Fixture::unsigned(3);
    sign(&fixture.bundle(), &key(1), &fixture.bundle()).unwrap();
    fixture
}

/// The entries of another bundle by the same key: next version, and every content longer.
pub(crate) fn next_version() -> Vec<Entry> {
    let other = signed_bundle();
    let mut draft = draft(3);
    draft.version = "1.0.1".parse().unwrap();
    let mut files = files(3);
    for (_, _, content) in &mut files {
        content.push(b'!');
    }
    builder(draft, files).write(&other.bundle()).unwrap();
    sign(&other.bundle(), &key(1), &other.bundle()).unwrap();
    entries(&other.bytes())
}

/// Every forgery of `ours`; `theirs` are the entries of another bundle by the same key.
pub(crate) fn all(ours: &[Entry], theirs: &[Entry]) -> Vec<Attack> {
    let ways: [Way; 7] = [added, removed, renamed, exchanged, reordered, repeated, nested];
    ways.iter().flat_map(|way| way(ours)).chain(mixed(ours, theirs)).collect()
}

fn attack(name: String, ours: &[Entry], code: &'static str, edit: impl FnOnce(&mut Vec<Entry>)) -> Attack {
    let mut entries = ours.to_vec();
    edit(&mut entries);
    Attack { name, code, bytes: encode(&entries) }
}

fn sort_files(entries: &mut [Entry]) {
    entries[FIRST_FILE..].sort_by(|a, b| a.name.cmp(&b.name));
}

pub(crate) fn added(ours: &[Entry]) -> Vec<Attack> {
    let names = ["a", "config/q", "docs/z.txt", "models/fold_0/checkpoint_8.onnx", "zz"];
    let sorted = names.map(|name| {
        attack(format!("`{name}` added"), ours, "E412", |entries| {
            entries.push(entry(name, *b"x"));
            sort_files(entries);
        })
    });
    let (text, signature) = ("signatures/readme.txt", "signatures/0000000000000000.sig");
    let among_signatures = [
        attack(format!("`{text}` added"), ours, "E412", |entries| entries.push(entry(text, *b"x"))),
        attack(format!("`{text}` added in front"), ours, "E205", |entries| entries.insert(0, entry(text, *b"x"))),
        attack("a signature of nothing added".into(), ours, "E303", |entries| {
            entries.insert(0, entry(signature, *b"{}"));
        }),
    ];
    sorted.into_iter().chain(among_signatures).collect()
}

pub(crate) fn removed(ours: &[Entry]) -> Vec<Attack> {
    let code = |index| match index {
        0 => "E301",
        1 => "E210",
        _ => "E411",
    };
    let remove = |index: usize| {
        attack(format!("`{}` removed", ours[index].name), ours, code(index), |entries| drop(entries.remove(index)))
    };
    (0..ours.len()).map(remove).collect()
}

pub(crate) fn renamed(ours: &[Entry]) -> Vec<Attack> {
    let rename = |index: usize| {
        attack(format!("`{}` renamed", ours[index].name), ours, "E411", |entries| {
            entries[index].name.push('x');
            sort_files(entries);
        })
    };
    let signature = attack("the signature renamed".into(), ours, "E309", |entries| {
        "signatures/0123456789abcdef.sig".clone_into(&mut entries[0].name);
    });
    (FIRST_FILE..ours.len()).map(rename).chain([signature]).collect()
}

pub(crate) fn exchanged(ours: &[Entry]) -> Vec<Attack> {
    let exchange = |(first, second): (usize, usize)| {
        let (a, b) = (&ours[first], &ours[second]);
        // Equal contents make the same bundle again.
        let differ = a.content != b.content;
        let code = if a.content.len() == b.content.len() { "E414" } else { "E413" };
        differ.then(|| {
            attack(format!("`{}` with the content of `{}`, and back", a.name, b.name), ours, code, |entries| {
                (entries[first].content, entries[second].content) = (b.content.clone(), a.content.clone());
            })
        })
    };
    pairs(FIRST_FILE, ours.len()).filter_map(exchange).collect()
}

pub(crate) fn reordered(ours: &[Entry]) -> Vec<Attack> {
    let reorder = |(first, second): (usize, usize)| {
        let name = format!("`{}` and `{}` in each other's place", ours[first].name, ours[second].name);
        attack(name, ours, "E205", |entries| entries.swap(first, second))
    };
    pairs(0, ours.len()).map(reorder).collect()
}

pub(crate) fn repeated(ours: &[Entry]) -> Vec<Attack> {
    let repeat = |index: usize| {
        attack(format!("`{}` twice", ours[index].name), ours, "E205", |entries| {
            entries.insert(index, ours[index].clone());
        })
    };
    (0..ours.len()).map(repeat).collect()
}

pub(crate) fn nested(ours: &[Entry]) -> Vec<Attack> {
    let nest = |entries: &mut Vec<Entry>| entries.push(entry("selftest/input.bin/x", *b""));
    vec![attack("an entry inside another".into(), ours, "E206", nest)]
}

/// Every mixture with one or two entries of the other bundle, and every one with one or two of ours.
pub(crate) fn mixed(ours: &[Entry], theirs: &[Entry]) -> Vec<Attack> {
    let n_entries = ours.len();
    let is_few = |mask: &u32| {
        let n_foreign = mask.count_ones() as usize;
        n_foreign <= 2 || n_entries - n_foreign <= 2
    };
    let mix = |mask: u32| {
        let pick = |index: usize| if mask >> index & 1 == 1 { &theirs[index] } else { &ours[index] };
        let entries: Vec<_> = (0..n_entries).map(|index| pick(index).clone()).collect();
        let (signature, manifest) = (mask & 1, mask >> 1 & 1);
        let code = if signature == manifest { "E413" } else { "E324" };
        Attack { name: format!("mixture {mask:0n_entries$b}"), code, bytes: encode(&entries) }
    };
    (1..(1_u32 << n_entries) - 1).filter(is_few).map(mix).collect()
}

/// Every pair of `from..to`, the smaller first.
fn pairs(from: usize, to: usize) -> impl Iterator<Item = (usize, usize)> {
    (from..to).flat_map(move |first| (first + 1..to).map(move |second| (first, second)))
}
