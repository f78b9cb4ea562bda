//! Open loops, pipelines, slow clients and pauses by hand, under an invented time.

use super::*;
use crate::behaviour::{Profile, SLOW_BYTES_PER_S};

fn pipeline(depth: u16) -> Behaviour {
    Behaviour {
        pipeline: depth.try_into().unwrap(),
        ..Behaviour::default()
    }
}

fn profile(profile: Profile) -> Behaviour {
    profile.change(Behaviour::default(), SLOW_BYTES_PER_S)
}

/// Connects at the start of time.
fn connected(mut rig: Rig, expected: Action) -> Rig {
    assert_eq!(rig.step(Event::Start), Action::Connect);
    assert_eq!(rig.step(Event::Established), expected);
    rig
}

fn longest(samples: &crate::samples::Samples) -> u64 {
    samples.max_nanos().unwrap()
}

#[test]
fn an_open_loop_sends_when_it_is_due_and_not_when_it_could() {
    let mut rig = connected(Rig::open(100.0, Behaviour::default()), Action::Write);
    assert_eq!(rig.exchange(MS), Action::Nothing);
    assert_eq!(rig.deadline(), Some(10 * MS));
    assert_eq!(rig.later(8 * MS).step(Event::Alarm), Action::Nothing);
    assert_eq!(rig.later(MS).step(Event::Alarm), Action::Write);
    assert_eq!(rig.exchange(MS), Action::Nothing);
    let kept = rig.tally.kept.as_ref().unwrap();
    assert_eq!(
        (rig.books().sent, rig.books().late, kept.own_late),
        (2, 0, 0)
    );
}

#[test]
fn what_a_stall_holds_up_counts_from_the_due_time() {
    let mut rig = connected(Rig::open(100.0, Behaviour::default()), Action::Write);
    // Two more become due while the first answer takes 25 ms; both go out at once afterwards.
    assert_eq!(rig.exchange(25 * MS), Action::Write);
    assert_eq!(rig.exchange(MS), Action::Write);
    assert_eq!(rig.exchange(MS), Action::Nothing);
    rig.tally.end_slice(0);
    let kept = rig.tally.kept.as_ref().unwrap();
    let (rtt, response) = (&rig.tally.rtt, &kept.response);
    let ms = |samples: &crate::samples::Samples| {
        let values = samples.sparse().into_iter().map(|(nanos, _)| nanos);
        values
            .map(|nanos| (nanos + 500_000) / 1_000_000)
            .collect::<Vec<_>>()
    };
    assert_eq!((ms(rtt), ms(response)), (vec![1, 25], vec![7, 16, 25]));
    // They were late, and that was not the generator's fault: their connection was busy.
    assert_eq!(
        (rig.books().late, kept.own_late, kept.lag.count()),
        (2, 0, 0)
    );
}

#[test]
fn what_was_due_in_the_warm_up_is_not_due_in_the_window() {
    let mut rig = Rig::open(100.0, Behaviour::default());
    rig.tally = Tally::new(Loop::Open, 0);
    let mut rig = connected(rig, Action::Write);
    rig.later(15 * MS)
        .tally
        .open(Moment::START.after(15 * MS), 1);
    // Those of the first 10 and 20 ms go out behind the answer that was awaited since the start.
    assert_eq!(rig.exchange(10 * MS), Action::Write);
    assert_eq!(rig.exchange(MS), Action::Write);
    assert_eq!(rig.tally.kept.as_ref().unwrap().due, 1);
    assert_eq!((rig.books().sent, rig.books().late), (2, 2));
}

#[test]
fn a_generator_that_oversleeps_is_told_on() {
    let mut rig = connected(Rig::open(100.0, Behaviour::default()), Action::Write);
    rig.exchange(MS);
    assert_eq!(rig.later(12 * MS).step(Event::Alarm), Action::Write);
    let kept = rig.tally.kept.as_ref().unwrap();
    assert_eq!((kept.own_late, longest(&kept.lag)), (1, 3_000_000));
    assert_eq!(rig.books().late, 1);
}

