//! Requests on a schedule: what is never sent is counted, what waits is waited for, and a pause by
//! hand is no delay of the server.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on shall panic")]

mod support;

use std::io::{Read, Write};
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

use cli::Interrupt;
use loadgen::report::Verdict;
use loadgen::schedule::{Arrivals, Rate};
use loadgen::{Behaviour, Config, Ending, Exchange, Outcome, Pace, Protocol, Reuse, Starts, Steer};
use support::{PATIENCE, Server, check, echo, run};

/// `rate_per_s` requests a second in equal steps.
fn at(rate_per_s: f64) -> Pace {
    Pace::Open(Rate::Constant(rate_per_s), Arrivals::Constant)
}

fn open(server: &Server, clients: u32, rate_per_s: f64, length: Duration) -> Config {
    Config {
        pace: at(rate_per_s),
        ..server.config_for(clients, length)
    }
}

fn unlimited_connections(requests_per_conn: u32) -> Behaviour {
    Behaviour {
        requests_per_conn: NonZeroU32::new(requests_per_conn).map(Reuse::of),
        ..Behaviour::default()
    }
}

#[test]
fn a_black_hole_leaves_one_request_in_flight_and_the_rest_unsent() {
    let server = Server::new(|_, mut socket| {
        let mut buffer = [0; 64];
        while socket.read(&mut buffer)? > 0 {}
        Ok(())
    });
    let outcome = run(&open(&server, 4, 1_000.0, Duration::from_millis(600)));
    let report = &outcome.report;
    let (requests, schedule) = (report.requests, report.schedule.unwrap());
    assert_eq!((requests.sent, requests.pending), (4, 4));
    assert_eq!(schedule.due, requests.sent + requests.unsent);
    assert!(requests.unsent >= 590, "{requests:?}");
    // Nothing of that is the generator's own doing.
    assert_eq!((schedule.own_unsent, schedule.rate_ratio), (0, Some(0.0)));
    let response = report.latency.response.as_ref().unwrap();
    assert_eq!((response.count, response.censored), (0, schedule.due));
    assert_eq!((response.p50_us, response.max_us), (None, None));
    let rtt = report.latency.rtt.as_ref().unwrap();
    assert_eq!((rtt.count, rtt.censored), (0, 4));
    assert_eq!(check(&outcome, "rate-reached"), Verdict::Warn);
}

#[test]
fn what_was_due_in_the_warm_up_is_not_unsent_in_the_window() {
    let server = Server::new(|_, mut socket| socket.read_exact(&mut [0; 1 << 10]));
    let config = Config {
        warmup: Duration::from_millis(400),
        ..open(&server, 1, 1_000.0, Duration::from_millis(200))
    };
    let report = run(&config).report;
    let unsent = report.requests.unsent;
    let due = report.duration_s * 1_000.0;
    assert!((unsent as f64 - due).abs() <= 2.0, "{unsent} of {due}");
}

#[test]
fn a_pool_that_starves_clients_has_no_median_response() {
    // Two are echoed, the others are only accepted.
    let server = Server::new(|number, mut socket| match number {
        0 | 1 => echo(socket),
        _ => socket.read_exact(&mut [0; 1 << 10]),
    });
    let outcome = run(&open(&server, 8, 800.0, Duration::from_millis(500)));
    let report = &outcome.report;
    assert_eq!((report.clients.served, report.clients.starved), (2, 6));
    // Who looks at the requests that were sent sees a fast server.
    let response = report.latency.response.as_ref().unwrap();
    assert!(response.count > 0 && response.censored > response.count);
    assert_eq!((response.p50_us, response.p99_us), (None, None));
    let requests = report.requests;
    assert!(requests.unsent > requests.answered, "{requests:?}");
    assert_eq!(check(&outcome, "starvation"), Verdict::Warn);
}

