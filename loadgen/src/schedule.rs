//! When each request of an open loop is due. Pure arithmetic: no clock and no socket, so it is
//! tested exactly.
//!
//! ```text
//! place of a request ──▶ Curve (rate over time) ──▶ due time
//!   constant: client i of n has the places i, i + n, i + 2n, …
//!   poisson:  a client's places lie n × (an exponential gap of mean 1) apart
//! ```
//!
//! Each client keeps a schedule of its own, so that a request waits for *its* client and a client
//! that the server never serves is seen for what it is. All schedules together have the rate asked
//! for, and their phases are spread evenly.

use std::time::Duration;

use crate::random::{self, Key};
use crate::time::{Moment, nanos};

/// The lowest and the highest rate in requests per second: one a day, and one a nanosecond.
pub const RATES: std::ops::RangeInclusive<f64> = 1.0 / 86_400.0..=1e9;

/// How the due times of one client follow each other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Arrivals {
    /// In equal steps.
    #[default]
    Constant,
    /// At random and independent of each other, as from many users: gaps are exponential.
    Poisson,
}

/// The rate over time, summed over all clients.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Rate {
    /// The same all the time, in requests per second.
    Constant(f64),
    /// From the first rate to the second, linearly over the window; the warm-up has the first.
    Ramp(f64, f64),
}

/// A rate is out of range.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[error("a rate must be between one request a day and 1e9 per second, not {per_s}")]
pub struct InvalidRate {
    /// The offending value, in requests per second.
    pub per_s: f64,
}

/// The due times of all requests of a run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Schedule {
    curve: Curve,
    arrivals: Arrivals,
    clients: u32,
    seed: u64,
}

/// A request's place in the schedule: how many requests of all clients are due before it. Its next
/// one follows from it, so that it is all that a client has to keep.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub(crate) struct Place(f64);

/// `from_per_s` until `flat_s`, then linearly to `to_per_s` within `ramp_s`, then that.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Curve {
    from_per_s: f64,
    to_per_s: f64,
    flat_s: f64,
    ramp_s: f64,
}

impl Rate {
    /// Checks both ends.
    ///
    /// # Errors
    ///
    /// [`InvalidRate`] for a rate outside [`RATES`]. One that the machine cannot reach is fine: it
    /// shows up as latency, which is the point of an open loop.
    pub fn checked(self) -> Result<Self, InvalidRate> {
        let (from, to) = self.ends();
        match [from, to].into_iter().find(|per_s| !RATES.contains(per_s)) {
            None => Ok(self),
            Some(per_s) => Err(InvalidRate { per_s }),
        }
    }

    /// The rates at the start and at the end of the window.
    #[must_use]
    pub const fn ends(self) -> (f64, f64) {
        match self {
            Self::Constant(per_s) => (per_s, per_s),
            Self::Ramp(from, to) => (from, to),
        }
    }
}

impl Place {
    /// The place of a client without a schedule.
    pub(crate) const NONE: Self = Self(0.0);
}

impl Schedule {
    /// The schedule of `clients` clients. A ramp begins after `warmup` and takes as long as the
    /// window.
    ///
    /// # Errors
    ///
    /// [`InvalidRate`] for a rate outside [`RATES`].
    pub fn new(
        rate: Rate,
        arrivals: Arrivals,
        (warmup, window): (Duration, Duration),
        (clients, seed): (u32, u64),
    ) -> Result<Self, InvalidRate> {
        let (from_per_s, to_per_s) = rate.checked()?.ends();
        Ok(Self {
            curve: Curve {
                from_per_s,
                to_per_s,
                flat_s: warmup.as_secs_f64(),
                ramp_s: window.as_secs_f64(),
            },
            arrivals,
            clients,
            seed,
        })
    }

    /// How long after the start of the run each request of client `number` is due, for ever.
    ///
    /// Latency is counted from this moment and not from the moment of sending: a server that
    /// stalls also delays the sending of the *next* requests, and a clock started late would hide
    /// exactly the delay that a user would have seen (coordinated omission).
    ///
    /// ```
    /// use std::time::Duration;
    /// use loadgen::schedule::{Arrivals, Rate, Schedule};
    ///
    /// let spans = (Duration::ZERO, Duration::from_secs(10));
    /// let schedule = Schedule::new(Rate::Constant(200.0), Arrivals::Constant, spans, (2, 1))?;
    /// let second: Vec<_> = schedule.due_times(1).take(2).collect();
    /// assert_eq!(second, [Duration::from_millis(5), Duration::from_millis(15)]);
    /// # Ok::<(), loadgen::schedule::InvalidRate>(())
    /// ```
    pub fn due_times(&self, number: u32) -> impl Iterator<Item = Duration> + use<> {
        let schedule = *self;
        let first = schedule.first(number, Moment::START);
        std::iter::successors(Some(first), move |place| {
            Some(schedule.after(number, *place))
        })
        .map(move |place| schedule.due(place).elapsed().unwrap_or(Duration::MAX))
    }

