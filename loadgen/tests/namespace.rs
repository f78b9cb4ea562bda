//! What only a network of the test's own can show: local ports that run out, and a socket that
//! meets itself. Where the system gives no such network, these tests say so and prove nothing.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on shall panic")]

mod support;

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::io::{self, Write as _};
use std::net::IpAddr;
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::Value;
use support::program::{complaint, limited, loadgen, report};
use support::{PATIENCE, Server, echo};

/// Set in a test that has been started again inside a network of its own.
const INSIDE: &str = "LOADGEN_TEST_NAMESPACE";
/// Brings up the loopback of a new network and goes on with the test.
const ENTER: &str = "ip link set lo up && exec \"$0\" \"$@\"";
/// The first local port of the networks here; nothing listens on it, since it is below those that
/// the system picks.
const FIRST_PORT: u16 = 20_000;

/// Runs `test`, which is called `name`, in a network of its own, or says why it cannot.
fn in_a_network(name: &str, test: impl FnOnce()) {
    if env::var_os(INSIDE).is_some() {
        return test();
    }
    if let Err(why) = try_network() {
        // Past the harness, which would swallow it.
        let said = format!("SKIPPED {name}: no network of our own on this machine: {why}\n");
        io::stderr().write_all(said.as_bytes()).unwrap();
        return;
    }
    let mut inside = network(&[env::current_exe().unwrap().to_str().unwrap()]);
    inside.args(["--exact", name, "--nocapture", "--test-threads=1"]);
    inside.env(INSIDE, "1");
    let inside = limited(inside, 2 * PATIENCE);
    let said = String::from_utf8_lossy(&inside.stderr);
    let listed = String::from_utf8_lossy(&inside.stdout);
    assert!(inside.status.success(), "{listed}{said}");
    assert!(listed.contains("1 passed"), "no test is called {name}");
}

/// Changes a setting of the network.
fn set(setting: &str, value: &str) {
    fs::write(format!("/proc/sys/net/ipv4/{setting}"), value).unwrap();
}

/// Leaves the network `count` local ports. Servers have theirs already.
fn leave_ports(count: u16) {
    let last = FIRST_PORT + count - 1;
    set("ip_local_port_range", &format!("{FIRST_PORT} {last}"));
}

/// `program` in a new network, as its root.
fn network(program: &[&str]) -> Command {
    let mut command = Command::new("unshare");
    command.args(["--map-root-user", "--net", "sh", "-c", ENTER]);
    command.args(program).stdin(Stdio::null());
    command
}

/// Whether there is a network whose ports can be set.
fn try_network() -> Result<(), String> {
    let writable = "test -w /proc/sys/net/ipv4/ip_local_port_range";
    match network(&["sh", "-c", writable]).output() {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => Err(format!(
            "{} {}",
            output.status,
            String::from_utf8_lossy(&output.stderr).trim()
        )),
        Err(error) => Err(format!("unshare: {error}")),
    }
}

fn output(args: &[&str]) -> Output {
    limited(loadgen(args), 2 * PATIENCE)
}

/// The kinds of failure in `document`.
fn kinds(document: &Value) -> Vec<&str> {
    let errors = document["errors"].as_object().unwrap();
    errors.keys().map(String::as_str).collect()
}

/// The check called `name` in `document`.
fn check<'a>(document: &'a Value, name: &str) -> &'a Value {
    let checks = document["audit"]["checks"].as_array().unwrap();
    checks.iter().find(|check| check["name"] == name).unwrap()
}

/// The only local port there is is that of the target, where nobody listens: each connection would
/// be one to itself, and echo perfectly.
#[test]
fn a_run_that_meets_itself_is_served_by_nobody() {
    in_a_network("a_run_that_meets_itself_is_served_by_nobody", || {
        let server = Server::echo();
        leave_ports(1);
        // A connection that is over holds no port, so that the next one meets itself again.
        set("tcp_max_tw_buckets", "0");
        let itself = format!("127.0.0.1:{FIRST_PORT}");
        let line = complaint(&output(&[&itself, "-c", "1", "-n", "20"]), 1);
        assert!(line.contains("is the server running there?"), "{line}");

        // Beside a server that is there the client that meets itself is counted as what it is.
        let addr = server.addr().to_string();
        let run = output(&[&addr, &itself, "-c", "2", "-n", "20", "--format", "json"]);
        let document = report(&run, 4);
        let clients = &document["clients"];
        assert_eq!(
            (&clients["connected"], &clients["served"]),
            (&1.into(), &1.into()),
            "{document}"
        );
        assert_eq!(kinds(&document), ["self-connect"]);
        assert_eq!(check(&document, "all-connected")["verdict"], "fail");
    });
}

