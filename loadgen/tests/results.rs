//! What happens to results after a run: shown in every form, merged, compared, held to promises.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on shall panic")]

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use serde_json::Value;
use support::{Server, program};
use tempfile::TempDir;

/// A real result in a folder of its own.
struct Kept {
    folder: TempDir,
    file: PathBuf,
}

impl Kept {
    /// The result of 100 requests of two clients.
    fn run() -> Self {
        Self::run_with(&[])
    }

    fn run_with(more: &[&str]) -> Self {
        let server = Server::echo();
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("run.json");
        let addr = server.addr().to_string();
        let mut args = vec![
            addr.as_str(),
            "-c",
            "2",
            "-n",
            "100",
            "--format",
            "json",
            "-o",
        ];
        args.push(file.to_str().unwrap());
        args.extend(more);
        let run = loadgen(&args);
        assert_eq!(code(&run), 0, "{}", text(&run.stderr));
        Self { folder, file }
    }

    fn path(&self) -> &str {
        self.file.to_str().unwrap()
    }

    fn document(&self) -> Value {
        serde_json::from_slice(&fs::read(&self.file).unwrap()).unwrap()
    }

    /// A copy that `change` was applied to.
    fn copy(&self, name: &str, change: impl FnOnce(&mut Value)) -> String {
        let mut document = self.document();
        change(&mut document);
        let file = self.place(name);
        fs::write(&file, document.to_string()).unwrap();
        file
    }

    fn place(&self, name: &str) -> String {
        let file: &Path = &self.folder.path().join(name);
        file.to_str().unwrap().to_owned()
    }
}

