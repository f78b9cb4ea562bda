//! The machine under an invented time, with no socket.

use std::num::{NonZeroU32, NonZeroU64};
use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::behaviour::{Pause, Reuse};
use crate::protocol::{Ending, Exchange, Protocol, Sizes};
use crate::quota::Tickets;
use crate::report::Requests;
use crate::schedule::{Arrivals, Rate};
use crate::tally::Loop;

mod connections;
mod delays;
mod paces;
mod service;
mod writes;

const MS: Duration = Duration::from_millis(1);
const S: Duration = Duration::from_secs(1);

/// One client with everything it needs, and the bytes that an honest server has yet to echo.
struct Rig {
    client: Client,
    plan: Plan,
    wire: Wire,
    quota: Quota,
    tally: Tally,
    flights: Vec<Flight>,
    halt: Halt,
    now: Moment,
    echo: Vec<u8>,
}

impl Rig {
    fn new(bytes: u32, behaviour: Behaviour) -> Self {
        let mut tally = Tally::new(Loop::Closed, 0);
        tally.open(Moment::START, 0);
        let size = Sizes::Fixed(NonZeroU32::new(bytes).unwrap());
        Self {
            client: Client::new(0, 0, Place::NONE),
            plan: Plan {
                behaviours: vec![behaviour],
                profiles: 0,
                schedule: None,
                seed: 1,
                timeout: None,
                connect_timeout: None,
                verify: true,
                addresses: 1,
                give_up_after: None,
            },
            wire: Protocol::Echo(size).wire(1),
            quota: Quota::unlimited(),
            tally,
            flights: vec![Flight::NONE; usize::from(behaviour.pipeline.get())],
            halt: Halt::default(),
            now: Moment::START,
            echo: Vec::new(),
        }
    }

    /// The same in an open loop of `rate` requests per second.
    fn open(rate: f64, behaviour: Behaviour) -> Self {
        let mut rig = Self::new(64, behaviour);
        let spans = (Duration::ZERO, S);
        let schedule = Schedule::new(Rate::Constant(rate), Arrivals::Constant, spans, (1, 1));
        rig.plan.schedule = Some(schedule.unwrap());
        rig.tally = Tally::new(Loop::Open, 0);
        rig.tally.open(Moment::START, 0);
        rig
    }

    fn step(&mut self, event: Event<'_>) -> Action {
        self.act(|client, cx| client.step(event, cx))
    }

