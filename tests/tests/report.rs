//! `unnunet report` on balls whose predictions get worse as their scores rise, some of them hostile, in a browser.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::BTreeMap;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use fs_err as fs;
use imaging::{Volume, file, nifti};
use phantoms::balls::Balls;
use phantoms::browser::{Browser, Rendered};
use phantoms::programs::{outcome, succeed, unnunet};
use serde_json::{Value, json};

const BALLS: Balls = Balls { n_training: 0, n_test: 14, ..Balls::ANISOTROPIC };

/// Runs if a name gets into the page as markup.
const HOSTILE: &str = "<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'<";

/// Says what the browser made of a page: a script that a test adds to a copy of it.
const PROBE: &str = r#"
<script>
addEventListener("load", () => {
  const head = [...document.querySelectorAll("table.sortable thead th")].find((th) => th.textContent === "Dice");
  const column = () => [...document.querySelectorAll("table.sortable tbody tr")].map((tr) => tr.cells[head.cellIndex].dataset.value);
  const orders = [];
  for (const _ of [0, 1]) {
    head.querySelector("button").click();
    orders.push([head.getAttribute("aria-sort"), column()]);
  }
  const images = [...document.images].map((img) => [img.naturalWidth, img.naturalHeight, img.getBoundingClientRect().width]);
  const outlines = [...document.querySelectorAll(".panel path")].map((path) => path.getTotalLength());
  const overflow = document.documentElement.scrollWidth - document.documentElement.clientWidth;
  const width = innerWidth;
  parent.postMessage(JSON.stringify({ orders, images, outlines, overflow, width, title: document.title }), "*");
});
</script>"#;

/// A finished run of 14 cases in `folder`: case `i` lost every voxel of `i` in 20 of its slices, and has the score `i / 10`.
struct Run {
    folder: PathBuf,
    dataset: PathBuf,
}

impl Run {
    fn write(folder: &Path) -> Self {
        let dataset = BALLS.write(folder).unwrap();
        let run = Self { folder: folder.join("predictions"), dataset };
        fs::create_dir_all(&run.folder).unwrap();
        for index in 0..14 {
            run.write_case(index);
        }
        let cases: Vec<_> = (0..14).map(|index| json!({"case": name(index), "status": "done"})).collect();
        run.write_report(&cases);
        run
    }

    fn write_case(&self, index: u32) {
        let (_, reference) = BALLS.draw(usize::try_from(index).unwrap());
        let mut labels = reference.voxels.clone();
        for ((_, y, x), label) in labels.indexed_iter_mut() {
            if (y * 7 + x * 5) % 20 < usize::try_from(index).unwrap() {
                *label = 0;
            }
        }
        let bits = |(at, &label): ((usize, usize, usize), &u8)| {
            // Unsure where the segmentation misses the reference, most of all in slice 3.
            if label == reference.voxels[at] {
                0.02
            } else if at.0 == 3 {
                0.97
            } else {
                0.4
            }
        };
        let map = labels.indexed_iter().map(bits).collect();
        let map = ndarray::Array3::from_shape_vec(labels.dim(), map).unwrap();
        let case = name(index);
        let path = |suffix: &str| self.folder.join(format!("{case}{suffix}.nii.gz"));
        nifti::write_labels(&path(""), &Volume { voxels: labels, geometry: reference.geometry.clone() }).unwrap();
        nifti::write_map(&path("_uncertainty"), &Volume { voxels: map, geometry: reference.geometry }).unwrap();
        self.write_trace(&case, &trace(&case, f64::from(index) / 10.0));
    }

    fn write_trace(&self, case: &str, trace: &Value) {
        fs::write(self.folder.join(format!("{case}.json")), trace.to_string()).unwrap();
    }

    fn write_report(&self, cases: &[Value]) {
        let mut report = facts();
        report["cases"] = json!(cases);
        fs::write(self.folder.join("report.json"), report.to_string()).unwrap();
    }

    fn report(&self) -> Command {
        let mut report = unnunet();
        report.arg("report").arg("--output").arg(&self.folder);
        report
    }

    fn full_report(&self) -> Command {
        let mut report = self.report();
        report.arg("--images").arg(self.dataset.join("imagesTs"));
        report.arg("--reference").arg(self.dataset.join("labelsTs"));
        report.arg("--dataset-json").arg(self.dataset.join("dataset.json"));
        report
    }

    fn page(&self) -> String {
        fs::read_to_string(self.folder.join("report.html")).unwrap()
    }
}

fn name(index: u32) -> String {
    format!("balls_{index:03}")
}

