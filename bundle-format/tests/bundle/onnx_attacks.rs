//! Signed models that must not reach ONNX Runtime, and one that may.

use std::io::{Cursor, Read, Write};
use std::os::unix::fs::PermissionsExt;

use bundle_format::{BundleContents, OPERATORS, OnnxProfile, check_onnx, sign};

use crate::onnx_forge::{
    bytes, check, check_node, check_tensor, good, graph, input, model, node, number, opset, profile, weights,
};
use crate::support::{Fixture, builder, draft, files, key, tokens};

#[test]
fn a_small_network_passes_and_is_counted() {
    let model = good();
    let facts = check_onnx(Cursor::new(&model), model.len() as u64, &profile()).unwrap();
    assert_eq!((facts.n_nodes, facts.n_parameters), (1, 6));
    assert!(facts.operators.iter().eq(["Conv"]));
}

#[test]
fn every_truncation_of_a_model_is_refused() {
    let model = good();
    for n_bytes in 0..model.len() {
        assert!(check_onnx(Cursor::new(&model[..n_bytes]), n_bytes as u64, &profile()).is_err(), "{n_bytes} bytes");
        // The file is shorter than it is said to be.
        assert!(check_onnx(Cursor::new(&model[..n_bytes]), model.len() as u64, &profile()).is_err());
    }
    check(&[good(), vec![0]].concat(), "E601", "well-formed");
    check(&[good(), number(1, 8)].concat(), "E602", "occurs twice");
    check(&[good(), graph(&[])].concat(), "E602", "field 7 of `ModelProto` occurs twice");
    check(b"network 0", "E601", "byte");
}

#[test]
fn what_a_model_lacks_is_named() {
    check(&[], "E602", "`ModelProto` has no `ir_version`");
    check(&[number(1, 8), opset("", 17)].concat(), "E602", "no `graph`");
    check(&[number(1, 8), graph(&[])].concat(), "E602", "no `opset_import`");
    check(&model(&[bytes(11, bytes(1, "x"))]), "E602", "no `type`");
    check_node("Conv", &bytes(5, number(3, 1)), "E602", "no `name`");
}

#[test]
fn versions_are_those_of_the_manifest_and_known() {
    check(&[number(1, 9), graph(&[]), opset("", 17)].concat(), "E604", "IR version 9, the manifest states 8");
    check(&[number(1, 8), graph(&[]), opset("", 18)].concat(), "E604", "operator set 18, the manifest states 17");
    let future = OnnxProfile { ir_version: 99, operators: tokens(&["Conv"]), opset: 99 };
    let model = [number(1, 99), graph(&[]), opset("", 99)].concat();
    let error = check_onnx(Cursor::new(&model), model.len() as u64, &future).unwrap_err();
    assert_eq!(error.rule().code(), "E604");
}

#[test]
fn operators_of_other_domains_are_refused_by_name() {
    check(&[number(1, 8), graph(&[]), opset("com.microsoft", 1)].concat(), "E605", "com.microsoft");
    check_node("Conv", &bytes(7, "evil.ops"), "E605", "evil.ops");
    check(&[model(&[]), opset("ai.onnx.ml", 3)].concat(), "E602", "field 8");
}

#[test]
fn operators_off_the_lists_are_refused_by_name() {
    for operator in
        ["If", "Loop", "Scan", "SequenceMap", "OptionalGetElement", "PyOp", "conv", "Conv ", "EPContext", ""]
    {
        check_node(operator, &[], "E606", &format!("`{operator}` of the node `n0`"));
    }
    check_node("MaxPool", &[], "E607", "`MaxPool` of the node `n0` is not in the manifest");
    for operator in OPERATORS {
        let own = OnnxProfile { operators: tokens(&[operator]), ..profile() };
        let model = model(&[node(operator, &[])]);
        assert!(check_onnx(Cursor::new(&model), model.len() as u64, &own).is_ok(), "{operator}");
    }
}

#[test]
fn graphs_in_graphs_and_functions_are_refused() {
    for field in [6, 11] {
        let attribute = [bytes(1, "body"), bytes(field, bytes(2, "inner"))].concat();
        check_node("Conv", &bytes(5, attribute), "E608", "`body` holds a graph");
    }
    check(&[good(), bytes(25, "")].concat(), "E608", "functions");
    check(&[good(), number(25, 1)].concat(), "E608", "functions");
}

