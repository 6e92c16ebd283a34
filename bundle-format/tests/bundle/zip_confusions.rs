//! Archives that different zip readers take for different things, one generator for each.
//!
//! Some readers begin at the front, others at the end; some believe the local headers, others the directory; some pass
//! over what they do not know. What such a reader would find is named by each generator; the verifier has one answer.

use crate::forge::Attack;

/// Name, expected code, and what is done to the parts of a sound archive.
type Trick = (&'static str, &'static str, fn(&mut Parts));

/// The entry that is lied about: `config/pipeline.json`.
const VICTIM: usize = 2;
/// Length of a local header and of a central record without name and extra fields.
const LOCAL: usize = 30;
const CENTRAL: usize = 46;

/// An archive taken apart.
#[derive(Clone, Debug, Default)]
struct Parts {
    front: Vec<u8>,
    /// Header and content of each entry.
    locals: Vec<Vec<u8>>,
    before_directory: Vec<u8>,
    centrals: Vec<Vec<u8>>,
    before_end: Vec<u8>,
    end: Vec<u8>,
    behind: Vec<u8>,
}

/// Every confusion of the bundle in `bytes`.
pub(crate) fn all(bytes: &[u8]) -> Vec<Attack> {
    let sound = Parts::of(bytes);
    assert_eq!(sound.bytes(), bytes, "the parts are those of the archive");
    let tricks = SLACK.iter().chain(&ENDS).chain(&RECORDS).chain(&EXTRAS).chain(&DIRECTORIES).chain(&HEADERS);
    let tricked = tricks.map(|&(name, code, trick)| {
        let mut parts = sound.clone();
        trick(&mut parts);
        Attack { name: name.to_owned(), code, bytes: parts.bytes() }
    });
    let named = NAMES.iter().map(|name| {
        let mut parts = sound.clone();
        parts.rename(VICTIM, name);
        parts.settle();
        Attack { name: format!("an entry named `{}`", name.escape_ascii()), code: "E204", bytes: parts.bytes() }
    });
    tricked.chain(named).collect()
}

/// Bytes that belong to nothing.
const SLACK: [Trick; 17] = [
    ("a script in front", "E202", |p| p.front = b"#!/bin/sh\n".to_vec()),
    ("a script in front that the offsets know of", "E207", |p| {
        p.front = b"#!/bin/sh\n".to_vec();
        p.settle();
    }),
    ("the mark of a split archive in front", "E207", |p| {
        p.front = b"PK\x07\x08".to_vec();
        p.settle();
    }),
    ("the mark of an archive that was to be split in front", "E207", |p| {
        p.front = b"PK00".to_vec();
        p.settle();
    }),
    ("a whole other archive in front", "E202", |p| p.front = p.bytes()),
    ("a whole other archive in front that the offsets know of", "E207", |p| {
        p.front = p.bytes();
        p.settle();
    }),
    ("an archive without entries in front", "E207", |p| {
        p.front = [b"PK\x05\x06".as_slice(), &[0; 18]].concat();
        p.settle();
    }),
    ("an entry that only a reader from the front finds", "E207", |p| {
        p.before_directory = p.locals[VICTIM].clone();
        p.settle();
    }),
    ("bytes between two entries", "E207", |p| {
        p.locals[VICTIM].extend(b"between");
        p.settle();
    }),
    ("bytes before the directory", "E207", |p| {
        p.before_directory = b"before".to_vec();
        p.settle();
    }),
    ("a record of extra data before the directory", "E207", |p| {
        p.before_directory = b"PK\x06\x08\x04\0\0\0data".to_vec();
        p.settle();
    }),
    ("bytes before the end record", "E202", |p| p.before_end = b"before".to_vec()),
    ("a signature of the directory before the end record", "E202", |p| p.before_end = b"PK\x05\x05\x02\0no".to_vec()),
    ("bytes before the end record that the directory counts as its own", "E202", |p| {
        p.before_end = b"PK\x05\x05\x02\0no".to_vec();
        let size = p.directory_bytes() + 8;
        p.set_end(12, &size.to_le_bytes());
    }),
    ("a newline behind the end", "E201", |p| p.behind = b"\n".to_vec()),
    ("zeros behind the end, as a block device pads", "E201", |p| p.behind = vec![0; 4096]),
    ("a second directory and end record behind the first", "E202", |p| {
        let directory: Vec<_> = p.centrals.concat();
        p.behind = [directory.as_slice(), &p.end].concat();
    }),
];