fn trace(case: &str, score: f64) -> Value {
    let expected = (0.98 - 0.5 * score).clamp(0.1, 1.0);
    let scores = |fold: Value, more: f64| json!({"fold": fold, "method": "class-entropy", "score": score + more, "structures": {}});
    json!({
        "format": 2, "case": case, "inputs": [{"file": format!("{case}_0000.nii.gz"), "sha256": "cd34"}], "bundle": {"manifest_sha256": "ab12"},
        "selected_fold": 1, "disagreement": 0.02, "warnings": if score > 1.2 { vec!["the networks hardly agree"] } else { Vec::new() },
        "expectation": {
            "dice": expected, "interval": [(expected - 0.1).max(0.0), (expected + 0.1).min(1.0)],
            "decision": if score < 0.6 { "accept" } else { "review" },
        },
        "scores": [scores(json!(0), 0.1), scores(json!(1), 0.0), scores(Value::Null, 0.05)],
        "seconds": {"read": 0.2, "network": 3.5, "write": 0.1},
    })
}

fn facts() -> Value {
    json!({
        "format": 2,
        "bundle": {"id": "tests/balls", "version": "1.2.0", "manifest_sha256": "ab12", "signers": ["5e1f"]},
        "program": {"unnunet": "0.1.0", "onnxruntime": "1.24.1", "onnxruntime_library": "/lib/libonnxruntime.so"},
        "device": {"provider": "cpu", "precision": "f32", "threads": 2, "measured": []},
        "options": {"step": 0.5, "mirrored_axes": [0, 1, 2], "temperature": 1.25, "uncertainty": ["class-entropy"]},
        "calibration": {"promise": {"method": "class-entropy", "temperature": 1.25, "level": 0.9, "minimum_dice": 0.7, "risk": 0.05}},
        "postprocessing": [[1]],
        "members": ["fold_0/checkpoint_9", "fold_0/checkpoint_19", "fold_1/checkpoint_9", "fold_1/checkpoint_19"],
        "stage_seconds": {"read": 2.8, "network": 49.0, "write": 1.4}, "wall_seconds": 51.5,
    })
}

/// A folder with a run, and names and files in it that mean harm.
fn hostile(folder: &Path) -> Run {
    let run = Run::write(folder);
    let hostile = HOSTILE.replace('/', "");
    for suffix in [".nii.gz", "_uncertainty.nii.gz"] {
        let path = |case: &str| run.folder.join(format!("{case}{suffix}"));
        fs::copy(path(&name(13)), path(&hostile)).unwrap();
    }
    let mut trace = trace(&hostile, 5.0);
    trace["warnings"] = json!([HOSTILE, "<script>document.title='owned'</script>"]);
    run.write_trace(&hostile, &trace);
    fs::write(run.folder.join("balls_002.json"), "{\"format\": 1, \"case\": 7").unwrap();
    fs::write(run.folder.join("balls_003.nii.gz"), b"\x1f\x8bno image").unwrap();
    let mut infinite = self::trace(&name(4), 1.0);
    infinite["scores"][1]["score"] = json!(1e300);
    run.write_trace(&name(4), &infinite);
    let mut foreign = self::trace(&name(5), 1.0);
    foreign["bundle"]["manifest_sha256"] = json!("cd34");
    run.write_trace(&name(5), &foreign);
    let mut cases: Vec<_> = (0..14).map(|index| json!({"case": name(index), "status": "done"})).collect();
    cases.push(json!({"case": hostile, "status": "done"}));
    cases.push(json!({"case": name(6), "status": "done"}));
    cases.push(json!({"case": "../../etc/passwd", "status": "done"}));
    cases.push(json!({"case": "lost", "status": "failed", "error": [HOSTILE, "no such file"]}));
    run.write_report(&cases);
    run
}

/// What can be checked of every page without a browser.
fn check_markup(page: &str) {
    assert!(page.starts_with("<!DOCTYPE html>\n<html lang=\"en\">"));
    assert!(page.contains("default-src 'none'; img-src data:; style-src 'sha256-"), "a strict policy");
    assert_eq!(page.matches("<script").count(), 1, "our own script and no other");
    assert!(!page.contains("onerror=\"") && !page.contains("style=\""));
    assert!(!page.contains("http:") && !page.contains("https:"), "nothing is fetched");
    let images: Vec<_> = page.split("<img ").skip(1).map(|rest| rest.split('>').next().unwrap()).collect();
    assert!(images.iter().all(|image| image.starts_with("src=\"data:image/png;base64,") && image.contains(" alt=\"")));
    for tag in ["html", "head", "body", "section", "table", "tr", "td", "th", "figure", "svg", "div", "ul", "li", "dl"]
    {
        let opened = page.matches(&format!("<{tag}>")).count() + page.matches(&format!("<{tag} ")).count();
        assert_eq!(opened, page.matches(&format!("</{tag}>")).count(), "<{tag}> is opened as often as it is closed");
    }
    assert!(!page.contains("NaN") && !page.contains(">inf"), "no number is left undefined");
}

