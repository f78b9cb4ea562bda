//! Mistakes on the command line and in the surroundings: one line that says what to do, the right
//! exit code, and nothing on stdout.
#![allow(clippy::unwrap_used, reason = "a failure is a failed test")]

mod support;

use std::fs::Permissions;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::process::Output;

use assert_cmd::Command;
use support::{LIMIT, SERVER, ServerProcess, public_copy, round_trip, tool};

/// Runs the server, which must end by itself.
fn run(args: &[&str]) -> Output {
    Command::new(SERVER)
        .args(args)
        .timeout(LIMIT)
        .output()
        .unwrap()
}

/// The one line on stderr of a command line that is refused.
fn refusal(args: &[&str]) -> String {
    let output = run(args);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{args:?}: {said}");
    assert!(output.stdout.is_empty(), "{args:?}");
    let line = said
        .strip_suffix('\n')
        .unwrap_or_else(|| panic!("{args:?}: {said:?}"));
    assert!(
        !line.contains('\n') && line.starts_with("server: "),
        "{args:?}: {said}"
    );
    line.to_owned()
}

#[test]
fn a_value_out_of_range_is_told_with_its_flag_and_the_range() {
    let junk = [
        "",
        "NaN",
        "0x4",
        "-1",
        "1.5",
        "4 ",
        "+4",
        "99999999999999999999",
    ];
    let durations = ["", "5", "-1s", "5 parsecs", "1000y", "NaN"];
    for (flag, range, values) in [
        ("--workers", "1 to 4096", &["0", "4097", "1000000000"][..]),
        ("--workers", "1 to 4096", &junk),
        ("--worker-threads", "1 to 4096", &["0", "4097"]),
        ("--worker-threads", "1 to 4096", &junk),
        ("--backlog", "1 to 65535", &["0", "65536"]),
        ("--backlog", "1 to 65535", &junk),
        ("--max-connections", "1 to 1000000", &["0", "1000001"]),
        ("--max-connections", "1 to 1000000", &junk),
        ("--queue", "0 to 1000000", &["1000001"]),
        ("--queue", "0 to 1000000", &junk),
        ("--idle-timeout", "0s to ", &durations),
        ("--write-timeout", "0s to ", &durations),
        ("--drain-timeout", "0s to ", &durations),
        ("--min-rate-grace", "0s to ", &durations),
        (
            "--min-rate",
            "0 B to 1 GiB",
            &["", "-1", "NaN", "2GiB", "5s"],
        ),
        ("--max-per-ip", "0 to 1000000", &["1000001"]),
        ("--max-per-ip", "0 to 1000000", &junk),
        ("--user-timeout", "1ms to 24days", &["0", "25days"]),
        ("--user-timeout", "1ms to 24days", &durations),
        (
            "--keepalive",
            "IDLE[,INTERVAL[,COUNT]]",
            &["0", "1m,", "1m,1s,0", "1500ms"],
        ),
        (
            "--recv-buffer",
            "1 KiB to 1 GiB",
            &["1023", "2GiB", "-1", ""],
        ),
        ("--send-buffer", "1 KiB to 1 GiB", &["1023", "2GiB", "x"]),
        ("--max-requests", "0 to 1000000000", &["1000000001"]),
        ("--max-requests", "0 to 1000000000", &junk),
        ("--max-requests-jitter", "0 to 1000000000", &junk),
        ("--hang-timeout", "1s to 30days", &["1ms", "999ms", "31d"]),
        ("--hang-timeout", "1s to 30days", &durations),
    ] {
        for value in values {
            let line = refusal(&[flag, value]);
            let named = line.contains(&format!("'{value}'")) && line.contains(flag);
            assert!(named && line.contains(range), "{flag} {value:?}: {line}");
        }
    }
}

#[test]
fn a_word_that_is_none_is_told_with_its_flag() {
    for (flag, values) in [
        ("--mode", &["", "threads", "ASYNC", "process pool"][..]),
        ("--worker-mode", &["", "threads", "prefork"]),
        ("--on-full", &["", "drop"]),
        ("--sandbox", &["", "on", "best effort"]),
        ("--offload", &["threads"]),
        ("--format", &["xml"]),
        ("--log-format", &["xml"]),
        (
            "--work",
            &[
                "", "cpu", "cpu=", "cpu=5", "cpu=2h", "io=-1ms", "io=exp", "gpu=1ms",
            ],
        ),
        ("--fault", &["", "panic-on=", "abort-on=", "fire"]),
    ] {
        for value in values {
            let line = refusal(&[flag, value]);
            assert!(line.contains(flag), "{flag} {value:?}: {line}");
            assert!(
                line.contains(&format!("'{value}'")) || value.is_empty(),
                "{line}"
            );
        }
    }
    for arg in ["--wrokers", "-x", "--workers=4=4", "--mode"] {
        let line = refusal(&[arg]);
        assert!(
            line.contains(arg.split('=').next().unwrap()),
            "{arg}: {line}"
        );
    }
}

