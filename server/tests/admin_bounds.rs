//! What the admin endpoint costs whoever does not ask it: nothing, whatever is done to it. And what
//! it bears: it can be asked though the echo has every place and every descriptor.
#![allow(clippy::unwrap_used, reason = "a failure is a failed test")]

mod support;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use server::for_each_mode;
use support::http::{Answer, admin_of, all_from, get, request, say, status};
use support::{LIMIT, SERVER, ServerProcess, connect_to, procfs, round_trip, tool};

const ADMIN: [&str; 2] = ["--admin", "127.0.0.1:0"];
/// Connections at once.
const PLACES: usize = 64;
/// Listeners to events at once.
const LISTENERS: usize = 32;

fn server(mode: &[&str]) -> (ServerProcess, SocketAddr) {
    let server = ServerProcess::start(&[mode, &ADMIN].concat());
    let admin = admin_of(&server);
    (server, admin)
}

/// What the endpoint counts under a name of its metrics.
fn counted(admin: SocketAddr, name: &str) -> u64 {
    counted_in(&get(admin, "/metrics").body, name)
}

fn counted_in(metrics: &str, name: &str) -> u64 {
    let value = metrics.lines().find_map(|line| line.strip_prefix(name));
    let value = value.unwrap_or_else(|| panic!("no {name} in {metrics}"));
    value.trim().parse().unwrap()
}

fn rejections(reason: &str) -> String {
    format!("echolab_admin_rejections_total{{reason=\"{reason}\"}}")
}

fn rejected(admin: SocketAddr, reason: &str) -> u64 {
    counted(admin, &rejections(reason))
}

/// Waits until the server has no more descriptors than before; it may have had one of a connection
/// that it had just passed on.
fn until_nothing_is_left(server: &ServerProcess, before: usize) {
    let left = || procfs::descriptors(server.pid());
    server.until(
        &format!("{before} descriptors"),
        || server.moment(),
        || left() <= before,
    );
}

#[test]
fn one_connection_more_than_there_are_places_is_closed_at_once() {
    let (server, admin) = server(&["--mode", "async"]);
    let mut clients: Vec<_> = (0..PLACES).map(|_| connect_to(admin).unwrap()).collect();
    let mut next = connect_to(admin).unwrap();
    assert_eq!(all_from(&mut next), b"");
    round_trip(&mut server.connect(), b"the echo goes on").unwrap();
    let asks = request(admin, "GET", "/healthz", &[]);
    for client in &mut clients {
        client.write_all(asks.as_bytes()).unwrap();
    }
    for mut client in clients {
        assert_eq!(Answer::of(&all_from(&mut client)).unwrap().code, 200);
    }
    // A place is free when its client has been seen to leave, and not before.
    let (mut refused, mut answer) = (1, None);
    let asks = request(admin, "GET", "/metrics", &[]);
    let is_free = || {
        answer = say(admin, asks.as_bytes());
        answer.is_some()
    };
    server.until("a place is free", || refused += 1, is_free);
    let metrics = answer.unwrap().body;
    assert_eq!(counted_in(&metrics, &rejections("full")), refused);
}

#[test]
fn who_does_not_come_to_the_point_is_closed_and_counted() {
    let (server, admin) = server(&["--mode", "async"]);
    let before = procfs::descriptors(server.pid());
    let silent = connect_to(admin).unwrap();
    let mut half = connect_to(admin).unwrap();
    half.write_all(&request(admin, "GET", "/", &[]).as_bytes()[..30])
        .unwrap();
    let mut slow = connect_to(admin).unwrap();
    // It keeps on sending, so that no limit on silence would find it out.
    let (mut sent, end) = (0, Instant::now() + LIMIT);
    while !has_ended_within(Duration::from_millis(50), &slow) && slow.write(b"X").is_ok() {
        sent += 1;
        assert!(Instant::now() < end, "nobody minds");
    }
    assert!(sent > 1, "it was not heard");
    for mut client in [silent, half] {
        assert_eq!(all_from(&mut client), b"");
    }
    assert_eq!(rejected(admin, "slow"), 3);
    drop(slow);
    until_nothing_is_left(&server, before);
}

#[test]
fn who_listens_and_does_not_read_is_closed_and_counted() {
    // Much to tell, so that the buffers between are full soon.
    let (server, admin) = server(&["--mode", "process-pool", "--workers", "40"]);
    let before = procfs::descriptors(server.pid());
    let mut deaf = connect_to(admin).unwrap();
    deaf.write_all(request(admin, "GET", "/events", &[]).as_bytes())
        .unwrap();
    let slow = || rejected(admin, "slow");
    server.until("found out", || server.moment(), || slow() == 1);
    until_nothing_is_left(&server, before);
}