#[test]
fn a_pipeline_is_kept_full() {
    let mut rig = connected(Rig::new(64, pipeline(3)), Action::Write);
    assert_eq!(rig.write_all(), Action::Nothing);
    assert_eq!((rig.books().sent, rig.books().pending), (3, 3));
    // One answer and a half: one more request goes out.
    assert_eq!(rig.later(MS).read(96), Action::Write);
    assert_eq!(rig.write_all(), Action::Nothing);
    assert_eq!((rig.books().sent, rig.books().answered), (4, 1));
    assert_eq!(rig.later(MS).read(usize::MAX), Action::Write);
    assert_eq!(rig.books().answered, 4);
    assert!(rig.books().balance() && rig.tally.mismatches == 0);
}

#[test]
fn each_answer_of_a_pipeline_counts_from_its_own_send() {
    let mut rig = connected(Rig::new(64, pipeline(2)), Action::Write);
    rig.plan.timeout = Some(S);
    rig.write_all();
    // The third goes out 2 ms after the second, and both are answered 3 ms later.
    assert_eq!(rig.later(2 * MS).read(64), Action::Write);
    rig.write_all();
    assert_eq!(rig.deadline(), Some(S), "the oldest began first");
    rig.later(3 * MS).read(usize::MAX);
    assert_eq!(rig.deadline(), Some(S + 5 * MS));
    rig.tally.end_slice(0);
    let waits = rig.tally.rtt.sparse().into_iter();
    let waits: Vec<_> = waits.map(|(n, count)| (n / 1_000_000, count)).collect();
    assert_eq!(waits, [(2, 1), (3, 1), (5, 1)]);
}

#[test]
fn a_pipeline_is_filled_after_the_hold_that_follows_the_first_answer() {
    let behaviour = Behaviour {
        hold: S,
        ..pipeline(3)
    };
    let mut rig = connected(Rig::new(64, behaviour), Action::Write);
    assert_eq!(rig.write_all(), Action::Nothing);
    assert_eq!(rig.books().sent, 1, "what follows would break the silence");
    assert_eq!(rig.read(usize::MAX), Action::Nothing);
    assert_eq!(rig.later(S).step(Event::Alarm), Action::Write);
    assert_eq!(rig.write_all(), Action::Nothing);
    assert_eq!(rig.books().pending, 3);
}

#[test]
fn a_broken_pipeline_loses_all_that_is_in_flight() {
    let mut rig = connected(Rig::new(64, pipeline(4)), Action::Write);
    rig.write_all();
    assert_eq!(rig.step(Event::Ended(Failure::Reset)), Action::Close);
    assert_eq!((rig.books().errors, rig.books().pending), (4, 0));
    let seen: Vec<_> = rig.tally.failures.seen().collect();
    assert_eq!(seen, [(Failure::Reset, 1), (Failure::Abandoned, 3)]);
}

#[test]
fn a_pipeline_with_pauses_is_a_burst() {
    let behaviour = Behaviour {
        think: Pause::Constant(S),
        ..pipeline(3)
    };
    let mut rig = connected(Rig::new(64, behaviour), Action::Write);
    rig.write_all();
    assert_eq!(rig.read(64), Action::Nothing);
    assert_eq!(rig.read(usize::MAX), Action::Nothing);
    assert_eq!((rig.books().sent, rig.books().answered), (3, 3));
    assert_eq!(rig.deadline(), Some(S));
    assert_eq!(rig.later(S).step(Event::Alarm), Action::Write);
    rig.write_all();
    assert_eq!(rig.books().sent, 6);
}

#[test]
fn a_connection_ends_after_as_many_answers_as_it_is_meant_for() {
    let behaviour = Behaviour {
        requests_per_conn: NonZeroU32::new(3).map(Reuse::of),
        ..pipeline(2)
    };
    let mut rig = connected(Rig::new(64, behaviour), Action::Write);
    rig.write_all();
    assert_eq!(rig.read(64), Action::Write);
    rig.write_all();
    assert_eq!(rig.books().sent, 3);
    assert_eq!(rig.read(usize::MAX), Action::Close);
    assert!(!rig.client.is_lost() && rig.books().answered == 3);
}

#[test]
fn a_silent_client_only_stays_connected() {
    let mut rig = connected(Rig::new(64, profile(Profile::Idle)), Action::Nothing);
    assert_eq!((rig.deadline(), rig.books().sent), (None, 0));
    assert!(!rig.client.is_starved(&rig.plan));
    assert_eq!(rig.step(Event::Ended(Failure::Closed)), Action::Close);
    assert_eq!(
        rig.tally.failures.seen().next(),
        Some((Failure::ClosedIdle, 1))
    );
}

