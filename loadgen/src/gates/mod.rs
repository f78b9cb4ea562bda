//! Promises about a run, and whether it kept them: `p99<2ms`, at most 1 % errors, everybody served.
//!
//! A promise is a value that is parsed once and evaluated on any report, also on one that was kept
//! or merged. A figure that does not exist keeps no promise: the p99 of ten requests is unknown,
//! and so is the mean where somebody still waits.

mod latency;

use std::str::FromStr;

use crate::report::{Gate, Report, Verdict};
use latency::LatencyRule;

/// The gate that is there without being asked for.
const SERVED: &str = "at-least-one-served";
const ERROR_RATE: &str = "max-error-rate ";
const MIN_SERVED: &str = "min-served ";

/// What a run is expected to keep.
#[derive(Clone, Debug, PartialEq)]
pub struct Promise {
    name: String,
    rule: Rule,
}

#[derive(Clone, Debug, PartialEq)]
enum Rule {
    /// At least one client gets an answer.
    OneServed,
    /// A figure of a latency stays below a limit.
    Latency(LatencyRule),
    /// At most this share of the requests that ended, ended without an answer.
    ErrorRate(f64),
    /// At least this share of the clients asked is served.
    ServedShare(f64),
    /// At least this many clients are served.
    ServedClients(u32),
}

/// A text that is no promise; it says what one looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadPromise {
    /// No promise about a latency.
    #[error(
        "must be [LATENCY.]FIGURE<TIME with LATENCY connect, admission, rtt, response or lag and \
         FIGURE p1 to p99.999, mean or max, such as p99<2ms or admission.max<=1s"
    )]
    Latency,
    /// No share of requests.
    #[error("must be a share from 0% to 100%, such as 1% or 0.01")]
    ErrorRate,
    /// No number and no share of clients.
    #[error(
        "must be a share of the clients from 0% to 100% or a number of them, such as 100% or 50"
    )]
    MinServed,
}

impl Promise {
    /// At least one client is served: what every run promises.
    #[must_use]
    pub fn one_served() -> Self {
        Self {
            name: SERVED.to_owned(),
            rule: Rule::OneServed,
        }
    }

    /// What `--slo` takes, such as `p99<2ms`.
    ///
    /// ```
    /// use loadgen::gates::Promise;
    ///
    /// assert_eq!(Promise::latency("rtt.p99.9 <= 2ms")?.name(), "rtt.p99.9<=2ms");
    /// assert!(Promise::latency("p100<2ms").is_err());
    /// # Ok::<(), loadgen::gates::BadPromise>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`BadPromise::Latency`] when `typed` is no such promise.
    pub fn latency(typed: &str) -> Result<Self, BadPromise> {
        let name: String = typed.chars().filter(|c| *c != ' ').collect();
        let rule = LatencyRule::parse(&name).ok_or(BadPromise::Latency)?;
        Ok(Self {
            name,
            rule: Rule::Latency(rule),
        })
    }

    /// What `--max-error-rate` takes: `1%` or `0.01`.
    ///
    /// # Errors
    ///
    /// [`BadPromise::ErrorRate`] when `typed` is no share.
    pub fn error_rate(typed: &str) -> Result<Self, BadPromise> {
        let typed = typed.trim();
        let limit = match typed.strip_suffix('%') {
            Some(percent) => number(percent).map(|percent| percent / 100.0),
            None => number(typed),
        };
        let limit = limit.filter(|share| (0.0..=1.0).contains(share));
        Ok(Self {
            name: format!("{ERROR_RATE}{typed}"),
            rule: Rule::ErrorRate(limit.ok_or(BadPromise::ErrorRate)?),
        })
    }

    /// What `--min-served` takes: `100%` of the clients or `50` clients.
    ///
    /// # Errors
    ///
    /// [`BadPromise::MinServed`] when `typed` is neither.
    pub fn min_served(typed: &str) -> Result<Self, BadPromise> {
        let typed = typed.trim();
        let rule = match typed.strip_suffix('%') {
            Some(percent) => number(percent)
                .filter(|percent| (0.0..=100.0).contains(percent))
                .map(|percent| Rule::ServedShare(percent / 100.0)),
            None => Some(typed)
                .filter(|digits| digits.bytes().all(|b| b.is_ascii_digit()))
                .and_then(|digits| digits.parse().ok())
                .map(Rule::ServedClients),
        };
        Ok(Self {
            name: format!("{MIN_SERVED}{typed}"),
            rule: rule.ok_or(BadPromise::MinServed)?,
        })
    }

