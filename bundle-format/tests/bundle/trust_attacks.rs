//! Trust files that lie, one generator per lie. Where the lie lies inside the
//! document, valid signatures of the threshold of roots cover it.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use p256::pkcs8::{EncodePublicKey, LineEnding};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::support::key;
use crate::trust_forge::{
    ROOTS, SITE, assert_refused, canonical, draft, envelope, forged, line, payload, read, signature, signed,
};

const SCHEMA: (&str, u8) = ("E353", 11);
const ORDER: (&str, u8) = ("E354", 11);
const REFERENCE: (&str, u8) = ("E355", 11);
const LIMIT: (&str, u8) = ("E356", 14);

/// A document whose fields are edited and validly signed must be refused.
#[track_caller]
fn check(edit: impl FnOnce(&mut Value), expected: (&str, u8), words: &str) {
    let mut payload = payload();
    edit(&mut payload);
    assert_refused(read(forged(&canonical(&payload), &ROOTS[..2]).as_bytes()), expected, words);
}

/// A document whose text is edited and validly signed must be refused.
#[track_caller]
fn check_text(edit: impl FnOnce(String) -> String, expected: (&str, u8), words: &str) {
    let text = edit(canonical(&payload()));
    assert_refused(read(forged(&text, &ROOTS[..2]).as_bytes()), expected, words);
}

/// An envelope whose text is edited after signing must be refused.
#[track_caller]
fn check_line(edit: impl FnOnce(String) -> String, expected: (&str, u8), words: &str) {
    let text = edit(forged(&canonical(&payload()), &ROOTS[..2]));
    assert_refused(read(text.as_bytes()), expected, words);
}

/// A document with an edited field of the key `index`, validly signed, must be refused.
#[track_caller]
fn check_key(index: u8, field: &str, value: Value, expected: (&str, u8), words: &str) {
    let edit = |payload: &mut Value| {
        let place = place(payload, index);
        payload["keys"][place][field] = value;
    };
    check(edit, expected, words);
}

/// The position of the key `index` in the list of keys.
fn place(payload: &Value, index: u8) -> usize {
    let id = key(index).public_key().key_id().to_string();
    payload["keys"].as_array().unwrap().iter().position(|key| key["keyid"] == id.as_str()).unwrap()
}

fn id(index: u8) -> String {
    key(index).public_key().key_id().to_string()
}

#[test]
fn writer_and_specification_give_the_same_envelope() {
    let ours = envelope(draft(), &ROOTS[..2]).to_line();
    let forged = forged(&canonical(&payload()), &ROOTS[..2]);
    assert_eq!(str::from_utf8(&ours), Ok(forged.as_str()));
    let trust = read(&ours).unwrap();
    assert_eq!(trust.document().version, 1);
    assert_eq!(trust.envelope().to_line(), ours);
}

#[test]
fn unknown_and_missing_fields_are_refused() {
    check(|payload| payload["extra"] = json!(1), SCHEMA, "unknown field `extra`");
    check(|payload| payload["keys"][0]["extra"] = json!(1), SCHEMA, "unknown field `extra`");
    check(|payload| payload["roots"]["extra"] = json!(1), SCHEMA, "unknown field `extra`");
    check(|payload| payload["revoked"]["extra"] = json!(1), SCHEMA, "unknown field `extra`");
    check(|payload| payload["policy"]["clinical"][0]["extra"] = json!(1), SCHEMA, "unknown field `extra`");
    for field in ["created", "expires", "keys", "min_security_version", "policy", "revoked", "roots", "version"] {
        check(
            |payload| drop(payload.as_object_mut().unwrap().remove(field)),
            SCHEMA,
            &format!("missing field `{field}`"),
        );
    }
    check_line(|text| text.replacen("{\"payload\"", "{\"a\":1,\"payload\"", 1), ("E352", 11), "unknown field `a`");
    check_line(|text| text.replacen("trust.v1", "trust.v2", 1), ("E352", 11), "trust.v2");
    check_line(|_| "{}\n".to_owned(), ("E352", 11), "missing field");
}

#[test]
fn other_formats_are_refused() {
    check(|payload| payload["format"] = json!(2), SCHEMA, "not of format 1");
    check(|payload| payload["format"] = json!("1"), SCHEMA, "not of format 1");
    check(|payload| drop(payload.as_object_mut().unwrap().remove("format")), SCHEMA, "not of format 1");
    check_text(|_| "[]".to_owned(), SCHEMA, "not of format 1");
}

