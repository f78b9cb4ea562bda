//! Clients of several kinds: who is counted where, and whose waits say nothing about the server.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on shall panic")]

mod support;

use std::io::Read;
use std::num::NonZeroU32;
use std::time::Duration;

use loadgen::report::{Report, Verdict};
use loadgen::{Config, Profile, Share, StopRule};
use support::{PATIENCE, Server, check, echo_of, run};

fn shares(kinds: &[Profile]) -> Vec<Share> {
    let share = |profile: &Profile| Share {
        profile: *profile,
        weight: NonZeroU32::MIN,
    };
    kinds.iter().map(share).collect()
}

/// Two clients of each kind for a time in which slow ones move several pieces.
fn mixed(server: &Server, kinds: &[Profile]) -> Config {
    Config {
        profiles: shares(kinds),
        slow_bytes_per_s: NonZeroU32::new(400).unwrap(),
        ..server.config_for(
            2 * u32::try_from(kinds.len()).unwrap(),
            Duration::from_millis(700),
        )
    }
}

/// Asked, connected, served and starved clients of each kind.
fn counts(report: &Report) -> Vec<(&str, [u32; 4])> {
    let counts = |p: &loadgen::report::Profile| [p.asked, p.connected, p.served, p.starved];
    let profiles = report.profiles.iter();
    profiles.map(|p| (p.name.as_str(), counts(p))).collect()
}

#[test]
fn idle_clients_are_connected_and_nobody_owes_them_anything() {
    let server = Server::echo();
    let outcome = run(&mixed(&server, &[Profile::Echo, Profile::Idle]));
    let report = &outcome.report;
    assert_eq!(
        counts(report),
        [("echo", [2, 2, 2, 0]), ("idle", [2, 2, 0, 0])]
    );
    let clients = report.clients;
    assert_eq!((clients.connected, clients.served), (4, 2));
    assert_eq!((clients.starved, clients.lost), (0, 0));
    let admission = report.latency.admission.as_ref().unwrap();
    assert_eq!((admission.count, admission.censored), (2, 0));
    assert_eq!(report.profiles[1].answered, 0);
    assert_eq!(check(&outcome, "starvation"), Verdict::Pass);
    assert_ne!(report.audit.verdict, Verdict::Fail, "{:?}", report.audit);
}

#[test]
fn slow_clients_are_answered_and_in_no_percentile() {
    let kinds = [Profile::Echo, Profile::SlowRead, Profile::SlowWrite];
    let server = Server::echo();
    let outcome = run(&Config {
        protocol: echo_of(100),
        stop: StopRule::After(Duration::from_millis(1_500)),
        ..mixed(&server, &kinds)
    });
    let report = &outcome.report;
    for (_, counted) in counts(report) {
        assert_eq!(counted, [2, 2, 2, 0]);
    }
    let [fast, reads, writes] = report.profiles.as_slice() else {
        panic!("{:?}", report.profiles);
    };
    assert!(reads.answered > 0 && writes.answered > 0);
    let rtt = report.latency.rtt.as_ref().unwrap();
    assert_eq!((rtt.count, rtt.censored), (fast.answered, 0));
    for slow in [reads, writes] {
        // 100 bytes in pieces of 40 a tick take two pauses of the client's own making.
        let own = slow.rtt.as_ref().unwrap();
        assert_eq!(own.count, slow.answered);
        assert!(own.p50_us.unwrap() >= 150_000.0);
    }
    let all = fast.answered + reads.answered + writes.answered;
    assert_eq!(report.requests.answered, all);
    assert_eq!(check(&outcome, "books-balance"), Verdict::Pass);
}

#[test]
fn a_half_open_client_waits_for_nothing_and_does_not_starve() {
    // It answers whole messages, which these clients never send.
    let server = Server::answering(64, |_, _, message| message.to_vec());
    // A number of requests, so that at the end no others are in flight than theirs.
    let outcome = run(&Config {
        stop: StopRule::Either(PATIENCE, 200.try_into().unwrap()),
        ..mixed(&server, &[Profile::Echo, Profile::HalfOpen])
    });
    let report = &outcome.report;
    assert_eq!(
        counts(report),
        [("echo", [2, 2, 2, 0]), ("half-open", [2, 2, 0, 0])]
    );
    let half = &report.profiles[1];
    assert!((half.answered, half.rtt.is_none()) == (0, true));
    // Their requests are in flight for the books and in no percentile.
    assert!(report.requests.pending >= 2);
    assert_eq!(report.latency.rtt.as_ref().unwrap().censored, 0);
    assert_eq!(check(&outcome, "starvation"), Verdict::Pass);
}

#[test]
fn a_burst_is_sixteen_requests_at_once() {
    // Whoever waited for an answer before the sixteenth request would wait for ever.
    let server = Server::answering(16 * 64, |_, _, messages| messages.to_vec());
    let report = run(&mixed(&server, &[Profile::Burst])).report;
    // The next burst follows a second after the first, which is after the end.
    assert_eq!((report.requests.sent, report.requests.answered), (32, 32));
    assert_eq!(report.latency.rtt.unwrap().count, 32);
}

#[test]
fn slow_clients_that_run_into_the_time_limit_are_in_no_percentile_either() {
    let server = Server::new(|_, mut socket| {
        let mut buffer = [0; 64];
        while socket.read(&mut buffer)? > 0 {}
        Ok(())
    });
    let report = run(&Config {
        timeout: Some(Duration::from_millis(150)),
        protocol: echo_of(1_000),
        stop: StopRule::After(Duration::from_millis(1_500)),
        ..mixed(&server, &[Profile::SlowWrite])
    })
    .report;
    assert!(report.requests.timeouts >= 2);
    assert!(report.latency.rtt.is_none());
}

#[test]
fn a_number_of_requests_is_reached_although_some_never_send() {
    let server = Server::echo();
    let report = run(&Config {
        profiles: shares(&[Profile::Idle, Profile::Echo]),
        stop: StopRule::Either(PATIENCE, 100.try_into().unwrap()),
        ..server.config(8, 100)
    })
    .report;
    assert_eq!(report.requests.answered, 100);
    assert_eq!(report.clients.served, 4);
}
