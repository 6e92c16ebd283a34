//! Plans from before the `architecture` block: the network in eight fields of the configuration itself.
//!
//! Follows nnU-Net v2.8.1's `ConfigurationManager`: the old fields are taken out, everything that they do not say is
//! as the planner of their time had it, and inheritance is resolved first. The module of the residual class is the one
//! written there, although the class has since moved.

use serde_json::{Map, Value, json};

/// Fields of the old format, which the block replaces.
const OLD_FIELDS: [&str; 8] = [
    "UNet_class_name",
    "UNet_base_num_features",
    "n_conv_per_stage_encoder",
    "n_conv_per_stage_decoder",
    "num_pool_per_axis",
    "pool_op_kernel_sizes",
    "conv_kernel_sizes",
    "unet_max_num_features",
];

/// The fields of a configuration, with an `architecture` block if only the old fields are there.
///
/// Fails with the old field at fault and what it holds. Fields without block and without old class stay as they are.
pub(super) fn with_architecture(mut fields: Map<String, Value>) -> Result<Map<String, Value>, (&'static str, String)> {
    if fields.contains_key("architecture") || !fields.contains_key("UNet_class_name") {
        return Ok(fields);
    }
    let architecture = architecture(&fields)?;
    for field in OLD_FIELDS {
        // Keeps the others in their order.
        fields.shift_remove(field);
    }
    fields.insert("architecture".into(), architecture);
    Ok(fields)
}

fn architecture(fields: &Map<String, Value>) -> Result<Value, (&'static str, String)> {
    let unusable = |field| (field, fields.get(field).map_or("missing".to_owned(), Value::to_string));
    let list = |field| fields.get(field).and_then(Value::as_array).ok_or_else(|| unusable(field));
    let number = |field| fields.get(field).and_then(Value::as_u64).ok_or_else(|| unusable(field));
    let (class, depth) = match fields.get("UNet_class_name").and_then(Value::as_str) {
        Some("PlainConvUNet") => ("unet.PlainConvUNet", "n_conv_per_stage"),
        Some("ResidualEncoderUNet") => ("residual_unet.ResidualEncoderUNet", "n_blocks_per_stage"),
        _ => return Err(unusable("UNet_class_name")),
    };
    let n_axes = list("patch_size")?.len();
    let encoder = list("n_conv_per_stage_encoder")?;
    let (base, most) = (number("UNet_base_num_features")?, number("unet_max_num_features")?);
    let features = |(stage, _): (u32, _)| base.saturating_mul(1_u64 << stage).min(most);
    Ok(json!({
        "network_class_name": format!("dynamic_network_architectures.architectures.{class}"),
        "arch_kwargs": {
            "n_stages": encoder.len(),
            "features_per_stage": (0..32).chain(std::iter::repeat(32)).zip(encoder).map(features).collect::<Vec<_>>(),
            "conv_op": format!("torch.nn.modules.conv.Conv{n_axes}d"),
            "kernel_sizes": list("conv_kernel_sizes")?,
            "strides": list("pool_op_kernel_sizes")?,
            depth: encoder,
            "n_conv_per_stage_decoder": list("n_conv_per_stage_decoder")?,
            "conv_bias": true,
            "norm_op": format!("torch.nn.modules.instancenorm.InstanceNorm{n_axes}d"),
            "norm_op_kwargs": {"eps": 1e-5, "affine": true},
            "dropout_op": null,
            "dropout_op_kwargs": null,
            "nonlin": "torch.nn.LeakyReLU",
            "nonlin_kwargs": {"inplace": true},
        },
        "_kw_requires_import": ["conv_op", "norm_op", "dropout_op", "nonlin"],
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields() -> Map<String, Value> {
        let fields = json!({
            "patch_size": [8, 8],
            "UNet_class_name": "PlainConvUNet",
            "UNet_base_num_features": 32,
            "unet_max_num_features": 48,
            "n_conv_per_stage_encoder": [2, 2],
            "n_conv_per_stage_decoder": [2],
            "num_pool_per_axis": [1, 1],
            "pool_op_kernel_sizes": [[1, 1], [2, 2]],
            "conv_kernel_sizes": [[3, 3], [3, 3]],
            "batch_dice": true,
        });
        fields.as_object().cloned().unwrap_or_default()
    }

    #[test]
    fn old_fields_become_a_block_behind_the_others() {
        let new = with_architecture(fields()).unwrap();
        assert_eq!(new.keys().collect::<Vec<_>>(), ["patch_size", "batch_dice", "architecture"]);
        assert_eq!(new["architecture"]["arch_kwargs"]["features_per_stage"], json!([32, 48]));
    }

    fn check(field: &'static str, value: Option<Value>, found: &str) {
        let mut fields = fields();
        match value {
            Some(value) => fields.insert(field.into(), value),
            None => fields.shift_remove(field),
        };
        assert_eq!(with_architecture(fields), Err((field, found.to_owned())));
    }

    #[test]
    fn an_old_field_that_cannot_be_used_is_named() {
        check("UNet_class_name", Some(json!("MyNet")), "\"MyNet\"");
        check("UNet_base_num_features", Some(json!(-1)), "-1");
        check("unet_max_num_features", None, "missing");
        check("conv_kernel_sizes", Some(json!(3)), "3");
        check("patch_size", None, "missing");
    }

    #[test]
    fn features_of_very_many_stages_do_not_overflow() {
        let mut fields = fields();
        fields.insert("n_conv_per_stage_encoder".into(), json!(vec![2; 200]));
        fields.insert("UNet_base_num_features".into(), json!(u64::MAX));
        let new = with_architecture(fields).unwrap();
        assert_eq!(new["architecture"]["arch_kwargs"]["features_per_stage"][199], 48);
    }

    #[test]
    fn a_block_that_is_there_wins() {
        let mut fields = fields();
        fields.insert("architecture".into(), json!({}));
        assert_eq!(with_architecture(fields.clone()), Ok(fields));
    }
}
