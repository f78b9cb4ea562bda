//! Against servers with a known fault, the report says what the fault is and blames nothing else.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on shall panic")]

mod support;

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::Shutdown;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Barrier, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use cli::Addr;
use loadgen::report::Verdict;
use loadgen::{Behaviour, Config, RunError, Starts, StopRule};
use support::{Server, check, echo, errors, reset, run, try_run};

/// Runs 200 requests of 64 bytes against `server`, whose answers are wrong, and counts how many
/// were found to be.
fn mismatches(server: &Server) -> u64 {
    let outcome = run(&server.config(4, 200));
    let report = &outcome.report;
    assert_eq!(check(&outcome, "bytes-differ"), Verdict::Fail);
    let by_kind = errors(&outcome, "mismatch") + errors(&outcome, "too-many-bytes");
    assert_eq!(by_kind, report.mismatches);
    assert!(report.mismatches >= report.requests.errors);
    report.mismatches
}

#[test]
fn one_flipped_bit_is_found() {
    // Whose it is does not matter: on a busy machine a client may have few of them.
    let answers = AtomicU32::new(0);
    let server = Server::answering(64, move |_, _, message| {
        let mut answer = message.to_vec();
        if answers.fetch_add(1, Ordering::Relaxed) == 100 {
            answer[40] ^= 0x10;
        }
        answer
    });
    assert_eq!(mismatches(&server), 1);
}

#[test]
fn zeros_are_no_answer() {
    let server = Server::answering(64, |_, _, message| vec![0; message.len()]);
    let config = Config {
        behaviour: Behaviour {
            once: true,
            ..Behaviour::default()
        },
        ..server.config(4, 200)
    };
    let report = run(&config).report;
    assert_eq!((report.requests.answered, report.mismatches), (0, 4));
    assert_eq!(report.requests.errors, 4);
}

#[test]
fn the_previous_answer_again_is_no_answer() {
    let server = Server::new(|_, mut socket| {
        let (mut first, mut next) = ([0; 64], [0; 64]);
        socket.read_exact(&mut first)?;
        loop {
            socket.write_all(&first)?;
            socket.read_exact(&mut next)?;
        }
    });
    // Every second request of a connection; the four need not end at the same point.
    assert!((96..=104).contains(&mismatches(&server)));
}

#[test]
fn the_answer_of_another_client_is_no_answer() {
    // The two connections exchange their first messages.
    let swap = Arc::new((Mutex::new(Vec::new()), Condvar::new()));
    let server = Server::new(move |number, mut socket| {
        let mut message = vec![0; 64];
        socket.read_exact(&mut message)?;
        let (messages, both) = &*swap;
        let mut messages = messages.lock().unwrap();
        messages.push((number, message));
        both.notify_all();
        let messages = both.wait_while(messages, |m| m.len() < 2).unwrap();
        let other = messages.iter().find(|(n, _)| *n != number).unwrap();
        socket.write_all(&other.1)?;
        socket.read_exact(&mut [0])
    });
    let config = Config {
        behaviour: Behaviour {
            once: true,
            ..Behaviour::default()
        },
        ..server.config(2, 2)
    };
    let outcome = run(&config);
    assert_eq!(
        (outcome.report.mismatches, outcome.report.clients.lost),
        (2, 2)
    );
    assert_eq!(outcome.report.audit.verdict, Verdict::Fail);
}

#[test]
fn one_byte_more_is_a_mismatch_even_unverified() {
    for verify in [true, false] {
        let server = Server::answering(64, |_, sequence, message| {
            let mut answer = message.to_vec();
            if sequence == 5 {
                answer.push(b'x');
            }
            answer
        });
        let config = Config {
            verify,
            ..server.config(4, 200)
        };
        let outcome = run(&config);
        assert!(errors(&outcome, "too-many-bytes") >= 4, "{verify}");
        assert_eq!(outcome.report.audit.verdict, Verdict::Fail);
    }
}

