//! What ran: the bundle, the machine, the members, and what took the time.

use nnunet::calibration::Promise;

use super::super::Report;
use super::super::folder::RunReport;
use super::super::markup::{duration, text};

/// Members that are listed one by one.
const MAX_MEMBERS: usize = 200;

/// The section.
pub(super) fn section(report: &Report<'_>) -> String {
    let run = report.run;
    let facts: Vec<_> =
        facts(run).into_iter().map(|(name, value)| format!("<dt>{name}</dt><dd>{value}</dd>")).collect();
    format!(
        r#"<section aria-labelledby="run"><h2 id="run">What ran</h2><div class="columns"><dl class="facts-list">{}</dl>{}</div>{}</section>"#,
        facts.concat(),
        timings(report),
        members(run)
    )
}

/// Name → value, both as markup.
fn facts(run: &RunReport) -> Vec<(&'static str, String)> {
    let list = |values: Vec<String>| if values.is_empty() { "none".to_owned() } else { values.join(", ") };
    let methods = run.options.uncertainty.iter().map(ToString::to_string).collect();
    let mirrored = run.options.mirrored_axes.iter().map(|axis| format!("axis {axis}"));
    let kept = run.postprocessing.iter().map(|labels| {
        format!("largest component of {}", labels.iter().map(u8::to_string).collect::<Vec<_>>().join(" + "))
    });
    let promise = run.calibration.promise.map_or_else(
        || format!("none: {}", text(run.calibration.reason.as_deref().unwrap_or("no reason is given"))),
        |Promise { level, minimum_dice, risk, .. }| {
            format!("an interval holds the Dice with probability {level}; a Dice below {minimum_dice} is accepted with probability {risk} at most")
        },
    );
    vec![
        ("Bundle", format!("<bdi>{}</bdi> <bdi>{}</bdi>", text(&run.bundle.id), text(&run.bundle.version))),
        ("Manifest", format!("<code>{}</code>", text(&run.bundle.manifest_sha256))),
        ("Signed by", list(run.bundle.signers.iter().map(|signer| format!("<code>{}</code>", text(signer))).collect())),
        (
            "Programs",
            format!("unnunet {}, ONNX Runtime {}", text(&run.program.unnunet), text(&run.program.onnxruntime)),
        ),
        (
            "Device",
            format!("{}, {}, {} threads", text(&run.device.provider), text(&run.device.precision), run.device.threads),
        ),
        ("Uncertainty", list(methods)),
        ("Temperature", run.options.temperature.to_string()),
        ("Step of the patch", run.options.step.to_string()),
        ("Mirrored axes", list(mirrored.collect())),
        ("Postprocessing", list(kept.collect())),
        ("Promise", promise),
    ]
}

fn timings(report: &Report<'_>) -> String {
    let stages = &report.run.stage_seconds;
    let total: f64 = stages.values().sum();
    let n_done = report.cases.iter().filter(|case| case.failure.is_empty()).count().max(1);
    let row = |(stage, &seconds): (&String, &f64)| {
        let share = if total > 0.0 { seconds / total * 100.0 } else { 0.0 };
        format!(
            r#"<tr><th scope="row">{}</th><td class="number">{}</td><td class="number">{}</td><td class="share"><svg viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true"><rect class="dot done" width="{share:.1}" height="8"/></svg><span>{share:.0} %</span></td></tr>"#,
            text(stage),
            duration(seconds),
            duration(seconds / n_done as f64)
        )
    };
    let rows: Vec<_> = stages.iter().map(row).collect();
    format!(
        r#"<div class="scroll" tabindex="0" role="region" aria-label="Time"><table><caption>Time by stage; the run took {}, reading and preprocessing run beside the case before</caption><thead><tr><th scope="col">Stage</th><th scope="col" class="number">All cases</th><th scope="col" class="number">Per case</th><th scope="col">Share</th></tr></thead><tbody>{}</tbody></table></div>"#,
        duration(report.run.wall_seconds),
        rows.concat()
    )
}

fn members(run: &RunReport) -> String {
    let n = run.members.len();
    let shown: Vec<_> =
        run.members.iter().take(MAX_MEMBERS).map(|member| format!("<li><code>{}</code></li>", text(member))).collect();
    let more = if n > MAX_MEMBERS { format!("<p>and {} more.</p>", n - MAX_MEMBERS) } else { String::new() };
    format!(r#"<h3>The {n} members that predicted</h3><ul class="members">{}</ul>{more}"#, shown.concat())
}
