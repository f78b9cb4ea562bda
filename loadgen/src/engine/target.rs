//! Where each client connects to and where from, resolved once before the run.
//!
//! Client `i` uses target `i mod T`, and source `(i / T) mod B` of `--bind`: so every pair of the
//! two gets its share, and with it a range of local ports of its own.

use std::net::{IpAddr, SocketAddr};

use cli::Addr;
use socket2::{Domain, SockAddr};

use crate::RunError;

/// The servers, and the addresses of this machine that connections come from.
#[derive(Debug)]
pub(crate) struct Targets {
    /// At least one.
    all: Vec<Target>,
    /// Empty leaves it to the kernel.
    bind: Vec<IpAddr>,
}

/// One server: every address that its name stands for, in the system's order.
#[derive(Debug)]
struct Target {
    addresses: Vec<SockAddr>,
    v4: Vec<SockAddr>,
    v6: Vec<SockAddr>,
}

/// The way of one connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Route<'a> {
    /// Where to.
    pub(super) address: &'a SockAddr,
    /// Where from; none leaves it to the kernel.
    pub(super) source: Option<IpAddr>,
}

impl Targets {
    /// Resolves `targets`, of which there must be one at least.
    ///
    /// # Errors
    ///
    /// [`RunError::Resolve`] when a name stands for nothing, and [`RunError::Family`] when an
    /// address of `bind` cannot reach one of the targets.
    pub(super) fn resolve(targets: &[Addr], bind: &[IpAddr]) -> Result<Self, RunError> {
        let resolve = |addr| {
            let target = Target::resolve(addr)?;
            match bind
                .iter()
                .find(|ip| target.reachable(Some(**ip)).is_empty())
            {
                None => Ok(target),
                Some(source) => Err(RunError::Family {
                    source_ip: *source,
                    target: addr.to_string(),
                }),
            }
        };
        Ok(Self {
            all: targets.iter().map(resolve).collect::<Result<_, _>>()?,
            bind: bind.to_vec(),
        })
    }

    /// The most addresses that a client has to try, at least 1.
    pub(super) fn count(&self) -> u32 {
        let sources = self.sources();
        let counts = self.all.iter().flat_map(|target| {
            let tries = |source: &Option<IpAddr>| target.reachable(*source).len();
            sources.iter().map(tries)
        });
        u32::try_from(counts.max().unwrap_or(1)).unwrap_or(u32::MAX)
    }

    /// The way of client number `client` after `failures` failures.
    pub(super) fn route(&self, client: u32, failures: u32) -> Route<'_> {
        let targets = self.all.len();
        let target = &self.all[client as usize % targets];
        let turn = client as usize / targets;
        let source = (!self.bind.is_empty()).then(|| self.bind[turn % self.bind.len()]);
        let addresses = target.reachable(source);
        Route {
            address: &addresses[failures as usize % addresses.len()],
            source,
        }
    }

    /// Every address of every target.
    pub(super) fn addresses(&self) -> impl Iterator<Item = &SockAddr> {
        self.all.iter().flat_map(|target| &target.addresses)
    }

    /// The addresses that connections come from; empty where the kernel chooses.
    pub(super) fn bind(&self) -> &[IpAddr] {
        &self.bind
    }

    /// How many clients go to different targets before the first one has its next.
    pub(super) fn turn_of(&self) -> u32 {
        u32::try_from(self.all.len()).unwrap_or(u32::MAX)
    }

    /// Whether nobody can be reached but at addresses of the loopback, and of IPv4.
    pub(super) fn are_loopback(&self) -> bool {
        let loopback = |address: &SockAddr| {
            let address = address.as_socket_ipv4();
            address.is_some_and(|address| address.ip().is_loopback())
        };
        self.addresses().all(loopback)
    }

    /// Connections come from `sources` in turn from now on, which all targets can be reached from.
    pub(super) fn come_from(&mut self, sources: Vec<IpAddr>) {
        self.bind = sources;
    }

    fn sources(&self) -> Vec<Option<IpAddr>> {
        if self.bind.is_empty() {
            vec![None]
        } else {
            self.bind.iter().copied().map(Some).collect()
        }
    }
}

impl Target {
    fn resolve(addr: &Addr) -> Result<Self, RunError> {
        let failed = |source| RunError::Resolve {
            target: addr.to_string(),
            source,
        };
        let addresses = match addr {
            Addr::Unix(path) => vec![SockAddr::unix(path).map_err(failed)?],
            Addr::Tcp { .. } => {
                let all = addr.resolve().map_err(failed)?;
                all.into_iter().map(SockAddr::from).collect()
            }
        };
        if addresses.is_empty() {
            return Err(failed(std::io::ErrorKind::NotFound.into()));
        }
        Ok(Self::new(addresses))
    }