#[test]
fn duplicate_keys_and_other_spellings_are_refused() {
    const JSON: (&str, u8) = ("E351", 11);
    check_text(|text| text.replacen("\"format\":1", "\"format\":1,\"format\":1", 1), JSON, "duplicate key `format`");
    check_text(
        |text| text.replacen("\"version\":1", "\"version\":1,\"version\":2", 1),
        JSON,
        "duplicate key `version`",
    );
    check_text(|text| text.replacen(':', ": ", 1), JSON, "not canonical JSON");
    check_text(|text| format!("{text} "), JSON, "not canonical JSON");
    check_text(|text| text.replacen("\"format\":1", "\"format\":1.0", 1), JSON, "not strict JSON");
    check_text(|text| text.replacen("\"format\":1", "\"format\":null", 1), JSON, "not strict JSON");
    check_text(|_| "[".repeat(1000), JSON, "not strict JSON");
    check_text(|_| String::new(), JSON, "not strict JSON");
    check_line(|text| text.replacen(':', ": ", 1), JSON, "not canonical JSON");
    check_line(
        |text| text.replacen("{\"payload\"", "{\"payload\":\"\",\"payload\"", 1),
        JSON,
        "duplicate key `payload`",
    );
    check_line(|text| text.trim_end().to_owned(), JSON, "end of a line");
    check_line(|_| String::new(), JSON, "end of a line");
    check_line(|text| text.replace('\n', "\r\n"), JSON, "not canonical JSON");
    check_line(|text| format!("\u{feff}{text}"), JSON, "not strict JSON");
}

#[test]
fn huge_and_negative_numbers_are_refused() {
    for number in ["-1", "4294967296", "9007199254740991"] {
        check_text(|text| text.replacen("\"version\":1}", &format!("\"version\":{number}}}"), 1), SCHEMA, "schema");
    }
    for number in ["9007199254740992", "18446744073709551616", "1e400", "99999999999999999999999999"] {
        let edit = |text: String| text.replacen("\"version\":1}", &format!("\"version\":{number}}}"), 1);
        check_text(edit, ("E351", 11), "not strict JSON");
    }
    check(|payload| payload["version"] = json!(0), SCHEMA, "`version`");
    check(|payload| payload["roots"]["threshold"] = json!(0), SCHEMA, "`roots.threshold`");
    check(|payload| payload["roots"]["threshold"] = json!(4), SCHEMA, "`roots.threshold`");
    check(|payload| payload["policy"]["research"][0]["count"] = json!(0), SCHEMA, "`policy`");
    check(|payload| payload["policy"]["research"][0]["count"] = json!(9), SCHEMA, "`policy`");
    check(|payload| payload["policy"]["research"][0]["count"] = json!(9_007_199_254_740_991_u64), SCHEMA, "`policy`");
    check(|payload| payload["policy"]["research"] = json!([]), SCHEMA, "`policy`");
    check(|payload| payload["min_security_version"]["test/hearts"] = json!(-1), SCHEMA, "schema");
    check(|payload| payload["min_security_version"]["test/hearts"] = json!(4_294_967_296_u64), SCHEMA, "schema");
}

#[test]
fn words_and_names_outside_their_grammar_are_refused() {
    check(|payload| payload["keys"][0]["alg"] = json!("rsa"), SCHEMA, "rsa");
    check(|payload| payload["keys"][0]["roles"] = json!(["admin"]), SCHEMA, "admin");
    check(|payload| payload["policy"]["everything"] = payload["policy"]["research"].clone(), SCHEMA, "everything");
    check(|payload| payload["policy"]["research"][0]["role"] = json!("root"), SCHEMA, "`policy`");
    check(|payload| payload["min_security_version"]["hearts"] = json!(1), SCHEMA, "hearts");
    check(|payload| payload["expires"] = json!("2027-02-29T00:00:00Z"), SCHEMA, "2027-02-29");
    check(|payload| payload["expires"] = payload["created"].clone(), SCHEMA, "`expires`");
    check_key(SITE, "models", json!(["test/h*"]), SCHEMA, "test/h*");
    check_key(SITE, "models", json!([]), SCHEMA, "`keys.models`");
    check_key(SITE, "channels", json!([]), SCHEMA, "`keys.channels`");
    check_key(SITE, "roles", json!([]), SCHEMA, "`keys.roles`");
    let reason = json!([{"keyid": id(1), "reason": "boredom", "still_valid": []}]);
    check(|payload| payload["revoked"]["keys"] = reason, SCHEMA, "boredom");
}

