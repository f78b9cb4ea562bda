//! Which metrics there are, as values. Pure.
//!
//! Names are those of the status and the log wherever there is one. Labels have few values: slots
//! and not process numbers, reasons and not peers. A figure that does not exist has no sample.

use std::borrow::Cow;

use prometheus_client::registry::Unit;

use super::super::tally::Tally;
use crate::status::{Connections, Endings, Histogram, Rejections, State, Status, WorkerStatus};

/// What the metrics are made of.
#[derive(Debug)]
pub(in crate::admin) struct Scrape<'a> {
    pub(in crate::admin) status: &'a Status,
    pub(in crate::admin) tally: &'a Tally,
    /// When the server was started, in seconds since 1970.
    pub(in crate::admin) started_s: f64,
    /// The processor time of the leading process.
    pub(in crate::admin) cpu_s: Option<f64>,
    /// Its memory that is in use.
    pub(in crate::admin) rss_bytes: Option<u64>,
}

/// All samples of one name.
#[derive(Debug)]
pub(super) struct Family {
    /// Without prefix, unit and `_total`.
    pub(super) name: Cow<'static, str>,
    pub(super) help: &'static str,
    pub(super) unit: Option<Unit>,
    pub(super) samples: Samples,
}

pub(super) type Labels = Vec<(&'static str, String)>;

#[derive(Debug)]
pub(super) enum Samples {
    Counters(Vec<(Labels, Number)>),
    Gauges(Vec<(Labels, Number)>),
    Histogram(Waits),
    Info(Labels),
}

/// A histogram as the library takes it: each bucket without those before.
#[derive(Debug)]
pub(super) struct Waits {
    pub(super) buckets: Vec<(f64, u64)>,
    pub(super) count: u64,
    pub(super) sum: f64,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Number {
    Whole(u64),
    Real(f64),
}

impl From<u64> for Number {
    fn from(number: u64) -> Self {
        Self::Whole(number)
    }
}

impl From<u32> for Number {
    fn from(number: u32) -> Self {
        Self::Whole(number.into())
    }
}

impl From<usize> for Number {
    fn from(number: usize) -> Self {
        Self::Whole(number as u64)
    }
}

impl From<f64> for Number {
    fn from(number: f64) -> Self {
        Self::Real(number)
    }
}

impl Samples {
    pub(super) fn is_empty(&self) -> bool {
        match self {
            Self::Counters(samples) | Self::Gauges(samples) => samples.is_empty(),
            Self::Histogram(_) | Self::Info(_) => false,
        }
    }
}

impl Family {
    fn new(name: impl Into<Cow<'static, str>>, help: &'static str, samples: Samples) -> Self {
        Self {
            name: name.into(),
            help,
            unit: None,
            samples,
        }
    }

    fn counter(name: &'static str, help: &'static str, samples: Vec<(Labels, Number)>) -> Self {
        Self::new(name, help, Samples::Counters(samples))
    }

    fn gauge(name: &'static str, help: &'static str, samples: Vec<(Labels, Number)>) -> Self {
        Self::new(name, help, Samples::Gauges(samples))
    }

    fn in_unit(self, unit: Unit) -> Self {
        Self {
            unit: Some(unit),
            ..self
        }
    }
}

/// The only sample of a name, if there is one.
fn one(number: impl IntoIterator<Item: Into<Number>>) -> Vec<(Labels, Number)> {
    let numbers = number.into_iter().map(Into::into);
    numbers.map(|number| (Labels::new(), number)).collect()
}

/// A sample for each value of a label.
fn by<V: ToString, N: Into<Number>>(
    label: &'static str,
    numbers: impl IntoIterator<Item = (V, N)>,
) -> Vec<(Labels, Number)> {
    let numbers = numbers.into_iter();
    numbers
        .map(|(value, number)| (vec![(label, value.to_string())], number.into()))
        .collect()
}

/// All of them.
pub(super) fn families(scrape: &Scrape<'_>) -> Vec<Family> {
    let status = scrape.status;
    let mut all = identity(scrape);
    all.extend(places(status));
    all.extend(status.counters.list().map(|(name, help, value)| {
        Family::new(name, help.trim(), Samples::Counters(one([value])))
    }));
    all.extend(reasons(status));
    all.extend(workers(&status.workers));
    all.extend(own(scrape.tally));
    all
}

/// What it is, and since when.
fn identity(scrape: &Scrape<'_>) -> Vec<Family> {
    let status = scrape.status;
    let inside = status.worker_mode.map(|inside| inside.mode().to_string());
    let labels = vec![
        ("version", status.version.to_owned()),
        ("mode", status.mode.to_string()),
        ("worker_mode", inside.unwrap_or_default()),
        ("addr", status.addr.clone()),
    ];
    // A server as a whole is never hung.
    let states = State::ALL.iter().filter(|state| **state != State::Hung);
    let states = states.map(|state| (state, u64::from(*state == status.state)));
    vec![
        Family::new("build", "What serves, and where.", Samples::Info(labels)),
        Family::gauge(
            "start_time",
            "When the server was started, since 1970.",
            one([scrape.started_s]),
        )
        .in_unit(Unit::Seconds),
        Family::gauge(
            "state",
            "1 for what the server is doing, and 0 for the others.",
            by("state", states),
        ),
        Family::counter(
            "leader_cpu",
            "Processor time of the leading process.",
            one(scrape.cpu_s),
        )
        .in_unit(Unit::Seconds),
        Family::gauge(
            "leader_resident_memory",
            "Memory of the leading process that is in use.",
            one(scrape.rss_bytes),
        )
        .in_unit(Unit::Bytes),
    ]
}

/// Who is inside, who waits, and how many may.
fn places(status: &Status) -> Vec<Family> {
    let Connections {
        queued,
        fresh,
        answered,
    } = status.connections;
    let open = [("queued", queued), ("fresh", fresh), ("answered", answered)];
    let ready = status.workers.iter().map(|one| one.state);
    let count = |state| ready.clone().filter(|one| *one == state).count();
    let workers = State::ALL.map(|state| (state, count(state)));
    let listen = &status.listen;
    vec![
        Family::gauge(
            "connections",
            "Open connections: queued for a worker, begun with and without an answer, or answered.",
            by("state", open),
        ),
        Family::gauge(
            "connections_limit",
            "Connections that may be inside at once.",
            one([status.max_connections]),
        ),
        Family::gauge(
            "capacity",
            "Long-lived clients that are served at once.",
            one([status.capacity]),
        ),
        Family::gauge(
            "accept_queue_length",
            "Connections that nobody has accepted yet.",
            one(listen.queue),
        ),
        Family::gauge(
            "accept_queue_limit",
            "Connections that the accept queues hold.",
            one(listen.limit),
        ),
        Family::counter(
            "listen_overflows",
            "Connections that found an accept queue of this network namespace full, since the server was started.",
            one(listen.overflows),
        ),
        Family::gauge(
            "workers",
            "Processes that serve, by what they are doing.",
            by("state", workers),
        ),
        Family::gauge(
            "workers_wanted",
            "Workers that shall stand ready.",
            one([status.workers_wanted]),
        ),
        Family::new(
            "first_byte",
            "Waits of clients for their first answer, from the accept on.",
            Samples::Histogram(Waits::of(&status.first_byte)),
        )
        .in_unit(Unit::Seconds),
    ]
}

impl Waits {
    fn of(histogram: &Histogram) -> Self {
        let mut before = 0;
        let mut alone = |count: u64| {
            let alone = count.saturating_sub(before);
            before = count;
            alone
        };
        let buckets = histogram.buckets.iter();
        let mut buckets: Vec<_> = buckets.map(|one| (one.le_s, alone(one.count))).collect();
        buckets.push((f64::INFINITY, alone(histogram.count)));
        Self {
            buckets,
            count: histogram.count,
            sum: histogram.sum_s,
        }
    }
}

/// Why clients were sent away, and why workers ended. Without `..`, so that no reason is forgotten.
fn reasons(status: &Status) -> Vec<Family> {
    let Rejections {
        full,
        resources,
        per_ip,
        dismissed,
    } = status.rejections;
    let rejections = [
        ("full", full),
        ("resources", resources),
        ("per_ip", per_ip),
        ("dismissed", dismissed),
    ];
    let Endings {
        asked,
        restarted,
        recycled,
        hung,
        late,
        signal,
        exit,
        unstarted,
    } = status.ended;
    let ended = [
        ("asked", asked),
        ("restarted", restarted),
        ("recycled", recycled),
        ("hung", hung),
        ("late", late),
        ("signal", signal),
        ("exit", exit),
        ("unstarted", unstarted),
    ];
    vec![
        Family::counter(
            "rejections",
            "Connections closed unserved, by reason.",
            by("reason", rejections),
        ),
        Family::counter(
            "workers_ended",
            "Worker processes that ended while the server went on, by reason.",
            by("reason", ended),
        ),
    ]
}

/// What each process did since it was started. A successor begins at 0, as counters may.
fn workers(workers: &[WorkerStatus]) -> Vec<Family> {
    let each = |figure: &dyn Fn(&WorkerStatus) -> Option<Number>| {
        let known = workers
            .iter()
            .filter_map(|one| Some((one.slot, figure(one)?)));
        by("slot", known)
    };
    vec![
        Family::gauge(
            "worker_connections",
            "Open connections of the process in a slot.",
            each(&|one| Some(one.connections.into())),
        ),
        Family::gauge(
            "worker_age",
            "Time since the process in a slot was started.",
            each(&|one| Some(one.age_s.into())),
        )
        .in_unit(Unit::Seconds),
        Family::gauge(
            "worker_resident_memory",
            "Its memory that is in use.",
            each(&|one| one.rss_bytes.map(Into::into)),
        )
        .in_unit(Unit::Bytes),
        Family::counter(
            "worker_accepted",
            "Connections that it accepted.",
            each(&|one| Some(one.accepted.into())),
        ),
        Family::counter(
            "worker_served",
            "Connections that got at least one byte of it.",
            each(&|one| Some(one.served.into())),
        ),
        Family::counter(
            "worker_requests",
            "Reads of it that brought bytes.",
            each(&|one| Some(one.requests.into())),
        ),
        Family::counter(
            "worker_cpu",
            "Its processor time.",
            each(&|one| one.cpu_s.map(Into::into)),
        )
        .in_unit(Unit::Seconds),
    ]
}

/// The endpoint's own.
fn own(tally: &Tally) -> Vec<Family> {
    vec![
        Family::counter(
            "admin_connections",
            "Connections to the admin endpoint that had a place.",
            one([tally.connections()]),
        ),
        Family::counter(
            "admin_rejections",
            "Connections and requests that it refused, by reason.",
            by("reason", tally.rejections()),
        ),
        Family::counter(
            "admin_responses",
            "Its answers, by status code.",
            by("code", tally.answers()),
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::Bucket;

    #[test]
    fn a_bucket_has_no_waits_of_those_before_and_the_last_has_all_the_rest() {
        let bucket = |le_s, count| Bucket { le_s, count };
        let waits = Waits::of(&Histogram {
            buckets: vec![bucket(0.001, 2), bucket(0.01, 2), bucket(0.1, 5)],
            count: 9,
            sum_s: 1.5,
        });
        let expected = [(0.001, 2), (0.01, 0), (0.1, 3), (f64::INFINITY, 4)];
        assert_eq!(waits.buckets, expected);
        assert_eq!((waits.count, waits.sum), (9, 1.5));
    }
}