#[test]
fn an_address_that_is_none_is_told() {
    for addr in [
        "127.0.0.1:65536",
        "127.0.0.1:-1",
        "127.0.0.1:",
        "127.0.0.1",
        "7007",
        "::1:7007",
        "[::1]",
        "",
        "unix:",
    ] {
        let line = refusal(&[addr]);
        assert!(line.contains(&format!("'{addr}'")), "{addr:?}: {line}");
    }
    assert!(refusal(&["127.0.0.1:65536"]).contains("between 0 and 65535"));
}

#[test]
fn rejecting_where_nobody_could_is_told_with_the_alternatives() {
    let pool = ["--mode", "process-pool", "--worker-mode"];
    for (mode, args) in [
        ("mode sequential", &["--mode", "sequential"][..]),
        ("mode process-pool", &pool[..2]),
        (
            "mode process-pool of thread-pool",
            &[&pool[..], &["thread-pool"]].concat(),
        ),
        (
            "mode process-pool of rayon",
            &[&pool[..], &["rayon"]].concat(),
        ),
    ] {
        let line = refusal(&[args, &["--on-full", "reject"]].concat());
        let others = ["thread-pool", "process-pool of async"];
        for part in ["--on-full", "reject", mode, others[0], others[1]] {
            assert!(line.contains(part), "{line}");
        }
    }
}

#[test]
fn accepting_in_a_way_that_is_none_here_is_told_with_the_alternatives() {
    for (args, accept, others) in [
        (
            &["--mode", "async"][..],
            "handoff",
            ["process-pool", "shared"],
        ),
        (
            &["--mode", "epoll"],
            "handoff",
            ["mode process-pool", "shared"],
        ),
        (
            &["--mode", "ready-pool"],
            "reuseport",
            ["one of process-pool, epoll, io-uring", "shared"],
        ),
        (
            &["unix:/tmp/echo.sock", "--mode", "process-pool"],
            "reuseport",
            ["unix:/tmp/echo.sock", "handoff"],
        ),
    ] {
        let line = refusal(&[args, &["--accept", accept]].concat());
        let named = line.contains("--accept") && line.contains(&format!("'{accept}'"));
        assert!(
            named && others.iter().all(|other| line.contains(other)),
            "{line}"
        );
    }
    assert!(refusal(&["--accept", "prefork"]).contains("shared, reuseport, handoff"));
}

#[test]
fn workers_with_a_mode_of_their_own_need_processes() {
    for mode in ["sequential", "async", "process-per-connection"] {
        for flag in [
            ["--worker-mode", "epoll"],
            ["--worker-threads", "2"],
            ["--max-requests", "0"],
            ["--max-requests-jitter", "2"],
            ["--hang-timeout", "0"],
        ] {
            let line = refusal(&[&["--mode", mode][..], &flag].concat());
            for part in [flag[0], mode, "process-pool"] {
                assert!(line.contains(part), "{line}");
            }
        }
    }
    let line = refusal(&["--mode", "process-pool", "--max-requests-jitter", "7"]);
    assert!(line.contains("--max-requests-jitter 7"), "{line}");
    // Nor without a mode, since the default has none either.
    assert!(refusal(&["--worker-mode", "epoll"]).contains("process-pool"));
    let pool = ["--mode", "process-pool", "--worker-mode"];
    let line = refusal(&[&pool[..], &["process-pool"]].concat());
    for part in ["--worker-mode", "'process-pool'", "sequential", "epoll"] {
        assert!(line.contains(part), "{line}");
    }
}

#[test]
fn an_endpoint_that_others_could_reach_is_told_with_the_remedy() {
    for addr in ["0.0.0.0:0", "[::]:0", "192.0.2.1:7008", "some.name:7008"] {
        let line = refusal(&["--admin", addr]);
        for part in [addr, "--admin", "loopback", "--admin-allow-remote"] {
            assert!(line.contains(part), "{line}");
        }
    }
    let remote = ["--admin", "0.0.0.0:0", "--admin-allow-remote"];
    assert!(refusal(&remote).contains("needs --admin-token-file"));
    for flags in [&["--admin-allow-remote"][..], &["--admin-token-file", "x"]] {
        let line = refusal(flags);
        assert!(
            line.contains(flags[0]) && line.contains("without --admin"),
            "{line}"
        );
    }
    assert!(refusal(&["--admin", "7008"]).contains("'7008'"));
}

#[test]
fn a_line_break_in_a_value_makes_no_second_line() {
    assert!(refusal(&["--workers", "1\n\u{1b}[2J"]).contains("\\n"));
}

/// The last line on stderr of a server that cannot start.
fn failure(args: &[&str]) -> String {
    cannot_start(run(args), args)
}

fn cannot_start(output: Output, args: &[&str]) -> String {
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{args:?}: {said}");
    assert!(output.stdout.is_empty(), "{args:?}");
    assert!(
        !said.contains("panicked") && !said.contains("backtrace"),
        "{said}"
    );
    assert_eq!(said.matches("ERROR").count(), 1, "{said}");
    said.lines().last().unwrap().to_owned()
}

