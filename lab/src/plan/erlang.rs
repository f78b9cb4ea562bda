//! Queues with Poisson arrivals and exponential service: Erlang's formulas, and what follows.
//!
//! Symbols as in the books: λ arrivals per second, S the mean service time in seconds, μ = 1/S,
//! c workers, a = λS the offered load in erlangs (workers that would be busy if there were enough),
//! ρ = a/c the utilization.
//!
//! Sources: A. K. Erlang, *Solution of some problems in the theory of probabilities of significance
//! in automatic telephone exchanges*, 1917 (B and C); L. Kleinrock, *Queueing Systems*, vol. 1, 1975
//! (M/M/m); A. O. Allen, *Probability, Statistics, and Queueing Theory*, 2nd ed., 1990 (the
//! distributions of wait and response in M/M/c). `docs/planning.md` derives them.

use std::num::NonZeroU32;

/// Erlang B: the share of arrivals that find all `workers` busy and go away, at an offered load of
/// `erlangs`.
///
/// Holds for any distribution of the service time. By the recursion
/// `B(0) = 1, B(c) = a B(c-1) / (c + a B(c-1))`, which neither overflows nor cancels.
#[must_use]
pub fn erlang_b(workers: u32, erlangs: f64) -> f64 {
    (1..=workers).fold(1.0, |blocked, worker| {
        let waiting = erlangs * blocked;
        waiting / (f64::from(worker) + waiting)
    })
}

/// A queue cannot keep up: it would grow for ever.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[error("{erlangs} workers would be busy all the time, and there are {workers}")]
pub struct Overload {
    /// The offered load.
    pub erlangs: f64,
    /// How many there are.
    pub workers: u32,
}

/// One queue in front of `workers` equal workers, first come first served: M/M/c.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Mmc {
    workers: u32,
    arrivals_per_s: f64,
    service_s: f64,
    /// Erlang C, which everything follows from.
    waiting_share: f64,
}

impl Mmc {
    /// A queue that can keep up.
    ///
    /// # Errors
    ///
    /// [`Overload`] when λS is not below the number of workers.
    pub fn new(workers: NonZeroU32, arrivals_per_s: f64, service_s: f64) -> Result<Self, Overload> {
        let workers = workers.get();
        let erlangs = arrivals_per_s * service_s;
        let spare = f64::from(workers) - erlangs;
        // Written so that what is no number is refused as well.
        if spare.is_nan() || spare <= 0.0 {
            return Err(Overload { erlangs, workers });
        }
        // C from B: those who would be lost wait instead, and stay in the way of others.
        let blocked = erlang_b(workers, erlangs);
        let waiting_share = f64::from(workers) * blocked / (spare + erlangs * blocked);
        Ok(Self {
            workers,
            arrivals_per_s,
            service_s,
            waiting_share,
        })
    }

    /// The smallest queue that can keep up and satisfies `is_enough`, which a larger one must too;
    /// none up to `most` workers.
    #[must_use]
    pub fn least(
        arrivals_per_s: f64,
        service_s: f64,
        most: u32,
        is_enough: impl Fn(&Self) -> bool,
    ) -> Option<Self> {
        let with = |workers| {
            let workers = NonZeroU32::new(workers)?;
            let queue = Self::new(workers, arrivals_per_s, service_s).ok()?;
            is_enough(&queue).then_some(queue)
        };
        // Bisection: every queue from `most` downwards that is not yet known to be too small.
        let (mut too_few, mut enough) = (0, most);
        let mut best = with(enough)?;
        while enough - too_few > 1 {
            let middle = too_few + (enough - too_few) / 2;
            match with(middle) {
                Some(queue) => (enough, best) = (middle, queue),
                None => too_few = middle,
            }
        }
        Some(best)
    }

    /// c.
    #[must_use]
    pub const fn workers(&self) -> u32 {
        self.workers
    }

    /// ρ, below 1: the share of their time that workers are busy.
    #[must_use]
    pub fn utilization(&self) -> f64 {
        self.arrivals_per_s * self.service_s / f64::from(self.workers)
    }

    /// Erlang C: the share of arrivals that has to wait.
    #[must_use]
    pub const fn waiting_share(&self) -> f64 {
        self.waiting_share
    }

    /// How fast those who wait move on, per second: cμ - λ.
    fn relief_per_s(&self) -> f64 {
        f64::from(self.workers) / self.service_s - self.arrivals_per_s
    }