/// End records that lie.
const ENDS: [Trick; 17] = [
    ("nothing at all", "E201", |p| *p = Parts::default()),
    ("an end record and nothing else", "E210", |p| {
        *p = Parts { end: [b"PK\x05\x06".as_slice(), &[0; 18]].concat(), ..Parts::default() };
    }),
    ("no end record", "E201", |p| p.end.clear()),
    ("half an end record", "E201", |p| p.end.truncate(11)),
    ("an end record of another kind", "E201", |p| p.set_end(0, b"PK\x05\x07")),
    ("the number of this disk", "E207", |p| p.set_end(4, &[1, 0])),
    ("the number of the directory's disk", "E207", |p| p.set_end(6, &[1, 0])),
    ("fewer entries on this disk than in the archive", "E207", |p| p.set_end(8, &[1, 0])),
    ("fewer entries in the archive than on this disk", "E202", |p| p.set_end(10, &[1, 0])),
    ("more entries than there are", "E203", |p| {
        let n = p.end[10] + 1;
        p.set_end(10, &[n, 0]);
    }),
    ("as many entries as mean ZIP64", "E104", |p| p.set_end(10, &[0xFF, 0xFF])),
    ("a larger directory", "E202", |p| {
        let size = p.directory_bytes() + 1;
        p.set_end(12, &size.to_le_bytes());
    }),
    ("a directory that starts later", "E202", |p| {
        let start = p.directory_start() + 1;
        p.set_end(16, &start.to_le_bytes());
    }),
    ("a comment that is not there", "E207", |p| p.set_end(20, &[1, 0])),
    ("a comment that is an end record of its own", "E202", |p| {
        p.behind = p.end.clone();
        p.set_end(20, &[22, 0]);
    }),
    ("a second end record that takes the first for a part of the directory", "E202", |p| {
        p.behind = p.end.clone();
        let size = p.directory_bytes() + 22;
        p.behind[12..16].copy_from_slice(&size.to_le_bytes());
    }),
    ("the end records of ZIP64 without need", "E207", |p| {
        p.before_end = p.end64();
        p.set_end(12, &[0xFF; 8]);
    }),
];

/// Central records that lie.
const RECORDS: [Trick; 24] = [
    ("a central record of another kind", "E203", |p| p.set_central(0, b"PK\x01\x01")),
    ("made by another system, whose attributes mean something else", "E207", |p| p.set_central(5, &[0])),
    ("needs a later version", "E207", |p| p.set_central(6, &[45])),
    ("encrypted", "E207", |p| p.set_central(8, &[1])),
    ("a data descriptor", "E207", |p| p.set_central(8, &[8])),
    ("patched data", "E207", |p| p.set_central(8, &[0x20])),
    ("strongly encrypted", "E207", |p| p.set_central(8, &[0x40])),
    ("the name is UTF-8", "E207", |p| p.set_central(9, &[8])),
    ("masked headers", "E207", |p| p.set_central(9, &[0x20])),
    ("deflated", "E207", |p| p.set_central(10, &[8])),
    ("deflated on both sides", "E207", |p| {
        p.set_central(10, &[8]);
        p.set_local(8, &[8]);
    }),
    ("encrypted by AES", "E207", |p| p.set_central(10, &[99])),
    ("another time", "E207", |p| p.set_central(12, &[1])),
    ("another date", "E207", |p| p.set_central(14, &[0x22])),
    ("another checksum than the local header's", "E208", |p| p.set_central(16, &[1, 2, 3, 4])),
    ("a compressed size of nothing", "E207", |p| p.set_central(20, &[0; 4])),
    ("a larger size", "E207", |p| p.set_central(24, &[3])),
    ("both sizes larger, over the next entry", "E207", |p| {
        p.set_central(20, &[200, 0, 0, 0, 200, 0, 0, 0]);
    }),
    ("a size larger than the archive", "E202", |p| p.set_central(20, &[0xFE; 8])),
    ("on another disk", "E207", |p| p.set_central(34, &[1])),
    ("text, whose line ends may be changed", "E207", |p| p.set_central(36, &[1])),
    ("a folder by its DOS attribute", "E207", |p| p.set_central(38, &[0x10])),
    ("a symbolic link", "E207", |p| p.set_central(40, &(0o120_777_u16).to_le_bytes())),
    ("a program that runs as its owner", "E207", |p| p.set_central(40, &(0o104_755_u16).to_le_bytes())),
];

