//! The limits of a run, and what it says when the server does not let it have its way.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on shall panic")]

mod support;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::num::{NonZeroU32, NonZeroU64};
use std::process::Output;
use std::thread;
use std::time::Duration;

use cli::Addr;
use loadgen::report::Verdict;
use loadgen::{Behaviour, Config, Reuse, StopRule};
use socket2::{Domain, Socket, Type};
use support::{PATIENCE, Server, check, echo, errors, program, reset, run};

fn loadgen(server: &Server, flags: &[&str]) -> Output {
    let addr = server.addr().to_string();
    let command = program::loadgen(&[&[addr.as_str()], flags].concat());
    let mut command = assert_cmd::Command::from_std(command);
    command.timeout(PATIENCE).output().unwrap()
}

#[test]
fn a_deadline_ends_the_run_whatever_is_under_way() {
    let server = Server::new(|_, mut socket| socket.read_exact(&mut [0; 1 << 10]));
    let outcome = run(&Config {
        deadline: Some(Duration::from_millis(500)),
        ..server.config(4, 1_000)
    });
    assert!(!outcome.report.interrupted);
    assert_eq!(check(&outcome, "ended-early"), Verdict::Warn);
    assert_eq!(outcome.report.requests.pending, 4);
    assert!(outcome.report.duration_s < PATIENCE.as_secs_f64());
}

#[test]
fn a_connection_that_takes_too_long_is_counted_and_no_latency() {
    // Nobody accepts, and the queue has room for one.
    let any: SocketAddr = ([127, 0, 0, 1], 0).into();
    let listener = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    listener.bind(&any.into()).unwrap();
    listener.listen(0).unwrap();
    let addr = listener.local_addr().unwrap().as_socket().unwrap();
    let config = Config {
        targets: vec![Addr::from(addr)],
        connect_timeout: Some(Duration::from_millis(200)),
        ..Server::echo().config_for(4, Duration::from_secs(1))
    };
    let outcome = run(&config);
    let report = &outcome.report;
    // Of first packets that arrive together the kernel may answer more than there is room for;
    // those clients are connected as far as they can know.
    let connected = report.clients.connected;
    assert!((1..4).contains(&connected) && report.clients.served == 0);
    assert!(errors(&outcome, "connect-timeout") >= u64::from(4 - connected));
    let counted = report.latency.connect.as_ref().unwrap().count;
    assert_eq!(counted, u64::from(connected));
    assert_eq!(check(&outcome, "all-connected"), Verdict::Fail);
    assert!(report.latency.rtt.as_ref().unwrap().count == 0);
}

#[test]
fn accepting_ten_and_closing_the_listener_is_exit_code_4() {
    let server = Server::accepting(|number, socket| {
        thread::spawn(move || echo(socket));
        number < 9
    });
    let output = loadgen(&server, &["-c", "30", "-d", "1s", "-w", "0s"]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(4), "{text}");
    // The kernel completes more than the server takes up; whatever it says, ten were served.
    assert!(text.contains("30 asked"), "{text}");
    assert!(text.contains("10 served"), "{text}");
    assert!(text.contains("FAIL all-connected"), "{text}");
}

#[test]
fn a_server_that_dies_in_the_middle_is_exit_code_4() {
    let server = Server::accepting(|number, mut socket| {
        thread::spawn(move || {
            let mut message = [0; 64];
            for _ in 0..5 {
                socket.read_exact(&mut message)?;
                socket.write_all(&message)?;
            }
            reset(socket)
        });
        number < 3
    });
    for flags in [["-d", "2s"], ["-n", "10000"]] {
        let output = loadgen(&server, &[&flags[..], &["-c", "4", "-w", "0s"]].concat());
        if flags[0] == "-n" {
            // Nobody listens by then.
            assert_eq!(output.status.code(), Some(1));
            continue;
        }
        let text = String::from_utf8(output.stdout).unwrap();
        assert_eq!(output.status.code(), Some(4), "{text}");
        assert!(text.contains("refused"), "{text}");
    }
}

#[test]
fn fewer_requests_than_asked_for_make_the_run_invalid() {
    // Its clients come again for each request, and after a while there is nobody to come to.
    let server = Server::accepting(|number, socket| {
        thread::spawn(move || echo(socket));
        number < 19
    });
    let outcome = run(&Config {
        stop: StopRule::Requests(NonZeroU64::new(60).unwrap()),
        behaviour: Behaviour {
            requests_per_conn: NonZeroU32::new(1).map(Reuse::of),
            ..Behaviour::default()
        },
        ..server.config(2, 60)
    });
    let report = &outcome.report;
    assert_eq!(report.requests.answered, 20);
    // The kernel may complete connections that the server does not take up before it closes.
    assert!((20..=22).contains(&report.requests.sent) && report.requests.balance());
    assert_eq!(report.clients.connected, 2);
    let checks = &report.audit.checks;
    let found = checks.iter().find(|c| c.name == "all-connected").unwrap();
    assert_eq!(found.verdict, Verdict::Fail, "{checks:?}");
    let ended = report.requests.answered + report.requests.errors;
    let told = format!("{ended} of 60 requests");
    assert!(found.detail.contains(&told), "{}", found.detail);
}

#[test]
fn fewer_requests_by_plan_are_no_failure() {
    let server = Server::echo();
    let outcome = run(&Config {
        stop: StopRule::Requests(NonZeroU64::new(60).unwrap()),
        behaviour: Behaviour {
            requests_per_conn: NonZeroU32::new(3).map(Reuse::of),
            once: true,
            ..Behaviour::default()
        },
        ..server.config(2, 60)
    });
    assert_eq!(outcome.report.requests.answered, 6);
    assert_eq!(check(&outcome, "all-connected"), Verdict::Pass);
}

#[test]
fn bytes_that_come_unasked_are_found() {
    let server = Server::new(|_, mut socket| {
        socket.write_all(b"welcome\r\n")?;
        echo(socket)
    });
    let outcome = run(&Config {
        behaviour: Behaviour {
            once: true,
            ..Behaviour::default()
        },
        ..server.config(3, 3)
    });
    assert_eq!(outcome.report.mismatches, 3);
    assert_eq!(outcome.report.audit.verdict, Verdict::Fail);
}

#[test]
fn who_is_accepted_after_the_end_was_not_served() {
    // The listener accepts nobody while the run lasts, and everybody is connected all the same.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let config = Config {
        targets: vec![Addr::from(listener.local_addr().unwrap())],
        ..Server::echo().config_for(5, Duration::from_millis(500))
    };
    let report = run(&config).report;
    assert_eq!((report.clients.connected, report.clients.served), (5, 0));
    let latency = report.latency;
    assert_eq!(latency.connect.unwrap().count, 5);
    assert_eq!(latency.admission.unwrap().censored, 5);
}
