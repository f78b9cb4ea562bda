//! What this machine must give before a run makes sense: descriptors, addresses and local ports.
//!
//! The checks are arithmetic on values; only [`check`] asks the system.

use std::collections::BTreeMap;
use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU32;

use super::target::Targets;
use crate::RunError;
use crate::kernel;
use crate::observe::is_ours;

/// Descriptors beyond one a client: an epoll set a thread, and some for the rest of the process.
const SPARE_DESCRIPTORS: u64 = 16;

/// What a run asks of this machine.
#[derive(Clone, Debug)]
pub(super) struct Demand<'a, C> {
    /// The numbers of the clients.
    pub(super) clients: C,
    /// Threads of each process.
    pub(super) threads: usize,
    /// Processes that share the clients.
    pub(super) processes: NonZeroU32,
    /// Where the clients connect.
    pub(super) targets: &'a Targets,
}

/// Raises the limit on descriptors as far as it goes and checks that `demand` fits.
///
/// # Errors
///
/// [`RunError::Limit`] when this machine cannot open so many connections, and
/// [`RunError::NotOurs`] when an address of `--bind` is none of this machine's.
pub(super) fn check<C>(demand: &Demand<'_, C>) -> Result<(), RunError>
where
    C: Iterator<Item = u32> + Clone,
{
    demand
        .descriptors(open_descriptors())
        .check(kernel::raise_descriptor_limit())?;
    let bind = demand.targets.bind();
    if let Some(address) = bind.iter().find(|address| !is_ours(**address)) {
        return Err(RunError::NotOurs { address: *address });
    }
    match (
        kernel::local_ports(),
        busiest(demand.clients.clone(), demand.targets),
    ) {
        (Some(ports), Some((pair, clients))) => pair.check(clients, ports),
        _ => Ok(()),
    }
}

impl<C: Iterator<Item = u32> + Clone> Demand<'_, C> {
    /// What each process needs when it begins with `open` descriptors.
    fn descriptors(&self, open: u64) -> Descriptors {
        let clients = self.clients.clone().count() as u64;
        Descriptors {
            clients: clients.div_ceil(self.processes.get().into()),
            overhead: self.threads as u64 + open + SPARE_DESCRIPTORS,
        }
    }
}

/// What one process needs.
#[derive(Clone, Copy, Debug)]
struct Descriptors {
    clients: u64,
    overhead: u64,
}

impl Descriptors {
    fn check(self, limit: u64) -> Result<(), RunError> {
        let needed = self.clients + self.overhead;
        if needed <= limit {
            return Ok(());
        }
        let split = match limit.checked_sub(self.overhead).filter(|room| *room > 0) {
            Some(room) => format!("use --processes {}, ", self.clients.div_ceil(room)),
            None => String::new(),
        };
        Err(RunError::Limit(format!(
            "{} connections need {needed} file descriptors and this process may open {limit}; \
             {split}raise the hard limit (ulimit -Hn) or lower --connections",
            self.clients
        )))
    }
}

/// A source and a destination: connections between the two differ in the local port alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Pair {
    source: Option<IpAddr>,
    address: SocketAddr,
}

impl Pair {
    fn check(self, clients: u64, ports: u64) -> Result<(), RunError> {
        if clients <= ports {
            return Ok(());
        }
        let address = self.address;
        let (from, more) = match self.source {
            Some(source) => (format!(" from {source}"), "more addresses"),
            None => (String::new(), "addresses of this machine"),
        };
        Err(RunError::Limit(format!(
            "{clients} connections{from} to {address} need as many local ports and there are \
             {ports}; give {more} to --bind (each can have {ports}), widen \
             net.ipv4.ip_local_port_range or lower --connections"
        )))
    }
}

/// The pair with the most clients, and how many these are; none over Unix-domain sockets.
fn busiest(clients: impl Iterator<Item = u32>, targets: &Targets) -> Option<(Pair, u64)> {
    let mut shares = BTreeMap::<Pair, u64>::new();
    for client in clients {
        let route = targets.route(client, 0);
        if let Some(address) = route.socket() {
            let source = route.source;
            *shares.entry(Pair { source, address }).or_default() += 1;
        }
    }
    shares.into_iter().max_by_key(|(_, clients)| *clients)
}

