//! Against a server that returns every byte, however it cuts them, each request has its answer.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on shall panic")]

mod support;

use std::io::{Read, Write};
use std::num::{NonZeroU32, NonZeroU64, NonZeroUsize};
use std::os::unix::net::UnixListener;
use std::thread;
use std::time::Duration;

use cli::{Addr, Interrupt};
use loadgen::report::{Requests, Verdict};
use loadgen::{Behaviour, Config, Pause, Reuse, Steer, StopRule};
use support::{Server, check, echo_of, run};

/// Runs `requests` requests of `bytes` bytes by 5 clients and expects every one to be answered.
fn all_answered(server: &Server, bytes: u32, requests: u64) {
    let config = Config {
        protocol: echo_of(bytes),
        ..server.config(5, requests)
    };
    let report = run(&config).report;
    assert_eq!(report.requests.answered, requests, "{bytes} bytes");
    assert_eq!(report.requests.sent, requests, "{bytes} bytes");
    let volume = requests * u64::from(bytes);
    assert_eq!((report.bytes.sent, report.bytes.received), (volume, volume));
    assert_eq!((report.mismatches, report.requests.errors), (0, 0));
    assert_eq!((report.clients.connected, report.clients.served), (5, 5));
    assert_ne!(report.audit.verdict, Verdict::Fail, "{:?}", report.audit);
}

#[test]
fn every_size_comes_back_whole() {
    let server = Server::echo();
    for (bytes, requests) in [(1, 500), (2, 500), (64, 500), (1_460, 500), (64 << 10, 50)] {
        all_answered(&server, bytes, requests);
    }
}

#[test]
fn a_mebibyte_is_written_and_read_at_the_same_time() {
    // The server has written 1 MiB minus what the sockets hold before it reads the last byte: a
    // client that writes everything before it reads would wait for ever.
    let server = Server::echo();
    all_answered(&server, 1 << 20, 15);
    // More than the buffers of a socket can hold: the rest must go out when there is room.
    all_answered(&server, 16 << 20, 5);
}

#[test]
fn answers_may_come_byte_by_byte() {
    let server = Server::new(|_, mut socket| {
        let mut byte = [0];
        loop {
            socket.read_exact(&mut byte)?;
            socket.write_all(&byte)?;
        }
    });
    all_answered(&server, 64, 50);
}

#[test]
fn answers_may_come_all_at_once_after_many_reads() {
    let server = Server::new(|_, mut socket| {
        let mut message = Vec::new();
        let mut byte = [0];
        loop {
            socket.read_exact(&mut byte)?;
            message.push(byte[0]);
            if byte == *b"\n" {
                socket.write_all(&message)?;
                message.clear();
            }
        }
    });
    all_answered(&server, 500, 50);
}

#[test]
fn answers_may_be_cut_anywhere() {
    let server = Server::new(|number, mut socket| {
        let mut message = vec![0; 1_460];
        let mut state = number as u64 + 1;
        loop {
            socket.read_exact(&mut message)?;
            let mut rest = message.as_slice();
            while !rest.is_empty() {
                state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1);
                let piece = (state >> 33) as usize % rest.len() + 1;
                socket.write_all(&rest[..piece])?;
                rest = &rest[piece..];
            }
        }
    });
    all_answered(&server, 1_460, 100);
}

#[test]
fn fewer_requests_than_clients_still_connect_everybody() {
    let report = run(&Server::echo().config(100, 3)).report;
    assert_eq!((report.clients.connected, report.clients.served), (100, 3));
    assert_eq!((report.requests.sent, report.requests.answered), (3, 3));
    assert_eq!((report.clients.starved, report.clients.lost), (0, 0));
}

#[test]
fn one_request_for_each_client_goes_to_each_client() {
    let outcome = run(&Server::echo().config(30, 30));
    assert!(outcome.clients.iter().all(|client| client.answered == 1));
    assert_eq!(outcome.report.clients.fairness, Some(1.0));
}

#[test]
fn a_planned_end_of_connection_is_no_error() {
    let server = Server::echo();
    let report = run(&Config {
        behaviour: Behaviour {
            requests_per_conn: NonZeroU32::new(3).map(Reuse::of),
            ..Behaviour::default()
        },
        ..server.config(4, 90)
    })
    .report;
    assert_eq!((report.requests.answered, report.requests.errors), (90, 0));
    assert_eq!((report.clients.lost, report.errors.len()), (0, 0));
    let connects = report.latency.connect.unwrap().count;
    assert!(connects >= 30, "{connects} connections for 90 requests");
}