    /// The place of the first request of client `number` that is due at `start` or later.
    pub(crate) fn first(&self, number: u32, start: Moment) -> Place {
        let mut place = match self.arrivals {
            Arrivals::Constant => Place(f64::from(number)),
            Arrivals::Poisson => self.after(number, Place(0.0)),
        };
        if self.arrivals == Arrivals::Constant && start > Moment::START {
            // Many periods may lie before the start; the last of them is found step by step.
            let n = f64::from(self.clients);
            let rounds = (self.curve.count_before(start) - f64::from(number)) / n;
            place = Place(f64::from(number) + n * (rounds.floor() - 1.0).max(0.0));
        }
        while self.due(place) < start {
            place = self.after(number, place);
        }
        place
    }

    /// The place of the request of client `number` that follows the one at `place`.
    #[inline]
    pub(crate) fn after(&self, number: u32, place: Place) -> Place {
        let step = match self.arrivals {
            Arrivals::Constant => 1.0,
            Arrivals::Poisson => {
                let key = Key::new(self.seed, number).with(place.0.to_bits());
                random::exponential(key)
            }
        };
        // A gap that is lost in rounding must not stop the schedule.
        Place((place.0 + step * f64::from(self.clients)).max(place.0.next_up()))
    }

    /// When the request at `place` is due. Each due time follows from the start and not from the
    /// one before, so that rounding does not add up over a long run.
    #[inline]
    pub(crate) fn due(&self, place: Place) -> Moment {
        self.curve.reaches(place.0)
    }
}

impl Curve {
    /// When `count` requests have become due.
    fn reaches(&self, count: f64) -> Moment {
        let flat_count = self.from_per_s * self.flat_s;
        let ramp_count = (self.from_per_s + self.to_per_s) / 2.0 * self.ramp_s;
        let after_flat = count - flat_count;
        let seconds = if after_flat <= 0.0 || self.from_per_s == self.to_per_s {
            count / self.from_per_s
        } else if after_flat <= ramp_count {
            // The root of `slope/2 t² + from t = count` in the form that cancels nothing.
            let slope = (self.to_per_s - self.from_per_s) / self.ramp_s;
            let root = (self.from_per_s.powi(2) + 2.0 * slope * after_flat)
                .max(0.0)
                .sqrt();
            self.flat_s + 2.0 * after_flat / (self.from_per_s + root)
        } else {
            self.flat_s + self.ramp_s + (after_flat - ramp_count) / self.to_per_s
        };
        at_seconds(seconds)
    }

    /// How many requests have become due at `moment`: the inverse of [`Curve::reaches`].
    fn count_before(&self, moment: Moment) -> f64 {
        let seconds = moment.since(Moment::START) as f64 / 1e9;
        let flat = seconds.min(self.flat_s);
        let ramp = (seconds - flat).min(self.ramp_s);
        let rest = seconds - flat - ramp;
        let slope = if self.ramp_s > 0.0 {
            (self.to_per_s - self.from_per_s) / self.ramp_s
        } else {
            0.0
        };
        self.from_per_s * (flat + ramp) + slope / 2.0 * ramp * ramp + self.to_per_s * rest
    }
}

