//! Each check on facts that were made up for it: what is a fault of the run, what is worth knowing,
//! and what is only the server's.

mod ceiling;
mod law;

use super::*;
use crate::failure::Failure;
use crate::kernel::ListenTrouble;
use crate::report::{Schedule, synthetic};

const SECOND_NANOS: u64 = 1_000_000_000;

/// A run that nothing is wrong with: four clients, four answers.
struct Case {
    config: Config,
    collected: Collected,
    report: Report,
}

impl Case {
    fn new() -> Self {
        let config = Config::new(cli::Addr::from(std::net::SocketAddr::from((
            [127, 0, 0, 1],
            7,
        ))));
        let report = synthetic::closed(4, &[vec![1_000; 4]]);
        let mut collected = Collected::new(&config);
        (0..4).for_each(|_| collected.tally.rtt.record(1_000));
        Self {
            config,
            collected,
            report,
        }
    }

    /// The same in an open loop: of 1,000 requests due, `late` and `unsent` by its own doing.
    fn open(late: u64, unsent: u64) -> Self {
        let mut case = Self::new();
        case.report.latency.lag = case.report.latency.rtt.clone();
        case.report.schedule = Some(Schedule {
            due: 1_000,
            offered_per_s: Some(1_000.0),
            rate_ratio: Some(1.0),
            own_late: late,
            own_unsent: unsent,
        });
        case
    }

    fn find(&self, name: &str) -> Finding {
        let audit = audit(&self.config, &self.collected, &self.report);
        let check = audit.checks.into_iter().find(|check| check.name == name);
        check.map(|check| (check.verdict, check.detail)).unwrap()
    }

    fn verdict(&self, name: &str) -> Verdict {
        self.find(name).0
    }
}

#[test]
fn books_that_do_not_balance_are_found_by_one() {
    let change: [fn(&mut Case); 4] = [
        |case| case.report.requests.sent += 1,
        |case| case.report.requests.timeouts += 1,
        |case| case.report.latency.rtt.as_mut().unwrap().count += 1,
        |case| case.report.intervals[0].answered += 1,
    ];
    assert_eq!(Case::new().verdict("books-balance"), Verdict::Pass);
    for (place, change) in change.into_iter().enumerate() {
        let mut case = Case::new();
        change(&mut case);
        assert_eq!(case.verdict("books-balance"), Verdict::Fail, "{place}");
    }
}

#[test]
fn a_generator_at_its_end_is_worth_knowing() {
    for (load, expected) in [
        (None, Verdict::Pass),
        (Some(0.5), Verdict::Pass),
        (Some(0.95), Verdict::Warn),
    ] {
        let mut case = Case::new();
        case.collected.load = load;
        assert_eq!(case.verdict("generator-load"), expected, "{load:?}");
    }
}

#[test]
fn a_schedule_that_the_generator_missed_makes_the_run_invalid() {
    for (late, unsent, expected) in [
        (10, 0, Verdict::Pass),
        (11, 0, Verdict::Warn),
        (25, 25, Verdict::Warn),
        (26, 25, Verdict::Fail),
        (0, 51, Verdict::Fail),
    ] {
        let case = Case::open(late, unsent);
        assert_eq!(case.verdict("schedule-kept"), expected, "{late} {unsent}");
    }
    // What the server held up is a finding and no fault of the run.
    let mut case = Case::open(0, 0);
    case.report.requests.late = 900;
    case.report.requests.unsent = 900;
    assert_eq!(case.verdict("schedule-kept"), Verdict::Pass);
    assert_eq!(Case::new().verdict("schedule-kept"), Verdict::Pass);
}

#[test]
fn a_rate_below_99_percent_is_worth_knowing() {
    for (ratio, expected) in [
        (1.0, Verdict::Pass),
        (0.99, Verdict::Pass),
        (0.98, Verdict::Warn),
    ] {
        let mut case = Case::open(0, 0);
        case.report.schedule.as_mut().unwrap().rate_ratio = Some(ratio);
        assert_eq!(case.verdict("rate-reached"), expected, "{ratio}");
    }
}

#[test]
fn repeated_first_packets_are_seen_in_their_clusters() {
    for (nanos, expected) in [
        (SECOND_NANOS / 2, None),
        (SECOND_NANOS + SECOND_NANOS / 50, Some("1 at 1 s")),
        (3 * SECOND_NANOS + SECOND_NANOS / 11, Some("1 at 3 s")),
        (7 * SECOND_NANOS + SECOND_NANOS / 5, Some("1 at 7 s")),
        (5 * SECOND_NANOS, None),
    ] {
        let mut case = Case::new();
        case.collected.tally.connect.record(nanos);
        let (verdict, detail) = case.find("syn-retransmits");
        assert_eq!(verdict == Verdict::Warn, expected.is_some(), "{nanos}");
        assert!(
            detail.contains(expected.unwrap_or("no connection")),
            "{detail}"
        );
    }
}

#[test]
fn a_full_queue_of_a_listener_is_told() {
    let mut case = Case::new();
    case.collected.trouble = Some(ListenTrouble {
        overflows: 3,
        drops: 4,
    });
    let (verdict, detail) = case.find("listen-queue");
    assert_eq!(verdict, Verdict::Warn);
    assert!(detail.contains("3 overflows and 4 drops"), "{detail}");
}

#[test]
fn a_limit_of_this_machine_is_not_blamed_on_the_server() {
    let mut case = Case::new();
    case.collected.tally.failures.add(Failure::Reset, (0, 1));
    assert_eq!(case.verdict("client-limits"), Verdict::Pass);
    case.collected
        .tally
        .failures
        .add(Failure::NoLocalPort, (0, 1));
    let (verdict, detail) = case.find("client-limits");
    assert_eq!(verdict, Verdict::Warn);
    assert!(
        detail.starts_with("this machine, not the server: 1 ×"),
        "{detail}"
    );
}

#[test]
fn a_wait_beyond_the_histogram_is_told() {
    let mut case = Case::new();
    case.collected.tally.admission.record(4_000 * SECOND_NANOS);
    assert_eq!(case.verdict("histogram-range"), Verdict::Warn);
}

#[test]
fn starvation_is_a_finding_and_lost_connections_are_not() {
    let mut case = Case::new();
    case.report.clients.starved = 3;
    assert_eq!(case.verdict("starvation"), Verdict::Warn);
    assert_eq!(case.verdict("all-connected"), Verdict::Pass);
    case.report.clients.connected = 3;
    assert_eq!(case.verdict("all-connected"), Verdict::Fail);
}

#[test]
fn a_server_that_everybody_lost_makes_the_run_invalid() {
    let mut case = Case::new();
    case.collected.census.stranded = 3;
    assert_eq!(case.verdict("server-lost"), Verdict::Pass);
    case.collected.census.stranded = 4;
    assert_eq!(case.verdict("server-lost"), Verdict::Fail);
}