/// Each request has a connection of its own, which holds its port for a minute: four ports are four
/// requests.
#[test]
fn ports_that_run_out_are_a_limit_of_the_client() {
    in_a_network("ports_that_run_out_are_a_limit_of_the_client", || {
        let accepted = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&accepted);
        let server = Server::new(move |_, socket| {
            counted.fetch_add(1, Ordering::SeqCst);
            echo(socket)
        });
        leave_ports(4);
        // A connection that is over holds its port for a minute.
        set("tcp_tw_reuse", "0");
        let addr = server.addr().to_string();
        let flags = ["-c", "2", "-n", "60", "--requests-per-conn", "1"];
        let run = output(&[&[addr.as_str(), "--format", "json"], &flags[..]].concat());
        // Fewer requests than asked for: the figures are not those of the run that was meant.
        let document = report(&run, 4);
        assert_eq!(kinds(&document), ["no-local-port"], "{document}");
        assert_eq!(document["requests"]["answered"], 4);
        assert_eq!(document["requests"]["errors"], 0);
        assert_eq!(accepted.load(Ordering::SeqCst), 4);
        let limits = check(&document, "client-limits");
        let said = limits["detail"].as_str().unwrap();
        assert_eq!(limits["verdict"], "warn");
        assert!(said.starts_with("this machine, not the server: "), "{said}");
        assert!(said.contains("net.ipv4.ip_local_port_range"), "{said}");
        assert_eq!(check(&document, "server-lost")["verdict"], "pass");

        // Who comes now finds none at all, and blames nobody else for it either.
        let line = complaint(&output(&[&addr, "-c", "1", "-n", "1"]), 1);
        assert!(line.contains("no local port left of 4"), "{line}");
        assert!(!line.contains("is the server running"), "{line}");
    });
}

/// Ten of twenty ports are found quickly, so thirty clients need three addresses; those of the
/// loopback cost nothing, so that each has five.
#[test]
fn more_clients_than_an_address_has_ports_come_from_more_of_the_loopback() {
    let name = "more_clients_than_an_address_has_ports_come_from_more_of_the_loopback";
    in_a_network(name, || {
        let peers = Arc::new(Mutex::new(BTreeMap::<IpAddr, usize>::new()));
        let noted = Arc::clone(&peers);
        let server = Server::new(move |_, socket| {
            *noted
                .lock()
                .unwrap()
                .entry(socket.peer_addr()?.ip())
                .or_default() += 1;
            echo(socket)
        });
        leave_ports(20);
        let addr = server.addr().to_string();
        let flags = ["-c", "30", "-n", "60", "--once", "--format", "json"];
        for processes in ["1", "2"] {
            let split = ["--processes", processes];
            let run = output(&[&[addr.as_str()], &flags[..], &split].concat());
            assert_eq!(report(&run, 0)["clients"]["served"], 30);
            let said = String::from_utf8(run.stderr).unwrap();
            assert_eq!(said.lines().count(), 1, "{said}");
            assert!(
                said.contains("6 addresses, 127.0.0.1 to 127.0.0.6"),
                "{said}"
            );
            let five_each = (1..=6).map(|last| (IpAddr::from([127, 0, 0, last]), 5));
            assert_eq!(
                std::mem::take(&mut *peers.lock().unwrap()),
                five_each.collect()
            );
        }
        // Who says where they come from is told what would be better, and where it is too few.
        let bound = ["--bind", "127.0.0.9,127.0.0.10"];
        let run = output(&[&[addr.as_str()], &flags[..], &bound].concat());
        assert_eq!(report(&run, 0)["clients"]["served"], 30);
        let said = String::from_utf8(run.stderr).unwrap();
        assert!(said.contains("give 3 addresses to --bind"), "{said}");
        let one = output(&[&[addr.as_str()], &flags[..], &["--bind", "127.0.0.9"]].concat());
        assert!(complaint(&one, 1).contains("give 3 addresses"));
    });
}
