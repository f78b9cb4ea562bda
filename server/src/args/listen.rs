//! Flags about the listening socket and what accepted ones inherit.

use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::time::Duration;

use clap::Args;
use cli::{Addr, units};

use super::Advice;
use crate::config::{Accept, Config, Limits};
use crate::limits::kernel_setting;
use crate::listener::{Keepalive, ListenOptions};

#[derive(Debug, Args)]
#[command(next_help_heading = "Sockets")]
pub(super) struct ListenArgs {
    /// Who accepts: all at one socket (shared), each at a socket of its own among which the kernel
    /// deals (reuseport), or the master of a process pool, which hands connections out (handoff).
    #[arg(long, value_name = "WHO", default_value = "shared")]
    pub(super) accept: Accept,

    /// Length of the kernel's accept queue in connections, 1 to 65535; the kernel may cap it.
    #[arg(long, value_name = "N", default_value_t = Limits::BACKLOG, value_parser = units::count(1..=65_535_u32))]
    pub(super) backlog: u32,

    /// Send small answers at once (TCP_NODELAY); this is the default.
    #[arg(long, overrides_with = "no_nodelay")]
    nodelay: bool,

    /// Let the kernel gather small answers (Nagle's algorithm).
    #[arg(long)]
    no_nodelay: bool,

    /// Leave IPv4 to others where all of IPv6 is listened on, as [::]:7007, which otherwise takes
    /// IPv4 clients too (IPV6_V6ONLY).
    #[arg(long)]
    ipv6_only: bool,

    /// Let the kernel ask a silent peer after IDLE, then every INTERVAL, and end the connection
    /// after COUNT questions without an answer (TCP keepalive) [default: off].
    #[arg(long, value_name = "IDLE[,INTERVAL[,COUNT]]")]
    keepalive: Option<Keepalive>,

    /// End a connection whose peer does not acknowledge for so long (TCP_USER_TIMEOUT); with
    /// --keepalive it takes the place of COUNT [default: the system's].
    #[arg(long, value_name = "DURATION", value_parser = units::duration(Duration::from_millis(1)..=LONGEST_USER_TIMEOUT))]
    user_timeout: Option<Duration>,

    /// Bytes of one connection that the kernel may keep until the server reads them (SO_RCVBUF),
    /// 1KiB to 1GiB [default: the system's].
    #[arg(long, value_name = "SIZE", value_parser = units::size(BUFFER_BYTES))]
    recv_buffer: Option<u64>,

    /// Bytes of one connection that the kernel may keep until the client takes them (SO_SNDBUF),
    /// 1KiB to 1GiB [default: the system's].
    #[arg(long, value_name = "SIZE", value_parser = units::size(BUFFER_BYTES))]
    send_buffer: Option<u64>,
}

/// The longest that the kernel takes, a signed number of milliseconds, in whole days.
const LONGEST_USER_TIMEOUT: Duration = Duration::from_secs(24 * 24 * 3600);
/// Sizes of a socket buffer.
const BUFFER_BYTES: RangeInclusive<u64> = 1 << 10..=1 << 30;

impl ListenArgs {
    /// How to listen.
    pub(super) fn options(&self, config: &Config) -> ListenOptions {
        let limits = &config.limits;
        ListenOptions {
            sockets: config.sockets(),
            backlog: self.backlog,
            nodelay: self.nodelay || !self.no_nodelay,
            idle_timeout: limits.idle_timeout,
            write_timeout: limits.write_timeout,
            ipv6_only: self.ipv6_only,
            keepalive: self.keepalive,
            user_timeout: self.user_timeout,
            recv_buffer_bytes: bytes(self.recv_buffer),
            send_buffer_bytes: bytes(self.send_buffer),
            owner_only: false,
        }
    }

    /// What to tell the operator about flags without effect on `addr` and sizes beyond reach.
    pub(super) fn advice(&self, addr: &Addr) -> Vec<Advice> {
        let is_unix = matches!(addr, Addr::Unix(_));
        let all_of_ipv6 = |ip: IpAddr| ip.is_ipv6() && ip.is_unspecified();
        // What a name stands for is not known here.
        let is_moot = is_unix || !addr.ip().is_none_or(all_of_ipv6);
        let ipv6_only = (self.ipv6_only && is_moot).then(|| addr.clone());
        let of_tcp = self.of_tcp_only().filter(|_| is_unix);
        let of_tcp = of_tcp.map(|flag| {
            let addr = addr.clone();
            Advice::TcpOnly { flag, addr }
        });
        let ipv6_only = ipv6_only.map(|addr| Advice::Ipv6OnlyUnused { addr });
        let dealt = (self.accept == Accept::Reuseport).then_some(Advice::DealtBlindly);
        of_tcp
            .chain(ipv6_only)
            .chain(dealt)
            .chain(self.capped_buffers())
            .collect()
    }

    /// The flags that were given and say something about TCP only.
    fn of_tcp_only(&self) -> impl Iterator<Item = &'static str> {
        let flags = [
            (self.nodelay, "--nodelay"),
            (self.no_nodelay, "--no-nodelay"),
            (self.keepalive.is_some(), "--keepalive"),
            (self.user_timeout.is_some(), "--user-timeout"),
            (self.recv_buffer.is_some(), "--recv-buffer"),
        ];
        let given = flags.into_iter().filter(|(given, _)| *given);
        given.map(|(_, flag)| flag)
    }

    /// The flags that were given and count only for who binds the sockets.
    pub(super) fn of_who_binds(&self) -> impl Iterator<Item = &'static str> {
        let flags = [
            (self.backlog != Limits::BACKLOG, "--backlog"),
            (self.ipv6_only, "--ipv6-only"),
        ];
        let given = flags.into_iter().filter(|(given, _)| *given);
        given.map(|(_, flag)| flag)
    }

    /// The buffers that are larger than the kernel allows.
    fn capped_buffers(&self) -> impl Iterator<Item = Advice> {
        let buffers = [
            ("--recv-buffer", self.recv_buffer, "net.core.rmem_max"),
            ("--send-buffer", self.send_buffer, "net.core.wmem_max"),
        ];
        buffers.into_iter().filter_map(|(flag, asked, setting)| {
            let (asked, allowed) = (asked?, kernel_setting(&setting.replace('.', "/"))?);
            (asked > allowed).then(|| Advice::BufferCapped {
                flag,
                asked: units::bytes(asked),
                allowed: units::bytes(allowed),
                setting,
            })
        })
    }
}

fn bytes(size: Option<u64>) -> Option<usize> {
    size.and_then(|size| size.try_into().ok())
}