#[test]
fn enough_listen_and_the_metrics_stay_within_reach() {
    let (_server, admin) = server(&["--mode", "async"]);
    let asks = request(admin, "GET", "/events", &[]);
    let listen = || {
        let mut client = connect_to(admin).unwrap();
        client.write_all(asks.as_bytes()).unwrap();
        client
    };
    let mut listeners: Vec<_> = (0..LISTENERS).map(|_| listen()).collect();
    for client in &mut listeners {
        let mut begin = [0; 15];
        client.read_exact(&mut begin).unwrap();
        assert_eq!(&begin, b"HTTP/1.1 200 OK");
    }
    // Not to its end: that of a listener would never come.
    let mut answer = [0; 1024];
    let bytes = listen().read(&mut answer).unwrap();
    let answer = Answer::of(&answer[..bytes]).unwrap();
    assert_eq!(
        (answer.code, answer.header("retry-after")),
        (503, Some("5"))
    );
    assert_eq!(get(admin, "/metrics").code, 200);
    // Nobody has to say that he goes.
    drop(listeners);
    let mut next = listen();
    while next.read(&mut [0; 15]).unwrap() == 0
        || counted(admin, "echolab_admin_responses_total{code=\"200\"}") < 3
    {}
}

/// One of the ways to be a nuisance.
fn nuisance(admin: SocketAddr, kind: usize) -> Vec<u8> {
    let host = format!("Host: {admin}\r\n");
    match kind % 8 {
        0 => Vec::new(),
        1 => format!("GET /status HTTP/1.1\r\n{host}").into(),
        2 => format!(
            "GET /status HTTP/1.1\r\n{host}X: {}\r\n\r\n",
            "a".repeat(100_000)
        )
        .into(),
        3 => request(admin, "GET", "/events", &[]).into(),
        4 => request(admin, "GET", "/metrics", &[]).repeat(20).into(),
        5 => b"GET /\0\n\n\n".to_vec(),
        6 => format!("POST / HTTP/1.1\r\n{host}Transfer-Encoding: chunked\r\n\r\nffffffff\r\n")
            .into(),
        _ => request(admin, "GET", "/status", &["Host: evil.example"]).into(),
    }
}

for_each_mode! {
    fn a_thousand_nuisances_disturb_nobody_and_leave_nothing(mode) {
        const NUISANCES: usize = 1000;
        let (server, admin) = server(&[&mode.args()[..], &["--workers", "3"]].concat());
        let mut client = server.connect();
        round_trip(&mut client, b"before")?;
        let descriptors = procfs::descriptors(server.pid());
        let threads = procfs::thread_names(server.pid()).len();
        let mut all = Vec::new();
        for kind in 0..NUISANCES {
            let mut one = connect_to(admin)?;
            // Whoever finds no place may be closed before it has said anything.
            let _ = one.write_all(&nuisance(admin, kind));
            all.push(one);
            if kind % 10 == 0 {
                round_trip(&mut client, b"meanwhile")?;
            }
        }
        for _ in 0..100 {
            round_trip(&mut client, b"and now")?;
        }
        drop(all);
        until_nothing_is_left(&server, descriptors);
        // Fewer, where one of the start was still about to end.
        assert!(procfs::thread_names(server.pid()).len() <= threads);
        assert_eq!(get(admin, "/healthz").code, 200);
        drop(client);
        assert_eq!(server.stop().counted("failed"), 0);
    }
}

#[test]
fn it_can_be_asked_though_every_place_is_taken() {
    for mode in ["epoll", "thread-pool", "sequential"] {
        let (server, admin) = server(&["--mode", mode, "--max-connections", "1", "--workers", "1"]);
        let mut inside = server.connect();
        round_trip(&mut inside, b"inside").unwrap();
        let _waiting = server.connect();
        server.until(
            "one waits",
            || server.moment(),
            || status(admin)["listen"]["queue"] == 1,
        );
        assert_eq!(status(admin)["connections"].as_object().unwrap().len(), 3);
    }
}

#[test]
fn it_can_be_asked_though_the_echo_has_every_descriptor() {
    let Some(prlimit) = tool("prlimit") else {
        return;
    };
    let wrapper = [prlimit, "--nofile=64:64", SERVER];
    let args = [
        "--mode",
        "epoll",
        "--workers",
        "2",
        "--max-connections",
        "1000",
    ];
    let server = ServerProcess::wrapped(&wrapper, &[&args[..], &ADMIN].concat());
    let admin = admin_of(&server);
    let mut clients: Vec<_> = (0..100).map(|_| server.connect()).collect();
    clients
        .iter_mut()
        .for_each(|client| client.write_all(b"?").unwrap());
    server.log().wait_for("cannot take more connections", 1);
    for _ in 0..20 {
        assert_eq!(status(admin)["state"], "ready");
    }
    drop(clients);
    server.connect_until_served();
    assert_eq!(get(admin, "/readyz").code, 200);
}

#[test]
fn connections_are_not_promised_what_the_endpoint_needs() {
    let Some(prlimit) = tool("prlimit") else {
        return;
    };
    let capacity = |more: &[&str]| {
        let wrapper = [prlimit, "--nofile=1000:1000", SERVER];
        let server = ServerProcess::wrapped(&wrapper, &[&["--mode", "epoll"], more].concat());
        server.ready_field("capacity")
    };
    assert!(capacity(&[]) >= capacity(&ADMIN) + PLACES);
}

/// Whether the server ends it, in order or not, within `time`.
fn has_ended_within(time: Duration, client: &TcpStream) -> bool {
    let mut fds = [PollFd::new(client, PollFlags::RDHUP)];
    poll(&mut fds, Some(&Timespec::try_from(time).unwrap())).unwrap() > 0
}