/// Extra fields and comments of entries.
const EXTRAS: [Trick; 9] = [
    ("a comment of an entry", "E207", |p| {
        p.centrals[VICTIM].extend(b"comment");
        p.set_central(32, &[7, 0]);
        p.settle();
    }),
    ("another name as Unicode path in the directory", "E207", |p| p.add_central_extra(&unicode_path())),
    ("another name as Unicode path in the local header", "E207", |p| p.add_local_extra(&unicode_path())),
    ("another size as ZIP64 in the directory", "E207", |p| p.add_central_extra(&zip64(1 << 40))),
    ("another size as ZIP64 in the local header", "E207", |p| p.add_local_extra(&zip64(1 << 40))),
    ("a size that refers to a ZIP64 field that is not there", "E203", |p| p.set_central(24, &[0xFF; 4])),
    ("a size that refers to a ZIP64 field, needlessly", "E207", |p| {
        p.set_central(24, &[0xFF; 4]);
        p.add_central_extra(&zip64(2));
    }),
    ("a time of UNIX in the directory", "E207", |p| p.add_central_extra(b"UT\x05\0\x03\0\0\0\0")),
    ("an owner in the directory", "E207", |p| p.add_central_extra(b"ux\x0b\0\x01\x04\0\0\0\0\x04\0\0\0\0")),
];

/// Directories that disagree with the entries.
const DIRECTORIES: [Trick; 13] = [
    ("the directory before the entries", "E202", |p| {
        p.front = p.centrals.concat();
        p.centrals.clear();
        p.set_end(16, &[0; 4]);
    }),
    ("one entry listed twice", "E205", |p| {
        let twice = p.centrals[VICTIM].clone();
        p.centrals.insert(VICTIM, twice);
        p.settle_end();
    }),
    ("one entry listed twice, far apart", "E205", |p| {
        let twice = p.centrals[VICTIM].clone();
        p.centrals.push(twice);
        p.settle_end();
    }),
    ("one content under two names", "E207", |p| {
        let mut other = p.centrals[VICTIM].clone();
        let name_end = other.len() - 1;
        other[name_end] = b'o';
        p.centrals.insert(VICTIM + 1, other);
        p.settle_end();
    }),
    ("every name over one content", "E207", |p| {
        let at = p.centrals[0][42..46].to_vec();
        p.centrals.iter_mut().for_each(|record| record[42..46].copy_from_slice(&at));
    }),
    ("two entries in each other's places", "E207", |p| {
        let (first, second) = (p.centrals[2][42..46].to_vec(), p.centrals[3][42..46].to_vec());
        p.centrals[2][42..46].copy_from_slice(&second);
        p.centrals[3][42..46].copy_from_slice(&first);
    }),
    ("two entries listed in another order", "E205", |p| p.centrals.swap(2, 3)),
    ("two entries stored in another order", "E207", |p| {
        p.locals.swap(2, 3);
        let middle = p.offset(2) + p.locals[2].len();
        let (first, second) = (u32_of(middle), u32_of(p.offset(2)));
        p.centrals[2][42..46].copy_from_slice(&first.to_le_bytes());
        p.centrals[3][42..46].copy_from_slice(&second.to_le_bytes());
    }),
    ("an entry inside the content of another", "E207", |p| {
        let inside = u32_of(p.offset(3) + 8);
        p.set_central(42, &inside.to_le_bytes());
    }),
    ("an offset beyond the archive", "E207", |p| p.set_central(42, &[0xFE; 4])),
    ("an entry in the middle that is not listed", "E207", |p| {
        p.centrals.remove(VICTIM);
        p.settle_end();
    }),
    ("a last entry that is not listed", "E207", |p| {
        p.centrals.pop();
        p.settle_end();
    }),
    ("an entry that is listed and not there", "E207", |p| {
        p.locals.remove(VICTIM);
        p.settle_end();
    }),
];

