//! The graph of a U-Net: one node per operator, in the order of computation.
//!
//! Nodes carry the names of nnU-Net's modules and values those of the nodes that make them, so that a profile or an
//! error of the runtime points into the plans. Initializers are sorted by name. Only the head of full resolution is
//! written; the others serve training alone.
//!
//! Where an instance norm spans many voxels it is written as what it does ([`GraphBuilder::norm_by_blocks`]): runtimes
//! add single-precision floats one after the other, and on a patch of a million voxels, most of them air of one value,
//! the rounding of those sums is a thousandth of the logits' range. Sums of blocks, and of their means, are exact to a
//! few millionths, and take no longer.

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
    let features = graph.unet(patch);
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

/// Most voxels that a runtime may add one after the other.
const LONGEST_SUM: usize = 2048;
/// Longest side of the blocks that longer sums are made of.
const LONGEST_BLOCK: usize = 8;

/// Whether the instance norms of features of this extent are written by blocks.
pub(super) fn is_by_blocks(extent: &[usize]) -> bool {
    extent.iter().product::<usize>() > LONGEST_SUM
}

/// A value `[batch, channel, (z,) y, x]` of the graph.
#[derive(Clone)]
struct Features {
    name: String,
    /// `[(z,) y, x]`.
    extent: Vec<usize>,
}

struct GraphBuilder<'a> {
    network: &'a UNet,
    weights: &'a Weights,
    format: WeightFormat,
    nodes: Vec<NodeProto>,
    initializers: BTreeMap<String, TensorProto>,
}