    /// The mean wait in seconds over all arrivals: C / (cμ - λ).
    #[must_use]
    pub fn wait_s(&self) -> f64 {
        self.waiting_share / self.relief_per_s()
    }

    /// The share of arrivals that wait longer than `wait_s` seconds: C exp(-(cμ - λ) t).
    #[must_use]
    pub fn waits_longer_than(&self, wait_s: f64) -> f64 {
        self.waiting_share * (-self.relief_per_s() * wait_s).exp()
    }

    /// The wait in seconds that a `share` of the arrivals, below 1, does not exceed.
    #[must_use]
    pub fn wait_quantile_s(&self, share: f64) -> f64 {
        let longer = 1.0 - share;
        if self.waiting_share <= longer {
            return 0.0;
        }
        (self.waiting_share / longer).ln() / self.relief_per_s()
    }

    /// The mean response in seconds: wait and service.
    #[must_use]
    pub fn response_s(&self) -> f64 {
        self.wait_s() + self.service_s
    }

    /// The share of arrivals whose response takes longer than `response_s` seconds: the tail of an
    /// exponential service after a wait that is nothing, or exponential too.
    #[must_use]
    pub fn responds_later_than(&self, response_s: f64) -> f64 {
        let (mu, theta) = (1.0 / self.service_s, self.relief_per_s());
        let served = (-mu * response_s).exp();
        let difference = theta - mu;
        // The limit where both rates are the same; beside it the quotient loses its digits.
        let waited = if (difference * response_s).abs() < 1e-6 {
            served * (1.0 + mu * response_s)
        } else {
            (theta * served - mu * (-theta * response_s).exp()) / difference
        };
        (1.0 - self.waiting_share) * served + self.waiting_share * waited
    }

    /// The response in seconds that a `share` of the arrivals, below 1, does not exceed.
    #[must_use]
    pub fn response_quantile_s(&self, share: f64) -> f64 {
        let longer = 1.0 - share;
        let is_beyond = |response_s: f64| self.responds_later_than(response_s) <= longer;
        let mut high = self.response_s();
        while !is_beyond(high) {
            high *= 2.0;
        }
        let mut low = 0.0;
        // Each round halves what is left; more than the digits of a number has no effect.
        for _ in 0..f64::MANTISSA_DIGITS {
            let middle = low + (high - low) / 2.0;
            if is_beyond(middle) {
                high = middle;
            } else {
                low = middle;
            }
        }
        high
    }

    /// How many wait on average, by Little's law: λ × mean wait.
    #[must_use]
    pub fn waiting(&self) -> f64 {
        little(self.arrivals_per_s, self.wait_s())
    }
}