/// Local headers that lie.
const HEADERS: [Trick; 16] = [
    ("a local header of another kind", "E208", |p| p.set_local(0, b"PK\x03\x05")),
    ("a local header that needs a later version", "E208", |p| p.set_local(4, &[20])),
    ("a local header with encryption", "E208", |p| p.set_local(6, &[1])),
    ("a local header with a data descriptor", "E208", |p| p.set_local(6, &[8])),
    ("a data descriptor with its flag on both sides", "E207", |p| {
        p.set_local(6, &[8]);
        p.set_central(8, &[8]);
        let descriptor = [b"PK\x07\x08".as_slice(), &p.locals[VICTIM][14..26]].concat();
        p.locals[VICTIM].extend(descriptor);
        p.settle();
    }),
    ("a local header with a UTF-8 name", "E208", |p| p.set_local(7, &[8])),
    ("a local header that is deflated", "E208", |p| p.set_local(8, &[8])),
    ("a local header with a time", "E208", |p| p.set_local(10, &[1])),
    ("a local header with another date", "E208", |p| p.set_local(12, &[0x22])),
    ("a local header without checksum, as one with a descriptor has", "E208", |p| p.set_local(14, &[0; 4])),
    ("a local header without sizes, as one with a descriptor has", "E208", |p| p.set_local(18, &[0; 8])),
    ("a local header with a larger size", "E208", |p| p.set_local(22, &[3])),
    ("a local header with another name", "E208", |p| p.set_local(LOCAL, b"C")),
    ("a local header with a shorter name, whose rest is an extra field", "E208", |p| {
        let n = p.locals[VICTIM][26] - 4;
        p.set_local(26, &[n]);
    }),
    ("a local header whose padding holds something", "E208", |p| {
        let content = p.content_start(VICTIM);
        p.set_local(content - 1, b"x");
    }),
    ("a local header without padding", "E207", |p| {
        let (name, content) = (usize::from(p.locals[VICTIM][26]), p.content_start(VICTIM));
        p.locals[VICTIM].drain(LOCAL + name..content);
        p.set_local(28, &[0, 0]);
        p.settle();
    }),
];

/// Names that lead elsewhere, or mean another file to somebody.
const NAMES: [&[u8]; 20] = [
    b"../pipeline.json",
    b"config/../../x",
    b"./config/x",
    b"/config/x",
    b"config//x",
    b"config/x/",
    b"config\\x",
    b"c:x",
    b"Config/x",
    b"config/x\0.json",
    b"config/x\n",
    b"config/\xC3\xA9",
    b"config/\xFF",
    b"config/\xC0\xAEx",
    b"config/x.",
    b"config/x ",
    b"config/nul",
    b"con.json",
    b"a/b/c/d/e",
    b"",
];

impl Parts {
    fn of(bytes: &[u8]) -> Self {
        let (rest, end) = bytes.split_at(bytes.len() - 22);
        let u32_at = |from: &[u8], at: usize| u32::from_le_bytes(from[at..at + 4].try_into().unwrap()) as usize;
        let (entries, mut directory) = rest.split_at(u32_at(end, 16));
        let mut parts = Self { end: end.to_vec(), ..Self::default() };
        let mut starts = Vec::new();
        while !directory.is_empty() {
            let record = &directory[..CENTRAL + usize::from(directory[28])];
            starts.push(u32_at(record, 42));
            parts.centrals.push(record.to_vec());
            directory = &directory[record.len()..];
        }
        let ends = starts.iter().skip(1).copied().chain([entries.len()]);
        parts.locals = starts.iter().zip(ends).map(|(&start, end)| entries[start..end].to_vec()).collect();
        parts
    }

    fn bytes(&self) -> Vec<u8> {
        let Self { front, locals, before_directory, centrals, before_end, end, behind } = self;
        [front, &locals.concat(), before_directory, &centrals.concat(), before_end, end, behind]
            .map(Vec::as_slice)
            .concat()
    }

    /// Where the entry `index` begins.
    fn offset(&self, index: usize) -> usize {
        self.front.len() + self.locals[..index].iter().map(Vec::len).sum::<usize>()
    }

