//! The service time is the server's: whatever loop asks for it, the same server gives the same.

use super::*;

/// Has `rig` make a request for each of `services`, which the server takes to answer, and tells
/// when the next one would be sent.
fn serve(mut rig: Rig, services: &[Duration]) -> (Rig, Moment) {
    assert_eq!(rig.step(Event::Start), Action::Connect);
    let mut action = rig.step(Event::Established);
    for service in services {
        assert_eq!(action, Action::Write);
        action = rig.exchange(*service);
        if action == Action::Nothing {
            rig.now = Moment::START.after(rig.deadline().unwrap());
            action = rig.step(Event::Alarm);
        }
    }
    assert_eq!(action, Action::Write, "the next one is under way");
    rig.tally.end_slice(0);
    let next = rig.now;
    (rig, next)
}

/// An open loop of a request each `period`.
fn open(period: Duration, services: &[Duration]) -> (Rig, Moment) {
    let rate = 1.0 / period.as_secs_f64();
    serve(Rig::open(rate, Behaviour::default()), services)
}

/// A closed loop that thinks as long as it takes to come to a request each `period` on average.
fn closed(period: Duration, services: &[Duration]) -> (Rig, Moment) {
    let count = u32::try_from(services.len()).unwrap();
    let mean = services.iter().sum::<Duration>() / count;
    let behaviour = Behaviour {
        think: Pause::Constant(period.saturating_sub(mean)),
        ..Behaviour::default()
    };
    serve(Rig::new(64, behaviour), services)
}

fn response(rig: &Rig) -> Vec<(u64, u64)> {
    rig.tally.kept.as_ref().unwrap().response.sparse()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn open_and_closed_loops_agree_in_service_time(
        services in prop::collection::vec(1_u64..10_000_000, 1..60)
    ) {
        let services: Vec<_> = services.into_iter().map(Duration::from_nanos).collect();
        let period = 10 * MS;
        let ((open, open_next), (closed, closed_next)) =
            (open(period, &services), closed(period, &services));
        prop_assert_eq!(open.tally.rtt.sparse(), closed.tally.rtt.sparse());
        // No answer took longer than the period, so that nothing was held up.
        prop_assert_eq!(response(&open), open.tally.rtt.sparse());
        // They asked at the same rate: what the division by a mean leaves is less than 1 ns each.
        let apart = open_next.since(closed_next) + closed_next.since(open_next);
        prop_assert!(apart <= services.len() as u64, "{} ns apart", apart);
        prop_assert_eq!(open.books(), closed.books());
    }

    /// A stall is in the response time of an open loop, and its service time stays the server's.
    #[test]
    fn what_a_stall_holds_up_is_not_in_the_service_time(
        services in prop::collection::vec(1_u64..100_000_000, 1..60)
    ) {
        let mut services: Vec<_> = services.into_iter().map(Duration::from_nanos).collect();
        // In the end it has caught up, so that both have sent as much.
        services.extend([Duration::from_nanos(1); 600]);
        let ((open, _), (closed, _)) = (open(10 * MS, &services), closed(10 * MS, &services));
        prop_assert_eq!(open.tally.rtt.sparse(), closed.tally.rtt.sparse());
        let held_up = services.iter().take(60).any(|service| *service > 10 * MS);
        prop_assert_eq!(held_up, response(&open) != open.tally.rtt.sparse());
    }
}

/// What a client waits for its turn is neither the server's time nor lost to Little's law.
#[test]
fn a_round_trip_begins_when_the_request_goes_out() {
    let mut rig = Rig::connected(64, Behaviour::default());
    assert_eq!(rig.exchange(2 * MS), Action::Write);
    rig.later(MS).act(Client::send_only_now);
    rig.exchange(4 * MS);
    rig.tally.end_slice(0);
    assert_eq!(rig.tally.rtt.sum_nanos(), 6_000_000);
    assert_eq!(rig.tally.paused_nanos, 1_000_000);
}
