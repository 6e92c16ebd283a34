//! `unnunet devices`: what networks can run on here.

use serde::Serialize;

use super::engine_args::EngineArgs;
use super::{Outcome, output};
use crate::engine::Provider;

/// List the providers that networks can run on here
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  unnunet devices
  unnunet devices --json

`unnunet self-test` shows whether a bundle computes on them what training computed.")]
pub(super) struct Args {
    #[command(flatten)]
    engine: EngineArgs,
    /// Print one JSON object: `onnxruntime`, `library`, `threads`, `providers`
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Devices {
    onnxruntime: String,
    library: String,
    threads: usize,
    providers: Vec<Provider>,
}

/// Runs `unnunet devices`.
///
/// # Errors
///
/// If ONNX Runtime cannot be loaded.
pub(super) fn run(args: &Args) -> anyhow::Result<Outcome> {
    let engine = args.engine.engine()?;
    let devices = Devices {
        onnxruntime: engine.version().to_string(),
        library: engine.library().display().to_string(),
        threads: engine.n_threads(),
        providers: engine.providers().to_vec(),
    };
    if args.json {
        output::json(&devices)?;
    } else {
        output::line(format_args!("ONNX Runtime {}\n  {}", devices.onnxruntime, devices.library));
        output::line(format_args!("threads      {}", devices.threads));
        let names: Vec<_> = devices.providers.iter().map(|provider| provider.name()).collect();
        output::line(format_args!("providers    {}", names.join(", ")));
    }
    Ok(Outcome::Done)
}
