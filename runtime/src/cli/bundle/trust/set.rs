//! `unnunet bundle trust set`: policy, floors and threshold; without an option, a new date.

use std::collections::BTreeMap;
use std::str::FromStr;

use anyhow::{Context as _, bail};
use bundle_format::{BundleId, Channel, RoleCount, TrustRole};

use super::change::ChangeArgs;
use super::{ChannelArg, RoleArg};
use crate::cli::Outcome;

/// Set who must sign, security floors or the roots' threshold; without any of them, renew the document
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  unnunet bundle trust set --trust trust --root-key root.pem --require clinical=release:1,qa:1
  unnunet bundle trust set --trust trust --root-key root.pem --floor acme/liver=5
  unnunet bundle trust set --trust trust --root-key root.pem --valid-days 730")]
pub(super) struct Args {
    #[command(flatten)]
    change: ChangeArgs,
    /// Who must sign bundles of a channel, for example `clinical=release:1,qa:1`; may be given more than once
    #[arg(long, value_name = "CHANNEL=ROLE:N,…")]
    require: Vec<Requirement>,
    /// Channels of which no bundle is admitted any more
    #[arg(long, value_name = "CHANNEL", value_enum)]
    forbid: Vec<ChannelArg>,
    /// Lowest security version of a model that is still admitted; may be given more than once
    #[arg(long, value_name = "MODEL=N")]
    floor: Vec<Floor>,
    /// Distinct root keys that must sign the next trust documents
    #[arg(long, value_name = "N")]
    threshold: Option<usize>,
}

/// Runs `unnunet bundle trust set`.
///
/// # Errors
///
/// If a channel is named twice, or the result is no trust document; too few root keys sign.
pub(super) fn run(args: &Args) -> anyhow::Result<Outcome> {
    let policy = policy(&args.require)?;
    args.change.write(|draft| {
        draft.policy.extend(policy);
        draft.policy.retain(|channel, _| !args.forbid.iter().any(|forbidden| Channel::from(*forbidden) == *channel));
        draft.min_security_version.extend(args.floor.iter().map(|floor| (floor.id.clone(), floor.security_version)));
        draft.roots.threshold = args.threshold.unwrap_or(draft.roots.threshold);
        Ok(())
    })
}

/// The policy that the options spell.
///
/// # Errors
///
/// If a channel is named twice.
pub(super) fn policy(requirements: &[Requirement]) -> anyhow::Result<BTreeMap<Channel, Vec<RoleCount>>> {
    let mut policy = BTreeMap::new();
    for requirement in requirements {
        if policy.insert(requirement.channel, requirement.roles.clone()).is_some() {
            bail!("`--require` names the channel `{}` twice", requirement.channel);
        }
    }
    Ok(policy)
}

/// Who must sign bundles of one channel.
#[derive(Debug, Clone)]
pub(super) struct Requirement {
    channel: Channel,
    roles: Vec<RoleCount>,
}

impl FromStr for Requirement {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<Self> {
        let (channel, roles) = text.split_once('=').context("expected `CHANNEL=ROLE:N,…`")?;
        let role = |text: &str| {
            let (role, count) = text.split_once(':').context("expected `ROLE:N`")?;
            let count = count.parse().with_context(|| format!("`{count}` is no count"))?;
            Ok(RoleCount { count, role: TrustRole::from(word::<RoleArg>(role)?) })
        };
        let roles = roles.split(',').map(role).collect::<anyhow::Result<_>>()?;
        Ok(Self { channel: word::<ChannelArg>(channel)?.into(), roles })
    }
}

/// A model's lowest security version.
#[derive(Debug, Clone)]
struct Floor {
    id: BundleId,
    security_version: u32,
}

impl FromStr for Floor {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<Self> {
        let (id, version) = text.split_once('=').context("expected `MODEL=N`")?;
        let security_version = version.parse().with_context(|| format!("`{version}` is no security version"))?;
        Ok(Self { id: BundleId::new(id)?, security_version })
    }
}

/// The value that `text` names; the message lists those that exist.
fn word<T: clap::ValueEnum>(text: &str) -> anyhow::Result<T> {
    T::from_str(text, false).map_err(|_| {
        let known: Vec<_> = T::value_variants().iter().filter_map(clap::ValueEnum::to_possible_value).collect();
        let known: Vec<_> = known.iter().map(|word| word.get_name().to_owned()).collect();
        anyhow::anyhow!("`{text}` is none of {}", known.join(", "))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_requirement_names_channel_roles_and_counts() {
        let requirement: Requirement = "clinical=release:1,qa:2".parse().unwrap();
        assert_eq!(requirement.channel, Channel::Clinical);
        let expected = [(TrustRole::Release, 1), (TrustRole::Qa, 2)];
        assert_eq!(requirement.roles, expected.map(|(role, count)| RoleCount { count, role }));
        for text in
            ["clinical", "clinical=", "clinical=qa", "clinical=qa:x", "clinical=qa:-1", "all=qa:1", "dev=boss:1"]
        {
            assert!(text.parse::<Requirement>().is_err(), "{text}");
        }
        assert!("acme/liver=5".parse::<Floor>().is_ok());
        for text in ["acme/liver", "acme=5", "acme/liver=", "acme/liver=4294967296"] {
            assert!(text.parse::<Floor>().is_err(), "{text}");
        }
    }
}
