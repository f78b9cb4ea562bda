//! The admin endpoint: what it shows to whom, in every mode, from the start to the end of the drain.
#![allow(clippy::unwrap_used, reason = "a failure is a failed test")]

mod support;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt;

use rustix::process::Signal;
use serde_json::Value;
use server::for_each_mode;
use support::http::{admin_of, all_from, get, get_with, request, say, status};
use support::{SERVER, ServerProcess, connect_to, connect_to_path, procfs, round_trip};

const ADMIN: [&str; 2] = ["--admin", "127.0.0.1:0"];

/// A pool of three workers with an endpoint.
fn pool(more: &[&str]) -> (ServerProcess, SocketAddr) {
    let server = support::pool_with(&[&ADMIN[..], more].concat());
    let admin = admin_of(&server);
    (server, admin)
}

/// One who listens to events, which come line by line.
struct Listener(BufReader<TcpStream>);

impl Listener {
    fn of(admin: SocketAddr) -> Self {
        let mut client = connect_to(admin).unwrap();
        client
            .write_all(request(admin, "GET", "/events", &[]).as_bytes())
            .unwrap();
        let mut listener = Self(BufReader::new(client));
        assert_eq!(listener.line(), "HTTP/1.1 200 OK");
        listener
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.0.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    /// The next picture of the server.
    fn next(&mut self) -> Value {
        loop {
            if let Some(status) = self.line().strip_prefix("data: ") {
                return serde_json::from_str(status).unwrap();
            }
        }
    }

    fn rest(&mut self) -> String {
        let mut rest = String::new();
        self.0.read_to_string(&mut rest).unwrap();
        rest
    }
}

for_each_mode! {
    fn the_status_is_what_happens(mode) {
        let args = [&mode.args()[..], &["--workers", "3"], &ADMIN].concat();
        let server = ServerProcess::start(&args);
        let admin = admin_of(&server);
        let mut client = server.connect();
        round_trip(&mut client, b"12345")?;
        let seen = status(admin);
        assert_eq!((&seen["mode"], &seen["state"]), (&mode.mode.to_string().into(), &"ready".into()));
        assert_eq!(seen["pid"], server.pid());
        let counters = &seen["counters"];
        let counted = ["accepted", "closed", "requests", "bytes"].map(|name| counters[name].as_u64().unwrap());
        assert_eq!(counted, [1, 0, 1, 5]);
        let metrics = get(admin, "/metrics").body;
        assert!(metrics.contains("\necholab_bytes_total 5\n"), "{metrics}");
        assert_eq!(["/healthz", "/readyz"].map(|path| get(admin, path).code), [200, 200]);
        drop(client);
        assert_eq!(server.stop().status.code(), Some(0));
    }

    fn the_end_is_seen_by_who_watches(mode) {
        let args = [&mode.args()[..], &["--work", "io=1h", "--drain-timeout", "1h"], &ADMIN].concat();
        let server = ServerProcess::start(&args);
        let admin = admin_of(&server);
        let mut listener = Listener::of(admin);
        assert_eq!(listener.next()["state"], "ready");
        let mut client = server.connect();
        round_trip(&mut client, b"before")?;
        client.write_all(b"\n")?;
        while listener.next()["counters"]["requests"] != 2 {}
        server.signal(Signal::TERM);
        while listener.next()["state"] != "draining" {}
        let (ready, alive) = (get(admin, "/readyz"), get(admin, "/healthz"));
        assert_eq!((ready.code, ready.body.as_str(), alive.code), (503, "draining\n", 200));
        server.signal(Signal::TERM);
        drop(client);
        let rest = listener.rest();
        // The last event, and the last chunk.
        assert!(rest.ends_with("event: end\ndata: {}\n\n\r\n0\r\n\r\n"), "{rest}");
        assert_eq!(server.wait().status.code(), Some(0));
    }
}

#[test]
fn the_log_says_once_where_it_is_and_the_ready_line_stays_as_it_was() {
    let (server, admin) = pool(&[]);
    assert_ne!(admin.port(), 0);
    let words: Vec<_> = server.ready_line().split(' ').collect();
    assert_eq!(words.len(), 7, "{words:?}");
    assert_eq!(
        server
            .stop()
            .log
            .iter()
            .filter(|line| line.contains("admin="))
            .count(),
        1
    );
}

#[test]
fn every_answer_keeps_browsers_from_doing_harm() {
    let (_server, admin) = pool(&[]);
    for (path, code, kind) in [
        ("/", 200, "text/html; charset=utf-8"),
        ("/assets/dashboard.css", 200, "text/css; charset=utf-8"),
        (
            "/assets/dashboard.js",
            200,
            "text/javascript; charset=utf-8",
        ),
        ("/status", 200, "text/plain; charset=utf-8"),
        ("/metrics", 200, "text/plain; version=0.0.4; charset=utf-8"),
        ("/healthz", 200, "text/plain; charset=utf-8"),
        ("/readyz?why", 200, "text/plain; charset=utf-8"),
        ("/nothing", 404, "text/plain; charset=utf-8"),
    ] {
        let answer = get(admin, path);
        assert_eq!(
            (answer.code, answer.header("content-type")),
            (code, Some(kind)),
            "{path}"
        );
        for (name, value) in [
            ("cache-control", "no-store"),
            (
                "content-security-policy",
                "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
            ),
            ("cross-origin-embedder-policy", "require-corp"),
            ("cross-origin-opener-policy", "same-origin"),
            ("cross-origin-resource-policy", "same-origin"),
            ("referrer-policy", "no-referrer"),
            ("x-content-type-options", "nosniff"),
            ("connection", "close"),
        ] {
            assert_eq!(answer.header(name), Some(value), "{path}: {name}");
        }
        assert_eq!(answer.header("access-control-allow-origin"), None);
        let head = say(admin, request(admin, "HEAD", path, &[]).as_bytes()).unwrap();
        assert_eq!((head.code, head.body.as_str()), (code, ""), "{path}");
        assert_eq!(head.header("content-type"), Some(kind));
    }
}

#[test]
fn the_status_has_a_form_for_people_and_one_for_programs() {
    let (server, admin) = pool(&[]);
    let text = get_with(admin, "/status", &["Accept: text/html, */*;q=0.8"]).body;
    let first = format!(
        "echolab server {}, pid {}: ready for ",
        env!("CARGO_PKG_VERSION"),
        server.pid()
    );
    assert!(text.starts_with(&first), "{text}");
    for worker in server.workers() {
        assert!(text.contains(&format!(" {worker} ")), "{text}");
    }
    assert_eq!(status(admin)["workers"].as_array().unwrap().len(), 3);
}

#[test]
fn who_listens_is_told_at_once_and_then_of_every_change() {
    let (server, admin) = pool(&[]);
    let mut listeners = [(); 3].map(|()| Listener::of(admin));
    for listener in &mut listeners {
        assert_eq!(listener.next()["counters"]["accepted"], 0);
    }
    let clients = support::converse_with_all(&server);
    for listener in &mut listeners {
        while listener.next()["counters"]["served"] != 3 {}
    }
    drop(clients);
    let (old, worker) = (server.workers(), server.workers()[0]);
    procfs::kill(worker, Signal::KILL);
    let [listener, ..] = &mut listeners;
    let seen = loop {
        let seen = listener.next();
        let workers = seen["workers"].as_array().unwrap();
        // An end is counted a moment before the list is without it.
        let is_listed = workers.iter().any(|one| one["pid"] == worker);
        if seen["ended"]["signal"] == 1 && workers.len() == 3 && !is_listed {
            break seen;
        }
    };
    let workers = seen["workers"].as_array().unwrap().iter();
    let new: Vec<_> = workers
        .filter(|one| !old.iter().any(|old| one["pid"] == *old))
        .collect();
    assert_eq!(new.len(), 1, "{seen}");
}

#[test]
fn a_server_whose_workers_do_not_start_is_not_ready_and_says_so() {
    let line = [
        "127.0.0.1:0",
        "--mode",
        "process-pool",
        "--workers",
        "3",
        "--fault",
        "exit-at-start",
    ];
    let mut command = std::process::Command::new(SERVER);
    command.args([&line[..], &ADMIN].concat());
    command
        .stdin(std::process::Stdio::null())
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::piped());
    let server = ServerProcess::spawn(command);
    let answer = get(admin_of(&server), "/readyz");
    assert_eq!(answer.code, 503);
    assert_eq!(answer.body, "starting: 0 of 3 workers are ready\n");
}

