//! What this machine must give before a run makes sense: descriptors, addresses and local ports.
//!
//! The checks are arithmetic on values; only [`check`] asks the system.

use std::fs;
use std::num::NonZeroU32;

use super::ports::Ports;
use super::target::Targets;
use crate::advice::Advice;
use crate::kernel;
use crate::observe::is_ours;
use crate::{Config, RunError};

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
pub(super) fn check<C>(demand: &Demand<'_, C>) -> Result<Option<Advice>, RunError>
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
    match kernel::local_ports() {
        Some(ports) => Ports(ports).check(demand.clients.clone(), demand.targets),
        None => Ok(None),
    }
}

/// Lets connections to the loopback come from more of its addresses, where one has too few ports for
/// `clients` clients, and says so.
pub(super) fn spread(clients: u32, targets: &mut Targets) -> Option<Advice> {
    let ports = Ports(kernel::local_ports()?);
    let (sources, advice) = ports.spread(clients, targets)?;
    // The whole of 127.0.0.0/8 is this machine's, unless somebody has changed that.
    let all_ours = sources.iter().all(|address| is_ours(*address));
    all_ours.then(|| {
        targets.come_from(sources);
        advice
    })
}

/// How many processes the clients of `config` need, each of which has its own descriptors: 1 where
/// one is enough, or where no number would be.
pub(super) fn processes(config: &Config) -> NonZeroU32 {
    let all = Descriptors {
        clients: config.own_connections().into(),
        overhead: overhead(config.threads.get(), open_descriptors()),
    };
    let needed = all.processes(kernel::raise_descriptor_limit());
    let needed = needed.and_then(|needed| u32::try_from(needed).ok());
    needed.and_then(NonZeroU32::new).unwrap_or(NonZeroU32::MIN)
}

impl<C: Iterator<Item = u32> + Clone> Demand<'_, C> {
    /// What each process needs when it begins with `open` descriptors.
    fn descriptors(&self, open: u64) -> Descriptors {
        let clients = self.clients.clone().count() as u64;
        Descriptors {
            clients: clients.div_ceil(self.processes.get().into()),
            overhead: overhead(self.threads, open),
        }
    }
}

/// What a process with `threads` threads needs besides its clients, when it begins with `open`
/// descriptors.
const fn overhead(threads: usize, open: u64) -> u64 {
    threads as u64 + open + SPARE_DESCRIPTORS
}

/// What one process needs.
#[derive(Clone, Copy, Debug)]
struct Descriptors {
    clients: u64,
    overhead: u64,
}

impl Descriptors {
    /// How many processes with that limit each can have these clients; none where no number of them
    /// can.
    fn processes(self, limit: u64) -> Option<u64> {
        let room = limit.checked_sub(self.overhead).filter(|room| *room > 0)?;
        Some(self.clients.div_ceil(room))
    }

    fn check(self, limit: u64) -> Result<(), RunError> {
        let needed = self.clients + self.overhead;
        if needed <= limit {
            return Ok(());
        }
        let split = match self.processes(limit) {
            Some(processes) => format!("use --processes {processes} (or auto), "),
            None => String::new(),
        };
        Err(RunError::Limit(format!(
            "{} connections need {needed} file descriptors and this process may open {limit}; \
             {split}raise the hard limit (ulimit -Hn) or lower --connections",
            self.clients
        )))
    }
}

fn open_descriptors() -> u64 {
    fs::read_dir("/proc/self/fd").map_or(0, |entries| entries.count() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::IpAddr;

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
            why.contains("--processes 2 (or auto),") && why.contains("ulimit -Hn"),
            "{why}"
        );
        let none = needs.check(50).unwrap_err().to_string();
        assert!(!none.contains("--processes"), "{none}");
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
        let too_many = Ports(999).check(many.clients, &all);
        assert!(too_many.is_err());
    }

    proptest! {
        /// As many processes as the message says are enough, and one less is not.
        #[test]
        fn the_advice_on_processes_is_exact(clients in 1_u64..1_000_000, overhead in 1_u64..200, room in 1_u64..30_000) {
            let limit = overhead + room;
            prop_assume!(clients > room);
            let why = Descriptors { clients, overhead }.check(limit).unwrap_err().to_string();
            let advice: u64 = why.split("--processes ").nth(1).unwrap().split(' ').next().unwrap().parse().unwrap();
            let fits = |processes: u64| Descriptors { clients: clients.div_ceil(processes), overhead }.check(limit).is_ok();
            prop_assert!(fits(advice) && !fits(advice - 1));
        }
    }
}