#[test]
fn every_key_has_one_encoding_and_its_own_id() {
    check(|payload| payload["keys"][0]["keyid"] = json!("0".repeat(64)), SCHEMA, "is listed as 0000");
    check(|payload| payload["keys"][0]["keyid"] = json!(id(1).to_uppercase()), SCHEMA, "64 lower-case");
    check(|payload| payload["keys"][0]["spki"] = json!("AB=="), SCHEMA, "canonical base64");
    check(|payload| payload["keys"][0]["spki"] = json!("AAAA"), SCHEMA, "one DER form");
    let unpadded = |text: &Value| json!(text.as_str().unwrap().trim_end_matches('='));
    check(|payload| payload["keys"][0]["spki"] = unpadded(&payload["keys"][0]["spki"]), SCHEMA, "canonical base64");
    // The same point, compressed: other tools would give it another id.
    let secret = p256::SecretKey::from_slice(&[1; 32]).unwrap();
    let pem = secret.public_key().to_public_key_pem(LineEnding::LF).unwrap();
    assert_eq!(pem, key(1).public_key().to_pem());
    let der = secret.public_key().to_public_key_der().unwrap().into_vec();
    let point = &der[26..];
    assert_eq!((der.len(), point[0]), (91, 4));
    let mut compressed = der[..26].to_vec();
    compressed[1] -= 32;
    compressed[24] -= 32;
    compressed.push(2 + (point[64] & 1));
    compressed.extend(&point[1..33]);
    let compressed_id = bundle_format::Digest::of(&compressed).to_string();
    let edit = |payload: &mut Value| {
        let place = place(payload, 1);
        payload["keys"][place]["spki"] = json!(STANDARD.encode(&compressed));
        payload["keys"][place]["keyid"] = json!(compressed_id);
    };
    check(edit, SCHEMA, "one DER form");
}

#[test]
fn lists_are_sorted_and_name_nothing_twice() {
    let swap = |list: &mut Value| list.as_array_mut().unwrap().swap(0, 1);
    let twice = |list: &mut Value| {
        let first = list[0].clone();
        list.as_array_mut().unwrap().insert(0, first);
    };
    check(|payload| swap(&mut payload["keys"]), ORDER, "`keys`");
    check(|payload| twice(&mut payload["keys"]), ORDER, "`keys`");
    check(|payload| swap(&mut payload["roots"]["keyids"]), ORDER, "`roots.keyids`");
    check(|payload| twice(&mut payload["roots"]["keyids"]), ORDER, "`roots.keyids`");
    check(|payload| swap(&mut payload["policy"]["clinical"]), ORDER, "`policy`");
    check(|payload| twice(&mut payload["policy"]["clinical"]), ORDER, "`policy`");
    let digests = json!(["1".repeat(64), "0".repeat(64)]);
    check(|payload| payload["revoked"]["manifests"] = digests.clone(), ORDER, "`revoked.manifests`");
    check(
        |payload| payload["revoked"]["keys"] = json!([{"keyid": id(1), "reason": "loss", "still_valid": digests}]),
        ORDER,
        "`still_valid`",
    );
    let revoked = json!({"keyid": id(1), "reason": "loss", "still_valid": []});
    check(|payload| payload["revoked"]["keys"] = json!([revoked, revoked]), ORDER, "`revoked.keys`");
    check_key(SITE, "roles", json!(["site", "qa"]), SCHEMA, "`roles`");
    check_key(SITE, "models", json!(["test/a", "test/a"]), SCHEMA, "`models`");
    check_key(SITE, "channels", json!(["research", "clinical"]), SCHEMA, "`channels`");
}

#[test]
fn roots_and_roles_contradict_nothing() {
    let root = |payload: &Value| place(payload, ROOTS[0]);
    check_key(ROOTS[0], "models", json!(["*"]), REFERENCE, "further role or a scope");
    check_key(ROOTS[0], "roles", json!(["release", "root"]), REFERENCE, "further role");
    check_key(ROOTS[0], "roles", json!(["release"]), REFERENCE, "is a root in one place");
    check(
        |payload| {
            let place = root(payload);
            payload["keys"].as_array_mut().unwrap().remove(place);
        },
        REFERENCE,
        "is a root in one place",
    );
    let unlisted = |payload: &mut Value| drop(payload["roots"]["keyids"].as_array_mut().unwrap().pop());
    check(unlisted, REFERENCE, "is a root in one place");
    let revoked =
        |index: u8, still_valid: Value| json!([{"keyid": id(index), "reason": "loss", "still_valid": still_valid}]);
    check(|payload| payload["revoked"]["keys"] = revoked(ROOTS[0], json!([])), REFERENCE, "is revoked");
    check(|payload| payload["revoked"]["keys"] = revoked(99, json!(["0".repeat(64)])), REFERENCE, "does not list it");
}

