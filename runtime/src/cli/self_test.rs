//! `unnunet self-test`: does this machine compute what training computed?

use std::fmt;

use anyhow::{Context as _, ensure};
use bundle_format::BundleContents;

use super::engine_args::{Device, EngineArgs, PrecisionArg};
use super::trust::TrustArgs;
use super::{Outcome, output};
use crate::engine::{Engine, Provider, Target};
use crate::host;
use crate::members::Networks;
use crate::model::Model;
use crate::self_test::{self, SelfTest, SelfTestError};

/// Run a bundle's probe case and compare with what training computed
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  unnunet self-test -b hearts.unb --public-key vendor.pub
  unnunet self-test -b hearts.unb --public-key vendor.pub --device openvino --precision bf16 --json

Prints, per provider and member, the largest difference of a logit as a fraction of the logits' range. With --json, \
one object per provider: `provider`, `precision`, `passed`, `allowed`, and in `members` of each `member`, \
`difference`, `range`, `relative`, `passed`. Exit status 13 if a difference is larger than the bundle allows.")]
pub(super) struct Args {
    #[command(flatten)]
    trust: TrustArgs,
    /// Where to run; `auto` tests every provider of this machine
    #[arg(long, value_enum, default_value = "auto")]
    device: Device,
    /// What to compute with
    #[arg(long, value_enum, default_value = "f32")]
    precision: PrecisionArg,
    #[command(flatten)]
    engine: EngineArgs,
    /// Print one JSON object per provider
    #[arg(long)]
    json: bool,
}

/// Runs `unnunet self-test`.
///
/// # Errors
///
/// If the bundle is refused, cannot be run, or computes something else here.
pub(super) fn run(args: &Args) -> anyhow::Result<Outcome> {
    let bundle = args.trust.verified()?;
    let engine = args.engine.engine()?;
    let tests = test(&bundle, &engine, args.device, args.precision)?;
    for test in &tests {
        if args.json { output::json(test)? } else { print(test) }
    }
    check(&tests)?;
    Ok(Outcome::Done)
}

/// Tests a bundle on the providers asked for.
///
/// # Errors
///
/// If the bundle does not fit this machine, or its networks do not run.
pub(super) fn test(
    bundle: &dyn BundleContents,
    engine: &Engine,
    device: Device,
    precision: PrecisionArg,
) -> anyhow::Result<Vec<SelfTest>> {
    host::check(bundle, engine).context("this machine cannot run the bundle")?;
    let model = Model::read(bundle)?;
    let networks = Networks { engine, bundle, model: &model };
    let precision = precision.into();
    if let Some(provider) = device.provider() {
        return Ok(vec![self_test::run(networks, Target { provider, precision })?]);
    }
    let mut tests = Vec::new();
    for &provider in engine.providers() {
        if !provider.computes_with(precision) {
            continue;
        }
        match self_test::run(networks, Target { provider, precision }) {
            Ok(test) => tests.push(test),
            // Built in, but its libraries are not here: nothing would run on it.
            Err(error @ SelfTestError::Load { .. }) if provider != Provider::Cpu => {
                let error = anyhow::Error::new(error);
                output::note(format_args!("warning: `{provider}` cannot be used here: {error:#}"));
            }
            Err(error) => return Err(error.into()),
        }
    }
    ensure!(!tests.is_empty(), "no provider of this machine computes with {precision}");
    Ok(tests)
}

/// Refuses if a test did not pass.
///
/// # Errors
///
/// [`Failed`] naming the member that differs most.
pub(super) fn check(tests: &[SelfTest]) -> Result<(), Failed> {
    let failed = |test: &SelfTest| {
        let members = test.members.iter().filter(|member| !member.passed);
        let distance = |relative: Option<f64>| relative.unwrap_or(f64::INFINITY);
        let worst = members.max_by(|a, b| distance(a.relative).total_cmp(&distance(b.relative)))?;
        let (member, relative) = (worst.member.to_string(), worst.relative);
        Some(Failed { target: test.target, member, relative, allowed: test.allowed })
    };
    tests.iter().find_map(failed).map_or(Ok(()), Err)
}

fn print(test: &SelfTest) {
    output::line(format_args!("{}, allowed {:.1e} of the logits' range", test.target, test.allowed));
    for member in &test.members {
        let outcome = if member.passed { "ok" } else { "FAILED" };
        output::line(format_args!("  {:<28} {:>9}  {outcome}", member.member.to_string(), Share(member.relative)));
    }
}

/// A share that may not exist.
struct Share(Option<f64>);

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(share) => f.pad(&format!("{share:.1e}")),
            None => f.pad("undefined"),
        }
    }
}

/// The bundle computes something else on this machine than it did in training.
#[derive(Debug, thiserror::Error)]
#[error(
    "the self-test failed on {target}: logits of member `{member}` differ by {} of their range, allowed are {allowed:.1e}",
    Share(*relative)
)]
pub(crate) struct Failed {
    target: Target,
    member: String,
    relative: Option<f64>,
    allowed: f64,
}
