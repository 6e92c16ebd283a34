//! Every limit and every list of the ONNX pre-flight, from both sides: what is just inside passes, the next is refused.

use std::io::Cursor;

use bundle_format::{OnnxProfile, check_onnx};

use crate::onnx_forge::{
    accepted, bytes, check, check_node, check_tensor, fixed, graph, input, model, node, number, opset, profile, varint,
    weights,
};

/// The attribute `a` of the node `Add` with further fields.
fn attribute(more: &[u8]) -> Vec<u8> {
    bytes(5, [bytes(1, "a"), more.to_vec()].concat())
}

fn accepted_node(more: &[u8]) {
    assert_eq!(accepted(&model(&[node("Add", more)])).n_nodes, 1);
}

/// The initializer `w` of `element`s with one axis of `extent`, its values given by `field`.
fn tensor(element: u64, extent: u64, field: &[u8]) -> Vec<u8> {
    bytes(5, [number(1, extent), number(2, element), bytes(8, "w"), field.to_vec()].concat())
}

fn raw(n_bytes: usize) -> Vec<u8> {
    bytes(9, vec![0; n_bytes])
}

#[test]
fn versions_of_format_and_operators_are_known_from_first_to_last() {
    let of = |ir_version: u32, opset_version: u32| {
        let profile = OnnxProfile { ir_version, opset: opset_version, ..profile() };
        let model = [number(1, ir_version.into()), graph(&[]), opset("", opset_version.into())].concat();
        check_onnx(Cursor::new(&model), model.len() as u64, &profile).map_err(|error| error.rule().code())
    };
    for (ir_version, opset_version) in [(7, 13), (10, 21)] {
        assert!(of(ir_version, opset_version).is_ok());
    }
    for (ir_version, opset_version) in [(6, 17), (11, 17), (8, 12), (8, 22)] {
        assert_eq!(of(ir_version, opset_version), Err("E604"));
    }
    accepted(&[number(1, 8), graph(&[]), opset("ai.onnx", 17)].concat());
}

#[test]
fn every_field_of_a_model_that_may_be_there_may() {
    let texts = [bytes(2, "producer"), bytes(3, "1.0"), bytes(4, "domain"), number(5, 1), bytes(6, "doc")].concat();
    let graph = graph(&[bytes(10, "doc")]);
    accepted(&[number(1, 8), texts, graph, opset("", 17)].concat());
    // The same numbers with content of another kind.
    for field in [bytes(1, ""), number(2, 1), bytes(5, ""), number(6, 1), number(7, 1), number(8, 1)] {
        let expected = format!("field {} of `ModelProto`", field[0] >> 3);
        check(&field, "E602", &expected);
    }
    for field in [2, 10] {
        check(&model(&[number(field, 1)]), "E602", &format!("field {field} of `GraphProto`"));
    }
    check(&model(&[bytes(2, "again")]), "E602", "field 2 of `GraphProto` occurs twice");
    check(&model(&[bytes(10, ""), bytes(10, "")]), "E602", "field 10 of `GraphProto` occurs twice");
    check(&[number(1, 8), bytes(8, number(1, 1))].concat(), "E602", "field 1 of `OperatorSetIdProto`");
    check(&[number(1, 8), bytes(8, [number(2, 17), number(2, 17)].concat())].concat(), "E602", "occurs twice");
}

#[test]
fn numbers_of_fields_that_no_message_has_are_refused() {
    for field in [31, 32, 33, 63, 64] {
        check(&[number(1, 8), number(field, 1)].concat(), "E602", &format!("field {field} of `ModelProto`"));
    }
}

#[test]
fn texts_and_names_may_be_as_long_as_their_limits() {
    let (name, text) = ("n".repeat(512), "t".repeat(64 << 10));
    accepted_node(&[bytes(1, &name), bytes(6, &text)].concat());
    check_node("Add", &bytes(1, "n".repeat(513)), "E603", "513 bytes of a name, the limit is 512");
    check_node("Add", &bytes(6, "t".repeat((64 << 10) + 1)), "E603", "65537 bytes of a text, the limit is 65536");
    check(&bytes(2, "n".repeat(513)), "E603", "513 bytes of a name");
}

