//! `unnunet bundle list`: what is installed, what is active, and the floors.

use bundle_format::store::{DeviceState, Release};
use bundle_format::{Channel, Digest};
use serde::Serialize;

use super::store_args::StoreArgs;
use crate::cli::{Outcome, output};

/// List the installed bundles of a store
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  unnunet bundle list --store /var/lib/unnunet
  unnunet bundle list --store /var/lib/unnunet --json | jq 'select(.place == \"active\")'

`place` is `active`, `trial` (active, but its self-test has not passed yet), `previous` or `installed`. With --json an \
object per bundle: `manifest_sha256`, `id`, `version`, `security_version`, `channel`, `place`, `committed`, `floor`, \
`bytes` (null if its file is gone).")]
pub(super) struct Args {
    #[command(flatten)]
    store: StoreArgs,
    /// Print a JSON object per bundle
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Row<'a> {
    manifest_sha256: Digest,
    id: &'a str,
    version: &'a str,
    security_version: u32,
    channel: Channel,
    place: &'static str,
    committed: bool,
    floor: u32,
    bytes: Option<u64>,
}

/// Runs `unnunet bundle list`.
///
/// # Errors
///
/// If there is no store, or its state is damaged.
pub(super) fn run(args: &Args) -> anyhow::Result<Outcome> {
    let (store, state) = (args.store.store(), args.store.state()?);
    let mut rows = Vec::new();
    for (&digest, release) in &state.installed {
        rows.push(Row { bytes: store.bundle_bytes(digest)?, ..row(&state, digest, release) });
    }
    rows.sort_by(|a, b| (a.id, a.security_version, a.version).cmp(&(b.id, b.security_version, b.version)));
    for row in &rows {
        if args.json {
            output::json(row)?;
        } else {
            let Row { manifest_sha256, id, version, security_version, place, floor, bytes, .. } = row;
            let name = format!("{id} {version}");
            let size = bytes.map_or("missing".to_owned(), |bytes| format!("{bytes} bytes"));
            let committed = if row.committed { ", committed" } else { "" };
            output::line(format_args!(
                "{place:<9} {name:<32} security {security_version} (floor {floor}){committed}  {size}\n{manifest_sha256:>74}"
            ));
        }
    }
    Ok(Outcome::Done)
}

fn row<'a>(state: &DeviceState, digest: Digest, release: &'a Release) -> Row<'a> {
    let slot = state.models.get(&release.id);
    let active = slot.and_then(|slot| slot.active.as_ref()).filter(|active| active.manifest_sha256 == digest);
    let previous = slot.and_then(|slot| slot.previous.as_ref()).filter(|former| former.manifest_sha256 == digest);
    let place = match (active, previous) {
        (Some(active), _) if active.is_proven() => "active",
        (Some(_), _) => "trial",
        (None, Some(_)) => "previous",
        (None, None) => "installed",
    };
    Row {
        manifest_sha256: digest,
        id: release.id.as_str(),
        version: release.version.as_str(),
        security_version: release.security_version,
        channel: release.channel,
        place,
        committed: active.or(previous).is_some_and(|deployment| deployment.committed),
        floor: state.floor(&release.id),
        bytes: None,
    }
}
