//! A result becomes a page: while it is measured, afterwards, and together with others.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on shall panic")]

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use support::{Server, program};

fn loadgen(args: &[&str]) -> Output {
    program::loadgen(args).output().unwrap()
}

/// Measures a little and keeps the result.
fn measured(server: &Server, folder: &Path, clients: &str) -> PathBuf {
    let file = folder.join(format!("{clients}.json"));
    let addr = server.addr().to_string();
    let path = file.to_str().unwrap();
    let run = loadgen(&[
        &addr, "-c", clients, "-n", "500", "--format", "json", "-o", path,
    ]);
    assert_eq!(run.status.code(), Some(0));
    file
}

#[test]
fn a_run_can_be_a_page_at_once() {
    let server = Server::echo();
    let run = loadgen(&[
        &server.addr().to_string(),
        "-c",
        "2",
        "-n",
        "500",
        "--format",
        "html",
    ]);
    assert_eq!(run.status.code(), Some(0));
    let page = String::from_utf8(run.stdout).unwrap();
    assert!(page.starts_with("<!DOCTYPE html>"));
    assert!(page.contains("<h1>All 2 clients were served."));
    assert!(page.contains("One riser and no steps: all 2 were admitted"));
}

#[test]
fn a_kept_result_becomes_a_page_that_carries_it_along() {
    let folder = tempfile::tempdir().unwrap();
    let (kept, page) = (
        measured(&Server::echo(), folder.path(), "3"),
        folder.path().join("report.html"),
    );
    let args = [
        "report",
        kept.to_str().unwrap(),
        "--format",
        "html",
        "-o",
        page.to_str().unwrap(),
    ];
    let shown = loadgen(&args);
    assert_eq!((shown.status.code(), shown.stdout.len()), (Some(0), 0));
    let page = fs::read_to_string(page).unwrap();
    let block = page
        .split(r#"<script type="application/json" id="report">"#)
        .nth(1)
        .unwrap();
    let block = block.split("</script>").next().unwrap();
    let carried: serde_json::Value = serde_json::from_str(block).unwrap();
    let kept: serde_json::Value = serde_json::from_slice(&fs::read(kept).unwrap()).unwrap();
    assert_eq!(carried, kept);
}

#[test]
fn several_results_are_one_page_or_a_text_each() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::echo();
    let files = ["1", "4"].map(|clients| measured(&server, folder.path(), clients));
    let [few, many] = files.each_ref().map(|file| file.to_str().unwrap());
    let page = loadgen(&["report", few, many, "--format", "html"]);
    assert_eq!(page.status.code(), Some(0));
    let page = String::from_utf8(page.stdout).unwrap();
    assert!(page.contains("<h2>What do more clients get?</h2>"));
    let text = loadgen(&["report", few, many]);
    let text = String::from_utf8(text.stdout).unwrap();
    assert_eq!(text.matches("\nthroughput").count(), 2, "{text}");
}

#[test]
fn completions_and_pages_of_the_manual_go_to_stdout() {
    for (args, part) in [
        (["completions", "bash"], "--connections"),
        (["completions", "zsh"], "--connections"),
        (["completions", "fish"], "-l connections"),
        (["man", "report"], "loadgen report"),
    ] {
        let output = loadgen(&args);
        assert_eq!(
            (output.status.code(), output.stderr.len()),
            (Some(0), 0),
            "{args:?}"
        );
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(text.contains(part), "{args:?}: {text}");
    }
    assert_eq!(loadgen(&["completions", "ksh"]).status.code(), Some(2));
    assert_eq!(loadgen(&["man", "nothing"]).status.code(), Some(2));
}
