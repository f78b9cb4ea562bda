//! The command line keeps its promises: exit codes, one-line refusals, data on stdout and people on
//! stderr.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use assert_cmd::Command;

fn lab(args: &[&str]) -> (i32, String, String) {
    let mut command = Command::cargo_bin("lab").unwrap();
    let output = command.args(args).output().unwrap();
    (
        output.status.code().unwrap(),
        String::from_utf8(output.stdout).unwrap(),
        String::from_utf8(output.stderr).unwrap(),
    )
}

/// Runs the lab with a usage error and returns the one line it says.
fn refusal(args: &[&str]) -> String {
    let (code, stdout, stderr) = lab(args);
    assert_eq!((code, stdout.as_str()), (2, ""), "{args:?}: {stderr}");
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
    stderr.trim_end().to_owned()
}

#[test]
fn an_unknown_experiment_is_told_the_known_ones() {
    assert_eq!(
        refusal(&["run", "stairs"]),
        "lab: invalid value 'stairs' for '[NAME]...': there is no such experiment; the experiments \
         are trap, pool-limit, staircase, long-lived, short-lived"
    );
}

#[test]
fn mistakes_name_the_flag_and_the_remedy() {
    for (args, part) in [
        (&["run"][..], "NAME"),
        (&["run", "trap", "--all"], "--all"),
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
fn the_list_names_every_experiment_and_its_claim() {
    let (code, stdout, _) = lab(&["list"]);
    assert_eq!((code, stdout.lines().count()), (0, 5));
    let (_, json, _) = lab(&["list", "--format", "json"]);
    let list: serde_json::Value = serde_json::from_str(&json).unwrap();
    for (line, item) in stdout.lines().zip(list.as_array().unwrap()) {
        assert!(line.starts_with(item["name"].as_str().unwrap()), "{line}");
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
