//! Plans by round figures, against what can be computed by hand.

use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::plan::calibration::tests::sample;
use crate::plan::demand::{Kind, Slo};

fn demand(clients: u64) -> Demand {
    Demand {
        clients,
        think: Duration::from_secs(30),
        service: Duration::from_millis(10),
        kind: Kind::Io,
        rate_per_s: None,
        promise: None,
        stay: None,
        cores: 4,
        memory_bytes: 8_000_000_000,
        utilization: 0.8,
    }
}

fn need(demand: &Demand, mode: Mode) -> Need {
    let mut rows = plan(demand, &sample(), &[mode]);
    let row = rows.pop().unwrap();
    row.need.unwrap_or_else(|| panic!("{:?}", row.why_not))
}

#[test]
fn what_owns_a_worker_needs_as_many_as_clients_and_what_does_not_needs_few() {
    let demand = demand(12_000);
    let pool = need(&demand, Mode::ThreadPool);
    assert_eq!(
        (pool.machines, pool.binds, pool.each.workers),
        (3, Some(Bound::Workers), 4_000)
    );
    let own = need(&demand, Mode::ThreadPerConnection);
    assert_eq!(
        (own.machines, own.binds, own.each.workers),
        (1, None, 12_000)
    );
    // 400 requests a second, 10.1 ms each: 4.04 workers busy.
    let ready = need(&demand, Mode::ReadyPool);
    assert!((5..=7).contains(&ready.each.workers), "{ready:?}");
    let reactor = need(&demand, Mode::Async);
    assert_eq!((reactor.each.cores, reactor.each.workers), (1, 1));
}

#[test]
fn descriptors_bind_what_holds_nothing_but_a_connection() {
    let million = need(&demand(1_000_000), Mode::Async);
    assert_eq!(
        (million.machines, million.binds),
        (50, Some(Bound::Descriptors))
    );
    assert_eq!(million.each.clients, 20_000);
    // 4 MB and 5,000 bytes for each, and the thread.
    assert_eq!(million.each.memory_bytes, 4_000_000 + 100_000_000 + 20_000);
    assert_eq!(million.next.room, 0);
    assert!(million.next.sees.contains("no byte"), "{:?}", million.next);
}

#[test]
fn memory_and_processors_bind_when_there_are_few() {
    let mut small = demand(10_000);
    small.memory_bytes = 30_000_000;
    // (0.8 × 30 MB - 4 MB - a thread) / 5,000 bytes is 3,996 clients.
    let need_memory = need(&small, Mode::Epoll);
    assert_eq!(
        (need_memory.machines, need_memory.binds),
        (3, Some(Bound::Memory))
    );
    let mut busy = demand(10_000);
    busy.rate_per_s = Some(1e6);
    // 10 s of processor time a second, 3.2 of which a machine has.
    let need_cores = need(&busy, Mode::Async);
    assert_eq!(
        (need_cores.machines, need_cores.binds),
        (4, Some(Bound::Processors))
    );
}

#[test]
fn a_promise_wants_workers_and_an_impossible_one_is_told() {
    let mut demand = demand(12_000);
    demand.promise = Some("p99<47ms".parse().unwrap());
    let strict = need(&demand, Mode::ReadyPool);
    assert!(strict.promised_ms.is_some_and(|ms| ms < 47.0), "{strict:?}");
    demand.promise = Some("p99<200ms".parse().unwrap());
    let lax = need(&demand, Mode::ReadyPool);
    assert!(lax.each.workers < strict.each.workers, "{lax:?} {strict:?}");
    demand.promise = Some("p99<46ms".parse().unwrap());
    let rows = plan(&demand, &sample(), Mode::ALL);
    let told = |row: &Row| {
        row.why_not
            .as_ref()
            .is_some_and(|why| why.contains("p99 of the service"))
    };
    assert!(rows.iter().all(told), "{rows:?}");
}

#[test]
fn computing_needs_processors_and_more_of_them_where_each_has_a_queue_of_its_own() {
    let mut demand = demand(100);
    demand.kind = Kind::Cpu;
    demand.rate_per_s = Some(150.0);
    let shared = need(&demand, Mode::Async);
    let partitioned = need(&demand, Mode::Epoll);
    // M/M/2 would let them wait 1.3 services; M/M/1 at half of its load lets them wait one.
    assert_eq!((shared.each.cores, shared.each.workers), (3, 3));
    assert_eq!(partitioned.each.cores, 4);
}

