//! A closed population: N clients that think, ask, wait for the answer and think again.
//!
//! The machine-repair model M/M/c//N (the finite populations of Kleinrock, *Queueing Systems*, vol. 1,
//! 1975): clients that wait do not ask, so that no load is too much. Service times are exponential; of
//! the think times only the mean counts, whatever their distribution, since nobody waits in order to
//! think (Baskett, Chandy, Muntz and Palacios, 1975).

use std::num::NonZeroU32;

use super::erlang::little;

/// N clients in front of c workers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Population {
    clients: u32,
    service_s: f64,
    /// Answers per second.
    rate_per_s: f64,
    /// Clients that wait or are served, on average.
    inside: f64,
}

impl Population {
    /// `clients` that think for `think_s` seconds on average, in front of `workers` that need
    /// `service_s`, both above 0.
    #[must_use]
    pub fn new(clients: u32, workers: NonZeroU32, think_s: f64, service_s: f64) -> Self {
        let workers = f64::from(workers.get());
        // ln p(n), up to a constant: each step is the rate of arrivals over that of departures. The
        // numbers themselves leave the range of a float long before a million clients.
        let mut log = 0.0;
        let mut logs = Vec::with_capacity(clients as usize + 1);
        logs.push(log);
        for n in 0..clients {
            let arrivals = f64::from(clients - n) / think_s;
            let departures = f64::from(n + 1).min(workers) / service_s;
            log += (arrivals / departures).ln();
            logs.push(log);
        }
        let largest = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let (mut sum, mut inside, mut busy) = (0.0, 0.0, 0.0);
        for (n, log) in (0..=clients).map(f64::from).zip(logs) {
            let weight = (log - largest).exp();
            sum += weight;
            inside += weight * n;
            busy += weight * n.min(workers);
        }
        Self {
            clients,
            service_s,
            rate_per_s: busy / sum / service_s,
            inside: inside / sum,
        }
    }

    /// Answers per second, over all clients.
    #[must_use]
    pub const fn rate_per_s(&self) -> f64 {
        self.rate_per_s
    }

    /// The mean response in seconds: by Little's law, who is inside over the rate.
    #[must_use]
    pub fn response_s(&self) -> f64 {
        if self.clients == 0 {
            return self.service_s;
        }
        self.inside / self.rate_per_s
    }

    /// The mean wait in seconds.
    #[must_use]
    pub fn wait_s(&self) -> f64 {
        (self.response_s() - self.service_s).max(0.0)
    }

    /// Workers that are busy, on average.
    #[must_use]
    pub fn busy(&self) -> f64 {
        little(self.rate_per_s, self.service_s)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::erlang::Mmc;
    use proptest::prelude::*;

    fn population(clients: u32, workers: u32, think_s: f64) -> Population {
        Population::new(clients, NonZeroU32::new(workers).unwrap(), think_s, 1.0)
    }

    #[test]
    fn a_small_one_is_what_can_be_computed_by_hand() {
        // Two clients, one worker, think = service: p = 1, 2, 2 (of 5), so 4/5 of the time busy.
        let two = population(2, 1, 1.0);
        assert!((two.rate_per_s() - 0.8).abs() < 1e-12);
        assert!((two.response_s() - 1.5).abs() < 1e-12);
    }

    #[test]
    fn as_many_workers_as_clients_let_nobody_wait() {
        let all = population(50, 50, 3.0);
        assert!(all.wait_s() < 1e-9);
        assert!((all.rate_per_s() - 50.0 / 4.0).abs() < 1e-9);
    }

    #[test]
    fn a_large_one_is_an_open_queue_of_the_same_rate() {
        let (think_s, workers) = (100_000.0, NonZeroU32::new(10).unwrap());
        let closed = Population::new(800_000, workers, think_s, 1.0);
        let open = Mmc::new(workers, closed.rate_per_s(), 1.0).unwrap();
        assert!(
            (closed.wait_s() / open.wait_s() - 1.0).abs() < 1e-3,
            "{closed:?} {open:?}"
        );
    }

    #[test]
    fn more_clients_than_the_workers_can_serve_share_what_there_is() {
        let crowd = population(1_000, 4, 1.0);
        assert!((crowd.rate_per_s() - 4.0).abs() < 1e-9);
        assert!((crowd.response_s() - (1_000.0 / 4.0 - 1.0)).abs() < 1e-6);
    }

    proptest! {
        #[test]
        fn rate_response_and_think_time_make_up_the_clients(
            clients in 1_u32..300, workers in 1_u32..20, think_s in 0.01_f64..50.0
        ) {
            let closed = population(clients, workers, think_s);
            let sum = little(closed.rate_per_s(), closed.response_s() + think_s);
            prop_assert!((sum / f64::from(clients) - 1.0).abs() < 1e-9, "{sum}");
        }

        #[test]
        fn a_client_more_never_makes_it_faster(
            clients in 1_u32..300, workers in 1_u32..20, think_s in 0.01_f64..50.0
        ) {
            let one_more = population(clients + 1, workers, think_s);
            prop_assert!(one_more.response_s() >= population(clients, workers, think_s).response_s() - 1e-9);
        }
    }
}
