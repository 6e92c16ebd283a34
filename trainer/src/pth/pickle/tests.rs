//! Pickles made by hand, attacks, and a property: no bytes make the machine panic.

use proptest::prelude::*;

use super::*;

/// `{"a": tensor}` as `torch.save` writes it: a 2 × 3 view of storage 0 of 7 values, from 1 on.
fn tensor(class: &str) -> Vec<u8> {
    let head = b"\x80\x02}q\x00X\x01\x00\x00\x00actorch._utils\n_rebuild_tensor_v2\n((X\x07\x00\x00\x00storagectorch\n";
    let tail = b"\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpuK\x07tQK\x01K\x02K\x03\x86K\x03K\x01\x86\x89ccollections\nOrderedDict\n)RtRs.";
    [head, class.as_bytes(), tail].concat()
}

#[test]
fn a_tensor_is_a_view_of_its_storage() {
    let tree = read(&tensor("FloatStorage")).unwrap();
    let found = tree.entry(tree.root(), "a").unwrap().unwrap();
    let storage = Storage { kind: StorageKind::F32, key: "0".into(), n_values: 7 };
    let expected = TensorView { storage, offset: 1, shape: vec![2, 3], strides: vec![3, 1] };
    assert_eq!(tree.value(found), &Value::Tensor(Box::new(expected)));
    assert_eq!(tree.entry(tree.root(), "b"), Ok(None));
}

#[test]
fn numbers_and_texts_have_their_values() {
    let check = |bytes: &[u8], expected: Value| {
        let tree = read(bytes).unwrap();
        assert_eq!(tree.value(tree.root()), &expected);
    };
    check(b"\x80\x02K\xff.", Value::Int(255));
    check(b"M\x00\x01.", Value::Int(256));
    check(b"J\xff\xff\xff\xff.", Value::Int(-1));
    check(b"\x8a\x00.", Value::Int(0));
    check(b"\x8a\x02\x00\x80.", Value::Int(-32_768));
    check(b"G\x3f\xf8\x00\x00\x00\x00\x00\x00.", Value::Float(1.5));
    check(b"\x8c\x01a.", Value::Text("a".into()));
    check(b"C\x02ab.", Value::Bytes(b"ab".to_vec()));
}

fn check_refused(bytes: &[u8], message: &str) {
    let error = read(bytes).unwrap_err().to_string();
    assert!(error.contains(message), "{error}");
}

#[test]
fn a_call_of_the_system_is_refused_by_name() {
    check_refused(b"\x80\x02cos\nsystem\nX\x02\x00\x00\x00id\x85R.", "byte 2: the pickle asks for `os.system`");
    check_refused(
        b"\x80\x04\x8c\x05posix\x8c\x06system\x93\x8c\x02id\x85R.",
        "byte 17: the pickle asks for `posix.system`",
    );
    check_refused(b"\x80\x02cbuiltins\neval\n.", "`builtins.eval`");
    check_refused(b"\x80\x02ctorch\nload\n.", "`torch.load`");
    check_refused(b"\x80\x02c__builtin__\ngetattr\n.", "`__builtin__.getattr`");
}

#[test]
fn a_call_is_refused_however_it_is_dressed() {
    check_refused(b"\x80\x02cbuiltins\nexec\n(X\x01\x00\x00\x00atR.", "byte 2: the pickle asks for `builtins.exec`");
    check_refused(
        b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\nccollections\nOrderedDict\n)R\x85R.",
        "arguments of a tensor",
    );
    check_refused(b"\x80\x02ccollections\nOrderedDict\n)R)R.", "an allowed name to reduce");
    check_refused(b"\x80\x02ccollections\nOrderedDict\n]\x85R.", "without arguments");
    // A dotted name would reach through an allowed module, and a name of two lines through the check.
    check_refused(
        b"\x80\x04\x8c\x0bcollections\x8c\x19OrderedDict.__class__.mro\x93.",
        "`collections.OrderedDict.__class__.mro`",
    );
    check_refused(b"\x80\x02ctorch\nFloatStorage.__init__\n.", "`torch.FloatStorage.__init__`");
    check_refused(b"\x80\x02cnumpy\nload\n.", "`numpy.load`");
    check_refused(b"\x80\x02Pid\n.", "opcode 0x50 is not known");
}