#[test]
fn clients_that_come_and_go_need_seats_to_spare() {
    let mut demand = demand(1_000);
    demand.stay = Some(Duration::from_secs(60));
    let pool = need(&demand, Mode::ThreadPool);
    assert!((1_050..1_150).contains(&pool.each.workers), "{pool:?}");
    assert!(pool.next.sees.contains("refused"), "{:?}", pool.next);
    let processes = need(&demand, Mode::ProcessPool);
    assert!(
        processes.next.sees.contains("a wait in"),
        "{:?}",
        processes.next
    );
}

#[test]
fn one_more_is_served_where_there_is_room_and_waits_where_there_is_none() {
    let demand = demand(12_000);
    let ready = need(&demand, Mode::ReadyPool).next;
    assert!(
        ready.room > 0 && ready.slower_by.is_some_and(|by| by > 0.0),
        "{ready:?}"
    );
    let pool = need(&demand, Mode::ThreadPool).next;
    assert_eq!((pool.slower_by, pool.room), (None, 0));
}

#[test]
fn what_was_not_measured_is_not_planned() {
    let mut calibration = sample();
    calibration.modes.retain(|cost| cost.mode != Mode::Async);
    let rows = plan(&demand(10), &calibration, &[Mode::Async]);
    assert_eq!(rows[0].why_not.as_deref(), Some("it was not measured"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn all_clients_have_a_place_and_fewer_never_need_more(
        clients in 1_u64..200_000, think_s in 1_u64..60, mode in 0..Mode::ALL.len(), cpu: bool
    ) {
        let mut demand = demand(clients);
        demand.think = Duration::from_secs(think_s);
        demand.kind = if cpu { Kind::Cpu } else { Kind::Io };
        let mode = Mode::ALL[mode];
        let all = need(&demand, mode);
        prop_assert!(all.machines * all.each.clients >= clients);
        prop_assert!(all.each.cores <= 4 && all.each.workers > 0);
        prop_assert!(all.each.memory_bytes <= 6_400_000_000);
        demand.clients = clients.div_ceil(2);
        let half = need(&demand, mode);
        prop_assert!(half.machines <= all.machines);
    }
}

#[test]
fn promises_are_kept_by_every_plan_that_has_a_queue() {
    for kind in [Kind::Io, Kind::Cpu] {
        let mut demand = demand(20_000);
        demand.kind = kind;
        demand.promise = Some("p99<60ms".parse::<Slo>().unwrap());
        for mode in Mode::ALL {
            let promised = need(&demand, *mode).promised_ms;
            assert!(
                promised.is_some_and(|ms| ms < 60.0),
                "{mode:?} {promised:?}"
            );
        }
    }
}

fn played(demand: &Demand, mode: Mode) -> Need {
    let rows = plan(demand, &sample(), &[mode]);
    let mut rows = tried(rows, demand, &sample(), 1);
    rows.pop().and_then(|row| row.need).unwrap()
}

#[test]
fn a_plan_that_is_played_comes_out_as_the_formulas_say() {
    let mut demand = demand(12_000);
    demand.promise = Some("p99<100ms".parse().unwrap());
    let ready = played(&demand, Mode::ReadyPool);
    let trial = ready.trial.unwrap();
    let off = |played: f64, said: f64| (played / said - 1.0).abs();
    assert!(off(trial.response_ms, ready.response_ms) < 0.1, "{ready:?}");
    let promised = ready.promised_ms.zip(trial.promised_ms);
    assert!(
        promised.is_some_and(|(said, played)| off(played, said) < 0.15),
        "{ready:?}"
    );
    demand.kind = Kind::Cpu;
    demand.rate_per_s = Some(150.0);
    let reactors = played(&demand, Mode::Epoll);
    let trial = reactors.trial.unwrap();
    assert!(
        off(trial.response_ms, reactors.response_ms) < 0.1,
        "{reactors:?}"
    );
}

#[test]
fn where_nobody_queues_nothing_is_played() {
    let demand = demand(100);
    assert_eq!(played(&demand, Mode::Async).trial, None);
    assert_eq!(played(&demand, Mode::ThreadPool).trial, None);
}

#[test]
fn what_a_request_costs_a_worker_besides_its_service_is_in_its_response() {
    // Nobody waits: 10 ms and the 100 us of the calibration.
    let lonely = need(&demand(1), Mode::ReadyPool);
    assert!((lonely.response_ms - 10.1).abs() < 1e-6, "{lonely:?}");
}

#[test]
fn processors_that_would_be_busier_than_they_may_be_bind_whatever_is_promised() {
    let mut busy = demand(1_000);
    busy.kind = Kind::Cpu;
    busy.rate_per_s = Some(380.0);
    busy.promise = Some("p99<10s".parse().unwrap());
    // 3.8 of 4, and 3.2 may be used.
    let two = need(&busy, Mode::Async);
    assert_eq!((two.machines, two.binds), (2, Some(Bound::Processors)));
}

#[test]
fn clients_that_come_and_go_cost_processors_beside_the_requests_that_compute() {
    let mut demand = demand(1_000);
    demand.kind = Kind::Cpu;
    demand.rate_per_s = Some(100.0);
    demand.stay = Some(Duration::from_millis(20));
    // 1.001 for the requests and 1.5 for 50,000 connections a second, of which 80 % may be used.
    assert_eq!(need(&demand, Mode::Async).each.cores, 4);
}

#[test]
fn clients_that_hardly_think_need_no_more_workers_than_they_are() {
    let mut busy = demand(8);
    busy.think = Duration::ZERO;
    let ready = need(&busy, Mode::ReadyPool);
    assert_eq!((ready.machines, ready.each.workers), (1, 8));
    // Nobody waits: 10 ms, and the 100 us of the calibration.
    assert!((ready.response_ms - 10.1).abs() < 1e-6, "{ready:?}");
    busy.promise = Some("p99<50ms".parse().unwrap());
    let promised = need(&busy, Mode::ReadyPool);
    let alone_ms = 10.1 * 100.0_f64.ln();
    assert!(
        promised
            .promised_ms
            .is_some_and(|ms| (ms - alone_ms).abs() < 1e-6),
        "{promised:?}"
    );
    busy.promise = Some("mean<50ms".parse().unwrap());
    let mean = need(&busy, Mode::ReadyPool);
    assert_eq!(mean.promised_ms, Some(mean.response_ms));
}

#[test]
fn a_single_client_that_only_computes_needs_one_processor() {
    let mut one = demand(1);
    one.think = Duration::ZERO;
    one.service = Duration::from_millis(1);
    one.kind = Kind::Cpu;
    one.cores = 1;
    for mode in Mode::ALL {
        let need = need(&one, *mode);
        assert_eq!((need.machines, need.each.cores), (1, 1), "{mode:?}");
        // 1 ms, and the 10 us of the calibration.
        assert!((need.response_ms - 1.01).abs() < 1e-6, "{need:?}");
    }
}

#[test]
fn who_does_not_think_asks_after_the_answer_when_it_is_played_too() {
    let mut busy = demand(8);
    busy.think = Duration::ZERO;
    let ready = played(&busy, Mode::ReadyPool);
    let off = ready.trial.unwrap().response_ms / ready.response_ms - 1.0;
    assert!(off.abs() < 0.1, "{ready:?}");
}

#[test]
fn what_no_machine_can_do_names_the_flags_that_help() {
    let mut small = demand(1);
    small.memory_bytes = 1_000_000;
    let why = |demand: &Demand, mode| plan(demand, &sample(), &[mode])[0].why_not.clone();
    assert_eq!(
        why(&small, Mode::Async).as_deref(),
        Some(
            "a machine has too little for a single client: memory; give --memory or --utilization \
             more"
        )
    );
    let mut busy = demand(1);
    busy.rate_per_s = Some(1e6);
    let told = why(&busy, Mode::Async).unwrap();
    assert!(
        told.contains("processors; give --cores or --utilization"),
        "{told}"
    );
}

#[test]
fn without_the_cost_of_a_wait_only_what_waits_in_a_worker_is_not_planned() {
    let mut calibration = sample();
    calibration.hold_us = None;
    let modes = [Mode::ReadyPool, Mode::Async];
    let rows = plan(&demand(10), &calibration, &modes);
    let planned: Vec<bool> = rows.iter().map(|row| row.need.is_some()).collect();
    assert_eq!(planned, [false, true]);
}
