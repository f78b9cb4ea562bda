//! What the kernel says about this machine. Reading only; what is missing is none.

use std::fs;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
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
    let reserved = fs::read_to_string("/proc/sys/net/ipv4/ip_local_reserved_ports");
    count_ports(&range, &reserved.unwrap_or_default())
}

/// The ports in `range` ("low high") that are not `reserved` ("1-5,9").
fn count_ports(range: &str, reserved: &str) -> Option<u64> {
    let mut bounds = range.split_whitespace().map(str::parse::<u64>);
    let (low, high) = (bounds.next()?.ok()?, bounds.next()?.ok()?);
    let within = |part: &str| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last) = (first.trim().parse::<u64>(), last.trim().parse::<u64>());
        let (first, last) = (first.ok()?.max(low), last.ok()?.min(high));
        Some((last + 1).saturating_sub(first))
    };
    // The kernel keeps the list sorted and without overlaps.
    let taken: u64 = reserved.split(',').filter_map(within).sum();
    Some((high + 1).saturating_sub(low).saturating_sub(taken))
}

/// Why there is no local port left, and what helps on this machine.
pub(crate) fn port_shortage() -> String {
    let reuse = fs::read_to_string("/proc/sys/net/ipv4/tcp_tw_reuse").ok();
    shortage(
        local_ports(),
        reuse.and_then(|text| text.trim().parse().ok()),
    )
}

/// `reuse` is `net.ipv4.tcp_tw_reuse`: 1 everywhere, 2 on loopback only.
fn shortage(ports: Option<u64>, reuse: Option<u8>) -> String {
    let count = ports.map_or(String::new(), |ports| format!(" of {ports}"));
    let held = match reuse {
        Some(0 | 2) => {
            ", or set net.ipv4.tcp_tw_reuse to 1, since a closed connection holds its port for a \
             minute"
        }
        _ => "",
    };
    format!(
        "no local port left{count}: give more addresses to --bind, widen \
         net.ipv4.ip_local_port_range, open fewer connections{held}"
    )
}

/// The wall clock, in seconds since 1970. Only to say when a run was, or to begin several at once;
/// no wait is ever measured with it, since it may jump.
pub(crate) fn unix_seconds() -> f64 {
    let now = clock_gettime(ClockId::Realtime);
    now.tv_sec as f64 + now.tv_nsec as f64 / 1e9
}

/// Raises the soft limit on descriptors to the hard one and returns what holds then; where there is
/// no limit, the largest number.
pub(crate) fn raise_descriptor_limit() -> u64 {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    let holds = match setrlimit(Resource::Nofile, raised) {
        Ok(()) => limit.maximum,
        Err(_) => limit.current,
    };
    holds.unwrap_or(u64::MAX)
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
    fn reserved_ports_are_not_counted() {
        assert_eq!(count_ports("32768\t60999\n", "\n"), Some(28_232));
        assert_eq!(
            count_ports("100 199", "1-50,90-109,150,300-400\n"),
            Some(89)
        );
        assert_eq!(count_ports("200 100", ""), Some(0));
        assert_eq!(count_ports("x y", ""), None);
    }

    #[test]
    fn a_shortage_is_told_with_what_helps_here() {
        let kept = shortage(Some(28_232), Some(2));
        assert!(
            kept.contains("28232") && kept.contains("tcp_tw_reuse to 1"),
            "{kept}"
        );
        assert!(!shortage(None, Some(1)).contains("tcp_tw_reuse"));
    }

    #[test]
    fn this_machine_answers() {
        assert!(!release().is_empty());
        assert!(ListenTrouble::read().is_some());
        assert!(local_ports().is_some_and(|ports| ports > 0));
    }
}