#[test]
fn fields_that_no_network_needs_are_refused() {
    check(&[good(), bytes(20, "")].concat(), "E602", "field 20 of `ModelProto`"); // training
    check(&[good(), bytes(14, "")].concat(), "E602", "field 14 of `ModelProto`"); // metadata
    check(&[good(), bytes(26, "")].concat(), "E602", "field 26 of `ModelProto`"); // devices
    check(&[good(), number(1000, 1)].concat(), "E602", "field 1000 of `ModelProto`");
    check(&model(&[bytes(14, "")]), "E602", "field 14 of `GraphProto`"); // quantization
    check(&model(&[bytes(15, "")]), "E602", "field 15 of `GraphProto`"); // sparse
    check_node("Conv", &bytes(8, "overload"), "E602", "field 8 of `NodeProto`");
    check_node("Conv", &bytes(5, [bytes(1, "a"), bytes(21, "outer")].concat()), "E602", "field 21"); // reference
    check_node("Conv", &bytes(5, [bytes(1, "a"), bytes(22, "")].concat()), "E602", "field 22"); // sparse
    check_node("Conv", &number(4, 1), "E602", "field 4 of `NodeProto`"); // a number for a name
    check_tensor(weights([2, 3], 24, &bytes(3, "")), "E602", "field 3 of `TensorProto`"); // segment
    check_tensor(weights([2, 3], 24, &bytes(6, "text")), "E602", "field 6 of `TensorProto`"); // strings
}

#[test]
fn tensors_outside_of_the_file_are_refused_wherever_they_point() {
    for location in ["../../etc/passwd", "/etc/passwd", "weights.data", "", "*/_ORT_MEM_ADDR_/*"] {
        let entry = [bytes(1, "location"), bytes(2, location)].concat();
        check_tensor(weights([2, 3], 24, &bytes(13, entry)), "E609", "`w` lies outside");
    }
    check_tensor(weights([2, 3], 24, &number(14, 1)), "E609", "`w`");
    check_tensor(weights([2, 3], 24, &number(14, u64::MAX)), "E609", "`w`");
    let attribute = bytes(5, bytes(13, ""));
    check_node("Conv", &bytes(5, [bytes(1, "value"), attribute].concat()), "E609", "outside");
}

#[test]
fn tensors_have_the_values_that_their_extents_say() {
    check_tensor(weights([2, 3], 23, &[]), "E610", "`w` has 23 bytes, its extents and type give 24");
    check_tensor(weights([2, 3], 25, &[]), "E610", "25 bytes");
    check_tensor(weights([1 << 40, 1 << 40], 24, &[]), "E610", "24 bytes"); // the product wraps around
    check_tensor(weights([u64::MAX, 3], 24, &[]), "E611", "`w` has the extent -1");
    let nothing = [number(1, 2), number(2, 1), bytes(8, "w")].concat();
    check_tensor(bytes(5, nothing), "E610", "0 values");
    let twice = [weights([2, 3], 24, &[]), weights([2, 3], 24, &[])];
    check(&model(&twice), "E610", "`w` is there twice");
    check_tensor(weights([2, 3], 24, &bytes(4, [0; 24])), "E602", "field 4"); // two places for values
    let integers = [number(1, 2), number(2, 7), bytes(8, "w"), bytes(7, [1, 2, 3])].concat();
    check_tensor(bytes(5, integers), "E610", "3 values, its extents and type give 2");
    let other_type = [number(1, 2), number(2, 1), bytes(8, "w"), bytes(7, [1, 2])].concat();
    check_tensor(bytes(5, other_type), "E602", "field 7");
}

#[test]
fn types_have_a_size() {
    for element in [0, 8, 14, 15, 17, 23, 1000] {
        check(&model(&[input(element, 4)]), "E611", &format!("`x` has the element type {element}"));
    }
    check(&model(&[input(1, 0)]), "E611", "`x` has the extent 0");
    check(&model(&[input(1, u64::MAX)]), "E611", "`x` has the extent -1");
    check(&model(&[input(1, (1 << 31) + 1)]), "E603", "2147483649 values of a tensor");
    let sequence = bytes(11, [bytes(1, "x"), bytes(2, bytes(4, ""))].concat());
    check(&model(&[sequence]), "E602", "field 4 of `TypeProto`");
}