    /// What it is called in a report; [`FromStr`] reads it back.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether `report` keeps it.
    #[must_use]
    pub fn evaluate(&self, report: &Report) -> Gate {
        let clients = &report.clients;
        let served = Some(f64::from(clients.served));
        let (limit, value, kept): (f64, _, fn(f64, f64) -> bool) = match self.rule {
            Rule::OneServed => (1.0, served, |value, limit| value >= limit),
            Rule::ServedClients(least) => (f64::from(least), served, |value, limit| value >= limit),
            Rule::ServedShare(share) => {
                let least = (share * f64::from(clients.asked) - ROUNDING).ceil();
                (least, served, |value, limit| value >= limit)
            }
            Rule::ErrorRate(most) => (most, error_rate(report), |value, limit| value <= limit),
            Rule::Latency(rule) => {
                let limit_us = rule.limit.as_secs_f64() * 1e6;
                let kept: fn(f64, f64) -> bool = if rule.may_equal {
                    |value, limit| value <= limit
                } else {
                    |value, limit| value < limit
                };
                (limit_us, rule.value_us(report), kept)
            }
        };
        Gate {
            name: self.name.clone(),
            limit,
            value,
            verdict: if value.is_some_and(|value| kept(value, limit)) {
                Verdict::Pass
            } else {
                Verdict::Fail
            },
        }
    }
}

/// What a share of a number of clients may miss a whole number by.
const ROUNDING: f64 = 1e-9;

/// The name of a promise in a report.
impl FromStr for Promise {
    type Err = BadPromise;

    fn from_str(name: &str) -> Result<Self, BadPromise> {
        if name == SERVED {
            Ok(Self::one_served())
        } else if let Some(share) = name.strip_prefix(ERROR_RATE) {
            Self::error_rate(share)
        } else if let Some(least) = name.strip_prefix(MIN_SERVED) {
            Self::min_served(least)
        } else {
            Self::latency(name)
        }
    }
}

/// The gates of `report` for what every run promises and for `promises`, each once.
#[must_use]
pub fn evaluate(promises: &[Promise], report: &Report) -> Vec<Gate> {
    let all = [Promise::one_served()];
    distinct(all.iter().chain(promises).map(|p| p.evaluate(report)))
}

/// Evaluates anew what `report` says it was promised, and `more`. A gate whose name is no promise
/// cannot be evaluated and fails.
#[must_use]
pub fn evaluate_again(more: &[Promise], report: &Report) -> Vec<Gate> {
    let again = |old: &Gate| match old.name.parse::<Promise>() {
        Ok(promise) => promise.evaluate(report),
        Err(_) => Gate {
            value: None,
            verdict: Verdict::Fail,
            ..old.clone()
        },
    };
    let first = Promise::one_served().evaluate(report);
    let old = report.gates.iter().map(again);
    let new = more.iter().map(|promise| promise.evaluate(report));
    distinct(std::iter::once(first).chain(old).chain(new))
}

/// The first gate of each name.
fn distinct(gates: impl Iterator<Item = Gate>) -> Vec<Gate> {
    let mut kept: Vec<Gate> = Vec::new();
    for gate in gates {
        if kept.iter().all(|known| known.name != gate.name) {
            kept.push(gate);
        }
    }
    kept
}

/// What was measured at a gate and what it was held against, for people.
pub(crate) fn sentence(gate: &Gate) -> String {
    let shown = |value: f64| match gate.name.parse().map(|promise: Promise| promise.rule) {
        Ok(Rule::Latency(_)) => cli::units::micros(value),
        Ok(Rule::ErrorRate(_)) => format!("{}%", (value * 1e5).round() / 1e3),
        _ => value.to_string(),
    };
    let value = gate.value.map_or("no such figure".to_owned(), shown);
    match gate.name.parse().map(|promise: Promise| promise.rule) {
        Ok(Rule::Latency(_) | Rule::ErrorRate(_)) => format!("{}: {value}", gate.name),
        _ => format!("{}: {value}, at least {}", gate.name, gate.limit),
    }
}

/// A number without sign or exponent.
fn number(text: &str) -> Option<f64> {
    let plain = text.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    text.parse().ok().filter(|_| plain)
}

/// The share of the requests that ended in the window without an answer; none when none ended.
fn error_rate(report: &Report) -> Option<f64> {
    let r = &report.requests;
    let failed = r.errors as f64 + r.timeouts as f64;
    let ended = failed + r.answered as f64;
    (ended > 0.0).then(|| failed / ended)
}

#[cfg(test)]
mod tests;
