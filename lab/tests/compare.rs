//! A comparison has everybody take part as equals, marks who leaves clients unserved, and notices when
//! something is wrong with itself. Counts only: what is about time is for people to look at.

#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test may panic, and says what it skips"
)]

mod support;

use serde_json::Value;
use support::{lab, refusal};

/// A comparison of short runs; returns its document and the page beside it.
fn compare(args: &[&str]) -> (Value, String) {
    compare_for("100ms", args)
}

/// The same of runs that take so long.
fn compare_for(window: &str, args: &[&str]) -> (Value, String) {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().to_str().unwrap();
    let short = ["-d", window, "--format", "json", "--out", out];
    let (code, stdout, stderr) = lab(&[&["compare"], args, &short[..]].concat());
    assert_eq!(code, 0, "{stderr}");
    let mut document: Value = serde_json::from_str(&stdout).unwrap();
    let page = std::fs::read_to_string(folder.path().join("report.html")).unwrap();
    (document["comparison"].take(), page)
}

/// The rows at saturation, or under the equal load.
fn rows(comparison: &Value, at_saturation: bool) -> Vec<&Value> {
    let rows = comparison["rows"].as_array().unwrap().iter();
    rows.filter(|row| row["offered_per_s"].is_null() == at_saturation)
        .collect()
}

fn served(rows: &[&Value]) -> Vec<(String, u64)> {
    let one = |row: &&Value| {
        (
            row["subject"].as_str().unwrap().to_owned(),
            row["served"].as_u64().unwrap(),
        )
    };
    rows.iter().map(one).collect()
}

fn installed(subject: &str) -> bool {
    let (_, list, _) = lab(&["compare", "--list-subjects", "--format", "json"]);
    let list: Value = serde_json::from_str(&list).unwrap();
    let known = list
        .as_array()
        .unwrap()
        .iter()
        .find(|known| known["name"] == subject);
    known.unwrap()["installed"].as_bool().unwrap()
}

#[test]
fn who_leaves_clients_unserved_is_marked_and_not_asked_again() {
    let modes = ["--modes", "async,thread-pool", "--workers", "2", "-c", "3"];
    let (comparison, page) = compare(&[&modes[..], &["--repeats", "1"]].concat());
    let own = |name: &str, served| (name.to_owned(), served);
    assert_eq!(
        served(&rows(&comparison, true)),
        [
            own("async", 3),
            own("thread-pool", 2),
            own("async (again)", 3)
        ]
    );
    assert_eq!(
        served(&rows(&comparison, false)).len(),
        2,
        "the others have an equal load"
    );
    assert!(page.contains("2/3 starved") && page.contains("3/3"));
    assert!(page.contains("Differences need 5 rounds"));
    assert_eq!(comparison["flaw"], Value::Null);
}

#[test]
fn pools_in_python_starve_as_ours_do() {
    if !installed("python-thread-pool") {
        eprintln!("SKIPPED: python3 is not installed");
        return;
    }
    let python = [
        "--subject",
        "python-thread-pool",
        "--subject",
        "python-process-pool",
    ];
    let load = [
        "--modes",
        "async",
        "--workers",
        "4",
        "-c",
        "10",
        "--repeats",
        "2",
    ];
    // Python may need a moment to begin.
    let (comparison, page) = compare_for("500ms", &[&load[..], &python].concat());
    let expected = [
        ("async", 10),
        ("python-thread-pool", 4),
        ("python-process-pool", 4),
        ("async (again)", 10),
    ];
    assert_eq!(
        served(&rows(&comparison, true)),
        expected.map(|(name, served)| (name.to_owned(), served))
    );
    for row in rows(&comparison, true) {
        let verdict = &row["against_first"]["rate_per_s"]["conclusion"];
        let starved = row["subject"].as_str().unwrap().starts_with("python");
        assert_eq!(*verdict == "not-comparable", starved, "{row}");
    }
    assert!(page.contains("4/10 starved") && page.contains("Python 3"));
}

#[test]
fn every_load_is_measured_with_its_own_control() {
    let loads = ["-c", "1,3", "-s", "64,16KiB", "--work", "io=1ms"];
    let (comparison, _) = compare(
        &[
            &["--modes", "async,ready-pool", "--repeats", "1"],
            &loads[..],
        ]
        .concat(),
    );
    let saturated = rows(&comparison, true);
    assert_eq!(saturated.len(), 2 * 2 * 3);
    let loads = |control: bool| -> Vec<(u64, u64)> {
        let of = saturated.iter().filter(|row| row["control"] == control);
        of.map(|row| {
            (
                row["asked"].as_u64().unwrap(),
                row["size_bytes"].as_u64().unwrap(),
            )
        })
        .collect()
    };
    assert_eq!(loads(true), [(1, 64), (1, 16384), (3, 64), (3, 16384)]);
    assert_eq!(comparison["conditions"]["work"], "io=1ms");
    let commands = comparison["runs"]
        .as_array()
        .unwrap()
        .iter()
        .map(|run| run["server"].as_str().unwrap());
    for command in commands {
        assert!(command.ends_with("--work io=1ms"), "{command}");
    }
}

#[test]
fn what_the_servers_use_is_seen_from_outside() {
    // Two looks from outside have to fit into the window.
    let args = ["--modes", "async,process-pool", "--repeats", "1", "-c", "2"];
    let (comparison, _) = compare_for("500ms", &args);
    for row in rows(&comparison, true) {
        for figure in [
            "cpu_us_per_answer",
            "memory_bytes",
            "threads",
            "switches_per_answer",
        ] {
            let value = row["figures"][figure]["middle"].as_f64();
            assert!(value.is_some_and(|value| value > 0.0), "{figure}: {row}");
        }
    }
    for row in rows(&comparison, false) {
        // perf may be refused, or on a busy machine come when the load or a process is gone.
        let counted = &row["syscalls_per_answer"];
        if counted.as_f64().is_none_or(|calls| calls == 0.0) {
            let excuse = &comparison["conditions"]["uncounted"];
            eprintln!("SKIPPED: no system calls were counted: {counted}, {excuse}");
        }
    }
}