#[test]
fn nodes_have_inputs_outputs_and_attributes_up_to_their_limits() {
    // The node has one input and one output already.
    accepted_node(&bytes(1, "x").repeat(62));
    check_node("Add", &bytes(2, "y").repeat(63), "E603", "65 inputs and outputs of a node, the limit is 64");
    accepted_node(&attribute(&[]).repeat(64));
    check_node("Add", &attribute(&[]).repeat(65), "E603", "65 attributes of a node, the limit is 64");
    for field in [number(1, 1), number(5, 1), number(3, 1)] {
        check_node("Add", &field, "E602", "of `NodeProto`");
    }
    check_node("Add", &bytes(3, "again"), "E602", "field 3 of `NodeProto` occurs twice");
    check_node("Add", &bytes(8, ""), "E602", "field 8 of `NodeProto`");
}

#[test]
fn graphs_have_initializers_and_values_up_to_their_limits() {
    let named = |index: usize| bytes(5, [number(1, 0), number(2, 1), bytes(8, index.to_string())].concat());
    accepted(&model(&(0..20_000).map(named).collect::<Vec<_>>()));
    check(&model(&(0..20_001).map(named).collect::<Vec<_>>()), "E603", "20001 initializers, the limit is 20000");
    let inputs = |n: usize| model(&[input(1, 1).repeat(n)]);
    accepted(&inputs(40_000));
    check(&inputs(40_001), "E603", "40001 values, the limit is 40000");
}

#[test]
fn attributes_hold_numbers_texts_tensors_and_lists() {
    for more in [
        fixed(2, 5),
        number(3, 1),
        bytes(4, "text"),
        number(20, 1),
        bytes(13, "doc"),
        fixed(7, 5).repeat(3),
        bytes(7, [0; 12]),
        number(8, 1).repeat(3),
        bytes(8, [1, 2, 3]),
        bytes(9, "text").repeat(3),
        bytes(5, [number(2, 1), bytes(9, [0; 4])].concat()),
    ] {
        accepted_node(&attribute(&more));
    }
    for (more, field) in [
        (fixed(2, 1), 2),
        (fixed(3, 5), 3),
        (number(4, 1), 4),
        (number(7, 1), 7),
        (fixed(7, 1), 7),
        (bytes(7, [0; 7]), 7),
        (fixed(8, 5), 8),
        (number(9, 1), 9),
        (bytes(10, ""), 10),
        (bytes(14, ""), 14),
    ] {
        check_node("Add", &attribute(&more), "E602", &format!("field {field} of `AttributeProto`"));
    }
    check_node("Add", &attribute(&number(3, 1).repeat(2)), "E602", "field 3 of `AttributeProto` occurs twice");
}

#[test]
fn lists_of_attributes_have_4096_values_however_they_are_written() {
    let lists =
        |n: usize| [fixed(7, 5).repeat(n), bytes(7, vec![0; 4 * n]), number(8, 1).repeat(n), bytes(8, vec![1; n])];
    for list in lists(4096) {
        accepted_node(&attribute(&list));
    }
    for list in lists(4097) {
        check_node("Add", &attribute(&list), "E603", "4097 values of an attribute, the limit is 4096");
    }
    accepted_node(&attribute(&bytes(9, "").repeat(4096)));
    check_node("Add", &attribute(&bytes(9, "").repeat(4097)), "E603", "4097 values of an attribute");
    // Two lists count together, so none hides behind the other.
    let both = |n: usize| attribute(&[bytes(7, vec![0; 4 * n]), bytes(7, vec![0; 4 * n])].concat());
    accepted_node(&both(2048));
    check_node("Add", &both(2049), "E603", "4098 values of an attribute");
    let both = |n: usize| attribute(&[bytes(8, vec![1; n]), bytes(8, vec![1; n])].concat());
    accepted_node(&both(2048));
    check_node("Add", &both(2049), "E603", "4098 values of an attribute");
}

