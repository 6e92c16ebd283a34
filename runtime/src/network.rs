//! One member's network in a session.

use std::fmt;
use std::time::Instant;

use ndarray::ArrayView5;
use nnunet::plans::Configuration;
use nnunet::sliding_window::PatchNetwork;
use nnunet::topology::UNet;
use ort::session::Session;
use ort::value::{Outlet, TensorElementType, TensorRef, ValueType};

/// Name of the only input.
const INPUT: &str = "image";
/// Name of the only output.
const OUTPUT: &str = "logits";

/// A session whose model takes one patch of the configuration and returns its logits.
pub(crate) struct Network {
    session: Session,
    /// `[1, output, z, y, x]`.
    output_shape: [usize; 5],
    /// Whether the model has no z axis.
    is_flat: bool,
    /// Seconds inside the session so far.
    seconds: f64,
}

impl Network {
    /// Checks that the session's model is one of the configuration's topology.
    ///
    /// # Errors
    ///
    /// [`NetworkError::Interface`] naming the input or output that differs.
    pub(crate) fn new(session: Session, unet: &UNet, configuration: &Configuration) -> Result<Self, NetworkError> {
        let shape = |n: usize| [&[n], configuration.patch_size.as_slice()].concat();
        check(Side::Input, session.inputs(), INPUT, &shape(unet.n_channels))?;
        check(Side::Output, session.outputs(), OUTPUT, &shape(unet.n_outputs))?;
        let [z, y, x] = configuration.patch_zyx();
        let (output_shape, is_flat) = ([1, unet.n_outputs, z, y, x], configuration.n_axes() == 2);
        Ok(Self { session, output_shape, is_flat, seconds: 0.0 })
    }

    /// Seconds that all patches so far spent inside the session.
    pub(crate) fn seconds(&self) -> f64 {
        self.seconds
    }
}

impl PatchNetwork for Network {
    type Error = NetworkError;

    fn predict<T>(
        &mut self,
        batch: ArrayView5<'_, f32>,
        use_logits: impl FnOnce(ArrayView5<'_, f32>) -> T,
    ) -> Result<T, NetworkError> {
        let batch = batch.as_standard_layout();
        let mut shape = batch.shape().to_vec();
        if self.is_flat {
            // A slice [n, channel, 1, y, x] is [n, channel, y, x] to the model.
            shape.remove(2);
        }
        let values = batch.as_slice().expect("a batch in standard layout is one slice");
        let tensor = TensorRef::from_array_view((shape, values))?;
        let start = Instant::now();
        let outputs = self.session.run(ort::inputs![INPUT => tensor])?;
        self.seconds += start.elapsed().as_secs_f64();
        let (_, logits) = outputs[OUTPUT].try_extract_tensor::<f32>()?;
        let actual = logits.len();
        let logits = ArrayView5::from_shape(self.output_shape, logits)
            .map_err(|_| NetworkError::Logits { actual, expected: self.output_shape.iter().product() })?;
        Ok(use_logits(logits))
    }
}

/// The session's batch axis is free or 1, everything else is as expected.
fn check(side: Side, outlets: &[Outlet], name: &str, expected: &[usize]) -> Result<(), NetworkError> {
    let found = outlets.iter().map(|outlet| format!("`{}` {:?}", outlet.name(), outlet.dtype())).collect::<Vec<_>>();
    let fits = |outlet: &Outlet| match outlet.dtype() {
        ValueType::Tensor { ty: TensorElementType::Float32, shape, .. } => {
            let extents = shape.get(1..).unwrap_or_default();
            outlet.name() == name
                && matches!(shape.first(), Some(-1 | 1))
                && extents.len() == expected.len()
                && extents.iter().zip(expected).all(|(&found, &expected)| usize::try_from(found) == Ok(expected))
        }
        _ => false,
    };
    match outlets {
        [outlet] if fits(outlet) => Ok(()),
        _ => Err(NetworkError::Interface { side, name: name.to_owned(), expected: expected.to_vec(), found }),
    }
}

/// Input or output of a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    /// Input.
    Input,
    /// Output.
    Output,
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Input => "input",
            Self::Output => "output",
        })
    }
}

/// Why a network does not run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum NetworkError {
    /// The model is not one of the configuration's.
    #[error("the model's {side} is {}, expected `{name}` f32 [batch, {}]", found.join(", "), join(expected))]
    Interface {
        /// Which side differs.
        side: Side,
        /// Expected name.
        name: String,
        /// Expected extents after the batch axis.
        expected: Vec<usize>,
        /// What the model has.
        found: Vec<String>,
    },
    /// The model returned another number of logits than it declares.
    #[error("the model returned {actual} logits, expected {expected}")]
    Logits {
        /// Logits returned.
        actual: usize,
        /// Logits of one patch.
        expected: usize,
    },
    /// ONNX Runtime failed.
    #[error("ONNX Runtime failed")]
    Run {
        /// Why.
        #[from]
        source: ort::Error,
    },
}

fn join(extents: &[usize]) -> String {
    extents.iter().map(usize::to_string).collect::<Vec<_>>().join(", ")
}
