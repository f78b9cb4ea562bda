//! The metrics: what a parser of Prometheus makes of them, and that they are those of the books. What
//! moves them is in `metrics_causes.rs`.
#![allow(clippy::unwrap_used, reason = "a failure is a failed test")]

mod support;

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::process::Stdio;

use rustix::process::Signal;
use support::http::{admin_of, get, get_with};
use support::metrics::{samples, scrape, server, until};
use support::{ServerProcess, procfs, round_trip, tool};

#[test]
fn a_parser_reads_all_of_them_and_no_name_is_without_prefix_help_and_type() {
    let (server, admin) = server(&["--mode", "process-pool", "--workers", "3"]);
    round_trip(&mut server.connect(), b"one").unwrap();
    let text = get(admin, "/metrics").body;
    assert!(samples(&text).len() > 50);
    let declared = |kind: &str| -> Vec<&str> {
        let lines = text.lines().filter_map(|line| line.strip_prefix(kind));
        lines.map(|line| line.split(' ').next().unwrap()).collect()
    };
    let (helps, types) = (declared("# HELP "), declared("# TYPE "));
    assert_eq!(helps, types);
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let name = line.split(['{', ' ']).next().unwrap();
        let base = ["_bucket", "_sum", "_count"]
            .iter()
            .find_map(|end| name.strip_suffix(end));
        let known = types.contains(&name) || base.is_some_and(|base| types.contains(&base));
        assert!(known && name.starts_with("echolab_"), "{line}");
    }
    for (name, kind) in text
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '))
    {
        assert_eq!(name.ends_with("_total"), kind == "counter", "{name}");
    }
    assert!(text.ends_with('\n') && !text.contains("# EOF"));
}

#[test]
fn the_documented_metrics_are_those_there_are() {
    let (_server, admin) = server(&["--mode", "process-pool", "--workers", "1"]);
    let text = get(admin, "/metrics").body;
    let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    let there: BTreeSet<_> = types.filter_map(|line| line.split(' ').next()).collect();
    let page = include_str!("../../docs/operations.md");
    let rows = page.lines().filter(|line| line.starts_with("| `echolab_"));
    let first = rows.filter_map(|row| row.split('|').nth(1));
    // Alerts have names in expressions.
    let named = first.filter(|cell| !cell.contains(['(', '>', '<', '=']));
    let named = named.flat_map(|cell| cell.split(", "));
    let documented: BTreeSet<_> = named.map(|name| name.trim().trim_matches('`')).collect();
    assert_eq!(documented, there);
}

#[test]
fn open_metrics_are_for_who_asks_for_them() {
    let (_server, admin) = server(&["--mode", "async"]);
    let accept = "Accept: application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
    let answer = get_with(admin, "/metrics", &[accept]);
    let kind = answer.header("content-type");
    assert_eq!(
        kind,
        Some("application/openmetrics-text; version=1.0.0; charset=utf-8")
    );
    assert!(answer.body.ends_with("\n# EOF\n"));
    assert!(answer.body.contains("\n# TYPE echolab_accepted counter\n"));
    assert!(answer.body.contains("\necholab_accepted_total 0\n"));
}

#[test]
fn the_checker_of_prometheus_has_nothing_to_say() {
    let Some(promtool) = tool("promtool") else {
        return;
    };
    let (_server, admin) = server(&["--mode", "process-pool", "--workers", "3"]);
    let mut command = std::process::Command::new(promtool);
    command
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(get(admin, "/metrics").body.as_bytes())
        .unwrap();
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success() && said.is_empty(), "{said}");
}

#[test]
fn every_counter_of_the_books_is_there_as_the_status_has_it() {
    let (server, admin) = server(&["--mode", "process-pool", "--workers", "3"]);
    for _ in 0..5 {
        round_trip(&mut server.connect(), b"12345").unwrap();
    }
    until(&server, admin, "echolab_closed_total", 5.0);
    let status = support::http::status(admin);
    let all = scrape(admin);
    let counters = status["counters"].as_object().unwrap();
    assert!(counters.len() > 10);
    for (name, value) in counters {
        let sample = all.get(&format!("echolab_{name}_total{{}}"));
        assert_eq!(sample.copied(), value.as_f64(), "{name}");
    }
    for (family, label, part) in [
        ("rejections", "reason", &status["rejections"]),
        ("workers_ended", "reason", &status["ended"]),
    ] {
        for (name, value) in part.as_object().unwrap() {
            let sample = all.get(&format!("echolab_{family}_total{{{label}={name}}}"));
            assert_eq!(sample.copied(), value.as_f64(), "{family} {name}");
        }
    }
    assert_eq!(status["counters"]["bytes"], 25);
}

#[test]
fn the_dead_leave_no_series_behind() {
    let (server, admin) = server(&["--mode", "process-pool", "--workers", "2"]);
    procfs::kill(server.workers()[0], Signal::KILL);
    until(
        &server,
        admin,
        "echolab_workers_ended_total{reason=signal}",
        1.0,
    );
    until(&server, admin, "echolab_workers{state=ready}", 2.0);
    server.signal(Signal::TTOU);
    until(
        &server,
        admin,
        "echolab_workers_ended_total{reason=asked}",
        1.0,
    );
    let all = scrape(admin);
    let slots = all
        .keys()
        .filter(|name| name.starts_with("echolab_worker_accepted_total{slot="));
    assert_eq!(slots.count(), 1, "{all:#?}");
}

#[test]
fn a_name_with_odd_characters_harms_neither_metrics_nor_status() {
    let directory = tempfile::tempdir().unwrap();
    let name = "<script>\"\\\n\u{1b}[31m}.sock";
    let path = format!("unix:{}/{name}", directory.path().display());
    let server = ServerProcess::start_at(&path, &["--mode", "async", "--admin", "127.0.0.1:0"]);
    let admin = admin_of(&server);
    let metrics = get(admin, "/metrics").body;
    let info = metrics
        .lines()
        .find(|line| line.starts_with("echolab_build_info{"))
        .unwrap();
    assert!(
        info.ends_with("} 1") && info.contains("<script>\\\"\\\\\\n"),
        "{info}"
    );
    assert_eq!(support::http::status(admin)["addr"], path);
    let text = get(admin, "/status").body;
    assert!(
        !text.contains('\u{1b}') && text.contains("\\u{1b}"),
        "{text}"
    );
    let mut client = support::connect_to_path(&directory.path().join(name)).unwrap();
    client.write_all(b"well").unwrap();
    client.read_exact(&mut [0; 4]).unwrap();
}
