//! The requests of a measurement before it is made: when each is due, and what it costs the server.
//!
//! The due times follow from the load generator's seed and the costs from the bytes that it sends,
//! so that a simulation of them differs from the measurement by the server and not by chance.

use std::time::Duration;

use server::work::{Cost, Heard, Work};

use super::simulation::{Nanos, Request};
use crate::load::Load;

/// What each client of `load` asks until the end of the window, of a server that does `work`; none
/// where that depends on the answers.
#[must_use]
pub fn requests(load: &Load, seed: u64, work: Work) -> Option<Vec<Vec<Request>>> {
    let mut rehearsal = load.rehearsal(seed)?;
    let end = load.warmup + load.window;
    let clients = (0..load.clients.get()).map(|client| {
        let due_times = rehearsal.due_times(client).take_while(|due| *due < end);
        let mut heard = Heard::default();
        let request = |(index, due): (u64, Duration)| Request {
            due: nanos(due),
            pause: 0,
            service: nanos(time(
                work.step(&rehearsal.request(client, index), &mut heard)
                    .cost,
            )),
        };
        (0..).zip(due_times).map(request).collect()
    });
    Some(clients.collect())
}

fn time(cost: Cost) -> Duration {
    match cost {
        Cost::Free => Duration::ZERO,
        Cost::Wait(time) | Cost::Compute(time) => time,
    }
}

/// A duration as the simulation counts it.
#[must_use]
pub fn nanos(duration: Duration) -> Nanos {
    Nanos::try_from(duration.as_nanos()).unwrap_or(Nanos::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use loadgen::schedule::Arrivals;
    use std::num::NonZeroU32;

    const MEAN: Duration = Duration::from_millis(10);

    fn load(seconds: u64) -> Load {
        let clients = NonZeroU32::new(100).unwrap();
        Load::busy(clients, Duration::from_secs(seconds))
    }

    #[test]
    fn arrivals_and_costs_are_as_many_and_as_long_as_asked_for() {
        let load = load(50).at(400.0, Arrivals::Poisson);
        let all = requests(&load, 3, Work::WaitExponential(MEAN)).unwrap();
        let all: Vec<Request> = all.concat();
        let mean = all.iter().map(|one| one.service as f64).sum::<f64>() / all.len() as f64;
        assert!(
            (all.len() as f64 / 20_000.0 - 1.0).abs() < 0.03,
            "{}",
            all.len()
        );
        assert!((mean / 1e7 - 1.0).abs() < 0.03, "{mean}");
    }

    #[test]
    fn costs_are_those_of_a_server_that_reads_all_of_it_at_once() {
        let load = load(1).at(2_000.0, Arrivals::Poisson);
        let work = Work::WaitExponential(MEAN);
        let all = requests(&load, 5, work).unwrap();
        let mut rehearsal = load.rehearsal(5).unwrap();
        let client = all.iter().position(|of_one| of_one.len() > 3).unwrap();
        let number = u32::try_from(client).unwrap();
        let messages = 0..all[client].len() as u64;
        let stream: Vec<u8> = messages
            .flat_map(|index| rehearsal.request(number, index))
            .collect();
        let (mut heard, mut rest, mut costs) = (Heard::default(), &stream[..], Vec::new());
        while !rest.is_empty() {
            let step = work.step(rest, &mut heard);
            costs.push(nanos(time(step.cost)));
            rest = &rest[step.take..];
        }
        let foreseen: Vec<Nanos> = all[client].iter().map(|one| one.service).collect();
        assert_eq!(costs, foreseen);
    }

    #[test]
    fn a_seed_decides_both_and_a_closed_loop_neither() {
        let load = load(1).at(400.0, Arrivals::Poisson);
        let of = |seed| requests(&load, seed, Work::WaitExponential(MEAN));
        assert_eq!(of(1), of(1));
        assert_ne!(of(1), of(2));
        assert_eq!(requests(&self::load(1), 1, Work::None), None);
    }
}