    fn act<R>(&mut self, act: impl FnOnce(&mut Client, &mut Context<'_>) -> R) -> R {
        let mut cx = Context {
            now: self.now,
            plan: &self.plan,
            wire: &self.wire,
            quota: &self.quota,
            halt: self.halt,
            tally: &mut self.tally,
            flights: &mut self.flights,
            parser: None,
        };
        act(&mut self.client, &mut cx)
    }

    fn wants_write(&self) -> bool {
        self.client.wants_write()
    }

    fn later(&mut self, wait: Duration) -> &mut Self {
        self.now = self.now.after(wait);
        self
    }

    /// Lets the socket take up to `most` bytes of one request.
    fn write(&mut self, most: usize) -> Action {
        let piece = self.client.next_piece(&self.plan);
        let count = piece.len().min(most);
        let request = self.client.request();
        let bytes = self
            .wire
            .lend(request, piece.start, |rest| rest[..count].to_vec());
        self.echo.extend_from_slice(&bytes);
        self.step(Event::Wrote(count))
    }

    /// Writes as long as the client wants to, and tells what it wants then.
    fn write_all(&mut self) -> Action {
        let mut action = Action::Write;
        while action == Action::Write {
            action = self.write(usize::MAX);
        }
        action
    }

    /// Lets up to `most` echoed bytes arrive.
    fn read(&mut self, most: usize) -> Action {
        let bytes: Vec<u8> = self.echo.drain(..most.min(self.echo.len())).collect();
        self.step(Event::Read(&bytes))
    }

    fn connected(bytes: u32, behaviour: Behaviour) -> Self {
        let mut rig = Self::new(bytes, behaviour);
        assert_eq!(rig.step(Event::Start), Action::Connect);
        assert_eq!(rig.step(Event::Established), Action::Write);
        rig
    }

    /// A whole request and its answer, `rtt` later.
    fn exchange(&mut self, rtt: Duration) -> Action {
        self.echo.clear();
        assert_eq!(self.write(usize::MAX), Action::Nothing);
        self.later(rtt).read(usize::MAX)
    }

    fn deadline(&self) -> Option<Duration> {
        self.client.deadline(&self.plan, &self.flights).elapsed()
    }

    fn books(&self) -> Requests {
        Requests {
            pending: u64::from(self.client.in_flight()),
            ..self.tally.requests
        }
    }
}

#[test]
fn the_three_waits_are_measured_apart() {
    let mut rig = Rig::new(64, Behaviour::default());
    rig.step(Event::Start);
    rig.later(2 * MS).step(Event::Established);
    rig.write(usize::MAX);
    rig.later(3 * MS).read(1);
    rig.later(4 * MS).read(usize::MAX);
    let longest = |samples: &crate::samples::Samples| samples.max_nanos().unwrap();
    assert_eq!(longest(&rig.tally.connect), 2_000_000);
    assert_eq!(longest(&rig.tally.admission), 3_000_000);
    assert_eq!(rig.tally.longest_rtt_nanos(), Some(7_000_000));
    let record = rig.client.record();
    assert_eq!(record.connected_at, Some(2 * MS));
    assert_eq!(record.first_byte_at, Some(5 * MS));
    assert_eq!((record.ended_at, record.answered), (None, 1));
}

#[test]
fn a_closed_loop_sends_as_soon_as_it_has_the_answer() {
    let mut rig = Rig::connected(64, Behaviour::default());
    for _ in 0..10 {
        assert_eq!(rig.exchange(MS), Action::Write);
    }
    assert_eq!((rig.books().sent, rig.books().answered), (11, 10));
    assert_eq!(rig.tally.admission.count(), 1);
    assert_eq!(rig.deadline(), None);
}

#[test]
fn thinking_puts_the_next_request_off() {
    let think = 5 * MS;
    let mut rig = Rig::connected(
        64,
        Behaviour {
            think: Pause::Constant(think),
            ..Behaviour::default()
        },
    );
    assert_eq!(rig.exchange(MS), Action::Nothing);
    assert_eq!(rig.deadline(), Some(6 * MS));
    assert_eq!(rig.later(4 * MS).step(Event::Alarm), Action::Nothing);
    assert_eq!(rig.later(MS).step(Event::Alarm), Action::Write);
    assert_eq!(rig.tally.paused_nanos, 5_000_000);
}

#[test]
fn a_hold_follows_the_first_answer_only() {
    let hold = S;
    let mut rig = Rig::connected(
        64,
        Behaviour {
            hold,
            ..Behaviour::default()
        },
    );
    assert_eq!(rig.exchange(MS), Action::Nothing);
    assert_eq!(rig.later(S).step(Event::Alarm), Action::Write);
    assert_eq!(rig.exchange(MS), Action::Write);
}

#[test]
fn a_held_connection_of_one_request_closes_after_the_hold() {
    let mut rig = Rig::connected(
        64,
        Behaviour {
            hold: S,
            requests_per_conn: NonZeroU32::new(1).map(Reuse::of),
            once: true,
            ..Behaviour::default()
        },
    );
    assert_eq!(rig.exchange(MS), Action::Nothing);
    assert_eq!(rig.later(S).step(Event::Alarm), Action::Finish);
    assert_eq!(rig.client.record().ended_at, Some(S + MS));
    assert!(!rig.client.is_lost());
    assert_eq!(rig.later(S).step(Event::Alarm), Action::Nothing);
}

#[test]
fn a_planned_end_connects_again_at_once() {
    let mut rig = Rig::connected(
        64,
        Behaviour {
            requests_per_conn: NonZeroU32::new(2).map(Reuse::of),
            think: Pause::Constant(MS),
            ..Behaviour::default()
        },
    );
    rig.exchange(MS);
    assert_eq!(rig.later(MS).step(Event::Alarm), Action::Write);
    assert_eq!(rig.exchange(MS), Action::Close);
    assert_eq!(rig.step(Event::Alarm), Action::Connect);
    assert_eq!(rig.step(Event::Established), Action::Write);
    assert!(!rig.client.is_lost() && rig.tally.failures.seen().count() == 0);
    assert_eq!((rig.tally.connected, rig.tally.connect.count()), (1, 2));
    assert_eq!(rig.tally.admission.count(), 1);
}

#[test]
fn a_request_that_takes_too_long_is_given_up_once() {
    let mut rig = Rig::connected(64, Behaviour::default());
    rig.plan.timeout = Some(10 * MS);
    assert_eq!(rig.deadline(), Some(10 * MS));
    rig.write(usize::MAX);
    assert_eq!(rig.later(9 * MS).step(Event::Alarm), Action::Nothing);
    assert_eq!(rig.later(MS).step(Event::Alarm), Action::Close);
    assert_eq!((rig.books().timeouts, rig.books().errors), (1, 0));
    assert_eq!(rig.tally.timed_out.above_nanos, Some(10_000_000));
    assert_eq!(rig.tally.rtt.count(), 0);
    assert_eq!(rig.step(Event::Alarm), Action::Connect);
    assert_eq!(rig.books().timeouts, 1);
}

#[test]
fn wrong_bytes_end_the_connection_and_are_counted() {
    let mut rig = Rig::connected(64, Behaviour::default());
    rig.write(usize::MAX);
    rig.echo[63] ^= 1;
    assert_eq!(rig.read(usize::MAX), Action::Close);
    assert_eq!((rig.tally.mismatches, rig.books().errors), (1, 1));
    assert!(rig.client.was_served());
}

#[test]
fn more_bytes_than_were_sent_are_wrong_bytes() {
    for verify in [true, false] {
        let mut rig = Rig::connected(64, Behaviour::default());
        rig.plan.verify = verify;
        rig.write(10);
        rig.echo.push(0);
        assert_eq!(rig.read(usize::MAX), Action::Close);
        assert_eq!((rig.tally.mismatches, rig.books().errors), (1, 1));
    }
}

#[test]
fn bytes_that_nobody_asked_for_are_wrong_bytes_but_no_request() {
    let behaviour = Behaviour {
        think: Pause::Constant(S),
        ..Behaviour::default()
    };
    let mut rig = Rig::connected(64, behaviour);
    rig.exchange(MS);
    assert_eq!(rig.step(Event::Read(b"x")), Action::Close);
    assert_eq!((rig.tally.mismatches, rig.books().errors), (1, 0));
}

#[test]
fn without_verification_only_the_length_counts() {
    let mut rig = Rig::connected(64, Behaviour::default());
    rig.plan.verify = false;
    rig.write(usize::MAX);
    rig.echo.fill(0);
    assert_eq!(rig.read(usize::MAX), Action::Write);
    assert_eq!(rig.tally.mismatches, 0);
}

#[test]
fn a_client_without_a_ticket_waits_for_one() {
    let mut rig = Rig::new(64, Behaviour::default());
    let tickets = Tickets::reserving(NonZeroU64::new(2).unwrap(), 2, NonZeroU32::MIN);
    rig.quota = Quota::new(Some(Arc::new(tickets)));
    rig.quota.open(0);
    rig.step(Event::Start);
    assert_eq!(rig.step(Event::Established), Action::Write);
    assert_eq!(rig.exchange(MS), Action::Park);
    assert_eq!(rig.later(MS).step(Event::Ask), Action::Park);
    rig.quota.reissue();
    assert_eq!(rig.later(MS).step(Event::Ask), Action::Write);
    assert_eq!(rig.tally.paused_nanos, 2_000_000);
    assert_eq!(rig.exchange(MS), Action::Park);
    assert_eq!((rig.books().sent, rig.books().answered), (2, 2));
    assert!(rig.quota.is_over());
}

#[test]
fn an_answer_after_the_last_that_counts_is_a_late_one() {
    let mut rig = Rig::new(64, Behaviour::default());
    let tickets = Tickets::reserving(NonZeroU64::new(1).unwrap(), 1, NonZeroU32::MIN);
    rig.quota = Quota::new(Some(Arc::new(tickets)));
    rig.quota.open(0);
    rig.step(Event::Start);
    rig.step(Event::Established);
    assert!(rig.quota.counts_end(rig.now), "another client was faster");
    assert_eq!(rig.exchange(MS), Action::Nothing);
    assert!(!rig.client.awaits_answer(), "it must not be counted again");
    let books = rig.books();
    assert_eq!(
        (books.answered, books.late_answers, books.pending),
        (0, 1, 1)
    );
    assert!(books.balance());
}

#[test]
fn a_request_that_ends_too_late_wants_no_alarm_any_more() {
    let mut rig = Rig::new(64, Behaviour::default());
    let tickets = Tickets::reserving(NonZeroU64::new(1).unwrap(), 1, NonZeroU32::MIN);
    rig.quota = Quota::new(Some(Arc::new(tickets)));
    rig.quota.open(0);
    rig.plan.timeout = Some(MS);
    rig.step(Event::Start);
    rig.step(Event::Established);
    assert!(rig.quota.counts_end(rig.now), "another client was faster");
    assert_eq!(rig.later(MS).step(Event::Alarm), Action::Close);
    assert_eq!((rig.deadline(), rig.books().pending), (None, 1));
}

#[test]
fn an_answer_to_a_request_of_the_warm_up_counts_with_its_whole_length() {
    let mut rig = Rig::new(64, Behaviour::default());
    rig.tally = Tally::new(Loop::Closed, 0);
    rig.step(Event::Start);
    rig.step(Event::Established);
    rig.exchange(MS);
    rig.write(usize::MAX);
    rig.later(MS).client.open_window();
    rig.tally.open(rig.now, 1);
    rig.later(MS).read(usize::MAX);
    let books = rig.books();
    assert_eq!((books.carried_in, books.sent, books.answered), (1, 1, 1));
    assert_eq!(rig.tally.longest_rtt_nanos(), Some(2_000_000));
    assert_eq!(rig.tally.before_window_nanos, 1_000_000);
    assert_eq!(rig.client.record().answered, 1);
}

#[test]
fn of_a_pause_only_the_part_in_the_window_counts() {
    let behaviour = Behaviour {
        think: Pause::Constant(10 * MS),
        ..Behaviour::default()
    };
    let mut rig = Rig::connected(64, behaviour);
    rig.tally = Tally::new(Loop::Closed, 0);
    rig.exchange(MS);
    rig.later(6 * MS);
    rig.tally.open(rig.now, 0);
    assert_eq!(rig.later(4 * MS).step(Event::Alarm), Action::Write);
    assert_eq!(rig.tally.paused_nanos, 4_000_000);
}

#[test]
fn answers_that_come_after_the_freeze_are_told_one_by_one() {
    let behaviour = Behaviour {
        pipeline: 3.try_into().unwrap(),
        ..Behaviour::default()
    };
    let mut rig = Rig::connected(64, behaviour);
    rig.write_all();
    let late = |rig: &mut Rig, bytes: &[u8]| rig.client.take_late(bytes, &rig.wire, None);
    let answers = rig.echo.clone();
    assert_eq!(late(&mut rig, &answers[..60]), 0);
    assert_eq!(late(&mut rig, &answers[60..130]), 2);
    assert_eq!(rig.client.in_flight(), 1);
    // What is left and more: one answer, and nobody waits any more.
    assert_eq!(late(&mut rig, &answers[64..]), 1);
    assert_eq!(late(&mut rig, &answers), 0);
    assert_eq!(rig.client.in_flight(), 0);
}

proptest! {
    // Each case makes its histograms anew.
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn any_cut_of_the_stream_gives_the_same_answers(
        bytes in 1_u32..200, cuts in prop::collection::vec((0_u8..2, 1_usize..80), 1..400)
    ) {
        let mut rig = Rig::connected(bytes, Behaviour::default());
        let mut echoed = 0;
        for (way, most) in cuts {
            if way == 0 && rig.wants_write() {
                rig.write(most);
            } else if !rig.echo.is_empty() {
                echoed += most.min(rig.echo.len()) as u64;
                prop_assert_ne!(rig.read(most), Action::Close);
            }
        }
        prop_assert_eq!(rig.tally.mismatches, 0);
        prop_assert_eq!(rig.books().answered, echoed / u64::from(bytes));
        prop_assert_eq!(rig.tally.bytes.received, echoed);
        prop_assert!(rig.books().balance());
    }

    #[test]
    fn the_books_balance_after_any_events(
        think in 0_u64..3, hold in 0_u64..3, per_conn in 0_u32..4, once: bool, limit in 0_u64..40,
        timeout in 0_u64..4, opens_at in 0_usize..60,
        events in prop::collection::vec((0_u8..9, 1_usize..100), 0..300),
    ) {
        let behaviour = Behaviour {
            think: Pause::Constant(Duration::from_millis(think)),
            hold: Duration::from_millis(hold),
            requests_per_conn: NonZeroU32::new(per_conn).map(Reuse::of),
            once,
            ..Behaviour::default()
        };
        let mut rig = Rig::new(64, behaviour);
        rig.tally = Tally::new(Loop::Closed, 0);
        rig.plan.timeout = (timeout > 0).then(|| Duration::from_millis(timeout));
        let tickets = NonZeroU64::new(limit).map(|n| Arc::new(Tickets::reserving(n, 0, NonZeroU32::MIN)));
        rig.quota = Quota::new(tickets);
        for (at, (event, size)) in events.into_iter().enumerate() {
            if at == opens_at {
                let carried_in = u64::from(rig.client.in_flight());
                rig.client.open_window();
                rig.tally.open(rig.now, carried_in);
                rig.quota.open(carried_in);
            }
            match event {
                0 => { rig.step(Event::Start); }
                1 => { rig.echo.clear(); rig.step(Event::Established); }
                2 => { rig.step(Event::ConnectFailed(Failure::Refused)); }
                3 if rig.wants_write() => { rig.write(size); }
                4 | 5 if !rig.echo.is_empty() => { rig.read(size); }
                6 => { rig.later(MS).step(Event::Alarm); }
                7 if size < 20 => { rig.step(Event::Ended(Failure::Reset)); }
                8 if size < 20 => { rig.step(Event::Ask); }
                _ => {}
            }
            if rig.tally.opened().is_some() {
                prop_assert!(rig.books().balance(), "{:?}", rig.books());
                prop_assert!(rig.books().answered >= rig.client.record().answered);
            } else {
                prop_assert_eq!(rig.tally.requests, Requests::default());
            }
        }
    }
}
