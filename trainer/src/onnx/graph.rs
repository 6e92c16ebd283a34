//! The graph of a U-Net: one node per operator, in the order of computation.
//!
//! Nodes carry the names of nnU-Net's modules and values those of the nodes that make them, so that a profile or an
//! error of the runtime points into the plans. Initializers are sorted by name. Only the head of full resolution is
//! written; the others serve training alone.

use std::collections::BTreeMap;

use nnunet::topology::{ConvBlock, DecoderStage, EncoderBlock, ResidualBlock, Shortcut, UNet};

use super::message::{
    ATTRIBUTE_FLOAT, ATTRIBUTE_INT, ATTRIBUTE_INTS, AttributeProto, DimensionProto, ELEMENT_FLOAT, ELEMENT_FLOAT16,
    Extent, GraphProto, NodeProto, TensorProto, TensorShapeProto, TensorTypeProto, TypeProto, ValueInfoProto,
};
use super::{INPUT, OUTPUT};
use crate::weights::{WeightFormat, Weights, half};

/// Builds the graph of `network` for patches of extent `patch`; `weights` have been checked against `network`.
pub(super) fn build(network: &UNet, (weights, format): (&Weights, WeightFormat), patch: &[usize]) -> GraphProto {
    let mut graph = GraphBuilder { network, weights, format, nodes: Vec::new(), initializers: BTreeMap::new() };
    let features = graph.unet();
    let head = network.decoder.last().map(|stage| stage.head.name.as_str()).unwrap_or_default();
    graph.head(head, features);
    GraphProto {
        node: graph.nodes,
        name: Some(network.class_name().into()),
        initializer: graph.initializers.into_values().collect(),
        input: vec![value(INPUT, network.n_channels, patch)],
        output: vec![value(OUTPUT, network.n_outputs, patch)],
    }
}

struct GraphBuilder<'a> {
    network: &'a UNet,
    weights: &'a Weights,
    format: WeightFormat,
    nodes: Vec<NodeProto>,
    initializers: BTreeMap<String, TensorProto>,
}

