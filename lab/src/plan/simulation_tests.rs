//! The simulation against what can be counted by hand, against the recursion and against formulas.

use proptest::prelude::*;

use super::*;
use crate::dice::Dice;
use crate::plan::erlang::{Mmc, erlang_b};
use crate::plan::population::Population;
use std::num::NonZeroU32;

fn workers_of(count: usize) -> NonZeroUsize {
    NonZeroUsize::new(count).unwrap()
}

/// Clients that ask once each.
fn once(requests: &[(Nanos, Nanos)]) -> Vec<Vec<Request>> {
    let client = |&(due, service): &(Nanos, Nanos)| {
        vec![Request {
            due,
            pause: 0,
            service,
        }]
    };
    requests.iter().map(client).collect()
}

fn served(fates: &[Vec<Fate>]) -> Vec<Served> {
    let all = fates.iter().flatten().filter_map(|fate| match fate {
        Fate::Served(served) => Some(*served),
        Fate::Refused(_) => None,
    });
    all.collect()
}

/// An exponential number around `mean`, which follows from its place.
fn exponential(mean: f64, seed: u64, index: u64) -> Nanos {
    Dice::of_one(seed, index).exponential(mean)
}

/// Poisson arrivals that keep `workers` busy for a share of `load`, with services around 1 ms.
fn poisson(count: u64, workers: usize, load: f64, seed: u64) -> Vec<(Nanos, Nanos)> {
    let gap = 1e6 / workers as f64 / load;
    let mut now = 0;
    let arrivals = (0..count).map(|index| {
        now += exponential(gap, seed, 2 * index);
        (now, exponential(1e6, seed, 2 * index + 1))
    });
    arrivals.collect()
}

fn mean_wait(fates: &[Vec<Fate>]) -> f64 {
    let served = served(fates);
    served.iter().map(|one| one.wait() as f64).sum::<f64>() / served.len() as f64
}

#[test]
fn the_staircase_of_a_pool_comes_out_exactly() {
    let all = once(&[(0, 100); 10]);
    let begun: Vec<Nanos> = served(&play(&all, workers_of(4), Queue::Shared))
        .iter()
        .map(|one| one.begun)
        .collect();
    assert_eq!(begun, [0, 0, 0, 0, 100, 100, 100, 100, 200, 200]);
}

#[test]
fn a_full_queue_refuses_and_an_end_makes_room() {
    let all = once(&[(0, 100), (1, 100), (2, 100), (101, 100)]);
    let fates: Vec<Fate> = play(&all, workers_of(1), Queue::Bounded(1)).concat();
    let at = |due, begun| {
        Fate::Served(Served {
            due,
            begun,
            ended: begun + 100,
        })
    };
    assert_eq!(
        fates,
        [at(0, 0), at(1, 100), Fate::Refused(2), at(101, 200)]
    );
}

#[test]
fn a_client_never_has_two_requests_and_its_schedule_goes_on() {
    let request = |due| Request {
        due,
        pause: 0,
        service: 100,
    };
    let fates = play(
        &[vec![request(0), request(10)]],
        workers_of(4),
        Queue::Shared,
    );
    let second = served(&fates)[1];
    assert_eq!(
        (second.begun, second.wait(), second.response()),
        (100, 90, 190)
    );
}

#[test]
fn in_a_closed_loop_the_pause_follows_the_answer() {
    let request = Request {
        due: 0,
        pause: 50,
        service: 100,
    };
    let fates = play(&[vec![request; 3]], workers_of(1), Queue::Shared);
    let begun: Vec<Nanos> = served(&fates).iter().map(|one| one.begun).collect();
    assert_eq!(begun, [50, 200, 350]);
    assert!(served(&fates).iter().all(|one| one.wait() == 0));
}

#[test]
fn a_queue_of_its_own_does_not_see_that_others_are_idle() {
    let all = once(&[(0, 100), (0, 10), (1, 100)]);
    let begun = |queue| served(&play(&all, workers_of(2), queue))[2].begun;
    assert_eq!((begun(Queue::ByTurns), begun(Queue::Shared)), (100, 10));
}