    fn directory_start(&self) -> u32 {
        u32_of(self.offset(self.locals.len()) + self.before_directory.len())
    }

    fn directory_bytes(&self) -> u32 {
        u32_of(self.centrals.iter().map(Vec::len).sum())
    }

    /// Where the content begins in the bytes of an entry.
    fn content_start(&self, index: usize) -> usize {
        let local = &self.locals[index];
        LOCAL + usize::from(local[26]) + usize::from(local[28])
    }

    /// Makes offsets and end record right for entries that were moved.
    fn settle(&mut self) {
        for index in 0..self.centrals.len() {
            let offset = u32_of(self.offset(index)).to_le_bytes();
            self.centrals[index][42..46].copy_from_slice(&offset);
        }
        self.settle_end();
    }

    /// Makes the end record right for the directory as it is.
    fn settle_end(&mut self) {
        let n = u16::try_from(self.centrals.len()).unwrap().to_le_bytes();
        let place = [self.directory_bytes(), self.directory_start()].map(u32::to_le_bytes).concat();
        self.set_end(8, &[n, n].concat());
        self.set_end(12, &place);
    }

    fn set_end(&mut self, at: usize, value: &[u8]) {
        self.end[at..at + value.len()].copy_from_slice(value);
    }

    fn set_central(&mut self, at: usize, value: &[u8]) {
        self.centrals[VICTIM][at..at + value.len()].copy_from_slice(value);
    }

    fn set_local(&mut self, at: usize, value: &[u8]) {
        self.locals[VICTIM][at..at + value.len()].copy_from_slice(value);
    }

    fn add_central_extra(&mut self, extra: &[u8]) {
        self.centrals[VICTIM].extend(extra);
        let n = u16::try_from(extra.len()).unwrap();
        self.set_central(30, &n.to_le_bytes());
        self.settle();
    }

    /// Before the padding, which stays: the content is no longer aligned.
    fn add_local_extra(&mut self, extra: &[u8]) {
        let at = LOCAL + usize::from(self.locals[VICTIM][26]);
        self.locals[VICTIM].splice(at..at, extra.iter().copied());
        let n = u16::from_le_bytes([self.locals[VICTIM][28], self.locals[VICTIM][29]]);
        let n = n + u16::try_from(extra.len()).unwrap();
        self.set_local(28, &n.to_le_bytes());
        self.settle();
    }

    /// Another name in both headers of an entry.
    fn rename(&mut self, index: usize, name: &[u8]) {
        let n = u16::try_from(name.len()).unwrap().to_le_bytes();
        for (header, at, start) in [(&mut self.locals[index], 26, LOCAL), (&mut self.centrals[index], 28, CENTRAL)] {
            let end = start + usize::from(header[at]);
            header.splice(start..end, name.iter().copied());
            header[at..at + 2].copy_from_slice(&n);
        }
    }

    /// The end record of ZIP64 and its locator, for what the end record says.
    fn end64(&self) -> Vec<u8> {
        let (size, start) = (u64::from(self.directory_bytes()), u64::from(self.directory_start()));
        let n = self.centrals.len() as u64;
        let record = [b"PK\x06\x06".as_slice(), &44_u64.to_le_bytes(), &[0x0A, 3, 45, 0], &[0; 8]].concat();
        let sizes = [n, n, size, start].map(u64::to_le_bytes).concat();
        [record, sizes, b"PK\x06\x07\0\0\0\0".to_vec(), (start + size).to_le_bytes().to_vec(), vec![1, 0, 0, 0]]
            .concat()
    }
}

fn u32_of(n: usize) -> u32 {
    u32::try_from(n).unwrap()
}

/// Info-ZIP's extra field that gives an entry another name.
fn unicode_path() -> Vec<u8> {
    let name = b"config/other.json";
    let checksum = crc32fast::hash(b"config/pipeline.json").to_le_bytes();
    [b"up\x16\0\x01".as_slice(), &checksum, name].concat()
}

/// The extra field of ZIP64 with one size.
fn zip64(size: u64) -> Vec<u8> {
    [b"\x01\0\x08\0".as_slice(), &size.to_le_bytes()].concat()
}
