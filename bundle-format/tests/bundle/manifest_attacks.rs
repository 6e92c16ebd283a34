//! Manifests that break the schema, validly signed by the trusted key.

use bundle_format::{BundleBuilder, Manifest, Role};
use serde_json::{Value, json};

use crate::forge::{encode, entries, signed};
use crate::support::{Fixture, builder, draft, files, path};

/// Replaces the text of the manifest and signs the result.
#[track_caller]
pub(crate) fn check_text(edit: impl FnOnce(&str) -> String, expected: &str) {
    let fixture = Fixture::signed();
    let mut attacked = entries(&fixture.bytes());
    let text = str::from_utf8(&attacked[1].content).unwrap();
    attacked[1].content = edit(text).into_bytes();
    assert_eq!(fixture.refusal(&encode(&signed(&attacked))), expected);
}

/// Changes fields of the manifest, keeps it canonical, and signs the result.
#[track_caller]
pub(crate) fn check(edit: impl FnOnce(&mut Value), expected: &str) {
    let canonical = |text: &str| {
        let mut manifest: Value = serde_json::from_str(text).unwrap();
        edit(&mut manifest);
        manifest.sort_all_objects();
        manifest.to_string()
    };
    check_text(canonical, expected);
}

#[test]
fn manifests_are_canonical_json() {
    check_text(|text| format!("{text} "), "E401");
    check_text(|text| text.replacen(',', ", ", 1), "E401");
    check_text(|text| text.replacen("Hearts", "\\u0048earts", 1), "E401");
    check_text(|text| text.replacen("\"created\"", "\"channel\":\"dev\",\"created\"", 1), "E401");
    check_text(|text| text.replacen("\"opset\":17", "\"opset\":17.0", 1), "E401");
    check_text(|text| text.replacen("\"opset\":17", "\"opset\":null", 1), "E401");
    check_text(|text| text.replacen("\"opset\":17", "\"opset\":9007199254740992", 1), "E401");
    check_text(|text| text.replacen("\"opset\":17", "\"opset\":-0", 1), "E401");
    check_text(
        |text| text.replacen("\"opset\":17", &format!("\"opset\":{}1{}", "[".repeat(16), "]".repeat(16)), 1),
        "E401",
    );
    check_text(|_| String::new(), "E401");
    check_text(|_| "{".to_owned(), "E401");
}

#[test]
fn other_formats_are_refused() {
    check(|manifest| manifest["format"] = json!(2), "E402");
    check(|manifest| manifest["format"] = json!("1"), "E402");
    check(|manifest| drop(manifest.as_object_mut().unwrap().remove("format")), "E402");
    check_text(|_| "[]".to_owned(), "E402");
}

#[test]
fn unknown_and_missing_fields_are_refused() {
    check(|manifest| manifest["note"] = json!("hello"), "E403");
    for place in ["documents", "onnx", "provenance", "requires", "selftest"] {
        check(|manifest| manifest[place]["note"] = json!(1), "E403");
    }
    check(|manifest| manifest["members"][0]["note"] = json!(1), "E403");
    check(|manifest| manifest["files"][0]["note"] = json!(1), "E403");
    let text = str::from_utf8(&entries(&Fixture::signed().bytes())[1].content).unwrap().to_owned();
    let fields: Value = serde_json::from_str(&text).unwrap();
    for field in fields.as_object().unwrap().keys().filter(|field| *field != "format") {
        check(|manifest| drop(manifest.as_object_mut().unwrap().remove(field)), "E403");
    }
}

#[test]
fn values_keep_their_patterns_and_ranges() {
    let at = |pointer: &'static str, value: Value| {
        move |manifest: &mut Value| *manifest.pointer_mut(pointer).unwrap() = value
    };
    for (pointer, value) in [
        ("/channel", json!("staging")),
        ("/created", json!("2026-02-30T00:00:00Z")),
        ("/id", json!("Hearts")),
        ("/version", json!("1.0.0+x")),
        ("/title", json!("")),
        ("/title", json!("two\nlines")),
        ("/security_version", json!(0)),
        ("/security_version", json!(4_294_967_296_u64)),
        ("/min_security_version", json!(-1)),
        ("/members", json!([])),
        ("/members/0/id", json!("../x")),
        ("/members/0/model", json!("/etc/passwd")),
        ("/members/0/weight_milli", json!("1000")),
        ("/files/0/path", json!("A")),
        ("/files/0/sha256", json!("0")),
        ("/files/0/size", json!(-1)),
        ("/files/0/role", json!("code")),
        ("/files", json!([])),
        ("/selftest/min_dice_milli", json!(1001)),
        ("/onnx/opset", json!(0)),
        ("/requires/runtime", json!("latest")),
        ("/requires/arch", json!(["mips"])),
        ("/requires/execution_providers", json!([])),
        ("/requires/compatible", json!([])),
        ("/requires/memory_mib", json!(0)),
    ] {
        check(at(pointer, value), "E403");
    }
}

