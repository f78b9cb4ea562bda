//! `lab plan` reads what was measured, plans, and refuses what makes no sense in one line.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on shall panic")]

use assert_cmd::Command;
use lab::machine::Machine;
use lab::plan::calibration::{Calibration, Cost, Limits, SCHEMA};
use lab::report::Tool;
use lab::stats::Spread;
use server::Mode;

const DEMAND: [&str; 7] = [
    "plan",
    "--clients",
    "1M",
    "--think",
    "30s",
    "--service",
    "200us",
];

fn lab(folder: &tempfile::TempDir, args: &[&str]) -> (Option<i32>, String, String) {
    let mut command = Command::cargo_bin("lab").unwrap();
    let output = command
        .args(args)
        .arg("--out")
        .arg(folder.path())
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (
        output.status.code(),
        text(output.stdout),
        text(output.stderr),
    )
}

/// A folder with a calibration of `modes`, on a machine whose memory is not known.
fn calibrated(modes: &[Mode]) -> tempfile::TempDir {
    let spread = Spread::of([1.0]);
    let cost = |mode: &Mode| Cost {
        mode: *mode,
        cpu_per_request_us: spread,
        cpu_per_connect_us: spread,
        base_bytes: spread,
        client_bytes: spread,
        kernel_client_bytes: spread,
        worker_bytes: spread,
    };
    let calibration = Calibration {
        schema: SCHEMA,
        tool: Tool::lab(),
        machine: Machine {
            cpus: 2,
            cpu_model: None,
            memory_bytes: None,
            kernel: "6.0".into(),
        },
        repeats: 3,
        optimized: true,
        hold_us: spread,
        limits: Limits {
            descriptors: 10_000,
            threads: 10_000,
            processes: 10_000,
            local_ports: None,
        },
        modes: modes.iter().map(cost).collect(),
    };
    let folder = tempfile::tempdir().unwrap();
    calibration.save(folder.path()).unwrap();
    folder
}

#[test]
fn a_plan_comes_from_the_calibration_of_the_folder_and_starts_no_server() {
    let folder = calibrated(&[Mode::Async, Mode::ThreadPool]);
    let args = [&DEMAND[..], &["--memory", "4GiB", "--format", "json"]].concat();
    let (code, stdout, stderr) = lab(&folder, &args);
    assert_eq!((code, stderr.as_str()), (Some(0), ""));
    let document: serde_json::Value = serde_json::from_str(&stdout).unwrap();
    let modes = document["modes"].as_array().unwrap();
    assert_eq!(modes.len(), 2);
    assert_eq!(modes[0]["need"]["machines"], 100);
    assert_eq!(modes[1]["need"]["binds"], "workers");
}

#[test]
fn what_the_calibration_lacks_is_asked_for_in_one_line() {
    let folder = calibrated(&[Mode::Async]);
    let (code, stdout, stderr) = lab(&folder, &DEMAND);
    assert_eq!((code, stdout.as_str()), (Some(2), ""));
    let line = "lab: the calibration does not tell the memory; give '--memory'\n";
    assert_eq!(stderr, line);
    std::fs::write(folder.path().join("calibration.json"), "{").unwrap();
    let (code, _, stderr) = lab(&folder, &DEMAND);
    assert_eq!((code, stderr.lines().count()), (Some(1), 1), "{stderr}");
    assert!(stderr.contains("calibration.json"), "{stderr}");
}

#[test]
fn what_makes_no_sense_is_refused_in_one_line_that_names_flag_value_and_remedy() {
    let folder = calibrated(&[Mode::Async]);
    let cases: &[(&[&str], &[&str])] = &[
        (&["--slo", "p99"], &["--slo", "'p99'", "p99<50ms"]),
        (
            &["--slo", "mean<1us"],
            &["--slo mean<1us", "give --slo more"],
        ),
        (&["--cores", "0"], &["--cores", "'0'", "1 to 4096"]),
        (
            &["--utilization", "100%"],
            &["--utilization", "'100%'", "80%"],
        ),
        (&["--modes", "asink"], &["--modes", "'asink'", "epoll"]),
        (&["--rate", "10k"], &["--rate", "--think"]),
        (&["--stay", "5"], &["--stay", "'5'", "10s"]),
        (
            &["--service-kind", "gpu"],
            &["--service-kind", "'gpu'", "cpu"],
        ),
    ];
    for (args, named) in cases {
        let (code, stdout, stderr) = lab(&folder, &[&DEMAND[..], args].concat());
        assert_eq!((code, stdout.as_str()), (Some(2), ""), "{args:?}");
        assert_eq!(stderr.lines().count(), 1, "{stderr}");
        assert!(named.iter().all(|word| stderr.contains(word)), "{stderr}");
    }
    let (code, _, stderr) = lab(
        &folder,
        &["plan", "--clients", "1.5", "--rate", "1", "--service", "1s"],
    );
    assert_eq!((code, stderr.lines().count()), (Some(2), 1), "{stderr}");
    assert!(
        stderr.contains("'1.5'") && stderr.contains("10k or 1M"),
        "{stderr}"
    );
}