#[test]
fn what_keeps_it_from_listening_is_told_with_the_remedy() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = taken.local_addr().unwrap().to_string();
    for (addr, remedy) in [
        (addr.as_str(), "choose another port"),
        ("192.0.2.1:0", "no address of this machine"),
        ("no.such.host.invalid:0", "check the host name"),
        ("unix:/no-such-directory/echo.sock", "create it"),
        ("unix:/dev/null", "choose another path"),
        (
            &format!("unix:/{}", "x".repeat(107)),
            "choose a shorter one",
        ),
    ] {
        let line = failure(&[addr]);
        assert!(
            line.contains(addr) && line.contains(remedy),
            "{addr}: {line}"
        );
    }
}

#[test]
fn what_keeps_the_endpoint_from_listening_is_told_with_the_remedy() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = taken.local_addr().unwrap().to_string();
    for (addr, remedy) in [
        (addr.as_str(), "choose another port"),
        ("unix:/no-such-directory/admin.sock", "create it"),
        ("unix:/dev/null", "choose another path"),
    ] {
        let line = failure(&["127.0.0.1:0", "--admin", addr]);
        assert!(
            line.contains(&format!("--admin: cannot listen on {addr}")),
            "{line}"
        );
        assert!(line.contains(remedy), "{addr}: {line}");
    }
}

#[test]
fn a_token_that_is_no_secret_is_told_with_the_remedy_and_not_shown() {
    let directory = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str, mode: u32| {
        let path = directory.path().join(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let right = "0123456789abcdef";
    for (path, remedy) in [
        (file("group", right, 0o640), "chmod it to 0600"),
        (file("all", right, 0o604), "chmod it to 0600"),
        (file("short", &right[1..], 0o600), "16 to 1024"),
        (file("empty", "", 0o600), "16 to 1024"),
        (
            file("two", &format!("{right}\n{right}\n"), 0o600),
            "16 to 1024",
        ),
        (file("long", &right.repeat(65), 0o600), "16 to 1024"),
        (
            directory.path().to_str().unwrap().to_owned(),
            "no ordinary file",
        ),
        ("/no/such/file".to_owned(), "No such file"),
    ] {
        let line = failure(&["127.0.0.1:0", "--admin", ":0", "--admin-token-file", &path]);
        assert!(
            line.contains(&format!("--admin-token-file {path}: ")),
            "{line}"
        );
        assert!(
            line.contains(remedy) && !line.contains(&right[1..]),
            "{line}"
        );
    }
}

#[test]
fn a_privileged_port_is_told_with_the_remedy() {
    const PORT: u16 = 1;
    let setting = "/proc/sys/net/ipv4/ip_unprivileged_port_start";
    let first = std::fs::read_to_string(setting).unwrap_or_default();
    if first.trim().parse().is_ok_and(|first: u16| first <= PORT) {
        println!("SKIPPED: every user may listen on port {PORT} here");
        return;
    }
    let (_directory, copy) = public_copy();
    let addr = format!("127.0.0.1:{PORT}");
    let mut command = if rustix::process::getuid().is_root() {
        let Some(setpriv) = tool("setpriv") else {
            return;
        };
        let mut command = Command::new(setpriv);
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups", &copy]);
        command
    } else {
        Command::new(&copy)
    };
    let output = command.arg(&addr).timeout(LIMIT).output().unwrap();
    let line = cannot_start(output, &[&addr]);
    assert!(
        line.contains(&addr) && line.contains("choose a higher one"),
        "{line}"
    );
}

#[test]
fn flags_without_effect_are_told_once_and_do_no_harm() {
    for (args, advice) in [
        (
            ["--mode", "sequential", "--workers", "4"],
            "--workers 4 has no meaning",
        ),
        (
            ["--mode", "thread-per-connection", "--workers", "4"],
            "--workers 4 has no meaning",
        ),
        (
            ["--mode", "process-per-connection", "--workers", "4"],
            "--workers 4 has no meaning",
        ),
        (
            ["--mode", "process-pool", "--worker-threads", "4"],
            "--worker-threads 4 has no meaning",
        ),
        (
            ["--mode", "async", "--queue", "4"],
            "--queue 4 has no meaning",
        ),
        (
            ["--mode", "async", "--min-rate-grace", "4s"],
            "--min-rate-grace has no meaning",
        ),
        (
            ["--mode", "sequential", "--max-per-ip", "4"],
            "--max-per-ip 4 bounds nobody",
        ),
    ] {
        let server = ServerProcess::start(&args);
        round_trip(&mut server.connect(), b"x").unwrap();
        let farewell = server.stop();
        let told = farewell.log.iter().filter(|line| line.contains(advice));
        assert_eq!(told.count(), 1, "{:#?}", farewell.log);
    }
}

#[test]
fn help_and_version_are_what_was_asked_for() {
    for (arg, expected) in [
        ("--help", "--workers"),
        ("--version", env!("CARGO_PKG_VERSION")),
    ] {
        let output = run(&[arg]);
        assert_eq!(
            (output.status.code(), output.stderr),
            (Some(0), Vec::new()),
            "{arg}"
        );
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(
            text.contains(expected) && !text.contains("--fault"),
            "{text}"
        );
    }
}
