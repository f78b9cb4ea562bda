//! What is to be served, and how well.

use std::str::FromStr;
use std::time::Duration;

use serde::{Serialize, Serializer};

use super::erlang::Mmc;

/// What is to be served.
#[derive(Clone, Debug, PartialEq)]
pub struct Demand {
    /// Clients that are connected at the same time.
    pub clients: u64,
    /// How long each is silent between an answer and its next request, on average.
    pub think: Duration,
    /// How long a request takes on average, where nobody is in its way.
    pub service: Duration,
    /// What that time is spent with.
    pub kind: Kind,
    /// Requests per second over all clients, where that does not follow from the think time.
    pub rate_per_s: Option<f64>,
    /// How well.
    pub promise: Option<Slo>,
    /// How long a client stays connected on average; for ever if nothing is said.
    pub stay: Option<Duration>,
    /// Processors of a machine.
    pub cores: u32,
    /// Memory of a machine in bytes.
    pub memory_bytes: u64,
    /// How much of processors and memory may be used, as a share above 0 and below 1.
    pub utilization: f64,
}

/// What a service spends its time with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// It waits for something else, such as a database, and needs no processor meanwhile.
    #[default]
    Io,
    /// It computes.
    Cpu,
}

impl Demand {
    /// Requests per second from `clients` of them. In a closed loop at most: who waits does not ask.
    #[must_use]
    pub fn arrivals_per_s(&self, clients: u64) -> f64 {
        match self.rate_per_s {
            Some(rate_per_s) => rate_per_s * clients as f64 / self.clients as f64,
            None => clients as f64 / (self.think + self.service).as_secs_f64(),
        }
    }

    /// Whether `queue` responds as promised. Without a promise, if the mean wait does not exceed
    /// the service: a response takes at most twice as long as on an empty server.
    #[must_use]
    pub fn is_kept_by(&self, queue: &Mmc) -> bool {
        match &self.promise {
            None => queue.wait_s() <= queue.response_s() / 2.0,
            Some(slo) => slo.of(queue) < slo.limit.as_secs_f64(),
        }
    }

    /// Whether clients that wait do not ask: the think time makes the rate, and nobody else.
    #[must_use]
    pub const fn is_closed(&self) -> bool {
        self.rate_per_s.is_none()
    }

    /// Whether a request that nobody is in the way of, and that takes `service_s`, is answered as
    /// promised.
    #[must_use]
    pub fn is_kept_alone(&self, service_s: f64) -> bool {
        let promise = self.promise.as_ref();
        promise.is_none_or(|slo| slo.figure.of_exponential(service_s) < slo.limit.as_secs_f64())
    }

    /// Why nothing can keep the promise, if so.
    #[must_use]
    pub fn is_impossible(&self) -> Option<String> {
        self.promise.as_ref()?.is_impossible(self.service)
    }
}

/// A promise about the response, such as `p99<50ms`.
#[derive(Clone, Debug, PartialEq)]
pub struct Slo {
    /// Of which figure.
    pub figure: Figure,
    /// Below which it stays.
    pub limit: Duration,
}

/// A figure of a response.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Figure {
    /// The mean.
    Mean,
    /// What this share of the responses does not exceed, above 0 and below 1.
    Quantile(f64),
}

impl Figure {
    /// Its value in seconds for a service of mean `service_s` that nobody waits for.
    #[must_use]
    pub fn of_exponential(self, service_s: f64) -> f64 {
        match self {
            Self::Mean => service_s,
            Self::Quantile(share) => -service_s * (1.0 - share).ln(),
        }
    }
}

impl std::fmt::Display for Figure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Mean => f.write_str("mean"),
            // Rounded, or 0.999 would be shown with all the digits of a float.
            Self::Quantile(share) => write!(f, "p{}", (share * 1e5).round() / 1e3),
        }
    }
}

impl Slo {
    /// Why nothing can keep it, if so: `service` alone breaks it.
    #[must_use]
    pub fn is_impossible(&self, service: Duration) -> Option<String> {
        let alone_s = self.figure.of_exponential(service.as_secs_f64());
        (alone_s >= self.limit.as_secs_f64()).then(|| {
            format!(
                "nothing keeps '--slo {self}': the {} of the service alone, taken to be exponential, \
                 is {}; give --slo more, or --service less",
                self.figure,
                cli::units::micros(alone_s * 1e6)
            )
        })
    }

    /// The figure of the response of `queue`, in seconds.
    #[must_use]
    pub fn of(&self, queue: &Mmc) -> f64 {
        match self.figure {
            Figure::Mean => queue.response_s(),
            Figure::Quantile(share) => queue.response_quantile_s(share),
        }
    }
}

impl std::fmt::Display for Slo {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}<{}", self.figure, cli::units::span(self.limit))
    }
}

impl Serialize for Slo {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A text that is no promise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be FIGURE<TIME with FIGURE mean or p1 to p99.999, such as p99<50ms")]
pub struct InvalidSlo;

impl FromStr for Slo {
    type Err = InvalidSlo;

    fn from_str(text: &str) -> Result<Self, InvalidSlo> {
        let (figure, limit) = text.split_once('<').ok_or(InvalidSlo)?;
        let limit = cli::units::parse_duration(limit.trim()).filter(|limit| !limit.is_zero());
        let figure = match figure.trim() {
            "mean" => Figure::Mean,
            percentile => {
                let digits = percentile.strip_prefix('p').ok_or(InvalidSlo)?;
                let plain = digits.bytes().all(|b| b.is_ascii_digit() || b == b'.');
                let percent: Option<f64> = digits.parse().ok().filter(|_| plain);
                let percent = percent.filter(|percent| (1.0..=99.999).contains(percent));
                Figure::Quantile(percent.ok_or(InvalidSlo)? / 100.0)
            }
        };
        let limit = limit.ok_or(InvalidSlo)?;
        Ok(Self { figure, limit })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn promises_are_read_and_shown() {
        for text in ["p99<50ms", "mean<2ms", "p99.9<1s"] {
            assert_eq!(text.parse::<Slo>().unwrap().to_string(), text);
        }
        assert_eq!("p99 < 50ms".parse::<Slo>().unwrap().to_string(), "p99<50ms");
        for text in [
            "", "p99", "p99<", "p99<0s", "p99<5", "p100<1s", "p0<1s", "p-5<1s", "max<1s",
        ] {
            assert_eq!(text.parse::<Slo>(), Err(InvalidSlo), "{text}");
        }
    }

    #[test]
    fn a_percentile_of_an_exponential_service_is_known() {
        let p99 = Figure::Quantile(0.99).of_exponential(1.0);
        assert!((p99 - 100.0_f64.ln()).abs() < 1e-12);
        assert_eq!(Figure::Mean.of_exponential(2.0), 2.0);
    }
}