impl GraphBuilder<'_> {
    /// Everything but the head; returns the name of the last features.
    fn unet(&mut self) -> String {
        let network = self.network;
        let mut skips = Vec::with_capacity(network.encoder.len());
        let mut features = INPUT.to_owned();
        for blocks in &network.encoder {
            features = blocks.iter().fold(features, |features, block| match block {
                EncoderBlock::Plain(block) => self.block(block, features),
                EncoderBlock::Residual(block) => self.residual(block, features),
            });
            skips.push(features.clone());
        }
        skips.pop();
        for (stage, skip) in network.decoder.iter().zip(skips.into_iter().rev()) {
            features = self.decoder_stage(stage, features, skip);
        }
        features
    }

    fn decoder_stage(&mut self, stage: &DecoderStage, below: String, skip: String) -> String {
        let up = &stage.upsampling;
        let mut inputs = vec![below, self.initializer(&up.name, "weight")];
        inputs.extend(self.network.conv_bias.then(|| self.initializer(&up.name, "bias")));
        let attributes = vec![ints("kernel_shape", &up.stride), ints("strides", &up.stride)];
        let upsampled = self.node("ConvTranspose", up.name.clone(), inputs, attributes);
        let joined = self.node("Concat", format!("{}.concat", up.name), vec![upsampled, skip], vec![int("axis", 1)]);
        self.blocks(&stage.blocks, joined)
    }

    fn blocks(&mut self, blocks: &[ConvBlock], features: String) -> String {
        blocks.iter().fold(features, |features, block| self.block(block, features))
    }

    fn block(&mut self, block: &ConvBlock, features: String) -> String {
        let bias = self.network.conv_bias.then(|| self.initializer(&format!("{}.conv", block.name), "bias"));
        let normalized = self.conv_norm(block, features, bias);
        self.rectifier(format!("{}.nonlin", block.name), normalized)
    }

    fn residual(&mut self, block: &ResidualBlock, features: String) -> String {
        let first = self.block(&block.first, features.clone());
        let bias = self.network.conv_bias.then(|| self.initializer(&format!("{}.conv", block.second.name), "bias"));
        let second = self.conv_norm(&block.second, first, bias);
        let shortcut = self.shortcut(&block.name, &block.shortcut, features);
        let sum = self.node("Add", format!("{}.add", block.name), vec![second, shortcut], Vec::new());
        self.rectifier(format!("{}.nonlin2", block.name), sum)
    }

    fn shortcut(&mut self, block: &str, shortcut: &Shortcut, mut features: String) -> String {
        if let Some(stride) = &shortcut.pooling {
            let attributes = vec![ints("kernel_shape", stride), ints("strides", stride)];
            features = self.node("AveragePool", format!("{block}.skip.0"), vec![features], attributes);
        }
        match &shortcut.projection {
            Some(projection) => self.conv_norm(projection, features, None),
            None => features,
        }
    }

    fn conv_norm(&mut self, block: &ConvBlock, features: String, bias: Option<String>) -> String {
        let [conv, norm] = ["conv", "norm"].map(|part| format!("{}.{part}", block.name));
        let mut inputs = vec![features, self.initializer(&conv, "weight")];
        inputs.extend(bias);
        let half: Vec<usize> = block.kernel.iter().map(|extent| extent / 2).collect();
        let attributes = vec![
            ints("kernel_shape", &block.kernel),
            ints("pads", &[&half[..], &half[..]].concat()),
            ints("strides", &block.stride),
        ];
        let convolved = self.node("Conv", conv, inputs, attributes);
        let inputs = vec![convolved, self.initializer(&norm, "weight"), self.initializer(&norm, "bias")];
        let epsilon = vec![float("epsilon", self.network.norm_eps)];
        self.node("InstanceNormalization", norm, inputs, epsilon)
    }

    fn rectifier(&mut self, name: String, features: String) -> String {
        let slope = vec![float("alpha", self.network.negative_slope)];
        self.node("LeakyRelu", name, vec![features], slope)
    }

    fn head(&mut self, name: &str, features: String) {
        let inputs = vec![features, self.initializer(name, "weight"), self.initializer(name, "bias")];
        let ones = vec![1; self.network.n_axes];
        let attributes = vec![ints("kernel_shape", &ones), ints("strides", &ones)];
        self.node("Conv", name.to_owned(), inputs, attributes);
        if let Some(last) = self.nodes.last_mut() {
            last.output = vec![OUTPUT.to_owned()];
        }
    }

    /// Adds a node and returns its value's name, which is the node's own.
    fn node(&mut self, op: &str, name: String, input: Vec<String>, attribute: Vec<AttributeProto>) -> String {
        let output = vec![name.clone()];
        let op_type = Some(op.to_owned());
        self.nodes.push(NodeProto { input, output, name: Some(name.clone()), op_type, attribute });
        name
    }

    /// Adds the parameter `<module>.<part>` and returns the name of its value: its own, or that of its cast.
    fn initializer(&mut self, module: &str, part: &str) -> String {
        let name = format!("{module}.{part}");
        let tensor = self.weights.get(&name).expect("weights were checked against the network");
        let proto = TensorProto {
            dims: tensor.shape.iter().copied().map(dimension).collect(),
            data_type: Some(ELEMENT_FLOAT),
            name: Some(name.clone()),
            raw_data: Some(tensor.values.iter().flat_map(|value| value.to_le_bytes()).collect()),
        };
        let is_half = self.format == WeightFormat::F16 && half::is_half(tensor);
        if !is_half {
            self.initializers.insert(name.clone(), proto);
            return name;
        }
        let raw_data = Some(half::to_bytes(&tensor.values));
        self.initializers.insert(name.clone(), TensorProto { data_type: Some(ELEMENT_FLOAT16), raw_data, ..proto });
        let to_float = vec![int("to", ELEMENT_FLOAT.into())];
        self.node("Cast", format!("{name}.f32"), vec![name], to_float)
    }
}

fn value(name: &str, n_channels: usize, patch: &[usize]) -> ValueInfoProto {
    let fixed = |&extent: &usize| Extent::Value(dimension(extent));
    let extents = [Extent::Parameter("batch".into()), fixed(&n_channels)].into_iter().chain(patch.iter().map(fixed));
    let dim = extents.map(|extent| DimensionProto { value: Some(extent) }).collect();
    let tensor = TensorTypeProto { elem_type: Some(ELEMENT_FLOAT), shape: Some(TensorShapeProto { dim }) };
    ValueInfoProto { name: Some(name.to_owned()), r#type: Some(TypeProto { tensor_type: Some(tensor) }) }
}

fn dimension(extent: usize) -> i64 {
    i64::try_from(extent).expect("extents of a checked network are small")
}

fn int(name: &str, value: i64) -> AttributeProto {
    AttributeProto { i: Some(value), ..attribute(name, ATTRIBUTE_INT) }
}

fn ints(name: &str, values: &[usize]) -> AttributeProto {
    AttributeProto { ints: values.iter().copied().map(dimension).collect(), ..attribute(name, ATTRIBUTE_INTS) }
}

#[expect(clippy::cast_possible_truncation, reason = "ONNX attributes are f32, and so is the arithmetic they enter")]
fn float(name: &str, value: f64) -> AttributeProto {
    AttributeProto { f: Some(value as f32), ..attribute(name, ATTRIBUTE_FLOAT) }
}

fn attribute(name: &str, kind: i32) -> AttributeProto {
    AttributeProto { name: Some(name.to_owned()), r#type: Some(kind), ..AttributeProto::default() }
}
