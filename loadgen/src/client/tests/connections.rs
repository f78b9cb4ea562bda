//! Connections that cannot be made, or end.

use super::*;

#[test]
fn refused_clients_back_off_and_never_spin() {
    let mut rig = Rig::new(64, Behaviour::default());
    rig.step(Event::Start);
    let mut waits = Vec::new();
    for _ in 0..9 {
        assert_eq!(
            rig.step(Event::ConnectFailed(Failure::Refused)),
            Action::Close
        );
        let until = rig.deadline().unwrap();
        waits.push((until - rig.now.elapsed().unwrap()).as_millis());
        rig.now = Moment::START.after(until);
        assert_eq!(rig.step(Event::Alarm), Action::Connect);
    }
    assert_eq!(waits, [10, 20, 40, 80, 160, 320, 640, 1_000, 1_000]);
    assert_eq!((rig.tally.refused, rig.tally.connected), (1, 0));
    rig.step(Event::Established);
    assert_eq!((rig.tally.refused, rig.tally.connected), (0, 1));
}

#[test]
fn every_address_is_tried_before_a_client_backs_off() {
    let mut rig = Rig::new(64, Behaviour::default());
    rig.plan.addresses = 2;
    rig.step(Event::Start);
    rig.step(Event::ConnectFailed(Failure::Refused));
    assert_eq!(
        (rig.deadline(), rig.tally.refused),
        (Some(Duration::ZERO), 0)
    );
    rig.step(Event::Alarm);
    rig.step(Event::ConnectFailed(Failure::Refused));
    assert_eq!((rig.deadline(), rig.tally.refused), (Some(10 * MS), 1));
}

#[test]
fn without_a_time_limit_a_client_gives_up_in_the_end() {
    let mut rig = Rig::new(64, Behaviour::default());
    rig.plan.give_up_after = Some(2);
    rig.step(Event::Start);
    rig.step(Event::ConnectFailed(Failure::Refused));
    rig.later(S).step(Event::Alarm);
    assert_eq!(
        rig.step(Event::ConnectFailed(Failure::Refused)),
        Action::Finish
    );
}

#[test]
fn a_server_that_resets_every_connection_is_not_called_in_a_tight_loop() {
    let mut rig = Rig::connected(64, Behaviour::default());
    assert_eq!(rig.step(Event::Ended(Failure::Reset)), Action::Close);
    assert_eq!(rig.deadline(), Some(10 * MS));
    assert_eq!(rig.books().errors, 1);
    assert!(rig.client.is_lost() && rig.client.is_starved(&rig.plan));
}

#[test]
fn a_server_that_went_away_leaves_its_clients_stranded() {
    let mut rig = Rig::connected(64, Behaviour::default());
    rig.exchange(MS);
    rig.step(Event::Ended(Failure::Closed));
    rig.step(Event::Alarm);
    assert!(!rig.client.is_stranded(), "it may come back");
    rig.step(Event::ConnectFailed(Failure::Refused));
    assert!(rig.client.is_stranded());
    rig.later(S).step(Event::Alarm);
    rig.step(Event::Established);
    assert!(!rig.client.is_stranded() && rig.client.is_lost());
}

#[test]
fn a_close_between_two_requests_is_no_failed_request() {
    let behaviour = Behaviour {
        think: Pause::Constant(S),
        ..Behaviour::default()
    };
    let mut rig = Rig::connected(64, behaviour);
    rig.exchange(MS);
    assert_eq!(rig.step(Event::Ended(Failure::Closed)), Action::Close);
    assert_eq!((rig.books().answered, rig.books().errors), (1, 0));
    let seen: Vec<_> = rig.tally.failures.seen().collect();
    assert_eq!(seen, [(Failure::ClosedIdle, 1)]);
}

/// A client of a server that speaks first.
fn greeted(mut rig: Rig) -> Rig {
    rig.wire = Protocol::Exchange(Exchange {
        send: Vec::new(),
        ending: Ending::Until(b"\n".to_vec()),
    })
    .wire(1);
    rig.plan.behaviours[0].requests_per_conn = Some(Reuse::of(NonZeroU32::MIN));
    rig
}

#[test]
fn a_greeting_before_its_time_is_no_mistake_and_does_not_come_twice() {
    let mut rig = greeted(Rig::open(10.0, Behaviour::default()));
    assert_eq!(rig.step(Event::Start), Action::Connect);
    assert_eq!(rig.step(Event::Established), Action::Write);
    assert_eq!(rig.later(MS).step(Event::Read(b"hi\n")), Action::Close);
    assert_eq!(rig.step(Event::Alarm), Action::Connect);
    // The next one is due after 100 ms; the server does not wait for that.
    assert_eq!(rig.step(Event::Established), Action::Nothing);
    assert_eq!(rig.later(MS).step(Event::Read(b"hi\n")), Action::Nothing);
    assert_eq!(rig.later(S).step(Event::Alarm), Action::Close);
    assert_eq!(rig.step(Event::Alarm), Action::Connect);
    assert_eq!(rig.step(Event::Established), Action::Write);
    rig.later(MS).step(Event::Read(b"hi\n"));
    assert_eq!((rig.books().answered, rig.tally.mismatches), (2, 0));
    assert!(rig.client.first_byte_at.is_known() && !rig.client.is_lost());
}
