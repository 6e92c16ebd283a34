//! `unnunet bundle audit`: the history of a device, checked and shown.

use anyhow::Context as _;
use bundle_format::store::Record;
use serde_json::json;

use super::store_args::StoreArgs;
use crate::cli::{Outcome, output};

/// Check and show the history of a store
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Check that no record was changed, removed, moved or put in
    #[command(after_help = "\
Examples:
  unnunet bundle audit verify --store /var/lib/unnunet
  unnunet bundle audit verify --store /var/lib/unnunet --json

With --json an object: `valid`, `records`, `last` (SHA-256 of the last record). Write `last` down elsewhere: it shows \
later that the history up to now is still the same. Exit status 12 if the log was altered.")]
    Verify(LogArgs),
    /// Print every record, after the whole log was checked
    #[command(after_help = "\
Examples:
  unnunet bundle audit show --store /var/lib/unnunet
  unnunet bundle audit show --store /var/lib/unnunet --json | jq -r 'select(.event.operation == \"commit\") | .time'")]
    Show(LogArgs),
}

#[derive(Debug, clap::Args)]
struct LogArgs {
    #[command(flatten)]
    store: StoreArgs,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Runs `unnunet bundle audit …`.
///
/// # Errors
///
/// If there is no store, or its log was altered.
pub(super) fn run(args: &Args) -> anyhow::Result<Outcome> {
    match &args.command {
        Command::Verify(log) => verify(log),
        Command::Show(log) => show(log),
    }
}

fn verify(args: &LogArgs) -> anyhow::Result<Outcome> {
    let state = args.store.state()?;
    let n_records = args.store.store().verify_audit(&mut |_| ()).context("the audit log does not verify")?;
    let last = state.audit.last.digest();
    if args.json {
        output::json(&json!({ "valid": true, "records": n_records, "last": last }))?;
    } else {
        output::line(format_args!("{n_records} records, unbroken; the last is {last}"));
    }
    Ok(Outcome::Done)
}

fn show(args: &LogArgs) -> anyhow::Result<Outcome> {
    let store = args.store.store();
    store.verify_audit(&mut |_| ()).context("the audit log does not verify")?;
    let mut printed = Ok(());
    store.verify_audit(&mut |record| {
        if printed.is_ok() {
            printed = print(record, args.json);
        }
    })?;
    printed?;
    Ok(Outcome::Done)
}

fn print(record: &Record, as_json: bool) -> anyhow::Result<()> {
    if as_json {
        return output::json(record);
    }
    let event = serde_json::to_value(&record.event)?;
    let text = |field: &str| event[field].as_str().unwrap_or_default().to_owned();
    let extra = match (event["floor"].as_u64(), event["reason"].as_str()) {
        (Some(floor), _) => format!("  floor {floor}"),
        (None, Some(reason)) => format!("  {reason}"),
        (None, None) => String::new(),
    };
    let digest = text("manifest_sha256");
    let short = digest.get(..16).unwrap_or_default();
    let line = format!(
        "{:>5}  {}  {:<9} {} {} {short}{extra}",
        record.n,
        record.time,
        text("operation"),
        text("id"),
        text("version")
    );
    output::line(line.trim_end());
    Ok(())
}
