//! Local ports: how many connections there are between a source and a target, and from how many
//! addresses they should come. Arithmetic on values.
//!
//! Connections between the same two addresses differ in the local port alone. The kernel looks for
//! a free one among every second port first, from a random one on, and the other half is for those
//! who bind: when more than half are taken it goes through thousands in vain, for each connection.
//! The closer it comes to that the longer it looks, so that addresses which cost nothing get fewer.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use super::target::Targets;
use crate::RunError;
use crate::advice::Advice;

/// The local ports that this machine lets a source and a target have between them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ports(pub(super) u64);

/// A source and a destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Pair {
    source: Option<IpAddr>,
    address: SocketAddr,
}

impl Ports {
    /// As many of them as are found among every second one, at least 1.
    fn easy(self) -> u64 {
        (self.0 / 2).max(1)
    }

    /// As many of them as leave half of those free: then the second or third that is looked at is.
    fn roomy(self) -> u64 {
        (self.0 / 4).max(1)
    }

    /// Checks that there is a port for each of `clients`, and says what would help.
    ///
    /// # Errors
    ///
    /// [`RunError::Limit`] when there are too few.
    pub(super) fn check(
        self,
        clients: impl Iterator<Item = u32> + Clone,
        targets: &Targets,
    ) -> Result<Option<Advice>, RunError> {
        let Some((pair, most)) = busiest(clients.clone(), targets) else {
            return Ok(None);
        };
        if most <= self.easy() {
            return Ok(None);
        }
        let enough = enough(clients, targets, self.easy());
        if most > self.0 {
            return Err(self.too_few(pair, most, enough));
        }
        Ok(Some(Advice::Crowded {
            clients: most,
            target: pair.address,
            ports: self.0,
            enough,
        }))
    }

    fn too_few(self, pair: Pair, clients: u64, enough: u64) -> RunError {
        let Self(ports) = self;
        let from = pair.source.map(|source| format!(" from {source}"));
        RunError::Limit(format!(
            "{clients} connections{} to {} need as many local ports and there are {ports}; give \
             {enough} addresses of this machine to --bind (beyond half of its ports each becomes \
             slow), widen net.ipv4.ip_local_port_range or lower --connections",
            from.unwrap_or_default(),
            pair.address
        ))
    }

    /// From which addresses of the loopback `clients` clients should come, when all their targets are
    /// there and nothing is said of it; none where one address is enough.
    pub(super) fn spread(self, clients: u32, targets: &Targets) -> Option<(Vec<IpAddr>, Advice)> {
        if !targets.are_loopback() || !targets.bind().is_empty() {
            return None;
        }
        let shares = Shares::of(clients, targets);
        let (target, clients) = shares.busiest()?;
        if clients <= self.easy() {
            return None;
        }
        let roomy = self.roomy().max(shares.least());
        let count = (1..).find(|sources| shares.most(*sources) <= roomy)?;
        let sources = (0..count).map(|number| {
            let number = u32::try_from(number).unwrap_or(u32::MAX);
            IpAddr::from(Ipv4Addr::from(u32::from(Ipv4Addr::LOCALHOST) + number))
        });
        let sources: Vec<_> = sources.collect();
        let advice = Advice::Spread {
            first: *sources.first()?,
            last: *sources.last().filter(|_| count > 1)?,
            count,
            clients,
            target,
            ports: self.0,
        };
        Some((sources, advice))
    }
}

/// How many clients each address gets from each target that stands for it, when all clients of a
/// run are dealt out.
struct Shares(BTreeMap<SocketAddr, Vec<u64>>);

impl Shares {
    fn of(clients: u32, targets: &Targets) -> Self {
        let mut shares = BTreeMap::<_, Vec<u64>>::new();
        let firsts = 0..clients.min(targets.turn_of());
        for first in firsts {
            let share = (clients - first).div_ceil(targets.turn_of());
            if let Some(address) = targets.route(first, 0).socket() {
                shares.entry(address).or_default().push(share.into());
            }
        }
        Self(shares)
    }

    /// The address with the most clients.
    fn busiest(&self) -> Option<(SocketAddr, u64)> {
        let sums = self.0.iter().map(|(at, all)| (*at, all.iter().sum()));
        sums.max_by_key(|(_, sum)| *sum)
    }

    /// What no number of sources goes below: each address that was typed again has a client more.
    fn least(&self) -> u64 {
        let times = self.0.values().map(|all| all.len() as u64);
        times.max().unwrap_or(1)
    }