#[test]
fn counts_names_and_axes_have_limits() {
    let many = |part: &[u8], n: usize| model(&[part.repeat(n)]);
    let tiny = bytes(1, bytes(4, "Add"));
    assert!(check_onnx(Cursor::new(&many(&tiny, 20_000)), many(&tiny, 20_000).len() as u64, &profile()).is_ok());
    check(&many(&tiny, 20_001), "E603", "20001 nodes, the limit is 20000");
    let named = |index: usize| bytes(5, [number(1, 0), number(2, 1), bytes(8, index.to_string())].concat());
    check(&model(&(0..20_001).map(named).collect::<Vec<_>>()), "E603", "20001 initializers");
    check_node("Add", &bytes(1, "x").repeat(64), "E603", "65 inputs and outputs");
    check_node("Add", &bytes(5, bytes(1, "a")).repeat(65), "E603", "65 attributes");
    check_node(&"A".repeat(513), &[], "E603", "513 bytes of a name");
    check_node("Add", &bytes(6, "t".repeat((64 << 10) + 1)), "E603", "bytes of a text");
    check_node("Add", &bytes(5, [bytes(1, "a"), bytes(8, [1; 4097])].concat()), "E603", "4097 values");
    check_tensor(bytes(5, number(1, 1).repeat(9)), "E603", "9 axes");
    check_tensor(bytes(5, bytes(1, [1; 9])), "E603", "9 axes");
    check_node("Ad\u{1b}[2J", &[], "E601", "byte"); // would clear a terminal
}

#[test]
fn models_that_the_library_onnx_wrote_are_read_as_it_meant_them() {
    // The seeds of the fuzz target; `fuzz/onnx_seeds.py` makes them.
    let own = OnnxProfile { operators: tokens(&OPERATORS), ..profile() };
    let check = |model: &[u8]| check_onnx(Cursor::new(model), model.len() as u64, &own);
    let facts = check(include_bytes!("../../fuzz/corpus/onnx/conv.onnx")).unwrap();
    assert_eq!((facts.n_nodes, facts.n_parameters), (3, 18 + 2));
    assert!(facts.operators.iter().eq(["Conv", "InstanceNormalization", "LeakyRelu"]));
    assert_eq!(check(include_bytes!("../../fuzz/corpus/onnx/half.onnx")).unwrap().n_parameters, 18);
    assert_eq!(check(include_bytes!("../../fuzz/corpus/onnx/typed.onnx")).unwrap().n_parameters, 1 + 2);
    let error = check(include_bytes!("../../fuzz/corpus/onnx/if.onnx")).unwrap_err();
    assert_eq!(error.rule().code(), "E608");
}

/// A signed bundle whose one model holds `model`.
fn bundle_with(model: Vec<u8>) -> Fixture {
    let fixture = Fixture::unsigned(1);
    let mut files = files(1);
    files.last_mut().unwrap().2 = model;
    builder(draft(1), files).write(&fixture.bundle()).unwrap();
    sign(&fixture.bundle(), &key(1), &fixture.bundle()).unwrap();
    fixture
}

#[test]
fn a_signed_but_hostile_model_is_not_loaded() {
    let fixture = bundle_with(model(&[node("Loop", &[])]));
    let before = fixture.bytes();
    let bundle = fixture.verify_path(&fixture.bundle()).unwrap();
    let error = bundle.load_model(&bundle.manifest().members[0].id).unwrap_err();
    assert_eq!((error.code(), error.exit_code()), ("E606", 10));
    assert_eq!(error.to_string(), "`models/fold_0/checkpoint_9.onnx` is not handed to ONNX Runtime");
    assert_eq!(fixture.bytes(), before);
}

#[test]
fn a_loaded_model_lies_in_memory_that_nobody_can_change() {
    let fixture = bundle_with(good());
    let bundle = fixture.verify_path(&fixture.bundle()).unwrap();
    let loaded = bundle.load_model(&bundle.manifest().members[0].id).unwrap();
    fs_err::write(fixture.bundle(), b"another").unwrap();
    let read = || fs_err::read(loaded.path()).unwrap();
    assert_eq!((read(), loaded.n_bytes()), (good(), good().len() as u64));
    assert_eq!(loaded.facts().n_parameters, 6);

    let mut open = fs_err::OpenOptions::new().read(true).write(true).open(loaded.path()).unwrap();
    assert!(open.write_all(b"x").is_err());
    assert!(open.set_len(0).is_err() && open.set_len(1 << 20).is_err());
    let mut first = [0; 1];
    open.read_exact(&mut first).unwrap();
    let mode = fs_err::metadata(loaded.path()).unwrap().permissions().mode();
    assert!(read() == good() && mode & 0o7000 == 0);
}

#[test]
fn a_model_changed_after_verification_is_not_loaded() {
    let fixture = bundle_with(good());
    let bundle = fixture.verify_path(&fixture.bundle()).unwrap();
    let mut bytes = fixture.bytes();
    let at = bytes.windows(4).rposition(|window| window == b"Conv").unwrap();
    bytes[at] ^= 1;
    fs_err::write(fixture.bundle(), &bytes).unwrap();
    let error = bundle.load_model(&bundle.manifest().members[0].id).unwrap_err();
    assert_eq!((error.code(), error.exit_code()), ("E209", 10));
    assert_eq!(fixture.bytes(), bytes);
}
