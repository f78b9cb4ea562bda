//! The command line keeps its promises: exit codes, one-line refusals, data on stdout and people on
//! stderr.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use support::{alive_with, assert_none_left_with, lab, refusal};

#[test]
fn an_unknown_experiment_is_told_the_known_ones() {
    let names: Vec<&str> = lab::experiments::ALL
        .iter()
        .map(|known| known.name)
        .collect();
    let said = format!(
        "lab: invalid value 'stairs' for '[NAME]...': there is no such experiment; the experiments \
         are {}",
        names.join(", ")
    );
    assert_eq!(refusal(&["run", "stairs"]), said);
}

#[test]
fn mistakes_name_the_flag_and_the_remedy() {
    for (args, part) in [
        (&["run"][..], "NAME"),
        (&["run", "trap", "--all"], "--all"),
        (&["run", "trap", "--repeats", "0"], "from 1 to 1000"),
        (&["selftest", "stairs"], "no such experiment"),
        (&["report"], "DIR"),
        (&["diff", "a"], "<B>"),
        (&["compare", "--repeats", "0"], "from 1 to 1000"),
        (&["compare", "-c", "0"], "from 1 to 1000000"),
        (&["compare", "-d", "5"], "such as 200us, 5ms or 10s"),
        (&["compare", "--workers", "-1"], "from 1 to 4096"),
        (&["compare", "--modes", "green"], "the modes are sequential"),
        (&["compare", "--subject", "x"], "must be NAME=COMMAND"),
        (&["compare", "--subject", "x=y"], "{port}"),
        (
            &["compare", "--modes", "async,async"],
            "two subjects are called 'async'",
        ),
        (&["--format", "xml"], "text, json"),
        (&["tour"], "tour"),
    ] {
        let line = refusal(args);
        assert!(
            line.starts_with("lab: ") && line.contains(part),
            "{args:?}: {line}"
        );
    }
}

#[test]
fn help_and_version_are_data() {
    let (code, stdout, stderr) = lab(&["--help"]);
    assert_eq!((code, stderr.as_str()), (0, ""));
    assert!(
        stdout.contains("compare") && stdout.contains("--out"),
        "{stdout}"
    );
    let (code, stdout, _) = lab(&["--version"]);
    assert_eq!((code, stdout.starts_with("lab ")), (0, true));
}

#[test]
fn the_list_is_a_course_that_names_every_experiment_and_its_question() {
    let (code, stdout, _) = lab(&["list"]);
    assert_eq!(code, 0);
    let (_, json, _) = lab(&["list", "--format", "json"]);
    let list: serde_json::Value = serde_json::from_str(&json).unwrap();
    let list = list.as_array().unwrap();
    let lines = stdout.lines().filter(|line| line.starts_with("  "));
    let lines: Vec<&str> = lines.map(str::trim_start).collect();
    assert_eq!(lines.len(), list.len());
    for (line, item) in lines.iter().zip(list) {
        let (name, question) = (&item["name"], &item["question"]);
        assert!(line.starts_with(name.as_str().unwrap()), "{line}");
        assert!(line.ends_with(question.as_str().unwrap()), "{line}");
    }
}

#[test]
fn a_folder_that_cannot_be_written_to_is_found_before_anything_runs() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let out = file.path().to_str().unwrap();
    let (code, stdout, stderr) = lab(&["run", "staircase", "--out", out]);
    assert_eq!((code, stdout.as_str()), (1, ""));
    assert!(
        stderr.starts_with("lab: cannot write ") && stderr.contains("--out"),
        "{stderr}"
    );
}

#[test]
fn a_server_that_does_not_start_is_reported_with_its_last_words() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().to_str().unwrap();
    let broken = "broken=echo out of luck >&2; exit 7 # {port}";
    let args = [
        "compare",
        "--modes",
        "async",
        "--subject",
        broken,
        "--repeats",
        "1",
        "-d",
        "100ms",
    ];
    let (code, stdout, stderr) = lab(&[&args[..], &["--out", out]].concat());
    assert_eq!((code, stdout.as_str()), (1, ""), "{stderr}");
    let last = stderr.lines().last().unwrap();
    assert_eq!(
        last,
        "lab: broken ended before it was ready (it said: out of luck)"
    );
}

#[test]
fn a_fault_is_caught_and_saved_results_are_shown_again_and_compared() {
    let folder = tempfile::tempdir().unwrap();
    let folder_of = |name: &str| folder.path().join(name).display().to_string();
    let (good, bad) = (folder_of("good"), folder_of("bad"));
    let (code, _, stderr) = lab(&["run", "isolation", "--out", &good]);
    assert_eq!(code, 0, "{stderr}");
    let faulted = ["run", "isolation", "--seeded-fault", "--out", &bad];
    assert_eq!(lab(&faulted).0, 3);
    let (code, stdout, _) = lab(&["selftest", "isolation", "--out", &bad]);
    assert_eq!(code, 0, "{stdout}");
    assert!(stdout.starts_with("isolation: caught — "), "{stdout}");

    let page = |folder: &str| std::fs::read_to_string(format!("{folder}/report.html")).unwrap();
    let before = page(&good);
    std::fs::remove_file(format!("{good}/report.html")).unwrap();
    let (code, stdout, _) = lab(&["report", &good]);
    assert_eq!((code, page(&good) == before), (0, true));
    assert!(stdout.contains("\nisolation: holds — "), "{stdout}");

    let (code, stdout, _) = lab(&["diff", &good, &bad]);
    assert_eq!(code, 3, "{stdout}");
    assert!(
        stdout.contains("isolation: holds in A, does not hold in B"),
        "{stdout}"
    );
    assert_eq!(lab(&["diff", &good, &good]).0, 0);
    assert_eq!(lab(&["report", &folder_of("none")]).0, 1);
}

#[test]
fn an_interrupted_run_leaves_a_partial_report_and_no_server() {
    use std::io::{BufRead, BufReader, Read};
    use std::process::{Command, Stdio};

    let folder = tempfile::tempdir().unwrap();
    let marker = format!("ECHOLAB_TEST_{}", std::process::id());
    let mut lab = Command::new(assert_cmd::cargo::cargo_bin("lab"))
        .args(["run", "staircase", "short-lived", "--out"])
        .arg(folder.path())
        .env(&marker, "1")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stderr = BufReader::new(lab.stderr.take().unwrap()).lines();
    // Its servers are ready once it says what it does to them.
    stderr
        .find(|line| line.as_ref().unwrap().contains("20 clients on sequential"))
        .unwrap()
        .unwrap();
    assert!(alive_with(&marker) > 1, "the lab and its servers");
    let pid = rustix::process::Pid::from_child(&lab);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();

    let mut stdout = String::new();
    lab.stdout
        .take()
        .unwrap()
        .read_to_string(&mut stdout)
        .unwrap();
    assert_eq!(lab.wait().unwrap().code(), Some(130), "{stdout}");
    assert_eq!(
        stdout.lines().last(),
        Some("staircase: inconclusive — interrupted")
    );
    let results = std::fs::read_to_string(folder.path().join("results.json")).unwrap();
    let results: serde_json::Value = serde_json::from_str(&results).unwrap();
    assert_eq!(results["interrupted"], true);
    assert_eq!(results["experiments"].as_array().unwrap().len(), 1);
    assert_none_left_with(&marker);
}
