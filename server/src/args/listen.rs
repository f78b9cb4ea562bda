//! Flags about the listening socket and what accepted ones inherit.

use clap::Args;
use cli::units;

use crate::config::Limits;
use crate::listener::ListenOptions;

#[derive(Debug, Args)]
#[command(next_help_heading = "Sockets")]
pub(super) struct ListenArgs {
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
    pub(super) ipv6_only: bool,
}

impl ListenArgs {
    /// How to listen.
    pub(super) fn options(&self, limits: &Limits) -> ListenOptions {
        ListenOptions {
            backlog: self.backlog,
            nodelay: self.nodelay || !self.no_nodelay,
            idle_timeout: limits.idle_timeout,
            write_timeout: limits.write_timeout,
            ipv6_only: self.ipv6_only,
        }
    }
}