#[test]
fn a_storage_may_not_name_a_path_nor_have_negative_numbers() {
    let with = |key: &str, offset: &[u8]| {
        let head = b"(X\x07\x00\x00\x00storagectorch\nFloatStorage\nX".to_vec();
        let length = u32::try_from(key.len()).unwrap().to_le_bytes();
        let mut bytes = [b"ctorch._utils\n_rebuild_tensor_v2\n(".to_vec(), head, length.to_vec(), key.into()].concat();
        bytes.extend(b"X\x03\x00\x00\x00cpuK\x07tQ");
        bytes.extend(offset);
        bytes.extend(b"K\x01\x85K\x01\x85\x89ccollections\nOrderedDict\n)RtR.");
        bytes
    };
    assert!(read(&with("0", b"K\x01")).is_ok());
    check_refused(&with("../../0", b"K\x01"), "a storage whose key is a number");
    check_refused(&with("", b"K\x01"), "a storage whose key is a number");
    check_refused(&with("0", b"J\xff\xff\xff\xff"), "a number that is not negative");
    check_refused(&with("0", b"N"), "a number");
}

#[test]
fn a_bomb_of_references_stays_small() {
    // Each level holds the one before it ten times; unfolded it would be 10^20 values.
    let mut bytes = b"]q\x00".to_vec();
    for level in 0..20 {
        bytes.push(b'(');
        bytes.extend([b'h', level].repeat(10));
        bytes.extend([b'l', b'q', level + 1]);
    }
    bytes.extend(b"0".repeat(20));
    bytes.push(b'.');
    assert_eq!(read(&bytes).unwrap().values.len(), 21);
    let deep = [&b"]".repeat(1000)[..], &b"a".repeat(999), b"."].concat();
    assert!(read(&deep).is_ok());
}

#[test]
fn values_are_counted() {
    let many = [&b"(".to_vec()[..], &b"N".repeat((4 << 20) + 1), b"t."].concat();
    check_refused(&many, "more than 4194304 values");
    let pushed = [&b"N(".to_vec()[..], &b"2".repeat((4 << 20) + 1), b"t."].concat();
    assert!(read(&pushed).is_err());
}

#[test]
fn other_opcodes_are_refused_by_number_and_place() {
    check_refused(b"\x80\x02)\x81.", "byte 3: opcode 0x81 is not known");
    check_refused(b"\x80\x02(ios\nsystem\n.", "byte 3: opcode 0x69 is not known");
    check_refused(b"\x82\x01.", "byte 0: opcode 0x82");
    check_refused(b"\x80\x07N.", "protocol 7");
}

#[test]
fn malformed_pickles_are_refused() {
    check_refused(b"", "ends at byte 0");
    check_refused(b"X\xff\xff\xff\xffa.", "ends at byte 0");
    check_refused(b"\x8d\xff\xff\xff\xff\xff\xff\xff\xffa.", "ends at byte 0");
    check_refused(b".", "a value on the stack");
    check_refused(b"NN.", "one value at the end");
    check_refused(b"N.N", "1 bytes follow");
    check_refused(b"N(0.", "a value on the stack");
    check_refused(b"e", "a mark");
    check_refused(b"h\x01.", "remembered before");
    check_refused(b"}(Nu.", "a value for every key");
    check_refused(b"N)R.", "an allowed name");
    check_refused(b"NNb.", "may have a state");
    check_refused(&[b'('; 300], "more than 256 marks");
    check_refused(b"\x8a\x09\x00\x00\x00\x00\x00\x00\x00\x00\x01.", "at most 64 bits");
    check_refused(&tensor("UntypedStorage"), "`torch.UntypedStorage`");
}

#[test]
fn a_list_that_contains_itself_is_harmless() {
    assert!(read(b"]q\x00h\x00a.").is_ok());
}

#[test]
fn a_key_that_is_there_twice_is_refused_where_it_is_read() {
    let tree = read(b"}(X\x01\x00\x00\x00aNX\x01\x00\x00\x00aNu.").unwrap();
    assert_eq!(tree.entry(tree.root(), "a"), Err(PickleError::DuplicateKey { key: "a".into() }));
}

#[test]
fn the_corpus_of_the_fuzz_target_is_read_or_refused() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../fuzz/corpus/pth");
    let mut sound = Vec::new();
    for entry in fs_err::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if read(&fs_err::read(&path).unwrap()).is_ok() {
            sound.push(path.file_name().unwrap().to_str().unwrap().to_owned());
        }
    }
    sound.sort();
    assert_eq!(sound, ["itself.pkl", "plain.pkl", "residual.pkl", "tensor.pkl"]);
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = read(&bytes);
    }

    #[test]
    fn no_change_of_a_pickle_makes_it_panic(at in 0_usize..200, byte: u8, end in 0_usize..300) {
        let mut bytes = tensor("HalfStorage");
        let n = bytes.len();
        bytes[at % n] = byte;
        bytes.truncate(end.max(1));
        let _ = read(&bytes);
    }
}