#[test]
fn what_a_stall_held_up_has_waited_since_it_was_due() {
    const PERIOD: Duration = Duration::from_millis(2);
    /// From here on a request counts as late.
    const LATE: Duration = Duration::from_millis(1);
    let stalled = Arc::new(Mutex::new(Duration::ZERO));
    let noted = Arc::clone(&stalled);
    let (open_gate, gate) = mpsc::channel::<()>();
    let gate = Mutex::new(gate);
    let server = Server::new(move |_, mut socket| {
        let mut message = [0; 64];
        for sequence in 0.. {
            socket.read_exact(&mut message)?;
            if sequence == 20 {
                let begun = Instant::now();
                let _ = gate.lock().unwrap().recv_timeout(PATIENCE);
                *noted.lock().unwrap() = begun.elapsed();
            }
            socket.write_all(&message)?;
        }
        Ok(())
    });
    let mut looks_in_the_stall = 0;
    let outcome = loadgen::run(
        &open(&server, 1, 500.0, PATIENCE),
        &Interrupt::default(),
        &mut |progress| {
            looks_in_the_stall += u32::from(progress.answered == 20);
            if looks_in_the_stall == 15 {
                let _ = open_gate.send(());
            }
            // Zero while the stall lasts, or before it.
            let held_up = stalled.lock().unwrap().as_nanos() / PERIOD.as_nanos();
            if held_up > 0 && u128::from(progress.answered) > 20 + held_up {
                return Steer::Stop;
            }
            Steer::Go
        },
    );
    let Outcome { report, .. } = outcome.unwrap();
    assert!(report.requests.balance());
    let stall = *stalled.lock().unwrap();
    // One request was in flight; those that became due behind it were sent late, but for those
    // of the last millisecond.
    let held_up = stall.saturating_sub(LATE).as_nanos() / PERIOD.as_nanos();
    let held_up = u64::try_from(held_up).unwrap();
    assert!(held_up > 10, "{stall:?}");
    assert!(report.requests.late >= held_up - 1, "{:?}", report.requests);
    let (rtt, response) = (
        report.latency.rtt.unwrap(),
        report.latency.response.unwrap(),
    );
    assert_eq!(rtt.count, response.count);
    // Half of them waited for more than half of it, and only one service time tells.
    assert!(response.mean_us.unwrap() > rtt.mean_us.unwrap());
    let half_us = stall.as_secs_f64() * 5e5;
    let told = longer_than(&response.histogram, half_us);
    assert!(told >= held_up / 2 - 1);
    // A machine that stands still itself may add one to it.
    let told_by_service = longer_than(&rtt.histogram, half_us);
    assert!(
        (1..=2).contains(&told_by_service),
        "{told_by_service} of {told}"
    );
}

/// How many waits of an encoded histogram are longer than `limit_us`.
fn longer_than(histogram: &str, limit_us: f64) -> u64 {
    use base64::Engine as _;
    let bytes = base64::engine::general_purpose::STANDARD.decode(histogram);
    let read = hdrhistogram::serialization::Deserializer::new()
        .deserialize::<u64, _>(&mut bytes.unwrap().as_slice());
    let all = read.unwrap();
    let steps = all.iter_recorded();
    steps
        .filter(|step| step.value_iterated_to() as f64 > limit_us * 1e3)
        .map(|step| step.count_at_value())
        .sum()
}

#[test]
fn a_number_of_requests_ends_an_open_loop_too() {
    let server = Server::echo();
    let report = run(&Config {
        pace: Pace::Open(Rate::Constant(2_000.0), Arrivals::Poisson),
        ..server.config(10, 300)
    })
    .report;
    assert_eq!((report.requests.sent, report.requests.answered), (300, 300));
    assert_eq!(report.latency.response.unwrap().count, 300);
    // Who waits for a ticket that never comes holds nothing up.
    assert_eq!(report.requests.unsent, 0);
}

#[test]
fn what_was_not_asked_for_is_not_due() {
    // One request is asked for, and by the time of its answer many more would have been due.
    let (open_gate, gate) = mpsc::channel::<()>();
    let gate = Mutex::new(gate);
    let server = Server::answering(64, move |_, _, message| {
        let _ = gate.lock().unwrap().recv_timeout(PATIENCE);
        message.to_vec()
    });
    let config = Config {
        pace: at(1_000.0),
        ..server.config(1, 1)
    };
    let mut looks = 0;
    let outcome = loadgen::run(&config, &Interrupt::default(), &mut |_| {
        looks += 1;
        if looks == 5 {
            let _ = open_gate.send(());
        }
        Steer::Go
    });
    let report = outcome.unwrap().report;
    assert_eq!((report.requests.answered, report.requests.unsent), (1, 0));
    let schedule = report.schedule.unwrap();
    assert_eq!((schedule.due, schedule.rate_ratio), (1, Some(1.0)));
}

#[test]
fn who_has_left_as_planned_leaves_nothing_unsent() {
    let server = Server::echo();
    let outcome = run(&Config {
        behaviour: Behaviour {
            once: true,
            ..unlimited_connections(5)
        },
        // The last one comes when the first ones have long gone.
        starts: Starts::Ramp(Duration::from_millis(400)),
        ..open(&server, 4, 400.0, PATIENCE)
    });
    let report = &outcome.report;
    assert_eq!((report.requests.sent, report.requests.answered), (20, 20));
    assert_eq!(report.requests.unsent, 0);
    let schedule = report.schedule.unwrap();
    assert_eq!((schedule.due, schedule.rate_ratio), (20, Some(1.0)));
    assert_eq!(check(&outcome, "rate-reached"), Verdict::Pass);
}

#[test]
fn who_was_cut_off_leaves_its_requests_unsent() {
    let server = Server::new(|number, mut socket| {
        if number > 0 {
            return echo(socket);
        }
        let mut message = [0; 64];
        socket.read_exact(&mut message)?;
        socket.write_all(&message)?;
        support::reset(socket)
    });
    let report = run(&Config {
        behaviour: Behaviour {
            once: true,
            ..Behaviour::default()
        },
        ..open(&server, 2, 200.0, Duration::from_millis(600))
    })
    .report;
    assert_eq!(report.clients.lost, 1);
    assert!(report.requests.unsent >= 20, "{:?}", report.requests);
}