fn loadgen(args: &[&str]) -> Output {
    program::loadgen(args).output().unwrap()
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// What is on stdout of a command that ends with 0.
fn shown(args: &[&str]) -> String {
    let output = loadgen(args);
    assert_eq!(code(&output), 0, "{args:?}: {}", text(&output.stderr));
    text(&output.stdout)
}

/// The one line on stderr of a command that ends with `expected` and has nothing on stdout.
fn complaint(args: &[&str], expected: i32) -> String {
    let output = loadgen(args);
    assert_eq!(code(&output), expected, "{args:?}");
    let line = text(&output.stderr);
    assert_eq!(line.lines().count(), 1, "{line}");
    assert!(
        output.stdout.is_empty() && !line.contains('\u{1b}'),
        "{line}"
    );
    line
}

#[test]
fn a_real_report_follows_the_published_schema() {
    let schema = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/loadgen.schema.json");
    let schema: Value = serde_json::from_slice(&fs::read(schema).unwrap()).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let kept = Kept::run();
    let document = kept.document();
    let faults: Vec<_> = validator.iter_errors(&document).collect();
    assert!(faults.is_empty(), "{faults:?}");
    let printed: Value = serde_json::from_str(&shown(&["schema"])).unwrap();
    assert_eq!(printed, schema, "the command prints the published one");
}

#[test]
fn a_kept_result_is_shown_in_every_form() {
    let kept = Kept::run();
    let form = |name| shown(&["report", kept.path(), "--format", name]);
    assert!(form("text").starts_with("clients     2 asked"));
    assert_eq!(
        serde_json::from_str::<Value>(&form("json")).unwrap(),
        kept.document()
    );
    assert_eq!(form("csv").lines().count(), 2);
    assert!(form("hdr").starts_with("#[Histogram log format version 1.3]\n"));
    let intervals = kept.document()["intervals"].as_array().unwrap().len();
    assert_eq!(form("ndjson").lines().count(), intervals);
}

#[test]
fn files_beside_the_main_output_hold_the_same_run() {
    let place = tempfile::tempdir().unwrap();
    let file = |name: &str| place.path().join(name).to_str().unwrap().to_owned();
    let (csv, log, lines) = (file("a.csv"), file("a.hlog"), file("a.ndjson"));
    let kept = Kept::run_with(&["--csv", &csv, "--hdr-log", &log, "--timeseries", &lines]);
    for (file, form) in [(csv, "csv"), (log, "hdr"), (lines, "ndjson")] {
        let beside = fs::read_to_string(&file).unwrap();
        assert_eq!(
            beside,
            shown(&["report", kept.path(), "--format", form]),
            "{form}"
        );
    }
}

#[test]
fn one_file_for_two_forms_is_refused_before_the_run() {
    let kept = Kept::run();
    let file = kept.place("out");
    for command in [
        &["report", kept.path()][..],
        &["merge", kept.path()],
        &["-c", "1"],
    ] {
        let line = complaint(&[command, &["-o", &file, "--csv", &file]].concat(), 2);
        assert!(line.contains("named for two forms"), "{line}");
    }
    assert!(!Path::new(&file).exists());
}

#[test]
fn several_results_are_a_table_but_not_one_document() {
    let kept = Kept::run();
    kept.copy("again.json", |_| ());
    let folder = kept.folder.path().to_str().unwrap();
    assert_eq!(
        shown(&["report", folder, "--format", "csv"])
            .lines()
            .count(),
        3
    );
    let line = complaint(&["report", folder, "--format", "json"], 1);
    assert!(
        line.contains("--format json holds one result and here are 2"),
        "{line}"
    );
}

#[test]
fn a_promise_decides_the_exit_code() {
    let kept = Kept::run();
    let judged = |promise: &[&str]| {
        let args = [&["report", kept.path(), "--format", "json"], promise].concat();
        let output = loadgen(&args);
        let document: Value = serde_json::from_slice(&output.stdout).unwrap();
        let gates = document["gates"].as_array().unwrap().clone();
        (code(&output), gates.last().unwrap()["verdict"].clone())
    };
    assert_eq!(judged(&["--slo", "p50<1h"]), (0, "pass".into()));
    assert_eq!(judged(&["--slo", "p50<1ns"]), (3, "fail".into()));
    assert_eq!(
        judged(&["--slo", "p99.999<1h"]),
        (3, "fail".into()),
        "100 are too few"
    );
    assert_eq!(judged(&["--max-error-rate", "0%"]), (0, "pass".into()));
    assert_eq!(judged(&["--min-served", "100%"]), (0, "pass".into()));
    assert_eq!(judged(&["--min-served", "3"]), (3, "fail".into()));
    let invalid = kept.copy("invalid.json", |d| d["audit"]["verdict"] = "fail".into());
    assert_eq!(
        code(&loadgen(&["report", &invalid])),
        0,
        "it is shown, not judged"
    );
    assert_eq!(code(&loadgen(&["report", &invalid, "--slo", "p50<1ns"])), 4);
}

#[test]
fn a_promise_that_is_none_is_refused_with_the_form() {
    for (flag, value, said) in [
        ("--slo", "p99", "such as p99<2ms"),
        ("--slo", "p100<2ms", "p1 to p99.999"),
        ("--slo", "-1", "such as p99<2ms"),
        ("--max-error-rate", "101%", "0% to 100%"),
        ("--min-served", "-1", "a number of them"),
    ] {
        let line = complaint(&["report", "x.json", flag, value], 2);
        let parts = [flag, value, said];
        assert!(parts.iter().all(|part| line.contains(part)), "{line}");
    }
}

#[test]
fn merged_results_count_everything_once() {
    let kept = Kept::run();
    let other = kept.copy("other.json", |_| ());
    let sum: Value =
        serde_json::from_str(&shown(&["merge", kept.path(), &other, "--format", "json"])).unwrap();
    assert_eq!(sum["requests"]["answered"], 200);
    assert_eq!(sum["latency"]["rtt"]["count"], 200);
    assert_eq!(
        (&sum["clients"]["asked"], &sum["merged"]),
        (&4.into(), &2.into())
    );
    let failed = loadgen(&["merge", kept.path(), &other, "--min-served", "5"]);
    assert_eq!(code(&failed), 3);
}

#[test]
fn results_of_different_loads_are_not_merged_unless_forced() {
    let kept = Kept::run();
    let larger = kept.copy("larger.json", |d| d["config"]["size"] = 65.into());
    let line = complaint(&["merge", kept.path(), &larger], 1);
    assert!(
        line.contains("differ in size (64 and 65); use --force"),
        "{line}"
    );
    shown(&["merge", kept.path(), &larger, "--force"]);
    let later = kept.copy("later.json", |d| {
        let began = d["started_unix_s"].as_f64().unwrap();
        d["started_unix_s"] = (began + 3_600.0).into();
    });
    let line = complaint(&["merge", kept.path(), &later], 1);
    assert!(
        line.contains("did not run at the same time; use --force"),
        "{line}"
    );
}

#[test]
fn a_comparison_ends_with_0_whatever_comes_out() {
    let kept = Kept::run();
    let twice = kept.copy("twice.json", |d| d["rate_per_s"] = 1.0.into());
    let said = shown(&["diff", kept.path(), &twice]);
    assert!(said.contains("not enough runs"), "{said}");
    let diff: Value =
        serde_json::from_str(&shown(&["diff", kept.path(), &twice, "--format", "json"])).unwrap();
    assert_eq!(diff["effects"][0]["figure"], "rate_per_s");
    let folder = kept.folder.path().to_str().unwrap();
    kept.copy("third.json", |_| ());
    let same: Value =
        serde_json::from_str(&shown(&["diff", folder, folder, "--format", "json"])).unwrap();
    let effects = same["effects"].as_array().unwrap();
    let p50 = effects
        .iter()
        .find(|e| e["figure"] == "rtt.p50_us")
        .unwrap();
    assert_eq!(p50["conclusion"], "no-difference");
}

#[test]
fn unlike_results_are_compared_only_by_force() {
    let kept = Kept::run();
    let other = kept.copy("other.json", |d| {
        d["machine"]["kernel"] = "1.0".into();
        d["config"]["connections"] = 3.into();
    });
    let line = complaint(&["diff", kept.path(), &other], 1);
    assert!(
        line.contains("kernel (1.0 and") && line.contains("connections (2 and 3)"),
        "{line}"
    );
    assert!(shown(&["diff", kept.path(), &other, "--force"]).contains("forced: they differ in"));
}

#[test]
fn garbage_is_one_line_that_names_the_file() {
    let kept = Kept::run();
    let bad = kept.place("bad\u{1b}[2J\n.json");
    fs::write(&bad, "clients 50 asked").unwrap();
    for command in ["report", "merge"] {
        assert!(complaint(&[command, &bad], 1).contains("bad\\u{1b}[2J"));
    }
    assert!(complaint(&["diff", kept.path(), &bad], 1).contains("is no result"));
    let hostile = kept.copy("hostile.json", |d| {
        d["audit"]["verdict"] = "\u{1b}[2J".into()
    });
    assert!(complaint(&["report", &hostile], 1).contains("unknown variant"));
    let blob = kept.copy("blob.json", |d| {
        d["intervals"][0]["histogram"] = "HISTE".into()
    });
    assert!(complaint(&["report", &blob, "--format", "hdr"], 1).contains("cannot be read"));
    let gone = complaint(&["report", "/nowhere.json"], 1);
    assert!(
        gone.contains("cannot read /nowhere.json: No such file"),
        "{gone}"
    );
}
