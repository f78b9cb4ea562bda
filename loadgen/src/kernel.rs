//! What the kernel says about this machine. Reading only; what is missing is none.

use std::fs;

use rustix::time::{ClockId, clock_gettime};

/// Connections that listeners of this network namespace lost, since it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ListenTrouble {
    /// The queue of a listener was full.
    pub(crate) overflows: u64,
    /// A connection was dropped by a listener for any reason.
    pub(crate) drops: u64,
}

impl ListenTrouble {
    /// Reads the counters.
    pub(crate) fn read() -> Option<Self> {
        Self::parse(&fs::read_to_string("/proc/net/netstat").ok()?)
    }

    /// What was added since `earlier`.
    pub(crate) const fn since(self, earlier: Self) -> Self {
        Self {
            overflows: self.overflows.saturating_sub(earlier.overflows),
            drops: self.drops.saturating_sub(earlier.drops),
        }
    }

    /// Pairs of lines: names, then values, both after the same prefix.
    fn parse(netstat: &str) -> Option<Self> {
        let mut lines = netstat
            .lines()
            .filter_map(|line| line.strip_prefix("TcpExt:"));
        let (names, values) = (lines.next()?, lines.next()?);
        let value = |wanted: &str| {
            let mut pairs = names.split_whitespace().zip(values.split_whitespace());
            pairs.find(|(name, _)| *name == wanted)?.1.parse().ok()
        };
        Some(Self {
            overflows: value("ListenOverflows")?,
            drops: value("ListenDrops")?,
        })
    }
}

/// How many local ports an outgoing connection may choose from.
pub(crate) fn local_ports() -> Option<u64> {
    let range = fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").ok()?;
    let mut bounds = range.split_whitespace().map(str::parse::<u64>);
    let (low, high) = (bounds.next()?.ok()?, bounds.next()?.ok()?);
    Some(high.saturating_sub(low) + 1)
}

/// The wall clock, in seconds since 1970. Only to say when a run was, or to begin several at once;
/// no wait is ever measured with it, since it may jump.
pub(crate) fn unix_seconds() -> f64 {
    let now = clock_gettime(ClockId::Realtime);
    now.tv_sec as f64 + now.tv_nsec as f64 / 1e9
}

/// The kernel's release.
pub(crate) fn release() -> String {
    rustix::system::uname()
        .release()
        .to_string_lossy()
        .into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_found_by_their_names() {
        let netstat =
            "TcpExt: A ListenOverflows ListenDrops\nTcpExt: 1 22 33\nIpExt: A\nIpExt: 9\n";
        let expected = ListenTrouble {
            overflows: 22,
            drops: 33,
        };
        assert_eq!(ListenTrouble::parse(netstat), Some(expected));
        assert_eq!(ListenTrouble::parse("TcpExt: A\nTcpExt: 1\n"), None);
        assert_eq!(ListenTrouble::parse(""), None);
    }

    #[test]
    fn this_machine_answers() {
        assert!(!release().is_empty());
        assert!(ListenTrouble::read().is_some());
        assert!(local_ports().is_some_and(|ports| ports > 0));
    }
}