impl GraphBuilder<'_> {
    /// Everything but the head; returns the last features.
    fn unet(&mut self, patch: &[usize]) -> Features {
        let network = self.network;
        let mut skips = Vec::with_capacity(network.encoder.len());
        let mut features = Features { name: INPUT.to_owned(), extent: patch.to_vec() };
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

    fn decoder_stage(&mut self, stage: &DecoderStage, below: Features, skip: Features) -> Features {
        let up = &stage.upsampling;
        let mut inputs = vec![below.name, self.initializer(&up.name, "weight")];
        inputs.extend(self.network.conv_bias.then(|| self.initializer(&up.name, "bias")));
        let attributes = vec![ints("kernel_shape", &up.stride), ints("strides", &up.stride)];
        let upsampled = self.node("ConvTranspose", up.name.clone(), inputs, attributes);
        let concat = format!("{}.concat", up.name);
        let name = self.node("Concat", concat, vec![upsampled, skip.name], vec![int("axis", 1)]);
        let joined = Features { name, extent: skip.extent };
        stage.blocks.iter().fold(joined, |features, block| self.block(block, features))
    }

    fn block(&mut self, block: &ConvBlock, features: Features) -> Features {
        let bias = self.network.conv_bias.then(|| self.initializer(&format!("{}.conv", block.name), "bias"));
        let normalized = self.conv_norm(block, features, bias);
        self.rectifier(format!("{}.nonlin", block.name), normalized)
    }

    fn residual(&mut self, block: &ResidualBlock, features: Features) -> Features {
        let first = self.block(&block.first, features.clone());
        let bias = self.network.conv_bias.then(|| self.initializer(&format!("{}.conv", block.second.name), "bias"));
        let Features { name: second, extent } = self.conv_norm(&block.second, first, bias);
        let shortcut = self.shortcut(&block.name, &block.shortcut, features);
        let name = self.node("Add", format!("{}.add", block.name), vec![second, shortcut.name], Vec::new());
        self.rectifier(format!("{}.nonlin2", block.name), Features { name, extent })
    }

    fn shortcut(&mut self, block: &str, shortcut: &Shortcut, mut features: Features) -> Features {
        if let Some(stride) = &shortcut.pooling {
            let name = self.pool(format!("{block}.skip.0"), features.name, stride);
            features = Features { name, extent: divided(&features.extent, stride) };
        }
        match &shortcut.projection {
            Some(projection) => self.conv_norm(projection, features, None),
            None => features,
        }
    }

    fn conv_norm(&mut self, block: &ConvBlock, features: Features, bias: Option<String>) -> Features {
        let [conv, norm] = ["conv", "norm"].map(|part| format!("{}.{part}", block.name));
        let mut inputs = vec![features.name, self.initializer(&conv, "weight")];
        inputs.extend(bias);
        let half: Vec<usize> = block.kernel.iter().map(|extent| extent / 2).collect();
        let attributes = vec![
            ints("kernel_shape", &block.kernel),
            ints("pads", &[&half[..], &half[..]].concat()),
            ints("strides", &block.stride),
        ];
        let name = self.node("Conv", conv, inputs, attributes);
        let convolved = Features { name, extent: divided(&features.extent, &block.stride) };
        if is_by_blocks(&convolved.extent) { self.norm_by_blocks(norm, convolved) } else { self.norm(norm, convolved) }
    }

    fn norm(&mut self, norm: String, Features { name, extent }: Features) -> Features {
        let inputs = vec![name, self.initializer(&norm, "weight"), self.initializer(&norm, "bias")];
        let epsilon = vec![float("epsilon", self.network.norm_eps)];
        Features { name: self.node("InstanceNormalization", norm, inputs, epsilon), extent }
    }

    /// The same from means of blocks: with `d` the features less their mean, `d · weight / √(mean(d²) + ε) + bias`.
    fn norm_by_blocks(&mut self, norm: String, Features { name, extent }: Features) -> Features {
        let [weight, bias] = ["weight", "bias"].map(|part| self.per_channel(&norm, part));
        let epsilon = self.scalar(format!("{norm}.epsilon"), self.network.norm_eps);
        let step = |step: &str| format!("{norm}.{step}");
        let mean = self.mean(step("mean"), name.clone(), &extent);
        let centered = self.apply("Sub", step("centered"), [name, mean]);
        let square = self.apply("Mul", step("square"), [centered.clone(), centered.clone()]);
        let variance = self.mean(step("variance"), square, &extent);
        let regularized = self.apply("Add", step("regularized"), [variance, epsilon]);
        let deviation = self.node("Sqrt", step("deviation"), vec![regularized], Vec::new());
        let scale = self.apply("Div", step("scale"), [weight, deviation]);
        let scaled = self.apply("Mul", step("scaled"), [centered, scale]);
        Features { name: self.apply("Add", norm, [scaled, bias]), extent }
    }

    /// The mean of every channel: that of the means of blocks, which divide the extent.
    fn mean(&mut self, name: String, of: String, extent: &[usize]) -> String {
        let side = |&extent: &usize| (1..=LONGEST_BLOCK).rev().find(|side| extent % side == 0).unwrap_or(1);
        let block: Vec<usize> = extent.iter().map(side).collect();
        let blocks = self.pool(format!("{name}.blocks"), of, &block);
        let axes: Vec<usize> = (2..2 + extent.len()).collect();
        self.node("ReduceMean", name, vec![blocks], vec![ints("axes", &axes), int("keepdims", 1)])
    }

    fn pool(&mut self, name: String, features: String, stride: &[usize]) -> String {
        let attributes = vec![ints("kernel_shape", stride), ints("strides", stride)];
        self.node("AveragePool", name, vec![features], attributes)
    }

    fn apply(&mut self, op: &str, name: String, inputs: [String; 2]) -> String {
        self.node(op, name, inputs.into(), Vec::new())
    }

    fn rectifier(&mut self, name: String, features: Features) -> Features {
        let slope = vec![float("alpha", self.network.negative_slope)];
        Features { name: self.node("LeakyRelu", name, vec![features.name], slope), ..features }
    }

    fn head(&mut self, name: &str, features: Features) {
        let inputs = vec![features.name, self.initializer(name, "weight"), self.initializer(name, "bias")];
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

    /// Adds a norm's parameter as `[channel, 1, …]`, which is applied to every voxel.
    fn per_channel(&mut self, module: &str, part: &str) -> String {
        let name = self.initializer(module, part);
        if let Some(tensor) = self.initializers.get_mut(&name) {
            tensor.dims.resize(1 + self.network.n_axes, 1);
        }
        name
    }

    #[expect(clippy::cast_possible_truncation, reason = "the arithmetic that it enters is of f32")]
    fn scalar(&mut self, name: String, value: f64) -> String {
        let raw_data = Some((value as f32).to_le_bytes().to_vec());
        let tensor =
            TensorProto { dims: Vec::new(), data_type: Some(ELEMENT_FLOAT), name: Some(name.clone()), raw_data };
        self.initializers.insert(name.clone(), tensor);
        name
    }
}

/// The extent of features behind a stride, which divides it.
pub(super) fn divided(extent: &[usize], stride: &[usize]) -> Vec<usize> {
    extent.iter().zip(stride).map(|(extent, stride)| extent / stride).collect()
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