/// A number of seconds after the start, to the nearest nanosecond.
fn at_seconds(seconds: f64) -> Moment {
    match Duration::try_from_secs_f64(seconds) {
        Ok(wait) => Moment::at(nanos(wait)),
        Err(_) => Moment::NEVER,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SPANS: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(10));

    fn schedule(rate: Rate, arrivals: Arrivals, clients: u32) -> Schedule {
        Schedule::new(rate, arrivals, SPANS, (clients, 7)).unwrap()
    }

    /// The due times of all clients in nanoseconds, `each` of every client, in order.
    fn merged(schedule: &Schedule, each: usize) -> Vec<u64> {
        let clients = 0..schedule.clients;
        let mut all: Vec<_> = clients
            .flat_map(|number| schedule.due_times(number).take(each).map(nanos))
            .collect();
        all.sort_unstable();
        all
    }

    /// Standard deviation over mean of the gaps.
    fn variation(due: &[u64]) -> f64 {
        let gaps: Vec<_> = due
            .windows(2)
            .map(|pair| (pair[1] - pair[0]) as f64)
            .collect();
        let mean = gaps.iter().sum::<f64>() / gaps.len() as f64;
        let square = gaps.iter().map(|gap| (gap - mean).powi(2)).sum::<f64>() / gaps.len() as f64;
        square.sqrt() / mean
    }

    #[test]
    fn constant_due_times_are_exact_to_the_nanosecond() {
        for rate in [1, 3, 7, 200, 2_000, 33_333, 1_000_000_u64] {
            let schedule = schedule(Rate::Constant(rate as f64), Arrivals::Constant, 1);
            let last_of_a_day = rate * 86_400;
            for index in (0..100_000).chain([last_of_a_day]) {
                let exact = u128::from(index) * 1_000_000_000 / u128::from(rate);
                let due = schedule.due(Place(index as f64)).since(Moment::START);
                assert!(u128::from(due).abs_diff(exact) <= 1, "{index} at {rate}/s");
            }
        }
    }

    #[test]
    fn gaps_are_equal_or_exponential_as_asked() {
        // A rate whose period is a whole number of nanoseconds, and one whose rounding shows.
        for (rate, clients) in [(2_000.0, 100), (1_000.0 / 3.0, 7)] {
            let constant = schedule(Rate::Constant(rate), Arrivals::Constant, clients);
            let due = merged(&constant, 100_000 / clients as usize + 1);
            assert!(variation(&due[..100_000]) <= 1e-6);
        }
        for clients in [1, 100] {
            let poisson = schedule(Rate::Constant(2_000.0), Arrivals::Poisson, clients);
            // Beyond the shortest client's last due time others are missing.
            let due = merged(&poisson, 130_000 / clients as usize);
            let found = variation(&due[..100_000]);
            assert!((found - 1.0).abs() <= 0.02, "{found} of {clients} clients");
            let rate = 100_000.0 / (due[99_999] as f64 / 1e9);
            assert!((rate / 2_000.0 - 1.0).abs() < 0.02, "{rate}");
        }
    }

    #[test]
    fn phases_are_spread_over_the_period() {
        let schedule = schedule(Rate::Constant(1_000.0), Arrivals::Constant, 50);
        let first: Vec<_> = (0..50)
            .map(|number| schedule.due_times(number).next().unwrap().as_millis())
            .collect();
        assert_eq!(first, (0..50).collect::<Vec<_>>());
        let second = schedule.due_times(3).nth(1).unwrap();
        assert_eq!(second, Duration::from_millis(53));
    }

    #[test]
    fn a_ramp_changes_the_rate_over_the_window_and_only_there() {
        let ramp = schedule(Rate::Ramp(100.0, 300.0), Arrivals::Constant, 1);
        let due: Vec<_> = ramp.due_times(0).take(3_000).collect();
        let between = |from: f64, to: f64| {
            let range = Duration::from_secs_f64(from)..Duration::from_secs_f64(to);
            due.iter().filter(|due| range.contains(due)).count()
        };
        assert_eq!(between(0.0, 1.0), 100);
        assert!(between(1.0, 11.0).abs_diff(2_000) <= 1);
        assert!(
            between(5.5, 6.5).abs_diff(200) <= 1,
            "the middle has the mean"
        );
        assert!(between(11.0, 12.0).abs_diff(300) <= 1);
    }

    #[test]
    fn a_client_that_comes_later_begins_with_its_next_due_time() {
        for arrivals in [Arrivals::Constant, Arrivals::Poisson] {
            let schedule = schedule(Rate::Ramp(100.0, 50.0), arrivals, 4);
            let start = Moment::at(7_000_000_000);
            let mut all = schedule.due_times(3).map(|due| Moment::at(nanos(due)));
            let expected = all.find(|due| *due >= start).unwrap();
            assert_eq!(schedule.due(schedule.first(3, start)), expected);
        }
    }

    #[test]
    fn rates_out_of_range_are_named() {
        for per_s in [0.0, -1.0, f64::NAN, f64::INFINITY, 1e10] {
            let error = Rate::Ramp(1.0, per_s).checked().unwrap_err();
            assert!(error.to_string().contains(&per_s.to_string()), "{error}");
        }
    }

    proptest! {
        #[test]
        fn due_times_never_go_back(
            from in 1.0_f64..1e6, to in 1.0_f64..1e6, clients in 1_u32..50, poisson: bool
        ) {
            let arrivals = if poisson { Arrivals::Poisson } else { Arrivals::Constant };
            let schedule = schedule(Rate::Ramp(from, to), arrivals, clients);
            let due: Vec<_> = schedule.due_times(clients - 1).take(500).collect();
            prop_assert!(due.is_sorted());
        }

        #[test]
        fn counting_is_the_inverse_of_reaching(
            from in 1.0_f64..1e4, to in 1.0_f64..1e4, count in 0.0_f64..1e5
        ) {
            let curve = schedule(Rate::Ramp(from, to), Arrivals::Constant, 1).curve;
            let found = curve.count_before(curve.reaches(count));
            // A nanosecond of rounding is `rate × 1 ns` of a request.
            prop_assert!((found - count).abs() <= count * 1e-9 + 1e-4, "{found} for {count}");
        }
    }
}