fn open_descriptors() -> u64 {
    fs::read_dir("/proc/self/fd").map_or(0, |entries| entries.count() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use cli::Addr;
    use proptest::prelude::*;

    fn targets(all: &[&str], bind: &[&str]) -> Targets {
        let all: Vec<Addr> = all.iter().map(|addr| addr.parse().unwrap()).collect();
        let bind: Vec<IpAddr> = bind.iter().map(|ip| ip.parse().unwrap()).collect();
        Targets::resolve(&all, &bind).unwrap()
    }

    fn demand(clients: u32, targets: &Targets) -> Demand<'_, std::ops::Range<u32>> {
        Demand {
            clients: 0..clients,
            threads: 1,
            processes: NonZeroU32::MIN,
            targets,
        }
    }

    #[test]
    fn too_few_descriptors_are_told_with_what_helps() {
        let needs = Descriptors {
            clients: 30_000,
            overhead: 100,
        };
        assert!(needs.check(30_100).is_ok());
        let why = needs.check(20_000).unwrap_err().to_string();
        assert!(
            why.contains("need 30100") && why.contains("may open 20000"),
            "{why}"
        );
        assert!(
            why.contains("--processes 2,") && why.contains("ulimit -Hn"),
            "{why}"
        );
        let none = needs.check(50).unwrap_err().to_string();
        assert!(!none.contains("--processes"), "{none}");
    }

    #[test]
    fn too_few_ports_are_told_with_what_helps() {
        let all = targets(&["127.0.0.1:7"], &[]);
        let (pair, clients) = busiest(0..101, &all).unwrap();
        assert!(pair.check(clients, 101).is_ok());
        let why = pair.check(clients, 100).unwrap_err().to_string();
        assert!(why.contains("101 connections to 127.0.0.1:7"), "{why}");
        assert!(
            why.contains("there are 100") && why.contains("--bind"),
            "{why}"
        );
        assert!(why.contains("net.ipv4.ip_local_port_range"), "{why}");
    }

    #[test]
    fn each_pair_has_ports_of_its_own() {
        let all = targets(&["127.0.0.1:7", "127.0.0.1:8"], &["127.0.0.2", "127.0.0.3"]);
        assert_eq!(busiest(0..400, &all).unwrap().1, 100);
        let twice = targets(&["127.0.0.1:7", "127.0.0.1:7"], &[]);
        assert_eq!(
            busiest(0..400, &twice).unwrap().1,
            400,
            "one address typed twice"
        );
        assert!(busiest(0..400, &targets(&["unix:/x"], &[])).is_none());
        // The part of one of two generators goes to one of two targets.
        let own = (0..400).step_by(2);
        assert_eq!(busiest(own, &all).unwrap().1, 100);
    }

    #[test]
    fn an_address_of_another_machine_is_refused_before_the_run() {
        let elsewhere = targets(&["127.0.0.1:7"], &["192.0.2.1"]);
        let why = check(&demand(1, &elsewhere)).unwrap_err().to_string();
        assert!(why.contains("--bind 192.0.2.1"), "{why}");
        let ours = targets(&["127.0.0.1:7"], &["127.0.0.2"]);
        check(&demand(1, &ours)).unwrap();
    }

    #[test]
    fn processes_share_the_descriptors_and_not_the_ports() {
        let all = targets(&["127.0.0.1:7"], &[]);
        let one = demand(1_000, &all);
        assert_eq!(one.descriptors(4).clients, 1_000);
        assert_eq!(one.descriptors(4).overhead, 1 + 4 + SPARE_DESCRIPTORS);
        let many = Demand {
            processes: NonZeroU32::new(3).unwrap(),
            ..one
        };
        assert_eq!(many.descriptors(4).clients, 334);
        assert_eq!(busiest(many.clients, &all).unwrap().1, 1_000);
    }

    proptest! {
        /// As many processes as the message says are enough, and one less is not.
        #[test]
        fn the_advice_on_processes_is_exact(clients in 1_u64..1_000_000, overhead in 1_u64..200, room in 1_u64..30_000) {
            let limit = overhead + room;
            prop_assume!(clients > room);
            let why = Descriptors { clients, overhead }.check(limit).unwrap_err().to_string();
            let advice: u64 = why.split("--processes ").nth(1).unwrap().split(',').next().unwrap().parse().unwrap();
            let fits = |processes: u64| Descriptors { clients: clients.div_ceil(processes), overhead }.check(limit).is_ok();
            prop_assert!(fits(advice) && !fits(advice - 1));
        }
    }
}