#[test]
fn workers_have_nothing_of_it() {
    let (server, admin) = pool(&[]);
    assert_eq!(
        procfs::listening_sockets_at(server.pid(), admin.port()).len(),
        1
    );
    // A thread takes its name a moment after it began.
    let named = || procfs::thread_names(server.pid()).contains(&"admin".to_owned());
    server.until("its thread", || server.moment(), named);
    for worker in server.workers() {
        assert!(procfs::listening_sockets_at(worker, admin.port()).is_empty());
        assert!(!procfs::thread_names(worker).contains(&"admin".to_owned()));
    }
}

#[test]
fn a_socket_is_for_its_owner_alone_whatever_the_umask() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("admin.sock");
    let admin = format!("unix:{}", path.display());
    // The server's own socket has the permissions that the umask leaves.
    let echo = format!("unix:{}", directory.path().join("echo.sock").display());
    let mut command = ServerProcess::command(
        &[
            "sh",
            "-c",
            "umask 0; exec \"$0\" \"$2\" --admin \"$3\"",
            SERVER,
        ],
        &[&echo, &admin],
    );
    command.stdout(std::process::Stdio::piped());
    let server = ServerProcess::spawn(command).until_ready();
    let mode = |name: &str| {
        let about = std::fs::metadata(directory.path().join(name)).unwrap();
        about.permissions().mode() & 0o777
    };
    assert_eq!((mode("admin.sock"), mode("echo.sock")), (0o600, 0o777));
    let mut client = connect_to_path(&path).unwrap();
    client
        .write_all(b"GET /readyz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .unwrap();
    let answer = support::http::Answer::of(&all_from(&mut client)).unwrap();
    assert_eq!(answer.code, 200);
    assert_eq!(server.stop().status.code(), Some(0));
    assert!(!path.exists(), "the file is left behind");
}