/// Little's law (J. D. C. Little, *A proof for the queuing formula: L = λW*, 1961): how many are
/// inside on average, when `per_s` come and each stays for `stay_s` seconds. Holds for whatever is
/// stable, with any distributions and any order.
#[must_use]
pub fn little(per_s: f64, stay_s: f64) -> f64 {
    per_s * stay_s
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn queue(workers: u32, erlangs: f64) -> Mmc {
        Mmc::new(NonZeroU32::new(workers).unwrap(), erlangs, 1.0).unwrap()
    }

    fn close(found: f64, expected: f64, tolerance: f64) {
        assert!(
            (found - expected).abs() <= tolerance,
            "{found}, not {expected}"
        );
    }

    /// Tables of Erlang B as every book on telephone traffic has them: the offered load at which so
    /// many lines lose 1 % of the calls.
    #[test]
    fn erlang_b_agrees_with_the_published_tables() {
        let one_percent = [
            (1, 0.0101),
            (2, 0.153),
            (5, 1.36),
            (10, 4.46),
            (15, 8.108),
            (20, 12.03),
            (100, 84.1),
        ];
        for (lines, erlangs) in one_percent {
            close(erlang_b(lines, erlangs), 0.01, 2e-4);
        }
        // B(c, a) = (a^c / c!) / Σ a^k / k!, exactly: 1/2, 1/5, 2/5.
        close(erlang_b(1, 1.0), 0.5, 1e-15);
        close(erlang_b(2, 1.0), 0.2, 1e-15);
        close(erlang_b(2, 2.0), 0.4, 1e-15);
    }

    /// C = x / ((1-ρ) Σ a^k / k! + x) with x = a^c / c! and the sum over k < c, by hand: for two
    /// workers a² / (2 + a), and the others as fractions or to four digits.
    #[test]
    fn erlang_c_agrees_with_what_its_sum_gives_by_hand() {
        for erlangs in [0.2, 1.0, 1.8] {
            let expected = erlangs * erlangs / (2.0 + erlangs);
            close(queue(2, erlangs).waiting_share(), expected, 1e-14);
        }
        close(queue(4, 2.0).waiting_share(), 4.0 / 23.0, 1e-14);
        close(queue(3, 2.0).waiting_share(), 4.0 / 9.0, 1e-14);
        close(queue(4, 3.6).waiting_share(), 0.7878, 5e-5);
        close(queue(10, 8.0).waiting_share(), 0.4092, 5e-5);
        close(queue(100, 90.0).waiting_share(), 0.2169, 5e-5);
    }

    #[test]
    fn one_worker_is_the_textbook_queue() {
        for load in [0.1, 0.5, 0.9] {
            let queue = queue(1, load);
            close(queue.waiting_share(), load, 1e-12);
            close(queue.wait_s(), load / (1.0 - load), 1e-9);
            // The response of M/M/1 is exponential with rate μ - λ.
            close(
                queue.response_quantile_s(0.99),
                100.0_f64.ln() / (1.0 - load),
                1e-9,
            );
        }
    }

    #[test]
    fn who_cannot_keep_up_is_told() {
        let four = NonZeroU32::new(4).unwrap();
        for erlangs in [4.0, 5.0, f64::NAN, f64::INFINITY] {
            assert!(Mmc::new(four, erlangs, 1.0).is_err(), "{erlangs}");
        }
        assert_eq!(Mmc::least(10.0, 1.0, 10, |_| true), None);
    }

    #[test]
    fn a_million_workers_neither_overflow_nor_underflow() {
        let queue = queue(1_000_000, 999_000.0);
        assert!((0.0..1.0).contains(&queue.waiting_share()), "{queue:?}");
        close(erlang_b(1_000_000, 1.0), 0.0, 0.0);
    }

    #[test]
    fn the_least_queue_is_enough_and_one_less_is_not() {
        let fast = |queue: &Mmc| queue.response_quantile_s(0.99) < 6.0;
        let least = Mmc::least(100.0, 1.0, 1_000, fast).unwrap();
        let less = NonZeroU32::new(least.workers() - 1).unwrap();
        assert!(fast(&least) && !Mmc::new(less, 100.0, 1.0).is_ok_and(|queue| fast(&queue)));
    }

    proptest! {
        #[test]
        fn quantiles_are_the_inverse_of_tails(
            workers in 1_u32..200, load in 0.01_f64..0.99, share in 0.01_f64..0.999
        ) {
            let queue = queue(workers, f64::from(workers) * load);
            let later = queue.responds_later_than(queue.response_quantile_s(share));
            prop_assert!((later - (1.0 - share)).abs() < 1e-6, "{later}");
            let wait_s = queue.wait_quantile_s(share);
            prop_assert!(queue.waits_longer_than(wait_s) <= 1.0 - share + 1e-12);
        }

        #[test]
        fn more_load_waits_longer_and_more_workers_shorter(
            workers in 1_u32..100, load in 0.01_f64..0.95
        ) {
            let erlangs = f64::from(workers) * load;
            let wait_s = queue(workers, erlangs).wait_s();
            prop_assert!(queue(workers, erlangs * 1.02).wait_s() >= wait_s);
            prop_assert!(queue(workers + 1, erlangs).wait_s() <= wait_s);
        }

        #[test]
        fn one_queue_waits_less_than_one_for_each_worker(
            workers in 2_u32..64, load in 0.05_f64..0.98
        ) {
            let shared = queue(workers, f64::from(workers) * load);
            prop_assert!(shared.wait_s() < queue(1, load).wait_s());
        }

        #[test]
        fn the_tail_of_the_response_has_its_mean(workers in 1_u32..20, load in 0.05_f64..0.9) {
            let queue = queue(workers, f64::from(workers) * load);
            // The mean is the area under the tail.
            let step_s = queue.response_quantile_s(0.999_999_9) / 20_000.0;
            let area: f64 = (0..20_000)
                .map(|step| queue.responds_later_than((f64::from(step) + 0.5) * step_s) * step_s)
                .sum();
            prop_assert!((area / queue.response_s() - 1.0).abs() < 1e-3, "{area}");
        }
    }
}