#[test]
fn a_half_open_client_never_says_the_rest() {
    let mut rig = connected(Rig::new(64, profile(Profile::HalfOpen)), Action::Write);
    assert_eq!(rig.write_all(), Action::Nothing);
    assert_eq!((rig.echo.len(), rig.deadline()), (32, None));
    assert_eq!(rig.read(usize::MAX), Action::Nothing);
    assert_eq!((rig.books().answered, rig.books().pending), (0, 1));
}

#[test]
fn a_slow_writer_sends_a_byte_at_a_time() {
    let mut rig = connected(Rig::new(4, profile(Profile::SlowWrite)), Action::Write);
    for sent in 1..4 {
        assert_eq!(rig.write(usize::MAX), Action::Nothing);
        assert_eq!(rig.echo.len(), sent);
        assert!(!rig.client.is_starved(&rig.plan));
        assert_eq!(rig.later(100 * MS).step(Event::Alarm), Action::Write);
    }
    assert_eq!(rig.write(usize::MAX), Action::Nothing);
    assert!(rig.client.is_starved(&rig.plan));
    assert_eq!(rig.read(usize::MAX), Action::Write);
    rig.tally.end_slice(0);
    // Its round trips say nothing about the server.
    assert_eq!((rig.books().answered, rig.tally.rtt.count()), (1, 0));
}

#[test]
fn a_slow_reader_takes_a_byte_at_a_time() {
    let mut rig = connected(Rig::new(4, profile(Profile::SlowRead)), Action::Write);
    assert_eq!(rig.client.bite(&rig.plan), Some(1));
    rig.write_all();
    assert_eq!(rig.read(1), Action::Nothing);
    assert!(rig.client.has_put_off_reading(&rig.plan));
    assert_eq!(rig.later(100 * MS).step(Event::Alarm), Action::Read);
    assert!(!rig.client.has_put_off_reading(&rig.plan));
}

#[test]
fn a_connection_that_takes_too_long_is_given_up() {
    let mut rig = Rig::new(64, Behaviour::default());
    rig.plan.connect_timeout = Some(S);
    rig.step(Event::Start);
    assert_eq!(rig.deadline(), Some(S));
    assert_eq!(rig.later(S).step(Event::Alarm), Action::Close);
    assert_eq!(
        rig.tally.failures.seen().next(),
        Some((Failure::ConnectTimeout, 1))
    );
    assert_eq!(rig.deadline(), Some(S + 10 * MS));
}

#[test]
fn nothing_is_sent_while_somebody_holds_it_up() {
    for mut rig in [
        Rig::new(64, pipeline(2)),
        Rig::open(1_000.0, Behaviour::default()),
    ] {
        rig.halt.paused = true;
        rig = connected(rig, Action::Park);
        assert_eq!(rig.later(S).step(Event::Ask), Action::Park);
        rig.halt = Halt {
            paused: false,
            shift: S,
        };
        assert_eq!(rig.step(Event::Ask), Action::Write);
        // The schedule is put off by the pause, so that nothing is late.
        assert_eq!(rig.books().late, 0);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn any_cut_of_a_pipelined_stream_gives_the_same_answers(
        depth in 1_u16..8, most in 1_u32..200,
        cuts in prop::collection::vec((0_u8..2, 1_usize..400), 1..300)
    ) {
        let mut rig = Rig::new(64, pipeline(depth));
        let size = |bytes: u32| NonZeroU32::new(bytes).unwrap();
        rig.wire = Protocol::Echo(Sizes::Range(size(1), size(most))).wire(1);
        rig.step(Event::Start);
        rig.step(Event::Established);
        let mut echoed = 0;
        for (way, most) in cuts {
            if way == 0 && rig.wants_write() {
                rig.write(most);
            } else if !rig.echo.is_empty() {
                echoed += most.min(rig.echo.len()) as u64;
                prop_assert_ne!(rig.read(most), Action::Close);
            }
            prop_assert!(rig.books().balance());
            prop_assert!(rig.books().pending <= u64::from(depth));
        }
        prop_assert_eq!(rig.tally.mismatches, 0);
        prop_assert_eq!(rig.tally.bytes.received, echoed);
        let lengths = (1..).map(|sequence| rig.wire.request_bytes((0, sequence)) as u64);
        let whole = lengths.scan(0, |sum, length| { *sum += length; Some(*sum) });
        let expected = whole.take_while(|end| *end <= echoed).count() as u64;
        prop_assert_eq!(rig.books().answered, expected);
    }
}