    /// The most clients of an address and one of `sources` sources. The first source gets the most
    /// of each target, since they are taken in turn.
    fn most(&self, sources: u64) -> u64 {
        let of_first = |all: &Vec<u64>| all.iter().map(|share| share.div_ceil(sources)).sum();
        self.0.values().map(of_first).max().unwrap_or(0)
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

/// The fewest addresses that these clients could come from with `easy` of them at the most between
/// any address and a target.
fn enough(clients: impl Iterator<Item = u32> + Clone, targets: &Targets, easy: u64) -> u64 {
    let most = |sources: u64| {
        let mut shares = BTreeMap::<(u64, SocketAddr), u64>::new();
        for client in clients.clone() {
            if let Some(address) = targets.route(client, 0).socket() {
                let source = u64::from(client / targets.turn_of()) % sources;
                *shares.entry((source, address)).or_default() += 1;
            }
        }
        shares.into_values().max().unwrap_or(0)
    };
    let all = clients.clone().count();
    let least = Shares::of(u32::try_from(all).unwrap_or(u32::MAX), targets).least();
    let easy = easy.max(least);
    let first = most(1).div_ceil(easy).max(1);
    (first..)
        .find(|sources| most(*sources) <= easy)
        .unwrap_or(first)
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

    #[test]
    fn too_few_ports_are_told_with_what_helps() {
        let all = targets(&["192.0.2.1:7"], &[]);
        assert!(matches!(Ports(202).check(0..101, &all), Ok(None)));
        assert!(Ports(101).check(0..101, &all).is_ok());
        let why = Ports(100).check(0..101, &all).unwrap_err().to_string();
        for part in [
            "101 connections to 192.0.2.1:7",
            "there are 100",
            "give 3 addresses of this machine to --bind",
            "net.ipv4.ip_local_port_range",
        ] {
            assert!(why.contains(part), "{why}");
        }
    }

    #[test]
    fn more_than_half_of_the_ports_is_worth_a_word() {
        let all = targets(&["192.0.2.1:7"], &["192.0.2.2"]);
        let advice = Ports(28_232).check(0..14_117, &all).unwrap().unwrap();
        let told = advice.to_string();
        assert!(told.contains("14117 connections") && told.contains("give 2 addresses"));
        assert!(Ports(28_232).check(0..14_116, &all).unwrap().is_none());
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
    fn a_million_on_the_loopback_come_from_142_addresses() {
        let all = targets(&["127.0.0.1:7"], &[]);
        let (sources, advice) = Ports(28_232).spread(1_000_000, &all).unwrap();
        assert_eq!(sources.len(), 142);
        let told = advice.to_string();
        assert!(
            told.contains("142 addresses, 127.0.0.1 to 127.0.0.142: 1000000 to 127.0.0.1:7"),
            "{told}"
        );
        assert!(Ports(28_232).spread(14_116, &all).is_none());
    }

    #[test]
    fn who_says_where_connections_come_from_or_go_to_is_left_alone() {
        for (to, bind) in [
            (&["127.0.0.1:7"][..], &["127.0.0.1"][..]),
            (&["192.0.2.1:7"], &[]),
            (&["127.0.0.1:7", "192.0.2.1:7"], &[]),
            (&["[::1]:7"], &[]),
            (&["unix:/x"], &[]),
        ] {
            let all = targets(to, bind);
            assert!(Ports(100).spread(1_000, &all).is_none(), "{to:?} {bind:?}");
        }
    }

    proptest! {
        /// As many addresses as are said are enough, and one less is not, whoever counts.
        #[test]
        fn the_advice_on_addresses_is_exact(
            clients in 1_u32..500,
            typed in proptest::collection::vec(1_u16..4, 1..5),
            ports in 8_u64..100,
        ) {
            let typed: Vec<_> = typed.iter().map(|port| format!("127.0.0.1:{port}")).collect();
            let typed: Vec<_> = typed.iter().map(String::as_str).collect();
            let one = targets(&typed, &[]);
            let easy = Ports(ports).easy();
            let needed = enough(0..clients, &one, easy);
            let spread = Ports(ports).spread(clients, &one);
            let roomy = match needed {
                1 => 1,
                _ => enough(0..clients, &one, Ports(ports).roomy()),
            };
            prop_assert_eq!(spread.map_or(1, |(sources, _)| sources.len() as u64), roomy);
            let from = |count: u64| {
                let bind: Vec<_> = (1..=count).map(|n| format!("127.0.1.{}", n % 256)).collect();
                let bind: Vec<_> = bind.iter().map(String::as_str).collect();
                busiest(0..clients, &targets(&typed, &bind)).unwrap().1
            };
            prop_assert!(from(needed) <= easy);
            prop_assert!(needed == 1 || from(needed - 1) > easy);
        }

        /// The parts of a run are checked for themselves, with as exact advice.
        #[test]
        fn the_advice_for_a_part_is_exact(clients in 1_u32..500, parts in 1_usize..6, easy in 4_u64..50) {
            let all = targets(&["127.0.0.1:7"], &[]);
            let own = || (0..clients).step_by(parts);
            let needed = enough(own(), &all, easy);
            let from = |count: u64| {
                let bind: Vec<_> = (0..count).map(|n| format!("127.1.{}.{}", n / 256, n % 256)).collect();
                let bind: Vec<_> = bind.iter().map(String::as_str).collect();
                busiest(own(), &targets(&["127.0.0.1:7"], &bind)).unwrap().1
            };
            prop_assert!(from(needed) <= easy);
            prop_assert!(needed == 1 || from(needed - 1) > easy);
        }
    }
}