#[test]
fn every_type_has_its_size() {
    for (element, n_bytes) in [(1, 4), (2, 1), (3, 1), (6, 4), (7, 8), (9, 1), (10, 2), (11, 8), (16, 2)] {
        assert_eq!(accepted(&model(&[tensor(element, 3, &raw(3 * n_bytes))])).n_parameters, 3);
        check_tensor(tensor(element, 3, &raw(3 * n_bytes - 1)), "E610", "extents and type give");
        accepted(&model(&[input(element, 4)]));
    }
    for element in [0, 4, 5, 8, 12, 13, 14, 15, 17, 18] {
        check_tensor(tensor(element, 3, &raw(12)), "E611", &format!("the element type {element}"));
    }
}

#[test]
fn every_type_has_its_field_of_values() {
    let packed_or_one_by_one = [
        (1, bytes(4, [0; 12]), fixed(4, 5)),
        (7, bytes(7, [1, 2, 3]), number(7, 1)),
        (11, bytes(10, [0; 24]), fixed(10, 1)),
        (6, bytes(5, [1, 2, 3]), number(5, 1)),
        (10, bytes(5, [1, 2, 3]), number(5, 1)),
        (9, bytes(5, [1, 0, 1]), number(5, 1)),
    ];
    for (element, packed, one) in packed_or_one_by_one {
        for values in [packed.clone(), one.repeat(3), [one.clone(), one.repeat(2)].concat()] {
            assert_eq!(accepted(&model(&[tensor(element, 3, &values)])).n_parameters, 3);
        }
        check_tensor(tensor(element, 4, &packed), "E610", "`w` has 3 values, its extents and type give 4");
        check_tensor(tensor(element, 5, &[packed.clone(), one.clone()].concat()), "E610", "has 4 values");
        // Values in the field of another type.
        let other = if element == 1 { number(7, 1) } else { fixed(4, 5) };
        check_tensor(tensor(element, 1, &other), "E602", "of `TensorProto`");
        check_tensor(tensor(element, 4, &[packed, other].concat()), "E602", "of `TensorProto`");
    }
    for (field, n_bytes) in [(4, 6), (10, 12)] {
        check_tensor(tensor(1, 1, &bytes(field, vec![0; n_bytes])), "E602", &format!("field {field} of `TensorProto`"));
    }
    for (field, wire_type) in [(4, 1), (5, 5), (7, 1), (10, 5)] {
        let values = fixed(field, wire_type);
        check_tensor(tensor(1, 1, &values), "E602", &format!("field {field} of `TensorProto`"));
    }
}

#[test]
fn fields_of_a_tensor_occur_as_often_as_they_may() {
    accepted(&model(&[weights([2, 3], 24, &[bytes(12, "doc"), number(14, 0)].concat())]));
    for field in [number(2, 1), bytes(8, "w"), bytes(9, ""), bytes(12, "doc")] {
        let twice = [field.clone(), field].concat();
        check_tensor(weights([2, 3], 24, &twice), "E602", "of `TensorProto` occurs twice");
    }
    for field in [bytes(2, ""), number(8, 1), number(9, 1), number(12, 1), number(3, 1), number(6, 1), number(11, 1)] {
        check_tensor(bytes(5, field), "E602", "of `TensorProto` is not allowed");
    }
    check_tensor(bytes(5, fixed(1, 5)), "E602", "field 1 of `TensorProto`");
}