#[test]
fn a_black_hole_times_out_every_request_once() {
    let server = Server::new(|_, mut socket| {
        let mut buffer = [0; 64];
        while socket.read(&mut buffer)? > 0 {}
        Ok(())
    });
    let config = Config {
        timeout: Some(Duration::from_millis(30)),
        behaviour: Behaviour {
            once: true,
            ..Behaviour::default()
        },
        ..server.config(8, 8)
    };
    let outcome = run(&config);
    let report = &outcome.report;
    assert_eq!((report.requests.sent, report.requests.timeouts), (8, 8));
    assert_eq!((report.requests.answered, report.requests.errors), (0, 0));
    assert_eq!((report.clients.served, report.clients.starved), (0, 8));
    let rtt = report.latency.rtt.as_ref().unwrap();
    assert_eq!((rtt.count, rtt.censored), (0, 8));
    assert_eq!((rtt.p50_us, rtt.max_us, rtt.mean_us), (None, None, None));
    assert!(rtt.censored_above_us.unwrap() >= 30_000.0);
    assert_eq!(report.gates[0].verdict, Verdict::Fail);
    assert_eq!(
        (report.clients.fairness, report.clients.effective),
        (None, None)
    );
}

#[test]
fn a_black_hole_without_a_time_limit_leaves_everybody_waiting() {
    let server = Server::new(|_, mut socket| {
        let mut buffer = [0; 64];
        while socket.read(&mut buffer)? > 0 {}
        Ok(())
    });
    let report = run(&server.config_for(8, Duration::from_millis(500))).report;
    assert_eq!((report.requests.sent, report.requests.pending), (8, 8));
    let admission = report.latency.admission.unwrap();
    assert_eq!((admission.count, admission.censored), (0, 8));
    assert_eq!(report.latency.rtt.unwrap().censored, 8);
    assert_eq!(report.clients.starved, 8);
}

#[test]
fn a_reset_after_the_accept_is_an_error_and_no_latency() {
    let server = Server::new(|_, socket| reset(socket));
    let outcome = run(&server.config(4, 20));
    let report = &outcome.report;
    assert_eq!((report.requests.answered, report.requests.errors), (0, 20));
    assert_eq!((report.clients.connected, report.clients.served), (4, 0));
    assert_eq!((report.clients.lost, report.clients.starved), (4, 4));
    assert!(report.latency.rtt.is_none());
    assert_eq!(report.gates[0].verdict, Verdict::Fail);
}

#[test]
fn a_server_that_closes_early_loses_every_client_and_serves_it_again() {
    let server = Server::new(|_, mut socket| {
        let mut message = [0; 64];
        for _ in 0..3 {
            socket.read_exact(&mut message)?;
            socket.write_all(&message)?;
        }
        // The client's next request has been sent, or will be: it is read so that no reset
        // overtakes the close.
        socket.read_exact(&mut message)?;
        socket.shutdown(Shutdown::Write)
    });
    // One thread: the clients of two draw from one number of requests, and those of the first could
    // use it up before the second one runs.
    let outcome = run(&Config {
        threads: NonZeroUsize::MIN,
        ..server.config(4, 1_000)
    });
    let report = &outcome.report;
    assert_eq!(report.requests.answered + report.requests.errors, 1_000);
    assert_eq!(errors(&outcome, "closed"), report.requests.errors);
    assert!(report.requests.errors >= 200 && report.requests.answered >= 700);
    assert_eq!((report.clients.served, report.clients.lost), (4, 4));
    assert_eq!(check(&outcome, "server-lost"), Verdict::Pass);
}

#[test]
fn a_listener_that_closes_after_ten_makes_the_run_invalid() {
    let server = Server::accepting(|number, socket| {
        thread::spawn(move || echo(socket));
        number < 9
    });
    let outcome = run(&server.config_for(30, Duration::from_secs(1)));
    assert_eq!(check(&outcome, "all-connected"), Verdict::Fail);
    assert_eq!(outcome.report.clients.served, 10);
    assert!(outcome.report.requests.answered > 0);
}

#[test]
fn a_server_that_dies_makes_the_run_invalid() {
    // Nobody is answered before all are connected, or who leaves first would come again.
    let together = Arc::new(Barrier::new(4));
    let server = Server::accepting(move |number, mut socket| {
        let together = Arc::clone(&together);
        thread::spawn(move || {
            let mut message = [0; 64];
            socket.read_exact(&mut message)?;
            together.wait();
            socket.write_all(&message)
        });
        number < 3
    });
    let outcome = run(&server.config_for(4, Duration::from_secs(1)));
    let clients = outcome.report.clients;
    assert_eq!((clients.connected, clients.served, clients.lost), (4, 4, 4));
    assert_eq!(check(&outcome, "server-lost"), Verdict::Fail);
    assert!(
        outcome
            .clients
            .iter()
            .all(|client| client.ended_at.is_some())
    );
}