#[test]
fn it_agrees_with_erlang_c() {
    for (workers, load) in [(1, 0.5), (4, 0.5), (4, 0.8)] {
        let all = once(&poisson(150_000, workers, load, 7));
        let found = mean_wait(&play(&all, workers_of(workers), Queue::Shared)) / 1e6;
        let count = u32::try_from(workers).unwrap();
        let count = NonZeroU32::new(count).unwrap();
        let queue = Mmc::new(count, load * workers as f64, 1.0).unwrap();
        let error = found / queue.wait_s() - 1.0;
        assert!(
            error.abs() < 0.05,
            "{workers} at {load}: {found}, {queue:?}"
        );
    }
}

#[test]
fn queues_of_their_own_agree_with_as_many_single_queues() {
    let all = once(&poisson(150_000, 4, 0.7, 3));
    let found = mean_wait(&play(&all, workers_of(4), Queue::Random(5))) / 1e6;
    let single = Mmc::new(NonZeroU32::MIN, 0.7, 1.0).unwrap();
    assert!((found / single.wait_s() - 1.0).abs() < 0.05, "{found}");
}

#[test]
fn without_a_queue_it_agrees_with_erlang_b() {
    let all = once(&poisson(100_000, 4, 0.9, 1));
    let fates = play(&all, workers_of(4), Queue::Bounded(0)).concat();
    let refused = fates.iter().filter(|fate| matches!(fate, Fate::Refused(_)));
    let share = refused.count() as f64 / fates.len() as f64;
    let expected = erlang_b(4, 3.6);
    assert!((share / expected - 1.0).abs() < 0.03, "{share}, {expected}");
}

#[test]
fn a_closed_population_agrees_with_its_formula() {
    let clients: Vec<Vec<Request>> = (0..20)
        .map(|client| {
            let request = |index: u64| Request {
                due: 0,
                pause: exponential(5e6, client, 2 * index),
                service: exponential(1e6, client, 2 * index + 1),
            };
            (0..5_000).map(request).collect()
        })
        .collect();
    let fates = play(&clients, workers_of(3), Queue::Shared);
    let formula = Population::new(20, NonZeroU32::new(3).unwrap(), 5.0, 1.0);
    let error = mean_wait(&fates) / 1e6 / formula.wait_s() - 1.0;
    assert!(error.abs() < 0.05, "{error}, {formula:?}");
}

proptest! {
    #[test]
    fn the_recursion_and_the_events_agree_to_the_nanosecond(
        gaps in prop::collection::vec((0_u64..1_000, 0_u64..3_000), 0..200), workers in 1_usize..6
    ) {
        let mut now = 0;
        let requests: Vec<(Nanos, Nanos)> = gaps
            .into_iter()
            .map(|(gap, service)| { now += gap; (now, service) })
            .collect();
        let played = served(&play(&once(&requests), workers_of(workers), Queue::Shared));
        let played: Vec<Nanos> = played.iter().map(Served::wait).collect();
        prop_assert_eq!(played, waits(&requests, workers_of(workers)));
    }

    #[test]
    fn every_request_has_one_fate_and_no_worker_two_requests(
        requests in prop::collection::vec((0_u64..5_000, 1_u64..2_000), 0..120),
        workers in 1_usize..5, room in 0_usize..4, kind in 0_u8..4
    ) {
        let queue = match kind {
            0 => Queue::Shared,
            1 => Queue::Bounded(room),
            2 => Queue::ByTurns,
            _ => Queue::Random(9),
        };
        let fates = play(&once(&requests), workers_of(workers), queue);
        prop_assert!(fates.iter().all(|of_one| of_one.len() == 1));
        let served = served(&fates);
        for one in &served {
            let inside = |at: Nanos| served.iter().filter(move |it| it.begun <= at && at < it.ended);
            prop_assert!(inside(one.begun).count() <= workers);
            prop_assert!(one.begun >= one.due);
        }
    }
}
