//! The metrics of a server, as a parser of Prometheus reads them.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use prometheus_parse::{Scrape, Value};

use super::ServerProcess;
use super::http::{admin_of, get_with};

/// Every sample by its name and labels.
pub(crate) type Samples = BTreeMap<String, f64>;

/// A server with an admin endpoint, and where that listens.
pub(crate) fn server(args: &[&str]) -> (ServerProcess, SocketAddr) {
    let server = ServerProcess::start(&[args, &["--admin", "127.0.0.1:0"]].concat());
    let admin = admin_of(&server);
    (server, admin)
}

pub(crate) fn scrape(admin: SocketAddr) -> Samples {
    scrape_with(admin, &[])
}

/// The same by a request with more headers.
pub(crate) fn scrape_with(admin: SocketAddr, headers: &[&str]) -> Samples {
    samples(&get_with(admin, "/metrics", headers).body)
}

pub(crate) fn samples(text: &str) -> Samples {
    let scrape = Scrape::parse(text.lines().map(|line| Ok(line.to_owned()))).unwrap();
    let mut all = Samples::new();
    for sample in scrape.samples {
        let labels: BTreeMap<_, _> = sample.labels.iter().collect();
        let labels: Vec<_> = labels
            .iter()
            .map(|(key, value)| format!("{key}={value}"))
            .collect();
        let labels = labels.join(",");
        let mut keep = |name: String, value| {
            assert_eq!(all.insert(name.clone(), value), None, "twice: {name}");
        };
        match sample.value {
            Value::Counter(value) | Value::Gauge(value) | Value::Untyped(value) => {
                keep(format!("{}{{{labels}}}", sample.metric), value);
            }
            Value::Histogram(buckets) => {
                for bucket in buckets {
                    let le = bucket.less_than;
                    keep(format!("{}_bucket{{le={le}}}", sample.metric), bucket.count);
                }
            }
            Value::Summary(_) => panic!("a summary: {}", sample.metric),
        }
    }
    all
}

/// That sample; `{}` may be left out.
pub(crate) fn pick(samples: &Samples, name: &str) -> Option<f64> {
    let bare = samples.get(&format!("{name}{{}}"));
    samples.get(name).or(bare).copied()
}

pub(crate) fn value(admin: SocketAddr, name: &str) -> f64 {
    let all = scrape(admin);
    pick(&all, name).unwrap_or_else(|| panic!("no {name} in {all:#?}"))
}

pub(crate) fn until(server: &ServerProcess, admin: SocketAddr, name: &str, wanted: f64) {
    server.until(name, || server.moment(), || value(admin, name) == wanted);
}