#[test]
fn a_pool_that_serves_the_others_at_the_end_has_served_only_four() {
    // Four workers, each of which keeps its connection until it closes: when the clients leave,
    // the pool answers the 16 others at once.
    type Queue = Arc<(Mutex<VecDeque<std::net::TcpStream>>, Condvar)>;
    let queue = Queue::default();
    for _ in 0..4 {
        let queue = Arc::clone(&queue);
        thread::spawn(move || {
            loop {
                let (waiting, more) = &*queue;
                let guard = waiting.lock().unwrap();
                let mut guard = more.wait_while(guard, |w| w.is_empty()).unwrap();
                let socket = guard.pop_front().unwrap();
                drop(guard);
                let _ = echo(socket);
            }
        });
    }
    let server = Server::accepting(move |_, socket| {
        queue.0.lock().unwrap().push_back(socket);
        queue.1.notify_one();
        true
    });
    for config in [
        server.config_for(20, Duration::from_millis(600)),
        server.config(20, 2_000),
    ] {
        let outcome = run(&config);
        let report = &outcome.report;
        assert_eq!((report.clients.served, report.clients.starved), (4, 16));
        assert!(report.clients.effective.unwrap() <= 4.0 + 1e-9);
        let admission = report.latency.admission.as_ref().unwrap();
        assert_eq!((admission.count, admission.censored), (4, 16));
        assert_eq!((admission.p50_us, admission.max_us), (None, None));
        assert!(report.latency.rtt.as_ref().unwrap().max_us.is_none());
        assert_eq!(check(&outcome, "starvation"), Verdict::Warn);
        assert_ne!(report.audit.verdict, Verdict::Fail, "{:?}", report.audit);
        if let StopRule::Either(_, asked) = config.stop {
            // The tickets of those that never end are given to the others.
            assert_eq!(report.requests.answered, asked.get());
        }
    }
}

#[test]
fn no_thread_closes_its_connections_before_all_have_counted() {
    // A pool of one, which is free for the next client when the first one leaves.
    let worker = Mutex::new(());
    let server = Server::new(move |_, socket| {
        let _busy = worker.lock().unwrap_or_else(PoisonError::into_inner);
        echo(socket)
    });
    // The other thread goes on until its last client, which comes late, is connected.
    let config = Config {
        starts: Starts::Ramp(Duration::from_secs(2)),
        ..server.config(4, 2)
    };
    let clients = run(&config).report.clients;
    assert_eq!(
        (clients.connected, clients.served, clients.starved),
        (4, 1, 1)
    );
}

#[test]
fn an_answer_behind_the_last_that_counts_is_counted_apart() {
    // Whoever asks first is answered at once; the second request of that client sets the other's
    // answer free, behind its own.
    let run_once = || {
        let (held, other) = (Mutex::new(None), Condvar::new());
        let shared = Arc::new((held, other));
        let server = Server::new(move |number, mut socket| {
            let (held, other) = &*shared;
            let mut message = [0; 64];
            socket.read_exact(&mut message)?;
            if number == 1 {
                *held.lock().unwrap() = Some((socket.try_clone()?, message));
                other.notify_one();
                return socket.read_exact(&mut [0]);
            }
            socket.write_all(&message)?;
            socket.read_exact(&mut message)?;
            let guard = held.lock().unwrap();
            let mut guard = other.wait_while(guard, |held| held.is_none()).unwrap();
            let (mut late, answer) = guard.take().unwrap();
            socket.write_all(&message)?;
            late.write_all(&answer)
        });
        let config = Config {
            threads: NonZeroUsize::MIN,
            ..server.config(2, 2)
        };
        let requests = run(&config).report.requests;
        assert_eq!((requests.answered, requests.pending), (2, 1));
        requests.late_answers
    };
    // A server that is held up between the two is too late even for that.
    assert!((0..20).any(|_| run_once() == 1));
}

#[test]
fn with_a_closed_port_there_is_no_report() {
    let (_reserved, addr) = support::closed_port();
    let config = Config {
        targets: vec![Addr::from(addr)],
        ..Server::echo().config_for(50, Duration::from_secs(60))
    };
    let error = try_run(&config).unwrap_err();
    assert!(matches!(error, RunError::NoConnection { .. }), "{error:?}");
    assert!(error.to_string().contains("is the server running"));
}

#[test]
fn a_name_that_means_nothing_is_said_so() {
    let config = Config {
        targets: vec![Addr::Tcp {
            // Longer than a name may be: refused without asking anybody.
            host: "x".repeat(64),
            port: 1,
        }],
        ..Server::echo().config(1, 1)
    };
    let error = try_run(&config).unwrap_err();
    assert!(matches!(error, RunError::Resolve { .. }), "{error:?}");
}