#[test]
fn clients_come_one_after_the_other_with_a_ramp() {
    const RAMP: Duration = Duration::from_millis(200);
    let server = Server::echo();
    let outcome = run(&Config {
        starts: Starts::Ramp(RAMP),
        ..server.config_for(10, 5 * RAMP)
    });
    for (place, client) in (0_u32..).zip(&outcome.clients) {
        let at = client.connected_at.unwrap();
        assert!(at >= RAMP * place / 10, "client {place} at {at:?}");
    }
    assert_eq!(outcome.report.clients.served, 10);
}

#[test]
fn a_greeting_before_its_due_time_is_no_mistake() {
    let server = Server::new(|_, mut socket| {
        socket.write_all(b"220 ready\r\n")?;
        socket.read(&mut [0]).map(drop)
    });
    let report = run(&Config {
        protocol: Protocol::Exchange(Exchange {
            send: Vec::new(),
            ending: Ending::Until(b"\n".to_vec()),
        }),
        behaviour: unlimited_connections(1),
        ..open(&server, 2, 100.0, Duration::from_secs(1))
    })
    .report;
    assert!(report.requests.answered > 4, "{:?}", report.requests);
    assert_eq!((report.mismatches, report.errors.len()), (0, 0));
}

/// A run of a second whose sending is held up from the moment when all clients were served, for
/// `looks` looks of the display after nothing was under way any more, and a counter of what the
/// server got meanwhile.
fn held_up(pace: Pace, looks: u32) -> (Outcome, u64) {
    /// So many looks in a row at which nothing has come: nothing is under way.
    const STILL: u32 = 5;
    let got = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&got);
    let server = Server::new(move |_, mut socket| {
        let mut message = [0; 64];
        loop {
            socket.read_exact(&mut message)?;
            counted.fetch_add(1, Ordering::SeqCst);
            socket.write_all(&message)?;
        }
    });
    let config = Config {
        pace,
        ..server.config_for(4, Duration::from_secs(1))
    };
    let (mut before, mut still, mut held, mut during) = (0, 0, 0, 0);
    let outcome = loadgen::run(&config, &Interrupt::default(), &mut |progress| {
        if progress.served < 4 {
            return Steer::Go;
        }
        let so_far = got.load(Ordering::SeqCst);
        if still < STILL {
            still = if so_far == before { still + 1 } else { 0 };
            before = so_far;
            return Steer::Pause;
        }
        if held == looks {
            return Steer::Go;
        }
        held += 1;
        during = so_far - before;
        Steer::Pause
    });
    (outcome.unwrap(), during)
}

#[test]
fn nothing_is_sent_while_a_person_holds_it_up() {
    for pace in [Pace::Closed, at(1_000.0)] {
        for looks in [12, u32::MAX] {
            let (outcome, during) = held_up(pace, looks);
            let report = &outcome.report;
            assert_eq!(during, 0, "{pace:?}");
            assert!(report.requests.balance() && report.requests.answered > 0);
            assert_eq!(check(&outcome, "paused"), Verdict::Warn, "{pace:?} {looks}");
            let checks = report.audit.checks.iter();
            let law = checks.clone().find(|c| c.name == "littles-law").unwrap();
            assert!(law.detail.starts_with("not applicable"), "{}", law.detail);
            // The schedule is put off: what was not due was not missed. To the end of the run that
            // would be several hundreds.
            assert!(report.requests.unsent <= 100, "{:?}", report.requests);
            assert_ne!(check(&outcome, "books-balance"), Verdict::Fail);
        }
    }
}

#[test]
fn nothing_is_sent_before_it_may_be_and_everybody_can_connect_first() {
    const CLIENTS: u32 = 40;
    let got = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&got);
    let server = Server::new(move |_, mut socket| {
        let mut message = [0; 64];
        loop {
            socket.read_exact(&mut message)?;
            counted.fetch_add(1, Ordering::SeqCst);
            socket.write_all(&message)?;
        }
    });
    let config = Config {
        warmup: Duration::ZERO,
        ..server.config_for(CLIENTS, PATIENCE)
    };
    let mut before = None;
    let outcome = loadgen::run(&config, &Interrupt::default(), &mut |progress| {
        if progress.connected < CLIENTS && before.is_none() {
            return Steer::Pause;
        }
        before.get_or_insert_with(|| got.load(Ordering::SeqCst));
        if progress.served == CLIENTS {
            return Steer::Stop;
        }
        Steer::Go
    });
    assert_eq!(before, Some(0));
    assert_eq!(outcome.unwrap().report.clients.served, CLIENTS);
}
