//! One name for each parameter of nnU-Net's `state_dict`.
//!
//! Compilation and data parallelism put a prefix before every name; the decoder holds the encoder a second time; and
//! every block lists its convolution and its norm again under `all_modules`. The names of the topology are those that
//! are left when all this is taken off.

/// The topology's name of a parameter, or the name as it is if it is no known alias.
pub(super) fn canonical(name: &str) -> String {
    let mut name = name;
    while let Some(rest) = name.strip_prefix("module.").or_else(|| name.strip_prefix("_orig_mod.")) {
        name = rest;
    }
    if name.starts_with("decoder.encoder.") {
        name = &name["decoder.".len()..];
    }
    name.replace(".all_modules.0.", ".conv.").replace(".all_modules.1.", ".norm.")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(name: &str, expected: &str) {
        assert_eq!(canonical(name), expected);
    }

    #[test]
    fn every_alias_has_the_name_of_the_topology() {
        let conv = "encoder.stages.0.0.convs.1.conv.weight";
        check(conv, conv);
        check("encoder.stages.0.0.convs.1.all_modules.0.weight", conv);
        check("decoder.encoder.stages.0.0.convs.1.all_modules.0.weight", conv);
        check("module._orig_mod.encoder.stages.0.0.convs.1.conv.weight", conv);
        check("decoder.stages.1.convs.0.all_modules.1.bias", "decoder.stages.1.convs.0.norm.bias");
        check("decoder.seg_layers.0.bias", "decoder.seg_layers.0.bias");
    }

    #[test]
    fn what_is_no_alias_keeps_its_name() {
        check("encoder.stages.0.0.convs.1.all_modules.2.weight", "encoder.stages.0.0.convs.1.all_modules.2.weight");
        check("head.module.x", "head.module.x");
    }
}