#[test]
fn a_server_that_is_not_restarted_is_noticed_and_nothing_is_ranked() {
    let args = [
        "--modes",
        "async,rayon",
        "--repeats",
        "2",
        "-c",
        "2",
        "--fault",
        "kept-server",
    ];
    let (comparison, page) = compare(&args);
    let flaw = comparison["flaw"].as_str().unwrap();
    assert!(flaw.contains("was measured twice"), "{flaw}");
    assert!(page.contains("Nothing can be ranked: process "));
    assert!(
        rows(&comparison, true)
            .iter()
            .all(|row| row["against_first"].is_null())
    );
}

#[test]
fn a_control_that_is_another_server_is_noticed_and_nothing_is_ranked() {
    // The last one, which is taken for the control, is slower by orders of magnitude.
    let lab = assert_cmd::cargo::cargo_bin("lab");
    let slow = format!(
        "slow={} @server 127.0.0.1:{{port}} --mode async --work io=50ms",
        lab.display()
    );
    let args = [
        "--modes",
        "async,rayon",
        "--subject",
        &slow,
        "--repeats",
        "5",
        "-c",
        "2",
        "-s",
        "64",
    ];
    let (comparison, page) = compare(&[&args[..], &["--fault", "other-control"]].concat());
    let verdicts: Vec<&str> = rows(&comparison, true)
        .iter()
        .filter_map(|row| row["against_first"]["rate_per_s"]["conclusion"].as_str())
        .collect();
    let [rayon, slow, control] = verdicts.as_slice() else {
        panic!("{verdicts:?}")
    };
    assert_eq!((*slow, *control), ("control-differs", "lower"));
    assert_ne!(*rayon, "higher");
    assert_ne!(*rayon, "lower");
    assert!(page.contains("The first server differs from itself (2 clients, 64 B: rate"));
}

#[test]
fn pinned_servers_have_one_half_of_the_processors() {
    let all = std::thread::available_parallelism().unwrap().get();
    if all < 2 {
        eprintln!("SKIPPED: one processor cannot be divided");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let told = folder.path().join("told");
    let lab = assert_cmd::cargo::cargo_bin("lab");
    let command = format!(
        "mine=grep Cpus_allowed_list /proc/self/status >> {}; exec {} @server 127.0.0.1:{{port}} --mode async",
        told.display(),
        lab.display()
    );
    let args = [
        "--modes",
        "none",
        "--subject",
        &command,
        "--repeats",
        "1",
        "-c",
        "2",
        "--pin",
    ];
    let (comparison, page) = compare(&args);
    let told = std::fs::read_to_string(told).unwrap();
    let words = comparison["conditions"]["pinning"].as_str().unwrap();
    assert!(page.contains(words), "{words}");
    assert!(
        told.lines().count() >= 4,
        "two servers under two loads: {told}"
    );
    for line in told.lines() {
        let cpus = line.split_whitespace().last().unwrap();
        assert_ne!(cpus, format!("0-{}", all - 1), "{words}");
        let first = cpus.split(['-', ',']).next().unwrap();
        assert!(
            words.starts_with(&format!("servers on processors {first}")),
            "{cpus}: {words}"
        );
    }
}

#[test]
fn the_load_generator_tells_how_busy_it_was() {
    use lab::launcher::Launcher;
    use lab::process::ServerProcess;
    let launcher = Launcher::of_one(assert_cmd::cargo::cargo_bin("lab"), "@server", "@part");
    let server = ServerProcess::start(&lab::subject::Subject::own("async", 1), &launcher).unwrap();
    let load = lab::load::Load::busy(
        std::num::NonZeroU32::MIN,
        std::time::Duration::from_millis(100),
    );
    let measured = lab::load::run(&server, &load, 1, &cli::Interrupt::default()).unwrap();
    let mut names = measured
        .report
        .audit
        .checks
        .iter()
        .map(|check| check.name.as_str());
    assert!(names.any(|name| name == lab::compare::GENERATOR_LOAD));
    drop(server.stop());
}

#[test]
fn servers_in_other_languages_are_listed_with_what_runs_them() {
    let (code, text, _) = lab(&["compare", "--list-subjects"]);
    assert_eq!(code, 0);
    for name in [
        "python-thread-pool",
        "python-process-pool",
        "python-asyncio",
        "node",
        "go",
        "socat",
    ] {
        assert!(
            text.lines().any(|line| line.starts_with(name)),
            "{name}: {text}"
        );
    }
}

#[test]
fn mistakes_name_the_flag_and_the_remedy() {
    for (args, part) in [
        (&["--work", "disk=1ms"][..], "must be none, cpu=DURATION"),
        (&["-s", "0"], "from 1 B to 16 MiB"),
        (&["--subject", "cobol"], "or one of plain-epoll"),
        (
            &["--subject", "socat", "--work", "io=1ms"],
            "it cannot do --work io=1ms",
        ),
        (
            &["--subject", "x=./x {port}", "--work", "io=1ms"],
            "put {work} into its command",
        ),
        (&["--modes", "none"], "give --subject or --foreign"),
    ] {
        let line = refusal(&[&["compare"], args].concat());
        assert!(
            line.starts_with("lab: ") && line.contains(part),
            "{args:?}: {line}"
        );
    }
}