#[test]
fn tensors_have_eight_axes_and_extents_of_nothing_or_more() {
    let of = |extents: Vec<u8>| bytes(5, [extents, number(2, 2), bytes(8, "w"), raw(1)].concat());
    accepted(&model(&[of(number(1, 1).repeat(8))]));
    accepted(&model(&[of(bytes(1, [1; 8]))]));
    accepted(&model(&[of([bytes(1, [1; 7]), number(1, 1)].concat())]));
    check_tensor(of(number(1, 1).repeat(9)), "E603", "9 axes of a tensor, the limit is 8");
    check_tensor(of([bytes(1, [1; 8]), number(1, 1)].concat()), "E603", "9 axes of a tensor");
    // A packed extent of two bytes is one extent.
    let wide = bytes(5, [bytes(1, varint(300)), number(2, 2), bytes(8, "w"), raw(300)].concat());
    assert_eq!(accepted(&model(&[wide])).n_parameters, 300);
    let none = bytes(5, [number(1, 0), number(2, 1), bytes(8, "w")].concat());
    assert_eq!(accepted(&model(&[none])).n_parameters, 0);
}

#[test]
fn values_have_eight_axes_and_two_to_the_31_numbers() {
    let value = |tensor_type: &[u8]| bytes(11, [bytes(1, "x"), bytes(2, bytes(1, tensor_type))].concat());
    let of = |axes: &[u8]| value(&[number(1, 1), bytes(2, axes)].concat());
    let axis = |extent: u64| bytes(1, number(1, extent));
    accepted(&model(&[of(&axis(1).repeat(8))]));
    check(&model(&[of(&axis(1).repeat(9))]), "E603", "9 axes of a tensor, the limit is 8");
    check(&model(&[of(&bytes(1, bytes(2, "n")).repeat(9))]), "E603", "9 axes of a tensor");
    accepted(&model(&[of(&axis(1 << 31))]));
    accepted(&model(&[of(&[axis(1 << 16), axis(1 << 15)].concat())]));
    check(&model(&[of(&axis((1 << 31) + 1))]), "E603", "2147483649 values of a tensor, the limit is 2147483648");
    check(&model(&[of(&[axis(1 << 40), axis(1 << 40)].concat())]), "E603", "18446744073709551615 values");
    check(&model(&[of(&number(1, 1))]), "E602", "field 1 of `TensorShapeProto`");
    check(&model(&[of(&bytes(1, number(2, 1)))]), "E602", "field 2 of `TensorShapeProto.Dimension`");
    check(&model(&[of(&bytes(1, [number(1, 1), number(1, 1)].concat()))]), "E602", "occurs twice");
    check(&model(&[of(&bytes(1, bytes(2, "n".repeat(513))))]), "E603", "513 bytes of a name");
    check(&model(&[value(&bytes(1, ""))]), "E602", "field 1 of `TypeProto.Tensor`");
    check(&model(&[value(&[number(1, 1), number(1, 1)].concat())]), "E602", "`TypeProto.Tensor` occurs twice");
    accepted(&model(&[bytes(11, [bytes(2, bytes(1, number(1, 1))), bytes(3, "doc")].concat())]));
    check(&model(&[bytes(11, number(1, 1))]), "E602", "field 1 of `ValueInfoProto`");
    check(&model(&[bytes(11, bytes(4, ""))]), "E602", "field 4 of `ValueInfoProto`");
    for field in [12, 13] {
        let mut elsewhere = of(&axis(0));
        elsewhere[0] = u8::try_from(field << 3 | 2).unwrap();
        check(&model(&[elsewhere]), "E611", "`x` has the extent 0");
    }
}

#[test]
fn parameters_of_all_initializers_are_counted() {
    let named = |name: &str, extent: u64| bytes(5, [number(1, extent), number(2, 2), bytes(8, name), raw(5)].concat());
    let facts = accepted(&model(&[node("Conv", &[]), named("a", 5), named("b", 5), node("Add", &[])]));
    assert_eq!((facts.n_nodes, facts.n_parameters), (2, 10));
    assert!(facts.operators.iter().eq(["Add", "Conv"]));
}

#[test]
fn messages_name_the_known_versions() {
    let error = check_onnx(Cursor::new(number(1, 9)), 2, &profile()).unwrap_err();
    assert_eq!(error.to_string(), "IR version 9, the manifest states 8, this program reads 7 to 10");
}