#[test]
fn with_once_the_run_ends_with_the_last_connection() {
    let server = Server::echo();
    let config = Config {
        behaviour: Behaviour {
            requests_per_conn: NonZeroU32::new(2).map(Reuse::of),
            hold: Duration::from_millis(5),
            once: true,
            ..Behaviour::default()
        },
        ..server.config_for(10, Duration::from_secs(60))
    };
    let outcome = run(&config);
    assert_eq!(outcome.report.requests.answered, 20);
    assert!(outcome.report.duration_s < 60.0);
    for client in outcome.clients {
        let (first, end) = (client.first_byte_at.unwrap(), client.ended_at.unwrap());
        assert!(end - first >= Duration::from_millis(5), "the hold was kept");
    }
}

#[test]
fn the_window_follows_the_warm_up() {
    let server = Server::echo();
    let config = Config {
        // Long enough for all to be connected, and its second slice for the thread to be there.
        warmup: Duration::from_millis(500),
        threads: NonZeroUsize::MIN,
        ..server.config_for(4, Duration::from_millis(1_500))
    };
    let report = run(&config).report;
    assert_eq!(
        (report.requests.carried_in, report.requests.pending),
        (4, 4)
    );
    assert!(report.duration_s >= 1.5);
    // Two, but for a machine that holds the end up.
    let seconds = report.duration_s.ceil();
    assert_eq!(report.intervals.len() as f64, seconds);
    let answered: u64 = report.intervals.iter().map(|i| i.answered).sum();
    assert_eq!(answered, report.requests.answered);
    assert_eq!(report.latency.rtt.unwrap().count, report.requests.answered);
    assert_eq!(report.rate_per_s, Some(answered as f64 / report.duration_s));
}

#[test]
fn a_window_does_not_wait_for_the_end_of_a_second() {
    // Whose slices are seconds: a machine that holds it up for so long is tried again.
    let server = Server::echo();
    let length = || {
        run(&server.config_for(2, Duration::from_millis(20)))
            .report
            .duration_s
    };
    assert!((0..10).any(|_| length() < 1.0));
}

#[test]
fn the_law_of_little_holds_with_and_without_thinking() {
    let server = Server::echo();
    for think in [Duration::ZERO, Duration::from_millis(1)] {
        let config = Config {
            behaviour: Behaviour {
                think: Pause::Constant(think),
                ..Behaviour::default()
            },
            warmup: Duration::from_millis(50),
            ..server.config_for(4, Duration::from_millis(500))
        };
        let outcome = run(&config);
        assert_eq!(check(&outcome, "littles-law"), Verdict::Pass);
    }
}

#[test]
fn a_signal_ends_the_run_with_what_there_is() {
    let server = Server::echo();
    let interrupt = Interrupt::default();
    let config = server.config_for(4, Duration::from_secs(60));
    let outcome = loadgen::run(&config, &interrupt, &mut |progress| {
        if progress.served == 4 {
            interrupt.raise(2);
        }
        Steer::Go
    });
    let report = outcome.unwrap().report;
    assert!(report.interrupted && report.requests.balance());
    assert_eq!(report.clients.served, 4);
}

#[test]
fn a_signal_in_the_warm_up_leaves_a_report_without_a_window() {
    let server = Server::echo();
    let interrupt = Interrupt::default();
    let config = Config {
        warmup: Duration::from_secs(60),
        ..server.config_for(4, Duration::from_secs(60))
    };
    let outcome = loadgen::run(&config, &interrupt, &mut |progress| {
        if progress.served == 4 {
            interrupt.raise(15);
        }
        Steer::Go
    });
    let report = outcome.unwrap().report;
    assert_eq!((report.clients.served, report.rate_per_s), (4, None));
    assert_eq!(
        (report.duration_s, report.requests),
        (0.0, Requests::default())
    );
    assert!(report.latency.rtt.is_none() && report.latency.admission.is_some());
}

/// A server in the generator's own process is not looked at: its time is the generator's too. No
/// test of this file starts a program, which would hold the listener as well until it runs.
#[test]
fn a_server_in_the_same_process_has_no_figures() {
    let server = Server::echo();
    let outcome = run(&server.config(2, 20));
    assert_eq!(outcome.report.server, None);
}

#[test]
fn a_unix_socket_is_a_target_too() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("echo.sock");
    let listener = UnixListener::bind(&path).unwrap();
    let server = thread::spawn(move || {
        let (mut socket, _) = listener.accept().unwrap();
        socket.set_read_timeout(Some(support::PATIENCE)).unwrap();
        let mut message = [0; 64];
        while socket.read_exact(&mut message).is_ok() {
            if socket.write_all(&message).is_err() {
                break;
            }
        }
    });
    let config = Config {
        targets: vec![Addr::Unix(path)],
        stop: StopRule::Requests(NonZeroU64::new(100).unwrap()),
        ..Server::echo().config(1, 1)
    };
    let report = run(&config).report;
    assert_eq!(report.requests.answered, 100);
    // It is connected at once, and even that takes some time.
    assert!(report.latency.connect.unwrap().max_us > Some(0.0));
    server.join().unwrap();
}