    fn new(addresses: Vec<SockAddr>) -> Self {
        let of = |domain| {
            let same = addresses.iter().filter(|one| one.domain() == domain);
            same.cloned().collect()
        };
        Self {
            v4: of(Domain::IPV4),
            v6: of(Domain::IPV6),
            addresses,
        }
    }

    /// The addresses that can be reached from `source`.
    fn reachable(&self, source: Option<IpAddr>) -> &[SockAddr] {
        match source {
            None => &self.addresses,
            Some(IpAddr::V4(_)) => &self.v4,
            Some(IpAddr::V6(_)) => &self.v6,
        }
    }
}

impl Route<'_> {
    /// The address as a socket of TCP; none for a file.
    pub(super) fn socket(&self) -> Option<SocketAddr> {
        self.address.as_socket()
    }
}

/// Whether a connection to `address` may be given Nagle's algorithm, local ports and the like.
pub(super) fn is_tcp(address: &SockAddr) -> bool {
    address.domain() != Domain::UNIX
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn ips(all: &[&str]) -> Vec<IpAddr> {
        all.iter().map(|ip| ip.parse().unwrap()).collect()
    }

    fn targets(all: &[&str], bind: &[&str]) -> Result<Targets, RunError> {
        let all: Vec<Addr> = all.iter().map(|addr| addr.parse().unwrap()).collect();
        Targets::resolve(&all, &ips(bind))
    }

    fn way(targets: &Targets, client: u32, failures: u32) -> (String, Option<String>) {
        let route = targets.route(client, failures);
        let address = route.socket().unwrap().to_string();
        (address, route.source.map(|ip| ip.to_string()))
    }

    #[test]
    fn clients_take_targets_and_sources_in_turn() {
        let all = targets(&["127.0.0.1:1", "127.0.0.1:2"], &["127.0.0.8", "127.0.0.9"]).unwrap();
        let ways: Vec<_> = (0..5)
            .map(|client| way(&all, client, 0))
            .map(|(address, source)| format!("{} {address}", source.unwrap()))
            .collect();
        assert_eq!(
            ways,
            [
                "127.0.0.8 127.0.0.1:1",
                "127.0.0.8 127.0.0.1:2",
                "127.0.0.9 127.0.0.1:1",
                "127.0.0.9 127.0.0.1:2",
                "127.0.0.8 127.0.0.1:1",
            ]
        );
    }

    #[test]
    fn the_addresses_of_a_name_are_tried_in_turn() {
        let both = ["127.0.0.1:1", "[::1]:1"].map(|addr| addr.parse::<SocketAddr>().unwrap());
        let target = Target::new(both.map(SockAddr::from).to_vec());
        let free = Targets {
            all: vec![target],
            bind: Vec::new(),
        };
        assert_eq!(free.count(), 2);
        let tried: Vec<_> = (0..3).map(|failures| way(&free, 0, failures).0).collect();
        assert_eq!(tried, ["127.0.0.1:1", "[::1]:1", "127.0.0.1:1"]);
        let bound = Targets {
            bind: ips(&["::1"]),
            ..free
        };
        assert_eq!(bound.count(), 1);
        assert_eq!(way(&bound, 0, 7).0, "[::1]:1");
    }

    #[test]
    fn a_source_that_cannot_reach_a_target_is_refused_by_both_names() {
        for (target, bind) in [
            ("127.0.0.1:7", "::1"),
            ("[::1]:7", "127.0.0.1"),
            ("unix:/x", "127.0.0.1"),
        ] {
            let why = targets(&[target], &[bind]).unwrap_err().to_string();
            assert!(why.contains(target) && why.contains(bind), "{why}");
        }
    }

    #[test]
    fn a_file_has_no_source() {
        let all = targets(&["unix:/x"], &[]).unwrap();
        let route = all.route(3, 1);
        assert!(route.socket().is_none() && route.source.is_none() && !is_tcp(route.address));
    }

    proptest! {
        #[test]
        fn every_pair_gets_an_even_share(targets in 1_usize..5, sources in 1_usize..5, rounds in 1_usize..5) {
            let all: Vec<_> = (1..=targets).map(|port| format!("127.0.0.1:{port}").parse().unwrap()).collect();
            let bind: Vec<IpAddr> = (1..=sources).map(|n| [127, 0, 1, u8::try_from(n).unwrap()].into()).collect();
            let all = Targets::resolve(&all, &bind).unwrap();
            let mut shares = BTreeMap::new();
            for client in 0..targets * sources * rounds {
                *shares.entry(way(&all, u32::try_from(client).unwrap(), 0)).or_insert(0) += 1;
            }
            prop_assert_eq!(shares.len(), targets * sources);
            prop_assert!(shares.values().all(|share| *share == rounds));
        }
    }
}