#[test]
fn a_development_key_has_no_place_beside_patients() {
    check_key(SITE, "roles", json!(["dev"]), REFERENCE, "role `dev`");
    let mut research = payload();
    let at = place(&research, SITE);
    research["keys"][at]["roles"] = json!(["dev"]);
    research["policy"].as_object_mut().unwrap().remove("clinical");
    assert!(read(forged(&canonical(&research), &ROOTS[..2]).as_bytes()).is_ok());
}

#[test]
fn counts_and_sizes_are_limited() {
    let digests = |n: u32| (0..n).map(|index| json!(format!("{index:064x}"))).collect::<Vec<_>>();
    check(|payload| payload["revoked"]["manifests"] = json!(digests(1025)), LIMIT, "1024 revocations");
    check(
        |payload| {
            payload["revoked"]["keys"] = json!([{"keyid": id(1), "reason": "loss", "still_valid": digests(1025)}]);
        },
        LIMIT,
        "1024 still valid digests",
    );
    let floors: serde_json::Map<_, _> = (0..1025).map(|index| (format!("test/m{index}"), json!(1))).collect();
    check(|payload| payload["min_security_version"] = json!(floors), LIMIT, "1024 models with a floor");
    let patterns: Vec<_> = (100..165).map(|index| format!("test/m{index}")).collect();
    check(
        |payload| {
            let place = place(payload, 3);
            payload["keys"][place]["models"] = json!(patterns);
        },
        LIMIT,
        "64 models of one key",
    );
    let add_keys = |payload: &mut Value, indices: std::ops::Range<u8>, role: &str| {
        let template = payload["keys"][place(payload, if role == "root" { ROOTS[0] } else { 3 })].clone();
        let keys = payload["keys"].as_array_mut().unwrap();
        for index in indices {
            let der = key(index).public_key().to_pem();
            let der: String = der.lines().filter(|line| !line.starts_with('-')).collect();
            let mut added = template.clone();
            (added["keyid"], added["spki"]) = (json!(id(index)), json!(der));
            keys.push(added);
        }
        keys.sort_by_key(|key| key["keyid"].as_str().unwrap().to_owned());
    };
    check(|payload| add_keys(payload, 20..79, "site"), LIMIT, "64 keys");
    check(
        |payload| {
            add_keys(payload, 20..26, "root");
            let roots = payload["keys"].as_array().unwrap().iter().filter(|key| key["roles"] == json!(["root"]));
            payload["roots"]["keyids"] = roots.map(|key| key["keyid"].clone()).collect();
        },
        LIMIT,
        "8 root keys",
    );
    check_text(|text| format!("{text}{}", " ".repeat(200_000)), LIMIT, "262144 bytes in an envelope");
    let text = canonical(&payload());
    let many: Vec<_> = (0..17).map(|index| (format!("{index:064x}"), signature(&text, ROOTS[0]).1)).collect();
    assert_refused(read(line(&text, &many).as_bytes()), LIMIT, "16 signatures");
    let envelope = forged(&text, &ROOTS[..2]);
    assert_refused(read(envelope.repeat(2).as_bytes()), LIMIT, "1 documents in one file");
}

#[test]
fn the_threshold_counts_distinct_roots() {
    const THRESHOLD: (&str, u8) = ("E358", 11);
    let text = canonical(&payload());
    let first = signature(&text, ROOTS[0]);
    for signers in [&[][..], &ROOTS[..1], &[ROOTS[0], 1], &[1, 2, 3]] {
        assert_refused(read(forged(&text, signers).as_bytes()), THRESHOLD, "of 2 needed root keys");
    }
    // One key twice, as it is or with another valid signature of its own.
    let twice = line(&text, &[first.clone(), first.clone()]);
    assert_refused(read(twice.as_bytes()), ORDER, "`signatures`");
    // One root's signature under the name of another.
    let mut borrowed = vec![first.clone(), (id(ROOTS[1]), first.1)];
    borrowed.sort();
    assert_refused(read(line(&text, &borrowed).as_bytes()), ("E357", 11), "is not valid");
    for signers in [&ROOTS[..2], &ROOTS[1..], &ROOTS[..]] {
        assert!(read(forged(&text, signers).as_bytes()).is_ok());
    }
}