#[test]
fn version_requirements_have_one_spelling() {
    for text in [">=0.*, <2", ">=0.1,<2", " >=0.1, <2", ">= 0.1, <2", ">=0.1, <2.x"] {
        check(|manifest| manifest["requires"]["runtime"] = json!(text), "E403");
        check(|manifest| manifest["requires"]["onnxruntime"] = json!(text), "E403");
    }
}

#[test]
fn lists_are_sorted_and_unique() {
    let swap = |pointer: &'static str| {
        move |manifest: &mut Value| manifest.pointer_mut(pointer).unwrap().as_array_mut().unwrap().swap(0, 1)
    };
    check(swap("/files"), "E404");
    check(swap("/onnx/operators"), "E404");
    check(swap("/requires/arch"), "E404");
    check(swap("/requires/execution_providers"), "E404");
    let twice = |pointer: &'static str| {
        move |manifest: &mut Value| {
            let list = manifest.pointer_mut(pointer).unwrap().as_array_mut().unwrap();
            list.insert(0, list[0].clone());
        }
    };
    for pointer in ["/files", "/members", "/onnx/operators", "/requires/compatible"] {
        check(twice(pointer), "E404");
    }
}

#[test]
fn paths_name_files_of_the_fitting_role() {
    check(|manifest| manifest["pipeline"] = json!("config/none.json"), "E405");
    check(|manifest| manifest["pipeline"] = json!("docs/license.txt"), "E405");
    check(|manifest| manifest["members"][0]["model"] = json!("config/pipeline.json"), "E405");
    check(|manifest| manifest["members"][0]["external"] = json!(["selftest/input.bin"]), "E405");
    check(|manifest| manifest["documents"]["sbom"] = json!("docs/license.txt"), "E405");
    check(|manifest| manifest["documents"]["provenance"] = json!("sbom/model.cdx.json"), "E405");

    let mut draft = draft(1);
    draft.members[0].external = vec![path("models/elsewhere.data")];
    let mut files = files(1);
    files.push((path("models/elsewhere.data"), Role::OnnxData, Vec::new()));
    let fixture = Fixture::unsigned(1);
    assert_eq!(builder(draft, files).write(&fixture.bundle()).unwrap_err().code(), "E405");
}

#[test]
fn files_cannot_name_manifest_or_signatures() {
    for name in ["manifest.json", "signatures", "signatures/0.sig"] {
        let fixture = Fixture::unsigned(1);
        let before = fixture.bytes();
        let mut builder = builder(draft(1), files(1));
        builder.add_bytes(path(name), Role::Document, Vec::new()).unwrap();
        assert_eq!(builder.write(&fixture.bundle()).unwrap_err().code(), "E406");
        assert_eq!(fixture.bytes(), before);
    }
}

#[test]
fn the_manifest_is_at_most_a_mebibyte() {
    check_text(|_| " ".repeat((1 << 20) + 1), "E105");
}

#[test]
fn builders_refuse_a_name_twice_and_a_source_that_changes() {
    let mut builder = BundleBuilder::new(draft(1));
    builder.add_bytes(path("a"), Role::Document, Vec::new()).unwrap();
    let error = builder.add_bytes(path("a"), Role::Config, Vec::new()).unwrap_err();
    assert_eq!(error.code(), "E161");

    let fixture = Fixture::unsigned(1);
    let before = fixture.bytes();
    let mut builder = crate::support::builder(draft(1), files(1));
    // Linux makes a new text for every reader of this file.
    let restless = "/proc/sys/kernel/random/uuid".into();
    builder.add_file(path("docs/restless.txt"), Role::Document, restless).unwrap();
    assert_eq!(builder.write(&fixture.bundle()).unwrap_err().code(), "E162");
    assert_eq!(fixture.bytes(), before);
}

#[test]
fn manifests_read_back_what_they_write() {
    let text = entries(&Fixture::signed().bytes())[1].content.clone();
    assert_eq!(Manifest::parse(&text).unwrap().to_json(), text);
}
