//! The machine against an invented peer: every cut of the stream, every order of events.

use std::collections::VecDeque;
use std::time::Duration;

use proptest::prelude::*;

use super::*;

/// A driver without a socket: reads from a script, writes to memory.
struct Harness {
    machine: Machine,
    work: Work,
    buffer: Vec<u8>,
    echoed: Vec<u8>,
    paid: usize,
    finished: bool,
}

impl Harness {
    fn new(work: Work) -> Self {
        Self {
            machine: Machine::new(None),
            work,
            buffer: vec![0; 64],
            echoed: Vec::new(),
            paid: 0,
            finished: false,
        }
    }

    /// Runs until the machine wants to read; `write_bytes` is what a write takes at the most.
    fn settle(&mut self, write_bytes: usize) -> Next {
        loop {
            match self.machine.next(self.work, &self.buffer) {
                Next::Pay(_) => {
                    self.paid += 1;
                    self.machine.paid();
                }
                Next::Write(range) => {
                    let count = range.len().min(write_bytes);
                    self.echoed
                        .extend_from_slice(&self.buffer[range.start..range.start + count]);
                    self.machine.wrote(count);
                }
                Next::Finish => {
                    self.finished = true;
                    self.machine.finished();
                }
                wait => return wait,
            }
        }
    }

    fn receive(&mut self, bytes: &[u8]) {
        self.buffer[..bytes.len()].copy_from_slice(bytes);
        self.machine.received(bytes);
    }
}

#[test]
fn half_close_echoes_the_rest_then_finishes() {
    let mut harness = Harness::new(Work::None);
    harness.receive(b"abc");
    harness.machine.ended();
    assert_eq!(harness.settle(1), Next::Close(Ended::Done));
    assert_eq!(
        (harness.echoed.as_slice(), harness.finished),
        (b"abc".as_slice(), true)
    );
}

#[test]
fn a_quiet_connection_is_finished_by_a_drain_and_waits_for_the_peer() {
    let mut harness = Harness::new(Work::None);
    harness.machine.drain();
    assert_eq!(
        (harness.settle(9), harness.machine.patience()),
        (Next::Read, Patience::Quiet)
    );
    harness.machine.timed_out();
    assert_eq!(
        (harness.settle(9), harness.machine.patience()),
        (Next::Discard, Patience::Linger)
    );
    harness.machine.ended();
    assert_eq!(harness.settle(9), Next::Close(Ended::Drained));
}

#[test]
fn a_draining_connection_still_gets_its_answer() {
    let mut harness = Harness::new(Work::Wait(Duration::from_millis(1)));
    harness.machine.drain();
    harness.receive(b"last\n");
    assert_eq!(harness.settle(2), Next::Read);
    assert_eq!(
        (harness.echoed.as_slice(), harness.paid),
        (b"last\n".as_slice(), 1)
    );
}

#[test]
fn the_deadline_cuts_a_busy_connection_in_order() {
    let mut harness = Harness::new(Work::Wait(Duration::from_millis(1)));
    harness.receive(b"late\n");
    assert!(matches!(
        harness.machine.next(harness.work, &harness.buffer),
        Next::Pay(_)
    ));
    harness.machine.cut();
    assert_eq!(harness.settle(9), Next::Discard);
    assert!(harness.finished && harness.echoed.is_empty());
    harness.machine.timed_out();
    assert_eq!(harness.settle(9), Next::Close(Ended::Cut));
}

#[test]
fn silence_ends_in_order_and_a_peer_that_takes_nothing_is_abandoned() {
    let mut silent = Harness::new(Work::None);
    silent.machine.timed_out();
    assert_eq!(silent.settle(9), Next::Discard);
    silent.machine.timed_out();
    assert_eq!(silent.settle(9), Next::Close(Ended::Idle));

    let mut stalled = Harness::new(Work::None);
    stalled.receive(b"abc");
    assert!(matches!(
        stalled.machine.next(stalled.work, &stalled.buffer),
        Next::Write(_)
    ));
    assert_eq!(stalled.machine.patience(), Patience::Write);
    stalled.machine.timed_out();
    assert_eq!(
        (stalled.settle(9), stalled.finished),
        (Next::Abandon, false)
    );
    stalled.machine.abandoned();
    assert_eq!(stalled.settle(9), Next::Close(Ended::Stalled));

    let mut half_closed = Harness::new(Work::None);
    half_closed.receive(b"abc");
    half_closed.machine.ended();
    assert_eq!(half_closed.machine.patience(), Patience::Write);
    half_closed.machine.timed_out();
    assert_eq!(half_closed.settle(9), Next::Abandon);
}

#[test]
fn a_side_closed_from_outside_is_still_read_to_its_end() {
    let mut harness = Harness::new(Work::None);
    harness.receive(b"abc");
    harness.machine.failed(ErrorKind::BrokenPipe);
    assert_eq!(harness.settle(9), Next::Discard);
    harness.machine.ended();
    let broken = Ended::Failed(ErrorKind::BrokenPipe);
    assert_eq!(harness.settle(9), Next::Close(broken));
    let mut reset = Harness::new(Work::None);
    reset.machine.failed(ErrorKind::ConnectionReset);
    assert_eq!(
        reset.settle(9),
        Next::Close(Ended::Failed(ErrorKind::ConnectionReset))
    );
}

proptest! {
    #[test]
    fn every_byte_goes_back_once_and_in_order(
        stream in proptest::collection::vec(prop_oneof![Just(b'\n'), any::<u8>()], 0..300),
        reads in proptest::collection::vec(1_usize..64, 1..50),
        write_bytes in 1_usize..64,
        work in prop_oneof![Just(Work::None), Just(Work::Compute(Duration::from_millis(1)))],
    ) {
        let mut harness = Harness::new(work);
        let mut input: VecDeque<u8> = stream.iter().copied().collect();
        for count in reads.iter().cycle() {
            prop_assert_eq!(harness.settle(write_bytes), Next::Read);
            let piece: Vec<u8> = input.drain(..input.len().min(*count)).collect();
            if piece.is_empty() {
                break;
            }
            harness.receive(&piece);
        }
        harness.machine.ended();
        prop_assert_eq!(harness.settle(write_bytes), Next::Close(Ended::Done));
        prop_assert_eq!(&harness.echoed, &stream);
        let lines = stream.iter().filter(|b| **b == b'\n').count();
        prop_assert_eq!(harness.paid, if work == Work::None { 0 } else { lines });
    }

    #[test]
    fn whatever_happens_it_closes_after_a_few_time_outs(
        events in proptest::collection::vec(0_u8..7, 0..30),
    ) {
        let mut harness = Harness::new(Work::Compute(Duration::from_millis(1)));
        for event in events {
            match event {
                0 if harness.machine.next(harness.work, &harness.buffer) == Next::Read => harness.receive(b"a\nb"),
                1 => harness.machine.ended(),
                2 => harness.machine.drain(),
                3 => harness.machine.cut(),
                4 => harness.machine.timed_out(),
                5 => harness.machine.failed(ErrorKind::BrokenPipe),
                _ => {
                    harness.settle(1);
                }
            }
        }
        for _ in 0..3 {
            match harness.settle(9) {
                Next::Close(_) => {}
                Next::Abandon => harness.machine.abandoned(),
                _ => harness.machine.timed_out(),
            }
        }
        prop_assert!(matches!(harness.settle(9), Next::Close(_)));
    }
}