/// A browser, or a line that says that there is none.
fn browser() -> Option<Browser> {
    let browser = Browser::find();
    if browser.is_none() {
        // Past what captures the output of a test that passes.
        let line = "NOT LOOKED AT IN A BROWSER: no chromium on the PATH, and UNNUNET_CHROMIUM is not set";
        let _ = writeln!(io::stderr(), "{line}");
    }
    browser
}

/// What the browser says of a copy of the page without its policy, whose script must not run then either.
fn probe(browser: &Browser, run: &Run, width: u32) -> Value {
    let page = run.page();
    let policy = page.split("<meta http-equiv").nth(1).unwrap().split('>').next().unwrap();
    let copy = page.replace(&format!("<meta http-equiv{policy}>"), "").replace("</body>", &format!("{PROBE}</body>"));
    fs::write(run.folder.join("probe.html"), copy).unwrap();
    // No window is as narrow as a phone, but a frame may be.
    let frame = format!(
        r#"<body><pre id="facts"></pre><script>addEventListener("message", (m) => {{ facts.textContent = m.data; }});</script><iframe src="probe.html" width="{width}" height="900" frameborder="0"></iframe>"#
    );
    let path = run.folder.join("frame.html");
    fs::write(&path, frame).unwrap();
    let Rendered { dom, console } = browser.open(&path);
    assert_eq!(console, Vec::<String>::new());
    let facts = dom.split("<pre id=\"facts\">").nth(1).unwrap().split("</pre>").next().unwrap();
    let entities = [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&amp;", "&")];
    let facts = entities.iter().fold(facts.to_owned(), |text, (entity, char)| text.replace(entity, char));
    serde_json::from_str(&facts).unwrap()
}

fn numbers(column: &Value) -> Vec<Option<f64>> {
    column.as_array().unwrap().iter().map(|value| value.as_str().unwrap().parse().ok()).collect()
}

#[test]
fn a_report_with_references_says_what_the_scores_are_worth() {
    let folder = tempfile::tempdir().unwrap();
    let run = Run::write(folder.path());
    let printed = succeed(&mut run.full_report());
    assert_eq!(printed.trim(), run.folder.join("report.html").display().to_string());
    let page = run.page();
    check_markup(&page);
    for row in ["Pearson", "Spearman", "Slope", "Intercept", "AURC", "ECE", "Intervals that held", "Wrongly accepted"] {
        let cells = page.split(&format!("<th scope=\"row\">{row}")).nth(1).unwrap().split("</tr>").next().unwrap();
        assert!(cells.contains(" to ") && cells.contains("<td class=\"number\">14</td>"), "{row}: {cells}");
    }
    assert!(page.contains("Dice <bdi>large</bdi>") && page.contains("Dice <bdi>small</bdi>"));
    assert_eq!(page.matches("<figure id=\"case-").count(), 14);
    assert!(page.contains("slice 4 of 8 along z"), "the slice that is least certain");
    let gallery = page.split("class=\"gallery\"").nth(1).unwrap();
    assert_eq!(gallery.matches("class=\"outline reference\" d=\"M").count(), 28, "on the image and on the map");
    // The same folder gives the same page.
    succeed(&mut run.full_report());
    assert_eq!(run.page(), page);
}

#[test]
fn a_report_without_references_has_no_dice() {
    let folder = tempfile::tempdir().unwrap();
    let run = Run::write(folder.path());
    let target = folder.path().join("elsewhere.html");
    succeed(run.report().args(["--figures", "3", "--slices", "2", "--report"]).arg(&target));
    assert!(!run.folder.join("report.html").exists());
    let page = fs::read_to_string(target).unwrap();
    check_markup(&page);
    assert!(!page.contains("Pearson") && !page.contains(">Dice</th>") && page.contains("No references were given"));
    assert_eq!(page.matches("<figure id=\"case-").count(), 3);
    assert_eq!(page.matches("<div class=\"panel\">").count(), 6, "two slices each, without images");
    assert!(page.contains("Shown are 3 of 14 cases"));
}

#[test]
fn what_means_harm_is_shown_and_the_rest_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let run = hostile(folder.path());
    let output = outcome(&mut run.full_report());
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    let page = run.page();
    check_markup(&page);
    assert!(page.contains("&lt;script&gt;document.title"), "the name is shown as it is");
    let problems = BTreeMap::from([
        ("balls_002", "is malformed"),
        ("balls_003", "balls_003.nii.gz"),
        ("balls_004", "expected 0 to 1000000000"),
        ("balls_005", "is of another bundle"),
        ("balls_006", "names the case twice"),
        ("../../etc/passwd", "../../etc/passwd"),
    ]);
    for (case, problem) in problems {
        let lines: Vec<_> = stderr.lines().filter(|line| line.contains(&format!("case `{case}`"))).collect();
        assert!(lines.iter().any(|line| line.contains(problem)), "{case}: {lines:?}");
    }
    assert_eq!(page.matches(">unreadable</span>").count(), 6);
    assert_eq!(page.matches(">failed</span>").count(), 1);
}