#[test]
fn signatures_cover_the_document_and_have_one_spelling() {
    let text = canonical(&payload());
    let other = text.replacen("\"version\":1}", "\"version\":7}", 1);
    let mut signatures: Vec<_> = ROOTS[..2].iter().map(|root| signature(&text, *root)).collect();
    signatures.sort();
    assert_refused(read(line(&other, &signatures).as_bytes()), ("E357", 11), "is not valid");
    let mut reversed = signatures.clone();
    reversed.reverse();
    assert_refused(read(line(&text, &reversed).as_bytes()), ORDER, "`signatures`");

    let with = |sig: String| line(&text, &[(signatures[0].0.clone(), sig), signatures[1].clone()]);
    let der = STANDARD.decode(&signatures[0].1).unwrap();
    let (r, s) = p256::ecdsa::Signature::from_der(&der).unwrap().split_scalars();
    let high = p256::ecdsa::Signature::from_scalars(r.to_bytes(), (-s).to_bytes()).unwrap();
    assert_refused(read(with(STANDARD.encode(high.to_der().as_bytes())).as_bytes()), ("E306", 11), "high s");
    let long = STANDARD.encode([&der[..], &[0]].concat());
    assert_refused(read(with(long).as_bytes()), ("E305", 11), "strict DER");
    assert_refused(read(with("AB==".to_owned()).as_bytes()), ("E304", 11), "`sig`");
    check_line(|text| text.replacen("\"payload\":\"ey", "\"payload\":\"-y", 1), ("E304", 11), "`payload`");
}

#[test]
fn every_single_bit_flip_is_refused() {
    let text = signed(draft(), &ROOTS[..2]).envelope().to_line();
    for at in 0..text.len() {
        for bit in 0..8 {
            let mut flipped = text.clone();
            flipped[at] ^= 1 << bit;
            assert!(read(&flipped).is_err(), "bit {bit} of byte {at}");
        }
    }
}

#[test]
fn every_truncation_and_repetition_is_refused() {
    let text = signed(draft(), &ROOTS[..2]).envelope().to_line();
    for at in 0..text.len() {
        assert!(read(&text[..at]).is_err(), "cut at {at}");
        let inserted = [&text[..=at], &text[at..]].concat();
        assert!(read(&inserted).is_err(), "byte {at} twice");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_bytes_make_the_reader_panic(text in proptest::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(read(&text).is_err());
    }

    #[test]
    fn any_document_reads_back_as_it_was_written(
        version in 1_u32..,
        seeds in proptest::collection::btree_set(20_u8..60, 0..6),
        revoked in proptest::collection::vec(any::<[u8; 4]>(), 0..20),
        floors in proptest::collection::btree_map("[a-z]{1,9}/[a-z0-9]{1,9}", any::<u32>(), 0..9),
    ) {
        use bundle_format::{BundleId, Channel, Digest, TrustDocument, TrustRole};
        let mut draft = draft();
        draft.version = version;
        let added = seeds.iter().map(|seed| crate::trust_forge::trust_key(*seed, TrustRole::Site, &["acme/*", "*"], &[Channel::Research]));
        draft.keys.extend(added);
        draft.keys.reverse();
        draft.revoked.manifests = revoked.iter().map(|bytes| Digest::of(bytes)).collect::<std::collections::BTreeSet<_>>().into_iter().rev().collect();
        draft.min_security_version = floors.into_iter().map(|(id, floor)| (BundleId::new(id).unwrap(), floor)).collect();
        let document = TrustDocument::new(draft).unwrap();
        prop_assert_eq!(&TrustDocument::parse(&document.to_json()).unwrap(), &document);
        let text = str::from_utf8(&document.to_json()).unwrap().to_owned();
        prop_assert_eq!(canonical(&serde_json::from_str(&text).unwrap()), text.clone());
        let trust = read(forged(&text, &ROOTS[1..]).as_bytes()).unwrap();
        prop_assert_eq!(trust.document(), &document);
        prop_assert_eq!(trust.digest(), Digest::of(text.as_bytes()));
    }
}
