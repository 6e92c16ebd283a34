//! The check of a description and the strict parser accept the same.

use nnunet::dataset::DatasetJson;
use nnunet::dataset_check::Description;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

fn label() -> impl Strategy<Value = Value> {
    prop_oneof![
        4 => (0_u16..4).prop_map(Value::from),
        1 => Just(json!(300)),
        1 => Just(json!("1")),
        1 => Just(json!(1.5)),
        3 => proptest::collection::vec(0_u8..4, 0..3).prop_map(Value::from),
    ]
}

/// Mostly sound descriptions: a few labels, channels by number, an order for regions.
fn description() -> impl Strategy<Value = Value> {
    let labels = (
        proptest::option::weighted(0.9, prop_oneof![9 => Just(json!(0)), 1 => label()]),
        proptest::collection::vec(label(), 0..4),
        proptest::option::weighted(0.3, label()),
    );
    let channels = prop_oneof![
        8 => Just(json!({"0": "T1", "1": "T2"})),
        1 => Just(json!({"0": "T1", "2": "T2"})),
        1 => Just(json!({"0": 1})),
        1 => Just(json!({})),
    ];
    let order = proptest::option::of(proptest::collection::vec(0_u16..258, 0..4));
    (labels, channels, order).prop_map(|((background, classes, ignore), channels, order)| {
        let mut labels = Map::new();
        labels.extend(background.map(|value| ("background".to_owned(), value)));
        labels.extend(classes.into_iter().enumerate().map(|(i, value)| (format!("label {i}"), value)));
        labels.extend(ignore.map(|value| ("ignore".to_owned(), value)));
        let mut json = json!({"channel_names": channels, "labels": labels, "numTraining": 1, "file_ending": ".nii.gz"});
        if let Some(order) = order {
            json["regions_class_order"] = order.into();
        }
        json
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn nothing_is_found_exactly_where_the_strict_parser_is_content(json in description()) {
        let text = json.to_string();
        let (description, problems) = Description::read(&text, &|_| None);
        let parsed = DatasetJson::parse(&text);
        prop_assert_eq!(problems.is_empty(), parsed.is_ok(), "{} {:?} {:?}", text, problems, parsed);
        if let Ok(parsed) = parsed {
            let labels = parsed.structures().unwrap();
            let mut known: Vec<u8> = labels.structures.iter().flat_map(|one| one.values.clone()).chain([0]).collect();
            known.extend(labels.ignore);
            known.sort_unstable();
            known.dedup();
            prop_assert_eq!(description.labels, Some(known));
        }
    }
}