#[test]
fn a_browser_shows_pictures_and_sorts_cases_and_runs_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let run = hostile(folder.path());
    outcome(&mut run.full_report());
    check_markup(&run.page());
    let Some(browser) = browser() else { return };
    let rendered = browser.open(&run.folder.join("report.html"));
    assert_eq!(rendered.console, Vec::<String>::new(), "the policy lets the page through and nothing is amiss");
    assert!(rendered.dom.contains("<button type=\"button\">"), "the policy lets the page's own script run");

    let facts = probe(&browser, &run, 1280);
    assert_eq!(facts["title"], "Prediction report: tests/balls");
    for image in facts["images"].as_array().unwrap() {
        assert!(image.as_array().unwrap().iter().all(|side| side.as_f64().unwrap() > 0.0), "{image}");
    }
    assert!(facts["outlines"].as_array().unwrap().iter().all(|length| length.as_f64().unwrap() > 10.0));
    for (order, sort) in facts["orders"].as_array().unwrap().iter().zip(["descending", "ascending"]) {
        assert_eq!(order[0], sort);
        let column = numbers(&order[1]);
        let known: Vec<_> = column.iter().map_while(|value| *value).collect();
        assert!(
            known.len() >= 10 && column[known.len()..].iter().all(Option::is_none),
            "undefined comes last: {column:?}"
        );
        let is_sorted = |a: &f64, b: &f64| if sort == "ascending" { a <= b } else { a >= b };
        assert!(known.is_sorted_by(is_sorted), "{sort}: {known:?}");
    }
}

#[test]
fn a_page_fits_a_desk_and_a_hand() {
    let folder = tempfile::tempdir().unwrap();
    let run = Run::write(folder.path());
    succeed(&mut run.full_report());
    check_markup(&run.page());
    let Some(browser) = browser() else { return };
    for width in [1280, 380] {
        let facts = probe(&browser, &run, width);
        assert_eq!([&facts["width"], &facts["overflow"]], [width, 0], "nothing sticks out");
    }
    let picture = folder.path().join("page.png");
    browser.picture(&run.folder.join("report.html"), [1280, 4000], &picture);
    let pixels = file::read_image(&[&picture]).unwrap().voxels;
    let has = |color: [f32; 3]| {
        let lanes = pixels.lanes(ndarray::Axis(0));
        lanes.into_iter().filter(|lane| (0..3).all(|i| (lane[i] - color[i]).abs() < 2.0)).count()
    };
    // The colors of the outlines, which nothing else on the page has.
    assert!(has([18.0, 214.0, 255.0]) > 500, "outlines of segmentations are seen");
    assert!(has([255.0; 3]) > 10_000 && has([29.0, 33.0, 37.0]) > 500, "paper and ink");
}

#[test]
fn a_run_in_which_every_case_failed_is_a_report_too() {
    let folder = tempfile::tempdir().unwrap();
    let run = Run::write(folder.path());
    run.write_report(&[json!({"case": "a", "status": "failed", "error": ["the image cannot be read"]})]);
    succeed(&mut run.full_report());
    let page = run.page();
    check_markup(&page);
    assert!(page.contains("the image cannot be read") && !page.contains("<figure id="));
    run.write_report(&[]);
    succeed(&mut run.full_report());
    check_markup(&run.page());
}

#[test]
fn a_folder_of_something_else_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let refuse = |command: &mut Command, words: &str| {
        let output = outcome(command);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{stderr}");
        assert!(stderr.contains(words), "{stderr}");
    };
    let report = || {
        let mut report = unnunet();
        report.arg("report").arg("--output").arg(folder.path());
        report
    };
    refuse(&mut report(), "report.json");
    fs::write(folder.path().join("report.json"), "{\"format\": 2}").unwrap();
    refuse(&mut report(), "is malformed");
    let run = Run::write(&folder.path().join("run"));
    let mut report = facts();
    report["format"] = json!(3);
    report["cases"] = json!([]);
    fs::write(folder.path().join("report.json"), report.to_string()).unwrap();
    refuse(unnunet().arg("report").arg("--output").arg(folder.path()), "has format 3, expected 2");
    refuse(run.report().arg("--reference").arg(folder.path()), "has no file of any case");
    assert!(!run.folder.join("report.html").exists());
}
